"""One batch, one process: compute the points that are missing, write each as it is finished, leave a receipt."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpcspike.errors import HpcspikeError, ResourceError, StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.cost import check_memory
from hpcspike.sweep.records import RunRecord, batch_lock, receipt_path, write_durably
from hpcspike.sweep.store import BatchWriter, SweepStore, open_store
from hpcspike.variables import STATUS

FLUSH_SECONDS = 1.0
"""Points are put on disk when this time has passed since the last ones were: what a kill can cost beside one point."""

OnPoint = Callable[["PointDone"], None]


@dataclass(frozen=True)
class PointDone:
    """What is said about a point when it is finished."""

    row: int
    position: int
    total: int
    status: str
    correlation: float
    seconds: float


@dataclass
class BatchReport:
    """What a batch process did.

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


def run_batch(
    path: str | Path,
    batch: int,
    *,
    threads: int = 1,
    on_point: OnPoint | None = None,
    waiting: Callable[[str], None] | None = None,
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
    on_point
        Called after each point.
    waiting
        Called with a message if another process holds the batch.

    Raises
    ------
    StoreError
        If there is no such batch, or the store cannot be written.
    ResourceError
        If the disk is full.
    HpcspikeError
        If a point failed, after all others were computed.
    """
    path = Path(path)
    store = open_store(path, writable=True)
    rows = store.rows(batch)
    try:
        with batch_lock(path, batch, waiting=waiting):
            writer = BatchWriter(store, batch)
            missing = writer.missing()
            report = BatchReport(batch, already_done=len(rows) - len(missing))
            if missing:
                _compute(store, writer, missing, report, threads=threads, on_point=on_point)
            _finish(store, report, len(rows))
    except OSError as error:
        raise _explained(path, error) from error
    return report


def _compute(
    store: SweepStore,
    writer: BatchWriter,
    missing: list[int],
    report: BatchReport,
    *,
    threads: int,
    on_point: OnPoint | None,
) -> None:
    from hpcspike import provenance

    experiments = store.experiments(writer.rows)
    record = RunRecord(store.path, {"batch": report.batch, **provenance.collect(n_threads=threads)})
    tracebacks = {}
    flushed = time.monotonic()
    for position, row in enumerate(missing):
        began = time.perf_counter()
        try:
            values = _point(experiments[row], threads=threads)
        except Exception as error:  # a point may fail in any way; the others must not be lost with it
            report.failures[row] = f"{type(error).__name__}: {error}"
            tracebacks[str(row)] = traceback.format_exc()
            record.save(failures=tracebacks)
            continue
        seconds = time.perf_counter() - began
        values |= {
            "wall_seconds": seconds,
            "peak_memory": provenance.peak_memory_mib(),
            "n_ranks": 1,
            "n_threads": threads,
            "run": record.number,
        }
        writer.add(row, values)
        report.computed += 1
        if time.monotonic() - flushed >= FLUSH_SECONDS:
            writer.flush()
            flushed = time.monotonic()
        if on_point is not None:
            status = STATUS[int(values["status"])]
            on_point(PointDone(row, position + 1, len(missing), status, float(values["correlation"]), seconds))
    writer.flush()
    # asked again: the libraries that do the work are loaded only now
    record.save(blas=provenance.blas_libraries(), finished=provenance.now(), computed=report.computed)


def _point(experiment: Experiment, *, threads: int) -> dict[str, Any]:
    from hpcspike.engine.point import run_point

    check_memory(experiment)
    result = run_point(experiment, threads=threads)
    return {**result.scalars, **result.curves}


def _finish(store: SweepStore, report: BatchReport, n_points: int) -> None:
    if report.failures:
        row, text = next(iter(report.failures.items()))
        raise HpcspikeError(
            f"batch {report.batch}: {len(report.failures)} of {n_points} points failed, the others are done; "
            f"point {row}: {text}. Run the batch again to retry; 'hpcspike status {store.path}' lists all failures"
        )
    document = {"batch": report.batch, "points": n_points, "points_hash": store.attributes["points_hash"]}
    receipt = receipt_path(store.path, report.batch)
    write_durably(receipt, document)


def _explained(path: Path, error: OSError) -> HpcspikeError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(f"{path}: the disk is full; make room and run the batch again, finished points are kept")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{path}: cannot be written ({error.strerror}); check the folder's permissions")
    return StoreError(f"{path}: reading or writing failed ({error}); run the batch again, finished points are kept")
