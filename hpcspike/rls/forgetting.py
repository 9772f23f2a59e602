"""Recursive least squares that forgets: an error of n updates ago weighs gamma^n.

With S_n = gamma^n P_n the recursion P_n = (P_{n-1} - k k' / (gamma + q.k)) / gamma is the one without forgetting in
which error and gain of update n are multiplied by gamma^(-n/2). Every engine forgets in this way, and is
brought back to P by a power of two before the factor leaves the range of its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hpcspike.rls.interface import RlsEngine
from hpcspike.state import StateArray, prefixed

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation

_LARGEST = 16.0
"""S is brought back to P when it is so many times as small."""


class ScalableEngine(RlsEngine, Protocol):
    """An engine whose P can be multiplied."""

    def multiply(self, factor: float) -> None:
        """Multiply every P by a power of two."""


class ForgettingRls:
    """An engine with a forgetting factor gamma, 0 < gamma < 1 per update.

    Attributes
    ----------
    growth
        P over the matrix that the engine has in its place: gamma^-n since that was last brought back.
    """

    REBUILT: ClassVar[frozenset[str]] = frozenset({"forgetting", "needs_events"})
    """Attributes that are no state: equal whenever they are made for the same rows."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, engine: ScalableEngine, forgetting: float) -> None:
        self.engine, self.needs_events = engine, engine.needs_events
        self._forgetting = forgetting
        self.growth = 1.0

    def begin_window(self) -> None:
        """A new trained window starts: nothing is known of r since the last update."""
        self.engine.begin_window()

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Update the simulation's weights and drive in place; error and gain have shape (n,)."""
        self.growth /= self._forgetting
        while self.growth >= _LARGEST:
            self.growth /= _LARGEST
            self.engine.multiply(_LARGEST)
        weight = np.sqrt(self.growth)
        self.engine.update(simulation, weight * error, weight * gain)

    def covariance(self, row: int) -> np.ndarray:
        """P of one row, (K, K)."""
        return self.growth * self.engine.covariance(row)

    def state_numbers(self) -> dict[str, Any]:
        """The growth, and the numbers of the engine."""
        return {"growth": self.growth, "engine": self.engine.state_numbers()}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, whose lengths depend on them."""
        self.growth = numbers["growth"]
        self.engine.load_numbers(numbers["engine"])

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the engine."""
        return prefixed("engine", self.engine.state_arrays())
