"""Learners that answer questions: how many answers are wrong, pass by pass and in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.figures.study_parts import Variants, collected, colours_of, experiment_of, networks, required
from hpcspike.figures.style import GREY, MARKERS, few_ticks, new_figure, panel_letters, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AVERAGED = 20
"""Passes over which a learning curve is averaged."""


@styled
def wrong_answers(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Share of wrong answers: in training, mean over the last 20 passes, a line per network; and in new trials, a dot
    per network (open: before training). Dotted: always the most frequent answer; dashed: 5 %.

    Parameters
    ----------
    tree
        Networks of a study with a task whose answers are right or wrong.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "test_wrong", variants=variants)
    colours = colours_of(shown)
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.0, 1.0])
    for k, variant in enumerate(shown):
        colour, marker = colours[variant], MARKERS[k % len(MARKERS)]
        for number, curve in enumerate(collected(tree, variant, "curve_wrong")):
            passes = np.arange(1, len(curve) + 1)
            left.plot(passes, 100.0 * running_mean(curve), color=colour, lw=1.0, label=variant if number == 0 else None)
        for name, shift, face in (("untrained_wrong", -0.15, "white"), ("test_wrong", 0.15, colour)):
            share = 100.0 * collected(tree, variant, name).mean(axis=1)
            right.plot(np.full(len(share), k + shift), share, ls="", marker=marker, ms=5, color=colour, mfc=face)
    for axes in (left, right):
        axes.axhline(
            100.0 * best_guess(experiment_of(networks(tree, shown[0])[0])["targets"]), color=GREY, lw=0.6, ls=":"
        )
        axes.axhline(5.0, color=GREY, lw=0.6, ls="--")
    left.set(xlabel="pass", ylabel="wrong answers (%)", ylim=(0.0, None))
    few_ticks(left, "x", 6, integer=True)
    left.legend(loc="best")
    right.set(xlim=(-0.6, len(shown) - 0.4))
    right.set_xticks(range(len(shown)), shown)
    panel_letters([left, right])
    return figure


def best_guess(targets: dict[str, Any]) -> float:
    """Share wrong if the most frequent answer is always given: one of two, or "none" in trials without a question; of
    digits one of ten.

    >>> best_guess({"kind": "store_recall"}), best_guess({"kind": "delayed_xor", "null_share": 0.2})
    (0.5, 0.6)
    """
    if targets["kind"] == "digits":
        return 0.9
    null = targets.get("null_share", 0.0)
    return 1.0 - max(null, (1.0 - null) / 2.0)


def running_mean(curve: np.ndarray) -> np.ndarray:
    """Mean over the last `AVERAGED` passes, or as many as there were.

    >>> running_mean(np.array([1.0, 0.0, 2.0])).round(2).tolist()
    [1.0, 0.5, 1.0]
    """
    total = np.concatenate([[0.0], np.cumsum(curve)])
    last = np.arange(1, len(curve) + 1)
    first = np.maximum(0, last - AVERAGED)
    return np.asarray((total[last] - total[first]) / (last - first))
