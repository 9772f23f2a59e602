"""``hpcspike status``: how far a sweep is, once or again and again."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from hpcspike.sweep.cost import shown_seconds
from hpcspike.sweep.status import Status, sweep_status

if TYPE_CHECKING:
    from rich.table import Table

MOST_FAILURES = 10
"""Failed points that a watched table shows."""


def run(arguments: argparse.Namespace) -> int:
    """Print the state of a store; with ``--watch`` until every point is done."""
    if arguments.watch is None:
        _print(sweep_status(arguments.store))
    elif sys.stdout.isatty():
        _watch(arguments.store, arguments.watch)
    else:
        while not _print(sweep_status(arguments.store)):
            time.sleep(arguments.watch)
    return 0


def _print(status: Status) -> bool:
    """Lines of text; whether every point is done."""
    for name, text in _rows(status):
        print(f"{name:<10} {text}", flush=True)
    for row, text in sorted(status.failures.items()):
        print(f"failed     point {row}: {text}")
    return status.done == status.points


def _watch(store: str, seconds: float) -> None:
    from rich.live import Live

    status = sweep_status(store)
    with Live(_table(status), auto_refresh=False) as live:
        while status.done < status.points:
            time.sleep(seconds)
            status = sweep_status(store)
            live.update(_table(status), refresh=True)


def _table(status: Status) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(title=f"sweep {status.name}", show_header=False, title_justify="left")
    for name, text in _rows(status)[1:]:
        table.add_row(name, text)
    table.add_row("", ProgressBar(total=status.points, completed=status.done, width=40))
    for row, text in sorted(status.failures.items())[:MOST_FAILURES]:
        table.add_row("failed", f"point {row}: {text}", style="red")
    if len(status.failures) > MOST_FAILURES:
        table.add_row("failed", f"and {len(status.failures) - MOST_FAILURES} more points", style="red")
    return table


def _rows(status: Status) -> list[tuple[str, str]]:
    counts = ", ".join(f"{count} {name}" for name, count in status.counts.items() if count)
    rows = [
        ("sweep", f"{status.name}{' (finalized)' if status.finalized else ''}"),
        ("points", f"{status.done} of {status.points} done{f' ({counts})' if counts else ''}"),
        ("batches", f"{status.batches_done} of {status.batches} done"),
    ]
    if status.done < status.points:
        running = f"{len(status.running)} batches on {status.cores} cores" if status.running else "nothing"
        rows += [("running", running), ("left", f"about {shown_seconds(status.seconds_left)} on one core")]
    if status.end is not None:
        rows.append(("end", f"about {_clock(status.end)}, if so many cores stay at it"))
    return rows


def _clock(moment: float) -> str:
    """A time of today as ``14:05``, another with its date."""
    then, now = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
