"""Spikes of a study's networks before and after training, trial beside trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpcspike.figures.study_parts import (
    BEYOND,
    CUE,
    Variants,
    cue_ms,
    experiment_of,
    mark_window,
    networks,
    packed,
    required,
)
from hpcspike.figures.style import BLACK, BLUE, GREY, PURPLE, TIME, few_ticks, legend_below, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, MAX_SETS, MAX_TRIALS = 6, 2, 3
AFTER, BEFORE = 0, 1
"""Values of ``spike_state``."""


class Row(NamedTuple):
    """One row of rasters: a target set before or after training."""

    target_set: int
    state: int


def raster_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of rasters: as many as fit side by side with their trials."""
    shown = _rastered(tree)
    return packed({variant: _trials(networks(tree, variant)[0]) for variant in shown}, COLUMNS)


@styled
def study_rasters(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Spikes of the same neurons in several trials before and after training, their rate below (paper Figs 1b, 4b, 4e).

    Parameters
    ----------
    tree
        Networks of a study.
    variants
        Those shown, with one column per trial (at most 3); default: the first that make at most 6 columns. Rows: at
        most 2 target sets, before and after training.
    """
    shown = _rastered(tree, variants or raster_pages(tree)[0])
    first = {variant: networks(tree, variant)[0] for variant in shown}
    columns = [(variant, trial) for variant, one in first.items() for trial in range(_trials(one))]
    rows = sorted({row for one in first.values() for row in _rows(one)}, key=lambda r: (r.target_set, -r.state))
    width = 0.8 + max(1.95 * len(columns), 4.5)
    figure = new_figure(width, 0.9 + 2.5 * len(rows))
    ratios = [3, 1] * len(rows)
    panels = figure.subplots(len(ratios), len(columns), squeeze=False, sharex="col", height_ratios=ratios)
    inhibitory = False
    for k, (variant, trial) in enumerate(columns):
        for r, row in enumerate(rows):
            inhibitory |= _trial(panels[2 * r, k], panels[2 * r + 1, k], first[variant], row, trial)
            words = f"{variant}, {_row_name(row, first[variant])}\n" if trial == 0 else ""
            panels[2 * r, k].set_title(f"{words}trial {trial + 1}", fontsize=8)
            if k == 0:
                panels[2 * r, k].set_ylabel("neuron")
                panels[2 * r + 1, k].set_ylabel("rate (Hz)")
            else:
                for axes in panels[2 * r : 2 * r + 2, k]:
                    axes.tick_params(labelleft=columns[k - 1][0] != variant and axes is panels[2 * r, k])
        few_ticks(panels[-1, k], "x", 3)
        panels[-1, k].set_xlabel(TIME, fontsize=8)
    _share_rates(panels[1::2])
    legend_below(figure, _legend(first, inhibitory=inhibitory), ncols=5)
    return figure


def _rastered(tree: xr.DataTree, variants: Variants = None) -> list[str]:
    shown = required(tree, "spike_time", "raster_neuron", variants=variants)
    with_neurons = [v for v in shown if networks(tree, v)[0].sizes["raster_neuron"] > 0]
    return with_neurons or shown


def _trials(network: xr.Dataset) -> int:
    return min(network.sizes["trial"], MAX_TRIALS)


def _rows(network: xr.Dataset) -> list[Row]:
    states = (AFTER, BEFORE) if "response_before" in network else (AFTER,)
    return [
        Row(target_set, state) for target_set in range(min(network.sizes["target_set"], MAX_SETS)) for state in states
    ]


def _row_name(row: Row, network: xr.Dataset) -> str:
    words = "trained" if row.state == AFTER else "untrained"
    return words if network.sizes["target_set"] == 1 else f"set {row.target_set + 1}, {words}"


def _trial(above: Axes, below: Axes, network: xr.Dataset, row: Row, trial: int) -> bool:
    """Draw one trial; returns whether inhibitory neurons are told apart."""
    table = network[["spike_time", "spike_neuron", "spike_state", "spike_set", "spike_trial"]].load()
    here = (
        (table["spike_state"] == row.state) & (table["spike_set"] == row.target_set) & (table["spike_trial"] == trial)
    )
    time, neuron = table["spike_time"].values[here.values], table["spike_neuron"].values[here.values]
    numbers = network["raster_neuron"].values
    inhibitory_from = first_inhibitory(network)
    height = float(np.clip(110.0 / max(len(numbers), 1), 1.7, 4.0))
    for kind, colour in ((neuron < inhibitory_from, BLACK), (neuron >= inhibitory_from, PURPLE)):
        above.plot(time[kind], neuron[kind], "|", ms=height, mew=0.7, color=colour, rasterized=True)
    end = float(network["target_time"].values[-1])
    last = float(network["time"].values[-1]) if "time" in network else end
    cue = cue_ms(network)
    bins = rate_bins(cue, last)
    counts, _ = np.histogram(time, bins=bins)
    below.stairs(counts / max(len(numbers), 1) / np.diff(bins) * 1000.0, bins, color=BLUE, fill=True, alpha=0.6)
    for axes in (above, below):
        mark_window(axes, cue=cue, end=end, last=last)
    if len(numbers):
        above.set_ylim(numbers[0] - 1, numbers[-1] + 1)
    few_ticks(above, "y", 3, integer=True)
    few_ticks(below, "y", 2)
    if row not in _rows(network) or not len(time):
        words = "not kept" if row not in _rows(network) else "no spike"
        above.text(0.5, 0.5, words, transform=above.transAxes, ha="center", color=GREY)
    return bool((neuron >= inhibitory_from).any())


def first_inhibitory(network: xr.Dataset) -> float:
    """Number of the first inhibitory neuron of a network that respects Dale's law, else infinity."""
    experiment = experiment_of(network)
    connectivity: dict[str, Any] = experiment.get("connectivity", {})
    if connectivity.get("kind") != "dale":
        return float("inf")
    size = int(experiment["network"]["n_neurons"])
    return size - round(float(connectivity["inhibitory_fraction"]) * size)


def rate_bins(cue: float, last: float) -> np.ndarray:
    """Edges of the bins of the rate (ms from the end of the cue): 10 ms wide, 20 ms beyond 3 s."""
    width = 10.0 if last <= 3000 else 20.0
    return np.arange(-np.ceil(cue / width) * width, last + width, width)


def _share_rates(panels: np.ndarray) -> None:
    """One axis of rates for all panels, so that they can be compared."""
    top = max(axes.get_ylim()[1] for axes in panels.ravel())
    for axes in panels.ravel():
        axes.set_ylim(0, top)


def _legend(first: dict[str, xr.Dataset], *, inhibitory: bool) -> list[Any]:
    handles: list[Any] = [Patch(color=BLUE, alpha=0.6, label="rate of the neurons shown")]
    if inhibitory:
        marks: Any = {"ls": "", "marker": "|", "ms": 6}
        handles = [Line2D([], [], color=BLACK, label="excitatory", **marks), *handles]
        handles.insert(1, Line2D([], [], color=PURPLE, label="inhibitory", **marks))
    if any(cue_ms(one) for one in first.values()):
        handles.append(Patch(color=CUE, label="cue"))
    if any("time" in one and one["time"][-1] > one["target_time"][-1] for one in first.values()):
        handles.append(Patch(color=BEYOND, label="beyond the window"))
    return handles
