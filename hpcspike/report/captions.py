"""Captions of figures: short texts in reStructuredText, which begin with a bold sentence, the heading of the figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from hpcspike.errors import DataError, ResourceError

_HEADING = re.compile(r"^\s*\*\*(?P<heading>.+?)\*\*", re.DOTALL)
_PAGE = re.compile(r"_\d+$")


class Caption(NamedTuple):
    """Heading of a figure, and the text below it in reStructuredText (empty if there is none)."""

    heading: str
    text: str


def caption_of(folder: str | Path | None, name: str) -> Caption:
    """The caption of a figure: the file of its name in a folder; ``examples_2`` goes on from ``examples``.

    >>> caption_of(None, "map_best")
    Caption(heading='Map best', text='')
    """
    base = _PAGE.sub("", name)
    page = name.removeprefix(base).removeprefix("_")
    path = Path(folder or "") / f"{base}.rst"
    words = base.replace("_", " ").capitalize()
    text = path.read_text(encoding="utf-8") if folder is not None and path.is_file() else ""
    match = _HEADING.match(text)
    heading = " ".join(match["heading"].split()) if match else words
    if page:
        return Caption(f"{heading.rstrip('.')} ({page})", "More of the same kind, drawn as above." if text else "")
    # a heading that is no sentence of its own is part of the first one
    below = text[match.end() :] if match and heading.endswith(".") else text
    return Caption(heading.rstrip("."), below.strip())


def as_html(text: str) -> Markup:
    """A text in reStructuredText as HTML.

    Raises
    ------
    ResourceError
        If docutils is not installed.
    DataError
        If the text is not well formed.
    """
    if not text:
        return Markup()
    try:
        from docutils.core import publish_parts
    except ImportError:
        raise ResourceError(
            "captions need the package docutils; install it with pip install 'hpcspike[workflow]', or leave "
            "--captions out"
        ) from None
    from docutils.utils import SystemMessage

    # no files from outside, no settings of this machine, and no half-read text
    settings = {
        "_disable_config": True, "file_insertion_enabled": False, "raw_enabled": False, "halt_level": 2,
        "report_level": 2, "warning_stream": False,
    }  # fmt: skip
    try:
        return Markup(publish_parts(text, writer="html5", settings_overrides=settings)["body"].strip())
    except SystemMessage as error:
        raise DataError(f"a caption is no reStructuredText: {error}; it begins with {text[:40]!r}") from None
