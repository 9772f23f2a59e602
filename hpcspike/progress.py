"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing unless asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, dict[str, float]], None]


def describe(row: dict[str, float]) -> str:
    """One row of the learning curve in words."""
    return (
        f"correlation {row['correlation']:.3f}  rate {row['rate']:5.1f} Hz  "
        f"weight change {row['weight_change']:.2g}  {row['seconds']:.2f} s"
    )


@contextmanager
def loop_reporter(n_loops: int, *, shown: bool) -> Iterator[Report]:
    """A function that reports a finished training loop; rich draws it where standard error is a terminal."""
    if not shown:
        yield lambda loop, row: None
        return
    if not sys.stderr.isatty():
        yield lambda loop, row: print(f"loop {loop + 1}/{n_loops}  {describe(row)}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=n_loops, state="")
        yield lambda loop, row: bar.update(task, completed=loop + 1, state=describe(row))
