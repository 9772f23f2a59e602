"""Example neurons of the variants of a study: targets, responses before, during and after training, predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpcspike.analysis.units import called
from hpcspike.correlation import pearson
from hpcspike.figures.study_parts import (
    BEYOND,
    CUE,
    Variants,
    cue_ms,
    mark_window,
    networks,
    numbers_in,
    packed,
    required,
)
from hpcspike.figures.style import (
    BLUE,
    GREY,
    RESPONSE,
    SKY,
    TARGET,
    TIME,
    column_head,
    few_ticks,
    legend_below,
    new_figure,
    sets_of_loops,
    spread_over,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, ROWS, MAX_SETS = 4, 7, 3
QUANTITY = {"drive": "synaptic\ndrive", "rate": "filtered\nspikes (Hz)"}
CARRIER = {"state": "component", "readout": "readout"}


class Column(NamedTuple):
    """One column of panels: a target set of a variant, before and while it is trained or after that."""

    variant: str
    target_set: int
    trained: bool


def example_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of examples: as many as fit side by side; on a number line the ends come first."""
    shown = required(tree, "target")
    numbers = numbers_in(shown)
    if numbers is not None and len(shown) > 2:
        order = list(np.argsort(numbers[1], kind="stable"))
        shown = [shown[k] for k in (order[0], order[-1], *order[1:-1])]
    return packed({variant: len(_columns(variant, networks(tree, variant)[0])) for variant in shown}, COLUMNS)


