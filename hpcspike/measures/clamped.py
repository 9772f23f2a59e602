"""The clamped split: which part of the error comes from spikes, which from the weights (paper, Methods: error)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trained import Trained
from hpcspike.measures.correlation import pooled_spread
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.transfer import rate_of_constant_input


class ClampedSplit(NamedTuple):
    """Errors over time, neurons and trials as root mean squares, in units of the target's s.d."""

    sampling: float
    tracking: float
    quasi_static: float


def clamped_split(trained: Trained, *, target_set: int = 0, trials: int = 3) -> ClampedSplit:
    """Drive every neuron with its target and split the error of the drive that would result.

    With r the filtered spikes of the clamped neurons and rho the same filter applied to phi_1(f + I),

        sampling = rms(W r - W rho),   tracking = rms(W rho - f),   quasi_static = rms(W phi_1(f + I) - f).

    Both filters start from rest one cue length before the window; until it begins the neurons receive the first value
    of their target, and no cue.

    Parameters
    ----------
    trained
        A network trained for its drive, held whole by this process.
    target_set
        Which targets to clamp to.
    trials
        Number of random initial conditions.
    """
    problem = trained.problem
    targets = problem.targets[target_set]
    simulation = trained.copy_simulation()
    bias = problem.input
    every = problem.steps_per_sample
    # the target at every step: sample m holds for the steps that lead to it
    clamp = np.repeat(targets.T, every, axis=0)
    lead = np.broadcast_to(targets[:, 0], (problem.stimulus_steps, problem.n_rows))
    rates = rate_of_constant_input(targets + bias[:, None])
    weights = trained.weights
    mean_field = weights @ _filtered(rates, simulation, every, problem.stimulus_steps)
    squares = 0.0
    for trial in range(trials):
        phase = uniform_by_neuron(
            problem.seed, problem.replicate, "clamped_phase", problem.neurons, trial, 0.0, 2.0 * np.pi
        )
        simulation.set_state(phase, np.zeros(problem.n_neurons))
        if problem.stimulus_steps:
            simulation.run_interval(problem.stimulus_steps, bias, clamp=np.ascontiguousarray(lead))
        record = np.empty((problem.n_samples, problem.n_rows))
        simulation.run_interval(len(clamp), bias, clamp=clamp, record=record)
        squares += float(np.mean((record.T - mean_field) ** 2))
    spread = pooled_spread(targets)
    return ClampedSplit(
        sampling=float(np.sqrt(squares / trials)) / spread,
        tracking=float(np.sqrt(np.mean((mean_field - targets) ** 2))) / spread,
        quasi_static=float(np.sqrt(np.mean((weights @ rates - targets) ** 2))) / spread,
    )


def _filtered(rates: np.ndarray, simulation: Simulation, every: int, lead_steps: int) -> np.ndarray:
    """The synaptic filter applied to rates (N, samples), at the samples, after ``lead_steps`` of the first rate."""
    decay = simulation.decay
    # a rate that holds for a step adds what its spikes would: (1 - decay) of itself, to keep constants constant
    carry = decay**every
    result = np.empty_like(rates)
    level = rates[:, 0] * (1.0 - decay**lead_steps)
    for sample in range(rates.shape[1]):
        level = carry * level + (1.0 - carry) * rates[:, sample]
        result[:, sample] = level
    return result
