"""Neuron models: from their section of an experiment to the arrays of the step kernel."""

from __future__ import annotations

import numpy as np

from hpcspike.model.neuron_kernels import LIF, THETA
from hpcspike.spec.experiment import LifNeuron, Neuron, n_steps


def model_code(neuron: Neuron) -> int:
    """Number of the model in `hpcspike.model.neuron_kernels.advance`."""
    return LIF if isinstance(neuron, LifNeuron) else THETA


def state_dtype(neuron: Neuron, weight_dtype: np.dtype) -> np.dtype:
    """Precision of the neurons' state and drives: float64, but for integrate-and-fire neurons that of the weights.

    Rounding v and u to float32 is far below the noise of a balanced network, and halves the memory that a step moves.
    """
    return np.dtype(weight_dtype) if isinstance(neuron, LifNeuron) else np.dtype(np.float64)


def parameters(neuron: Neuron) -> np.ndarray:
    """Parameters (p, 1), the same for all neurons."""
    if not isinstance(neuron, LifNeuron):
        return np.empty((0, 1))
    column = [neuron.threshold, neuron.reset, float(n_steps(neuron.refractory_ms, neuron.step_ms)), neuron.drive_gain]
    return np.array(column)[:, None]


def initial_state(neuron: Neuron, phase: np.ndarray) -> np.ndarray:
    """State (v, n) of neurons at ``phase`` (n,) in radians.

    Theta neurons start at theta = phase, wrapped to (-pi, pi]; integrate-and-fire neurons at the same fraction of the
    way from reset to threshold as phase is of a turn.
    """
    if isinstance(neuron, LifNeuron):
        fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
        return np.stack([neuron.reset + fraction * (neuron.threshold - neuron.reset), np.zeros(len(phase))])
    return (np.pi - np.mod(np.pi - phase, 2.0 * np.pi))[None, :].copy()
