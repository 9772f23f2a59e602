"""Quasi-static predictions of a study's networks beside what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis.units import called
from hpcspike.figures.study_curves import draw_replicates, show_whole
from hpcspike.figures.study_parts import Variants, collected, finish_places, networks, pages, places_of, required
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    TIME,
    column_head,
    few_ticks,
    legend_below,
    new_figure,
    say_if_empty,
    spread_over,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, ROWS = 4, 5
MEASURES = {
    "quasi_static_drive_correlation_before": (GREY, "o", "drive, untrained"),
    "quasi_static_drive_correlation": (GREEN, "s", "drive, trained"),
    "quasi_static_rate_correlation": (BLUE, "^", "trial-averaged rate, trained"),
}


def quasi_static_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of quasi-static rates."""
    return pages(required(tree, "binned_rate"), COLUMNS)


@styled
def quasi_static_rates(tree: xr.DataTree, *, variants: Variants = None, n_neurons: int = ROWS) -> Figure:
    """Trial-averaged rate and its quasi-static prediction, and the correlations of prediction and network (Fig 3b).

    Parameters
    ----------
    tree
        Networks of a study with the probe ``quasi_static``.
    variants
        Those shown, a column each, of their first target set; default: the first four.
    n_neurons
        Example neurons shown, evenly spread over those that were kept.
    """
    shown = required(tree, "binned_rate", variants=variants or quasi_static_pages(tree)[0])
    first = {variant: networks(tree, variant)[0] for variant in shown}
    rows = max(min(one.sizes["example"], n_neurons) for one in first.values())
    figure = new_figure(0.5 + max(2.7 * len(shown), 5.4), 3.3 + 0.95 * rows)
    grid = figure.add_gridspec(rows + 1, len(shown), height_ratios=[1.0] * rows + [2.0])
    for column, (variant, one) in enumerate(first.items()):
        chosen = spread_over(one["example"].values, n_neurons)
        for row, index in enumerate(chosen):
            axes = figure.add_subplot(grid[row, column])
            _neuron(axes, one.isel(example=index, target_set=0))
            axes.tick_params(labelbottom=row == len(chosen) - 1)
            if row == 0:
                column_head(axes, variant)
            if column == 0 and row == len(chosen) // 2:
                axes.set_ylabel("rate (Hz)")
        axes.set_xlabel(TIME, fontsize=8)
    axes = figure.add_subplot(grid[rows, :])
    _correlations(axes, tree, shown)
    handles = [
        Line2D([], [], color=BLACK, lw=1.3, label="trial-averaged rate"),
        Line2D([], [], color=BLUE, lw=1.3, label="quasi-static prediction"),
    ]
    found, words = axes.get_legend_handles_labels()
    labels = [*(str(handle.get_label()) for handle in handles), *words]
    legend_below(figure, [*handles, *found], labels, ncols=3)
    return figure


def _neuron(axes: Axes, one: xr.Dataset) -> None:
    time = one["rate_time"].values
    half = (time[1] - time[0]) / 2 if len(time) > 1 else time[0]
    bins = np.concatenate([time - half, [time[-1] + half]])
    axes.stairs(one["binned_rate"].values, bins, color=BLACK, lw=1.2, baseline=None)
    axes.plot(time, one["predicted_rate"].values, color=BLUE, lw=1.4)
    axes.set_title(called(one, int(one["example"]), name="example_unit"), fontsize=7.5, pad=2)
    axes.set_xlim(bins[0], bins[-1])
    top = float(np.nanmax([one["binned_rate"].values, one["predicted_rate"].values, np.ones(len(time))]))
    axes.set_ylim(-0.04 * top, 1.1 * top)
    few_ticks(axes, "y", 2)
    few_ticks(axes, "x", 4)


def _correlations(axes: Axes, tree: xr.DataTree, shown: list[str]) -> None:
    places = places_of(shown, tree)
    for k, (name, (colour, marker, words)) in enumerate(MEASURES.items()):
        values = [collected(tree, variant, name) for variant in shown]
        draw_replicates(
            axes, places, values, shift=0.24 * (k - 1), colour=colour, marker=marker, words=words, correlation=True
        )
    say_if_empty(axes)
    finish_places(axes, shown, places)
    show_whole(axes)
    axes.set_ylabel("correlation of prediction\nand network")
