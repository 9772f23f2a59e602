"""Recursive least squares on the plastic weights: the definition, the textbook engine and the fast exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

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


def make_rls(problem: Problem, training: Training, *, threads: int = 1) -> RlsEngine:
    """The engine that an experiment asks for."""
    from hpcspike.rls.blocked import BlockedRls
    from hpcspike.rls.textbook import TextbookBlasRls, TextbookRls

    engines: dict[str, Any] = {"blocked": BlockedRls, "textbook": TextbookRls, "textbook_blas": TextbookBlasRls}
    engine: RlsEngine = engines[training.algorithm](
        problem.plastic.start,
        problem.plastic.presynaptic,
        ridge=training.ridge,
        dtype=np.dtype(training.dtype),
        threads=threads,
    )
    return engine
