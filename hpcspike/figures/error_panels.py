"""The two kinds of learning error against the synaptic time: spectral index, clamped split, theory, status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import error_types
from hpcspike.analysis.error_map import SPREAD
from hpcspike.figures.choice import Selection, fix_others, nearest
from hpcspike.figures.planes import diagonal, draw_plane
from hpcspike.figures.style import (
    BLACK,
    DIVERGING,
    GREY,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    STATUS_COLOURS,
    STATUS_MARKERS,
    heading,
    label,
    log_axis,
    new_figure,
    panel_letters,
    ramped,
    say_if_empty,
    share_of,
    styled,
    valued,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 5
HATCHES = {"sampling": "///", "tracking": "\\\\\\", "diverged": "xxx", "silent": "...", "recall": "---"}


@styled
def error_kinds(sweep: xr.Dataset, *, select: Selection = None) -> Figure:
    """Spectral index, clamped sampling and tracking errors beside the theory, and the share of each status.

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    select
        Values of tau_corr_ms, n_neurons and further swept parameters to fix.
    """
    keep = ("tau_syn_ms", "tau_corr_ms", "status_name")
    result, note = fix_others(error_types(sweep).load(), keep=keep, select=select)
    plane = result.sizes["tau_corr_ms"] > 1
    figure = new_figure(8.6, 6.6)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    one, fixed = fix_others(result, keep=("tau_syn_ms", "status_name"), select=select)
    if plane:
        _index_map(figure, first, result)
    else:
        _status_shares(first, one)
        first.set_title(fixed)
    _index_curves(second, result, (select or {}).get("tau_corr_ms"))
    _clamped(third, one)
    third.set_title(fixed)
    if plane:
        _status_shares(fourth, one)
        fourth.set_title(fixed)
    else:
        _shares(fourth, one)
        fourth.set_title(fixed)
    if note:
        heading(figure, note)
    panel_letters([first, second, third, fourth])
    return figure


def _index_map(figure: Figure, axes: Axes, result: xr.Dataset) -> None:
    table = result["spectral_index"].transpose("tau_corr_ms", "tau_syn_ms")
    largest = float(np.nanmax(np.abs(table.values))) if table.notnull().any() else 1.0
    mesh = draw_plane(axes, table, cmap=DIVERGING, vmin=-largest, vmax=largest)
    diagonal(axes)
    axes.set_xlabel(label("tau_syn_ms"))
    axes.set_ylabel(label("tau_corr_ms"))
    bar = figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("spectral index\n(− tracking: too smooth,\n+ sampling: too fast)")


def _index_curves(axes: Axes, result: xr.Dataset, wanted: float | None) -> None:
    """Curves of some tau_c, among them the one that the panels of a single tau_c show."""
    values = result["tau_corr_ms"].values
    chosen = ramped(values, CURVES, among=nearest(values, "tau_corr_ms", wanted))
    for position, (k, colour) in enumerate(chosen):
        words = "" if np.isnan(values[k]) else valued("tau_corr_ms", values[k])
        _errorbar(axes, result.isel(tau_corr_ms=k), "spectral_index", colour, MARKERS[position], words)
    say_if_empty(axes)
    axes.set_title(share_of("tau_corr_ms", len(chosen), len(values)))
    axes.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    log_axis(axes, "x", result["tau_syn_ms"].values)
    axes.set_xlabel(label("tau_syn_ms"))
    axes.set_ylabel("spectral index")
    low, high = axes.get_ylim()
    low, high = min(low, -0.1), max(high, 0.1)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))  # room for the words
    axes.text(0.99, 0.98, "too fast: sampling", transform=axes.transAxes, ha="right", va="top", fontsize=8)
    axes.text(0.02, 0.02, "too smooth: tracking", transform=axes.transAxes, ha="left", va="bottom", fontsize=8)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _errorbar(axes: Axes, one: xr.Dataset, name: str, colour: object, marker: str, words: str) -> None:
    if name not in one:
        return
    known = ~np.isnan(one[name].values)
    if not known.any():
        return
    spread = np.nan_to_num(one[name + SPREAD].values[known])
    axes.errorbar(
        one["tau_syn_ms"].values[known],
        one[name].values[known],
        yerr=spread if spread.any() else None,
        color=colour,
        marker=marker,
        elinewidth=0.9,
        label=words,
    )


def _clamped(axes: Axes, one: xr.Dataset) -> None:
    """Measured errors (solid) and the theory (dashed) on one logarithmic axis.

    The theory is the variance formula of the sampling error and the lag of OU targets; of results that do not have
    these, the paper's scaling of both errors, which is no prediction of their size.
    """
    split = "lag_error" in one and bool(one["lag_error"].notnull().any())
    for name, theory, colour, marker in (
        ("sampling_error", "sampling_formula" if split else "sampling_theory", SKY, STATUS_MARKERS["sampling"][0]),
        ("tracking_error", "" if split else "tracking_theory", ORANGE, STATUS_MARKERS["tracking"][0]),
        *([("lag_error", "lag_theory", PURPLE, "P")] if split else []),
    ):
        kind = name.replace("_error", "")
        measure = f"clamped {kind}"
        _errorbar(axes, one, name, colour, marker, measure)
        if theory in one:
            name_of_line = "_" if measure in axes.get_legend_handles_labels()[1] else f"{kind}, theory"
            axes.plot(one["tau_syn_ms"], one[theory], color=colour, ls=(0, (4, 2)), lw=1.2, label=name_of_line)
    _errorbar(axes, one, "quasi_static_residual", BLACK, "D", "quasi-static residual")
    axes.set_yscale("log")
    log_axis(axes, "x", one["tau_syn_ms"].values)
    axes.set_xlabel(label("tau_syn_ms"))
    measured = any(name in one and one[name].notnull().any() for name in ("sampling_error", "tracking_error"))
    axes.set_ylabel("clamped error / s.d. of the target" if measured else "theory's scaling of the errors")
    if not measured:
        axes.text(
            0.5, 0.98, "no clamped errors: only for theta\nneurons trained on drives", transform=axes.transAxes,
            ha="center", va="top", fontsize=8,
        )  # fmt: skip
    handles, words = axes.get_legend_handles_labels()
    if measured:
        handles.append(Line2D([], [], color=GREY, ls=(0, (4, 2)), lw=1.2))
        words.append("theory" if split else "theory, scaling only")
    axes.legend(
        handles,
        words,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=2,
    )


def _status_shares(axes: Axes, one: xr.Dataset) -> None:
    tau_syn = one["tau_syn_ms"].values
    bottom = np.zeros(len(tau_syn))
    for name, (_, words) in STATUS_MARKERS.items():
        share = np.nan_to_num(one["status_fraction"].sel(status_name=name).values)
        if share.any():
            axes.bar(
                np.arange(len(tau_syn)),
                share,
                bottom=bottom,
                width=0.86,
                color=STATUS_COLOURS[name],
                hatch=HATCHES.get(name),
                edgecolor="white",
                lw=0.0,
                label=words,
            )
        bottom += share
    shown = np.arange(len(tau_syn))[:: max(1, int(np.ceil(len(tau_syn) / 8)))]
    axes.set_xticks(shown, [f"{tau_syn[k]:.3g}" for k in shown])
    axes.set_xlim(-0.6, len(tau_syn) - 0.4)
    axes.set_ylim(0, 1)
    axes.set_xlabel(label("tau_syn_ms"))
    axes.set_ylabel("share of networks")
    if axes.patches:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _shares(axes: Axes, one: xr.Dataset) -> None:
    """Share of fast power of response and target, whose log ratio the spectral index is."""
    _errorbar(axes, one, "fast_share_response", BLACK, "o", "response")
    _errorbar(axes, one, "fast_share_target", ORANGE, "s", "target")
    log_axis(axes, "x", one["tau_syn_ms"].values)
    axes.set_xlabel(label("tau_syn_ms"))
    axes.set_ylabel("share of fast power")
    axes.set_ylim(bottom=0)
    say_if_empty(axes)
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
