"""Splitting neurons into contiguous blocks of about equal work."""

from __future__ import annotations

import numpy as np


def balanced_bounds(cost: np.ndarray, parts: int) -> np.ndarray:
    """Bounds (parts + 1,) int64 of contiguous parts whose summed ``cost`` (n,) is as even as a greedy split makes it.

    Part p holds the neurons bounds[p] to bounds[p + 1] - 1; every neuron counts a little even if its cost is zero, so
    that silent rows are shared out too.
    """
    weight = np.asarray(cost, dtype=np.float64) + 1.0
    ends = np.cumsum(weight)
    goals = ends[-1] * np.arange(1, parts) / parts if len(ends) else np.zeros(parts - 1)
    inner = np.searchsorted(ends, goals, side="left") + 1 if len(ends) else np.zeros(parts - 1, dtype=np.int64)
    return np.concatenate([[0], np.minimum(inner, len(ends)), [len(ends)]]).astype(np.int64)
