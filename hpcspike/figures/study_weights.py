"""Eigenvalues of the weights before and after training, and how heterogeneous the targets are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from hpcspike.figures.study_curves import draw_replicates
from hpcspike.figures.study_parts import Variants, collected, finish_places, networks, pages, places_of, required
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
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

COLUMNS, BINS = 4, 40
NEGLIGIBLE = 1e-3
"""Error of the best weights, in s.d. of the target, below which it has no panel of its own."""
COLOURS = {"before": GREY, "after": BLUE}
RANKS = {
    "full_rank": (GREY, "D", "largest possible"),
    "rank": (BLACK, "o", "numerical rank"),
    "effective_rank": (ORANGE, "s", "participation ratio"),
}


def eigenvalue_pages(tree: xr.DataTree) -> list[list[str]]:
    """Variants of each figure of eigenvalues."""
    return pages(required(tree, "eigenvalue_real_after"), COLUMNS)


@styled
def eigenvalue_panels(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Modulus of the eigenvalues and their place in the complex plane, before and after training (paper Fig 4h).

    Parameters
    ----------
    tree
        Networks of a study with the probe ``spectrum``.
    variants
        Those shown, a column each; default: the first four.
    """
    shown = required(tree, "eigenvalue_real_after", variants=variants or eigenvalue_pages(tree)[0])
    figure = new_figure(0.6 + max(2.8 * len(shown), 4.4), 5.4)
    panels = figure.subplots(2, len(shown), squeeze=False, height_ratios=[2, 3])
    for (above, below), variant in zip(panels.T, shown, strict=True):
        _moduli(above, tree, variant)
        _plane(below, next(one for one in networks(tree, variant) if "eigenvalue_real_after" in one))
        above.set_title(_title(tree, variant))
        above.set_xlabel("modulus of eigenvalues")
        below.set_xlabel("real part")
    panels[0, 0].set_ylabel("eigenvalues per network")
    panels[1, 0].set_ylabel("imaginary part")
    handles = [Line2D([], [], ls="", marker="o", color=COLOURS[n], label=w) for n, w in _WORDS.items()]
    handles.append(Line2D([], [], color=BLACK, lw=0.8, label="unit circle"))
    legend_below(figure, handles, ncols=3)
    return figure


_WORDS = {"before": "untrained", "after": "trained"}


def _title(tree: xr.DataTree, variant: str) -> str:
    radii = [collected(tree, variant, f"spectral_radius_{name}") for name in COLOURS]
    if not all(len(one) for one in radii):
        return variant
    return f"{variant}\nspectral radius {np.mean(radii[0]):.2f}, trained {np.mean(radii[1]):.2f}"


def _moduli(axes: Axes, tree: xr.DataTree, variant: str) -> None:
    modulus = {
        name: np.hypot(*(collected(tree, variant, f"eigenvalue_{part}_{name}") for part in ("real", "imag")))
        for name in COLOURS
    }
    top = max(float(np.nanmax(one)) for one in modulus.values())
    edges = np.linspace(0.0, top * 1.02 or 1.0, BINS + 1)
    for name, values in modulus.items():
        counts, _ = np.histogram(values[np.isfinite(values)], edges)
        fill = name == "before"
        axes.stairs(counts / len(values), edges, color=COLOURS[name], fill=fill, lw=1.5, alpha=0.6 if fill else 1.0)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, edges[-1])
    few_ticks(axes, "x", 4)


def _plane(axes: Axes, network: xr.Dataset) -> None:
    reach = 1.05
    for name, colour in COLOURS.items():
        real, imag = (network[f"eigenvalue_{part}_{name}"].values for part in ("real", "imag"))
        axes.plot(real, imag, ls="", marker="o", ms=1.8, mew=0, color=colour, alpha=0.7, rasterized=True)
        reach = max(reach, 1.05 * float(np.nanmax(np.abs([real, imag]))))
    axes.add_patch(Circle((0, 0), 1.0, fill=False, ec=BLACK, lw=0.8))
    axes.set_aspect("equal")
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    few_ticks(axes, "x", 4)
    few_ticks(axes, "y", 4)


@styled
def rank_by_variant(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Rank of the targets' rates in quasi-static bins, and the error of the best weights, per variant (section 4.6).

    Parameters
    ----------
    tree
        Networks of a study with the probe ``heterogeneity``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "rank", variants=variants)
    places = places_of(shown, tree)
    residuals = [collected(tree, variant, "best_fit_residual") for variant in shown]
    largest = max((float(np.nanmax(one)) for one in residuals if np.isfinite(one).any()), default=np.nan)
    there = largest >= NEGLIGIBLE
    width = float(np.clip(1.8 + 0.55 * len(shown), 3.4, 6.4))
    figure = new_figure(0.8 + (1 + there) * width, 3.8)
    panels = np.atleast_1d(figure.subplots(1, 1 + there))
    for k, (name, (colour, marker, words)) in enumerate(RANKS.items()):
        values = [collected(tree, variant, name) for variant in shown]
        draw_replicates(panels[0], places, values, shift=0.24 * (k - 1), colour=colour, marker=marker, words=words)
    panels[0].set_ylabel("rank of the targets' rates")
    if there:
        draw_replicates(panels[1], places, residuals, shift=0.0, colour=BLACK, marker="o", words="residual")
        panels[1].set_ylabel("rms error of the best weights\n/ s.d. of the target")
    for axes in panels:
        say_if_empty(axes)
        finish_places(axes, shown, places)
        axes.set_ylim(0, axes.get_ylim()[1])
    if largest < NEGLIGIBLE:  # a panel of rounding errors would look empty
        panels[0].set_title(f"error of the best weights:\nat most {largest:.0e} s.d. of the target")
    handles, words_ = panels[0].get_legend_handles_labels()
    legend_below(figure, handles, words_, ncols=3)
    panel_letters(list(panels))
    return figure
