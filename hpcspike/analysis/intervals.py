"""Intervals of means and slopes over independent networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A value with its 95 % confidence interval, and from how many networks it comes."""

    value: float
    low: float
    high: float
    n: int


def mean_interval(values: np.ndarray) -> Interval:
    """Mean of independent values with Student's interval; NaN are left out, one value has no interval."""
    from scipy import stats

    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Interval(mean, mean - half, mean + half, len(known))


def slope_interval(predictors: np.ndarray, response: np.ndarray) -> list[Interval]:
    """Slopes of a linear regression with intercept, one interval per predictor.

    Parameters
    ----------
    predictors
        (points, k) or (points,).
    response
        (points,).

    Returns
    -------
    list of Interval
        By ordinary least squares with independent errors; points with NaN are left out. NaN where there are too few.
    """
    from scipy import stats

    x = np.asarray(predictors, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    y = np.asarray(response, dtype=np.float64)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x, y = x[known], y[known]
    freedom = len(y) - x.shape[1] - 1
    if freedom < 1:
        return [Interval(np.nan, np.nan, np.nan, len(y))] * x.shape[1]
    design = np.column_stack([np.ones(len(y)), x])
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ y
    residual = y - design @ coefficients
    errors = np.sqrt(np.diag(inverse) * (residual @ residual) / freedom)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * errors
    return [
        Interval(float(c), float(c - h), float(c + h), len(y)) for c, h in zip(coefficients[1:], half[1:], strict=True)
    ]
