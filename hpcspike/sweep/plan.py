"""Batches: which points are computed by which job, and where their rows lie in the store.

The chunks of a zarr array are regular, and two processes must never write one chunk. So every batch owns whole chunks.
Equal predicted time comes from *which* points share a batch: the most expensive points are dealt out first, each to the
batch with the least work so far. A batch is therefore a sample of the whole parameter space, and a running sweep fills
its maps evenly. A point that is as long as a batch should be is alone in one; the rest of its chunk are rows without a
point. Points too long for one process are computed by several MPI ranks.
"""

from __future__ import annotations

import heapq
import json
import math
from dataclasses import dataclass

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.spec.sweep import Batching

MAX_BATCHES = 1900
"""Most batches of a sweep: a workflow of more jobs takes minutes to plan."""


@dataclass(frozen=True)
class Batches:
    """The jobs of a sweep.

    Attributes
    ----------
    start
        (batches + 1,) first row of each batch, a multiple of the chunk, and the number of rows.
    seconds
        (batches,) predicted time on one core, s.
    memory_mib
        (batches,) predicted peak memory, MiB.
    ranks
        (batches,) MPI ranks of each job.
    """

    start: list[int]
    seconds: list[float]
    memory_mib: list[float]
    ranks: list[int]

    def __len__(self) -> int:
        return len(self.seconds)

    def rows(self, batch: int) -> range:
        """The rows that one batch owns.

        Raises
        ------
        StoreError
            If there is no such batch.
        """
        if not 0 <= batch < len(self):
            raise StoreError(f"batch {batch} does not exist; the sweep has the batches 0 to {len(self) - 1}")
        return range(self.start[batch], self.start[batch + 1])

    def batch_of_row(self) -> np.ndarray:
        """(rows,) batch that owns each row."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.start))

    def followed_by(self, others: Batches, *, chunk: int) -> Batches:
        """These batches and, from the next chunk on, others."""
        shift = math.ceil(self.start[-1] / chunk) * chunk
        start = [*self.start[:-1], *(shift + row for row in others.start)]
        return Batches(
            start,
            self.seconds + others.seconds,
            self.memory_mib + others.memory_mib,
            self.ranks + others.ranks,
        )

    def to_json(self) -> str:
        """As text, which the workflow reads to size its jobs."""
        return json.dumps(
            {
                "start": self.start,
                "seconds": [round(value, 1) for value in self.seconds],
                "memory_mib": [round(value) for value in self.memory_mib],
                "ranks": self.ranks,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Batches:
        """What `to_json` wrote."""
        batches = cls(**json.loads(text))
        columns = (batches.seconds, batches.memory_mib, batches.ranks)
        numbers = all(isinstance(value, (int, float)) for column in (batches.start, *columns) for value in column)
        if not numbers or {len(column) for column in columns} != {len(batches.start) - 1}:
            raise ValueError("the batches of a sweep are lists of numbers, one longer than the others")
        return batches


@dataclass(frozen=True)
class Plan:
    """Rows of the store and the batches that own them.

    Attributes
    ----------
    order
        (rows,) which point lies in each row, -1 for none.
    chunk
        Rows of a chunk.
    batches
        Who computes which rows.
    """

    order: np.ndarray
    chunk: int
    batches: Batches


def plan_batches(
    seconds: np.ndarray,
    memory_mib: np.ndarray,
    batching: Batching,
    *,
    chunk: int | None = None,
    most: int = MAX_BATCHES,
) -> Plan:
    """Group points into batches of about equal predicted time.

    The number of batches follows ``batching.minutes`` and ``batching.max_points``.

    Parameters
    ----------
    seconds, memory_mib
        (points,) predicted time on one core, s, and peak memory, MiB.
    batching
        How long a batch should be, and which points are for MPI.
    chunk
        Rows of a chunk, where a store has decided it already; default: as long as the largest batch.
    most
        Most batches.
    """
    members: list[np.ndarray] = []
    ranks: list[int] = []
    for points, n_ranks, at_most in _groups(seconds, batching, most):
        wanted = math.ceil(float(seconds[points].sum()) / (60.0 * batching.minutes))
        wanted = max(wanted, math.ceil(len(points) / batching.max_points), 1)
        dealt = _deal(seconds[points], min(wanted, at_most, len(points)))
        members += [np.sort(points[part]) for part in dealt]
        ranks += [n_ranks] * len(dealt)
    chunk = chunk or max(len(part) for part in members)
    order, start = _rows(members, chunk)
    batches = Batches(
        start=start,
        seconds=[float(seconds[part].sum()) for part in members],
        memory_mib=[float(memory_mib[part].max()) for part in members],
        ranks=ranks,
    )
    return Plan(order, chunk, batches)


def _groups(seconds: np.ndarray, batching: Batching, most: int) -> list[tuple[np.ndarray, int, int]]:
    """Points that may share batches, their ranks, and the most batches: cheap ones, those as long as a batch, MPI."""
    limit = math.inf if batching.mpi_minutes is None else 60.0 * batching.mpi_minutes
    mpi = seconds > limit
    # fewer than a third of the batches can be longer than three times the mean of all
    alone = ~mpi & (seconds >= max(60.0 * batching.minutes, 3.0 * float(seconds[~mpi].sum()) / most))
    n_alone, n_mpi = int(alone.sum()), min(int(mpi.sum()), most // 3)
    groups = [
        (~mpi & ~alone, 1, most - n_alone - n_mpi),
        (alone, 1, n_alone),
        (mpi, batching.mpi_ranks, n_mpi),
    ]
    return [(np.flatnonzero(group), n_ranks, at_most) for group, n_ranks, at_most in groups if group.any()]


def _deal(seconds: np.ndarray, n_batches: int) -> list[np.ndarray]:
    """Points of every batch: longest first, each to the batch with the least work that still has room.

    All batches but the last have the same number of points.
    """
    capacity = math.ceil(len(seconds) / n_batches)
    n_batches = math.ceil(len(seconds) / capacity)
    room = [capacity] * (n_batches - 1) + [len(seconds) - capacity * (n_batches - 1)]
    members: list[list[int]] = [[] for _ in range(n_batches)]
    heap = [(0.0, batch) for batch in range(n_batches)]
    for point in np.argsort(-seconds, kind="stable").tolist():
        load, batch = heapq.heappop(heap)
        members[batch].append(point)
        if len(members[batch]) < room[batch]:
            heapq.heappush(heap, (load + float(seconds[point]), batch))
    return [np.array(points, dtype=np.int64) for points in members]


def _rows(members: list[np.ndarray], chunk: int) -> tuple[np.ndarray, list[int]]:
    """Row of every point and first row of every batch; after the last point there are no more rows."""
    lengths = [math.ceil(len(part) / chunk) * chunk for part in members]
    lengths[-1] = len(members[-1])
    start = [0, *np.cumsum(lengths).tolist()]
    order = np.full(start[-1], -1, dtype=np.int64)
    for first, part in zip(start[:-1], members, strict=True):
        order[first : first + len(part)] = part
    return order, start
