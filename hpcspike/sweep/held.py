"""What a store says of the points that it holds: they are worked out when they are planned, and read afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcspike.identity import experiment_hash, sweep_hash
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.grid import Grid
from hpcspike.sweep.store import SweepStore


@dataclass(frozen=True)
class Points:
    """The points of a sweep, as planning tells of them.

    Attributes
    ----------
    identity
        SHA-256 (hex) over the identities of all points, see `Grid.identity`.
    seconds
        (points,) predicted wall time on one core in s.
    memory_mib
        Largest predicted memory of one process in MiB.
    """

    identity: str
    seconds: np.ndarray
    memory_mib: float

    @property
    def n_points(self) -> int:
        """Number of trainings."""
        return len(self.seconds)


def points_of(grid: Grid) -> Points:
    """What a grid says."""
    return Points(grid.identity, grid.seconds, float(memory_per_process(grid).max()))


def memory_per_process(grid: Grid) -> np.ndarray:
    """(points,) MiB; a network is spread evenly over its MPI ranks."""
    batching = grid.sweep.batching
    if batching.mpi_minutes is None:
        return grid.memory_mib
    return np.where(grid.seconds > 60.0 * batching.mpi_minutes, grid.memory_mib / batching.mpi_ranks, grid.memory_mib)


def points_in(store: SweepStore, sweep: Sweep) -> Points | None:
    """What a store says, if it holds exactly the points of a sweep; None if that is not sure.

    The texts of both sweeps must be the same, and so must be the experiments of points in which every value of every
    axis occurs: a recording, a model or a default that has changed since shows in them.
    """
    if store.attributes["sweep_hash"] != sweep_hash(sweep) or store.attributes["earlier_sweeps"]:
        return None
    rows = np.flatnonzero(store.planned)
    position = np.asarray(store.group["grid_index"][:])[rows]
    looked_at = _one_of_each_value(sweep)
    if len(rows) != sweep.n_points or not np.isin(looked_at, position).all():
        return None
    row_of = np.empty(sweep.n_points, dtype=np.int64)
    row_of[position] = rows
    hashes = np.asarray(store.group["experiment_hash"][:])[row_of[looked_at]]
    found = [experiment_hash(sweep.point(sweep.parameters_at(int(index)))) for index in looked_at]
    if found != [str(identity) for identity in hashes]:
        return None
    seconds = np.empty(sweep.n_points)
    seconds[position] = np.asarray(store.group["predicted_seconds"][:])[rows]
    per_process = np.array(store.batches.memory_mib) / np.array(store.batches.ranks)
    return Points(str(store.attributes["points_hash"]), seconds, float(per_process.max()))


def _one_of_each_value(sweep: Sweep) -> np.ndarray:
    """Positions of points among which every value of every axis is found; replicates differ in their number only."""
    lengths = list(sweep.shape.values())
    strides = np.cumprod([1, *lengths[:0:-1]])[::-1]
    positions = {0, sweep.n_points - 1}
    for length, stride in zip(lengths[:-1], strides[:-1], strict=True):
        positions |= {int(value * stride) for value in range(length)}
    return np.array(sorted(positions), dtype=np.int64)
