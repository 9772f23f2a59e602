"""Pictures for a page: those that were drawn before, or drawn now."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.report.captions import as_html, caption_of
from hpcspike.report.page import DPI, Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def as_png(figure: Figure) -> bytes:
    """A figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)  # no window system, whatever the caller's backend is
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def pictures(
    figures: Mapping[str, Callable[[], Figure]], *, folder: Path | None, captions: Path | None, what: str
) -> list[Picture]:
    """The figures of something with their captions: from a folder where they were drawn, or drawn now.

    Parameters
    ----------
    figures
        Name -> function that draws it, in the order of the page.
    folder
        Where ``NAME.png`` may lie.
    captions
        Folder of the captions; none: headings are made of the names.
    what
        What the figures are of, for their descriptions.
    """
    return [_picture(name, png, captions, what) for name, png in _drawn(figures, folder)]


def _drawn(figures: Mapping[str, Callable[[], Figure]], folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for name, draw in figures.items():
        there = None if folder is None else folder / f"{name}.png"
        yield name, there.read_bytes() if there is not None and there.is_file() else as_png(draw())


def _picture(name: str, png: bytes, captions: Path | None, what: str) -> Picture:
    heading, text = caption_of(captions, name)
    alternative = f"{heading}: figure of {what}" + (", described below" if text else "")
    return Picture(f"figure-{name}", heading, alternative, png, as_html(text))
