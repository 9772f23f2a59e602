"""T_max of a performance table, lines through the origin, and their bootstrap; plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcspike.intervals import redrawn_means

# c tau_c, t durations, g any leading dimensions


def longest_learned(
    mean: np.ndarray, duration: np.ndarray, threshold: float, *, non_monotone: str, interpolate: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T_max (ms; 0 if nothing is learned, NaN without data), censoring and non-monotone flag of every cell.

    ``mean`` has the shape (..., t); cells of T that were not tested are NaN and are skipped.
    """
    known = ~np.isnan(mean)
    learned = known & (np.nan_to_num(mean, nan=-np.inf) >= threshold)
    missed = known & ~learned
    position = np.arange(len(duration))
    last = np.where(learned, position, -1).max(axis=-1)
    flagged = (missed & (position < last[..., None])).any(axis=-1)
    if non_monotone == "contiguous":
        first_missed = np.where(missed, position, len(duration)).min(axis=-1)
        last = np.where(learned & (position < first_missed[..., None]), position, -1).max(axis=-1)
    following = np.where(known & (position > last[..., None]), position, len(duration)).min(axis=-1)
    t_max = np.where(last >= 0, duration[last], 0.0)
    if interpolate:
        t_max = _crossing(mean, duration, threshold, last, following, t_max)
    nothing = ~known.any(axis=-1)
    censoring = np.where(last < 0, -1, np.where(following == len(duration), 1, 0))
    return np.where(nothing, np.nan, t_max), np.where(nothing, -2, censoring), flagged


def _crossing(
    mean: np.ndarray,
    duration: np.ndarray,
    threshold: float,
    last: np.ndarray,
    following: np.ndarray,
    t_max: np.ndarray,
) -> np.ndarray:
    inside = (last >= 0) & (following < len(duration))
    low, high = np.where(inside, last, 0), np.where(inside, following, 0)
    at_low = np.take_along_axis(mean, low[..., None], axis=-1)[..., 0]
    at_high = np.take_along_axis(mean, high[..., None], axis=-1)[..., 0]
    drop = np.where(inside, at_low - at_high, 1.0)
    share = np.where(inside, at_low - threshold, 0.0) / drop
    return np.where(inside, t_max + share * (duration[high] - duration[low]), t_max)


