"""Slow and fast power: the spectral index that tells sampling from tracking error."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hpcspike.checks import number
from hpcspike.correlation import centred
from hpcspike.errors import DataError


def band_powers(time_courses: np.ndarray, *, grid_ms: float, fast_time_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Power of each time course above the cut-off frequency 1 / (2 pi fast_time), and in all.

    Parameters
    ----------
    time_courses
        (..., samples); each one's mean is removed.
    grid_ms
        Sampling interval in ms.
    fast_time_ms
        x of the cut-off 1 / (2 pi x) in ms; 20 ms is about 8 Hz.

    Returns
    -------
    tuple of numpy.ndarray
        Fast and total power, each of shape (...,).
    """
    samples = time_courses.shape[-1]
    power = np.abs(np.fft.rfft(centred(time_courses), axis=-1)) ** 2
    if samples % 2 == 0:
        power[..., -1] *= 0.5  # every other frequency stands for two
    is_fast = np.fft.rfftfreq(samples, grid_ms) > 1.0 / (2.0 * math.pi * fast_time_ms)
    fast, slow = power[..., is_fast].sum(axis=-1), power[..., ~is_fast].sum(axis=-1)
    return fast, fast + slow  # added in this way, a share never exceeds 1


def fast_share(time_courses: np.ndarray, *, grid_ms: float, fast_time_ms: float) -> float:
    """Share of fast power in all power: between 0 and 1, NaN where every time course is constant.

    Parameters
    ----------
    time_courses
        (..., samples); each one's mean is removed.
    grid_ms
        Sampling interval in ms.
    fast_time_ms
        x of the cut-off 1 / (2 pi x) in ms.
    """
    number("grid_ms", grid_ms, above=0.0, unit="ms")
    number("fast_time_ms", fast_time_ms, above=0.0, unit="ms")
    if not np.asarray(time_courses).size or not np.isfinite(time_courses).all():
        raise DataError("time_courses must hold finite numbers, (..., samples), and one sample at least")
    return share_of(*band_powers(time_courses, grid_ms=grid_ms, fast_time_ms=fast_time_ms))


def spectral_index(share_response: float, share_target: float) -> float:
    """log of the ratio of fast shares: positive for excess (sampling), negative for missing (tracking) fast power.

    Parameters
    ----------
    share_response, share_target
        Shares of fast power (`fast_share`) of what the network does and of what it should do.
    """
    if not (share_response > 0 and share_target > 0):
        return math.nan
    return math.log(share_response / share_target)


def index_of_powers(powers: Mapping[str, np.ndarray]) -> float:
    """`spectral_index` of many neurons together, from ``fast``, ``power``, ``target_fast`` and ``target_power``."""
    return spectral_index(*(share_of(powers[part], powers[whole]) for part, whole in SHARES.values()))


def share_of(part: np.ndarray, whole: np.ndarray) -> float:
    """Sum of a part over that of the whole; NaN if there is nothing."""
    total = whole.sum()
    return float(part.sum() / total) if total > 0 else math.nan


SHARES = {"response": ("fast", "power"), "target": ("target_fast", "target_power")}
"""Columns of fast and total power, of the response and of the target."""
