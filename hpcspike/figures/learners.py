"""Learners side by side: recall against T / tau_c, with what each is given and costs stated beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.analysis.learners import comparison
from hpcspike.figures.style import MARKERS, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD = ("learner", "targets carried by", "given for free", "trained", "Hz", "wall s", "simulated s")


@styled
def learner_comparison(sweep: xr.Dataset) -> Figure:
    """Correlation with the targets against T / tau_c, one panel per N, and a table of what the learners get and cost.

    Points are means over networks, bars their standard deviation; networks that diverged count as 0. Dotted: what the
    learner's linear teacher itself reaches. The table's numbers are means over T for the largest N.

    Parameters
    ----------
    sweep
        Dataset along ``point`` of a sweep over learners.
    """
    table = comparison(sweep)
    sizes = table.n_neurons.values
    figure = new_figure(width=max(7.0, 2.6 * len(sizes)), height=2.6 + 0.45 * (table.sizes["learner"] + 1))
    grid = figure.add_gridspec(2, len(sizes), height_ratios=[2.4, 0.45 * (table.sizes["learner"] + 1)])
    first = None
    for column, size in enumerate(sizes):
        axes = figure.add_subplot(grid[0, column], sharey=first)
        first = first or axes
        for number, name in enumerate(table.learner.values):
            part = table.sel(learner=name, n_neurons=size)
            colour, x = PALETTE[number % len(PALETTE)], part.relative_duration.values
            bars = np.nan_to_num(part.correlation_sd_networks.values)
            axes.errorbar(
                x, part.correlation.values, bars, color=colour, marker=MARKERS[number % len(MARKERS)], label=str(name)
            )
            if not np.isnan(part.teacher_fit.values).all():
                axes.plot(x, part.teacher_fit.values, ":", color=colour, linewidth=0.8)
        axes.set(xlabel="T / $\\tau_c$", title=f"N = {size}", ylim=(-0.1, 1.02))
        if column == 0:
            axes.set_ylabel("mean correlation with target")
            axes.legend(fontsize="x-small")
    below = figure.add_subplot(grid[1, :])
    below.axis("off")
    rows = [_row(table.sel(learner=name)) for name in table.learner.values]
    shown = below.table(
        cellText=rows,
        colLabels=_HEAD,
        loc="center",
        cellLoc="left",
        colWidths=[0.11, 0.22, 0.42, 0.07, 0.05, 0.05, 0.08],
    )
    shown.auto_set_font_size(False)
    shown.set_fontsize(5.5)
    shown.scale(1.0, 1.8)
    return figure


def _row(part: xr.Dataset) -> list[str]:
    largest = part.isel(n_neurons=-1)

    def mean(name: str, digits: int = 0) -> str:
        values = largest[name].values[~np.isnan(largest[name].values)]
        return f"{values.mean():,.{digits}f}" if len(values) else "–"

    free = str(part.for_free.values).split("; ")
    half = (len(free) + 1) // 2
    given = "; ".join(free[:half]) + (";\n" + "; ".join(free[half:]) if free[half:] else "")
    carrier = str(part.carrier.values).replace(", ", ",\n")
    return [
        str(part.learner.values), carrier, given, mean("n_trained"), mean("population_rate"), mean("wall_seconds", 1),
        mean("simulated_seconds"),
    ]  # fmt: skip
