"""Capacity: the longest window a network of a given size learns, in units of the targets' correlation time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import (
    Arrays,
    Grid,
    assemble,
    by_replicate,
    evaluate,
    failed,
    finished,
    make_grid,
    measured,
    of_measure,
    statistics,
)
from hpcspike.analysis.limits_fit import bootstrap_cells, bootstrap_replicates, line_fits, longest_learned
from hpcspike.analysis.mapping import STATISTICS
from hpcspike.analysis.scattered import on_grid
from hpcspike.errors import DataError
from hpcspike.intervals import percentile_ends
from hpcspike.takes_results import takes_results

CELL_RESULTS = ("longest_learned", "censoring", "non_monotone")
FIT_RESULTS = ("capacity", "capacity_one_sided", "capacity_kind", "capacity_residual")
COUNTS = ("n_measured", "n_everything_learned", "n_nothing_learned")
INTERVALS = ("capacity_low", "capacity_high", "capacity_one_sided_low", "capacity_one_sided_high")


@takes_results
def capacity(
    sweep: xr.Dataset,
    *,
    threshold: float | Sequence[float] = 0.7,
    measure: str = "correlation",
    non_monotone: Literal["largest", "contiguous"] = "largest",
    interpolate: bool | None = None,
    surface: bool = False,
    interval: Literal["auto", "replicates", "cells"] = "auto",
    level: float = 0.9,
    n_bootstrap: int = 500,
    random_seed: int = 0,
    pool: Sequence[str] = (),
    failed_as: float = 0.0,
) -> xr.Dataset:
    """T_max of every (N, tau_c) and the capacity T_max / tau_c of every N (paper section 4.8, Fig 7).

    A window T counts as learned if the mean performance over replicates, or that of the median network by a surface,
    reaches the threshold. The capacity is the
    slope of the least-squares line T_max = slope * tau_c through the origin over the tau_c whose T_max lies inside the
    grid of T. The paper states neither a threshold nor what it did with the other cells, so both are explicit here.

    Parameters
    ----------
    sweep
        Dataset along ``point`` that varies ``duration_ms``.
    threshold
        Performance that counts as learned; several values show how the capacity depends on it.
    measure
        Name of a result along ``point``; larger is better.
    non_monotone
        T_max where a short T fails and a longer one succeeds: ``"largest"`` T learned at all, or the last T of the
        ``"contiguous"`` run of learned ones that begins with the shortest. Such cells are flagged either way.
    interpolate
        Move T_max from the grid to where the straight line from it to the next tested T crosses the threshold. Without
        it T_max is low by up to one step of the grid, on average half a step. Default: where a surface is read off.
    surface
        Read performance off the surface through all networks, which goes through their median, instead of taking the
        mean over replicates; always so where points are scattered. So both kinds of sweep can be compared;
        `hpcspike.analysis.level_line` along ``duration_ms`` reads T_max off the same surface, with its interval.
    interval
        ``"replicates"``: bootstrap the replicates of every cell; ``"cells"``: bootstrap the tau_c; ``"auto"``:
        replicates if the typical cell has three or more. No interval where there is one replicate, or one tau_c.
    level
        Coverage of the percentile interval.
    n_bootstrap, random_seed
        Number of resamplings (0: no interval) and the seed that makes them repeatable.
    pool
        As in `hpcspike.analysis.performance`.
    failed_as
        Performance that a network without one (a diverged one) counts as.

    Returns
    -------
    Dataset
        Over (..., n_neurons, tau_corr_ms, duration_ms) ``performance``, its s.d. and counts. Along ``threshold`` and
        (..., n_neurons, tau_corr_ms): ``longest_learned`` (ms; 0 if nothing was learned, so it is a lower bound in a
        censored cell), ``censoring`` (1 the longest tested T is learned, -1 none is, 0 measured, -2 no data),
        ``non_monotone``. Along ``threshold`` and (..., n_neurons): ``capacity`` (censored cells left out),
        ``capacity_one_sided`` (censored cells enter as bounds: they pull only a line that contradicts them), their
        intervals, ``capacity_kind`` (0 estimated; 1 or -1: every cell is censored, ``capacity`` is NaN and
        ``capacity_one_sided`` only a lower or upper bound), ``capacity_residual`` (ms) and the numbers of cells
        ``n_measured``, ``n_everything_learned``, ``n_nothing_learned``. Lazy if the sweep is.

    Raises
    ------
    DataError
        If an option is unknown, or the sweep does not vary ``duration_ms``.
    """
    _check(non_monotone, interval, level)
    thresholds = np.atleast_1d(np.asarray(threshold, dtype=np.float64))
    sweep = on_grid(sweep, [measure], always=surface)
    interpolate = "estimated" in sweep.attrs if interpolate is None else interpolate
    grid = make_grid(sweep, over=("n_neurons", "tau_corr_ms", "duration_ms"), pool=pool)
    if len(grid.axes["duration_ms"]) < 2:
        raise DataError(
            f"duration_ms = {grid.axes['duration_ms'][0]:g} ms in every point: the capacity needs at least two "
            "lengths of the trained window; sweep targets.duration_ms"
        )
    groups, cells = grid.shape[:-2], grid.shape[:-1]
    shapes = {
        **dict.fromkeys(STATISTICS, grid.shape),
        **dict.fromkeys(CELL_RESULTS, (len(thresholds), *cells)),
        **dict.fromkeys((*FIT_RESULTS, *COUNTS, *INTERVALS), (len(thresholds), *groups)),
    }
    options = {"non_monotone": non_monotone, "interpolate": interpolate}
    if interval == "auto":
        _, counts = np.unique(grid.cell[grid.cell >= 0], return_counts=True)
        interval = "replicates" if len(counts) and np.median(counts) >= 3 else "cells"
    function = partial(
        _capacity,
        grid=grid,
        thresholds=thresholds,
        options=options,
        resampling={"interval": interval, "level": level, "n_bootstrap": n_bootstrap, "random_seed": random_seed},
        failed_as=failed_as,
    )
    arrays = evaluate(function, measured(sweep, measure), shapes)
    dims = {name: ("threshold", *grid.dims[: len(shape) - 1]) for name, shape in shapes.items()}
    dims |= dict.fromkeys(STATISTICS, grid.dims)
    return assemble(
        {name: (dims[name], arrays[name]) for name in shapes},
        {**grid.axes, "threshold": thresholds},
        like=sweep,
        attrs={
            "measure": measure,
            "fit": "least squares through the origin over tau_corr_ms",
            "non_monotone": non_monotone,
            "interpolate": int(interpolate),
            "interval": interval,
            "interval_level": level,
            "n_bootstrap": n_bootstrap,
            "failed_as": failed_as,
        },
        described=of_measure(sweep, measure),
    )


def _check(non_monotone: str, interval: str, level: float) -> None:
    for key, value, allowed in (
        ("non_monotone", non_monotone, ("largest", "contiguous")),
        ("interval", interval, ("auto", "replicates", "cells")),
    ):
        if value not in allowed:
            raise DataError(f"{key} = {value!r}: must be one of {', '.join(allowed)}")
    if not 0 < level < 1:
        raise DataError(f"level = {level:g}: the coverage of the interval must lie between 0 and 1")


def _capacity(
    *,
    values: np.ndarray,
    status: np.ndarray | None = None,
    grid: Grid,
    thresholds: np.ndarray,
    options: dict[str, Any],
    resampling: dict[str, Any],
    failed_as: float,
) -> Arrays:
    arrays = statistics(values=values, status=status, grid=grid, failed_as=failed_as)
    duration, tau_corr = grid.axes["duration_ms"], grid.axes["tau_corr_ms"].astype(np.float64)
    mean = arrays["performance"]
    limits = [longest_learned(mean, duration, threshold, **options) for threshold in thresholds]
    for index, name in enumerate(CELL_RESULTS):
        arrays[name] = np.stack([limit[index] for limit in limits])
    shortest, longest = _tested(mean, duration)
    fits = line_fits(arrays["longest_learned"], arrays["censoring"], tau_corr, shortest, longest)
    arrays |= dict(zip(FIT_RESULTS, fits, strict=True))
    for name, flag in zip(COUNTS, (0, 1, -1), strict=True):
        arrays[name] = (arrays["censoring"] == flag).sum(axis=-1)
    if resampling["interval"] == "replicates":
        cell = np.where(finished(grid.cell, status), grid.cell, -1)
        table = by_replicate(np.where(failed(values, status), failed_as, values), cell, grid.n_cells)
        draws = bootstrap_replicates(
            table.reshape(*grid.shape, -1), duration, tau_corr, thresholds, options, _generator(resampling)
        )
    else:
        draws = bootstrap_cells(
            arrays["longest_learned"], arrays["censoring"], tau_corr, shortest, longest, _generator(resampling)
        )
    ends = _percentiles(draws, resampling, arrays["longest_learned"].shape[:-1])
    arrays |= dict(zip(INTERVALS, ends, strict=True))
    return arrays


def _tested(mean: np.ndarray, duration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shortest and longest tested T of every cell, ms, shape (..., tau_c); NaN without data."""
    known = ~np.isnan(mean)
    shortest = np.where(known, duration, np.inf).min(axis=-1)
    longest = np.where(known, duration, -np.inf).max(axis=-1)
    nothing = ~known.any(axis=-1)
    return np.where(nothing, np.nan, shortest), np.where(nothing, np.nan, longest)


def _generator(resampling: dict[str, Any]) -> tuple[np.random.Generator, int]:
    return np.random.default_rng(resampling["random_seed"]), resampling["n_bootstrap"]


def _percentiles(draws: np.ndarray, resampling: dict[str, Any], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Interval ends of both estimates, each in the given shape, by `percentile_ends`.

    ``draws`` has the shape (resamplings, 2, *shape): the estimate without and with censored cells.
    """
    ends = [np.full(shape, np.nan) for _ in INTERVALS]
    for estimate in range(2):
        low, high = ends[2 * estimate : 2 * estimate + 2]
        for index in np.ndindex(*shape):
            low[index], high[index] = percentile_ends(draws[(slice(None), estimate, *index)], resampling["level"])
    return ends
