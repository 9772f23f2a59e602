"""YAML as experiments are written in it: one reader for files, ``--set`` and ``--where``.

It takes the core schema of YAML 1.2 and refuses what YAML 1.1 reads in another way than people do: 020 as 16, yes as
true, 1:40 as 100. Keys are text. What an alias repeats is copied, and counted.
"""

from __future__ import annotations

import copy
import math
import re
import stat
from itertools import islice
from pathlib import Path
from typing import Any

from hpcspike.errors import SpecError

MOST_BYTES = 16 * 2**20
"""Largest file: a sweep may list 10^6 values of an axis."""
MOST_VALUES = 2_000_000
"""Most values of a file, those that aliases repeat among them."""
DEEPEST = 40
"""Most sections and lists in one another."""
_SHOWN = 60
_SHOWN_VALUES = 8
_SHOWN_DEPTH = 3
_LONGEST_NUMBER = 40

_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
_WORDS = {"": None, "~": None, **dict.fromkeys(("null", "Null", "NULL"))} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_YES = re.compile(r"yes|on", re.IGNORECASE)
_NO = re.compile(r"no|off", re.IGNORECASE)
_OTHER_BASE = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F_]+|[oO][0-7_]+|[bB][01_]+)")
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE)


def read_text(path: Path) -> str:
    """The text of a config.

    Raises
    ------
    SpecError
        If it is missing, no file, too large, or not text in UTF-8.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise SpecError(f"{path}: cannot be read, it is {what}; give the path of an experiment in YAML")
        if status.st_size > MOST_BYTES:
            raise SpecError(
                f"{path}: cannot be read, it has {status.st_size / 2**20:,.0f} MiB, at most {MOST_BYTES >> 20} are "
                "possible; give the path of an experiment in YAML"
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of an experiment in YAML") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: cannot be read, it is not text in UTF-8; save it as plain text in UTF-8") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error}); check path and permissions") from None


def parse_yaml(text: str) -> Any:
    """What a text in YAML says: None if it says nothing.

    Raises
    ------
    SpecError
        If it is no YAML, holds a value that can be read in several ways, a key twice, several documents, or too much.
    """
    import yaml

    try:
        return _Reader(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.reader.ReaderError as error:
        found = f"#x{error.character:x}" if isinstance(error.character, int) else repr(error.character)
        raise SpecError(f"not valid YAML: the character {found} cannot be in it; save it as plain text") from None
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {_where(error)}") from None


def parse_value(text: str) -> Any:
    """What a single value says, as if it stood in a file.

    Raises
    ------
    SpecError
        As `parse_yaml`, without its place in a file.
    """
    plain = text.strip()
    if _NUMBER.fullmatch(plain) or plain in _WORDS or why_ambiguous(plain):  # no comments, no dashes: at once
        return _plain_value(plain)
    return parse_yaml(text)


def why_ambiguous(text: str) -> str | None:
    """What forbids to write a value in this way, without quotes, and what to write; None if nothing does."""
    if _LEADING_ZERO.match(text) and _NUMBER.fullmatch(text):
        return f"a number that begins with 0 is octal to some; write {_decimal(text)}"
    if _OTHER_BASE.fullmatch(text):
        return "numbers are written in decimals here"
    if "_" in text and _GROUPED.fullmatch(text):
        return f"a number has no underscores; write {text.replace('_', '')}"
    if _SEXAGESIMAL.fullmatch(text):
        return "a number with colons is to the base of 60 to some; write it in decimals"
    if _DATE.fullmatch(text):
        return "it looks like a date, and no key takes one"
    if _NOT_FINITE.fullmatch(text):
        return "a number must be finite"
    for pattern, word in ((_YES, "true"), (_NO, "false")):
        if pattern.fullmatch(text):
            return f"write {word} (or false)" if word == "true" else f"write {word} (or true)"
    if _NUMBER.fullmatch(text) and (len(text) > _LONGEST_NUMBER or not math.isfinite(float(text))):
        return f"a number has at most {_LONGEST_NUMBER} digits and is below 1e308"
    return None


def shown(value: Any, most: int = _SHOWN, *, within: int = 0) -> str:
    """A value from a file for a message, cut where it is long; what is deep in it is not gone through."""
    if isinstance(value, (dict, list, tuple)) and within == _SHOWN_DEPTH and value:
        return "..."
    if isinstance(value, dict):
        pairs = islice(value.items(), _SHOWN_VALUES)
        parts = ", ".join(f"{shown(key)}: {shown(part, within=within + 1)}" for key, part in pairs)
        return _cut(f"{{{parts}}}", most, len(value) > _SHOWN_VALUES)
    if isinstance(value, (list, tuple)):
        parts = ", ".join(shown(part, within=within + 1) for part in value[:_SHOWN_VALUES])
        return _cut(f"[{parts}]", most, len(value) > _SHOWN_VALUES)
    return _cut(repr(value[: 2 * most] if isinstance(value, str) else value), most, False)


def shown_text(text: str, most: int = _SHOWN) -> str:
    """Text as it was given, cut where it is long."""
    return _cut(text, most, False)


def _cut(text: str, most: int, more: bool) -> str:
    return f"{text[: most - 4]} ..." if len(text) > most else f"{text[:-1]}, ...{text[-1]}" if more else text


class _Reader:
    """Values from the events of PyYAML's parser, which holds no more than the place it is at."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._path: list[str] = []

    def document(self) -> Any:
        import yaml

        next(self._events)  # the stream's start
        begin = next(self._events)
        if isinstance(begin, yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events))
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise SpecError(f"line {_line(after)}: a second document begins; a file holds one")
        return value

    def _value(self, event: Any) -> Any:
        import yaml

        before = self._count
        self._take(event, 1)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refusal(event, f"*{event.anchor}", "nothing before it has this anchor")
            value, size = self._anchors[event.anchor]
            self._take(event, size)
            return copy.deepcopy(value)
        if event.tag not in (None, "!"):
            raise self._refusal(event, event.tag, "tags are not understood; leave it out")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event)
        else:
            value = self._mapping(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _take(self, event: Any, number: int) -> None:
        self._count += number
        if self._count > MOST_VALUES:
            raise SpecError(
                f"line {_line(event)}: more than {MOST_VALUES:,} values, with what aliases repeat; "
                "give axes of many values as linspace or logspace"
            )
        if len(self._path) > DEEPEST:
            raise SpecError(
                f"line {_line(event)}: more than {DEEPEST} sections and lists in one another; look for a "
                "bracket too many"
            )

    def _scalar(self, event: Any) -> Any:
        if event.style is not None or event.tag == "!":
            return event.value
        reason = why_ambiguous(event.value)
        if reason is not None:
            raise self._refusal(event, event.value, f"{reason}, or quote it if it is text")
        return _plain_value(event.value)

    def _sequence(self, event: Any) -> list[Any]:
        import yaml

        values: list[Any] = []
        self._path.append("")
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event))
        self._path.pop()
        return values

    def _mapping(self, event: Any) -> dict[str, Any]:
        import yaml

        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        inherited: list[dict[str, Any]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.tag not in (None, "!"):
                raise self._refusal(event, "a key", "keys must be words")
            key, line = event.value, _line(event)
            if key in lines:
                raise SpecError(
                    f"line {line}: the key {shown(key)} is given twice, first in line {lines[key]}; "
                    "leave one of them out"
                )
            lines[key] = line
            self._path.append(key)
            value = self._value(next(self._events))
            if key == "<<" and event.style is None:
                inherited += self._inherited(event, value)
            else:
                values[key] = value
            self._path.pop()
        for part in inherited:  # of several, the first has the say
            values = {**part, **values}
        return values

    def _inherited(self, event: Any, value: Any) -> list[dict[str, Any]]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._refusal(event, shown(value), "what is merged must be a section, or a list of them")
        return parts

    def _refusal(self, event: Any, written: str, reason: str) -> SpecError:
        key = ".".join(part[:_SHOWN] for part in self._path if part)
        return SpecError(f"line {_line(event)}: {f'{key} = ' if key else ''}{shown_text(written)}: {reason}")


def _plain_value(text: str) -> Any:
    reason = why_ambiguous(text)
    if reason is not None:
        raise SpecError(f"{shown_text(text)}: {reason}, or quote it if it is text")
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _decimal(text: str) -> str:
    sign = text[0] if text[0] in "+-" else ""
    digits = text[len(sign) :].lstrip("0")
    return sign + (digits if digits[:1].isdigit() else f"0{digits}")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _where(error: Any) -> str:
    """Line and column at which a YAML file stops making sense, and why."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return shown_text(" ".join(str(error).split()), 200)
    return (
        f"line {mark.line + 1}, column {mark.column + 1}: {shown_text(problem, 200)}; look for brackets, quotes and "
        "indentation there"
    )
