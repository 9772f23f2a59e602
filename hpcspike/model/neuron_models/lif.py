"""The leaky integrate-and-fire neuron (paper 1.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.model.own_values import values_of

if TYPE_CHECKING:
    from hpcspike.spec.neurons import LifNeuron


def parameters(neuron: LifNeuron, neurons: range) -> np.ndarray:
    """Threshold, reset, refractory steps and gain of the drive (4, 1), which all neurons share.

    Where neurons have values of their own (5, n): the same of each, and the section's tau over that of the neuron.
    """
    if not neuron.neurons_differ:
        return np.array([neuron.threshold, neuron.reset, float(neuron.refractory_steps), neuron.drive_gain])[:, None]
    threshold, reset = _levels(neuron, neurons)
    shared = (np.full(len(neurons), value) for value in (float(neuron.refractory_steps), neuron.drive_gain))
    faster = neuron.tau_ms / values_of(neuron.by_neuron.tau_ms, neuron.tau_ms, neurons)
    return np.stack([threshold, reset, *shared, faster])


def _levels(neuron: LifNeuron, neurons: range) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds and resets (n,)."""
    own = neuron.by_neuron
    return values_of(own.threshold, neuron.threshold, neurons), values_of(own.reset, neuron.reset, neurons)


def initial_state(neuron: LifNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """v at the fraction of the way from reset to threshold that phase is of a turn; no refractory steps left."""
    fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
    threshold, reset = _levels(neuron, neurons)
    return np.stack([reset + fraction * (threshold - reset), np.zeros(len(phase))])


@kernel
def _advance_each(state, parameters, received, external, step, spikes):  # type: ignore[no-untyped-def]
    """`advance_lif` of neurons with parameters (5, n) of their own."""
    v, waiting = state[0], state[1]
    threshold, reset, refractory = parameters[0], parameters[1], parameters[2]
    gain, faster = parameters[3], parameters[4]
    kind = v.dtype.type
    step, none, one = kind(step), kind(0.0), kind(1.0)
    for i in range(received.shape[0]):
        left = waiting[i]
        change = step * faster[i] * (external[i] + gain[i] * received[i] - v[i])
        v[i] += change if left <= none else none
        waiting[i] = left - one if left > none else none
    count = 0
    for i in range(received.shape[0]):
        if v[i] > threshold[i]:
            spikes[count] = i
            count += 1
            v[i] = reset[i]
            waiting[i] = refractory[i]
    return count


@kernel
def advance_lif(state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Forward Euler of tau dv/dt = -v + I + gain u; arguments as `hpcspike.model.neuron_models` says, step: dt / tau.

    state (2, n): v and the steps of refractoriness left; parameters (4, 1): threshold, reset, refractory steps, gain;
    (5, n): those of each neuron, and by how much it is faster than tau.
    """
    if parameters.shape[0] > 4:
        return _advance_each(state, parameters, received, external, step, spikes)
    n = received.shape[0]
    v, waiting = state[0], state[1]
    threshold, reset, refractory, gain = parameters[0, 0], parameters[1, 0], parameters[2, 0], parameters[3, 0]
    kind = v.dtype.type
    step, none, one = kind(step), kind(0.0), kind(1.0)
    # apart from the search for spikes, which few neurons pass, so that this loop vectorises
    for i in range(n):
        left = waiting[i]
        change = step * (external[i] + gain * received[i] - v[i])
        v[i] += change if left <= none else none
        waiting[i] = left - one if left > none else none
    count = 0
    for i in range(n):
        if v[i] > threshold:
            spikes[count] = i
            count += 1
            v[i] = reset
            waiting[i] = refractory
    return count
