"""Batches: which points are computed by which job, and where their rows lie in the store.

The chunks of a zarr array are regular, and two processes must never write one chunk. So every batch has the same number
of points, its rows are exactly one chunk of every result variable, and equal predicted time comes from *which* points
share a batch: the most expensive points are dealt out first, each to the batch with the least work so far. A batch is
therefore a sample of the whole parameter space, and a running sweep fills its maps evenly.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.sweep.grid import Grid

MAX_BATCHES = 1900
"""Most batches of a sweep: a workflow of more jobs takes minutes to plan."""


@dataclass(frozen=True)
class Plan:
    """Rows of the store and the batches that own them.

    Attributes
    ----------
    order
        (points,) position in the grid of every row of the store.
    points_per_batch
        Rows of a batch and of a chunk; only the last batch may have fewer.
    seconds
        (batches,) predicted time of each batch on one core.
    memory_mib
        (batches,) predicted peak memory of each batch, MiB.
    """

    order: np.ndarray
    points_per_batch: int
    seconds: np.ndarray
    memory_mib: np.ndarray

    @property
    def n_points(self) -> int:
        """Number of rows."""
        return len(self.order)

    @property
    def n_batches(self) -> int:
        """Number of jobs."""
        return len(self.seconds)

    def batch_of_row(self) -> np.ndarray:
        """(points,) batch that owns each row."""
        return np.arange(self.n_points, dtype=np.int32) // np.int32(self.points_per_batch)


def plan_batches(grid: Grid) -> Plan:
    """Group the points of a sweep into batches of about equal predicted time.

    The number of batches follows ``batching.minutes`` and ``batching.max_points``, and never passes MAX_BATCHES.
    """
    batching = grid.sweep.batching
    n = grid.n_points
    by_time = math.ceil(float(grid.seconds.sum()) / (60.0 * batching.minutes))
    wanted = max(by_time, math.ceil(n / batching.max_points), 1)
    points_per_batch = math.ceil(n / min(wanted, MAX_BATCHES, n))
    n_batches = math.ceil(n / points_per_batch)
    members = _deal(grid.seconds, n_batches, points_per_batch)
    return Plan(
        order=np.concatenate([np.sort(points) for points in members]).astype(np.int64),
        points_per_batch=points_per_batch,
        seconds=np.array([grid.seconds[points].sum() for points in members]),
        memory_mib=np.array([grid.memory_mib[points].max() for points in members]),
    )


def rows_of_batch(batch: int, points_per_batch: int, n_points: int) -> range:
    """The rows that one batch owns.

    Raises
    ------
    StoreError
        If there is no such batch.
    """
    n_batches = math.ceil(n_points / points_per_batch)
    if not 0 <= batch < n_batches:
        raise StoreError(f"batch {batch} does not exist; the sweep has the batches 0 to {n_batches - 1}")
    return range(batch * points_per_batch, min((batch + 1) * points_per_batch, n_points))


def _deal(seconds: np.ndarray, n_batches: int, capacity: int) -> list[np.ndarray]:
    """Points of every batch: longest first, each to the batch with the least work that still has room."""
    room = [capacity] * (n_batches - 1) + [len(seconds) - capacity * (n_batches - 1)]
    members: list[list[int]] = [[] for _ in range(n_batches)]
    heap = [(0.0, batch) for batch in range(n_batches)]
    for point in np.argsort(-seconds, kind="stable").tolist():
        load, batch = heapq.heappop(heap)
        members[batch].append(point)
        if len(members[batch]) < room[batch]:
            heapq.heappush(heap, (load + float(seconds[point]), batch))
    return [np.array(points, dtype=np.int64) for points in members]
