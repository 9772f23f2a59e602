"""Learners that look for goals: how many they reach, pass by pass, and the time to the first and to later ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.figures.study_memory import AVERAGED, running_mean
from hpcspike.figures.study_parts import Variants, collected, colours_of, required
from hpcspike.figures.style import GREY, MARKERS, few_ticks, legend_below, log_axis, new_figure, panel_letters, styled
from hpcspike.intervals import geometric_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def goals_found(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Goals per second in training, mean over the last 20 passes, a line per network; and the time to the first goal of
    test trials, the second and so on: every network faint, their geometric mean with its 95 % interval (open and
    dotted: before training); stars: to the first goal of new trials with goals that were reached in others.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``goals``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "goal_time_after", variants=variants)
    colours = colours_of(shown)
    figure = new_figure(7.4, 3.9)
    left, right = figure.subplots(1, 2)
    every = []
    for k, variant in enumerate(shown):
        colour, marker = colours[variant], MARKERS[k % len(MARKERS)]
        for number, curve in enumerate(collected(tree, variant, "curve_goals")):
            passes = np.arange(1, len(curve) + 1)
            left.plot(passes, running_mean(curve), color=colour, lw=1.0, label=variant if number == 0 else None)
        for name, face, line in (("goal_time_before", "white", ":"), ("goal_time_after", colour, "-")):
            times = collected(tree, variant, name)
            times = np.where(np.isfinite(times), times, np.nan)
            every.append(times.ravel())
            goal = np.arange(1, times.shape[1] + 1)
            right.plot(goal, times.T, color=colour, lw=0.5, ls=line, alpha=0.4)
            middle, low, high = np.array([geometric_interval(column)[:3] for column in times.T]).T
            bars = np.nan_to_num([middle - low, high - middle])
            style = {"color": colour, "marker": marker, "ms": 5, "mfc": face, "ls": line, "elinewidth": 1.0}
            right.errorbar(goal, middle, yerr=bars, **style)
            anew = collected(tree, variant, name.replace("time", "time_anew"))
            right.plot(np.ones(len(anew)), anew, ls="", marker="*", ms=6, color=colour, mfc=face)
    left.set(xlabel=f"pass (mean of the last {AVERAGED})", ylabel="goals per s", ylim=(0.0, None))
    few_ticks(left, "x", 6, integer=True)
    left.legend(loc="best")
    right.set(xlabel="goal of the trial", ylabel="time to it (ms)")
    known = np.concatenate(every)
    known = known[np.isfinite(known) & (known > 0)]
    if len(known):
        log_axis(right, "y", np.geomspace(known.min() / 1.5, known.max() * 1.5, 30))
    few_ticks(right, "x", 6, integer=True)
    legend_below(figure, _legend(), ncols=3, side="right")
    panel_letters([left, right])
    return figure


def _legend() -> list[Line2D]:
    """What the lines and stars of the times say, whatever their colour."""
    looks: dict[str, dict[str, Any]] = {
        "before training": {"ls": ":", "marker": "o", "mfc": "white"},
        "after, mean and 95 % interval": {"ls": "-", "marker": "o", "mfc": GREY},
        "single networks": {"ls": "-", "lw": 0.5, "alpha": 0.6},
        "new trials, before": {"ls": "", "marker": "*", "mfc": "white", "ms": 7},
        "new trials, after": {"ls": "", "marker": "*", "mfc": GREY, "ms": 7},
    }
    return [Line2D([], [], color=GREY, label=words, **look) for words, look in looks.items()]
