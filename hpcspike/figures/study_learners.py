"""Learners on their own: scores before and after training, and what silent neurons or a deleted spike cost them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.figures.study_parts import (
    Variants,
    collected,
    colours_of,
    experiment_of,
    networks,
    required,
)
from hpcspike.figures.style import (
    BLUE,
    CORRELATION,
    GREY,
    MARKERS,
    few_ticks,
    legend_below,
    log_axis,
    new_figure,
    panel_letters,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NMSE = "squared error over power of target"


def is_error(tree: xr.DataTree, variant: str) -> bool:
    """Whether the score of a variant is a squared error (systems and codes of inputs), not a correlation."""
    kind = experiment_of(networks(tree, variant)[0])["targets"]["kind"]
    return kind in {"driven", "autoencoder", "functions"}


def over_trials(values: np.ndarray, error: bool) -> np.ndarray:
    """Trials (last axis) in one number: the median of errors, the mean of correlations."""
    return np.asarray(np.median(values, axis=-1) if error else values.mean(axis=-1))


@styled
def scores_by_variant(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Score of every network on its own, untrained (open) and trained (filled); bars: mean over networks.

    Errors are medians over test trials, on a logarithmic axis, and their bars are geometric means; correlations are
    means. Networks that diverged have no trained score.

    Parameters
    ----------
    tree
        Networks of a study of learners.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "untrained_score", variants=variants)
    kinds = [[v for v in shown if is_error(tree, v) == error] for error in (True, False)]
    width = 1.2 + 0.55 * len(shown)
    figure = new_figure(max(width, 4.0), 4.2)
    panels = figure.subplots(
        1, sum(map(bool, kinds)), squeeze=False, width_ratios=[len(names) + 1 for names in kinds if names]
    )[0]
    for axes, names in zip(panels, filter(None, kinds), strict=True):
        _scores(axes, tree, names)
    handles = [
        Line2D([], [], ls="", marker="o", color=BLUE, label="trained"),
        Line2D([], [], ls="", marker="o", mfc="white", color=GREY, label="untrained"),
    ]
    legend_below(figure, handles, ncols=2)
    panel_letters(list(panels))
    return figure


def _scores(axes: Axes, tree: xr.DataTree, names: list[str]) -> None:
    error = is_error(tree, names[0])
    every = []
    for x, name in enumerate(names):
        for variable, shift, colour, face in (
            ("untrained_score", -0.15, GREY, "white"), ("test_score", 0.15, BLUE, BLUE)
        ):  # fmt: skip
            values = collected(tree, name, variable)
            if not values.size:
                continue
            found = over_trials(values, error)
            every.append(found)
            axes.plot(np.full(len(found), x + shift), found, ls="", marker="o", ms=4, color=colour, mfc=face)
            middle = np.exp(np.log(found).mean()) if error else found.mean()
            axes.plot([x + shift - 0.12, x + shift + 0.12], [middle, middle], color=colour, lw=1.6)
    if error:
        log_axis(axes, "y", np.geomspace(*_span(np.concatenate(every)), 30))
        axes.axhline(1.0, color=GREY, lw=0.6, ls=":")
    axes.set_ylabel(NMSE if error else CORRELATION)
    axes.set_xticks(range(len(names)), [name.replace("-", "\n") for name in names], rotation=45, fontsize=7)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _span(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values) & (values > 0)]
    return (float(known.min()), float(max(known.max(), 1.1 * known.min()))) if len(known) else (0.1, 1.0)


@styled
def damage_curves(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Score when a share of the neurons is silent in the test, and what one deleted spike changes.

    Left: mean over networks with their s.d., every network faint. Right: score with one spike deleted minus that of the
    whole network in the same trials, a dot per network.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``damage``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "damage_score", variants=variants)
    colours = colours_of(shown)
    figure = new_figure(7.4, 3.5 + 0.2 * (-(-len(shown) // 4)))
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
    errors = {is_error(tree, variant) for variant in shown}
    for k, variant in enumerate(shown):
        share = next(one["damage_fraction"].values for one in networks(tree, variant) if "damage_fraction" in one)
        error = is_error(tree, variant)
        found = over_trials(collected(tree, variant, "damage_score"), error)
        _curve(left, 100.0 * share, found, colours[variant], MARKERS[k % len(MARKERS)])
        change = over_trials(collected(tree, variant, "deleted_spike_score"), error) - _whole(found, share)
        right.plot(np.full(len(change), k), change, ls="", marker=MARKERS[k % len(MARKERS)], color=colours[variant])
    words = NMSE if errors == {True} else CORRELATION if errors == {False} else "error or correlation"
    left.set(xlabel="neurons silent in the test (%)", ylabel=words)
    left.set_ylim(bottom=min(0.0, left.get_ylim()[0]))
    few_ticks(left, "x", 6)
    right.axhline(0.0, color=GREY, lw=0.6, ls=":")
    right.set(ylabel="change by one deleted spike", xlim=(-0.6, len(shown) - 0.4))
    right.set_xticks(range(len(shown)), shown, rotation=30, fontsize=7)
    handles = [Line2D([], [], color=colours[v], marker=MARKERS[k % len(MARKERS)], label=v) for k, v in enumerate(shown)]
    legend_below(figure, handles, ncols=4)
    panel_letters([left, right])
    return figure


def _whole(found: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(networks,) score of the undamaged network, NaN if that was not asked for."""
    at = np.flatnonzero(share == 0.0)
    return found[:, at[0]] if len(at) else np.full(len(found), np.nan)


def _curve(axes: Axes, x: np.ndarray, found: np.ndarray, colour: Any, marker: str) -> None:
    axes.plot(x, found.T, color=colour, lw=0.5, alpha=0.4)
    spread = found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(len(x))
    axes.errorbar(x, found.mean(axis=0), yerr=spread, color=colour, marker=marker, ms=5, elinewidth=1.0)
