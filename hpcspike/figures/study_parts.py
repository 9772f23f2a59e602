"""What the figures of a study share: its variants, values over replicates, places on the x axis, marks in time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from hpcspike.analysis.recorded import over_recorded
from hpcspike.errors import DataError
from hpcspike.figures.style import GREY, MANY, PALETTE, few_ticks, label, log_axis, number, ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CUE, BEYOND = "#EFE3C8", "#EEEEEE"
Variants = Sequence[str] | None


def document_of(tree: xr.DataTree) -> dict[str, Any]:
    """The study that was run, as plain data."""
    return dict(json.loads(tree.attrs["document"]))


def experiment_of(network: xr.Dataset) -> dict[str, Any]:
    """The experiment of one network, as plain data."""
    return dict(json.loads(network.attrs.get("experiment", "{}")))


def networks(tree: xr.DataTree, variant: str) -> list[xr.Dataset]:
    """The networks of a variant, replicate by replicate; of recorded targets with the results of the recorded units."""
    children = tree[f"/{variant}"].children
    return [over_recorded(children[name].to_dataset()) for name in sorted(children, key=int)]


def holding(tree: xr.DataTree, *names: str, variants: Variants = None) -> list[str]:
    """Those of the variants (default: all) of which a network holds all the named variables.

    Raises
    ------
    DataError
        If a variant is unknown.
    """
    known = list(document_of(tree)["variants"])
    for variant in variants or ():
        if variant not in known:
            raise DataError(f"variant {variant!r} is not in this study; choose among {', '.join(known)}")
    return [
        variant
        for variant in known
        if variant in (variants or known) and any(all(n in one for n in names) for one in networks(tree, variant))
    ]


def required(tree: xr.DataTree, *names: str, variants: Variants = None) -> list[str]:
    """As `holding`, or a DataError that says what is missing."""
    found = holding(tree, *names, variants=variants)
    if not found:
        raise DataError(f"no network of this study holds {' and '.join(names)}; see 'probes' and 'shown' in its file")
    return found


def collected(tree: xr.DataTree, variant: str, name: str) -> np.ndarray:
    """A variable of all replicates of a variant, (replicates that have it, ...); NaN after the end of shorter ones.

    Learning curves are shorter where training diverged.
    """
    there = [one[name].values for one in networks(tree, variant) if name in one]
    if not there:
        return np.empty(0)
    table = np.full((len(there), *np.max([values.shape for values in there], axis=0).astype(int)), np.nan)
    for row, values in enumerate(there):
        place: tuple[int | slice, ...] = (row, *(slice(length) for length in values.shape))
        table[place] = values
    return table


def pages(items: Sequence[Any], size: int) -> list[list[Any]]:
    """The items in groups of at most ``size``, as even as can be.

    >>> pages("abcde", 4)
    [['a', 'b', 'c'], ['d', 'e']]
    """
    count = max(1, -(-len(items) // size))
    bounds = [-(-k * len(items) // count) for k in range(count + 1)]
    return [list(items[begin:end]) for begin, end in zip(bounds, bounds[1:], strict=False)]


def packed(widths: dict[str, int], limit: int) -> list[list[str]]:
    """Names in their order, as many together as have at most ``limit`` columns, and at least one.

    >>> packed({"a": 2, "b": 2, "c": 3}, 4)
    [['a', 'b'], ['c']]
    """
    groups: list[list[str]] = []
    used = limit + 1
    for name, width in widths.items():
        if used + width > limit:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += width
    return groups


def numbers_in(variants: Sequence[str]) -> tuple[str, np.ndarray] | None:
    """What is varied and its values, if all names are one word and a number.

    >>> numbers_in(["ratio-0.5", "ratio-2"])
    ('ratio', array([0.5, 2. ]))
    >>> numbers_in(["drive", "rate"]) is None
    True
    """
    found = [re.fullmatch(r"(.*?)-?(\d+(?:\.\d+)?)", name) for name in variants]
    words = {match.group(1) for match in found if match}
    if len(variants) < 2 or not all(found) or len(words) != 1 or words == {""}:
        return None
    return words.pop().replace("-", " "), np.array([float(match.group(2)) for match in found if match])


def colours_of(variants: Sequence[str]) -> dict[str, Any]:
    """A colour for each variant: from dark to bright for numbers and for very many, else of a palette."""
    numeric = numbers_in(variants)
    for palette in (PALETTE, MANY) if numeric is None else ():
        if len(variants) <= len(palette):
            return dict(zip(variants, palette, strict=False))
    order = np.arange(len(variants)) if numeric is None else np.argsort(np.argsort(numeric[1], kind="stable"))
    shades = ramp(len(variants))
    return {name: shades[k] for name, k in zip(variants, order, strict=True)}


class Places(NamedTuple):
    """Where variants stand on an x axis: (variants,) places, and how far apart neighbours are (a factor if ``log``)."""

    x: np.ndarray
    step: float
    log: bool
    words: str | None

    def beside(self, shift: float) -> np.ndarray:
        """Places moved by a share of the distance between neighbours."""
        return self.x * self.step**shift if self.log else self.x + self.step * shift


def places_of(variants: Sequence[str], tree: xr.DataTree) -> Places:
    """On a number line if all names are one word and a number, logarithmic over a decade or more; else side by side."""
    numeric = numbers_in(variants)
    if numeric is None:
        return Places(np.arange(len(variants), dtype=np.float64), 1.0, False, None)
    words, x = numeric
    log = bool(x.min() > 0 and x.max() / x.min() >= 10)
    ordered = np.unique(x)
    near = 1.0 if len(ordered) < 2 else (ordered[1:] / ordered[:-1]).min() if log else np.diff(ordered).min()
    field = varied_field(tree)
    return Places(x, float(near), log, label(field) if field else words)


def varied_field(tree: xr.DataTree) -> str | None:
    """The field that tells the variants of a study apart, such as ``targets.random_fraction``; None if several do."""
    overlays = document_of(tree)["variants"].values()
    fields = {tuple(_leaves(overlay)) for overlay in overlays}
    return next(iter(fields))[0] if len(fields) == 1 and len(next(iter(fields))) == 1 else None


def _leaves(section: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def finish_places(axes: Axes, variants: Sequence[str], places: Places) -> None:
    """Ticks, limits and label of an x axis of variants."""
    if places.words is None:
        long = sum(len(name) + 1 for name in variants) > 26 * axes.get_position().width * 2
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if long else {}
        axes.set_xticks(places.x, list(variants), **turned)
        axes.set_xlim(-0.6, len(variants) - 0.4)
        axes.set_xlabel("variant")
    elif places.log:
        log_axis(axes, "x", places.x)
        axes.set_xlim(places.x.min() / places.step**0.4, places.x.max() * places.step**0.4)
        axes.set_xlabel(places.words)
    else:
        margin = max(0.5 * places.step, 0.04 * float(np.ptp(places.x)))
        axes.set_xlim(places.x.min() - margin, places.x.max() + margin)
        if len(places.x) <= 7 and places.step > 0.08 * np.ptp(places.x):
            axes.set_xticks(places.x, [number(x) for x in places.x])
        else:
            few_ticks(axes, "x", 6)
        axes.set_xlabel(places.words)


def cue_ms(network: xr.Dataset) -> float:
    """Length of the cue (ms), 0 if unknown."""
    return float(experiment_of(network).get("stimulus", {}).get("duration_ms", 0.0))


def mark_window(axes: Axes, *, cue: float, end: float, last: float) -> None:
    """Shade the cue and what lies beyond the trained window (ms from the end of the cue), and set the limits."""
    if cue > 0:
        axes.axvspan(-cue, 0, color=CUE, lw=0, zorder=0)
    if last > end:
        axes.axvspan(end, last, color=BEYOND, lw=0, zorder=0)
        axes.axvline(end, color=GREY, lw=0.7, zorder=0.5)
    axes.set_xlim(-cue, max(last, end))


def count_of_failed(values: np.ndarray) -> str:
    """How many networks have no value, empty if all have one."""
    missing = int((~np.isfinite(values)).sum())
    return f"{missing} of {len(values)}\nwithout value" if missing else ""
