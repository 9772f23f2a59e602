"""Recorded rates beside the trained model (paper Fig 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.analysis import neuron_correlation
from hpcspike.analysis.unit_table import constant_data, set_names_of
from hpcspike.analysis.units import called
from hpcspike.checks import whole_number
from hpcspike.figures.loops import over_which_neurons
from hpcspike.figures.network import quantity, recorded_only
from hpcspike.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RESPONSE,
    SEQUENTIAL,
    TARGET,
    TIME,
    few_ticks,
    legend_below,
    new_figure,
    panel_letters,
    styled,
)
from hpcspike.measures.recorded import ASKED_ABOVE_HZ, SILENT_BELOW_HZ

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLES = 4


@styled
def data_beside_model(trained: xr.Dataset, *, target_set: int = 0) -> Figure:
    """All recorded units, data left and model right; sample units; correlation and mean rate per unit; learning curve.

    Of several conditions one; all its panels are of that one, and the headings of the heat maps name it.

    The model is the response (filtered spikes after rate training) averaged over the test trials; the histogram also
    shows single trials and, after rate training, the rate phi(u + I) that the learning rule acts on.

    Parameters
    ----------
    trained
        Dataset of a network trained on recorded targets.
    target_set
        Which condition.
    """
    whole_number("target_set", target_set, most=trained.sizes["target_set"] - 1, of="number of a condition")
    units = recorded_only(trained).isel(target_set=target_set)
    per_unit = neuron_correlation(recorded_only(trained)).isel(target_set=target_set).load()
    data = units["target"].transpose("neuron", "time").load()
    model = units["response"].mean("trial").transpose("neuron", "time").load()
    figure = new_figure(10.4, 8.4)
    rows = figure.add_gridspec(2, 1, height_ratios=(1.25, 1.0))
    left, right = rows[0].subgridspec(1, 2).subplots(sharey=True, squeeze=False)[0]
    words = "rate (Hz)" if data.attrs.get("units") == "Hz" else quantity(units["response"])
    _heat_maps(figure, left, right, data, model, words)
    averaged = f"mean of {units.sizes['trial']} test trials"
    several = trained.sizes["target_set"] > 1
    name = f"{set_names_of(trained)[target_set]}: " if several else ""
    left.set_title(f"{name}data")
    right.set_title(f"{name}model: {units['response'].attrs.get('quantity', 'response')}, {averaged}")
    with_rates = {"neuron_rate", "neuron_target_rate"} <= set(units)
    columns = rows[1].subgridspec(1, 2 + with_rates, width_ratios=(1.35, 1, 0.9)[: 2 + with_rates])
    constant = constant_data(units).values
    count = min(SAMPLES, int((~constant).sum()) or data.sizes["neuron"])
    samples = columns[0].subgridspec(count, 1).subplots(sharex=True, squeeze=False)[:, 0]
    correlation = np.where(constant, np.nan, per_unit["correlation_trial_averaged"].values)
    _samples(samples, data, model, correlation, words)
    handles, said = samples[0].get_legend_handles_labels()
    legend_below(figure, handles, said, ncols=2, side="left")
    histogram, loops = columns[1].subgridspec(2, 1).subplots(squeeze=False)[:, 0]
    _histogram(histogram, per_unit.isel(neuron=~constant), trained.sizes["trial"], int(constant.sum()))
    _loops(loops, trained, target_set)
    rates = [figure.add_subplot(columns[2])] if with_rates else []
    for axes in rates:
        _rates(axes, units)
    panel_letters([left, right, samples[0], histogram, loops, *rates])
    return figure


def _heat_maps(figure: Figure, left: Axes, right: Axes, data: xr.DataArray, model: xr.DataArray, words: str) -> None:
    order = np.argsort(data.argmax("time").values, kind="stable")
    time = data["time"].values
    extent = (float(time[0]), float(time[-1]), len(order) - 0.5, -0.5)
    top = float(np.nanquantile(data.values, 0.97)) or 1.0
    bottom = min(0.0, float(np.nanquantile(data.values, 0.01)))
    for axes, values in ((left, data), (right, model)):
        image = axes.imshow(
            values.values[order],
            aspect="auto",
            extent=extent,
            cmap=SEQUENTIAL,
            vmin=bottom,
            vmax=top,
            interpolation="antialiased",
        )
        axes.set_xlabel(TIME)
        few_ticks(axes, "x", 4)
    left.set_ylabel("recorded unit, by time of its peak")
    few_ticks(left, "y", 5, integer=True)
    figure.colorbar(image, ax=[left, right], pad=0.02, extend="max", label=words)


def _samples(panels: np.ndarray, data: xr.DataArray, model: xr.DataArray, correlation: np.ndarray, words: str) -> None:
    order = np.argsort(-correlation, kind="stable")  # NaN, where the data do not vary, comes last
    order = order[: int(np.isfinite(correlation).sum()) or None]
    chosen = order[np.round(np.linspace(0, len(order) - 1, len(panels))).astype(int)]
    time = data["time"].values
    for axes, unit in zip(panels, chosen, strict=True):
        axes.plot(time, model.values[unit], color=RESPONSE, lw=1.0, label="model")
        axes.plot(time, data.values[unit], color=TARGET, lw=1.5, label="data")
        found = f"correlation {correlation[unit]:.2f}" if np.isfinite(correlation[unit]) else "constant data"
        axes.set_title(f"{called(data.isel(neuron=unit), int(data['neuron'][unit]))}, {found}", fontsize=8)
        axes.set_xlim(time[0], time[-1])
        few_ticks(axes, "y", 3)
    panels[-1].set_xlabel(TIME)
    panels[len(panels) // 2].set_ylabel(words)


def _histogram(axes: Axes, per_unit: xr.Dataset, n_trials: int, n_constant: int) -> None:
    """Correlations of the units whose data vary; of the others, which have none, how many there are."""
    if n_constant:
        n_units = per_unit.sizes["neuron"] + n_constant
        axes.set_title(f"without {n_constant} of {n_units} units: constant data", fontsize=8)
    if not per_unit.sizes["neuron"]:
        return
    values = {
        "trial average": (per_unit["correlation_trial_averaged"].values, BLUE, "-"),
        "single trials": (per_unit["correlation_single_trial"].values, ORANGE, "--"),
    }
    if "correlation_rate_of_drive" in per_unit:
        values[r"$\phi(u + I)$, single trials"] = (per_unit["correlation_rate_of_drive"].values, GREEN, ":")
    if n_trials == 1:
        values.pop("trial average")
    low = np.floor(10 * min(0.0, *(array.min() for array, _, _ in values.values()))) / 10
    bins = np.linspace(low, 1.0, int(round((1.0 - low) * 20)) + 1).tolist()
    tallest = 1.0
    for words, (array, colour, style) in values.items():
        axes.hist(array, bins=bins, histtype="stepfilled", color=colour, alpha=0.25)
        counts, _, _ = axes.hist(array, bins=bins, histtype="step", color=colour, ls=style, lw=1.4)
        tallest = max(tallest, float(np.max(counts)))
        axes.plot([], [], color=colour, ls=style, label=f"{words}, mean {array.mean():.2f}")
    for array, colour, style in values.values():
        axes.plot([array.mean()] * 2, [0, 1.08 * tallest], color=colour, ls=style, lw=1.0)
    axes.set_ylim(0, 2.4 * tallest)  # room for the legend
    axes.set_xlabel("correlation with data")
    axes.set_ylabel("recorded units")
    few_ticks(axes, "y", 4, integer=True)
    axes.legend(loc="upper left", fontsize=7.5, borderaxespad=0.2)


def _rates(axes: Axes, units: xr.Dataset) -> None:
    """Mean rate of every unit in the model against that in the data, which a correlation does not see."""
    data, model = units["neuron_target_rate"].values, units["neuron_rate"].values
    top = 1.05 * max(float(data.max()), float(model.max()), 1.0)
    axes.plot([0, top], [0, top], color=GREY, lw=0.8, ls=(0, (4, 2)))
    axes.plot(data, model, "o", ms=3.5, mfc="none", color=BLUE)
    axes.set_xlim(0, top)
    axes.set_ylim(-0.02 * top, top)
    axes.set_xlabel("mean rate in the data (Hz)")
    axes.set_ylabel("mean rate in the model (Hz)")
    error = float(np.sqrt((units["neuron_rms_error"].values ** 2).mean()))
    silent = int(((model < SILENT_BELOW_HZ) & (data > ASKED_ABOVE_HZ)).sum())
    means = f"means {data.mean():.3g} and {model.mean():.3g} Hz"
    axes.set_title(f"{means}\nrms error {error:.3g} Hz\n{silent} of {len(data)} units silent", fontsize=8)
    few_ticks(axes, "x", 4)
    few_ticks(axes, "y", 4)


def _loops(axes: Axes, trained: xr.Dataset, target_set: int) -> None:
    """The loops of this condition, by their number among those of all conditions."""
    if "curve_correlation" in trained and trained.sizes.get("loop", 0):
        values = trained["curve_correlation"].values
        of_set = trained["loop_target_set"].values if "loop_target_set" in trained else np.zeros(len(values), int)
        kept = np.flatnonzero(of_set == target_set) if trained.sizes["target_set"] > 1 else np.arange(len(values))
        axes.plot(kept + 1, values[kept], color=BLUE, marker="o", markevery=max(1, len(kept) // 10))
        axes.set_title(f"{over_which_neurons(trained)}, plasticity on")
    else:
        axes.text(0.5, 0.5, "no learning curve", ha="center", color=GREY, transform=axes.transAxes)
    axes.set_xlabel("training loop")
    axes.set_ylabel("mean correlation")
    few_ticks(axes, "x", 5, integer=True)
