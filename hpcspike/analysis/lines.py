"""Where a result of a sweep has a level, and where it is largest, along one parameter: with intervals.

Both are read off the smooth surface through all networks (`hpcspike.analysis.scattered`), whether these lie on a grid
or anywhere, so that lines of both kinds of sweep can be compared.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import axis_attrs
from hpcspike.analysis.scattered import Axis, axes_of, surface_of
from hpcspike.errors import DataError
from hpcspike.surface import Surface
from hpcspike.takes_results import takes_results

FINE = 241
"""Places along the parameter at which the surface is looked at."""

MOST_LINES = 2
"""Crossings that are kept of every line along the parameter: an inverted U has two."""

INTERVAL = 1.6448536
"""Standard errors on each side of an interval of 90 %."""

_DRAWS = 400


@takes_results
def level_line(
    sweep: xr.Dataset, *, level: float = 0.7, measure: str = "correlation", along: str = "tau_syn_ms"
) -> xr.Dataset:
    """Where a result crosses a level along one parameter, for values of the others.

    Parameters
    ----------
    sweep
        Dataset along ``point``, on a grid or scattered, in which one to four numeric parameters vary.
    level
        Value of the result.
    measure
        Name of a result along ``point``.
    along
        Parameter along which crossings are looked for.

    Returns
    -------
    Dataset
        Over (crossing, other parameters): ``position`` of the line (in the parameter's unit, NaN where there is none),
        ``position_low`` and ``position_high``, the ends of its 90 % interval: the surface's standard error over its
        slope; and ``rising``, 1 where the result grows through the level, else 0. Crossings are counted from small
        values; of more than two the first two are kept.

    Raises
    ------
    DataError
        If the parameter does not vary, or too few networks have a value.
    """
    axis, others, surface, columns = _prepared(sweep, measure, along)
    position = np.full((MOST_LINES, columns.shape[0]), np.nan)
    half, rising = np.full_like(position, np.nan), np.full_like(position, np.nan)
    unit, at = np.linspace(0.0, 1.0, FINE), float(surface.scaled(np.array(level)))
    for row, place in enumerate(columns):
        mean, sd = surface.mean_and_sd(_line(place, axis[0], unit))
        signs = mean >= at
        for number, k in enumerate(np.flatnonzero(signs[1:] != signs[:-1])[:MOST_LINES]):
            share = (at - mean[k]) / (mean[k + 1] - mean[k])
            position[number, row] = unit[k] + share * (unit[k + 1] - unit[k])
            slope = abs(mean[k + 1] - mean[k]) / (unit[k + 1] - unit[k])
            half[number, row] = INTERVAL * (sd[k] + share * (sd[k + 1] - sd[k])) / slope
            rising[number, row] = float(mean[k + 1] > mean[k])
    return _table(
        sweep,
        axis[1],
        others,
        {"position": position, "position_low": position - half, "position_high": position + half},
        {"rising": rising},
        {"level": level, "measure": measure, "along": along},
    )


@takes_results
def optimum(sweep: xr.Dataset, *, measure: str = "correlation", along: str = "tau_syn_ms") -> xr.Dataset:
    """Where along one parameter a result is largest, for values of the others: the best setting with its interval.

    Parameters
    ----------
    sweep
        Dataset along ``point``, on a grid or scattered, in which one to four numeric parameters vary.
    measure
        Name of a result along ``point``; larger is better.
    along
        Parameter whose best value is looked for.

    Returns
    -------
    Dataset
        Over the other parameters: ``position`` of the maximum of the expected values, ``position_low`` and
        ``position_high``: 5 and 95 % quantiles of the maxima of 400 surfaces that the networks allow; ``value`` there
        and its standard error ``value_error``.

    Raises
    ------
    DataError
        If the parameter does not vary, or too few networks have a value.
    """
    axis, others, surface, columns = _prepared(sweep, measure, along)
    unit = np.linspace(0.0, 1.0, FINE)
    rows = np.empty((5, len(columns)))
    for row, place in enumerate(columns):
        line = _line(place, axis[0], unit)
        mean, sd = surface.mean_and_sd(line)
        best = int(mean.argmax())
        tops = unit[surface.draws(line, _DRAWS, seed=row).argmax(axis=1)]
        ends = np.quantile(tops, [0.05, 0.95])
        rows[:, row] = unit[best], *ends, surface.unscaled(mean[best]), sd[best] * surface.per_scaled(mean[best])
    places = dict(zip(("position", "position_low", "position_high"), rows[:3], strict=True))
    values = {"value": rows[3], "value_error": rows[4]}
    return _table(sweep, axis[1], others, places, values, {"measure": measure, "along": along})


def _prepared(
    sweep: xr.Dataset, measure: str, along: str
) -> tuple[tuple[int, Axis], dict[str, np.ndarray], Surface, np.ndarray]:
    """The parameter with its place among the axes, values of the others, the surface, and (lines, axes) places."""
    axes = axes_of(sweep)
    names = [axis.name for axis in axes]
    if along not in names:
        raise DataError(f"along = {along!r}: must be a parameter that varies, one of {', '.join(names)}")
    place = names.index(along)
    others = {axis.name: axis.few() for axis in axes if axis.name != along}
    mesh = np.meshgrid(*others.values(), indexing="ij")
    columns = np.zeros((int(np.prod([len(values) for values in others.values()])), len(axes)))
    for name, grid in zip(others, mesh, strict=True):
        columns[:, names.index(name)] = axes[names.index(name)].unit(grid.ravel())
    return (place, axes[place]), others, surface_of(sweep, measure, axes), columns


def _line(place: np.ndarray, axis: int, unit: np.ndarray) -> np.ndarray:
    places = np.repeat(place[None], len(unit), axis=0)
    places[:, axis] = unit
    return places


def _table(
    sweep: xr.Dataset,
    axis: Axis,
    others: dict[str, np.ndarray],
    places: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
    attrs: dict[str, object],
) -> xr.Dataset:
    """Places in the parameter's unit and values, over the other parameters and, where there are several, crossings."""
    shape = tuple(len(column) for column in others.values())
    words = {
        "position": f"{axis.name} of the line or maximum",
        "position_low": "lower end of its 90 % interval",
        "position_high": "upper end of its 90 % interval",
    }
    units = axis_attrs(axis.name, sweep).get("units", "1")
    variables = {}
    for name, column in {**{name: axis.at(place) for name, place in places.items()}, **values}.items():
        dims = (("crossing",) if column.ndim == 2 else ()) + tuple(others)
        described = {"units": units, "long_name": words[name]} if name in words else {"units": "1"}
        variables[name] = (dims, column.reshape(*column.shape[:-1], *shape), described)
    coordinates = {name: (name, column, axis_attrs(name, sweep)) for name, column in others.items()}
    return xr.Dataset(variables, coordinates, {**attrs, "networks": sweep.sizes["point"]})
