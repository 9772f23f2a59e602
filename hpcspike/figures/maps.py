"""A result of a sweep over any two of its numeric parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import axis_attrs, by_replicate, condition, failed, make_grid, parameters
from hpcspike.analysis.scattered import is_scattered
from hpcspike.errors import DataError
from hpcspike.figures.choice import Selection, fix_others
from hpcspike.figures.scattered import scattered_map, shown_level
from hpcspike.figures.style import (
    NO_DATA,
    NO_VALUE,
    SEQUENTIAL,
    edges,
    few_ticks,
    label,
    log_axis,
    new_figure,
    remark,
    styled,
)
from hpcspike.variables import POINT_PARAMETERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Reduction = Literal["mean", "max"]
WORDS = {"mean": "mean over replicates", "max": "best replicate"}


def with_loops(sweep: xr.Dataset, which: Literal["fewest", "most"]) -> xr.Dataset:
    """The points with the fewest or most training loops, where a sweep varies them (paper Fig 4i: 0 is untrained)."""
    loops = sweep.coords.get("n_loops")
    if loops is None:
        return sweep
    chosen = loops.values == (loops.values.min() if which == "fewest" else loops.values.max())
    return sweep.isel(point=np.flatnonzero(chosen))


def plane_of(sweep: xr.Dataset) -> tuple[str, str] | None:
    """The two numeric parameters that vary, if there are just two and one is not among those of every sweep."""
    names = [name for name, values in parameters(sweep).items() if len(np.unique(values)) > 1]
    numeric = [name for name in names if parameters(sweep)[name].dtype.kind in "iuf"]
    if len(names) != 2 or numeric != names or all(name in POINT_PARAMETERS for name in names):
        return None
    return names[0], names[1]


@styled
def map_of(
    sweep: xr.Dataset, variable: str, x: str, y: str, *, reduce: Reduction = "mean", select: Selection = None
) -> Figure:
    """A result over two parameters of a sweep (paper Fig 4i: quasi-static match, and the best of ten trainings).

    Parameters
    ----------
    sweep
        Dataset along ``point``; points whose ``done`` is 0 are left out.
    variable
        Name of a result along ``point``. Diverged networks have none.
    x, y
        Names of numeric parameters: coordinates along ``point``.
    reduce
        What is shown of the replicates: their mean, or the best.
    select
        Values of further swept parameters to fix.

    Raises
    ------
    DataError
        If the variable or a parameter is not part of the sweep, or a parameter is not a number.
    """
    columns = parameters(sweep)
    for name in (x, y):
        if name in columns and columns[name].dtype.kind not in "iuf":
            raise DataError(f"{name!r} holds text, not numbers; choose another parameter as an axis")
    if is_scattered(sweep):
        level = shown_level(sweep, variable, 0.7)
        return scattered_map(sweep, x, y, variable=variable, threshold=level, select=select)
    grid = make_grid(sweep, over=(y, x))
    values = np.asarray(condition(sweep, variable).values, dtype=np.float64)
    status = sweep["status"].values if "status" in sweep else None
    table = by_replicate(np.where(failed(values, status), np.nan, values), grid.cell, grid.n_cells)
    known = np.isfinite(table)
    if reduce == "mean":
        with np.errstate(invalid="ignore"):
            cells = np.where(known, table, 0.0).sum(axis=1) / known.sum(axis=1)
    else:
        cells = np.where(known.any(axis=1), np.where(known, table, -np.inf).max(axis=1), np.nan)
    coordinates = {name: (name, axis, axis_attrs(name, sweep)) for name, axis in grid.axes.items()}
    result = xr.Dataset({variable: (grid.dims, cells.reshape(grid.shape))}, coords=coordinates)
    result, note = fix_others(result, keep=(x, y), select=select)
    return _drawn(result[variable].transpose(y, x), sweep[variable], reduce, note)


def _drawn(table: xr.DataArray, measure: xr.DataArray, reduce: Reduction, note: str) -> Figure:
    y, x = (str(dim) for dim in table.dims)
    figure = new_figure(5.6, 4.2)
    axes = figure.subplots()
    axes.set_facecolor(NO_DATA)
    borders = [_axis(axes, which, table[name].values) for which, name in (("x", x), ("y", y))]
    low, high = _range(table.values, bounded="correlation" in str(measure.name))
    mesh = axes.pcolormesh(
        *borders, np.ma.masked_invalid(table.values), cmap=SEQUENTIAL, vmin=low, vmax=high, rasterized=True
    )
    axes.set_xlim(borders[0][0], borders[0][-1])
    axes.set_ylim(borders[1][0], borders[1][-1])
    axes.set_xlabel(label(table[x]))
    axes.set_ylabel(label(table[y]))
    figure.colorbar(mesh, ax=axes, pad=0.02, label=_wrapped(label(measure)))
    axes.set_title(", ".join(part for part in (WORDS[reduce], note) if part))
    if not np.isfinite(table.values).any():
        remark(axes, NO_VALUE)
    return figure


def _axis(axes: Axes, which: str, values: np.ndarray) -> np.ndarray:
    """Make an axis logarithmic if its values are spaced so; returns the edges of the cells."""
    values = values.astype(np.float64)
    log = bool(len(values) > 2 and values[0] > 0 and _uneven(np.log(values)) < _uneven(values))
    if log:
        log_axis(axes, which, values)
    elif len(values) <= 8:
        (axes.set_xticks if which == "x" else axes.set_yticks)(values)
    else:
        few_ticks(axes, which, 6)
    return edges(values, log=log)


def _uneven(values: np.ndarray) -> float:
    steps = np.diff(values)
    return float(steps.std() / abs(steps.mean()))


def _range(values: np.ndarray, *, bounded: bool) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if bounded:
        return min(0.0, float(known.min(initial=0.0))), 1.0
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return low, high if high > low else low + 1.0


def _wrapped(words: str, width: int = 44) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(words, width))
