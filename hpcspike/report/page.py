"""A page of HTML that stands for itself: its style, its script and its pictures are inside."""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment

DPI = 150
"""Resolution of pictures that are drawn for a page: above the page's own, so that they stay sharp."""

PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Section:
    """A part of a page: what the address of its heading is, the heading, and what stands below it."""

    key: str
    heading: str
    body: Markup


class Column(NamedTuple):
    """A column of a table: its heading, what it means, whether it holds numbers and can be chosen from."""

    heading: str | Markup
    meaning: str = ""
    number: bool = True
    chosen: bool = False


class Cell(NamedTuple):
    """What a cell shows, and the value by which rows are sorted and chosen."""

    shown: str | Markup
    value: str


class Picture(NamedTuple):
    """A figure: its address in the page, heading, what it shows for those who do not see it, PNG, and caption."""

    key: str
    heading: str
    alternative: str
    png: bytes
    caption: Markup = Markup()


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("hpcspike.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    environment.filters["shown_width"] = _shown_width
    return environment


def page(
    title: str, lead: Sequence[str | Markup], sections: Sequence[Section], *, refresh_seconds: int | None = None
) -> str:
    """The whole page: title, some sentences, and sections that are listed before the first.

    With ``refresh_seconds`` it loads itself again after so long.
    """
    from hpcspike.provenance import now, package_version

    folder = Path(__file__).parent / "templates"
    return _environment().get_template("page.html").render(
        title=title,
        lead=lead,
        sections=sections,
        refresh_seconds=refresh_seconds,
        made=f"hpcspike {package_version()}, {now()}",
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup((folder / "page.js").read_text(encoding="utf-8")),
    )  # fmt: skip


def part(name: str, **what: object) -> Markup:
    """A part of a page, made by a macro of parts.html."""
    return Markup(getattr(_environment().get_template("parts.html").module, name)(**what))


def facts(rows: Sequence[tuple[str | Markup, str | Markup]]) -> Markup:
    """Names and what they are, as a table of two columns."""
    return part("facts", rows=rows)


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    key: str,
    groups: Sequence[tuple[int, str]] = (),
) -> Markup:
    """A table that can be sorted by its headings and, in columns that say so, narrowed down to a value.

    Parameters
    ----------
    caption
        What it shows.
    columns, rows
        Headings and cells.
    key
        Its address in the page.
    groups
        Rows (by position) before which a line with a heading of its own stands; such a table is not sorted.
    """
    before = dict(groups)
    return part("table", caption=caption, columns=columns, rows=rows, key=key, before=before)


def figures(pictures: Sequence[Picture]) -> Markup:
    """Figures with headings and captions."""
    return part("figures", pictures=pictures)


def folded(summary: str, text: str) -> Markup:
    """A text in fixed-width letters that is shown when asked for."""
    return part("folded", summary=summary, text=text)


def command(text: str) -> Markup:
    """A command to copy: a click takes all of it."""
    return Markup('<code class="command">{}</code>').format(text)


def paragraph(text: str | Markup) -> Markup:
    """A paragraph."""
    return Markup("<p>{}</p>\n").format(text)


def number(value: float, digits: int = 3) -> str:
    """A number for a table; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:#.{digits}g}" if abs(value) >= 1e-4 else f"{value:.{digits}g}"
    if abs(value) >= 10.0**digits - 0.5:  # rounded it has more digits than that
        text = f"{value:.0f}"
    return text.rstrip(".").replace("-", "−")


def numeric(value: float, digits: int = 3) -> Cell:
    """A cell that holds a number."""
    return Cell(number(value, digits), repr(float(value)) if math.isfinite(value) else "")


def _shown_width(png: bytes) -> int:
    """Pixels of the page that a PNG takes, from the width and the resolution that its header states."""
    width, dpi = int.from_bytes(png[16:20], "big"), float(DPI)
    where = png.find(b"pHYs", 0, 4096)
    if where > 0 and png[where + 12] == 1:  # pixels per metre
        dpi = int.from_bytes(png[where + 4 : where + 8], "big") * 0.0254
    return round(width * PIXELS_PER_INCH / dpi)
