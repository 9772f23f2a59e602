"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing unless asked."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, dict[str, float]], None]


def describe(row: dict[str, float]) -> str:
    """One row of the learning curve in words; what a learner does not have is left out."""
    score = "correlation" if "correlation" in row else "score"
    forms = {score: f"{score} {{:.3f}}", "rate": "rate {:5.1f} Hz", "weight_change": "weight change {:.2g}"}
    parts = [form.format(row[name]) for name, form in forms.items() if not math.isnan(row.get(name, math.nan))]
    return "  ".join([*parts, f"{row['seconds']:.2f} s"])


@contextmanager
def loop_reporter(n_loops: int, *, shown: bool, unit: str = "loop") -> Iterator[Report]:
    """A function that reports a finished loop (or ``unit``); rich draws it where standard error is a terminal."""
    if not shown:
        yield lambda loop, row: None
        return
    if not sys.stderr.isatty():
        yield lambda loop, row: print(f"{unit} {loop + 1}/{n_loops}  {describe(row)}", file=sys.stderr, flush=True)
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
