"""Data collapse: whether one scaling variable accounts for the performance in a regime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

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
from hpcspike.analysis.mapping import STATISTICS
from hpcspike.analysis.scattered import is_scattered, on_grid
from hpcspike.errors import DataError
from hpcspike.intervals import CONFIDENCE, Interval, percentile_ends, redrawn_means
from hpcspike.takes_results import takes_results

Regime = Literal["tracking", "sampling"]


class _Scaling(NamedTuple):
    curve: str  # the parameter that tells curves apart
    group: str  # the parameter that the theory does not scale out, kept apart
    tau_syn_range_ms: tuple[float, float]  # paper, Figs 6e and 6f
    name: str
    units: str


REGIMES = {
    "tracking": _Scaling("tau_corr_ms", "n_neurons", (30.0, np.inf), "tau_s / tau_c", "1"),
    "sampling": _Scaling("n_neurons", "tau_corr_ms", (0.0, 30.0), "1 / sqrt(N tau_s)", "ms^-0.5"),
}

CONTROL = "tau_s alone"

BANDS = 6
"""Ranges of the curves' parameter, equally many networks in each: the curves of points that are scattered."""


@takes_results
def collapse(
    sweep: xr.Dataset,
    *,
    regime: Regime = "tracking",
    tau_syn_range_ms: tuple[float, float] | None = None,
    measure: str = "correlation",
    pool: Sequence[str] = (),
    failed_as: float | None = None,
) -> xr.Dataset:
    """Performance against tau_s/tau_c or 1/sqrt(N tau_s), and how well that collapses it (paper Figs 6e, 6f).

    The theory (paper Eq 3) says that performance falls with tau_s/tau_c where tracking errors rule, whatever tau_c, and
    with 1/sqrt(N tau_s) where sampling errors rule, whatever N. Two numbers judge it, each also given for tau_s alone:
    the variance around the best monotonically falling curve common to all (isotonic least squares) over the total
    variance, and the squared error of every curve predicted from all others (the same fit, interpolated in the
    logarithm of the scaling variable) over the variance of the predicted values; a flexible fit gains nothing in the
    second. 0 is a perfect collapse, 1 no better than the mean. ``noise_fraction`` is what the scatter of replicates
    alone leaves.

    Where points are scattered, the first is about the surface through them, the second about the networks themselves,
    whose curves are six ranges of the curves' parameter with equally many networks each: a surface knows of every curve
    from its neighbours. It is NaN where the group's parameter varies, too.

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    regime
        ``"tracking"``: curves of different tau_c, each N apart. ``"sampling"``: curves of different N, each tau_c
        apart.
    tau_syn_range_ms
        Smallest and largest tau_s used (ms, inclusive); default: from 30 ms (tracking), up to 30 ms (sampling).
    measure, pool, failed_as
        As in `hpcspike.analysis.performance`.

    Returns
    -------
    Dataset
        Over (..., group, curve, tau_syn_ms), where (group, curve) is (n_neurons, tau_corr_ms) or (tau_corr_ms,
        n_neurons): ``performance``, its s.d. and counts, ``master_curve``, and ``abscissa`` (curve, tau_syn_ms; 1 or
        ms^-0.5). Per group: ``unexplained_fraction`` and ``held_out_fraction`` along ``abscissa_name`` (the scaling
        variable, then ``"tau_s alone"``), ``noise_fraction``, ``n_curves``, ``n_cells``. The fractions are NaN below
        two curves or three cells. Lazy if the sweep is.

    Raises
    ------
    DataError
        If the regime is unknown or no tau_s lies in the range.
    """
    if regime not in REGIMES:
        raise DataError(f"regime = {regime!r}: must be one of {', '.join(REGIMES)}")
    chosen = REGIMES[regime]
    low, high = tau_syn_range_ms or chosen.tau_syn_range_ms
    networks, sweep = sweep, on_grid(sweep, [measure])
    grid = make_grid(sweep, over=(chosen.group, chosen.curve, "tau_syn_ms"), pool=pool)
    inside, abscissae = _in_regime(grid, regime, low, high)
    axes = {**grid.axes, "tau_syn_ms": grid.axes["tau_syn_ms"][inside]}
    shape = (*grid.shape[:-1], int(inside.sum()))
    groups = grid.shape[:-2]
    shapes: dict[str, tuple[int, ...]] = {name: shape for name in (*STATISTICS, "master_curve")}
    shapes |= dict.fromkeys(("unexplained_fraction", "held_out_fraction"), (*groups, 2))
    shapes |= dict.fromkeys(("noise_fraction", "n_curves", "n_cells"), groups)
    dims = {name: grid.dims[: len(s)] for name, s in shapes.items()}
    for name in ("unexplained_fraction", "held_out_fraction"):
        dims[name] = (*grid.dims[:-2], "abscissa_name")
    function = partial(_collapsed, grid=grid, inside=inside, abscissae=abscissae, failed_as=failed_as)
    arrays = evaluate(function, measured(sweep, measure), shapes)
    if sweep is not networks:
        error = _held_out_bands(networks, measure, regime, (low, high), failed_as)
        arrays["held_out_fraction"] = np.full(shapes["held_out_fraction"], error if math.prod(groups) == 1 else np.nan)
    return assemble(
        {
            **{name: (dims[name], arrays[name]) for name in shapes},
            "abscissa": ((chosen.curve, "tau_syn_ms"), abscissae[0]),
        },
        {**axes, "abscissa_name": np.array([chosen.name, CONTROL])},
        like=sweep,
        attrs={
            "regime": regime,
            "measure": measure,
            "tau_syn_range_ms": [float(low), float(high)],
            "failed_as": "left out" if failed_as is None else failed_as,
        },
        described={
            **of_measure(sweep, measure),
            "master_curve": {"units": of_measure(sweep, measure)["performance"]["units"]},
            "abscissa": {"units": chosen.units, "long_name": chosen.name},
        },
    )


