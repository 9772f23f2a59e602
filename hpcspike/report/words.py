"""How parameters, results and what became of networks are written on a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from hpcspike.figures.style import STATUS_COLOURS, STATUS_MARKERS, number
from hpcspike.measures.verdict import LIMITED
from hpcspike.notation import NAMES, html, letters, name_of
from hpcspike.variables import STATUS

SIGNS = {
    "learned": "○",
    "sampling": "△",
    "tracking": "□",
    "diverged": "✕",
    "silent": "–",
    "unjudged": "·",
    "recall": "▽",
}
"""The markers of the maps, as letters."""

FAILURES = {
    **LIMITED,
    "unjudged": "not judged: its score is no correlation",
    "recall": f"{LIMITED['recall']}: it follows its targets where a teacher starts it, but its cue does not",
}


LABELLED = ("sampling", "tracking", "recall")
"""What a network became, where that is a label of the kind of its error."""

LABELS = (
    "The label of a network that did not learn comes from the spectrum of its test trials: with more fast power than "
    "the targets (a positive spectral index) it is limited by sampling error, with less by tracking error, unless it "
    "follows its targets once a teacher has started the response: then it fails to recall. Clamped "
    "sampling and tracking errors, where there are any, are measured in another way, with every neuron driven by its "
    "target, and say how large each part is: the part that the label names need not be the larger one."
)
"""Where the label of a network comes from."""


def unit_of(array: xr.DataArray) -> str:
    """Unit of a variable with a space before it; empty if it has none."""
    units = str(array.attrs.get("units", "1"))
    return "" if units in ("1", "") else f" {units}"


def symbol(name: str) -> Markup:
    """A parameter, as the paper calls it."""
    called = name_of(name)
    letter = html(called.symbol) if called.symbol else ""
    return Markup(letter if called.well_known else f"{Markup.escape(called.words)} {letter}".rstrip())


def heading(array: xr.DataArray) -> Markup:
    """A parameter with its unit, for the heading of a column."""
    unit = unit_of(array).strip()
    return symbol(str(array.name)) + (f" ({unit})" if unit else "")


def spoken(array: xr.DataArray, value: Any) -> str:
    """A parameter and its value without markup: for those who hear a page, and for hints."""
    name = str(array.name)
    called = name_of(name)
    words = letters(called.symbol) if called.well_known else called.words
    return f"{words} = {plain(value)}{unit_of(array)}"


def written(array: xr.DataArray, value: Any) -> Markup:
    """A parameter and its value."""
    return symbol(str(array.name)) + f" = {plain(value)}{unit_of(array)}"


def meaning(array: xr.DataArray) -> str:
    """What a variable is, in words."""
    name = str(array.name)
    if name in NAMES:
        return name_of(name).words
    return str(array.attrs.get("long_name", name))


def span(array: xr.DataArray, values: np.ndarray) -> Markup:
    """A parameter that varies, with the values it takes."""
    called = name_of(str(array.name))
    letter = f" {html(called.symbol)}" if called.symbol else ""
    if values.dtype.kind in "iuf":
        listed = f"{plain(values[0])} to {plain(values[-1])}{unit_of(array)}"
    else:
        listed = ", ".join(plain(value) for value in values)
    return Markup("{}{} ({} values: {})").format(called.words, Markup(letter), len(values), listed)


def plain(value: Any) -> str:
    """A value of a parameter."""
    if isinstance(value, np.generic):
        value = value.item()
    return number(value) if isinstance(value, float) else str(value)


def key_of(value: Any) -> str:
    """A value of a parameter in full, by which rows are sorted and chosen."""
    return str(value.item() if isinstance(value, np.generic) else value)


def became(code: int) -> str:
    """What a network became: ``learned``, ``sampling`` and so on; empty for a code that means nothing."""
    return STATUS[code] if 0 <= code < len(STATUS) else ""


def status_words(status: str) -> Markup:
    """What a network became, with the marker of the maps."""
    words = f"{SIGNS[status]} {STATUS_MARKERS[status][1]}" if status else "–"
    return Markup('<span class="sign">{}</span>').format(words)


def status_colours(status: str) -> tuple[str, str]:
    """Background of a status and the ink that is legible on it."""
    return STATUS_COLOURS[status], ink_on(STATUS_COLOURS[status])


def ink_on(colour: str) -> str:
    """Black or white, whichever has the greater contrast with a colour (#rrggbb)."""
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))  # as WCAG 2 defines it
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
