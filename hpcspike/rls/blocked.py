"""The fast exact engine: P touched at spikes only, rank-1 updates deferred and applied as one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.machine import last_cache_bytes
from hpcspike.partition import balanced_bounds
from hpcspike.rls.blocked_kernels import update_part
from hpcspike.rls.capacity import VECTOR_BYTES, aligned_zeros
from hpcspike.rls.packing_kernels import pack_triangles, unpack_triangles
from hpcspike.rls.penalties import Penalties
from hpcspike.rls.sign_kernels import remove_inputs, take_in
from hpcspike.state import StateArray, by_neuron
from hpcspike.threads import at_once

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation


RIDGE_GROWTH = 10.0
"""By how much a row's ridge grows when its P has to be started anew."""


class Health(NamedTuple):
    """What it took to keep every P positive definite, see `BlockedRls.health`.

    restarts (n,): how often a row was started anew; ridge (n,): lambda of its present P.
    """

    restarts: np.ndarray
    ridge: np.ndarray


class Matrices(NamedTuple):
    """Arrays and numbers of a `BlockedRls` by the names of `hpcspike.rls.blocked_kernels.update_part`."""

    bounds: np.ndarray
    start: np.ndarray
    widths: np.ndarray
    p_start: np.ndarray
    v_start: np.ndarray
    capacity: int
    streaming: bool
    lanes: int
    presynaptic: np.ndarray
    covariance: np.ndarray
    vectors: np.ndarray
    shrinks: np.ndarray
    scalars: np.ndarray
    sources: np.ndarray
    factors: np.ndarray
    values: np.ndarray
    packed: np.ndarray
    prior: bool


