"""Current-to-rate transfer functions of the theta neuron (paper Eqs 13, 14), rates in spikes per tau."""

from __future__ import annotations

from typing import Literal

import numpy as np

Transfer = Literal["phi_1", "phi_2"]
"""phi_1 of a constant input (paper Eq 13), phi_2 of a noisy one (Eq 14)."""


def rate_of_constant_input(total_input: np.ndarray) -> np.ndarray:
    """phi_1(x) = sqrt([x]_+) / pi (paper Eq 13), elementwise."""
    return np.sqrt(np.maximum(total_input, 0.0)) / np.pi  # Eq 13


def rate_of_noisy_input(total_input: np.ndarray, smoothing: float) -> np.ndarray:
    """phi_2(x) = sqrt(c log(1 + exp(x / c))) / pi with c = ``smoothing`` (paper Eq 14), elementwise."""
    return np.sqrt(smoothing * np.logaddexp(0.0, total_input / smoothing)) / np.pi  # Eq 14


def slope_of_noisy_input(total_input: np.ndarray, smoothing: float) -> np.ndarray:
    """Derivative of `rate_of_noisy_input` by its input; vanishes far below threshold."""
    x = total_input / smoothing
    log_term = np.logaddexp(0.0, x)
    # written through log sigmoid so that neither factor under- or overflows on its own
    return np.exp(-np.logaddexp(0.0, -x) - 0.5 * np.log(np.maximum(smoothing * log_term, 1e-300))) / (2.0 * np.pi)


def best_smoothing(total_input: np.ndarray, rate: np.ndarray) -> float:
    """The c with which phi_2 comes closest, in mean square, to rates (spikes per tau) at these inputs."""
    from scipy.optimize import minimize_scalar

    def squared(log_c: float) -> float:
        return float(np.mean((rate_of_noisy_input(total_input, float(np.exp(log_c))) - rate) ** 2))

    return float(np.exp(minimize_scalar(squared, bounds=(np.log(1e-4), np.log(1e2)), method="bounded").x))


def rate_of_input(total_input: np.ndarray, transfer: Transfer, smoothing: float) -> np.ndarray:
    """The rate by the transfer function of that name; ``smoothing`` is c of phi_2 and nothing to phi_1."""
    return rate_of_constant_input(total_input) if transfer == "phi_1" else rate_of_noisy_input(total_input, smoothing)
