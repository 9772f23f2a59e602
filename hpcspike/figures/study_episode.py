"""What a network learns within a trial: its error from one tenth of the trial to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.figures.study_learners import NMSE
from hpcspike.figures.study_parts import Variants, collected, colours_of, required
from hpcspike.figures.style import GREY, MARKERS, log_axis, new_figure, styled
from hpcspike.intervals import geometric_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def errors_within_trials(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Error in every tenth of trials with functions never seen: every network faint, their geometric mean with its 95 %
    interval; dashed: linear regression on the examples so far.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``episode``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "episode_error", variants=variants)
    colours = colours_of(shown)
    figure = new_figure(4.8, 3.4)
    axes = figure.subplots()
    every = []
    for k, variant in enumerate(shown):
        errors = collected(tree, variant, "episode_error")
        part = np.arange(errors.shape[1]) + 1
        axes.plot(part, errors.T, color=colours[variant], lw=0.5, alpha=0.4)
        middle, low, high = np.array([geometric_interval(column)[:3] for column in errors.T]).T
        bars = np.nan_to_num([middle - low, high - middle])
        style = {"color": colours[variant], "marker": MARKERS[k % len(MARKERS)], "ms": 5, "elinewidth": 1.0}
        axes.errorbar(part, middle, yerr=bars, label=variant, **style)
        every.append(errors.ravel())
    baseline = collected(tree, shown[0], "regression_error").mean(axis=0)
    axes.plot(np.arange(len(baseline)) + 1, baseline, color=GREY, ls="--", lw=1.0, label="linear regression")
    known = np.concatenate([*every, baseline])
    known = known[np.isfinite(known) & (known > 0)]
    if len(known):
        log_axis(axes, "y", np.geomspace(known.min() / 1.5, known.max() * 1.5, 30))
    axes.set(xlabel="tenth of the trial", ylabel=NMSE)
    axes.legend(loc="best")
    return figure
