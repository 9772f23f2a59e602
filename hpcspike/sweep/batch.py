"""One batch: compute the points that are missing, write each as it is finished, leave a receipt.

A batch is one process, or the MPI ranks that train its points together; rank 0 alone has the store.
"""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.compiling import compile_seconds, working_seconds
from hpcspike.engine.agreement import agree_on
from hpcspike.engine.communication import World
from hpcspike.errors import HpcspikeError, Interrupted, ResourceError, StoreError
from hpcspike.measures.verdict import judged
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.cost import available_memory_mib, check_memory
from hpcspike.sweep.durable import read_unless_changed, write_durably
from hpcspike.sweep.mending import restore_plan, restore_records
from hpcspike.sweep.records import RunRecord, batch_lock, receipt_path, record_path
from hpcspike.sweep.states import Saving, checkpoints_of, forget
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.sweep.writer import BatchWriter
from hpcspike.variables import STATUS

FLUSH_SECONDS = 1.0
"""Points are put on disk when this time has passed since the last ones were: what a kill can cost beside one point."""

LAST_SHARE = 0.1
"""In this last part of a time limit no further point is begun."""

_PATIENCE_SECONDS = 2.0

OnPoint = Callable[["PointDone"], None]


@dataclass(frozen=True)
class PointDone:
    """What is said about a point when it is finished: which, what became of it, and its results by name."""

    row: int
    position: int
    total: int
    status: str
    judged: str
    seconds: float
    experiment: Experiment
    values: dict[str, Any]


@dataclass
class BatchReport:
    """What a batch did.

    Attributes
    ----------
    batch
        Which batch.
    computed
        Points computed now.
    already_done
        Points that were there before.
    failures
        Points that raised, with the error's text.
    """

    batch: int
    computed: int = 0
    already_done: int = 0
    failures: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A point to compute: its row, what it is, and its predicted time on one core, s."""

    row: int
    experiment: Experiment
    seconds: float


def run_batch(
    path: str | Path,
    batch: int,
    *,
    threads: int = 1,
    saving: Saving | None = None,
    world: World | None = None,
    on_point: OnPoint | None = None,
    say: Callable[[str], None] | None = None,
    run_user_code: bool = False,
) -> BatchReport:
    """Compute the missing points of one batch.

    Points that are done are left alone. A point that raises is noted and the batch goes on; the receipt is written only
    when all points are done.

    Parameters
    ----------
    path
        Store of the sweep.
    batch
        Which batch, from 0.
    threads
        Threads over the neurons of a point; results do not depend on it.
    saving
        When the states of long points are saved, so that another run goes on from them.
    world
        The ranks that compute together; default: this process alone.
    on_point
        Called after each point, on rank 0.
    say
        Called with a message if another process holds the batch, or if something is damaged, which is mended then.
    run_user_code
        Whether a user's code that the store names may be run; without it points that need it are refused.

    Raises
    ------
    StoreError
        If there is no such batch, or the store cannot be written, or code would be run that may not be.
    SpecError
        If the ranks are given different batches, stores or settings.
    ResourceError
        If the disk is full, or not all ranks call this within a minute (``HPCSPIKE_WAIT_SECONDS``).
    Interrupted
        If it was asked to stop, or its time is up; finished points and the state of the one in work are kept.
    HpcspikeError
        If a point failed, after all others were computed.
    """
    path, world, saving = Path(path), world or World(), saving or Saving()
    agree_on(world, "run_batch", lambda: _shared(path, batch, threads, saving))
    with ExitStack() as held:
        try:
            book = world.agree(
                lambda: _open(path, batch, threads, world, held, say, run_user_code) if world.rank == 0 else None
            )
            tasks: list[Task] = world.share(book.tasks if book else None)
            _compute(path, tasks, book, threads=threads, saving=saving, world=world, on_point=on_point)
            report = world.agree(lambda: book.finish() if book else None)
        except OSError as error:
            raise _explained(path, error) from error
    return report or BatchReport(batch)


def _shared(path: Path, batch: int, threads: int, saving: Saving) -> dict[str, Any]:
    """What all ranks must be given alike."""
    own = {"store": str(path.absolute()), "batch": batch, "threads": threads, "save minutes": saving.minutes}
    return {**own, "keep states": str(saving.keep), "time limit": saving.time_limit_minutes}


class _Book:
    """Rank 0's side of a batch: its tasks, its rows of the store, its provenance record and its report."""

    def __init__(self, store: SweepStore, batch: int, *, threads: int, world: World, run_user_code: bool) -> None:
        self._store, self._threads, self._world = store, threads, world
        self._writer = BatchWriter(store, batch)
        self._writer.forget(restore_records(store.path, batch, self._writer.runs()))
        missing = self._writer.missing()
        predicted = store.read("predicted_seconds")[missing]
        seconds = predicted * calibration(store)(predicted)
        experiments = store.experiments(missing, run_user_code=run_user_code)
        self.tasks = [Task(row, experiments[row], float(s)) for row, s in zip(missing, seconds, strict=True)]
        self.report = BatchReport(batch, already_done=len(self._writer.points) - len(missing))
        self.given_up = self._writer.faults
        self._tracebacks: dict[str, str] = {}
        self._flushed = time.monotonic()
        self._record = self._new_record() if missing else None

    def _new_record(self) -> RunRecord:
        from hpcspike import provenance

        made_by = provenance.collect(n_ranks=self._world.size, n_threads=self._threads)
        return RunRecord(self._store.path, {"batch": self.report.batch, **made_by})

    def add(self, task: Task, values: dict[str, Any], *, at_once: bool) -> None:
        """Take a finished point; written now, or with others when a second has passed."""
        assert self._record is not None
        own = {"n_ranks": self._world.size, "n_threads": self._threads, "run": self._record.number}
        self._writer.add(task.row, {**values, **own})
        self.report.computed += 1
        if at_once or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def add_failure(self, task: Task, error: Exception) -> None:
        """Note a point that raised."""
        assert self._record is not None
        self.report.failures[task.row] = f"{type(error).__name__}: {error}"
        self._tracebacks[str(task.row)] = "".join(traceback.format_exception(error))
        self._record.save(failures=self._tracebacks)

    def flush(self) -> None:
        """Put finished points on disk."""
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self, ranks: dict[str, Any]) -> None:
        """Put on disk what is finished, and in the record what is known only now; ranks: see `provenance.of_ranks`."""
        from hpcspike import provenance

        self.flush()
        if self._record is not None:
            # libraries that do the work are loaded by now
            blas = provenance.blas_libraries()
            self._record.save(
                blas=blas, finished=provenance.now(), computed=self.report.computed,
                compile_seconds=compile_seconds(), **ranks,
            )  # fmt: skip

    def finish(self) -> BatchReport:
        """Write the receipt if every point is done."""
        report, store = self.report, self._store
        n_points = len(self._writer.points)
        if report.failures:
            row, text = next(iter(report.failures.items()))
            raise HpcspikeError(
                f"batch {report.batch}: {len(report.failures)} of {n_points} points failed, the others are done; "
                f"point {row}: {text}. Run the batch again to retry; 'hpcspike status {store.path}' lists all failures"
            )
        runs = sorted(set(self._writer.runs().values()))
        write_durably(
            receipt_path(store.path, report.batch),
            {
                "batch": report.batch,
                "points": n_points,
                "points_hash": store.attributes["points_hash"],
                # copies, from which a record that is damaged is restored
                "runs": {str(run): read_unless_changed(record_path(store.path, run)) for run in runs},
            },
        )
        return report


