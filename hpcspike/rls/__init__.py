"""Recursive least squares on the plastic weights: the definition, the textbook engine and the fast exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.model.decay_classes import decay_classes, regressors
from hpcspike.rls.interface import RlsEngine
from hpcspike.rls.penalties import Penalties

if TYPE_CHECKING:
    from hpcspike.model.problem import Problem
    from hpcspike.spec.experiment import Training


def make_rls(problem: Problem, training: Training, *, threads: int = 1, mean_in_degree: float) -> RlsEngine:
    """The engine that an experiment asks for.

    ``mean_in_degree`` is that of the whole network: what depends on it must not depend on how the network was split.
    """
    from hpcspike.rls.blocked import BlockedRls
    from hpcspike.rls.capacity import best_capacity
    from hpcspike.rls.forgetting import ForgettingRls
    from hpcspike.rls.sign_rule import SignedRls
    from hpcspike.rls.textbook import TextbookBlasRls, TextbookRls

    classes = decay_classes(problem)
    arrays = (problem.plastic.start, regressors(problem, classes))
    options: dict[str, Any] = {
        "ridge": training.ridge, "dtype": np.dtype(training.precision_of_matrices), "threads": threads,
        "penalties": penalties_of(problem, training), "prior": training.gain == "prior",
    }  # fmt: skip
    engine: BlockedRls | TextbookRls
    if training.algorithm == "blocked":
        decay_of_row = classes.of_row if len(classes.taus_ms) > 1 else None
        engine = BlockedRls(*arrays, **options, capacity=best_capacity(mean_in_degree), decay_of_row=decay_of_row)
    else:
        engine = (TextbookRls if training.algorithm == "textbook" else TextbookBlasRls)(*arrays, **options)
    if training.forgetting < 1.0:
        return ForgettingRls(engine, training.forgetting)
    if training.sign_rule == "none":
        return engine
    return SignedRls(engine, *arrays, problem.plastic.weight, training)


def penalties_of(problem: Problem, training: Training) -> Penalties | None:
    """What the plastic weights of a block cost; None: nothing but the ridge, which is the same for all.

    Groups are inputs from excitatory and from inhibitory neurons, where the problem tells them apart, and those from a
    feed-forward population.
    """
    own_ridge = problem.feed_forward is not None and training.feed_forward_ridge is not None
    if training.row_sum_penalty == 0.0 and not own_ridge:
        return None
    presynaptic = problem.plastic.presynaptic
    group = (presynaptic >= problem.first_inhibitory).astype(np.int8) + (presynaptic >= problem.n_neurons)
    ridge, of_sum = training.ridge, training.row_sum_penalty
    fed = ridge if training.feed_forward_ridge is None else training.feed_forward_ridge
    return Penalties(problem.plastic.start, group, np.array([ridge, ridge, fed]), np.array([of_sum, of_sum, 0.0]))
