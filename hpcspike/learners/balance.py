"""Excitation and inhibition in efficient balanced networks, and how variable their spikes are in repeated trials."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Spikes
from hpcspike.learners.ebn import EbnLearner
from hpcspike.learners.interface import Rollout
from hpcspike.learners.trials import Stimulus
from hpcspike.measures.rates import binned_counts
from hpcspike.measures.variability import fano_factor, irregularity


class Currents(NamedTuple):
    """Input of every neuron as its membrane holds it, (steps, N) each: V = excitation - inhibition + own resets.

    Every synapse counts by the sign of what it brings in a step: command, slow weights, and the fast weights of all
    other neurons; both are low-passed by the leak of V.
    """

    excitation: np.ndarray
    inhibition: np.ndarray


class Balance(NamedTuple):
    """Statistics of a network in repeated trials of one input, a number each: means over neurons.

    Attributes
    ----------
    ei_correlation
        Pearson correlation in time of excitation and inhibition, over the neurons that spike.
    cv, cv2
        Irregularity of the intervals between spikes (`hpcspike.measures.variability.irregularity`), over the neurons
        with 5 intervals or more, all trials together.
    fano
        Variance over mean, across trials, of the spikes of a neuron in a bin; over the neurons and bins with one spike
        per trial in the mean of `LEAST_COUNT` or more.
    """

    ei_correlation: float
    cv: float
    cv2: float
    fano: float


LEAST_INTERVALS = 5
LEAST_COUNT = 0.5
"""Mean count of a bin from which it enters the Fano factor: that of rarer spikes is 1 whatever makes them."""


def repeated(stimulus: Stimulus, number: int) -> Stimulus:
    """The same input in another trial: start and noise of its own, which the trials of tasks do not have."""
    return replace(stimulus, index=number, phase="repeat")


def input_currents(learner: EbnLearner, stimulus: Stimulus, rollout: Rollout) -> Currents:
    """What excites and what inhibits every neuron in a trial that was run without error current."""
    from scipy.signal import lfilter

    command, dt = learner.commands(stimulus), learner.step_ms / 1000.0
    steps = len(command)
    spikes = np.zeros((steps, learner.n_neurons))
    spikes[_steps(learner, rollout), rollout.spike_neuron] = 1.0
    trace = lfilter([1.0], [1.0, learner.settings.decay_per_s * dt - 1.0], spikes, axis=0)
    before = np.concatenate([np.zeros((1, learner.n_neurons)), trace[:-1]])  # r as the slow synapses see it
    psi = np.tanh(before @ learner.F @ learner.basis.T + learner.basis_offset) if len(learner.basis) else before
    fast = learner.W - np.diag(learner.W.diagonal())
    brought = (
        (dt * command, learner.F.T),
        (dt * psi, (learner.F @ learner.G).T),
        (spikes, fast),
    )
    leak = [1.0], [1.0, learner.leak_per_s * dt - 1.0]
    positive = sum(_part(source, 1.0) @ _part(weight, 1.0) + _part(source, -1.0) @ _part(weight, -1.0)
                   for source, weight in brought)  # fmt: skip
    whole = sum(source @ weight for source, weight in brought)
    excitation = np.asarray(lfilter(*leak, positive, axis=0))
    return Currents(excitation, excitation - lfilter(*leak, whole, axis=0))


def measure_balance(
    learner: EbnLearner, stimulus: Stimulus, *, trials: int, noise: float, bin_ms: float
) -> tuple[Balance, Currents]:
    """Statistics over repeated trials of an input with noise of their own, and the currents of the first of them.

    Parameters
    ----------
    learner
        The network, as it is.
    stimulus
        The input.
    trials
        How often it is given, two at least.
    noise
        As for `hpcspike.learners.interface.Learner.rollout`.
    bin_ms
        Width of the bins of the Fano factor; must divide the trial.
    """
    asked = [repeated(stimulus, number) for number in range(trials)]
    rollouts = [learner.rollout(one, noise=noise) for one in asked]
    currents = input_currents(learner, asked[0], rollouts[0])
    n, duration = learner.n_neurons, learner.task.duration_ms
    fired = np.unique(rollouts[0].spike_neuron)
    settled = slice(len(currents.excitation) // 10, None)
    correlation = pearson(currents.excitation[settled, fired].T, currents.inhibition[settled, fired].T)
    spikes = [Spikes(_steps(learner, one), one.spike_neuron.astype(np.int32)) for one in rollouts]
    options = {"step_ms": learner.step_ms, "duration_ms": duration}
    irregular = irregularity(spikes, range(n), least_intervals=LEAST_INTERVALS, **options)
    fano = fano_factor(spikes, range(n), bin_ms=bin_ms, **options)
    counts = binned_counts(spikes, range(n), bin_ms=bin_ms, **options).mean(axis=0)
    return Balance(
        _mean(correlation), _mean(irregular.cv), _mean(irregular.cv2), _mean(fano[counts >= LEAST_COUNT])
    ), currents  # fmt: skip


def _steps(learner: EbnLearner, rollout: Rollout) -> np.ndarray:
    """Steps of the network, from the start of the trial, in which it spiked; a driven system has no cue."""
    return np.asarray(np.rint(rollout.spike_time_ms / learner.step_ms).astype(np.int64) - 1)


def _part(values: np.ndarray, sign: float) -> np.ndarray:
    return np.maximum(sign * values, 0.0)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
