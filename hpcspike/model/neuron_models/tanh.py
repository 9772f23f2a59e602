"""The tanh rate unit (paper 1.8), which does not spike: `hpcspike.engine.rate_simulation` moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hpcspike.spec.neurons import TanhNeuron


def parameters(neuron: TanhNeuron, neurons: range) -> np.ndarray:
    """There are none: (0, 1)."""
    return np.empty((0, 1))


def initial_state(neuron: TanhNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """r = tanh(x) (1, n), with x the fraction of the way from -1 to 1 that phase is of a turn."""
    fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
    return np.tanh(2.0 * fraction - 1.0)[None, :]
