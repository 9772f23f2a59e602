"""From the points of a sweep to grid cells: which parameters vary, which cell a point falls in, what a cell holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.variables import (
    ANALYSIS,
    ANALYSIS_COORDINATES,
    POINT_PARAMETERS,
    POINT_PROVENANCE,
    POINT_RESULTS,
    STATUS,
    Variable,
)

NOT_CONDITIONS = frozenset(
    {
        *("point", "replicate", "seed", "grid_index", "generation", "batch", "predicted_seconds", "experiment_hash"),
        *POINT_PROVENANCE,
    }
)
"""Coordinates along ``point`` that tell repetitions of one condition apart, or keep the sweep's books."""

MAX_CELLS = 20_000_000

DIVERGED = STATUS.index("diverged")

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep.

    Attributes
    ----------
    axes
        Sorted distinct values of every axis, in the order of the dimensions.
    cell
        Row-major cell of every point, shape (points,), int64; -1 for a point that is not finished.
    """

    axes: dict[str, np.ndarray]
    cell: np.ndarray

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.axes.values())

    @property
    def n_cells(self) -> int:
        return math.prod(self.shape)


def parameters(sweep: xr.Dataset) -> dict[str, np.ndarray]:
    """Values along ``point`` of every coordinate that states a condition, each shape (points,)."""
    if "point" not in sweep.dims:
        raise DataError(
            f"this Dataset has the dimensions {', '.join(map(str, sweep.dims)) or 'none'} but no 'point'; "
            "give the Dataset of a sweep, as hpcspike.open_sweep returns it"
        )
    names = [str(n) for n in sweep.coords if sweep.coords[n].dims == ("point",) and n not in NOT_CONDITIONS]
    loaded = sweep.reset_coords()[names].load() if names else xr.Dataset()
    columns: dict[str, np.ndarray] = {}
    for name in sorted(names, key=lambda n: (n not in POINT_PARAMETERS, names.index(n))):
        values = loaded[name].values
        values = values.astype(str) if values.dtype.kind not in "biuf" else values
        # one quantity under two names (tau_syn_ms and synapse.tau_syn_ms) is one parameter
        again = any(_same(values, other) for other in columns.values() if len(np.unique(values)) > 1)
        if name in POINT_PARAMETERS or not again:
            columns[name] = values
    return columns


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    numeric = left.dtype.kind in "biuf" and right.dtype.kind in "biuf"
    return bool(np.array_equal(left, right, equal_nan=numeric)) if numeric or left.dtype == right.dtype else False


def varying(sweep: xr.Dataset) -> dict[str, int]:
    """Number of distinct values of every condition that takes more than one, in the order of the registry."""
    counts = {name: len(np.unique(values)) for name, values in parameters(sweep).items()}
    return {name: count for name, count in counts.items() if count > 1}


def make_grid(sweep: xr.Dataset, *, over: Sequence[str], pool: Sequence[str] = ()) -> Grid:
    """Cells over the named parameters and every other one that varies.

    Parameters
    ----------
    sweep
        Dataset along ``point``.
    over
        The last dimensions, in this order, also where a parameter has one value only.
    pool
        Parameters whose values are thrown together; any other varying parameter becomes a leading dimension, since
        averaging over it in silence would mislead.

    Raises
    ------
    DataError
        If a name is unknown, or the grid would have more than 2e7 cells.
    """
    columns = parameters(sweep)
    for name in (*over, *pool):
        if name not in columns:
            raise DataError(f"{name!r} is not a parameter of this sweep; choose among {', '.join(columns)}")
    others = [n for n, v in columns.items() if n not in (*over, *pool) and len(np.unique(v)) > 1]
    axes: dict[str, np.ndarray] = {}
    positions = []
    for name in (*others, *over):
        axes[name], position = np.unique(columns[name], return_inverse=True)
        positions.append(position)
    shape = tuple(len(values) for values in axes.values())
    if math.prod(shape) > MAX_CELLS:
        sizes = " x ".join(f"{name} ({len(values)})" for name, values in axes.items())
        raise DataError(
            f"{sizes} make {math.prod(shape)} grid cells, at most {MAX_CELLS} are allowed; "
            "pool a parameter, or round its values to a grid first"
        )
    cell = np.ravel_multi_index(positions, shape).astype(np.int64)
    if "done" in sweep:
        cell = np.where(sweep["done"].values == 1, cell, -1)
    return Grid(axes, cell)


def condition(sweep: xr.Dataset, name: str) -> xr.DataArray:
    """A result variable along ``point``, or a DataError that says which there are."""
    if name not in sweep or sweep[name].dims != ("point",):
        known = [str(n) for n in sweep.data_vars if sweep[n].dims == ("point",) and n in POINT_RESULTS]
        raise DataError(f"{name!r} is not a result along 'point' of this sweep; choose among {', '.join(known)}")
    return sweep[name]


def measured(sweep: xr.Dataset, measure: str) -> dict[str, xr.DataArray]:
    """The measure and, where the sweep has it, the status, as `statistics` takes them."""
    arrays = {"values": condition(sweep, measure)}
    if "status" in sweep:
        arrays["status"] = sweep["status"]
    return arrays


def by_replicate(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Values of every cell side by side, shape (cells, most points in a cell), padded with NaN."""
    kept = np.flatnonzero((cell >= 0) & ~np.isnan(values))
    order = kept[np.argsort(cell[kept], kind="stable")]
    counts = np.bincount(cell[order], minlength=n_cells)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    table = np.full((n_cells, max(int(counts.max(initial=0)), 1)), np.nan)
    table[cell[order], np.arange(len(order)) - starts[cell[order]]] = values[order]
    return table


