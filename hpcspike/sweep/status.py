"""How far a sweep is: what is done, what runs now, what failed, and when it will be done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcspike.measures.verdict import judged_points
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.records import batch_holders, read_records
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.sweep.verify import is_finalized
from hpcspike.variables import RECORDED_RESULTS, STATUS


@dataclass(frozen=True)
class Status:
    """How far a sweep is.

    Attributes
    ----------
    name
        Name of the sweep.
    points, done
        Planned and finished points.
    batches, batches_done
        Planned and finished batches.
    counts
        Finished points by what the network became.
    judged
        Over which neurons and trials that is decided, and what the correlation does not show; empty if nothing is done.
    failures
        Row -> last line of its error, for points that failed and are not done.
    running
        Batch -> who computes it now, as far as its lock can be seen from here.
    cores
        Cores at work: a rank of a running batch counts as one.
    seconds_left
        Predicted time of the missing points on one core, corrected by how the finished ones turned out.
    end
        Predicted end in seconds of `time.time`, if the cores at work stay at it; None if nothing runs or is missing.
    finalized
        Whether the sweep was finalized.
    damaged
        Batch -> first thing that is damaged or missing in it; its points do not count as done.
    vouched
        Whether checksums vouch for the store; those of the layout before have none.
    """

    name: str
    points: int
    done: int
    batches: int
    batches_done: int
    counts: dict[str, int]
    judged: str
    failures: dict[int, str]
    running: dict[int, str]
    cores: int
    seconds_left: float
    end: float | None
    finalized: bool
    damaged: dict[int, str]
    vouched: bool


def sweep_status(path: str | Path) -> Status:
    """How far the sweep in a store is; may be asked at any time."""
    store = open_store(path)
    batches, planned = store.batches, store.planned
    faults = store.faults()
    done = np.zeros(store.n_rows, dtype=bool)
    believed = np.flatnonzero(~np.isin(store.batch_of_row, list(faults)))
    done[believed] = store.read("done", believed) == 1
    lacking = planned & ~done
    status = store.read("status", np.flatnonzero(done))
    missing = np.bincount(store.batch_of_row[lacking], minlength=len(batches))
    running = batch_holders(store.path, np.flatnonzero(missing).tolist())
    cores = sum(batches.ranks[batch] for batch in running)
    seconds = _seconds_by_batch(store, lacking)
    return Status(
        name=store.name,
        points=int(planned.sum()),
        done=int(done.sum()),
        batches=len(batches),
        batches_done=int((missing == 0).sum()),
        counts={name: int((status == code).sum()) for code, name in enumerate(STATUS)},
        judged=_judged(store, done),
        failures={row: text for row, text in _failures(store.path).items() if not done[row]},
        running=running,
        cores=cores,
        seconds_left=float(seconds.sum()),
        end=_end(seconds, np.array(batches.ranks), cores) if running else None,
        finalized=is_finalized(store.path) and not lacking.any(),
        damaged={batch: str(found[0]) for batch, found in faults.items()},
        vouched=store.inventory is not None,
    )


def _judged(store: SweepStore, done: np.ndarray) -> str:
    if not done.any():
        return ""
    names = ("status", "silent_share", *RECORDED_RESULTS)
    columns = {name: store.read(name)[done] for name in names if name in store.group}
    trials = None
    if "measures.n_test_trials" not in store.sweep.axes:
        trials = store.sweep.point(store.sweep.parameters_at(0)).measures.n_test_trials
    return judged_points(columns, n_test_trials=trials)


def _seconds_by_batch(store: SweepStore, lacking: np.ndarray) -> np.ndarray:
    """(batches,) corrected prediction of what is missing, in seconds of one core."""
    predicted = store.read("predicted_seconds")[lacking]
    corrected = predicted * calibration(store)(predicted)
    return np.bincount(store.batch_of_row[lacking], corrected, minlength=len(store.batches))


def _end(seconds: np.ndarray, ranks: np.ndarray, cores: int) -> float:
    """All work on the cores there are, but no sooner than the longest batch."""
    return time.time() + max(float(seconds.sum()) / cores, float((seconds / ranks).max()))


def _failures(path: Path) -> dict[int, str]:
    found = {}
    for _, record in sorted(read_records(path).items()):
        for row, text in record.get("failures", {}).items():
            found[int(row)] = text.strip().splitlines()[-1]
    return found
