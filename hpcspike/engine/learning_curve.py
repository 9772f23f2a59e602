"""What the learning curve says of a training loop, with plasticity on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.training_kernels import squared_changes
from hpcspike.model.problem import Problem

if TYPE_CHECKING:
    from hpcspike.engine.trainer import Trainer

CURVE = ("correlation", "rate", "weight_change", "seconds")
"""What the learning curve holds for every loop; see `hpcspike.engine.training_tests` for tests between loops."""


def row_of(trainer: Trainer) -> dict[str, float]:
    """The row of the loop that a trainer has just come to the end of, but for its seconds. All ranks ask together."""
    return {
        "correlation": _mean_correlation(trainer), "rate": _window_rate(trainer), "weight_change": _change(trainer)
    }  # fmt: skip


def squared_change(problem: Problem, world: World, now: np.ndarray, before: np.ndarray) -> float:
    """Sum of the squared differences of plastic weights (synapses,) over all ranks."""
    # row by row and then over all rows, so that the order of the sum does not depend on the blocks
    squares = np.empty(problem.n_rows)
    squared_changes(problem.plastic.start, now, before, squares)
    return float(world.concatenate(squares).sum())


def _mean_correlation(trainer: Trainer) -> float:
    # over all neurons of all ranks that have a target
    values = trainer.world.concatenate(_window_correlation(trainer))
    judged = trainer.world.concatenate(trainer.problem.has_target[trainer.target_set].astype(np.uint8)) == 1
    return float(np.mean(values if judged.all() else values[judged]))


def _window_correlation(trainer: Trainer) -> np.ndarray:
    # of what the network did with plasticity on, before each update; (n,)
    n, which = trainer.goals.shape[1], trainer.target_set
    sum_x, sum_xx, sum_xf = trainer.moments
    variation_x = sum_xx - sum_x**2 / n
    covariance = sum_xf - sum_x * trainer.goal_mean[which]
    scale = np.sqrt(np.maximum(variation_x, 0.0) * trainer.goal_variation[which])
    return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)


def _window_rate(trainer: Trainer) -> float:
    problem = trainer.problem
    spikes = trainer.world.concatenate(np.array([trainer.window_spikes])).sum()
    return float(spikes) / problem.n_neurons / (problem.duration_ms / 1000.0)


def _change(trainer: Trainer) -> float:
    problem, world, now = trainer.problem, trainer.world, trainer.simulation.weight
    reference = trainer.reference or squared_change(problem, world, now, np.zeros_like(now))
    change = squared_change(problem, world, now, trainer.weight_before)
    return float(np.sqrt(change / reference)) if reference > 0 else 0.0
