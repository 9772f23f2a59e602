"""Rates or drives in text: CSV and TSV, with a comma, a semicolon, a tab or a bar between columns, quoted or not."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from hpcspike.errors import DataError
from hpcspike.model.recording_axes import TIME_UNITS, ms_per_unit
from hpcspike.model.recording_table import (
    RecordingTable,
    ambiguous,
    as_list,
    conditions_of,
    in_words,
    listed,
    refused,
    shortened,
    unreadable,
)
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.spec.recorded_conditions import CONDITION

_SEPARATORS = (",", ";", "\t", "|")
_LAYOUT = "use a header 'time_ms,unit_1,unit_2,...', then one row per sample, separated by commas"
_TIME_NAMES = ("time", "times", "t")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def read_text(path: Path, targets: RecordedTargets) -> RecordingTable:
    """Columns of units below a header, the time in the first column.

    Raises
    ------
    DataError
        If the file cannot be read, its first column is not the time, or a cell below the header is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = stream.read().splitlines()
    except UnicodeDecodeError:
        raise refused(path, "is not text in UTF-8", "save it as plain text in UTF-8") from None
    except OSError as error:
        raise unreadable(path, "CSV", error) from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise refused(path, "is empty", _LAYOUT)
    try:
        separator, header = _header(path, lines[0])
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines[1:], delimiter=separator)]
    except csv.Error as error:
        raise unreadable(path, "CSV", error) from None
    factor = _ms_of_first_column(path, header, targets)
    if len(header) < 2 or not rows:
        raise refused(path, f"holds {max(len(header) - 1, 0)} units and {len(rows)} samples", _LAYOUT)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            asked = _other_separator(row[0], separator) if len(row) == 1 else ""
            raise refused(path, f"the header names {len(header)} columns, row {number} has {len(row)}{asked}", _LAYOUT)
    header, rows = _of_condition(path, header, rows, targets)
    comma = _decimal_comma(path, rows, header, targets)
    table = np.array([_numbers(path, row, number, header, comma) for number, row in enumerate(rows, start=2)])
    remarks = ("its decimal mark is the comma",) if comma and targets.decimal is None else ()
    return RecordingTable(
        values=table[:, 1:].T,
        times_ms=table[:, 0] * factor,
        names=tuple(header[1:]),
        unit=None,
        kind={",": "CSV", "\t": "TSV"}.get(separator, f"CSV with {separator!r} between columns"),
        conditions=in_words(targets.condition),
        remarks=remarks,
    )


