"""Capacity: performance against the length of the window, T_max lines, and the capacity against network size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import capacity
from hpcspike.analysis.available import THRESHOLDS
from hpcspike.figures.choice import Selection, fix_others
from hpcspike.figures.planes import outline
from hpcspike.figures.style import (
    BLACK,
    CORRELATION,
    GREY,
    MARKERS,
    NO_DATA,
    PALETTE,
    SEQUENTIAL,
    VERMILION,
    edges,
    few_ticks,
    heading,
    label,
    legend_below,
    new_figure,
    panel_letters,
    ramped,
    share_of,
    spread_over,
    styled,
    valued,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

MAPS = 3
CURVES = 4


@styled
def capacity_panels(
    sweep: xr.Dataset,
    *,
    threshold: float = 0.7,
    thresholds: Sequence[float] = THRESHOLDS,
    select: Selection = None,
    **options: Any,
) -> Figure:
    """Performance against T, the capacity against N, and maps over (tau_c, T) with T_max = capacity * tau_c (Fig 7).

    Of a single tau_c there are no maps.

    Parameters
    ----------
    sweep
        Dataset along ``point`` that varies ``duration_ms``.
    threshold
        Correlation that counts as learned in the maps.
    thresholds
        Further thresholds in the panel of the capacity.
    select
        Values of parameters to fix.
    **options
        Passed to `hpcspike.analysis.capacity`.
    """
    every = sorted({*thresholds, threshold})
    keep = ("threshold", "n_neurons", "tau_corr_ms", "duration_ms")
    result, note = fix_others(capacity(sweep, threshold=every, **options).load(), keep=keep, select=select)
    sizes = result["n_neurons"].values
    shown = [int(k) for k in spread_over(sizes, MAPS)]
    plane = result.sizes["tau_corr_ms"] > 1
    figure = new_figure(8.6, 6.4 if plane else 3.4)
    rows = figure.add_gridspec(1 + plane, 1, height_ratios=(1.0, 1.05)[: 1 + plane])
    first, second = rows[0].subgridspec(1, 2).subplots(squeeze=False)[0]
    _against_duration(first, result, threshold, select)
    _against_size(second, result, threshold)
    panels = [first, second]
    if plane:
        panels += _maps(figure, rows[1], result, shown, threshold)
        share = share_of("n_neurons", len(shown), len(sizes))
        note = ", ".join(part for part in (note, f"maps: {share}" if share else "") if part)
    if note:
        heading(figure, note)
    panel_letters(panels)
    return figure


def _maps(figure: Figure, row: SubplotSpec, result: xr.Dataset, shown: list[int], threshold: float) -> list[Axes]:
    """A map over (tau_c, T) for each of some N, with their legend."""
    sizes = result["n_neurons"].values
    panels = list(row.subgridspec(1, len(shown)).subplots(sharey=True, squeeze=False)[0])
    at = result.sel(threshold=threshold)
    low = min(0.0, float(np.nan_to_num(result["performance"]).min()))
    for axes, k in zip(panels, shown, strict=True):
        mesh = _map(axes, at.isel(n_neurons=k), threshold, low)
        axes.set_title(valued("n_neurons", sizes[k]))
    panels[0].set_ylabel(label("duration_ms"))
    figure.colorbar(mesh, ax=panels, pad=0.02, label=CORRELATION)
    legend_below(figure, _map_legend(at.isel(n_neurons=shown)), ncols=4)
    return panels


def _against_duration(axes: Axes, result: xr.Dataset, threshold: float, select: Selection) -> None:
    one, fixed = fix_others(result, keep=("duration_ms", "n_neurons", "threshold"), select=select)
    chosen = ramped(one["n_neurons"].values, CURVES)
    for position, (k, colour) in enumerate(chosen):
        curve = one.isel(n_neurons=k)
        known = ~np.isnan(curve["performance"].values)
        spread = np.nan_to_num(curve["performance_sd"].values[known])
        axes.errorbar(
            curve["duration_ms"].values[known],
            curve["performance"].values[known],
            yerr=spread if spread.any() else None,
            color=colour,
            marker=MARKERS[position],
            ms=3.5,
            elinewidth=0.8,
            label=valued("n_neurons", one["n_neurons"].values[k]),
        )
    axes.axhline(threshold, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=0)
    axes.set_ylim(top=max(1.0, axes.get_ylim()[1]))
    axes.set_xlabel(label("duration_ms"))
    axes.set_ylabel(CORRELATION)
    few_ticks(axes, "x")
    share = share_of("n_neurons", len(chosen), one.sizes["n_neurons"])
    axes.set_title(", ".join(part for part in (fixed, share) if part))
    axes.legend()


def _against_size(axes: Axes, result: xr.Dataset, threshold: float) -> None:
    """Capacity of every N; where every cell is censored, an open triangle at the bound that this leaves."""
    sizes = result["n_neurons"].values.astype(np.float64)
    step = 0.012 * (np.ptp(sizes) if len(sizes) > 1 else sizes[0])
    count = result.sizes["threshold"]
    for position, value in enumerate(result["threshold"].values):
        one = result.sel(threshold=value)
        colour, x = PALETTE[position % len(PALETTE)], sizes + step * (position - (count - 1) / 2)
        y, known = one["capacity"].values, one["capacity"].notnull().values
        error = np.stack([y - one["capacity_low"].values, one["capacity_high"].values - y])
        axes.errorbar(
            x[known],
            y[known],
            yerr=np.clip(np.nan_to_num(error[:, known]), 0, None),
            color=colour,
            marker=MARKERS[position % len(MARKERS)],
            lw=2.0 if value == threshold else 1.0,
            elinewidth=0.9,
            label=f"{value:g}",
        )
        for kind, marker in ((1, "^"), (-1, "v")):
            bound = one["capacity_kind"].values == kind
            y = one["capacity_one_sided"].values[bound]
            axes.plot(x[bound], y, ls="", marker=marker, ms=6, mfc="none", mec=colour)
    axes.set_xlabel(label("n_neurons"))
    axes.set_ylabel(r"capacity $T_{\max} / \tau_c$")
    pad = 0.08 * np.ptp(sizes) if len(sizes) > 1 else 0.1 * sizes[0]
    axes.set_xlim(sizes[0] - pad, sizes[-1] + pad)
    if len(sizes) <= 6:
        axes.set_xticks(sizes)
    else:
        few_ticks(axes, "x", integer=True)
    axes.set_ylim(bottom=0)
    source = {"replicates": "replicates", "cells": r"$\tau_c$"}[result.attrs["interval"]]
    if bool((result["capacity_high"] > result["capacity_low"]).any()):
        axes.set_title(f"bars: {100 * result.attrs['interval_level']:.0f} % interval over {source}")
    handles, words = axes.get_legend_handles_labels()
    for kind, marker, bound in ((1, "^", "at least"), (-1, "v", "at most")):
        if (result["capacity_kind"] == kind).any():
            handles.append(Line2D([], [], ls="", marker=marker, ms=6, mfc="none", mec=GREY))
            words.append(bound)
    axes.legend(handles, words, title="threshold", loc="center left", bbox_to_anchor=(1.0, 0.5))


def _map(axes: Axes, one: xr.Dataset, threshold: float, low: float) -> Any:
    """Performance over (tau_c, T) with the outline of the threshold, T_max of every tau_c, and the fitted line."""
    table = one["performance"].transpose("duration_ms", "tau_corr_ms")
    tau_corr, duration = one["tau_corr_ms"].values, one["duration_ms"].values
    x, y = edges(tau_corr, log=False), edges(duration, log=False)
    axes.set_facecolor(NO_DATA)
    mesh = axes.pcolormesh(
        x, y, np.ma.masked_invalid(table.values), cmap=SEQUENTIAL, vmin=low, vmax=1.0, rasterized=True
    )
    outline(axes, table, threshold, log=False)
    slope = one["capacity"].item()
    if not np.isnan(slope):
        ends = np.array([0.0, x[-1]])
        axes.plot(ends, slope * ends, color="white", lw=3.2, zorder=5)
        axes.plot(ends, slope * ends, color=VERMILION, lw=1.8, zorder=6)
    flag, t_max = one["censoring"].values, one["longest_learned"].values
    for code, (marker, _) in CENSORING.items():
        chosen = flag == code
        if not chosen.any():  # an empty unclipped line has its box at the figure's corner and ruins the layout
            continue
        height = np.where(t_max[chosen] > 0, t_max[chosen], duration[0])
        look: dict[str, Any] = {"marker": marker, "ms": 5, "mfc": "white", "mec": BLACK, "mew": 0.8}
        axes.plot(tau_corr[chosen], height, ls="", zorder=7, clip_on=False, **look)
    axes.set_xlim(0, x[-1])
    axes.set_ylim(0, y[-1])
    axes.set_xlabel(label("tau_corr_ms"))
    few_ticks(axes, "x", 4)
    few_ticks(axes, "y", 6)
    return mesh


CENSORING = {
    0: ("o", r"$T_{\max}$"),
    1: ("^", "longest $T$ learned (not in the fit)"),
    -1: ("v", "no $T$ learned (not in the fit)"),
}


def _map_legend(at: xr.Dataset) -> list[Line2D]:
    present = np.unique(at["censoring"].values)
    handles = [
        Line2D([], [], ls="", marker=marker, mfc="white", mec=BLACK, mew=0.8, label=words)
        for code, (marker, words) in CENSORING.items()
        if code in present
    ]
    if at["capacity"].notnull().any():
        handles.append(Line2D([], [], color=VERMILION, lw=1.8, label=r"$T_{\max} =$ capacity $\cdot\,\tau_c$"))
    return handles