def _open(
    path: Path,
    batch: int,
    threads: int,
    world: World,
    held: ExitStack,
    say: Callable[[str], None] | None,
    run_user_code: bool,
) -> _Book:
    for what in restore_plan(path):
        _tell(say, f"{path}: {what} restored from its copy")
    store = open_store(path, writable=True)
    store.batches.rows(batch)  # refused before its lock is made
    held.enter_context(batch_lock(path, batch, waiting=say))
    book = _Book(store, batch, threads=threads, world=world, run_user_code=run_user_code)
    for fault in book.given_up:
        _tell(say, f"{path}: {fault}; computed anew")
    return book


def _tell(say: Callable[[str], None] | None, text: str) -> None:
    if say is not None:
        say(text)


def _compute(
    path: Path,
    tasks: list[Task],
    book: _Book | None,
    *,
    threads: int,
    saving: Saving,
    world: World,
    on_point: OnPoint | None,
) -> None:
    if not tasks:
        return
    from hpcspike import provenance

    stopped = None
    for position, task in enumerate(tasks):
        stopped = world.share(_time_is_up(saving))
        if stopped:
            break
        began = working_seconds()
        checkpoints = world.agree(partial(checkpoints_of, path, task.experiment, task.seconds, saving, world=world))
        try:
            values = _point(task.experiment, threads=threads, world=world, checkpoints=checkpoints)
        except Interrupted as error:
            stopped = str(error)
            break
        except Exception as error:  # a point may fail in any way; the others must not be lost with it
            if not world.arrive(_PATIENCE_SECONDS):
                raise  # on this rank only: the others cannot go on
            if book is not None:
                book.add_failure(task, error)
            continue
        values["wall_seconds"] = seconds = working_seconds() - began
        values["peak_memory"] = float(world.concatenate(np.array([provenance.peak_memory_mib()])).max())
        if book is not None:
            book.add(task, values, at_once=checkpoints is not None)
            if on_point is not None:
                status = STATUS[int(values["status"])]
                on_point(
                    PointDone(
                        task.row, position + 1, len(tasks), status, judged(values), seconds, task.experiment, values
                    )
                )
        if checkpoints is not None:
            forget(checkpoints, saving, world=world)
    ranks = provenance.of_ranks(world) if world.size > 1 else {}
    if book is not None:
        book.close(ranks)
    if stopped:
        raise Interrupted(stopped)


def _time_is_up(saving: Saving) -> str | None:
    if saving.time_limit_minutes is None:
        return None
    limit = 60.0 * saving.time_limit_minutes
    if saving.started + limit - time.monotonic() > LAST_SHARE * limit:
        return None
    return f"stopped before the time limit of {saving.time_limit_minutes:g} min; finished points are kept, run it again"


def _point(experiment: Experiment, *, threads: int, world: World, checkpoints: Any) -> dict[str, Any]:
    from hpcspike.runs.point import run_point

    # a network is spread evenly over the ranks, of which so many share the memory of this machine
    available = available_memory_mib() * world.size / world.local_size
    world.agree(lambda: check_memory(experiment, available_mib=available))
    result = run_point(experiment, threads=threads, world=world, checkpoints=checkpoints)
    return {**result.scalars, **result.curves}


def _explained(path: Path, error: OSError) -> HpcspikeError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(f"{path}: the disk is full; make room and run the batch again, finished points are kept")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{path}: cannot be written ({error.strerror}); check the folder's permissions")
    return StoreError(f"{path}: reading or writing failed ({error}); run the batch again, finished points are kept")
