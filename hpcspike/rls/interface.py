"""What the trainer asks of an engine of recursive least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpcspike.state import StateArray

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation


class RlsEngine(Protocol):
    """What the trainer asks of an engine."""

    needs_events: bool

    def begin_window(self) -> None:
        """A new trained window starts: nothing is known of r since the last update."""

    def update(self, simulation: Simulation, error: np.ndarray, gain: np.ndarray) -> None:
        """Update the simulation's weights and drive in place; error and gain have shape (n,)."""

    def covariance(self, row: int) -> np.ndarray:
        """P of one row, (K, K)."""

    def state_numbers(self) -> dict[str, Any]:
        """What is not an array of the live state, as plain data; the same on every rank."""

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, whose lengths depend on them."""

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the live state, by neuron."""
