"""How irregular and how variable the spikes of one network are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.analysis import spike_statistics
from hpcspike.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    heading,
    new_figure,
    panel_letters,
    say_if_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_BIN_MS = 50.0
OPAQUE: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1.0}
"""Of a legend that lies on the line of Poisson processes."""


@styled
def spike_variability(trained: xr.Dataset, *, bin_ms: float | None = None, least_intervals: int = 5) -> Figure:
    """Is spiking as irregular as a Poisson process: CV and CV2 of intervals, Fano factors, correlations of pairs.

    Parameters
    ----------
    trained
        Dataset of one network of spiking neurons; neurons of all target sets are drawn together.
    bin_ms
        Width of the bins of pair correlations (ms); default: 50 ms, or a quarter of a window shorter than 200 ms.
    least_intervals
        Neurons with fewer intervals in all trials are left out of the first panel.
    """
    if bin_ms is None:
        bin_ms = _default_bin(trained)
    found = spike_statistics(trained, bin_ms=bin_ms, least_intervals=least_intervals).load()
    figure = new_figure(10.4, 3.4)
    intervals, counts, pairs = figure.subplots(1, 3)
    n_trials, sets = found.attrs["n_trials"], found.sizes["target_set"]
    _draw_intervals(intervals, found)
    _draw_counts(counts, found)
    _draw_pairs(pairs, found, bin_ms)
    each = "" if sets == 1 else f" in each of {sets} target sets"
    heading(figure, f"all neurons, {n_trials} test trial{'s' * (n_trials > 1)}{each}, plasticity off")
    panel_letters([intervals, counts, pairs])
    return figure


def _default_bin(trained: xr.Dataset) -> float:
    """50 ms, or the whole steps in a quarter of a shorter window."""
    from hpcspike.analysis.neurons import experiment_of

    window, step_ms = float(trained["time"].values[-1]), float(experiment_of(trained)["neuron"]["step_ms"])
    return LONGEST_BIN_MS if window >= 4 * LONGEST_BIN_MS else max(1.0, window / 4 // step_ms) * step_ms


def _known(array: xr.DataArray) -> np.ndarray:
    values = array.values.ravel()
    return np.asarray(values[np.isfinite(values)])


def _draw_intervals(axes: Axes, found: xr.Dataset) -> None:
    columns = {name: _known(found[name]) for name in ("cv_isi", "cv2_isi")}
    top = max((float(values.max()) for values in columns.values() if len(values)), default=1.0)
    bins = np.linspace(0.0, max(1.2, 1.05 * top), 31).tolist()
    for values, colour, words in zip(columns.values(), (BLUE, ORANGE), ("CV", "CV2"), strict=True):
        if len(values):
            axes.hist(
                values, bins, histtype="step", color=colour, lw=1.4, label=f"{words}, median {np.median(values):.2f}"
            )
    axes.axvline(1.0, color=GREY, lw=0.9, ls=(0, (4, 2)), label="Poisson")
    axes.set_xlabel("CV, CV2 of intervals between spikes")
    axes.set_ylabel(
        "neurons" if found["cv_isi"].sizes.get("target_set", 1) == 1 else "neurons, each once per target set"
    )
    axes.set_title(f"{len(columns['cv_isi'])} of {found['cv_isi'].size} with enough intervals", fontsize=8)
    axes.legend(loc="upper right", **OPAQUE)


def _draw_counts(axes: Axes, found: xr.Dataset) -> None:
    rate, fano = found["spike_rate"].values.ravel(), found["fano_factor"].values.ravel()
    known = np.isfinite(fano)
    axes.set_xlabel("rate (Hz)")
    axes.set_ylabel("Fano factor of the spike count")
    if not known.any():
        say_if_empty(axes)
        axes.set_title("needs repetitions: two test trials of a target set", fontsize=8)
        return
    axes.plot(rate[known], fano[known], "o", ms=2.5, mew=0, alpha=0.5, color=BLUE, rasterized=True)
    axes.axhline(1.0, color=GREY, lw=0.9, ls=(0, (4, 2)), label="Poisson")
    axes.axhline(float(np.median(fano[known])), color=VERMILION, lw=1.0, label=f"median {np.median(fano[known]):.2f}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(loc="center right", **OPAQUE)


def _draw_pairs(axes: Axes, found: xr.Dataset, bin_ms: float) -> None:
    bins = np.linspace(-1.0, 1.0, 41).tolist()
    for kind, colour in (("total", GREY), ("noise", BLUE)):
        values = _known(found[f"pair_correlation_{kind}"])
        if len(values):
            words = f"{kind}, mean {values.mean():+.3f}"
            axes.hist(values, bins, histtype="step", color=colour, lw=1.4, density=True, label=words)
    axes.set_xlabel(f"correlation of pairs, bins of {bin_ms:g} ms")
    axes.set_ylabel("density of pairs")
    axes.set_xlim(-1.0, 1.0)
    if axes.patches:
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # the peak is where the legend is
        axes.legend(loc="upper right")
    else:
        say_if_empty(axes)
