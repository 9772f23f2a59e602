"""One look for all figures: sizes, colours that colour-blind readers can tell apart, labels with units."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation, Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from hpcspike.notation import NAMES, name_of, tex, units_of
from hpcspike.spec.learners import LEARNERS as SECTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

from hpcspike.takes_results import takes_results

P = ParamSpec("P")

LABELS_WIDTH = 0.5
"""Inches that the labels of an axis take on the left of a panel."""
HEAD, HEAD_ABOVE, LINE = "head", 15.0, 1.2
"""Mark of the heads of columns, and points from their panel; height of a line of words in units of the font size."""
LEGEND_PER_COLUMN = 4.8
"""Symbol of a legend's entry and the space beside it, in units of the font size."""

# typed Any since the names that matplotlib knows differ between its versions
SETTINGS: Any = {
    "figure.dpi": 110,
    "savefig.dpi": 180,
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

# the palette of Okabe and Ito, without its yellow, which is faint on white
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MANY = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499", "#DDCC77", "#666666")
"""For more lines than `PALETTE` has: the muted scheme of Paul Tol, told apart without red and green, a grey last."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
TARGET, RESPONSE = VERMILION, BLACK
NO_DATA = "#E3E3E3"
NO_VALUE = "no network has a value"

SEQUENTIAL, DIVERGING = "viridis", "PuOr"

CORRELATION = "mean correlation with target"
TIME = "time from end of cue (ms)"
"""Words of axes that many figures share."""

LEARNERS: dict[str, str] = {kind: section.title for kind, section in SECTIONS.items() if section.title is not None}
"""What learners are called, in the order in which they are drawn; others by their kind, after these."""

# status -> marker, word; the order is that of hpcspike.variables.STATUS
STATUS_MARKERS = {
    "learned": ("o", "learned"),
    "sampling": ("^", "sampling error (too fast)"),
    "tracking": ("s", "tracking error (too smooth)"),
    "diverged": ("x", "diverged"),
    "silent": ("_", "silent"),
    "unjudged": (".", "not judged"),
    "recall": ("v", "recall failure"),
}
STATUS_COLOURS = {
    "learned": GREEN,
    "sampling": SKY,
    "tracking": ORANGE,
    "diverged": BLACK,
    "silent": GREY,
    "unjudged": PURPLE,
    "recall": VERMILION,
}


def styled(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw inside the settings of this module, without touching those of the caller; other results are refused.

    A figure of a Dataset whose attribute ``stand_in`` says that its data are made up says so in its title.
    """

    function = takes_results(function)

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(SETTINGS):
            figure = function(*args, **kwargs)
            said = [getattr(data, "attrs", {}).get("stand_in") for data in (*args, *kwargs.values())]
            words = [text for text in said if text][:1]
            if words:
                title = figure.get_suptitle()
                heading(figure, f"{title} (data: {words[0]})" if title else f"data: {words[0]}")
            _wrap_titles_of_panels(figure)
            return figure

    return wrapped


def heading(figure: Figure | SubFigure, words: str) -> None:
    """The title over all panels, in as many lines as the width of the figure asks for."""
    figure.suptitle(wrapped_to(words, _width_of(figure), 9), fontsize=9)


def foot(figure: Figure | SubFigure, words: str) -> None:
    """A grey remark below all panels, in as many lines as their width asks for."""
    figure.supxlabel(wrapped_to(words, _width_of(figure), 8), fontsize=8, color=GREY)


def legend_below(
    figure: Figure | SubFigure, handles: Iterable[Any], labels: Iterable[str] | None = None, *, ncols: int,
    side: Literal["left", "center", "right"] = "center", **options: Any,
) -> None:  # fmt: skip
    """A legend below all panels, in at most ``ncols`` columns and no more than the figure has room for."""
    found = list(handles)
    said = [str(handle.get_label()) for handle in found] if labels is None else list(labels)
    font, beside = FontProperties(size=8), LEGEND_PER_COLUMN * 8 / 72

    def width(columns: int) -> float:
        parts = np.array_split(np.array([_wide(words, font) + beside for words in said]), columns)
        return float(sum(part.max() for part in parts))

    fitting = (columns for columns in range(min(ncols, len(said)), 1, -1) if width(columns) <= _width_of(figure))
    place: Any = f"outside lower {side}"
    figure.legend(found, said, loc=place, ncols=next(fitting, 1), **options)


def _width_of(figure: Figure | SubFigure) -> float:
    """Room for words (inches), without a margin at either side."""
    return float(figure.bbox.width / figure.dpi) - 0.3


def wrapped_to(words: str, width: float, size: float) -> str:
    """Words of a font size (points) in lines of at most ``width`` inches; formulas between two $ stay whole.

    >>> wrapped_to("one two three", 0.6, 9)
    'one two\\nthree'
    """
    font = FontProperties(size=size)
    lines: list[str] = []
    for line in words.split("\n"):
        lines.append("")
        for part in re.findall(r"\s*(?:\$[^$]*\$|\S)+", line):
            if lines[-1] and _wide(lines[-1] + part, font) > width:
                lines.append(part.lstrip())
            else:
                lines[-1] += part
    return "\n".join(lines)


def _wide(words: str, font: FontProperties) -> float:
    return float(TextPath((0, 0), words, prop=font).get_extents().width) / 72


def column_head(axes: Axes, words: str) -> None:
    """What a column of panels is of, in bold above the title of its first panel."""
    offset = (0.0, HEAD_ABOVE)
    axes.annotate(words, (0, 1), offset, xycoords="axes fraction", textcoords="offset points", weight="bold", gid=HEAD)


def _wrap_titles_of_panels(figure: Figure) -> None:
    """Titles of single panels end about where the next panel begins, or the figure ends; heads stay above them."""
    for axes in figure.axes:
        words, place = axes.get_title(loc="left"), axes.get_subplotspec()
        if not words.strip() or place is None:
            continue
        own: Any = axes.figure
        grid = place.get_gridspec()
        margins, between = own.subplotpars, grid.get_subplot_params(own).wspace  # those before the layout
        share = place.get_position(own).width / (margins.right - margins.left)
        share *= 1 + between * (grid.ncols - 1) / grid.ncols
        title = next(one for one in axes.get_children() if isinstance(one, Text) and one.get_text() == words)
        size = float(title.get_fontsize())
        title.set_text(wrapped_to(words, share * _width_of(own) - LABELS_WIDTH, size))
        for head in axes.texts:
            if head.get_gid() == HEAD and isinstance(head, Annotation):
                further = title.get_text().count("\n") - words.count("\n")
                head.xyann = (0.0, HEAD_ABOVE + further * LINE * size)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that keeps its labels apart."""
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.03)
    return Figure(figsize=(width, height), layout=engine)


def label(array: xr.DataArray | str, *, attrs: dict[str, Any] | None = None) -> str:
    """Axis label with unit: name and symbol of a parameter, or the long name of a result."""
    name = array if isinstance(array, str) else str(array.name)
    found = attrs if attrs is not None else ({} if isinstance(array, str) else array.attrs)
    parameter = name in NAMES or isinstance(array, str) or array.dims == (name,)
    if parameter or "long_name" not in found:
        called = name_of(name)
        words = called.words + (f" {tex(called.symbol)}" if called.symbol else "")
    else:
        words = str(found["long_name"])
    units = units_of(name, found)
    return f"{words} ({pretty_units(units)})" if units else words


def pretty_units(units: str) -> str:
    """Powers as superscripts: ms^-0.5 -> ms$^{-0.5}$."""
    parts = (part.partition("^") for part in units.split())
    return " ".join(base + (f"$^{{{power}}}$" if power else "") for base, _, power in parts)


def number(value: float) -> str:
    """A parameter value, at most three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def valued(name: str, value: Any, *, attrs: dict[str, Any] | None = None) -> str:
    """Name and value with unit, such as tau_c = 100 ms, for legends and titles; of a whole section its name."""
    called, units = name_of(name), units_of(name, attrs)
    letter = tex(called.symbol) if called.symbol else ""
    symbol = letter if called.well_known else f"{called.words} {letter}".rstrip()
    text = number(float(value)) if np.issubdtype(np.asarray(value).dtype, np.number) else str(value)
    if text in LEARNERS or text.startswith("{"):
        return section_name(text)
    if text == "nan":
        return f"no {symbol}"
    return f"{symbol} = {text}" + (f" {pretty_units(units)}" if units else "")


def valued_apart(name: str, values: Sequence[Any] | np.ndarray, *, attrs: dict[str, Any] | None = None) -> list[str]:
    """`valued` of several; sections of one name are told apart by the fields in which they differ."""
    words = [valued(name, value, attrs=attrs) for value in values]
    for word in {word for word in words if words.count(word) > 1}:
        same = [k for k, other in enumerate(words) if other == word and str(values[k]).startswith("{")]
        sections = [json.loads(str(values[k])) for k in same]
        fields = sorted({key for section in sections for key in section})
        differ = [key for key in fields if len({repr(section.get(key)) for section in sections}) > 1]
        for k, section in zip(same, sections, strict=True):
            words[k] = f"{word} ({', '.join(f'{key} = {section.get(key)}' for key in differ)})"
    return words


def section_name(text: str) -> str:
    """What a section of an experiment that was swept as a whole is called: a learner's name, else its kind or model.

    >>> section_name('{"kind": "lsnn", "passes": 30}'), section_name("rls"), section_name('{"model": "lif"}')
    ('LSNN', 'RLS', 'lif')
    """
    if not text.startswith("{"):
        return LEARNERS.get(text, text)
    section = json.loads(text)
    named = [str(section[key]) for key in ("path", "source", "kind", "model") if section.get(key)]
    return (
        LEARNERS.get(named[0], named[0]) if named else ", ".join(f"{key} = {value}" for key, value in section.items())
    )


def log_axis(axes: Axes, which: str, values: Sequence[float] | np.ndarray) -> None:
    """Logarithmic axis with plain numbers: at the values where they are few and short, else at 1, 2, 5 times 10^k."""
    values = np.asarray(values, dtype=np.float64)
    values = np.unique(values[values > 0])
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    spread = np.log(values[1:] / values[:-1]) if len(values) > 1 else np.array([np.inf])
    # of the axis, so that numbers do not run into each other: a figure takes about a fiftieth of a panel
    apart = max(0.06, 0.02 * max((len(number(value)) for value in values), default=0))
    if len(values) <= 8 and spread.min() > apart * np.log(values[-1] / values[0] if len(values) > 1 else 2):
        axis.set_major_locator(FixedLocator(list(values)))
    else:
        decades = np.log10(values[-1] / values[0])
        wide = (1.0,) if decades > 4 else (1.0, 3.0) if decades > 2.2 else (1.0, 2.0, 5.0)
        subs = wide if decades > 1.2 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
        axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    if len(values):  # explicit, since an axis without data would have no limits to scale to
        margin = (values[-1] / values[0]) ** 0.05 if len(values) > 1 else 1.2
        limits = (values[0] / margin, values[-1] * margin)
        _ = axes.set_xlim(limits) if which == "x" else axes.set_ylim(limits)
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def say_if_empty(axes: Axes) -> None:
    """A grey remark in panels whose curves hold no value at all, as when every network diverged."""
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=np.float64)).any() for line in axes.lines):
        remark(axes, NO_VALUE)


