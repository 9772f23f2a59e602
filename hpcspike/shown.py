"""How objects show themselves: one line in a terminal, a small table in a notebook, arrays by their shape."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_SHOWN = 160
"""Characters of one value that a line shows."""


class Shown:
    """A base for objects that hold arrays: they show what `_told` says of them."""

    def _told(self) -> list[tuple[str, str]]:
        return fields_in_words(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {text}' for name, text in self._told())})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, self._told())


def short_repr(thing: Any) -> str:
    """One line about a named tuple or dataclass, for its ``__repr__``."""
    return f"{type(thing).__name__}({', '.join(f'{name}={text}' for name, text in fields_in_words(thing))})"


def fields_in_words(thing: Any) -> list[tuple[str, str]]:
    """Name and short text of every field of a named tuple or dataclass."""
    names = getattr(thing, "_fields", None) or tuple(thing.__dataclass_fields__)
    return [(name, brief(getattr(thing, name))) for name in names]


def brief(value: Any) -> str:
    """A value in a line: arrays by shape and type, long ones cut."""
    if getattr(value, "ndim", 0) and hasattr(value, "dtype"):
        return f"<{' x '.join(map(str, value.shape))} {value.dtype}>"
    if isinstance(value, (list, tuple, dict)) and len(value) > 3:
        return f"<{len(value)} entries>"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 4]} ..."


def html_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """HTML of a title above rows of (name, text)."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{cells}</table></div>"
