"""Progress of long work: a bar on a terminal, one line in a notebook, plain lines elsewhere, nothing unless asked."""

from __future__ import annotations

import html
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[int, dict[str, float]], None]

COMPILING = "compiling kernels, which is kept for the next time"
NOTEBOOK_SECONDS = 0.1
"""A notebook's line is written anew no more often than this: every time is a message to the browser."""


def name_of_tests(smoothing_ms: float) -> str:
    """What a test while training is called: one of a moving mean is no correlation at the moments of the target.

    >>> name_of_tests(0.0), name_of_tests(100.0)
    ('test', 'test (100 ms mean)')
    """
    return f"test ({smoothing_ms:g} ms mean)" if smoothing_ms else "test"


def describe(row: dict[str, float], *, tests: str = "test") -> str:
    """One row of the learning curve in words; what was not measured is left out."""
    score = "correlation" if "correlation" in row else "score"
    forms = {score: f"{score} {{:.3f}}", "rate": "rate {:5.1f} Hz", "weight_change": "weight change {:.2g}"}
    forms["test_correlation"] = f"{tests} {{:.3f}}"
    parts = [form.format(row[name]) for name, form in forms.items() if not math.isnan(row.get(name, math.nan))]
    return "  ".join([*parts, f"{row['seconds']:.2f} s"])


@contextmanager
def loop_reporter(n_loops: int, *, shown: bool, unit: str = "loop", smoothing_ms: float = 0.0) -> Iterator[Report]:
    """A function that reports a finished loop (or ``unit``); what is compiled meanwhile is said too.

    smoothing_ms: of the drive's moving mean that tests while training correlate, 0: of none.
    """
    if not shown:
        yield lambda loop, row: None
        return
    from hpcspike.compiling import telling

    with _shower(n_loops, unit) as show, telling(lambda: show(None, COMPILING)):
        yield lambda loop, row: show(loop, describe(row, tests=name_of_tests(smoothing_ms)))


@contextmanager
def _shower(n_loops: int, unit: str) -> Iterator[Callable[[int | None, str], None]]:
    """What shows words about a finished loop, None: about the one in work, where somebody looks at them."""
    if in_notebook():
        yield _notebook_line(n_loops)
        return
    if not sys.stderr.isatty():

        def line(loop: int | None, text: str) -> None:
            print(text if loop is None else f"{unit} {loop + 1}/{n_loops}  {text}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=n_loops, state="")
        yield lambda loop, text: bar.update(task, completed=None if loop is None else loop + 1, state=text)


def in_notebook() -> bool:
    """Whether this is a cell of a notebook, of Jupyter or alike, and not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")


def _notebook_line(n_loops: int) -> Callable[[int | None, str], None]:
    """One line below the cell that changes; it needs no widgets."""
    display = sys.modules["IPython"].display
    handle: Any = display.display(display.HTML(_as_html(0, n_loops, "")), display_id=True)
    last = 0.0
    done = 0

    def show(loop: int | None, text: str) -> None:
        nonlocal last, done
        done = done if loop is None else loop + 1
        now = time.monotonic()
        if loop is None or done == n_loops or now - last >= NOTEBOOK_SECONDS:
            last = now
            handle.update(display.HTML(_as_html(done, n_loops, text)))

    return show


def _as_html(done: int, n_loops: int, text: str) -> str:
    bar = f"<progress value='{done}' max='{max(n_loops, 1)}'></progress>"
    return f"<div>training {bar} {done}/{n_loops} <code>{html.escape(text)}</code></div>"