def remark(axes: Axes, words: str, height: float = 0.6) -> None:
    """A grey remark in the middle of a panel that has nothing to show."""
    axes.text(0.5, height, words, transform=axes.transAxes, ha="center", va="center", color=GREY, zorder=8)


def few_ticks(axes: Axes, which: str, count: int = 5, *, integer: bool = False) -> None:
    """At most ``count`` intervals on a linear axis."""
    (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(
        MaxNLocator(count, integer=integer, steps=[1, 2, 2.5, 5, 10])
    )


def panel_letters(panels: Sequence[Axes]) -> None:
    """Bold letters before the titles, in reading order."""
    if len(panels) < 2:
        return
    for letter, axes in zip("abcdefghijklmnopqrstuvwxyz", panels, strict=False):
        words = axes.get_title(loc="left")
        axes.set_title(rf"$\bf{{{letter}}}$  {words}", loc="left")


def ramp(count: int) -> list[Any]:
    """Colours from dark to bright for the curves of an ordered parameter; the brightest end is left out."""
    colours = matplotlib.colormaps[SEQUENTIAL]
    return [colours(x) for x in np.linspace(0.0, 0.82, count)] if count > 1 else [BLUE]


def ramped(values: np.ndarray, count: int, *, among: int | None = None) -> list[tuple[int, Any]]:
    """Positions of at most ``count`` values spread over all of them, ``among`` included, each with its colour."""
    chosen = [int(k) for k in spread_over(values, count, among=among)]
    return list(zip(chosen, ramp(len(chosen)), strict=True))


def share_of(name: str, shown: int, count: int) -> str:
    """How many values of a parameter are drawn where that is not all of them; else empty.

    >>> share_of("n_neurons", 3, 5), share_of("n_neurons", 3, 3)
    ('3 of 5 $N$ shown', '')
    """
    called = name_of(name)
    return f"{shown} of {count} {tex(called.symbol) if called.symbol else called.words} shown" if shown < count else ""


def edges(values: np.ndarray, *, log: bool) -> np.ndarray:
    """Cell edges half-way between grid values (in the logarithm if ``log``), shape (values + 1,)."""
    x = np.log(values) if log else np.asarray(values, dtype=np.float64)
    if len(x) == 1:
        half = np.array([0.35 if log else max(abs(x[0]) * 0.1, 0.5)])
        inner = np.empty(0)
        first, last = x[0] - half[0], x[0] + half[0]
    else:
        inner = (x[1:] + x[:-1]) / 2
        first, last = x[0] - (inner[0] - x[0]), x[-1] + (x[-1] - inner[-1])
    both = np.concatenate([[first], inner, [last]])
    return np.exp(both) if log else both


def spread_over(values: np.ndarray, count: int, *, among: int | None = None) -> np.ndarray:
    """Positions of at most ``count`` values, evenly spread from the first to the last.

    Parameters
    ----------
    among
        A position that must be one of them: it takes the place of the nearest between the ends.

    Examples
    --------
    >>> spread_over(np.arange(6), 4), spread_over(np.arange(6), 4, among=3)
    (array([0, 2, 3, 5]), array([0, 2, 3, 5]))
    >>> spread_over(np.arange(6), 3), spread_over(np.arange(6), 3, among=4)
    (array([0, 2, 5]), array([0, 4, 5]))
    """
    found = np.unique(np.round(np.linspace(0, len(values) - 1, min(count, len(values)))).astype(int))
    if among is not None and among not in found and len(found) > 2:
        found[1 + np.argmin(np.abs(found[1:-1] - among))] = among
    return found


def sets_of_loops(trained: xr.Dataset) -> np.ndarray:
    """Target set of every training loop, (loops,), counted from 0; results of earlier versions went through them."""
    if "loop_target_set" in trained:
        return np.asarray(trained["loop_target_set"].values)
    return np.arange(trained.sizes.get("loop", 0)) % trained.sizes.get("target_set", 1)
