"""Training under Dale's law: no weight ever changes its sign (paper, Fig 4 and its Methods).

The rule is laid around an engine, which first updates all weights as if there were none:

1. a synapse that is excluded, or whose weight would leave the side of zero where it started, gets its weight from
   before the update back, to the bit;
2. a synapse that attempted this is excluded from then on (unless ``sign_rule: reject``);
3. u = w.r is brought up to date with what was taken back.

The paper leaves open what becomes of P. With ``kept`` the recursion goes on with all inputs: P is the inverse of their
regularised correlations whatever the weights did. ``deleted`` takes the row and the column of an excluded input out of
P, ``conditioned`` replaces the rest by P - P_x P_x^T / P_xx before, which is the P that the remaining inputs would have
had alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hpcspike.rls.interface import RlsEngine
from hpcspike.rls.sign_kernels import keep_signs
from hpcspike.state import StateArray, prefixed, ragged

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation
    from hpcspike.spec.experiment import Training


class RemovingEngine(RlsEngine, Protocol):
    """An engine that can take inputs out of P.

    restarted: rows whose P the last update started anew, with all inputs in it.
    """

    @property
    def restarted(self) -> Sequence[int]: ...

    def remove_inputs(self, row: int, inputs: np.ndarray, filtered: np.ndarray, *, condition: bool) -> None:
        """Take plastic inputs of a row out of its P for ever; filtered (N,): r at the last update."""


class SignedRls:
    """An engine whose updates keep the signs of the initial weights.

    A synapse that starts at zero has no sign to keep.

    Parameters
    ----------
    engine
        What computes the updates.
    start, presynaptic, weight
        Compressed rows of the plastic synapses with their initial weights.
    training
        Its ``sign_*`` fields say which rule.

    Attributes
    ----------
    excluded_at
        (synapses,) int32: number of the update, from 0, that a synapse was excluded at; -1: it still learns.
    updates
        Updates made so far.
    """

    REBUILT: ClassVar[frozenset[str]] = frozenset({"start", "presynaptic", "sign", "training", "needs_events"})
    """Attributes that are no state: equal whenever they are made for the same rows."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset({"weight_before", "readout_before", "rejected"})
    """Attributes that are no state: written before they are read."""

    def __init__(
        self,
        engine: RemovingEngine,
        start: np.ndarray,
        presynaptic: np.ndarray,
        weight: np.ndarray,
        training: Training,
    ) -> None:
        self.engine, self.needs_events = engine, engine.needs_events
        self._start, self._presynaptic, self._training = start, presynaptic, training
        self._sign = np.sign(weight).astype(np.int8)
        self.excluded_at = np.full(len(weight), -1, dtype=np.int32)
        self.updates = 0
        self._weight_before = np.empty(len(weight), dtype=training.dtype)
        self._readout_before = np.empty(len(start) - 1)
        self._rejected = np.empty(len(start) - 1, dtype=np.int32)

    @property
    def excluded(self) -> np.ndarray:
        """Which synapses are excluded, (synapses,) bool."""
        return self.excluded_at >= 0

    def begin_window(self) -> None:
        """A new trained window starts: nothing is known of r since the last update."""
        self.engine.begin_window()

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Update the simulation's weights and drive in place; error and gain have shape (n,)."""
        rule = self._training
        self._weight_before[:] = simulation.weight
        self._readout_before[:] = simulation.readout
        self.engine.update(simulation, error, gain)
        keep_signs(
            self._start, self._presynaptic, self._sign, rule.sign_rule == "exclude", rule.sign_at_zero == "flip",
            rule.sign_increments == "withheld", self.updates, self.excluded_at, self._weight_before,
            self._readout_before, simulation.weight, simulation.readout, simulation.filtered, self._rejected,
        )  # fmt: skip
        if rule.sign_rule == "exclude" and rule.sign_covariance != "kept":
            condition = rule.sign_covariance == "conditioned"
            anew = set(self.engine.restarted)
            for row in sorted(anew.union(np.flatnonzero(self._rejected).tolist())):
                at = self.excluded_at[self._start[row] : self._start[row + 1]]
                inputs = np.flatnonzero(at >= 0 if row in anew else at == self.updates)
                self.engine.remove_inputs(row, inputs, simulation.filtered, condition=condition)
        self.updates += 1

    def covariance(self, row: int) -> np.ndarray:
        """P of one row, (K, K)."""
        return self.engine.covariance(row)

    def state_numbers(self) -> dict[str, Any]:
        """Number of updates, and those of the engine."""
        return {"updates": self.updates, "engine": self.engine.state_numbers()}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, whose lengths depend on them."""
        self.updates = numbers["updates"]
        self.engine.load_numbers(numbers["engine"])

    def state_arrays(self) -> list[StateArray]:
        """When synapses were excluded, and the arrays of the engine."""
        own = ragged("excluded_at", self.excluded_at, self._start)
        return [own, *prefixed("engine", self.engine.state_arrays())]