def _in_regime(grid: Grid, regime: Regime, low: float, high: float) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Which tau_s lie in the range (tau_s,) bool, and the scaling variable and its control (curves, tau_s inside)."""
    tau_syn = grid.axes["tau_syn_ms"]
    inside = (tau_syn >= low) & (tau_syn <= high)
    if not inside.any():
        raise DataError(
            f"tau_syn_range_ms = ({low:g}, {high:g}) ms holds none of the sweep's tau_s ({tau_syn.min():g} to "
            f"{tau_syn.max():g} ms); choose another range"
        )
    tau, curve = np.meshgrid(tau_syn[inside], grid.axes[REGIMES[regime].curve])
    return inside, _abscissae(regime, tau, curve)


def _abscissae(regime: Regime, tau: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scaling variable and its control, of tau_s (ms) and the curves' parameter."""
    if regime == "tracking":
        return tau / curve, tau
    return 1 / np.sqrt(curve * tau), 1 / np.sqrt(tau)


def _held_out_bands(
    sweep: xr.Dataset, measure: str, regime: Regime, tau_syn_range_ms: tuple[float, float], failed_as: float | None
) -> list[float]:
    """`_held_out` of scattered networks, the ranges of the curves' parameter in place of curves."""
    arrays = {name: array.values for name, array in measured(sweep, measure).items()}
    lost = failed(arrays["values"], arrays.get("status"))
    values = np.where(lost, np.nan if failed_as is None else failed_as, arrays["values"])
    tau, curve = (sweep[name].values.astype(np.float64) for name in ("tau_syn_ms", REGIMES[regime].curve))
    low, high = tau_syn_range_ms
    (used,) = np.nonzero(np.isfinite(values) & np.isfinite(curve) & (tau >= low) & (tau <= high))
    if len(used) < 3 * BANDS:
        return [np.nan, np.nan]
    bands = np.array_split(used[np.lexsort((tau[used], curve[used]))], BANDS)
    # rows of one length: what is left over of the last columns has no value
    rows = np.stack([np.resize(band, len(bands[0])) for band in bands])
    table = np.where(np.arange(rows.shape[1]) < np.array([[len(band)] for band in bands]), values[rows], np.nan)
    return _held_out(_abscissae(regime, tau[rows], curve[rows]), table)


def held_out_intervals(
    sweep: xr.Dataset, *, regime: Regime = "tracking", n_bootstrap: int = 500, random_seed: int = 0
) -> tuple[Interval, Interval]:
    """``held_out_fraction`` of the correlation, mean over groups, with its interval by redrawing networks.

    Parameters
    ----------
    sweep, regime
        As in `collapse`.
    n_bootstrap, random_seed
        Number of resamplings of the networks of every cell, and the seed that makes them repeatable.

    Returns
    -------
    tuple of Interval
        From the scaling variable, and from tau_s alone. Redrawn means scatter about those at hand, so that the interval
        lies high where the fraction is no larger than the scatter of networks alone makes it. NaN ends where no cell
        has two networks or points are scattered, NaN values where `collapse` has none.
    """
    found = collapse(sweep, regime=regime)
    values = found["held_out_fraction"].values.reshape(-1, 2)
    if is_scattered(sweep):
        scaled, alone = (Interval(float(x), np.nan, np.nan, sweep.sizes["point"]) for x in values.mean(axis=0))
        return scaled, alone
    chosen = REGIMES[regime]
    grid = make_grid(sweep, over=(chosen.group, chosen.curve, "tau_syn_ms"))
    inside, abscissae = _in_regime(grid, regime, *chosen.tau_syn_range_ms)
    arrays = {name: array.values for name, array in measured(sweep, "correlation").items()}
    status = arrays.get("status")
    cell = np.where(finished(grid.cell, status), grid.cell, -1)
    table = by_replicate(np.where(failed(arrays["values"], status), np.nan, arrays["values"]), cell, grid.n_cells)
    table = table.reshape(-1, *grid.shape[-2:], table.shape[-1])[:, :, inside]
    table[:, np.isnan(abscissae[0])] = np.nan
    n_networks = int((~np.isnan(table)).sum())
    draws = np.full((n_bootstrap, *values.shape), np.nan)
    if (~np.isnan(table)).sum(axis=-1).max(initial=0) > 1 and not np.isnan(values).all():
        for index, means in enumerate(redrawn_means(table, np.random.default_rng(random_seed), n_bootstrap)):
            draws[index] = [_held_out(abscissae, mean) for mean in means]
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        return (Interval(np.nan, np.nan, np.nan, n_networks),) * 2
    ends = [percentile_ends(column, CONFIDENCE) for column in draws[:, known].mean(axis=1).T]
    scaled, alone = (
        Interval(float(value), *end, n_networks) for value, end in zip(values[known].mean(axis=0), ends, strict=True)
    )
    return scaled, alone


