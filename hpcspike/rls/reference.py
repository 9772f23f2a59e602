"""Recursive least squares by definition, one neuron at a time in plain numpy (paper Eqs 10-12 and 16-19).

This module is the oracle of the compiled engines: short, and nothing else.
"""

from __future__ import annotations

import numpy as np


def update(
    weights: np.ndarray, covariance: np.ndarray, filtered: np.ndarray, error: float, gain: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """One update of one neuron.

    Parameters
    ----------
    weights
        w (K,), the plastic incoming weights.
    covariance
        P (K, K), symmetric; I / lambda before the first update.
    filtered
        r (K,), filtered spike trains of the presynaptic neurons.
    error
        f - w.r (drive) or f - phi(w.r + I) (rate), before the update.
    gain
        1 for the drive, phi'(u + I) for the rate: the rule acts on gain * r.

    Returns
    -------
    tuple of numpy.ndarray
        New w (K,) and P (K, K).
    """
    regressor = gain * filtered  # Eq 16
    k = covariance @ regressor
    covariance = covariance - np.outer(k, k) / (1.0 + regressor @ k)  # Eq 11, Eq 18
    return weights + error * (covariance @ regressor), covariance  # Eq 12, Eq 19
