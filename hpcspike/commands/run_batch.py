"""``hpcspike run-batch``: the job of the workflow, in one process or on the MPI ranks it was started with."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import counted, refuse_unwritable
from hpcspike.commands.ranks import run_on_ranks
from hpcspike.errors import Interrupted

if TYPE_CHECKING:
    from hpcspike.exchange.logs import Log
    from hpcspike.sweep.batch import PointDone


def run(arguments: argparse.Namespace) -> int:
    """Compute what is missing and report every point."""
    return run_on_ranks(_run, arguments)


def _run(arguments: argparse.Namespace) -> int:
    from hpcspike.engine.communication import connect
    from hpcspike.sweep.batch import run_batch
    from hpcspike.sweep.states import Saving

    world = connect()
    keep = None if arguments.keep_states is None else Path(arguments.keep_states)
    if keep is not None:
        world.agree(lambda: refuse_unwritable(keep / "state"))
    saving = Saving(
        minutes=arguments.save_minutes,
        keep=keep,
        time_limit_minutes=arguments.time_limit or None,
        started=time.monotonic() - _age(),
    )
    log = world.agree(lambda: _log(arguments) if world.rank == 0 else None)
    with (
        nullcontext() if log is None else closing(log),
        _reporter(arguments.batch) as (show, say),
        _stopped_by_signal(alone=world.size == 1),
    ):

        def on_point(point: PointDone) -> None:
            show(point)
            if log is not None:
                log.on_point(point)

        report = run_batch(
            arguments.store,
            arguments.batch,
            threads=arguments.threads,
            saving=saving,
            world=world,
            on_point=on_point,
            say=say,
            run_user_code=arguments.run_user_code,
        )
    if world.rank == 0:
        print(f"batch {report.batch}: {counted(report.computed, 'point')} computed, {report.already_done} done before")
    return 0


def _log(arguments: argparse.Namespace) -> Log | None:
    """The log that was asked for; each batch has a folder of its own in it."""
    if arguments.log is None:
        return None
    from hpcspike.exchange.logs import log_to

    return log_to(arguments.log, part=f"batch-{arguments.batch:04d}")


def _age() -> float:
    """Seconds since this program was started, from when a time limit counts."""
    import psutil

    return time.time() - psutil.Process().create_time()


@contextmanager
def _stopped_by_signal(*, alone: bool) -> Iterator[None]:
    """Signals stop the batch after finished points are written; ranks leave that to checkpoints, where they agree."""
    from hpcspike.engine.stopping import heeded, leave_lost_terminal

    def stop(number: int, _: Any) -> None:
        leave_lost_terminal(number)
        name = signal.Signals(number).name
        raise Interrupted(f"stopped by {name}; finished points are kept, run the batch again")

    before = {number: signal.signal(number, stop) for number in heeded()} if alone else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    from hpcspike.measures.verdict import LIMITED

    return f"{LIMITED.get(point.status, point.status)}, {point.judged}, {point.seconds:.1f} s"
