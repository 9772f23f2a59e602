"""Captions of figures: short texts in reStructuredText, which begin with a bold sentence, the heading of the figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from hpcspike.errors import DataError, ResourceError

_HEADING = re.compile(r"^\s*\*\*(?P<heading>.+?)\*\*", re.DOTALL)


class Caption(NamedTuple):
    """Heading of a figure, and the text below it in reStructuredText (empty if there is none)."""

    heading: str
    text: str


def caption_of(folder: str | Path | None, name: str) -> Caption:
    """The caption of a figure: `caption_file`, with what its own name says beyond that file's in brackets.

    >>> caption_of(None, "map_best")
    Caption(heading='Map best', text='')
    """
    path = caption_file(folder, name)
    base = path.stem if path else re.sub(r"_\d+$", "", name)
    part = name.removeprefix(base).removeprefix("_")
    text = path.read_text(encoding="utf-8") if path else ""
    match = _HEADING.match(text)
    heading = " ".join(match["heading"].split()) if match else base.replace("_", " ").capitalize()
    # a heading that is no sentence of its own is part of the first one
    below = text[match.end() :] if match and heading.endswith(".") else text
    if part.isdigit() and text:
        below = "More of the same kind, drawn as above."
    heading = heading.rstrip(".")
    return Caption(f"{heading} ({part.replace('_', ' ')})" if part else heading, below.strip())


def caption_file(folder: str | Path | None, name: str) -> Path | None:
    """The file that describes a figure: ``examples_2`` goes on from ``examples``, ``map_lsnn`` is a ``map``."""
    words = name.split("_")
    files = [Path(folder or "") / f"{'_'.join(words[:count])}.rst" for count in range(len(words), 0, -1)]
    return next((path for path in files if folder is not None and path.is_file()), None)


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
