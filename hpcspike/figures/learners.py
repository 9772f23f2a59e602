"""Learners side by side: recall against T / tau_c, with what each is given and costs stated beside it."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from hpcspike.analysis import capacity
from hpcspike.analysis.available import allows_capacity
from hpcspike.analysis.cells import varying
from hpcspike.analysis.learners import comparison, kind_of, learner_axis
from hpcspike.figures.style import CORRELATION, GREY, LEARNERS, MARKERS, PALETTE, label, new_figure, styled, valued

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

CAPACITY_THRESHOLD = 0.7
"""Correlation from which on a window counts as recalled in the panel of capacities."""

_AXES_OF_CAPACITY = ("n_neurons", "tau_corr_ms", "duration_ms")
_WORDS = ("learner", "targets carried by", "given for free")
_NUMBERS = ("trained\nweights", "rate\n(Hz)", "wall\n(s)", "simulated\n(s)")
_WIDTHS = (0.15, 0.18, 0.39, 0.08, 0.05, 0.06, 0.09)
_LINE = 0.13  # inches


@styled
def learner_comparison(sweep: xr.Dataset) -> Figure:
    """Correlation with the targets against T / tau_c, one panel per N, capacities, and a table of gifts and costs.

    Points are means over networks, bars their standard deviation; networks that diverged count as 0. Dotted: what the
    linear teacher of a balanced network itself reaches. The last panel, if several T were tested, holds the capacity at
    `CAPACITY_THRESHOLD`, from the grid of T; open triangles are bounds. The table's numbers are means over T for the
    largest N.

    Parameters
    ----------
    sweep
        Dataset along ``point`` of a sweep over learners.
    """
    table = comparison(sweep)
    known = [name for name in LEARNERS if name in table.learner.values]
    order = [*known, *(name for name in table.learner.values if name not in known)]
    rows = [_row(table.sel(learner=name)) for name in order]
    lines = [max(cell.count("\n") + 1 for cell in row) for row in [[*_WORDS, *_NUMBERS], *rows]]
    limits = _capacities(sweep, order) if allows_capacity(sweep) else {}
    height = _LINE * (sum(lines) + len(lines))
    figure = new_figure(max(9.5, 3.2 * (table.sizes["n_neurons"] + bool(limits))), 3.6 + height)
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[3.6, height]))
    _curves(above, table, order, limits)
    _write_table(below.subplots(), rows, lines)
    return figure


def _capacities(sweep: xr.Dataset, order: list[str]) -> dict[str, xr.Dataset]:
    """`capacity` of every learner; sections of one kind, and whatever else varies, are pooled, as in `comparison`."""
    axis = learner_axis(sweep)
    kinds = np.array([kind_of(value) for value in sweep[axis].values])
    found = {}
    for name in order:
        one = sweep.isel(point=np.flatnonzero(kinds == name))
        further = [parameter for parameter in varying(one) if parameter not in _AXES_OF_CAPACITY]
        if allows_capacity(one):
            found[name] = capacity(one, threshold=CAPACITY_THRESHOLD, n_bootstrap=0, pool=further).load()
    return found


def _curves(figure: SubFigure, table: xr.Dataset, order: list[str], limits: dict[str, xr.Dataset]) -> None:
    sizes = table.n_neurons.values
    all_panels = figure.subplots(1, len(sizes) + bool(limits), squeeze=False)[0]
    panels = all_panels[: len(sizes)]
    if limits:
        _draw_capacities(all_panels[-1], order, limits, sizes)
    for axes in panels[1:]:
        axes.sharey(panels[0])
        axes.tick_params(labelleft=False)
    for axes, size in zip(panels, sizes, strict=True):
        for number, name in enumerate(order):
            part = table.sel(learner=name, n_neurons=size)
            colour, x = PALETTE[number % len(PALETTE)], part.relative_duration.values
            beside = x + 0.012 * np.ptp(x) * (number - (len(order) - 1) / 2)  # bars side by side
            axes.errorbar(
                beside,
                part.correlation.values,
                np.nan_to_num(part.correlation_sd_networks.values),
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                label=LEARNERS.get(name, name),
            )
            if not np.isnan(part.teacher_fit.values).all():
                axes.plot(x, part.teacher_fit.values, ":", color=colour, linewidth=0.8)
        axes.set_xticks(table.relative_duration.values)
        axes.set(xlabel=r"$T / \tau_c$", title=valued("n_neurons", size))
    lowest = float(np.nanmin(table.correlation.values - np.nan_to_num(table.correlation_sd_networks.values)))
    panels[0].set_ylim(min(0.0, lowest) - 0.03, 1.02)
    panels[0].set_ylabel(CORRELATION)
    handles, words = panels[0].get_legend_handles_labels()
    if table.teacher_fit.notnull().any():
        handles.append(Line2D([], [], color=GREY, ls=":", lw=0.8))
        words.append("linear teacher of\nthe balanced networks")
    figure.legend(handles, words, loc="outside right center")


def _draw_capacities(axes: Axes, order: list[str], limits: dict[str, xr.Dataset], sizes: np.ndarray) -> None:
    """Capacity of every learner at each N that it was given, learners side by side; bounds as open triangles."""
    for number, name in enumerate(order):
        if name not in limits:
            continue
        one = limits[name].squeeze("threshold", drop=True)
        known, kind = one["capacity"].notnull().values, one["capacity_kind"].values
        x = np.searchsorted(sizes, one["n_neurons"].values) + 0.12 * (number - (len(order) - 1) / 2)
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(x[known], one["capacity"].values[known], color=colour, marker=MARKERS[number % len(MARKERS)], ls="")
        for bound, marker in ((1, "^"), (-1, "v")):
            y = one["capacity_one_sided"].values[kind == bound]
            axes.plot(x[kind == bound], y, ls="", marker=marker, ms=6, mfc="none", mec=colour)
    axes.set_xticks(np.arange(len(sizes)), [f"{size}" for size in sizes])
    axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(0, None), title=f"longest T with correlation {CAPACITY_THRESHOLD:g}")
    axes.set(xlabel=f"{label('n_neurons')} (△ at least, ▽ at most)", ylabel=r"capacity $T_{\max} / \tau_c$")


def _write_table(axes: Axes, rows: list[list[str]], lines: list[int]) -> None:
    axes.axis("off")
    shown = axes.table(
        cellText=rows,
        colLabels=[*_WORDS, *_NUMBERS],
        colLoc="left",
        bbox=Bbox.unit(),
        cellLoc="left",
        colWidths=_WIDTHS,
    )
    shown.auto_set_font_size(False)
    shown.set_fontsize(7)
    total = sum(lines) + len(lines)
    for (row, column), cell in shown.get_celld().items():
        cell.set_height((lines[row] + 1) / total)
        cell.visible_edges = "B"
        cell.set_linewidth(0.9 if row == 0 else 0.3)
        cell.PAD = 0.03 if column else 0.0
        if column >= len(_WORDS):
            cell.get_text().set_horizontalalignment("right")


def _row(part: xr.Dataset) -> list[str]:
    largest = part.isel(n_neurons=-1)

    def mean(name: str, digits: int = 0) -> str:
        values = largest[name].values[~np.isnan(largest[name].values)]
        return f"{values.mean():,.{digits}f}" if len(values) else "–"

    name = str(part.learner.values)
    words = (LEARNERS.get(name, name), str(part.carrier.values), str(part.for_free.values))
    return [
        *(fill(text, width) for text, width in zip(words, (20, 26, 62), strict=True)),
        mean("n_trained"), mean("population_rate"), mean("wall_seconds"), mean("simulated_seconds"),
    ]  # fmt: skip
