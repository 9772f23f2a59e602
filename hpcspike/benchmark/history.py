"""The history of benchmarks: one line per run and measurement, and what became slower on the same processor."""

from __future__ import annotations

import csv
import io
from typing import Any

from hpcspike.errors import StoreError

COLUMNS = ("started", "processor", "version", "revision", "measurement", "blocked", "unit", "ratio_to_blas")
"""Columns of the file; ``blocked`` is what the fast engine took, in ``unit``, one thread."""

SLOWER = 1.1
"""A measurement that takes this many times as long as before is pointed out; runs differ by a few per cent."""

Row = dict[str, str]


def rows_of(result: dict[str, Any]) -> list[Row]:
    """The numbers of one run (what ``hpcspike bench --json`` writes) that are kept."""
    machine = result["machine"]
    same = {
        "started": result["started"],
        "processor": f"{machine['processor']}, {machine['llvm']['cpu']}",
        "version": machine["versions"]["hpcspike"],
        "revision": str(machine["revision"])[:12],
    }
    rows = []
    for row in result["updates"]:
        network = f"update N={row['n_neurons']} K={row['in_degree']} Dt={row['interval_ms']:g} {row['dtype']}"
        rows.append((network, row["milliseconds"]["blocked"], "ms", row["ratio_to_blas"]))
    for row in result["trainings"]:
        network = f"training N={row['n_neurons']} {row['dtype']}"
        rows.append((network, row["seconds_per_loop"]["blocked"], "s", row["ratio"]))
    return [
        {**same, "measurement": name, "blocked": f"{took:.4g}", "unit": unit, "ratio_to_blas": f"{ratio:.2f}"}
        for name, took, unit, ratio in rows
    ]


def read(text: str, *, source: str) -> list[Row]:
    """The rows of a history file; a `StoreError` if it is something else, or a line is not whole."""
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise StoreError(f"{source}: is no history of benchmarks; its first line must be {','.join(COLUMNS)}")
    rows = list(reader)
    for line, row in enumerate(rows, start=2):
        try:
            float(row["blocked"])
        except (TypeError, ValueError):  # a line that is too short has None
            raise StoreError(
                f"{source}: line {line} has blocked = {row['blocked']!r}, which must be a number; mend or remove it"
            ) from None
    return rows


def write(rows: list[Row]) -> str:
    """The text of a history file."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def added(rows: list[Row], result: dict[str, Any]) -> list[Row]:
    """A history with one more run, by date; a run that is in it already takes its own place."""
    new = rows_of(result)
    others = [row for row in rows if row["started"] != result["started"]]
    return sorted([*others, *new], key=lambda row: row["started"])


def lines(rows: list[Row]) -> list[str]:
    """The history in words: per measurement and processor its times by date, slower ones marked."""
    courses: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        courses.setdefault((row["processor"], row["measurement"]), []).append(row)
    shown = []
    for processor in dict.fromkeys(row["processor"] for row in rows):
        shown.append(processor)
        for (where, name), course in courses.items():
            if where != processor:
                continue
            times = "  ".join(f"{row['started'][:10]} {row['blocked']} {row['unit']}" for row in course)
            shown.append(f"  {name:<42} {times}{_change(course)}")
    return shown


def _change(course: list[Row]) -> str:
    if len(course) < 2:
        return ""
    ratio = float(course[-1]["blocked"]) / float(course[-2]["blocked"])
    return f"  SLOWER, {ratio:.2f} times" if ratio > SLOWER else ""
