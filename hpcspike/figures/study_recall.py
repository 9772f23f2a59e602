"""Whether a cue recalls its target set, whatever the network did before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.figures.study_parts import Variants, collected, pages, required
from hpcspike.figures.style import BLACK, NO_DATA, SEQUENTIAL, few_ticks, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, WRITTEN = 4, 6
MATRICES = {"recall_correlation": "with the cued set", "recall_confusion": "with the set before"}


def recall_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of recall."""
    return pages(required(tree, "recall_correlation"), COLUMNS)


@styled
def recall_matrices(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Correlation of the response to a cue with the cued target set, and with the one evoked just before (paper Fig 2).

    Parameters
    ----------
    tree
        Networks of a study with the probe ``recall``; means over replicates are shown.
    variants
        Those shown, a column each; default: the first four.
    """
    shown = required(tree, "recall_correlation", variants=variants or recall_pages(tree)[0])
    figure = new_figure(1.5 + 2.4 * len(shown), 5.4)
    panels = figure.subplots(2, len(shown), squeeze=False)
    means = {(v, name): collected(tree, v, name).mean(axis=0) for v in shown for name in MATRICES}
    low = min([0.0, *(float(np.nanmin(one)) for one in means.values() if np.isfinite(one).any())])
    for column, variant in enumerate(shown):
        for axes, (name, words) in zip(panels[:, column], MATRICES.items(), strict=True):
            mesh = _matrix(axes, means[variant, name], low)
            axes.set_title(f"{variant}\n{words}" if name == "recall_correlation" else words)
            axes.set_xlabel("preceding set")
    for axes in panels[:, 0]:
        axes.set_ylabel("cued set")
    figure.colorbar(mesh, ax=list(panels.ravel()), pad=0.02, label="mean correlation")
    return figure


def _matrix(axes: Axes, values: np.ndarray, low: float) -> Any:
    axes.set_facecolor(NO_DATA)
    sets = np.arange(1, values.shape[0] + 2) - 0.5
    mesh = axes.pcolormesh(sets, sets, np.ma.masked_invalid(values), cmap=SEQUENTIAL, vmin=low, vmax=1.0)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    few_ticks(axes, "x", integer=True)
    few_ticks(axes, "y", integer=True)
    if len(values) <= WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            colour = "white" if (value - low) / (1.0 - low) < 0.6 else BLACK
            axes.text(column + 1, row + 1, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    return mesh
