"""Two sweeps or two networks side by side: their scores against each other, and which results differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from hpcspike.errors import DataError
from hpcspike.figures.style import BLUE, GREY, VERMILION, new_figure, panel_letters, remark, styled
from hpcspike.takes_results import refuse_other_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_VARIABLES = 20
"""Results that are listed, those with the largest share of differences first."""


@styled
def comparison_panels(comparison: xr.Dataset) -> Figure:
    """What differs between two sweeps or two networks.

    Parameters
    ----------
    comparison
        What `hpcspike.analysis.compare` returns.

    Returns
    -------
    Figure
        Left the correlation of every point (or neuron) in one against the other; right the share of values that differ,
        of every result in which any does, with the largest difference.
    """
    refuse_other_results("comparison", comparison)
    if "kind" not in comparison.attrs:
        raise DataError("this Dataset is no comparison: it must be what hpcspike.analysis.compare returns")
    figure = new_figure(7.4, 3.9)
    scores, shares = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    _scores(scores, comparison)
    _shares(shares, comparison)
    panel_letters([scores, shares])
    return figure


def _scores(axes: Axes, comparison: xr.Dataset) -> None:
    what = "point" if comparison.attrs["kind"] == "sweep" else "neuron"
    axes.set_title(f"correlation of every {what}")
    axes.set_xlabel("A")
    axes.set_ylabel("B")
    axes.set_aspect("equal")
    if "score_a" not in comparison or not comparison["score_a"].size:
        remark(axes, f"no {what} in both")
        return
    a, b = comparison["score_a"].values, comparison["score_b"].values
    apart = (a != b) & ~(np.isnan(a) & np.isnan(b))
    low = min(0.0, float(np.nanmin(np.concatenate([a, b, [0.0]]))))
    axes.plot([low, 1.0], [low, 1.0], color=GREY, lw=0.8, zorder=1)
    axes.plot(a[~apart], b[~apart], ".", color=BLUE, label=f"equal: {np.count_nonzero(~apart):,}")
    axes.plot(a[apart], b[apart], ".", color=VERMILION, label=f"different: {np.count_nonzero(apart):,}")
    axes.legend(loc="upper left", handletextpad=0.2)


def _shares(axes: Axes, comparison: xr.Dataset) -> None:
    axes.set_title("results that differ")
    axes.set_xlabel("share of values that differ (right: largest B − A)")
    axes.set_xlim(0.0, 1.0)
    share = (comparison["n_different"] / np.maximum(comparison["n_compared"], 1)).values
    order = [k for k in np.argsort(-share, kind="stable") if share[k] > 0][:MOST_VARIABLES]
    if not order:
        axes.set_yticks([])
        remark(axes, "none")
        return
    place = np.arange(len(order))
    axes.barh(place, share[order], color=VERMILION, height=0.7)
    names = comparison["variable"].values[order]
    axes.set_ylim(max(len(order), 8) - 0.5, -0.5)
    axes.set_yticks(place, [str(name).replace("_", " ") for name in names], fontsize=6.5)
    for k, largest in zip(place, comparison["largest_difference"].values[order], strict=True):
        words = "other length" if np.isnan(largest) else f"{largest:+.2g}"
        axes.annotate(words, (1.0, k), xytext=(4, 0), textcoords="offset points", va="center", fontsize=6.5)