class BlockedRls:
    """State and update of all rows of a block; parameters as `hpcspike.rls.textbook.TextbookRls`.

    P of a row is a (K, K) square, padded to whole vectors in both directions. ``capacity`` is the number of updates
    that are kept back before P takes them in (M in the derivation), see `hpcspike.rls.capacity`; it must be the same on
    all ranks. ``decay_of_row`` (n,): which of several decay times of r each row has; None: there is one.
    """

    needs_events = True
    REBUILT: ClassVar[frozenset[str]] = frozenset(
        {
            "start",
            "presynaptic",
            "penalties",
            "in_degree",
            "lanes",
            "widths",
            "p_start",
            "v_start",
            "streaming",
            "bounds",
            "threads",
            "prior",
            "decay_of_row",
        }
    )
    """Attributes that are no state: equal whenever they are made for the same rows."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset({"sources", "factors", "values", "packed", "restarted"})
    """Attributes that are no state: written before they are read."""

    def __init__(
        self,
        start: np.ndarray,
        presynaptic: np.ndarray,
        *,
        ridge: float,
        dtype: np.dtype,
        threads: int = 1,
        capacity: int,
        penalties: Penalties | None = None,
        prior: bool = False,
        decay_of_row: np.ndarray | None = None,
    ) -> None:
        self._prior, self._decay_of_row = prior, decay_of_row
        in_degree = np.diff(start)
        dtype = np.dtype(dtype)
        self._lanes = VECTOR_BYTES // dtype.itemsize
        self._start, self._presynaptic, self._in_degree = start, presynaptic, in_degree
        self._widths = -(-in_degree // self._lanes) * self._lanes
        self._p_start = _starts(self._widths**2)
        self._v_start = _starts(capacity * self._widths)
        widest = int(self._widths.max(initial=0))
        self._covariance = aligned_zeros(int(self._p_start[-1]), dtype)
        self._streaming = self._covariance.nbytes > last_cache_bytes()
        self._penalties = penalties or Penalties.of_ridge(start, ridge)
        for row in range(len(in_degree)):
            self._penalties.fill(row, self._square(row), ridge)
        self._vectors = aligned_zeros(int(self._v_start[-1]), dtype)
        self._shrinks = np.zeros((len(in_degree), capacity))
        self._scalars = np.zeros((len(in_degree), 2))
        self._ridges = np.full(len(in_degree), float(ridge))
        self._restarts = np.zeros(len(in_degree), dtype=np.int64)
        self._bounds = balanced_bounds(in_degree.astype(np.float64) ** 2, threads)
        longest = max(int(in_degree.max(initial=0)), capacity)
        self._sources = np.empty(threads * longest, dtype=np.int64)
        self._factors = np.empty(threads * longest, dtype=dtype)
        self._values = np.empty(threads * longest)
        self._packed = aligned_zeros(threads * capacity * widest, dtype)
        self.threads = threads
        self.capacity = capacity
        self.restarted: list[int] = []
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
        arguments = (
            self._bounds, self._start, self._widths, self._p_start, self._v_start, self._kept, self.capacity,
            self._fresh, flush, self._streaming, self._lanes, self.decay_by_row(simulation.interval_decay),
            self._presynaptic, simulation.weight, self._covariance, self._vectors, self._shrinks, self._scalars,
            simulation.filtered, simulation.trace, simulation.events, simulation.n_events, error, gain,
            simulation.readout, self._sources, self._factors, self._values, self._packed, self._prior,
        )  # fmt: skip
        at_once(update_part, [(part, *arguments) for part in range(self.threads)])
        self.pass_updates(1, simulation, error, gain)

    def matrices(self) -> Matrices:
        """What compiled code needs to go on with the updates by itself."""
        return Matrices(
            self._bounds, self._start, self._widths, self._p_start, self._v_start, self.capacity, self._streaming,
            self._lanes, self._presynaptic, self._covariance, self._vectors, self._shrinks, self._scalars,
            self._sources, self._factors, self._values, self._packed, self._prior,
        )  # fmt: skip

    def decay_by_row(self, interval_decay: float | np.ndarray) -> np.ndarray:
        """Decay of r between updates of each row, (n,)."""
        if self._decay_of_row is None:
            return np.full(len(self._in_degree), interval_decay, dtype=np.float64)
        return np.asarray(interval_decay)[self._decay_of_row]

    @property
    def position(self) -> tuple[int, bool]:
        """How many updates P does not contain yet, and whether r is known only as a whole."""
        return self._kept, self._fresh

    def pass_updates(self, n_updates: int, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Count updates that were made, and start rows anew that the last of them lost; error, gain (n,): its own."""
        self._kept = (self._kept + n_updates) % self.capacity
        self._fresh = False
        self.restarted.clear()
        if self._scalars[:, 1].min(initial=0.0) < 0.0:
            for row in np.flatnonzero(self._scalars[:, 1] < 0.0).tolist():
                self._restart(row, simulation, error[row] * gain[row])

    def health(self) -> Health:
        """Which rows lost a positive definite P to rounding, and were started anew.

        q.P q < 0 is impossible for a positive definite P; the recursion has this number at hand, so every update looks
        at its sign. It happens where 1 / lambda is too large for the precision of P: directions that have been learned
        shrink to about 1 / (n |r|^2) after n updates, and the rounding of 1 / lambda swamps them. In float32 that was
        seen with lambda <= 1e-7 (where the textbook stops learning altogether), in float64 never. Such a row takes the
        update back and starts anew from its weights and P(0) with ten times all penalties, so that after one to
        three restarts it has one that its precision can carry.
        """
        return Health(self._restarts.copy(), self._ridges.copy())

    def _restart(self, row: int, simulation: Simulation, step: float) -> None:
        k, width, first = int(self._in_degree[row]), int(self._widths[row]), int(self._start[row])
        vectors = self._vectors[self._v_start[row] : self._v_start[row + 1]].reshape(self.capacity, width)
        last = vectors[self._kept - 1]  # the last of all if P has just taken them in
        beta, product = self._scalars[row]
        beta = 1.0 if self._prior else beta
        simulation.weight[first : first + k] -= step * beta * last[:k]
        simulation.readout[row] -= step * beta * product

        self.restarted.append(row)
        self._restarts[row] += 1
        self._ridges[row] *= RIDGE_GROWTH
        ridge = float(self._ridges[row])
        self._covariance[self._p_start[row] : self._p_start[row + 1]] = 0.0
        self._penalties.fill(row, self._square(row), ridge)
        # no kept update counts any more; the recursion goes on from P q of the new P
        vectors[:] = 0.0
        self._shrinks[row] = 0.0
        q = simulation.filtered[self._presynaptic[first : first + k]]
        product_of_new = self._penalties.product(row, q, ridge)
        last[:k] = product_of_new
        self._scalars[row] = 1.0, q @ q / ridge if self._penalties.plain else q @ product_of_new

    def remove_inputs(self, row: int, inputs: np.ndarray, filtered: np.ndarray, *, condition: bool) -> None:
        """Take plastic inputs of a row, given by their positions in it, out of its P for ever.

        Called right after an update; filtered (N,): r at that update. ``condition``: see `hpcspike.rls.sign_kernels`.
        P takes the kept updates of this row in early, which changes nothing but rounding, and the recursion goes on
        from P q.
        """
        k, width, first = int(self._in_degree[row]), int(self._widths[row]), int(self._start[row])
        matrix = self._covariance[self._p_start[row] : self._p_start[row + 1]]
        vectors = self._vectors[self._v_start[row] : self._v_start[row + 1]]
        take_in(matrix, k, width, vectors, self._shrinks[row], self._kept)
        remove_inputs(matrix, k, width, inputs, condition, np.empty(k))
        q = filtered[self._presynaptic[first : first + k]]
        product = (matrix.reshape(-1, width)[:k, :k] * q).sum(axis=1)
        place = (self._kept - 1 if self._kept else self.capacity - 1) * width
        vectors[place : place + k] = product
        self._scalars[row] = 1.0, (q * product).sum()

    def _square(self, row: int) -> np.ndarray:
        """P of one row without the kept updates and without padding, (K, K), to be written to."""
        k, width = int(self._in_degree[row]), int(self._widths[row])
        return self._covariance[self._p_start[row] : self._p_start[row] + k * width].reshape(k, width)[:, :k]

    def multiply(self, factor: float) -> None:
        """Multiply every P by a power of two."""
        kind = self._covariance.dtype.type
        self._covariance *= kind(factor)
        self._vectors *= kind(factor)
        self._shrinks /= factor
        self._scalars[:, 1] *= factor

    def covariance(self, row: int) -> np.ndarray:
        """P of one row as a (K, K) array, the kept updates included."""
        k, width, square = int(self._in_degree[row]), int(self._widths[row]), self._square(row)
        kept = self._vectors[self._v_start[row] : self._v_start[row] + self._kept * width]
        kept = kept.reshape(self._kept, width)[:, :k]
        scaled = np.sqrt(self._shrinks[row, : self._kept, None]) * kept
        return square - scaled.T @ scaled

    def state_numbers(self) -> dict[str, Any]:
        """How many updates are kept back, of how many at most, and whether r is known only as a whole."""
        return {"capacity": self.capacity, "kept": self._kept, "fresh": self._fresh}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, whose lengths depend on them."""
        if numbers["capacity"] != self.capacity:
            raise StoreError(
                f"the saved state keeps back {numbers['capacity']} updates, this engine {self.capacity}: another "
                "version of hpcspike wrote it; go on with that version, or start anew in another folder"
            )
        self._kept, self._fresh = numbers["kept"], numbers["fresh"]

    def state_arrays(self) -> list[StateArray]:
        """P as packed triangles, the vectors that it does not contain yet, and their factors."""
        # the recursion goes on from the last vector, also when P has just taken all of them in
        slots = np.arange(self._kept) if self._kept else np.array([self.capacity - 1])

        def take_vectors(low: int, high: int) -> np.ndarray:
            return self._vectors[self._places(low, high, slots)]

        def put_vectors(low: int, high: int, values: np.ndarray) -> None:
            self._vectors[self._places(low, high, slots)] = values

        k, dtype = self._in_degree, self._covariance.dtype
        return [
            StateArray("covariance", dtype, k * (k + 1) // 2, self._take_triangles, self._put_triangles),
            StateArray("vectors", dtype, k * len(slots), take_vectors, put_vectors),
            by_neuron("shrinks", self._shrinks[:, : self._kept]),
            by_neuron("scalars", self._scalars),
            by_neuron("ridges", self._ridges),
            by_neuron("restarts", self._restarts),
        ]

    def _take_triangles(self, low: int, high: int) -> np.ndarray:
        k = self._in_degree[low:high]
        packed = np.empty(int((k * (k + 1) // 2).sum()), dtype=self._covariance.dtype)
        pack_triangles(low, high, self._in_degree, self._p_start, self._widths, self._covariance, packed)
        return packed

    def _put_triangles(self, low: int, high: int, packed: np.ndarray) -> None:
        unpack_triangles(low, high, self._in_degree, self._p_start, self._widths, packed, self._covariance)

    def _places(self, low: int, high: int, slots: np.ndarray) -> np.ndarray:
        # where the entries of the vectors in these slots lie, without the padding
        begins = (self._v_start[low:high, None] + slots * self._widths[low:high, None]).ravel()
        lengths = np.repeat(self._in_degree[low:high], len(slots))
        return np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)


def _starts(lengths: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
