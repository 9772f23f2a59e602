"""The fast exact engine: P touched at spikes only, rank-1 updates deferred and applied as one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.engine.partition import balanced_bounds
from hpcspike.rls.blocked_kernels import update_rows, update_rows_parallel
from hpcspike.rls.capacity import TILE_ROWS, VECTOR_BYTES

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation


class BlockedRls:
    """State and update of all rows of a block; parameters as `hpcspike.rls.textbook.TextbookRls`.

    P of a row is a (K, K) square in rows padded to whole vectors. ``capacity`` is the number of updates that are kept
    back before P takes them in (M in the derivation), see `hpcspike.rls.capacity`; it must be the same on all ranks.
    """

    needs_events = True

    def __init__(
        self,
        start: np.ndarray,
        presynaptic: np.ndarray,
        *,
        ridge: float,
        dtype: np.dtype,
        threads: int = 1,
        capacity: int,
    ) -> None:
        in_degree = np.diff(start)
        lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
        self._start, self._presynaptic = start, presynaptic
        self._widths = -(-in_degree // lanes) * lanes
        heights = -(-in_degree // TILE_ROWS) * TILE_ROWS
        self._p_start = _starts(heights * self._widths)
        self._v_start = _starts(capacity * self._widths)
        widest = int(self._widths.max(initial=0))
        # the flush of the last strip asks one strip ahead
        self._covariance = np.zeros(int(self._p_start[-1]) + TILE_ROWS * widest, dtype=dtype)
        for row, k in enumerate(in_degree):
            diagonal = self._p_start[row] + np.arange(k) * (self._widths[row] + 1)
            self._covariance[diagonal] = 1.0 / ridge
        self._vectors = np.zeros(int(self._v_start[-1]), dtype=dtype)
        self._shrinks = np.zeros((len(in_degree), capacity))
        self._scalars = np.zeros((len(in_degree), 2))
        self._bounds = balanced_bounds(in_degree.astype(np.float64) ** 2, threads)
        longest = max(int(in_degree.max(initial=0)), capacity)
        self._sources = np.empty(threads * longest, dtype=np.int64)
        self._factors = np.empty(threads * longest, dtype=dtype)
        self._values = np.empty(threads * longest)
        self._scaled = np.empty(threads * capacity * widest, dtype=dtype)
        self._kernel = update_rows if threads == 1 else update_rows_parallel
        self.capacity = capacity
        self._kept = 0
        self._fresh = True

    def begin_window(self) -> None:
        """r is known only as a whole: the next update multiplies P with it."""
        self._fresh = True

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Update weights and drive of a simulation in place.

        error (n,): f - value before the update; gain (n,): 1 for the drive, phi'(u + I) for the rate.
        """
        flush = self._kept + 1 == self.capacity
        self._kernel(
            self._bounds, self._start, self._widths, self._p_start, self._v_start, self._kept, self.capacity,
            self._fresh, flush, simulation.interval_decay, self._presynaptic, simulation.weight, self._covariance,
            self._vectors, self._shrinks, self._scalars, simulation.filtered, simulation.trace, simulation.events,
            simulation.n_events, error, gain, simulation.readout, self._sources, self._factors, self._values,
            self._scaled,
        )  # fmt: skip
        self._kept = 0 if flush else self._kept + 1
        self._fresh = False

    def covariance(self, row: int) -> np.ndarray:
        """P of one row as a (K, K) array, the kept updates included."""
        k, width = int(self._start[row + 1] - self._start[row]), int(self._widths[row])
        square = self._covariance[self._p_start[row] : self._p_start[row] + k * width].reshape(k, width)[:, :k]
        kept = self._vectors[self._v_start[row] : self._v_start[row] + self._kept * width]
        kept = kept.reshape(self._kept, width)[:, :k]
        return square - (self._shrinks[row, : self._kept, None] * kept).T @ kept


def _starts(lengths: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
