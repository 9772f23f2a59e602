"""What a rate code would cost: independent Poisson spikes of a network's rates, read by its own decoder."""

from __future__ import annotations

import numpy as np

from hpcspike.learners.ebn import EbnLearner
from hpcspike.learners.interface import Rollout


def poisson_error(learner: EbnLearner, rollout: Rollout, target: np.ndarray) -> float:
    """Expected squared error over the power of the target if every neuron fired as a Poisson process of its rate.

    The rates are taken to give the target on average, so that all of the error is the variance of x_hat = D' r, which
    for Poisson spikes is the sum over neurons of |D_i|^2 times the integral of exp(-2 lambda (t - s)) over their
    expected spikes s < t (Campbell's theorem). The spikes that the network fired stand for the expected ones.

    Parameters
    ----------
    learner
        Whose decoder and decay of r (lambda) are used.
    rollout
        What it did in a trial without a cue.
    target
        (samples, d) of that trial.
    """
    seconds = len(target) * learner.task.grid_ms / 1000.0
    decay = learner.settings.decay_per_s
    decoder = learner.F @ learner.readout.T
    left = seconds - rollout.spike_time_ms / 1000.0
    weight = (decoder**2).sum(axis=1)[rollout.spike_neuron]
    variance = float((weight * -np.expm1(-2.0 * decay * left)).sum() / (2.0 * decay * seconds))
    return variance / float((target**2).sum(axis=1).mean())
