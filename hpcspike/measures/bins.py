"""Time courses averaged in the bins in which spikes are counted (paper 4.3)."""

from __future__ import annotations

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.spec.experiment import is_multiple, n_steps


def binned_duration(duration_ms: float, bin_ms: float, *, unit_ms: float) -> float:
    """Length of the whole bins in a window in ms, 0 if not one fits; what is left over is not looked at.

    Raises
    ------
    SpecError
        If a bin is not a multiple of ``unit_ms``, the grid of the window.
    """
    if not (bin_ms > 0 and is_multiple(bin_ms, unit_ms)):
        raise SpecError(f"bin_ms = {bin_ms:g} ms must be a multiple of the grid of {unit_ms:g} ms")
    return int(duration_ms / bin_ms + 1e-9) * bin_ms


def binned_mean(time_courses: np.ndarray, *, grid_ms: float, bin_ms: float = 50.0) -> np.ndarray:
    """Mean of x in each bin: (..., samples), sample m at time (m + 1) ``grid_ms``, to (..., bins)."""
    per_bin = n_steps(bin_ms, grid_ms)
    bins = n_steps(binned_duration(time_courses.shape[-1] * grid_ms, bin_ms, unit_ms=grid_ms), bin_ms)
    whole = time_courses[..., : bins * per_bin]
    return np.asarray(whole.reshape(*whole.shape[:-1], bins, per_bin).mean(axis=-1))
