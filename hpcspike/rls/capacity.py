"""How many updates the blocked engine defers (M in the derivation), and how it lays out P."""

from __future__ import annotations

import math

import numpy as np

VECTOR_BYTES = 64
"""P is padded to whole vectors of this many bytes, 8 float64 or 16 float32, in both directions, and begins at one."""


def best_capacity(in_degree: float) -> int:
    """Number of updates to keep back before P takes them in, for rows of about ``in_degree`` inputs.

    An update reads the kept vectors (capacity / 2 on average), a flush reads and writes P once per capacity updates;
    streams read at about half the rate at which they are updated in place, so the sum of both is least near
    sqrt(2 K). Measured within 5 % of the best for K = 60 to 600; a multiple of 4 suits the kernels.
    """
    return int(min(64, max(4, 4 * round(math.sqrt(2.0 * max(in_degree, 1)) / 4.0))))


def padded_width(in_degree: float, itemsize: int) -> float:
    """Rows, and columns, that P of a row with ``in_degree`` inputs occupies, averaged over in-degrees near it."""
    return in_degree + VECTOR_BYTES / itemsize / 2


def aligned_zeros(length: int, dtype: np.dtype) -> np.ndarray:
    """Zeros of which the first begins at a multiple of `VECTOR_BYTES`, as streaming stores demand; (length,)."""
    lanes = VECTOR_BYTES // dtype.itemsize
    raw = np.zeros(length + lanes, dtype=dtype)
    skip = -raw.ctypes.data % VECTOR_BYTES // dtype.itemsize
    return raw[skip : skip + length]
