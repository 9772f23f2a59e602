"""Pearson correlation of time courses."""

from __future__ import annotations

import numpy as np


def pearson(response: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis; 0 where a time course is constant.

    Parameters
    ----------
    response, target
        Arrays of shape (..., samples) that broadcast against each other.

    Returns
    -------
    numpy.ndarray
        Shape (...,).
    """
    x = response - response.mean(axis=-1, keepdims=True)
    y = target - target.mean(axis=-1, keepdims=True)
    covariance = (x * y).sum(axis=-1)
    scale = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
