"""``hpcspike run-batch``: the job of the workflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hpcspike.commands.common import use_one_thread_per_library


def run(arguments: argparse.Namespace) -> int:
    """Compute what is missing and report every point."""
    use_one_thread_per_library()
    from hpcspike.sweep.batch import run_batch

    with _reporter(arguments.batch) as (on_point, say):
        report = run_batch(
            arguments.store, arguments.batch, threads=arguments.threads, on_point=on_point, waiting=say
        )
    print(f"batch {report.batch}: {report.computed} points computed, {report.already_done} were done before")
    return 0


@contextmanager
def _reporter(batch: int) -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """What is shown after each point: a bar on a terminal, a line elsewhere."""

    def describe(point: object) -> str:
        return f"{point.status}, correlation {point.correlation:.3f}, {point.seconds:.1f} s"  # type: ignore[attr-defined]

    if not sys.stderr.isatty():

        def line(point: object) -> None:
            place = f"{point.position}/{point.total}"  # type: ignore[attr-defined]
            print(f"batch {batch}: point {place} {describe(point)}", file=sys.stderr, flush=True)

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

        def advance(point: object) -> None:
            bar.update(
                task,
                total=point.total,  # type: ignore[attr-defined]
                completed=point.position,  # type: ignore[attr-defined]
                state=describe(point),
            )

        yield advance, lambda text: bar.console.print(text)
