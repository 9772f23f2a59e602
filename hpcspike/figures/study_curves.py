"""Learning curves and performance of the variants of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpcspike.figures import loops
from hpcspike.figures.study_parts import (
    Places,
    Variants,
    collected,
    colours_of,
    count_of_failed,
    finish_places,
    networks,
    places_of,
    required,
)
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    CORRELATION,
    GREY,
    VERMILION,
    few_ticks,
    legend_below,
    log_axis,
    new_figure,
    panel_letters,
    say_if_empty,
    sets_of_loops,
    styled,
)
from hpcspike.intervals import correlation_interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    **{name: loops.PANELS[name] for name in ("curve_correlation", "curve_weight_change")},
    "excluded_share": ("sign rule", "share of synapses excluded"),
}
LINES = ("-", "--", ":")
MOST_LINES = 30
"""Replicates above which a band stands for their lines."""
LONG = 100
"""Loops from which their axis is logarithmic."""

MEASURES = {
    "correlation": (BLACK, "o", "single trials"),
    "correlation_trial_mean": (BLUE, "s", "trial average"),
    "correlation_phi": (VERMILION, "^", r"$\phi(u + I)$, single trials"),
}


@styled
def study_curves(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Correlation and weight change in every training loop (paper Figs 1c, 1e): replicates thin, their mean strong.

    Of more than 30 replicates the band that holds 90 % of them stands for their lines.

    Parameters
    ----------
    tree
        Networks of a study.
    variants
        Those shown; default: all. Each of several target sets (at most 3) has a line style, if their loops
        alternate.
    """
    shown = required(tree, "curve_correlation", variants=variants)
    colours = colours_of(shown)
    names = [name for name in PANELS if any(name in one for v in shown for one in networks(tree, v))]
    figure = new_figure(0.6 + 3.7 * len(names), 3.2 + 0.2 * (-(-len(shown) // 4)))
    panels = np.atleast_1d(figure.subplots(1, len(names)))
    n_sets = 1
    for variant in shown:
        sets = _sets_drawn(networks(tree, variant))
        n_sets = max(n_sets, sets)
        for axes, name in zip(panels, names, strict=True):
            _curves(axes, collected(tree, variant, name), sets, colours[variant])
    for axes, name in zip(panels, names, strict=True):
        _finish_curves(axes, name)
        if name == "curve_correlation" and _judged(tree, shown):
            axes.set_ylabel(f"{axes.get_ylabel()}, all neurons")
    handles: list[Artist] = [Line2D([], [], color=colours[variant], label=variant) for variant in shown]
    if n_sets > 1:
        for target_set, style in enumerate(LINES[:n_sets]):
            handles.append(Line2D([], [], color=GREY, ls=style, label=f"target set {target_set + 1}"))
    if any(len(networks(tree, variant)) > MOST_LINES for variant in shown):
        handles.append(Patch(color=GREY, alpha=0.3, lw=0, label="middle 90 % of the networks"))
    legend_below(figure, handles, ncols=4)
    panel_letters(list(panels))
    return figure


def _sets_drawn(all_networks: list[xr.Dataset]) -> int:
    """Number of target sets with a line of their own: 1 where networks go through them in another order each."""
    n_sets = int(all_networks[0].sizes.get("target_set", 1))
    in_turn = all((sets_of_loops(one) == np.arange(one.sizes.get("loop", 0)) % n_sets).all() for one in all_networks)
    return n_sets if in_turn else 1


def _curves(axes: Axes, values: np.ndarray, n_sets: int, colour: Any) -> None:
    if not values.size:
        return
    loop = np.arange(1, values.shape[1] + 1)
    for target_set, style in enumerate(LINES[:n_sets]):
        chosen = slice(target_set, None, n_sets)
        part, x = values[:, chosen], loop[chosen]
        if len(part) > MOST_LINES:
            there = np.isfinite(part).any(axis=0)
            low, high = np.nanquantile(part[:, there], (0.05, 0.95), axis=0)
            axes.fill_between(x[there], low, high, color=colour, alpha=0.3, lw=0)
        elif len(part) > 1:
            for one in part:
                axes.plot(x, one, color=colour, lw=0.6, alpha=0.4, ls=style)
        known = np.isfinite(part)
        with np.errstate(invalid="ignore"):
            mean = np.where(known, part, 0.0).sum(axis=0) / known.sum(axis=0)
        axes.plot(x, mean, color=colour, lw=1.8, ls=style, marker="o" if len(x) == 1 else None)


def _finish_curves(axes: Axes, name: str) -> None:
    say_if_empty(axes)
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines] or [np.empty(0)])
    longest = max((float(np.max(np.asarray(line.get_xdata()), initial=1.0)) for line in axes.lines), default=1.0)
    if longest >= LONG:
        log_axis(axes, "x", np.arange(1, longest + 1))
    else:
        few_ticks(axes, "x", integer=True)
    if name == "curve_weight_change" and np.isfinite(values).any() and np.nanmin(values) > 0:
        log_axis(axes, "y", np.geomspace(np.nanmin(values), np.nanmax(values), 20))
    title, words = PANELS[name]
    axes.set_xlabel("training loop")
    axes.set_ylabel(words)
    axes.set_title(title)


@styled
def performance_by_variant(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Correlation with the targets and population rate of every variant (paper Figs 3c, 3 supplement 1, 5e).

    A dot per replicate, their mean with its 95 % interval (Student's t). The x axis is a number line if the names of
    all variants are one word and a number, such as ``fraction-0.25``.

    Parameters
    ----------
    tree
        Networks of a study.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "correlation", variants=variants)
    places = places_of(shown, tree)
    width = float(np.clip(1.6 + 0.55 * len(shown), 3.2, 6.4))
    found = {name: [collected(tree, variant, name) for variant in shown] for name in MEASURES}
    rates = [collected(tree, variant, "population_rate") for variant in shown]
    spiking = _has_values(rates) or not _has_values(found["correlation"])  # rate units have no spikes to count
    panels = 1 + spiking
    figure = new_figure(0.8 + panels * width, 3.9)
    left, *others = figure.subplots(1, panels, squeeze=False)[0]
    known = [name for name in MEASURES if _has_values(found[name])] or ["correlation"]
    for k, name in enumerate(known):
        colour, marker, words = MEASURES[name]
        shift = (0.24 if places.words is None else 0.16) * (k - (len(known) - 1) / 2)
        draw_replicates(
            left, places, found[name], shift=shift, colour=colour, marker=marker, words=words, correlation=True
        )
    for x, one in zip(places.x, found["correlation"], strict=True):
        left.text(
            x, 0.02, count_of_failed(one), transform=left.get_xaxis_transform(), fontsize=7, color=GREY, ha="center"
        )
    for right in others:
        draw_replicates(right, places, rates, shift=0.0, colour=BLACK, marker="o", words="population rate")
        data = [mean_interval(collected(tree, variant, "target_rate_recorded")).value for variant in shown]
        if np.isfinite(data).any():
            right.plot(places.x, data, color=GREY, ls="--", lw=1.0, label="mean rate in the data")
    over = _judged(tree, shown)
    rate = f"mean rate{over} (Hz)" if over else "population rate (Hz)"
    for axes, words in zip((left, *others), (f"{CORRELATION}{over}", rate), strict=False):
        say_if_empty(axes)
        finish_places(axes, shown, places)
        axes.set_ylabel(words)
    show_whole(left)
    for right in others:
        right.set_ylim(bottom=0)
    handles, words_ = left.get_legend_handles_labels()
    for right in others:
        of_data = [line for line in right.lines if line.get_linestyle() == "--"]
        handles, words_ = [*handles, *of_data], [*words_, *(str(line.get_label()) for line in of_data)]
    legend_below(figure, handles, words_, ncols=len(handles))
    panel_letters([left, *others])
    return figure


def _judged(tree: xr.DataTree, variants: Sequence[str]) -> str:
    """Over which neurons networks are judged if not over all, after a comma; '' otherwise."""
    judged = {one.attrs["judged"] for variant in variants for one in networks(tree, variant) if "judged" in one.attrs}
    return f", {judged.pop()}" if judged else ""


def _has_values(found: list[np.ndarray]) -> bool:
    return any(np.isfinite(one).any() for one in found)


def show_whole(axes: Axes) -> None:
    """An axis of correlations up to 1 and down to the lowest end of an interval, at least to 0."""
    lowest = min(0.0, axes.dataLim.y0) if np.isfinite(axes.dataLim.y0) else 0.0
    axes.set_ylim(lowest - 0.05 * (lowest < 0), 1.03)


def _beside_each_other(count: int, places: Places) -> np.ndarray:
    """Shifts of many dots at one place, evenly spread over a tenth of the way to the next in no order of theirs."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    return (np.arange(count) * golden % 1.0 - 0.5) * 0.1 * (0.0 if places.log else places.step)


def draw_replicates(
    axes: Axes,
    places: Places,
    values: list[np.ndarray],
    *,
    shift: float,
    colour: Any,
    marker: str,
    words: str,
    joined: bool | None = None,
    correlation: bool = False,
) -> None:
    """A faint dot per replicate and the mean with its 95 % interval at every place; joined on a number line.

    The interval of a correlation is cut to [-1, 1].
    """
    x = places.beside(shift)
    for place, one in zip(places.beside(shift - 0.06), values, strict=True):
        if len(one) > 1:
            many = len(one) > MOST_LINES
            dots = place + _beside_each_other(len(one), places) * many
            size, alpha = (2.5, 0.3) if many else (3.5, 0.45)
            axes.plot(dots, one, ls="", marker=marker, ms=size, color=colour, alpha=alpha, mew=0)
    found = [(correlation_interval if correlation else mean_interval)(one) for one in values]
    means, below, above = np.array([(one.value, one.value - one.low, one.high - one.value) for one in found]).T
    order = np.argsort(x)
    joined = places.words is not None if joined is None else joined
    axes.errorbar(
        x[order],
        means[order],
        yerr=np.nan_to_num([below, above])[:, order] if np.isfinite(above).any() else None,
        ls="-" if joined else "",
        lw=1.0,
        marker=marker,
        ms=5,
        color=colour,
        elinewidth=1.0,
        label=words,
    )
