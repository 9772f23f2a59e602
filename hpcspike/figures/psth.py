"""Recorded units as peri-stimulus time histograms, data and model side by side in every condition (paper, Fig 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.analysis.unit_table import recorded_units, set_names_of
from hpcspike.analysis.units import called
from hpcspike.figures.network import recorded_only
from hpcspike.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    RESPONSE,
    SEQUENTIAL,
    TARGET,
    TIME,
    few_ticks,
    new_figure,
    panel_letters,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_MS = 50.0
MOST_CONDITIONS = 3
SHOWN = ("best", "median", "worst")


@styled
def unit_psths(trained: xr.Dataset) -> Figure:
    """Heat maps of data and model, PSTHs of the best, the median and the worst unit, and how all units correlate.

    The model: spikes in bins of 50 ms, mean over the trials that the Dataset holds, with a band of one standard error;
    the correlations are those of all test trials. Units are sorted by the time of their peak in the data of the
    first condition, in all conditions alike; of at most three conditions.

    Parameters
    ----------
    trained
        Dataset of a network trained on recorded rates, with bins that fit its window.
    """
    units, table = recorded_only(trained).load(), recorded_units(trained).load()
    sets = range(min(MOST_CONDITIONS, units.sizes["target_set"]))
    counts = _rates_in_trials(trained, units)
    order = np.argsort(
        units["target"].isel(target_set=0).transpose("neuron", "time").values.argmax(axis=1), kind="stable"
    )
    mean = table["correlation_100ms"].mean("target_set").values
    # units whose data do not vary in any condition have no correlation, and come last
    ranking = np.argsort(mean, kind="stable")[: int(np.isfinite(mean).sum()) or None]
    chosen = [int(ranking[-1]), int(ranking[len(ranking) // 2]), int(ranking[0])]
    figure = new_figure(5.2 * len(sets) + 1.0, 9.6)
    rows = figure.add_gridspec(3, 1, height_ratios=(1.25, 1.25, 0.8))
    maps = rows[0].subgridspec(1, 2 * len(sets)).subplots(sharey=True, squeeze=False)[0]
    psths = rows[1].subgridspec(len(SHOWN), len(sets)).subplots(sharex=True, squeeze=False)
    below = rows[2].subgridspec(1, len(sets)).subplots(squeeze=False)[0]
    top = float(np.nanquantile(units["target"].values, 0.97)) or 1.0
    for s in sets:
        _maps(figure, maps[2 * s : 2 * s + 2], units, counts[s], order, s, top=top, bar=s == len(sets) - 1)
        for row, (words, unit) in enumerate(zip(SHOWN, chosen, strict=True)):
            _psth(psths[row, s], units, counts[s][:, unit], table, unit, s, words)
        psths[-1, s].set_xlabel(TIME)
        _distribution(below[s], table.isel(target_set=s), several=units.sizes["target_set"] > 1)
    psths[0, 0].legend(loc="upper left", ncols=2, borderaxespad=0.2)
    psths[len(SHOWN) // 2, 0].set_ylabel("rate (Hz)")
    below[0].set_ylabel("recorded units")
    panel_letters([maps[0], psths[0, 0], below[0]])
    return figure


def _rates_in_trials(trained: xr.Dataset, units: xr.Dataset) -> np.ndarray:
    """Rates in Hz in bins of the trials that are kept, (sets, trials, units, bins)."""
    time = units["time"].values
    sizes, n = units.sizes, units.sizes["neuron"]
    bins = int(time[-1] / BIN_MS + 1e-9)
    place = np.floor((trained["spike_time"].values - 1e-9) / BIN_MS).astype(np.int64)
    neuron = trained["spike_neuron"].values
    kept = (place >= 0) & (place < bins) & (neuron < n)
    where = (trained["spike_set"].values[kept], trained["spike_trial"].values[kept], neuron[kept], place[kept])
    counts = np.zeros((sizes["target_set"], sizes["trial"], n, bins))
    np.add.at(counts, where, 1.0)
    return counts * (1000.0 / BIN_MS)


def _maps(
    figure: Figure, axes: np.ndarray, units: xr.Dataset, rates: np.ndarray, order: np.ndarray, target_set: int, *,
    top: float, bar: bool,
) -> None:  # fmt: skip
    data = units["target"].isel(target_set=target_set).transpose("neuron", "time").values
    name = f"{set_names_of(units)[target_set]}: " if units.sizes["target_set"] > 1 else ""
    end = rates.shape[2] * BIN_MS
    for place, values, words in ((axes[0], data, "data"), (axes[1], rates.mean(axis=0), "model")):
        image = place.imshow(
            values[order], aspect="auto", extent=(0.0, end, len(order) - 0.5, -0.5), cmap=SEQUENTIAL, vmin=0.0,
            vmax=top, interpolation="antialiased",
        )  # fmt: skip
        place.set_title(f"{name}{words}")
        place.set_xlabel(TIME)
        few_ticks(place, "x", 3)
    if target_set == 0:
        axes[0].set_ylabel("recorded unit, by time of its peak")
        few_ticks(axes[0], "y", 5, integer=True)
    if bar:
        figure.colorbar(image, ax=axes[1], pad=0.03, extend="max", label="rate (Hz)")


def _psth(
    axes: Axes, units: xr.Dataset, rates: np.ndarray, table: xr.Dataset, unit: int, target_set: int, words: str
) -> None:
    """Data as a line, the model as a histogram with a band of one standard error over trials (trials, bins)."""
    edges = BIN_MS * np.arange(rates.shape[1] + 1)
    mean, error = rates.mean(axis=0), rates.std(axis=0) / np.sqrt(len(rates))
    axes.stairs(mean, edges, color=RESPONSE, lw=1.1, label="model")
    axes.fill_between(
        np.repeat(edges, 2)[1:-1],
        np.repeat(mean - error, 2),
        np.repeat(mean + error, 2),
        color=RESPONSE,
        alpha=0.25,
        lw=0,
    )
    data = units["target"].isel(target_set=target_set, neuron=unit)
    axes.plot(units["time"], data, color=TARGET, lw=1.6, label="data")
    correlation = float(table["correlation_100ms"][target_set, unit])
    found = f"correlation {correlation:.2f}" if np.isfinite(correlation) else "constant data"
    axes.set_title(f"{words}: {called(units.isel(neuron=unit), int(units['neuron'][unit]))}, {found}", fontsize=8)
    axes.set_xlim(0.0, edges[-1])
    axes.set_ylim(0.0, 1.25 * max(float(data.max()), float((mean + error).max()), 1.0))
    few_ticks(axes, "y", 3)


def _distribution(axes: Axes, table: xr.Dataset, *, several: bool) -> None:
    shown = {
        "50 ms bins": ("correlation_50ms", ORANGE, "--"),
        "100 ms bins": ("correlation_100ms", BLUE, "-"),
        **({"other conditions, 100 ms": ("other_condition_100ms", GREY, ":")} if several else {}),
    }
    shown = {words: entry for words, entry in shown.items() if entry[0] in table}
    shown = {words: entry for words, entry in shown.items() if bool(table[entry[0]].notnull().any())}
    constant = int(table["correlation_100ms"].isnull().sum())
    if constant:
        axes.set_title(f"without {constant} of {table.sizes['neuron']} units: constant data", fontsize=8)
    low = min([0.0, *(float(table[name].min()) for name, _, _ in shown.values())])
    bins = np.linspace(np.floor(10 * low) / 10, 1.0, 31).tolist()
    for words, (name, colour, style) in shown.items():
        values = table[name].dropna("neuron").values
        axes.hist(values, bins=bins, histtype="step", color=colour, ls=style, lw=1.4)
        axes.plot([], [], color=colour, ls=style, label=f"{words}, mean {values.mean():.2f}")
    source = "data_ceiling_100ms" if "data_ceiling_100ms" in table else "ceiling_100ms"
    if source in table and bool(table[source].notnull().any()):
        of = "data's" if source.startswith("data") else "model's"
        value = float(np.nanmean(table[source].values))
        axes.axvline(value, color=GREY, lw=1.0, label=f"{of} trials allow, 100 ms: {value:.2f}")
    axes.set_xlabel("correlation of the trial average with data")
    axes.set_ylim(0, 1.9 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", fontsize=7.5, borderaxespad=0.2)
    few_ticks(axes, "y", 4, integer=True)
