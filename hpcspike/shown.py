"""How objects show themselves in a notebook: a title and a table of two columns, a few lines high."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """HTML of a title above rows of (name, text)."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{cells}</table></div>"
