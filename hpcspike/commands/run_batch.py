"""``hpcspike run-batch``: the job of the workflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpcspike.commands.common import use_one_thread_per_library

if TYPE_CHECKING:
    from hpcspike.sweep.batch import PointDone


def run(arguments: argparse.Namespace) -> int:
    """Compute what is missing and report every point."""
    use_one_thread_per_library()
    from hpcspike.sweep.batch import run_batch

    with _reporter(arguments.batch) as (on_point, say):
        report = run_batch(arguments.store, arguments.batch, threads=arguments.threads, on_point=on_point, waiting=say)
    print(f"batch {report.batch}: {report.computed} points computed, {report.already_done} were done before")
    return 0


@contextmanager
def _reporter(batch: int) -> Iterator[tuple[Callable[[PointDone], None], Callable[[str], None]]]:
    """What is shown after each point, and how a message is: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():

        def line(point: PointDone) -> None:
            print(
                f"batch {batch}: point {point.position}/{point.total} {_describe(point)}", file=sys.stderr, flush=True
            )

        yield line, lambda text: print(text, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(f"batch {batch}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("points", total=None, state="")

        def advance(point: PointDone) -> None:
            bar.update(task, total=point.total, completed=point.position, state=_describe(point))

        yield advance, lambda text: bar.console.print(text)


def _describe(point: PointDone) -> str:
    return f"{point.status}, correlation {point.correlation:.3f}, {point.seconds:.1f} s"
