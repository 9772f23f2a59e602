"""One trained network: targets against responses, raster, error split, spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import neuron_correlation, power_spectrum
from hpcspike.analysis.neurons import experiment_of
from hpcspike.errors import DataError
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    RESPONSE,
    SKY,
    TARGET,
    few_ticks,
    new_figure,
    panel_letters,
    pretty_units,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CUE = "#EFE3C8"
MAX_SETS = 3


@styled
def target_against_response(trained: xr.Dataset, *, n_neurons: int = 8, trial: int = 0) -> Figure:
    """Target and evoked response of sample neurons, from the best to the worst followed one.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    n_neurons
        Number of neurons, at even quantiles of the correlation; auxiliary neurons are left out.
    trial
        Test trial drawn strongly; the others are faint.
    """
    trained = recorded_only(trained)
    sets = range(min(trained.sizes["target_set"], MAX_SETS))
    per_neuron = neuron_correlation(trained)["correlation_single_trial"].load()
    chosen = from_best_to_worst(per_neuron, n_neurons)
    count = len(chosen)
    sample = trained[["target", "response"]].isel(neuron=chosen, target_set=list(sets)).load()
    two_columns = len(sets) == 1 and count > 2
    columns = 2 if two_columns else len(sets)
    rows = -(-count // 2) if two_columns else count
    figure = new_figure(4.2 * columns, 0.9 + 0.85 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for position, neuron in enumerate(chosen):
        for s in sets:
            row, column = (position % rows, position // rows) if two_columns else (position, s)
            one = sample.isel(neuron=position, target_set=s)
            draw_trace(panels[row, column], one, trial, int(neuron), float(per_neuron[s, neuron]))
    for axes in panels.ravel()[: rows * columns]:
        if not axes.lines:
            axes.set_axis_off()
    for s in sets:
        if len(sets) > 1:
            panels[0, s].set_title(f"target set {s + 1}\n{panels[0, s].get_title(loc='left')}", loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("time from window start (ms)")
    figure.supylabel(quantity(sample["response"]), fontsize=9)
    figure.legend(handles=trace_handles(trained.sizes["trial"], trial), loc="outside upper right", ncols=3)
    return figure


def from_best_to_worst(per_neuron: xr.DataArray, count: int) -> np.ndarray:
    """At most ``count`` neurons at even quantiles of their correlation (target_set, neuron), the best first."""
    order = per_neuron.mean("target_set").argsort().values[::-1]
    return np.asarray(order[np.round(np.linspace(0, len(order) - 1, min(count, len(order)))).astype(int)])


def trace_handles(n_trials: int, trial: int) -> list[Line2D]:
    """What a legend says about the lines of `draw_trace`."""
    handles = [
        Line2D([], [], color=TARGET, lw=1.6, label="target"),
        Line2D([], [], color=RESPONSE, lw=1.0, label=f"test trial {trial + 1}"),
    ]
    if n_trials > 1:
        handles.append(Line2D([], [], color=GREY, lw=0.6, alpha=0.7, label="other test trials"))
    return handles


def draw_trace(axes: Axes, one: xr.Dataset, trial: int, neuron: int, correlation: float) -> None:
    """Target (time) and responses (trial, time) of one neuron, one trial strongly."""
    time = one["time"].values
    for other in range(min(one.sizes["trial"], 6)):
        if other != trial:
            axes.plot(time, one["response"].isel(trial=other), color=GREY, lw=0.5, alpha=0.6)
    axes.plot(time, one["response"].isel(trial=trial), color=RESPONSE, lw=0.9)
    axes.plot(time, one["target"], color=TARGET, lw=1.5)
    axes.set_title(f"neuron {neuron}, correlation {correlation:.2f}", fontsize=8)
    axes.set_xlim(time[0], time[-1])
    few_ticks(axes, "y", 3)


@styled
def raster(trained: xr.Dataset, *, n_neurons: int = 100, n_trials: int = 3) -> Figure:
    """Spikes of the first neurons in test trials, the cue shaded, with the rate of all neurons below.

    Parameters
    ----------
    trained
        Dataset of one trained network with ``spike_time`` and its companions.
    n_neurons
        Number of neurons drawn.
    n_trials
        Number of trials drawn, one column each, one row per target set.
    """
    spikes = trained[["spike_time", "spike_neuron", "spike_trial", "spike_set"]].load()
    sets = min(trained.sizes["target_set"], MAX_SETS)
    trials = min(trained.sizes["trial"], n_trials)
    drawn = min(n_neurons, trained.sizes["neuron"])
    figure = new_figure(1.0 + 2.9 * trials, 0.7 + 3.2 * sets)
    panels = figure.subplots(2 * sets, trials, sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1] * sets)
    begin, end = _shown_time(trained, spikes)
    for s in range(sets):
        for k in range(trials):
            above, below = panels[2 * s, k], panels[2 * s + 1, k]
            draw_raster(above, below, trained, spikes, target_set=s, trial=k, n_neurons=drawn)
            above.set_title(f"trial {k + 1}" if sets == 1 else f"target set {s + 1}, trial {k + 1}")
        panels[2 * s, 0].set_ylabel("neuron")
        panels[2 * s + 1, 0].set_ylabel("rate (Hz)")
    for axes in panels[-1]:
        axes.set_xlabel("time from window start (ms)")
        axes.set_xlim(begin, end)
        few_ticks(axes, "x", 4)
    if begin < 0:
        figure.legend(
            handles=[Line2D([], [], color=CUE, lw=7, label="cue")], loc="outside upper right", handlelength=1.2
        )
    return figure


def draw_raster(
    above: Axes, below: Axes, trained: xr.Dataset, spikes: xr.Dataset, *, target_set: int, trial: int, n_neurons: int
) -> None:
    """Spikes of the first neurons in one trial, and below the rate of all, with the cue shaded; spikes: in memory."""
    begin, end = _shown_time(trained, spikes)
    time, fired = spikes["spike_time"].values, spikes["spike_neuron"].values
    here = (spikes["spike_trial"].values == trial) & (spikes["spike_set"].values == target_set)
    shown = here & (fired < n_neurons)
    above.plot(time[shown], fired[shown], "|", ms=2.2, mew=0.6, color=BLACK, rasterized=True)
    _population_rate(below, time[here], begin, end, trained.sizes["neuron"])
    for axes in (above, below):
        axes.axvspan(begin, 0, color=CUE, lw=0, zorder=0)
        axes.set_xlim(begin, end)
    above.set_ylim(-1, n_neurons)
    below.set_ylim(bottom=0)


def _shown_time(trained: xr.Dataset, spikes: xr.Dataset) -> tuple[float, float]:
    return min(float(spikes["spike_time"].values.min(initial=0.0)), 0.0), float(trained["time"].values[-1])


def _population_rate(axes: Axes, time: np.ndarray, begin: float, end: float, n_neurons: int) -> None:
    width = 10.0 if end - begin <= 3000 else 20.0
    bins = np.arange(begin, end + width, width)
    counts, bins = np.histogram(time, bins=bins)
    axes.stairs(counts / n_neurons / width * 1000.0, bins, color=BLUE, fill=True, alpha=0.6)


@styled
def error_split(trained: xr.Dataset, *, fast_time_ms: float | None = None) -> Figure:
    """What kind of error one network makes: power spectra, and the clamped split beside the theory.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    fast_time_ms
        x of the cut-off 1/(2 pi x) between slow and fast power (ms); default: that of the experiment, else 20 ms.
    """
    figure = new_figure(8.2, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_spectra(left, trained, fast_time_ms)
    draw_split(right, trained)
    panel_letters([left, right])
    return figure


def draw_spectra(axes: Axes, trained: xr.Dataset, fast_time_ms: float | None = None) -> None:
    """Power of targets and responses, with the cut-off of `error_split`."""
    if fast_time_ms is None:
        fast_time_ms = float(experiment_of(trained).get("measures", {}).get("fast_time_ms", 20.0))
    # the last frequency stands for one side only and would end the curve in a spike
    spectrum = power_spectrum(trained).isel(frequency=slice(None, -1)).load()
    frequency = spectrum["frequency"].values
    for name, colour, words in (("power_target", TARGET, "target"), ("power_response", RESPONSE, "response")):
        axes.plot(frequency, spectrum[name].values, color=colour, label=words)
    axes.set_xscale("log")
    axes.set_yscale("log")
    cut = 1000.0 / (2 * np.pi * fast_time_ms)
    axes.axvline(cut, color=GREY, lw=0.9, ls=(0, (4, 2)), label=f"cut-off {cut:.1f} Hz")
    top = float(max(spectrum["power_target"].max(), spectrum["power_response"].max()))
    if top > 0:  # what lies six decades below the peak is numerical dust
        axes.set_ylim(max(axes.get_ylim()[0], top * 1e-6), top * 3)
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel(f"power density ({pretty_units(str(spectrum['power_target'].attrs['units']))})")
    if "spectral_index" in trained:
        axes.set_title(f"spectral index {float(trained['spectral_index']):+.2f}")
    axes.legend(loc="lower left")


def draw_split(axes: Axes, trained: xr.Dataset) -> None:
    """The clamped split as bars, with the theory's scales in the title."""
    bars = [
        ("sampling_error", "sampling", SKY, "///"),
        ("tracking_error", "tracking", ORANGE, "\\\\\\"),
        ("quasi_static_residual", "quasi-static\nresidual", GREY, None),
    ]
    known = [bar for bar in bars if bar[0] in trained and np.isfinite(float(trained[bar[0]]))]
    heights = [float(trained[name]) for name, *_ in known]
    for position, (_, _, colour, hatch) in enumerate(known):
        axes.bar(position, heights[position], width=0.6, color=colour, hatch=hatch, edgecolor="white", lw=0)
        axes.text(position, heights[position], f"{heights[position]:.2f}", ha="center", va="bottom", fontsize=8)
    if not known:
        words = "no clamped split:\nit is one of the drive"
        axes.text(0.5, 0.5, words, ha="center", color=GREY, transform=axes.transAxes)
    axes.set_xticks(range(len(known)), [words for _, words, _, _ in known])
    axes.set_xlim(-0.6, max(len(known), 1) - 0.4)
    axes.set_ylim(0, 1.15 * max(heights, default=1.0) or 1.0)
    axes.set_ylabel("clamped error / s.d. of the target")
    if "sampling_theory" in trained and "tracking_theory" in trained:
        sampling, tracking = float(trained["sampling_theory"]), float(trained["tracking_theory"])
        theory = rf"theory: $\epsilon_\mathrm{{sample}}$ {sampling:.3f}"
        theory += rf", $\epsilon_\mathrm{{track}}$ {tracking:.3f}" if np.isfinite(tracking) else ""
        axes.set_title(theory)


def recorded_only(trained: xr.Dataset) -> xr.Dataset:
    """Without the auxiliary neurons."""
    if "recorded" not in trained:
        return trained
    kept = np.flatnonzero(trained["recorded"].values.astype(bool))
    if not len(kept):
        raise DataError("no neuron of this Dataset is marked as recorded")
    return trained.isel(neuron=kept)


def quantity(response: xr.DataArray) -> str:
    """What the response is, with its unit, for an axis."""
    words = response.attrs.get("quantity", response.attrs.get("long_name", "response"))
    units = str(response.attrs.get("units", "1"))
    return words if units in ("1", "") else f"{words} ({pretty_units(units)})"