@styled
def example_traces(tree: xr.DataTree, *, variants: Variants = None, n_neurons: int = ROWS) -> Figure:
    """Target and response of example neurons before, during and after training (paper Figs 1b, 1d, 2, 3a, 4d).

    Parameters
    ----------
    tree
        Networks of a study.
    variants
        Those shown, with a column for each of their target sets (at most 3), and one more if the response before or
        during training was kept; default: the first that make at most 4 columns.
    n_neurons
        Example neurons shown, evenly spread over those that were kept.
    """
    names = variants or example_pages(tree)[0]
    shown = sorted(required(tree, "target", variants=names), key=list(names).index)
    first = {variant: networks(tree, variant)[0] for variant in shown}
    columns = [column for variant, one in first.items() for column in _columns(variant, one)]
    rows = max(min(one.sizes["example"], n_neurons) for one in first.values())
    width = 0.5 + max(2.7 * len(columns), 5.0)
    figure = new_figure(width, 1.0 + 0.86 * rows)
    panels = figure.subplots(rows, len(columns), squeeze=False)
    drawn: set[str] = set()
    for k, column in enumerate(columns):
        one = first[column.variant]
        chosen = spread_over(one["example"].values, n_neurons)
        loops = _loops_of_set(one, column.target_set)
        for row in range(rows):
            axes = panels[row, k]
            if row >= len(chosen):
                axes.set_axis_off()
                continue
            neuron = one.isel(target_set=column.target_set, example=chosen[row])
            drawn |= _neuron(axes, neuron, loops, trained=column.trained)
            axes.tick_params(labelbottom=row == len(chosen) - 1)
        _head(panels[0, k], column, one)
        panels[len(chosen) - 1, k].set_xlabel(TIME, fontsize=8)
        if k == 0 or columns[k - 1].variant != column.variant:
            panels[len(chosen) // 2, k].set_ylabel(QUANTITY.get(str(one.attrs.get("trained_variable")), "response"))
    legend_below(figure, _legend(drawn, first), ncols=max(2, int(width / 2.3)))
    return figure


def _columns(variant: str, network: xr.Dataset) -> list[Column]:
    states = (False, True) if {"response_before", "response_during"} & set(network) else (True,)
    sets = range(min(network.sizes["target_set"], MAX_SETS))
    return [Column(variant, target_set, trained) for target_set in sets for trained in states]


def _head(axes: Axes, column: Column, network: xr.Dataset) -> None:
    words = column.variant
    if network.sizes["target_set"] > 1:
        words += f", set {column.target_set + 1}"
    if len(_columns(column.variant, network)) > min(network.sizes["target_set"], MAX_SETS):
        before = "learning" if "response_during" in network else "untrained"
        words += ": trained" if column.trained else f": {before}"
    if column.trained and "response_after" not in network:
        words += " (diverged)"
    column_head(axes, words)


def _neuron(axes: Axes, one: xr.Dataset, loops: list[int], *, trained: bool) -> set[str]:
    """Draw one neuron; returns what was drawn."""
    drawn = {"target"}
    goal, goal_time = one["target"].values, one["target_time"].values
    carrier = str(one.attrs.get("trained_variable"))
    number, scale = int(one["example"]), [goal]
    words = f"{CARRIER[carrier]} {number}" if carrier in CARRIER else called(one, number, name="example_unit")
    axes.plot(goal_time, goal, color=TARGET, lw=2.2 if trained else 1.2, alpha=0.85, zorder=2 if trained else 4)
    if "response_after" in one:
        responses = one["response_after"].transpose("trial", "time").values
        if trained:
            scale.append(responses.ravel())
            drawn.add("after")
            words += f", correlation {pearson(responses[:, : len(goal)], goal).mean():.2f}"
            for other in responses[1:]:
                axes.plot(one["time"], other, color=GREY, lw=0.5, alpha=0.7, zorder=2.2)
            axes.plot(one["time"], responses[0], color=RESPONSE, lw=0.8, zorder=3)
    if not trained:
        drawn |= _untrained(axes, one, loops)
        if "response_before" in one:
            scale.append(one["response_before"].isel(trial=0).values)
        scale += [np.percentile(one["response_during"].sel(shown_loop=loop), [2, 98]) for loop in loops]
    elif "predicted_drive" in one and one.attrs.get("trained_variable") == "drive":
        axes.plot(goal_time, one["predicted_drive"], color=BLUE, lw=1.1, ls=(0, (3, 1.5)), zorder=4)
        drawn.add("predicted")
    last = float(one["time"][-1]) if "time" in one else float(goal_time[-1])
    cue = cue_ms(one)
    mark_window(axes, cue=cue, end=float(goal_time[-1]), last=last)
    drawn |= {name for name, is_there in (("cue", cue > 0), ("beyond", last > goal_time[-1])) if is_there}
    _limits(axes, np.concatenate(scale))
    axes.set_title(words, loc="left", fontsize=7.5, pad=2)
    few_ticks(axes, "y", 3)
    few_ticks(axes, "x", 4)
    return drawn


def _untrained(axes: Axes, one: xr.Dataset, loops: list[int]) -> set[str]:
    drawn = set()
    if "response_before" in one:
        axes.plot(one["time"], one["response_before"].isel(trial=0), color=GREY, lw=0.8, zorder=2.5)
        drawn.add("before")
    for loop, alpha in zip(loops, np.linspace(1.0, 0.45, len(loops))[::-1], strict=True):
        during = one["response_during"].sel(shown_loop=loop)
        axes.plot(one["update_time"], during, color=SKY, lw=0.7, alpha=alpha, zorder=3)
        drawn.add("during")
    return drawn


def _loops_of_set(network: xr.Dataset, target_set: int) -> list[int]:
    """Shown loops in which this target set was trained."""
    if "response_during" not in network:
        return []
    of_loop = sets_of_loops(network)
    return [int(loop) for loop in network["shown_loop"].values if of_loop[int(loop) - 1] == target_set]


def _limits(axes: Axes, values: np.ndarray) -> None:
    """Room for the values; the wildest of what happens while weights change may leave the panel."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    margin = 0.12 * (high - low) or 0.5
    axes.set_ylim(low - margin, high + margin)


def _legend(drawn: set[str], first: dict[str, xr.Dataset]) -> list[Any]:
    loops = sorted({int(k) for one in first.values() if "shown_loop" in one for k in one["shown_loop"].values})
    several = any(one.sizes.get("trial", 1) > 1 for one in first.values())
    entries = {
        "target": Line2D([], [], color=TARGET, lw=2.2, alpha=0.85, label="target"),
        "before": Line2D([], [], color=GREY, lw=0.9, label="untrained"),
        "during": Line2D([], [], color=SKY, lw=1.0, label=f"training loop {', '.join(map(str, loops))}"),
        "after": Line2D([], [], color=RESPONSE, lw=0.9, label="trained" + (" (grey: other trials)" if several else "")),
        "predicted": Line2D([], [], color=BLUE, lw=1.1, ls=(0, (3, 1.5)), label="quasi-static prediction"),
        "cue": Patch(color=CUE, label="cue"),
        "beyond": Patch(color=BEYOND, label="beyond the window"),
    }
    return [handle for name, handle in entries.items() if name in drawn]
