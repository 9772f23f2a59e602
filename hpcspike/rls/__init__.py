"""Recursive least squares on the plastic weights: the definition, the textbook engine and the fast exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpcspike.state import StateArray

if TYPE_CHECKING:
    from hpcspike.engine.simulation import Simulation
    from hpcspike.model.problem import Problem
    from hpcspike.spec.experiment import Training


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


def make_rls(problem: Problem, training: Training, *, threads: int = 1, mean_in_degree: float) -> RlsEngine:
    """The engine that an experiment asks for.

    ``mean_in_degree`` is that of the whole network: what depends on it must not depend on how the network was split.
    """
    from hpcspike.rls.blocked import BlockedRls
    from hpcspike.rls.capacity import best_capacity
    from hpcspike.rls.sign_rule import SignedRls
    from hpcspike.rls.textbook import TextbookBlasRls, TextbookRls

    arrays = (problem.plastic.start, problem.plastic.presynaptic)
    options: dict[str, Any] = {"ridge": training.ridge, "dtype": np.dtype(training.dtype), "threads": threads}
    engine: BlockedRls | TextbookRls
    if training.algorithm == "blocked":
        engine = BlockedRls(*arrays, **options, capacity=best_capacity(mean_in_degree))
    else:
        engine = (TextbookRls if training.algorithm == "textbook" else TextbookBlasRls)(*arrays, **options)
    if training.sign_rule == "none":
        return engine
    return SignedRls(engine, *arrays, problem.plastic.weight, training)
