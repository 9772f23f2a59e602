"""What trained networks stand: loss of neurons, shuffled synapses, one deleted spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpcspike.figures.study_parts import (
    Variants,
    collected,
    colours_of,
    document_of,
    networks,
    pages,
    required,
)
from hpcspike.figures.style import (
    BLUE,
    CORRELATION,
    GREY,
    MARKERS,
    ORANGE,
    TIME,
    few_ticks,
    legend_below,
    new_figure,
    panel_letters,
    say_if_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
WINDOW = "#FBF1DC"


@styled
def lesion_curves(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Correlation against the share of neurons lost (paper Fig 3d): mean and s.d. over draws and replicates.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``lesion``.
    variants
        Those shown; default: all.
    """
    panels = {"lesion_correlation": CORRELATION}
    among = ((document_of(tree).get("probes") or {}).get("lesion") or {}).get("among", "all")
    who = "neurons" if among == "all" else f"{among.replace('_', ' ')} neurons"
    return _altered(tree, "lesion_fraction", panels, f"share of {who} lost", variants)


@styled
def shuffle_curves(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Correlation against the share of synapses shuffled (paper Fig 5f): mean and s.d. over draws and replicates.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``shuffle``.
    variants
        Those shown; default: all.
    """
    panels = {
        "shuffle_correlation": "correlation of trial average",
        "shuffle_correlation_phi": r"correlation of $\phi(u + I)$",
    }
    return _altered(tree, "shuffle_fraction", panels, "share of synapses among recorded neurons shuffled", variants)


def _altered(tree: xr.DataTree, abscissa: str, panels: dict[str, str], words: str, variants: Variants) -> Figure:
    shown = required(tree, next(iter(panels)), variants=variants)
    there = {
        name: text for name, text in panels.items() if any(np.isfinite(collected(tree, v, name)).any() for v in shown)
    }
    there = there or dict([next(iter(panels.items()))])
    colours = colours_of(shown)
    figure = new_figure(0.8 + 4.0 * len(there), 3.3 + 0.2 * (-(-len(shown) // 3)))
    all_axes = np.atleast_1d(figure.subplots(1, len(there), sharey=True))
    for axes, (name, text) in zip(all_axes, there.items(), strict=True):
        for k, variant in enumerate(shown):
            x = next(one[abscissa].values for one in networks(tree, variant) if abscissa in one)
            near = float(np.diff(np.unique(x)).min()) if len(np.unique(x)) > 1 else 1.0
            shift = 0.05 * near * (k - (len(shown) - 1) / 2) * min(1.0, 4 / len(shown))
            _scattered(axes, x + shift, collected(tree, variant, name), colours[variant], MARKERS[k % len(MARKERS)])
        say_if_empty(axes)
        axes.set_xlabel(words if len(there) == 1 else words.replace(" among", "\namong"))
        axes.set_ylabel(text)
        low = axes.get_ylim()[0]
        axes.set_ylim(low - 0.03 if low < 0 else 0.0, 1.03)  # whole markers
        axes.tick_params(labelleft=True)
        few_ticks(axes, "x", 6)
    handles = [Line2D([], [], color=colours[v], marker=MARKERS[k % len(MARKERS)], label=v) for k, v in enumerate(shown)]
    legend_below(figure, handles, ncols=3)
    panel_letters(list(all_axes))
    return figure


def _scattered(axes: Axes, x: np.ndarray, values: np.ndarray, colour: Any, marker: str) -> None:
    """(replicates, fractions, draws): each faint, mean and s.d. strong; NaN left out."""
    if not values.size:
        return
    flat = values.transpose(1, 0, 2).reshape(len(x), -1)
    axes.plot(x, flat, ls="", marker=".", ms=3.5, color=colour, alpha=0.35, mew=0)
    known = np.isfinite(flat)
    kept = [row[there] for row, there in zip(flat, known, strict=True)]
    mean = np.array([row.mean() if len(row) else np.nan for row in kept])
    spread = np.array([row.std(ddof=1) if len(row) > 1 else 0.0 for row in kept])
    axes.errorbar(x, mean, yerr=spread, color=colour, marker=marker, ms=5, elinewidth=1.0)


def perturbation_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of phase deviations."""
    return pages(required(tree, "phase_deviation_after"), 2 * COLUMNS)


@styled
def phase_deviation(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Mean phase deviation after one spike was deleted, before and after training (paper Fig 4g).

    Parameters
    ----------
    tree
        Networks of a study with the probe ``perturbation``.
    variants
        Those shown, a panel each; default: the first six.
    """
    shown = required(tree, "phase_deviation_after", variants=variants or perturbation_pages(tree)[0])
    columns = min(len(shown), COLUMNS)
    rows = -(-len(shown) // columns)
    figure = new_figure(0.6 + max(3.3 * columns, 5.0), 0.9 + 2.5 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    deleted = float(document_of(tree).get("probes", {}).get("perturbation", {}).get("delay_ms", np.nan))
    for axes, variant in zip(panels, shown, strict=False):
        first = next(one for one in networks(tree, variant) if "phase_deviation_after" in one)
        time = first["deviation_time"].values
        window = float(first["window_ms"]) if "window_ms" in first else float(first["target_time"].values[-1])
        axes.axvspan(0, window, color=WINDOW, lw=0, zorder=0)
        axes.axvline(deleted, color=ORANGE, lw=1.0, ls=(0, (2, 2)), zorder=1)
        for name, colour in (("before", GREY), ("after", BLUE)):
            values = collected(tree, variant, f"phase_deviation_{name}")
            if len(values) > 1:
                axes.plot(time, values.T, color=colour, lw=0.5, alpha=0.5)
            known = values[np.isfinite(values).all(axis=1)]  # the others had no spike to delete
            axes.plot(time, known.mean(axis=0) if len(known) else values[0], color=colour, lw=1.8)
        say_if_empty(axes)
        axes.set_xlim(min(0.0, time[0]), time[-1])
        axes.set_title(variant)
        axes.set_xlabel(TIME)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    panels[0].set_ylim(bottom=0)
    for axes in panels[::columns]:
        axes.set_ylabel("phase deviation (rad)")
    handles = [
        Line2D([], [], color=GREY, lw=1.8, label="untrained"),
        Line2D([], [], color=BLUE, lw=1.8, label="trained"),
        Line2D([], [], color=ORANGE, lw=1.0, ls=(0, (2, 2)), label="spike deleted"),
        Patch(color=WINDOW, label="trained window"),
    ]
    legend_below(figure, handles, ncols=4)
    return figure
