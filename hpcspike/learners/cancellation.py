"""What fast synapses do in networks with graded synapses: do their currents cancel the external ones?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.learners.huh import HuhLearner


class Cancellation(NamedTuple):
    """Two correlations, a number each.

    Attributes
    ----------
    currents
        Over the scored samples, of the fast recurrent and the external current, both low-passed with the time constant
        of the readouts' synapses; mean over neurons and trials. -1: one is the other's opposite.
    weights
        Over pairs of different neurons, of the fast weights with -w_out w_in, with which the fast currents are those of
        the readouts sent back through the input weights.
    """

    currents: float
    weights: float


def measure_cancellation(learner: HuhLearner, *, trials: int) -> Cancellation:
    """How far a trained network with fast synapses, whose readouts are to be its inputs, works by cancellation."""
    task, substeps = learner.task, round(learner.task.grid_ms / learner.settings.step_ms)
    found = []
    for index in range(trials):
        trial = task.sample("test", index)
        scored = np.repeat(trial.scored, substeps)
        external, fast = (_low_passed(one, learner)[scored].T for one in learner.currents(trial.stimulus))
        found.append(pearson(fast, external).mean())
    weights = learner.weights()
    pairs = ~np.eye(len(weights["w_fast"]), dtype=bool)
    wanted = -(weights["w_out"] @ weights["w_in"])
    return Cancellation(float(np.mean(found)), float(pearson(weights["w_fast"][pairs], wanted[pairs])))


def _low_passed(current: np.ndarray, learner: HuhLearner) -> np.ndarray:
    from scipy.signal import lfilter

    left = math.exp(-learner.settings.step_ms / learner.settings.tau_syn_ms)
    return np.asarray(lfilter([1.0 - left], [1.0, -left], current, axis=0))
