"""Pearson correlation of time courses."""

from __future__ import annotations

import numpy as np


def centred(values: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Values less their mean along an axis; exactly 0 where they are constant, whatever the rounding of the mean."""
    constant = (values == np.take(values, [0], axis=axis)).all(axis=axis, keepdims=True)
    return np.where(constant, 0.0, values - values.mean(axis=axis, keepdims=True))


def pearson(response: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis; 0 where a time course is constant, NaN where there is no target (NaN).

    Parameters
    ----------
    response, target
        Arrays of shape (..., samples) that broadcast against each other.

    Returns
    -------
    numpy.ndarray
        Shape (...,).
    """
    x, y = centred(response), centred(target)
    covariance = (x * y).sum(axis=-1)
    scale = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    missing = np.isnan(y).any(axis=-1)
    without = np.where(np.broadcast_to(missing, covariance.shape), np.nan, 0.0)
    return np.divide(covariance, scale, out=without, where=scale > 0)
