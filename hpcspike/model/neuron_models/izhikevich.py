"""The Izhikevich neuron (paper 1.7): two Euler half-steps of v, then one step of w, as in Izhikevich 2003."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.accelerate import inline_kernel, kernel

if TYPE_CHECKING:
    from hpcspike.spec.neurons import IzhikevichNeuron

PEAK = 30.0
"""Voltage in mV beyond which a neuron spikes."""

IZHIKEVICH_TYPES = {
    "RS": (0.02, 0.2, -65.0, 8.0),
    "IB": (0.02, 0.2, -55.0, 4.0),
    "CH": (0.02, 0.2, -50.0, 2.0),
    "FS": (0.1, 0.2, -65.0, 2.0),
    "LTS": (0.02, 0.25, -65.0, 2.0),
}
"""a, b, c, d of each type (Izhikevich 2003): regular spiking, intrinsically bursting, chattering, fast spiking,
low-threshold spiking."""


def parameters(neuron: IzhikevichNeuron, neurons: range) -> np.ndarray:
    """a, b, c, d and the gain of the drive, (5, n)."""
    types = [neuron.cell_types[i % len(neuron.cell_types)] for i in neurons]
    table = np.array([(*IZHIKEVICH_TYPES[name], neuron.drive_gain) for name in types])
    return np.ascontiguousarray(table.reshape(-1, 5).T)


def initial_state(neuron: IzhikevichNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """v at the fraction of the way from -65 to -50 mV that phase is of a turn, and w = b v: (2, n)."""
    v = -65.0 + 15.0 * (np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi))
    return np.stack([v, parameters(neuron, neurons)[1] * v])


@inline_kernel
def voltage_after(v, w, current, half_step):  # type: ignore[no-untyped-def]
    """v after one Euler step of ``half_step`` ms."""
    return v + half_step * ((0.04 * v + 5.0) * v + 140.0 - w + current)


@kernel
def advance_izhikevich(state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Advance by ``step`` ms; arguments as `hpcspike.model.neuron_models` says.

    state (2, n): v in mV and w; parameters (5, n): a, b, c, d and the gain of the drive.
    v beyond the peak moves no further and is cut to it before w moves: the parabola takes it to any height within a
    step, which would be felt by w.
    """
    n = received.shape[0]
    v, w = state[0], state[1]
    a, b, c, d, gain = parameters[0], parameters[1], parameters[2], parameters[3], parameters[4]
    half_step = 0.5 * step
    for i in range(n):
        current = external[i] + gain[i] * received[i]
        first = voltage_after(v[i], w[i], current, half_step)
        second = voltage_after(first, w[i], current, half_step)
        moved = first if first > PEAK else second
        v[i] = moved
        w[i] += step * (a[i] * (b[i] * min(moved, PEAK) - w[i]))
    count = 0
    for i in range(n):
        if v[i] > PEAK:
            spikes[count] = i
            count += 1
            v[i] = c[i]
            w[i] += d[i]
    return count
