"""A trained subset in its network: balance of currents, spread of activity, sums of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.figures.currents import COLOURS, draw_currents
from hpcspike.figures.study_parts import Variants, collected, networks, required
from hpcspike.figures.style import BLACK, BLUE, GREY, VERMILION, few_ticks, legend_below, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROUPS = {"trained": "trained", "untrained_excitatory": "untrained\nexcitatory", "inhibitory": "inhibitory"}
_MOST = 4


@styled
def spread_panels(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Currents of a trained neuron, rates and principal components of the untrained, sums of weights.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``spread``.
    variants
        Those shown, a row each; default: the first four.
    """
    shown = required(tree, "input_part", variants=variants)[:_MOST]
    figure = new_figure(13.0, 0.9 + 2.7 * len(shown))
    panels = figure.subplots(len(shown), 4, squeeze=False, width_ratios=[1.7, 1, 1.1, 1])
    for row, variant in zip(panels, shown, strict=True):
        first = next(one for one in networks(tree, variant) if "input_part" in one)
        _currents(row[0], first)
        _rates(row[1], tree, variant, first)
        _components(row[2], tree, variant, first)
        _sums(row[3], first)
        if len(shown) > 1:
            row[0].annotate(variant, (0.0, 1.18), xycoords="axes fraction", fontweight="bold", fontsize=9)
    handles = [Line2D([], [], color=colour, label=kind) for kind, colour in COLOURS.items()]
    handles += [Line2D([], [], ls="", marker="s", color=c, label=w) for c, w in ((GREY, "before"), (BLACK, "after"))]
    legend_below(figure, handles, ncols=6)
    return figure


def _currents(axes: Axes, network: xr.Dataset) -> None:
    words = draw_currents(axes, network["input_part"].isel(example=0), "part_time", network)
    axes.set_title(f"trained neuron {int(network['example'][0])}: means {words}", fontsize=7, loc="left")


def _bars(axes: Axes, tree: xr.DataTree, variant: str, names: tuple[str, str], groups: list[str], shift: float) -> None:
    """Values of groups before and after: mean over replicates, which are dots where there are several."""
    known = [str(name) for name in networks(tree, variant)[0]["group"].values]
    for k, (name, colour) in enumerate(zip(names, (GREY, BLACK), strict=True)):
        values = collected(tree, variant, name)[:, [known.index(group) for group in groups]]
        place = np.arange(len(groups)) + shift + 0.18 * (k - 0.5)
        axes.bar(place, np.nanmean(values, axis=0), width=0.16, color=colour)
        if len(values) > 1:
            axes.plot(place, values.T, ls="", marker=".", ms=3, color=VERMILION)


def _there(network: xr.Dataset, groups: list[str]) -> list[str]:
    # where all excitatory neurons are trained, there are no others
    return [name for name in groups if np.isfinite(network["group_rate_after"].sel(group=name))]


def _rates(axes: Axes, tree: xr.DataTree, variant: str, network: xr.Dataset) -> None:
    groups = _there(network, list(_GROUPS))
    _bars(axes, tree, variant, ("group_rate_before", "group_rate_after"), groups, 0.0)
    axes.set_xticks(range(len(groups)), [_GROUPS[name] for name in groups], fontsize=7)
    axes.set_ylabel("mean rate (Hz)")


def _components(axes: Axes, tree: xr.DataTree, variant: str, network: xr.Dataset) -> None:
    groups = _there(network, list(_GROUPS)[1:])
    for component, shift in (("first", -0.2), ("second", 0.2)):
        names = (f"group_{component}_before", f"group_{component}_after")
        _bars(axes, tree, variant, names, groups, shift)
        for place in range(len(groups)):
            axes.annotate(
                {"first": "PC 1", "second": "PC 2"}[component], (place + shift, 1.02), ha="center", fontsize=6
            )
    axes.set_xticks(range(len(groups)), [_GROUPS[name] for name in groups], fontsize=7)
    axes.set_ylim(0, 1.12)
    axes.set_ylabel("|correlation| with the\ncomponent of the trained")


def _sums(axes: Axes, network: xr.Dataset) -> None:
    words = []
    for side, colour in (("excitatory", VERMILION), ("inhibitory", BLUE)):
        before, after = (network[f"weight_sum_{when}"].sel(side=side).values for when in ("before", "after"))
        there = before != 0.0
        if there.any():
            change = 100.0 * (after[there] / before[there] - 1.0)
            axes.hist(change, bins=20, color=colour, histtype="stepfilled", alpha=0.6)
            words.append(f"{side} {float(f'{np.abs(change).mean():.2g}'):g} %")
    axes.axvline(0.0, color=GREY, lw=0.8, zorder=0)
    axes.set_xlabel("change of the sum of weights (%)")
    axes.set_ylabel("trained neurons")
    axes.set_title("mean size: " + ",\n".join(words), fontsize=7, loc="left")
    few_ticks(axes, "x", 4)
    few_ticks(axes, "y", 4, integer=True)
