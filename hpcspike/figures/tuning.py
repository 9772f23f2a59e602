"""Performance against the synaptic time: the inverted U, and its collapse onto the theory's scaling variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import collapse, inverted_u
from hpcspike.analysis.available import allows_collapse
from hpcspike.analysis.scaling import REGIMES, Regime
from hpcspike.errors import DataError
from hpcspike.figures.choice import Selection, fix_others
from hpcspike.figures.style import (
    BLACK,
    CORRELATION,
    GREY,
    MARKERS,
    label,
    legend_below,
    log_axis,
    new_figure,
    panel_letters,
    pretty_units,
    ramp,
    ramped,
    say_if_empty,
    share_of,
    spread_over,
    styled,
    valued,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 6
NAMES: tuple[Regime, ...] = ("tracking", "sampling")


@styled
def inverted_u_curves(sweep: xr.Dataset, *, threshold: float = 0.7, select: Selection = None) -> Figure:
    """Performance against tau_s for several tau_c and for several N, with s.d. over networks (paper Figs 6c, 6d).

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    threshold
        Correlation drawn as a line.
    select
        Values of tau_corr_ms, n_neurons and further swept parameters to fix.
    """
    table = inverted_u(sweep).load()
    result, note = fix_others(table, keep=("tau_syn_ms", "tau_corr_ms", "n_neurons"), select=select)
    families = [n for n in ("tau_corr_ms", "n_neurons") if result.sizes[n] > 1] or ["tau_corr_ms"]
    figure = new_figure(4.4 * len(families) + 0.6, 4.0)
    panels = np.atleast_1d(figure.subplots(1, len(families), sharey=True))
    for axes, family in zip(panels, families, strict=True):
        one, fixed = fix_others(result, keep=("tau_syn_ms", family), select=select)
        chosen, count = ramped(one[family].values, CURVES), one.sizes[family]
        for position, (k, colour) in enumerate(chosen):
            value = one[family].values[k]
            # targets without a tau_c have one curve, which needs no name
            words = "" if count == 1 and np.isnan(value) else valued(family, value)
            _curve(axes, one.isel({family: k}), colour, MARKERS[position], words)
        say_if_empty(axes)
        axes.axhline(threshold, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=0)
        log_axis(axes, "x", one["tau_syn_ms"].values)
        axes.set_xlabel(label("tau_syn_ms"))
        axes.set_title(", ".join(part for part in (fixed, note, share_of(family, len(chosen), count)) if part))
    panels[0].set_ylabel(CORRELATION)
    panels[0].set_ylim(top=max(1.0, panels[0].get_ylim()[1]))
    for axes in panels:
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, columnspacing=1.2)
    _legend_of_stars(figure, {star.get_markerfacecolor() != "white" for axes in panels for star in _stars(axes)})
    panel_letters(list(panels))
    return figure


def _stars(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() == "*"]


def _legend_of_stars(figure: Figure, drawn: set[bool]) -> None:
    """What the stars mean; drawn: True where one lies inside its grid, False where one lies at the edge."""
    handles = [
        Line2D([], [], ls="", marker="*", ms=10, mec=BLACK, mfc=BLACK if inside else "white", label=words)
        for inside, words in ((True, "optimum"), (False, "best at the edge of the grid"))
        if inside in drawn
    ]
    if handles:
        legend_below(figure, handles, ncols=2)


def _curve(axes: Axes, one: xr.Dataset, colour: Any, marker: str, words: str) -> None:
    """A curve with its s.d.; a star marks the optimum, an open one an optimum at the edge of the grid."""
    known = ~np.isnan(one["performance"].values)
    x, y = one["tau_syn_ms"].values[known], one["performance"].values[known]
    spread = np.nan_to_num(one["performance_sd"].values[known])
    axes.errorbar(x, y, yerr=spread if spread.any() else None, color=colour, marker=marker, label=words, elinewidth=0.9)
    if one["optimum_edge"] > -2:
        inside = int(one["optimum_edge"]) == 0
        place = one["optimum_tau_syn"].item(), one["optimum_performance"].item()
        axes.plot(*place, marker="*", ms=12, mec=colour, mfc=colour if inside else "white", mew=1.0, ls="", zorder=5)


@styled
def collapse_panels(sweep: xr.Dataset, *, select: Selection = None) -> Figure:
    """Performance against the scaling variable of each regime, beside tau_s alone as control (paper Figs 6e, 6f).

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    select
        Values of parameters to fix: n_neurons in the tracking regime, tau_corr_ms in the sampling regime.

    Raises
    ------
    DataError
        If the sweep has fewer than two tau_c and fewer than two N.
    """
    regimes = [name for name in NAMES if allows_collapse(sweep, name)]
    if not regimes:
        raise DataError("a collapse needs two values of tau_corr_ms or n_neurons and three tau_syn_ms in the regime")
    figure = new_figure(7.6, 0.6 + 3.2 * len(regimes))
    rows = figure.subplots(len(regimes), 2, sharey="row", squeeze=False)
    for (left, right), regime in zip(rows, regimes, strict=True):
        chosen = REGIMES[regime]
        largest = {} if regime == "sampling" else {"n_neurons": float(sweep["n_neurons"].max())}
        result, note = fix_others(
            collapse(sweep, regime=regime).load(),
            keep=(chosen.curve, "tau_syn_ms", "abscissa_name"),
            select={**largest, **(select or {})},
        )
        _collapsed(left, result, result["abscissa"], chosen.curve)
        tau_syn = result["tau_syn_ms"].broadcast_like(result["abscissa"])
        _collapsed(right, result, tau_syn, chosen.curve, master=False)
        left.set_xlabel(_abscissa_label(regime, chosen.units))
        right.set_xlabel(label("tau_syn_ms"))
        left.set_ylabel(CORRELATION)
        for axes, index, word in ((left, 0, f"{regime} regime"), (right, 1, r"control: $\tau_s$ alone")):
            words = ", ".join(part for part in (word, note if index == 0 else "") if part)
            axes.set_title(words + _quality(result, index))
            say_if_empty(axes)
        right.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    panel_letters(list(rows.ravel()))
    return figure


def _abscissa_label(regime: str, units: str) -> str:
    if regime == "tracking":
        return r"$\tau_s / \tau_c$"
    return rf"$1 / \sqrt{{N \tau_s}}$ ({pretty_units(units)})"


def _collapsed(axes: Axes, result: xr.Dataset, x: xr.DataArray, curve: str, *, master: bool = True) -> None:
    table = result["performance"].transpose(curve, "tau_syn_ms").values
    spread = np.nan_to_num(result["performance_sd"].transpose(curve, "tau_syn_ms").values)
    places = x.transpose(curve, "tau_syn_ms").values
    values = result[curve].values
    crowded = len(values) > len(MARKERS)
    labelled = set(spread_over(values, len(MARKERS)).tolist())
    for k, colour in enumerate(ramp(len(values))):
        known = ~np.isnan(table[k]) & ~np.isnan(places[k])
        axes.errorbar(
            places[k][known],
            table[k][known],
            yerr=spread[k][known] if spread.any() else None,
            color=colour,
            marker=MARKERS[k % len(MARKERS)],
            ms=3.5 if crowded else 4.5,
            lw=0 if master else 0.9,
            elinewidth=0.8,
            label=valued(curve, values[k]) if k in labelled else None,
        )
    if master:
        known = ~np.isnan(result["master_curve"].transpose(curve, "tau_syn_ms").values)
        order = np.argsort(places[known])
        fitted = result["master_curve"].transpose(curve, "tau_syn_ms").values[known]
        axes.plot(places[known][order], fitted[order], color=GREY, lw=3, alpha=0.5, zorder=0, solid_capstyle="round")
    log_axis(axes, "x", places[np.isfinite(places)])


def _quality(result: xr.Dataset, index: int) -> str:
    """Further lines of a title: variance around the common curve, error of predicted curves."""
    fraction = result["unexplained_fraction"].values[index]
    held_out = result["held_out_fraction"].values[index]
    if np.isnan(fraction):
        return ""
    text = f"\nscatter around one curve: {100 * fraction:.1f} % of variance"
    return text if np.isnan(held_out) else f"{text}\nerror of a curve left out: {100 * held_out:.0f} %"
