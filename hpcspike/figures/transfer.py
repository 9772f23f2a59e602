"""The measured transfer function beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.analysis.neurons import experiment_of, measured_law
from hpcspike.errors import DataError
from hpcspike.figures.style import BLACK, BLUE, GREY, PALETTE, VERMILION, heading, new_figure, panel_letters, styled
from hpcspike.model.transfer import best_smoothing, rate_of_constant_input, rate_of_noisy_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INPUT = {
    "theta": "synaptic drive and external input, u + I",
    "lif": "synaptic drive and external input, u + I / gain",
    "izhikevich": "synaptic drive and external input, u + I / gain",
    "glif": "synaptic drive and external input, u + I / gain",
    "user": "synaptic drive u",
}
"""What the curves are over, by the neuron model."""
MOST_CURVES = len(PALETTE)
SHOWN_HZ = 60.0


@styled
def transfer_curves(trained: xr.Dataset) -> Figure:
    """Measured rate and its slope against the drive, and of theta neurons phi_1 and the phi_2 that comes closest.

    Parameters
    ----------
    trained
        Dataset of one network whose rates were trained with ``training.transfer: measured``.

    Raises
    ------
    DataError
        If it has no measured transfer function.
    """
    if "transfer_input" not in trained:
        raise DataError("this Dataset has no measured transfer function; train rates with training.transfer: measured")
    spec = experiment_of(trained)
    neuron, noise = spec.get("neuron", {}), spec.get("trial_noise", {})
    hz = 1000.0 / neuron.get("tau_ms", 10.0)
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    n_curves = trained.sizes["curve"]
    for curve in range(min(n_curves, MOST_CURVES)):
        colour = BLACK if n_curves == 1 else PALETTE[curve]
        _measured(left, right, trained, curve, colour, "measured" if n_curves == 1 else _kind(neuron, curve))
    if neuron.get("model") == "theta":
        _of_the_paper(left, right, trained.isel(curve=0), hz)
    left.set_ylim(0, SHOWN_HZ)
    left.set_ylabel("mean rate (Hz)")
    right.set_ylim(0, None)
    right.set_ylabel("slope (Hz per unit of drive)")
    for axes in (left, right):
        axes.set_xlim(*_shown(trained))
        axes.set_xlabel(INPUT.get(neuron.get("model"), INPUT["user"]))
    left.legend(loc="upper left")
    form = f"OU of {noise.get('tau_corr_ms', 10.0):g} ms" if noise.get("tau_corr_ms", 10.0) else "white"
    more = f", {MOST_CURVES} of {n_curves} curves" if n_curves > MOST_CURVES else ""
    heading(
        figure,
        f"{neuron.get('model', '')} neurons, noise of s.d. {noise.get('standard_deviation', np.nan):g} ({form}){more}",
    )
    panel_letters([left, right])
    return figure


def _measured(left: Axes, right: Axes, trained: xr.Dataset, curve: int, colour: str, words: str) -> None:
    law, hz = measured_law(trained, curve)
    low, high = _shown(trained)
    x = np.linspace(low, high, 600)
    left.plot(x, hz * law.of(x[None], np.zeros((1, len(x))))[0], color=colour, label=words)
    one = trained.isel(curve=curve)
    left.plot(one["transfer_input"], one["transfer_rate"], ls="", marker="o", ms=2.5, color=colour)
    right.plot(x, hz * law.slope_of(x[None], np.zeros((1, len(x))))[0], color=colour)


def _of_the_paper(left: Axes, right: Axes, one: xr.Dataset, hz: float) -> None:
    low, high = _shown(one)
    x = np.linspace(low, high, 600)
    known = one.dropna("knot")
    near = known["transfer_input"].values <= high
    c = best_smoothing(known["transfer_input"].values[near], known["transfer_rate"].values[near] / hz)
    phi_1, phi_2 = hz * rate_of_constant_input(x), hz * rate_of_noisy_input(x, c)
    for rate, colour, words in ((phi_1, VERMILION, r"$\phi_1$"), (phi_2, BLUE, rf"$\phi_2$, closest c = {c:.2g}")):
        left.plot(x, rate, color=colour, ls="--", lw=1.0, label=words)
        right.plot(x, np.gradient(rate, x), color=colour, ls="--", lw=1.0)
    left.axvline(0.0, color=GREY, lw=0.6, zorder=0)


def _shown(trained: xr.Dataset) -> tuple[float, float]:
    """Drives at which the slowest curve reaches the highest rate that is shown, and where the first begins."""
    reached = trained["transfer_input"].where(trained["transfer_rate"] <= SHOWN_HZ)
    low, high = float(reached.min()), float(reached.max())
    return low - 0.2 * (high - low), high


def _kind(neuron: dict[str, object], curve: int) -> str:
    types = neuron.get("cell_types")
    distinct = list(dict.fromkeys(types)) if isinstance(types, list) else []
    return str(distinct[curve]) if curve < len(distinct) else f"curve {curve}"