def _collapsed(
    *,
    values: np.ndarray,
    status: np.ndarray | None = None,
    grid: Grid,
    inside: np.ndarray,
    abscissae: tuple[np.ndarray, np.ndarray],
    failed_as: float | None,
) -> Arrays:
    arrays = statistics(values=values, status=status, grid=grid, failed_as=failed_as)
    arrays = {name: array[..., inside] for name, array in arrays.items()}
    shape = arrays["performance"].shape
    groups = shape[:-2]
    # targets without a correlation time (NaN) have no scaling variable
    mean = np.where(np.isnan(abscissae[0]), np.nan, arrays["performance"]).reshape(-1, *shape[-2:])
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (arrays["performance_sd"] ** 2 / arrays["n_networks"]).reshape(mean.shape)
    master = np.full(mean.shape, np.nan)
    unexplained, held_out = np.full((2, len(mean), 2), np.nan)
    noise = np.full(len(mean), np.nan)
    for index, table in enumerate(mean):
        known = ~np.isnan(table)
        if not known.any():
            continue
        master[index][known] = falling_fit(abscissae[0][known], table[known])
        total = np.sum((table[known] - table[known].mean()) ** 2)
        if known.any(axis=1).sum() < 2 or known.sum() < 3 or total == 0:
            continue
        unexplained[index] = [
            np.sum((table[known] - falling_fit(x[known], table[known])) ** 2) / total for x in abscissae
        ]
        held_out[index] = _held_out(abscissae, table)
        noise[index] = np.sum(error[index][known]) / total
    arrays["master_curve"] = master.reshape(shape)
    arrays["unexplained_fraction"] = unexplained.reshape(*groups, 2)
    arrays["held_out_fraction"] = held_out.reshape(*groups, 2)
    arrays["noise_fraction"] = noise.reshape(groups)
    arrays["n_curves"] = (~np.isnan(mean)).any(axis=2).sum(axis=1).reshape(groups)
    arrays["n_cells"] = (~np.isnan(mean)).sum(axis=(1, 2)).reshape(groups)
    return arrays


def falling_fit(x: np.ndarray, y: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
    """Least-squares monotonically falling curve through (x, y), evaluated at ``at`` (NaN outside x) or at x itself."""
    from scipy.optimize import isotonic_regression

    # equal ratios of grid values differ in the last bits and must count as one abscissa
    place, index = np.unique(np.round(np.log(x), 9), return_inverse=True)
    weights = np.bincount(index).astype(np.float64)
    level = isotonic_regression(np.bincount(index, weights=y) / weights, weights=weights, increasing=False).x
    if at is None:
        return level[index]
    return np.interp(np.round(np.log(at), 9), place, level, left=np.nan, right=np.nan)


def _held_out(abscissae: tuple[np.ndarray, np.ndarray], table: np.ndarray) -> list[float]:
    """Error of every curve predicted from the others over variance, for each abscissa, on the same cells."""
    predicted = np.full((2, *table.shape), np.nan)
    known = ~np.isnan(table)
    for row in range(len(table)):
        others = known.copy()
        others[row] = False
        if others.any():
            for k, x in enumerate(abscissae):
                predicted[k, row] = falling_fit(x[others], table[others], at=x[row])
    common = known & ~np.isnan(predicted).any(axis=0)
    if common.sum() < 3:
        return [np.nan, np.nan]
    total = np.sum((table[common] - table[common].mean()) ** 2)
    if total == 0:
        return [np.nan, np.nan]
    return [float(np.sum((p[common] - table[common]) ** 2) / total) for p in predicted]