def line_fits(
    t_max: np.ndarray, censoring: np.ndarray, tau_corr: np.ndarray, shortest: np.ndarray, longest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Slope over the measured cells, slope with censored cells as bounds, what they say, rms residual (ms).

    ``t_max``, ``censoring``: (..., c); ``shortest``, ``longest``: tested T, broadcastable to it; ``tau_corr``: (c,).
    """
    weight = np.ones(t_max.shape)
    plain, one_sided, kind = _slopes(t_max, censoring, tau_corr, shortest, longest, weight)
    measured = _measured(censoring, tau_corr)
    distance = np.where(measured, t_max - plain[..., None] * np.nan_to_num(tau_corr), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.sqrt((distance**2).sum(axis=-1) / measured.sum(axis=-1))
    return plain, one_sided, kind, residual


def _measured(censoring: np.ndarray, tau_corr: np.ndarray) -> np.ndarray:
    return (censoring == 0) & ~np.isnan(tau_corr)


def _slopes(
    t_max: np.ndarray,
    censoring: np.ndarray,
    tau_corr: np.ndarray,
    shortest: np.ndarray,
    longest: np.ndarray,
    weight: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both slopes (NaN where undefined) and the kind, for cells that count ``weight`` times; shapes (...)."""
    usable = (weight > 0) & ~np.isnan(tau_corr)
    measured = (censoring == 0) & usable
    above, below = (censoring == 1) & usable, (censoring == -1) & usable
    tau = np.nan_to_num(np.broadcast_to(tau_corr, t_max.shape), nan=1.0)
    bound = np.where(above, longest, np.where(below, shortest, np.where(measured, t_max, 0.0)))
    ratio = bound / tau
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = (weight * measured * tau * bound).sum(axis=-1) / (weight * measured * tau**2).sum(axis=-1)
    at_least = np.where(above, ratio, -np.inf).max(axis=-1)
    at_most = np.where(below, ratio, np.inf).min(axis=-1)
    has_above, has_below = above.any(axis=-1), below.any(axis=-1)
    estimated = measured.any(axis=-1) | (has_above & has_below)
    kind = np.where(estimated, 0, np.where(has_above, 1, np.where(has_below, -1, -2)))
    with np.errstate(invalid="ignore"):
        start = np.where(measured.any(axis=-1), plain, (at_least + at_most) / 2)
    slope = np.where(estimated, start, 0.0)
    for _ in range(100):  # Newton on a convex piecewise quadratic: ends after a few steps
        pulls = measured | (above & (slope[..., None] < ratio)) | (below & (slope[..., None] > ratio))
        norm = (weight * pulls * tau**2).sum(axis=-1)
        fitted = (weight * pulls * tau * bound).sum(axis=-1) / np.where(norm > 0, norm, 1.0)
        moved = np.where(norm > 0, fitted, slope)
        if np.array_equal(moved, slope):
            break
        slope = moved
    one_sided = np.select([kind == 0, kind == 1, kind == -1], [slope, at_least, at_most], np.nan)
    return np.where(measured.any(axis=-1), plain, np.nan), one_sided, kind


def bootstrap_replicates(
    table: np.ndarray,
    duration: np.ndarray,
    tau_corr: np.ndarray,
    thresholds: np.ndarray,
    options: dict[str, Any],
    source: tuple[np.random.Generator, int],
) -> np.ndarray:
    """Both slopes after redrawing the replicates of every cell, shape (resamplings, 2, thresholds, ...).

    ``table``: performance, shape (..., c, t, replicates), padded with NaN at the end.
    """
    generator, n_bootstrap = source
    count = (~np.isnan(table)).sum(axis=-1)
    known = count > 0
    shortest = np.where(known, duration, np.inf).min(axis=-1)
    longest = np.where(known, duration, -np.inf).max(axis=-1)
    draws = np.full((n_bootstrap, 2, len(thresholds), *table.shape[:-3]), np.nan)
    if count.max(initial=0) < 2:  # single networks say nothing about their scatter
        return draws
    for index, mean in enumerate(redrawn_means(table, generator, n_bootstrap)):
        for k, threshold in enumerate(thresholds):
            t_max, censoring, _ = longest_learned(mean, duration, threshold, **options)
            plain, one_sided, _ = _slopes(t_max, censoring, tau_corr, shortest, longest, np.ones(t_max.shape))
            draws[index, 0, k], draws[index, 1, k] = plain, one_sided
    return draws


def bootstrap_cells(
    t_max: np.ndarray,
    censoring: np.ndarray,
    tau_corr: np.ndarray,
    shortest: np.ndarray,
    longest: np.ndarray,
    source: tuple[np.random.Generator, int],
) -> np.ndarray:
    """Both slopes after redrawing the tau_c that have data, shape (resamplings, 2, *t_max.shape[:-1])."""
    generator, n_bootstrap = source
    draws = np.empty((n_bootstrap, 2, *t_max.shape[:-1]))
    known = censoring != -2
    n_known = known.sum(axis=-1, keepdims=True)
    rank = np.cumsum(known, axis=-1) - 1
    for index in range(n_bootstrap):
        pick = (generator.random(t_max.shape) * n_known).astype(np.intp)
        pick = np.where(np.arange(t_max.shape[-1]) < n_known, pick, -1)
        weight = (pick[..., None, :] == rank[..., :, None]).sum(axis=-1) * known
        plain, one_sided, _ = _slopes(t_max, censoring, tau_corr, shortest, longest, weight.astype(np.float64))
        draws[index] = np.where(n_known[..., 0] > 1, [plain, one_sided], np.nan)  # one tau_c has no scatter
    return draws