def failed(values: np.ndarray, status: np.ndarray | None) -> np.ndarray:
    """Which points have no usable value: diverged ones and those whose measure is NaN."""
    nothing = np.isnan(values)
    return nothing if status is None else nothing | (status == DIVERGED)


def finished(cell: np.ndarray, status: np.ndarray | None) -> np.ndarray:
    """Which points count: those in a cell whose status has been written."""
    return cell >= 0 if status is None else (cell >= 0) & (status >= 0)


def statistics(*, values: np.ndarray, status: np.ndarray | None = None, grid: Grid, failed_as: float | None) -> Arrays:
    """Mean, s.d. and counts of every cell, each in the shape of the grid."""
    cell, n_cells = grid.cell, grid.n_cells
    done = finished(cell, status)
    nothing = failed(values, status)
    values = np.where(nothing, np.nan if failed_as is None else failed_as, values)
    valid = done & ~np.isnan(values)
    inside, kept = cell[valid], values[valid]
    count = np.bincount(inside, minlength=n_cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(inside, weights=kept, minlength=n_cells) / count
    squares = np.bincount(inside, weights=(kept - mean[inside]) ** 2, minlength=n_cells)
    spread = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    gone = done & (nothing if status is None else status == DIVERGED)
    arrays = {
        "performance": mean,
        "performance_sd": spread,
        "n_networks": count,
        "n_diverged": np.bincount(cell[gone], minlength=n_cells),
        "n_finished": np.bincount(cell[done], minlength=n_cells),
    }
    return {name: array.reshape(grid.shape) for name, array in arrays.items()}


def evaluate(
    function: Callable[..., Arrays], inputs: Mapping[str, xr.DataArray], shapes: Mapping[str, tuple[int, ...]]
) -> Arrays:
    """Call ``function`` on plain arrays: at once, or as one dask task if any input is a dask array.

    The columns of a sweep are short (8 MB for 10^6 points), so one task that sees whole columns gives the same bits as
    the call on numpy arrays, which sums over chunks would not.
    """
    if not any(array.chunks for array in inputs.values()):
        return function(**{name: array.values for name, array in inputs.items()})
    import dask
    import dask.array

    task = dask.delayed(function, pure=False)(**{name: array.data for name, array in inputs.items()})
    return {
        name: dask.array.from_delayed(task[name], shape=shape, dtype=np.dtype(ANALYSIS[name].dtype))
        for name, shape in shapes.items()
    }


def assemble(
    arrays: Mapping[str, tuple[tuple[str, ...], Any]],
    axes: Mapping[str, Any],
    *,
    like: xr.Dataset,
    attrs: Mapping[str, Any],
    described: Mapping[str, Mapping[str, Any]] | None = None,
) -> xr.Dataset:
    """A Dataset with dtypes, units and long names from the registry; ``described`` overrides attributes by name."""
    described = described or {}
    variables = {}
    for name, (dims, array) in arrays.items():
        entry = ANALYSIS.get(name) or POINT_RESULTS[name]
        variables[name] = (dims, array.astype(entry.dtype), {**entry.attrs, **described.get(name, {})})
    coordinates = {name: (name, values, axis_attrs(name, like)) for name, values in axes.items()}
    kept = {key: value for key, value in like.attrs.items() if key in ("name", "title", "sweep", "estimated")}
    return xr.Dataset(variables, coords=coordinates, attrs={**kept, **attrs})


def axis_attrs(name: str, sweep: xr.Dataset) -> dict[str, Any]:
    """Units and long name of a coordinate, from the registry or from the sweep itself."""
    entry: Variable | None = POINT_PARAMETERS.get(name) or ANALYSIS_COORDINATES.get(name)
    if entry is not None:
        return entry.attrs
    own = dict(sweep[name].attrs) if name in sweep.coords else {}
    return {"units": "1", "long_name": name, **own}


def of_measure(sweep: xr.Dataset, measure: str) -> dict[str, dict[str, Any]]:
    """Attributes of a measure's value and s.d. over networks, in the measure's own unit.

    The value is the mean; where points are scattered the median, which the surface through all networks estimates.
    """
    entry = POINT_RESULTS.get(measure)
    units = entry.units if entry is not None else sweep[measure].attrs.get("units", "1")
    meaning = entry.long_name if entry is not None else sweep[measure].attrs.get("long_name", measure)
    typical = "median over networks, by a surface" if "estimated" in sweep.attrs else "mean over networks"
    return {
        "performance": {"units": units, "long_name": f"{meaning}, {typical}"},
        "performance_sd": {"units": units, "long_name": f"{meaning}, s.d. over networks (n - 1)"},
    }
