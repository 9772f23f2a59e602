"""Intervals over independent networks: of means, of slopes, and, by redrawing networks, of anything else."""

from __future__ import annotations

from collections.abc import Iterator
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
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return Interval(float(known[0]) if len(known) else np.nan, np.nan, np.nan, len(known))
    return interval_from(float(known.mean()), float(known.std(ddof=1)), len(known))


def interval_from(mean: float, sd: float, n: int) -> Interval:
    """Student's interval of the mean of ``n`` independent values whose standard deviation (n - 1) is ``sd``."""
    from scipy import stats

    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * sd / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def correlation_interval(values: np.ndarray) -> Interval:
    """`mean_interval` of correlations, cut to what a correlation can be, [-1, 1]; the mean stays."""
    return cut_to_correlations(mean_interval(values))


def cut_to_correlations(found: Interval) -> Interval:
    """An interval cut to [-1, 1]; the value stays."""
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0)) if np.isfinite(found.low) else found


def median_interval(values: np.ndarray) -> Interval:
    """Median of independent values with its distribution-free interval, between two of the values in their order.

    NaN are left out. The interval holds the median with 95 % or more; of fewer than six values there is none.

    >>> median_interval(np.arange(20.0))
    Interval(value=9.5, low=5.0, high=14.0, n=20)
    """
    from scipy import stats

    known = np.sort(np.asarray(values, dtype=np.float64).ravel())
    known = known[~np.isnan(known)]
    n = len(known)
    middle = float(np.median(known)) if n else np.nan
    if n < 6:
        return Interval(middle, np.nan, np.nan, n)
    # so many values lie below the lower end: the k-th and the k-th from above, counted from 0
    k = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) - 1
    return Interval(middle, float(known[k]), float(known[n - 1 - k]), n)


def difference_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Mean of the first minus mean of the second independent values (n,) and (m,), with Welch's interval.

    NaN are left out; no interval where either has fewer than two values. ``n`` is that of the smaller group.
    """
    from scipy import stats

    one, other = mean_interval(first), mean_interval(second)
    value, n = one.value - other.value, min(one.n, other.n)
    if n < 2:
        return Interval(value, np.nan, np.nan, n)
    shares = [float(np.nanvar(values, ddof=1)) / found.n for values, found in ((first, one), (second, other))]
    spread = sum(shares)
    if spread == 0.0:
        return Interval(value, value, value, n)
    freedom = spread**2 / sum(share**2 / (found.n - 1) for share, found in zip(shares, (one, other), strict=True))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * np.sqrt(spread))
    return Interval(value, value - half, value + half, n)


def geometric_interval(values: np.ndarray) -> Interval:
    """Geometric mean of independent values above 0, with Student's interval of the mean of their logarithms."""
    found = mean_interval(np.log(np.asarray(values, dtype=np.float64)))
    value, low, high = np.exp(found[:3])
    return Interval(float(value), float(low), float(high), found.n)


def share_interval(count: int, n: int) -> Interval:
    """The share ``count`` of ``n`` with its exact (Clopper-Pearson) interval."""
    from scipy import stats

    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    found = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Interval(count / n, float(found.low), float(found.high), n)


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
        By ordinary least squares with independent errors; points with NaN are left out. NaN where there are too few,
        and for a predictor that has one value only or follows from the others.
    """
    from scipy import stats

    x = np.asarray(predictors, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    y = np.asarray(response, dtype=np.float64)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x, y = x[known], y[known]
    nothing = Interval(np.nan, np.nan, np.nan, len(y))
    design = np.column_stack([np.ones(len(y)), x])
    rank = int(np.linalg.matrix_rank(design)) if len(y) else 0
    freedom = len(y) - rank
    if freedom < 1:
        return [nothing] * x.shape[1]
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ y
    residual = y - design @ coefficients
    errors = np.sqrt(np.diag(inverse) * (residual @ residual) / freedom)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * errors
    found = [
        Interval(float(c), float(c - h), float(c + h), len(y)) for c, h in zip(coefficients[1:], half[1:], strict=True)
    ]
    if rank == design.shape[1]:
        return found
    told_apart = [np.linalg.matrix_rank(np.delete(design, k, axis=1)) < rank for k in range(1, design.shape[1])]
    return [one if is_told else nothing for one, is_told in zip(found, told_apart, strict=True)]


def redrawn_means(table: np.ndarray, generator: np.random.Generator, n_draws: int) -> Iterator[np.ndarray]:
    """Means of every cell after redrawing its networks, (cells...) each, ``n_draws`` times; NaN in cells without one.

    Parameters
    ----------
    table
        (..., networks) values, padded with NaN at the end (`hpcspike.analysis.cells.by_replicate`). A cell of one
        network does not scatter.
    generator, n_draws
        Source of randomness and number of draws.
    """
    count = (~np.isnan(table)).sum(axis=-1)
    # one draw fewer than there are networks: the mean of n draws of n would scatter too little by (n - 1) / n
    size = np.maximum(count - 1, 1)
    drawn = np.arange(table.shape[-1]) < size[..., None]
    for _ in range(n_draws):
        pick = (generator.random(table.shape) * count[..., None]).astype(np.intp)
        total = np.where(drawn, np.take_along_axis(table, pick, axis=-1), 0.0).sum(axis=-1)
        yield np.where(count > 0, total / size, np.nan)


def percentile_ends(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of the interval that holds the share ``level`` of (draws,) draws; NaN unless half of them have a value."""
    known = draws[~np.isnan(draws)]
    if not len(draws) or len(known) < len(draws) / 2:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, 1 - (1 - level) / 2])
    return float(low), float(high)
