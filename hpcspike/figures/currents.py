"""Currents of single neurons, and what a perturbation of each neuron does to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm

from hpcspike.analysis.neurons import experiment_of
from hpcspike.errors import DataError
from hpcspike.figures.style import BLACK, BLUE, GREEN, GREY, TIME, VERMILION, few_ticks, heading, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"excitatory": VERMILION, "inhibitory": BLUE, "plastic": GREEN, "total": BLACK}
"""Kinds of current."""
_WORDS = {"add_spike": "a spike added to", "delete_spike": "a spike deleted from", "stimulate": "a stimulus to"}


def draw_currents(axes: Axes, currents: xr.DataArray, time: str, network: xr.Dataset) -> str:
    """Draw the currents (part, time) of a neuron, and say their means; time: name of that dimension."""
    for kind, colour in COLOURS.items():
        axes.plot(currents[time], currents.sel(part=kind), color=colour, lw=0.7)
    neuron = experiment_of(network).get("neuron", {})
    if neuron.get("model") == "lif":
        axes.axhline(neuron.get("threshold", 1.0), color=GREY, lw=0.8, ls=":")
    axes.set_xlim(0, float(currents[time][-1]))
    axes.set_xlabel(TIME)
    axes.set_ylabel("input, units of the threshold" if neuron.get("model") == "lif" else "input")
    few_ticks(axes, "y", 4)
    mean = currents.mean(time)
    return ", ".join(f"{kind} {float(mean.sel(part=kind)):.2f}" for kind in COLOURS)


@styled
def balance_of_currents(trained: xr.Dataset, *, n_neurons: int = 4) -> Figure:
    """Do the currents of single neurons balance: excitatory, inhibitory, plastic and total input over time.

    Parameters
    ----------
    trained
        Dataset of the method ``currents`` of a live network; the first of its trials is drawn.
    n_neurons
        Number of neurons, the first ones.
    """
    if "current" not in trained:
        raise DataError("balance_of_currents: this Dataset has no 'current'; give what the method 'currents' returns")
    shown = trained["current"].isel(trial=0, neuron=slice(n_neurons))
    figure = new_figure(7.2, 0.6 + 1.9 * shown.sizes["neuron"])
    panels = figure.subplots(shown.sizes["neuron"], 1, sharex=True, squeeze=False)[:, 0]
    for axes, number in zip(panels, shown["neuron"].values, strict=True):
        words = draw_currents(axes, shown.sel(neuron=number), "time", trained)
        axes.set_title(f"neuron {int(number)}: means {words}", fontsize=7, loc="left")
        figure.supylabel(axes.get_ylabel(), fontsize=9)  # one for all
        axes.set_ylabel("")
        axes.label_outer()
    for kind, colour in COLOURS.items():
        panels[0].plot([], [], color=colour, label=kind)
    figure.legend(loc="outside lower center", ncols=4)
    heading(figure, f"test trial {int(shown['trial'])}, plasticity off")
    return figure


@styled
def perturbation_map(trained: xr.Dataset) -> Figure:
    """Which neurons matter: deviation of the drives over time after a perturbation of each neuron, largest on top.

    Parameters
    ----------
    trained
        Dataset of the method ``perturbation_map`` of a live network.
    """
    if "deviation" not in trained:
        raise DataError(
            "perturbation_map: this Dataset has no 'deviation'; give what the method 'perturbation_map' returns"
        )
    known = trained["deviation"].values
    there = np.isfinite(known).all(axis=1)
    known = known[there]
    figure = new_figure(8.4, 3.8)
    axes, curve = figure.subplots(1, 2, width_ratios=[1.4, 1])
    time = trained["time"].values
    order = np.argsort(known.mean(axis=1), kind="stable")
    positive = known[known > 0]
    if len(positive):
        edges = np.concatenate([[time[0] - (time[1] - time[0] if len(time) > 1 else 1.0)], time])
        scale = LogNorm(float(np.quantile(positive, 0.02)), float(positive.max()))
        image = axes.pcolormesh(
            edges, np.arange(len(known) + 1), np.ma.masked_less_equal(known[order], 0.0), norm=scale, rasterized=True
        )
        figure.colorbar(image, ax=axes, label="rms difference of the drive")
        curve.plot(time, np.where(known > 0, known, np.nan).T, color=GREY, lw=0.4, alpha=0.5)
        curve.plot(time, np.median(known, axis=0), color=VERMILION, label="median over neurons")
        curve.set_yscale("log")
        curve.set_ylim(scale.vmin, None)
        curve.legend(loc="lower right")
    axes.set_xlabel(TIME)
    axes.set_ylabel("perturbed neuron, in order of its effect")
    curve.set_xlabel(TIME)
    curve.set_ylabel("rms difference of the drive")
    kind = _WORDS[trained.attrs["perturbation"]]
    left_out = f"; {int((~there).sum())} have no such spike" if not there.all() else ""
    words = f"{kind} one neuron at a time, {len(known)} neurons{left_out}"
    heading(figure, f"{words}; test trial {int(trained.attrs['trial'])}, plasticity off")
    return figure
