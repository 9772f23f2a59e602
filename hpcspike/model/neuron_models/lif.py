"""The leaky integrate-and-fire neuron (paper 1.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.accelerate import kernel

if TYPE_CHECKING:
    from hpcspike.spec.neurons import LifNeuron


def parameters(neuron: LifNeuron, neurons: range) -> np.ndarray:
    """Threshold, reset, refractory steps and gain of the drive (4, 1), which all neurons share."""
    return np.array([neuron.threshold, neuron.reset, float(neuron.refractory_steps), neuron.drive_gain])[:, None]


def initial_state(neuron: LifNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """v at the fraction of the way from reset to threshold that phase is of a turn; no refractory steps left."""
    fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
    return np.stack([neuron.reset + fraction * (neuron.threshold - neuron.reset), np.zeros(len(phase))])


@kernel
def advance_lif(state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Forward Euler of tau dv/dt = -v + I + gain u; arguments as `hpcspike.model.neuron_models` says, step: dt / tau.

    state (2, n): v and the steps of refractoriness left; parameters (4, 1): threshold, reset, refractory steps, gain.
    """
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