def _of_condition(
    path: Path, header: list[str], rows: list[list[str]], targets: RecordedTargets
) -> tuple[list[str], list[list[str]]]:
    """Header and rows without the columns of ``targets.condition``, and only the rows with its values."""
    column = next((name for name in header[1:] if name.lower() == CONDITION), None)
    if column is not None and column not in targets.condition:
        values = list(dict.fromkeys(row[header.index(column)] for row in rows))
        raise ambiguous(
            path,
            f"its column {column!r} holds {len(values)} conditions ({listed(values)})",
            f"set targets.condition to choose one, for example condition: {{{column}: {values[0]}}}, or train them all "
            "with targets.conditions",
            [{"condition": {column: value}} for value in values[:8]],
            conditions_of(values, column),
        )
    for name, wanted in targets.condition.items():
        if name not in header[1:]:
            raise refused(
                path,
                f"targets.condition = {name!r} is not one of its columns ({listed(header)})",
                "choose one of those",
            )
        place = header.index(name)
        values = list(dict.fromkeys(row[place] for row in rows))
        rows = [row for row in rows if row[place] in map(str, as_list(wanted))]
        if not rows:
            raise refused(path, f"no row has {in_words({name: wanted})}", f"the column holds {listed(values)}")
    kept = [place for place, name in enumerate(header) if place == 0 or name not in targets.condition]
    return [header[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _header(path: Path, line: str) -> tuple[str, list[str]]:
    """What separates the columns, and their names: the separator that makes the first column the time."""
    headers = {mark: [name.strip() for name in next(csv.reader([line], delimiter=mark))] for mark in _SEPARATORS}
    timed = [mark for mark, names in headers.items() if _time_and_unit(names[0]) is not None]
    # of a single column any would do
    separator = max(timed or _SEPARATORS[:1], key=lambda mark: len(headers[mark]))
    return separator, headers[separator]


def _time_and_unit(name: str) -> tuple[str, str] | None:
    """The time's name and its unit (may be empty) in a column's name, such as 'Time (ms)'; None if it is no time."""
    word, _, unit = re.sub(r"[^a-z]+", "_", name.lower()).strip("_").partition("_")
    return (word, unit) if word in _TIME_NAMES and (unit == "" or unit in TIME_UNITS) else None


def _ms_of_first_column(path: Path, header: list[str], targets: RecordedTargets) -> float:
    """How many ms the unit in the name of the first column has."""
    found = _time_and_unit(header[0])
    if found is None:
        if len(header) > 1 and _time_and_unit(header[1]) is not None:
            raise refused(
                path,
                f"its first column {header[0]!r} is not the time, the second {header[1]!r} is",
                "leave the first one out (an index? pandas leaves it out with index=False)",
            )
        name = shortened(header[0], 30)
        raise refused(path, f"its first column is {name!r}, not the time{_other_separator(header[0], ',')}", _LAYOUT)
    return ms_per_unit(
        path, found[1] or None, targets, axis=f"its first column {header[0]!r}",
        remedy="call it 'time_ms' if they are in milliseconds, 'time_s' if they are in seconds",
    )  # fmt: skip


def _other_separator(line: str, known: str) -> str:
    """What a line may be separated by instead, in words; empty if nothing is likely."""
    other = next((mark for mark in _SEPARATORS if mark != known and mark in line), None)
    return "" if other is None else f" (separated by {other!r}?)"


def _decimal_comma(path: Path, rows: list[list[str]], header: list[str], targets: RecordedTargets) -> bool:
    """Whether the comma is the decimal mark."""
    found = [(cell, n, k) for n, row in enumerate(rows, start=2) for k, cell in enumerate(row) if "," in cell]
    if not found:
        return False
    first, number, column = found[0]
    where = f"row {number}, column {header[column]!r} holds {shortened(first, 30)!r}"
    pointed = next((cell for row in rows for cell in row if "." in cell), None)
    if targets.decimal == "point" or pointed is not None:
        also = "" if pointed is None else f", and there is {shortened(pointed, 30)!r} with a decimal point as well"
        raise refused(
            path, f"{where}{also}: not all are numbers with one decimal mark", "write them without grouping digits"
        )
    if targets.decimal is None and all(_GROUPED.fullmatch(cell) for cell, _, _ in found):
        raise ambiguous(
            path,
            f"{where}, which may have a decimal comma or group its digits",
            "set targets.decimal to comma, or write the numbers without grouping",
            [{"decimal": "comma"}],
        )
    return True


def _numbers(path: Path, row: list[str], number: int, header: list[str], comma: bool) -> list[float]:
    cells = [cell.replace(",", ".") for cell in row] if comma else row
    try:
        if any("_" in cell for cell in cells):  # Python would read 1_000
            raise ValueError
        return [float(cell) for cell in cells]
    except ValueError:
        raise _not_a_number(path, row, cells, number, header) from None


def _not_a_number(path: Path, row: list[str], cells: list[str], number: int, header: list[str]) -> DataError:
    for name, cell, read in zip(header, row, cells, strict=True):
        if not cell:
            return refused(
                path, f"row {number}, column {name!r} is empty", "fill the gap or remove this unit: nothing is made up"
            )
        try:
            float(read.replace("_", "?"))
        except ValueError:
            what = f"row {number}, column {name!r} holds {shortened(cell, 30)!r}"
            return refused(path, f"a row after the header is not all numbers ({what})", _LAYOUT)
    raise AssertionError("every cell is a number")
