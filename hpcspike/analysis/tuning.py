"""The inverted U: performance against the synaptic time, and where it is best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import Arrays, Grid, assemble, evaluate, make_grid, measured, of_measure, statistics
from hpcspike.analysis.mapping import STATISTICS
from hpcspike.analysis.scattered import on_grid
from hpcspike.takes_results import takes_results

OPTIMUM = (
    "optimum_tau_syn",
    "optimum_performance",
    "optimum_edge",
    "near_optimal_low",
    "near_optimal_high",
    "rise",
    "fall",
)


@takes_results
def inverted_u(
    sweep: xr.Dataset,
    *,
    measure: str = "correlation",
    near: float = 0.02,
    pool: Sequence[str] = (),
    failed_as: float | None = None,
) -> xr.Dataset:
    """Performance against tau_s for every tau_c and N, and its optimum (paper Figs 6c, 6d).

    The optimum is the vertex of the parabola in log(tau_s) through the best value and its neighbours on either side.
    Where the best value is the first or last of a curve there is no such parabola: the optimum is then that grid value,
    and ``optimum_edge`` says so; the true one may lie outside the grid.

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    measure
        Name of a result along ``point``; larger is better.
    near
        A tau_s whose performance is within this of the best one counts as nearly optimal.
    pool, failed_as
        As in `hpcspike.analysis.performance`.

    Returns
    -------
    Dataset
        The curve over (..., tau_corr_ms, n_neurons, tau_syn_ms): ``performance``, ``performance_sd`` and counts; per
        curve ``optimum_tau_syn`` (ms), ``optimum_performance``, ``optimum_edge`` (-1 lower edge, 0 inside, 1 upper
        edge, -2 no data), ``near_optimal_low`` and ``near_optimal_high`` (ms, the grid values around the best one that
        are nearly as good), ``rise`` and ``fall`` (best minus the ends of the curve: both are positive for an inverted
        U). Lazy if the sweep is.

    Raises
    ------
    DataError
        If the measure or a parameter is not part of the sweep.
    """
    sweep = on_grid(sweep, [measure])
    grid = make_grid(sweep, over=("tau_corr_ms", "n_neurons", "tau_syn_ms"), pool=pool)
    function = partial(_curves, grid=grid, near=near, failed_as=failed_as)
    shapes = {**dict.fromkeys(STATISTICS, grid.shape), **dict.fromkeys(OPTIMUM, grid.shape[:-1])}
    arrays = evaluate(function, measured(sweep, measure), shapes)
    described = of_measure(sweep, measure)
    units = {"units": described["performance"]["units"]}
    return assemble(
        {name: (grid.dims[: len(shape)], arrays[name]) for name, shape in shapes.items()},
        grid.axes,
        like=sweep,
        attrs={
            "measure": measure,
            "near": near,
            "optimum": "vertex of the parabola in log(tau_s) through the best value and its neighbours",
            "failed_as": "left out" if failed_as is None else failed_as,
        },
        described={**described, "optimum_performance": units, "rise": units, "fall": units},
    )


def _curves(
    *, values: np.ndarray, status: np.ndarray | None = None, grid: Grid, near: float, failed_as: float | None
) -> Arrays:
    arrays = statistics(values=values, status=status, grid=grid, failed_as=failed_as)
    mean = arrays["performance"]
    curves = mean.reshape(-1, mean.shape[-1])
    rows = [_optimum(grid.axes["tau_syn_ms"], curve, near) for curve in curves]
    for column, name in enumerate(OPTIMUM):
        arrays[name] = np.array([row[column] for row in rows]).reshape(mean.shape[:-1])
    return arrays


def _optimum(tau_syn: np.ndarray, curve: np.ndarray, near: float) -> tuple[float, ...]:
    """The entries of ``OPTIMUM`` for one curve; tau_s in ms."""
    known = np.flatnonzero(~np.isnan(curve))
    if len(known) == 0:
        return (np.nan, np.nan, -2, np.nan, np.nan, np.nan, np.nan)
    tau, y = tau_syn[known], curve[known]
    best = int(np.argmax(y))
    low = high = best
    while low > 0 and y[low - 1] >= y[best] - near:
        low -= 1
    while high < len(y) - 1 and y[high + 1] >= y[best] - near:
        high += 1
    vertex = vertex_inside(np.log(tau), y)
    if vertex is not None:
        edge, place, value = 0, float(np.exp(vertex[0])), vertex[1]
    else:
        # a curve of one value lies at both edges: call it the upper one
        edge = -1 if best == 0 and len(y) > 1 else 1
        place, value = float(tau[best]), float(y[best])
    return (place, value, edge, tau[low], tau[high], value - y[0], value - y[-1])


def vertex_inside(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Place and value of the maximum, by a parabola through the largest y and its neighbours; None if at an end."""
    best = int(np.argmax(y))
    if not 0 < best < len(y) - 1:
        return None
    return parabola_vertex(x[best - 1 : best + 2], y[best - 1 : best + 2])


def parabola_vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Place and value of the maximum of the parabola through three points whose middle one is the highest."""
    left, right = x[0] - x[1], x[2] - x[1]
    slope_left, slope_right = (y[0] - y[1]) / left, (y[2] - y[1]) / right
    curvature = (slope_right - slope_left) / (right - left)
    if not curvature < 0:  # three equal values
        return float(x[1]), float(y[1])
    slope = slope_left - curvature * left
    shift = -slope / (2 * curvature)
    return float(x[1] + shift), float(y[1] + shift * (slope + curvature * shift))
