"""A trained network with other weights: what lesions and shuffles are measured on."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from hpcspike.checks import array, instance
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.engine.trained import Trained
from hpcspike.model.problem import Problem


def with_weights(trained: Trained, plastic: np.ndarray, *, static: np.ndarray | None = None) -> Trained:
    """A copy of a trained network with other weights on the same synapses; the original is left alone.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`.
    plastic
        Weights of the plastic synapses of this block, (synapses,), in the order of ``trained.simulation.weight``.
    static
        Weights of the fixed synapses, (fixed synapses,), in the order of ``trained.problem.static``; default: as they
        are.

    Raises
    ------
    DataError
        If there is not one weight, a finite number, per synapse.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    problem, live = trained.problem, trained.simulation
    plastic = array(
        "plastic", plastic, shape=(len(live.weight),), axes=f"{(len(live.weight),)}, one weight per synapse"
    )
    if static is not None:
        fixed = len(problem.static.weight)
        static = array("static", static, shape=(fixed,), axes=f"{(fixed,)}, one weight per synapse")
    if static is not None:
        problem = copy.copy(problem)
        problem.static = problem.static._replace(weight=static.astype(np.float64))
    # the layout of the fixed synapses carries their weights, so that it is shared only if they are the same
    simulation = make_simulation(
        problem, dtype=live.weight.dtype, world=trained.world, like=live if static is None else None
    )  # fmt: skip
    simulation.take_weights(live)  # those of a feed-forward population for other target sets
    simulation.weight[:] = plastic
    return replace(trained, problem=problem, simulation=simulation)


def with_problem(trained: Trained, problem: Problem, *, weight: np.ndarray | None = None) -> Trained:
    """A trained network with another problem (synapses, time constants, noise, targets); the original is left alone.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`.
    problem
        What takes the place of its problem.
    weight
        (synapses,) plastic weights on the synapses of ``problem``; default: those of ``trained``, which are as many.

    It has no matrices P: they are of the problem that was trained.
    """
    live = trained.simulation
    simulation = make_simulation(problem, dtype=live.weight.dtype, world=trained.world)
    if weight is None:
        simulation.take_weights(live)
    else:
        simulation.weight[:] = weight
    return replace(trained, problem=problem, simulation=simulation, rls=None)


def untrained(trained: Trained) -> Trained:
    """The network before training: its initial weights, no learning curve; the RLS state is that of the trained one."""
    curve = {name: values[:0] for name, values in trained.curve.items()}
    return replace(with_weights(trained, trained.problem.plastic.weight), curve=curve, diverged_loop=-1)
