"""The clamped split: which part of the error comes from spikes, which from the weights (paper, Methods: error)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, whole_number
from hpcspike.correlation import centred
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trained import Trained
from hpcspike.engine.training_kernels import filter_spikes
from hpcspike.model.transfer import rate_of_constant_input


class ClampedSplit(NamedTuple):
    """Errors over time, neurons and trials as root mean squares, in units of the target's s.d., and what they hang on.

    sampling, tracking, quasi_static, lag, formula: as `clamped_split` says; weight_norm: root mean square over neurons
    of the norm of their incoming weights; spike_noise: rms of r - rho in spikes per tau.
    """

    sampling: float
    tracking: float
    quasi_static: float
    lag: float
    formula: float
    weight_norm: float
    spike_noise: float


def clamped_split(trained: Trained, *, target_set: int = 0, trials: int = 3) -> ClampedSplit:
    """Drive every neuron with its target and split the error of the drive that would result.

    With r the filtered spikes of the clamped neurons and rho the same filter applied to phi_1(f + I),

        sampling = rms(W r - W rho),   tracking = rms(W rho - f),   quasi_static = rms(W phi_1(f + I) - f),
        lag = rms(W rho - W phi_1(f + I)).

    tracking joins the lag, which is what the theory's eps_track is about, with what the weights did not fit
    (quasi_static). formula is the paper's variance of the sampling error of uncorrelated spike trains (4.7),
    sqrt(sum_j W_ij^2 <(r_j - rho_j)^2>), which sampling equals as far as they are uncorrelated.

    Both filters start from rest one cue length before the window; until it begins the neurons receive the first value
    of their target, and no cue.

    Parameters
    ----------
    trained
        A network trained for its drive.
    target_set
        Which targets to clamp to.
    trials
        Number of random initial conditions.

    Raises
    ------
    SpecError
        If there is no such target set, or a neuron without a target.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("trials", trials, least=1)
    problem = trained.problem
    problem.require_targets("the clamped split")
    targets = problem.targets[target_set]
    simulation = trained.copy_simulation()
    bias = problem.input
    every = problem.steps_per_sample
    weights, world = trained.weights, trained.world
    # every rank needs the rates of all neurons, not only of its own
    rates = world.concatenate(rate_of_constant_input(targets + bias[:, None]))
    mean_field = weights @ _filtered(rates, simulation, every, problem.stimulus_steps)
    rho = _filtered(rates, simulation, every, problem.stimulus_steps)[problem.first : problem.first + problem.n_rows]
    jump = problem.neuron.tau_ms / problem.synapse.tau_syn_ms
    squares, noise, filtered = np.zeros(problem.n_rows), np.zeros(problem.n_rows), np.empty_like(targets)
    for trial in range(trials):
        simulation.start_at_random("clamped_phase", trial)
        spikes = []
        if problem.stimulus_steps:
            spikes.append(simulation.run_interval(problem.stimulus_steps, bias, clamp=targets[:, :1].T))
        record = np.empty((problem.n_samples, problem.n_rows))
        # sample m of the target holds for the steps that lead to it
        found = simulation.run_interval(every * problem.n_samples, bias, clamp=targets.T, record=record)
        spikes.append(found._replace(step=found.step + np.int32(problem.stimulus_steps)))
        squares += ((np.ascontiguousarray(record.T) - mean_field) ** 2).mean(axis=1)
        filter_spikes(
            np.concatenate([part.step for part in spikes]), np.concatenate([part.neuron for part in spikes]),
            problem.first, simulation.decay, jump, problem.stimulus_steps, every, filtered,
        )  # fmt: skip
        noise += ((filtered - rho) ** 2).mean(axis=1)
    static, noise = weights @ rates, noise / trials
    squared_weights = weights.multiply(weights).tocsr()
    errors = np.stack(
        [
            squares / trials,
            ((mean_field - targets) ** 2).mean(axis=1),
            ((static - targets) ** 2).mean(axis=1),
            ((mean_field - static) ** 2).mean(axis=1),
            squared_weights @ world.concatenate(noise),
            (centred(targets) ** 2).mean(axis=1),
            squared_weights @ np.ones(problem.n_neurons),
            noise,
        ],
        axis=1,
    )
    # joined in the order of neurons and only then averaged, so that blocks do not matter
    roots = [math.sqrt(float(column.mean())) for column in world.concatenate(errors).T.copy()]
    sampling, tracking, residual, lag, formula, spread, weight_norm, spike_noise = roots
    unit = spread or math.nan
    return ClampedSplit(
        sampling / unit, tracking / unit, residual / unit, lag / unit, formula / unit, weight_norm, spike_noise
    )


def can_be_clamped(trained: Trained) -> bool:
    """Whether the split means something.

    It does for theta neurons with constant input and no feed-forward neurons, trained for their drive, all synapses
    with one decay time and no delay, where all have a target.
    """
    problem, world = trained.problem, trained.world
    noisy = problem.noise is not None or problem.trial_noise.standard_deviation > 0 or problem.feed_forward is not None
    if noisy or world.any(not problem.has_target.all()):
        return False
    synapse = problem.synapse
    decays = (synapse.static_tau_syn_ms, synapse.static_tau_inhibitory_ms)
    same_decay = all(tau in (None, synapse.tau_syn_ms) for tau in decays) and not synapse.decays_differ
    at_once = max(synapse.delay_steps(problem.neuron.step_ms)) == 1
    return trained.training.variable == "drive" and problem.neuron.model == "theta" and same_decay and at_once


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
