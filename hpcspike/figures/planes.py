"""The map of performance over the synaptic time and the correlation time, with the regions of learning and failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import error_types
from hpcspike.analysis.scattered import is_scattered
from hpcspike.figures.choice import Selection, fix_others
from hpcspike.figures.scattered import scattered_map, shown_level
from hpcspike.figures.style import (
    BLACK,
    CORRELATION,
    GREY,
    NO_DATA,
    NO_VALUE,
    SEQUENTIAL,
    STATUS_MARKERS,
    edges,
    heading,
    label,
    legend_below,
    log_axis,
    new_figure,
    panel_letters,
    remark,
    share_of,
    spread_over,
    styled,
    valued,
)
from hpcspike.variables import STATUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 3


@styled
def performance_map(sweep: xr.Dataset, *, threshold: float = 0.7, select: Selection = None) -> Figure:
    """Correlation over (tau_s, tau_c), one panel per network size, with the status of the networks (paper Fig 6a).

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    threshold
        Correlation at which the outline is drawn.
    select
        Values of further swept parameters.
    """
    if is_scattered(sweep):
        level = shown_level(sweep, "correlation", threshold)
        return scattered_map(sweep, "tau_syn_ms", "tau_corr_ms", threshold=level, select=select)
    table = error_types(sweep).load()
    result, note = fix_others(table, keep=("tau_syn_ms", "tau_corr_ms", "n_neurons", "status_name"), select=select)
    if "n_neurons" not in result.dims:
        result = result.expand_dims("n_neurons")
    sizes = result["n_neurons"].values
    shown = [int(k) for k in spread_over(sizes, PANELS)]
    figure = new_figure(1.3 + 3.3 * len(shown), 3.95)
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharex=True, sharey=True))
    low, crossed = min(0.0, float(np.nan_to_num(result["correlation"]).min())), False
    for axes, index in zip(panels, shown, strict=True):
        one = result.isel(n_neurons=index)
        mesh = draw_plane(axes, one["correlation"].transpose("tau_corr_ms", "tau_syn_ms"), vmin=low, vmax=1.0)
        crossed |= outline(axes, one["correlation"].transpose("tau_corr_ms", "tau_syn_ms"), threshold)
        _status_symbols(axes, one, mesh)
        diagonal(axes)
        axes.set_title(valued("n_neurons", sizes[index]) if len(sizes) > 1 else "")
        axes.set_xlabel(label("tau_syn_ms"))
    panels[0].set_ylabel(label("tau_corr_ms"))
    bar = figure.colorbar(mesh, ax=list(panels), pad=0.02, label=CORRELATION)
    bar.ax.axhline(threshold, color="white", lw=2.4)
    bar.ax.axhline(threshold, color=BLACK, lw=1.2)
    _legend(figure, result, threshold, columns=5 if len(shown) > 1 else 3, crossed=crossed)
    note = ", ".join(part for part in (note, share_of("n_neurons", len(shown), len(sizes))) if part)
    if note:
        heading(figure, note)
    panel_letters(list(panels))
    return figure


def draw_plane(axes: Axes, table: xr.DataArray, **colours: Any) -> Any:
    """Cells of a (rows, columns) table over two logarithmic axes; cells without a value stay grey."""
    row, column = (str(dim) for dim in table.dims)
    x, y = table[column].values.astype(np.float64), table[row].values.astype(np.float64)
    axes.set_facecolor(NO_DATA)
    log_axis(axes, "x", x)
    log_axis(axes, "y", y)
    x_edges, y_edges = edges(x, log=True), edges(y, log=True)
    if not np.isfinite(table.values).any():
        remark(axes, NO_VALUE)
    mesh = axes.pcolormesh(
        x_edges, y_edges, np.ma.masked_invalid(table.values), **{"cmap": SEQUENTIAL, "rasterized": True, **colours}
    )
    axes.set_xlim(x_edges[0], x_edges[-1])
    axes.set_ylim(y_edges[0], y_edges[-1])
    return mesh


def outline(axes: Axes, table: xr.DataArray, threshold: float, *, log: bool = True) -> bool:
    """Line along the cell borders between values below the threshold and the others; whether there are such borders."""
    row, column = (str(dim) for dim in table.dims)
    x = edges(table[column].values.astype(np.float64), log=log)
    y = edges(table[row].values.astype(np.float64), log=log)
    learned = np.nan_to_num(table.values, nan=-np.inf) >= threshold
    known = ~np.isnan(table.values)
    segments = []
    for i, j in np.argwhere((learned[:, 1:] != learned[:, :-1]) & known[:, 1:] & known[:, :-1]):
        segments.append(([x[j + 1], x[j + 1]], [y[i], y[i + 1]]))
    for i, j in np.argwhere((learned[1:] != learned[:-1]) & known[1:] & known[:-1]):
        segments.append(([x[j], x[j + 1]], [y[i + 1], y[i + 1]]))
    for xs, ys in segments:
        axes.plot(xs, ys, color="white", lw=2.6, solid_capstyle="round", zorder=3)
    for xs, ys in segments:
        axes.plot(xs, ys, color=BLACK, lw=1.3, solid_capstyle="round", zorder=4)
    return bool(segments)


def diagonal(axes: Axes) -> None:
    """The line tau_s = tau_c, above which the theory expects small tracking errors."""
    low = max(axes.get_xlim()[0], axes.get_ylim()[0])
    high = min(axes.get_xlim()[1], axes.get_ylim()[1])
    if low < high:
        axes.plot([low, high], [low, high], ls=(0, (4, 3)), color="white", lw=2.0, zorder=2)
        axes.plot([low, high], [low, high], ls=(0, (4, 3)), color=GREY, lw=1.0, zorder=2)


def _status_symbols(axes: Axes, one: xr.Dataset, mesh: Any) -> None:
    status = one["status"].transpose("tau_corr_ms", "tau_syn_ms").values
    value = one["correlation"].transpose("tau_corr_ms", "tau_syn_ms").values
    x, y = np.meshgrid(one["tau_syn_ms"].values, one["tau_corr_ms"].values)
    size = float(np.clip(60.0 / max(status.shape), 2.2, 7.0))
    bright = mesh.norm(np.nan_to_num(value, nan=1.0)) > 0.62
    for code, name in enumerate(STATUS):
        marker, _ = STATUS_MARKERS[name]
        for chosen, colour in (((status == code) & bright, BLACK), ((status == code) & ~bright, "white")):
            if chosen.any():
                axes.plot(
                    x[chosen], y[chosen], ls="", marker=marker, ms=size, mew=0.8, color=colour, mfc="none", zorder=5
                )


def _legend(figure: Figure, result: xr.Dataset, threshold: float, *, columns: int, crossed: bool) -> None:
    present = np.unique(result["status"].values)
    handles = [
        Line2D([], [], ls="", marker=marker, mfc="none", color=BLACK, ms=5.5, mew=0.9, label=words)
        for code, (marker, words) in enumerate(STATUS_MARKERS.values())
        if code in present
    ]
    known = result["correlation"].values[np.isfinite(result["correlation"].values)]
    reached = len(known) and known.min() >= threshold
    where = "" if crossed or not len(known) else " (reached everywhere)" if reached else " (reached nowhere)"
    handles.append(Line2D([], [], color=BLACK, lw=1.3, label=f"correlation = {threshold:g}{where}"))
    handles.append(Line2D([], [], color=GREY, lw=1.0, ls=(0, (4, 3)), label=r"$\tau_s = \tau_c$"))
    legend_below(figure, handles, ncols=columns, handletextpad=0.5, columnspacing=1.4)
