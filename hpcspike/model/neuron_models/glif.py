"""Generalised leaky integrate-and-fire neurons of levels 1 to 5 (Teeter et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.accelerate import kernel

if TYPE_CHECKING:
    from hpcspike.spec.neurons import GlifNeuron

N_CURRENTS = 3
"""After-spike currents that a neuron may have; those that it has not stay 0."""


def parameters(neuron: GlifNeuron, neurons: range) -> np.ndarray:
    """(15 + 3 currents, 1) numbers that all neurons share, in the order that `advance_glif` takes them apart."""

    def three(values: tuple[float, ...], fill: float) -> list[float]:
        return [*values, *[fill] * (N_CURRENTS - len(values))]

    resets_to_v = neuron.level in (1, 3)
    single = [
        neuron.capacitance, neuron.resistance, neuron.resting_potential, neuron.threshold,
        float(neuron.refractory_steps), neuron.drive_gain, float(resets_to_v), neuron.reset, neuron.voltage_factor,
        neuron.voltage_jump, neuron.spike_threshold_decay, neuron.spike_threshold_jump, neuron.voltage_threshold_gain,
        neuron.voltage_threshold_decay, float(neuron.level >= 3),
    ]  # fmt: skip
    currents = [
        *three(neuron.current_tau_ms, 1.0), *three(neuron.current_factors, 0.0), *three(neuron.current_jumps, 0.0)
    ]  # fmt: skip
    return np.array([*single, *currents], dtype=np.float64)[:, None]


def initial_state(neuron: GlifNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """V as far from rest to threshold as phase is of a turn; all else 0: (4 + currents, n)."""
    fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
    state = np.zeros((4 + N_CURRENTS, len(phase)))
    state[0] = neuron.resting_potential + fraction * (neuron.threshold - neuron.resting_potential)
    return state


@kernel
def advance_glif(state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Advance by ``step`` ms of forward Euler; arguments as `hpcspike.model.neuron_models` says.

    state (7, n): V, steps of refractoriness left, Theta_s, Theta_v and the after-spike currents I_j. Currents decay
    before V moves, C dV/dt = I + gain u + sum_j I_j - (V - E_L) / R, and thresholds move after it. Nothing moves while
    a neuron is refractory. What a level lacks has parameters that keep it 0.
    """
    p = parameters[:, 0]
    capacity, resistance, rest, threshold, refractory, gain = p[0], p[1], p[2], p[3], p[4], p[5]
    to_reset, reset, factor, jump = p[6] > 0.0, p[7], p[8], p[9]
    spike_decay, spike_jump, voltage_gain, voltage_decay = p[10], p[11], p[12], p[13]
    with_currents = p[14] > 0.0
    v, waiting, spiked, followed = state[0], state[1], state[2], state[3]
    n_currents = state.shape[0] - 4
    count = 0
    for i in range(received.shape[0]):
        if waiting[i] > 0.0:
            waiting[i] -= 1.0
            continue
        current = external[i] + gain * received[i]
        if with_currents:
            for j in range(n_currents):
                state[4 + j, i] -= step * state[4 + j, i] / p[15 + j]
                current += state[4 + j, i]
        v[i] += step / capacity * (current - (v[i] - rest) / resistance)
        spiked[i] -= step * spike_decay * spiked[i]
        followed[i] += step * (voltage_gain * (v[i] - rest) - voltage_decay * followed[i])
        if v[i] > threshold + spiked[i] + followed[i]:
            spikes[count] = i
            count += 1
            v[i] = reset if to_reset else rest + factor * (v[i] - rest) - jump
            spiked[i] += spike_jump
            if with_currents:
                for j in range(n_currents):
                    state[4 + j, i] = p[15 + n_currents + j] * state[4 + j, i] + p[15 + 2 * n_currents + j]
            waiting[i] = refractory
    return count
