"""Recursive least squares on the plastic weights: the definition, the textbook engine and the fast exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.rls.interface import RlsEngine

if TYPE_CHECKING:
    from hpcspike.model.problem import Problem
    from hpcspike.spec.experiment import Training


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
