"""The textbook engine: P in full squares, read twice and written once per update (paper Eqs 10-12, 16-19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hpcspike.partition import balanced_bounds
from hpcspike.rls.penalties import Penalties
from hpcspike.rls.sign_kernels import remove_inputs
from hpcspike.rls.textbook_kernels import update_rows
from hpcspike.state import StateArray, ragged
from hpcspike.threads import at_once

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation


class TextbookRls:
    """State and update of all rows of a block.

    Parameters
    ----------
    start, presynaptic
        Compressed rows of the plastic synapses, (n + 1,) and (synapses,).
    ridge
        lambda; P(0) = I / lambda unless penalties say otherwise.
    dtype
        Precision of P and of the weights.
    threads
        Threads over neurons; the result does not depend on it.
    penalties
        P(0) of every row; ridge is that of its group 0.
    prior
        Whether weights change by P before the update (``training.gain``).
    """

    needs_events = False
    restarted: ClassVar[tuple[int, ...]] = ()
    """Rows that the last update started anew: none."""
    REBUILT: ClassVar[frozenset[str]] = frozenset({"start", "presynaptic", "block_start", "bounds", "prior"})
    """Attributes that are no state: equal whenever they are made for the same rows."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset({"work"})
    """Attributes that are no state: written before they are read."""

    def __init__(
        self,
        start: np.ndarray,
        presynaptic: np.ndarray,
        *,
        ridge: float,
        dtype: np.dtype,
        threads: int = 1,
        penalties: Penalties | None = None,
        prior: bool = False,
    ) -> None:
        in_degree = np.diff(start)
        self._start, self._presynaptic, self._prior = start, presynaptic, prior
        self._block_start = np.zeros(len(start), dtype=np.int64)
        np.cumsum(in_degree**2, out=self._block_start[1:])
        self._covariance = np.zeros(int(self._block_start[-1]), dtype=dtype)
        penalties = penalties or Penalties.of_ridge(start, ridge)
        for row, k in enumerate(in_degree):
            square = self._covariance[self._block_start[row] : self._block_start[row + 1]].reshape(k, k)
            penalties.fill(row, square, ridge)
        self._bounds = balanced_bounds(in_degree.astype(np.float64) ** 2, threads)
        self._work = np.empty((threads, 3, int(in_degree.max(initial=0))), dtype=dtype)

    def begin_window(self) -> None:
        """Nothing is carried from one update to the next."""

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Update weights and drive of a simulation in place.

        error (n,): f - value before the update; gain (n,): 1 for the drive, phi'(u + I) for the rate.
        """
        arguments = (
            self._bounds, self._start, self._presynaptic, simulation.weight, self._block_start, self._covariance,
            simulation.filtered, error, gain, simulation.readout, self._work, self._prior,
        )  # fmt: skip
        at_once(update_rows, [(thread, *arguments) for thread in range(len(self._work))])

    def multiply(self, factor: float) -> None:
        """Multiply every P by a power of two."""
        self._covariance *= self._covariance.dtype.type(factor)

    def remove_inputs(self, row: int, inputs: np.ndarray, filtered: np.ndarray, *, condition: bool) -> None:
        """Take plastic inputs of a row, given by their positions in it, out of its P for ever."""
        k = int(self._start[row + 1] - self._start[row])
        matrix = self._covariance[self._block_start[row] : self._block_start[row + 1]]
        remove_inputs(matrix, k, k, inputs, condition, np.empty(k))

    def covariance(self, row: int) -> np.ndarray:
        """P of one row as a (K, K) array."""
        k = int(self._start[row + 1] - self._start[row])
        return self._covariance[self._block_start[row] : self._block_start[row + 1]].reshape(k, k)

    def state_numbers(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """There are none."""

    def state_arrays(self) -> list[StateArray]:
        """P in full squares: the two triangles are rounded differently."""
        return [ragged("covariance", self._covariance, self._block_start)]


class TextbookBlasRls(TextbookRls):
    """The same through BLAS (symv and syr on one triangle), one thread only: the scheme to be compared with."""

    REBUILT = TextbookRls.REBUILT | {"blas_kernel"}
    SCRATCH = TextbookRls.SCRATCH | {"scalars"}

    def __init__(
        self,
        start: np.ndarray,
        presynaptic: np.ndarray,
        *,
        ridge: float,
        dtype: np.dtype,
        threads: int = 1,
        penalties: Penalties | None = None,
        prior: bool = False,
    ) -> None:
        from hpcspike.rls import textbook_blas_kernels

        super().__init__(start, presynaptic, ridge=ridge, dtype=dtype, threads=1, penalties=penalties, prior=prior)
        self._blas_kernel = textbook_blas_kernels.update_rows
        self._scalars = textbook_blas_kernels.scalar_arguments(np.dtype(dtype))

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """As `TextbookRls.update`; BLAS must be limited to one thread."""
        self._blas_kernel(
            self._start, self._presynaptic, simulation.weight, self._block_start, self._covariance,
            simulation.filtered, error, gain, simulation.readout, self._work[0], self._prior, *self._scalars,
        )  # fmt: skip

    def remove_inputs(self, row: int, inputs: np.ndarray, filtered: np.ndarray, *, condition: bool) -> None:
        """As `TextbookRls.remove_inputs`."""
        super().covariance(row)[:] = self.covariance(row)  # one triangle is not kept up to date
        super().remove_inputs(row, inputs, filtered, condition=condition)

    def covariance(self, row: int) -> np.ndarray:
        """P of one row as a (K, K) array."""
        # column-major L is row-major U: the upper triangle is the one kept up to date
        upper = np.triu(super().covariance(row))
        return upper + np.triu(upper, 1).T
