"""Where a result of a sweep has a level, and where it is largest, along one parameter: with intervals.

Both are read off the smooth surface through all networks (`hpcspike.analysis.scattered`), whether these lie on a grid
or anywhere, so that lines of both kinds of sweep can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import axis_attrs, of_measure
from hpcspike.analysis.scattered import GRID_VALUES, Axis, axes_of, surface_of
from hpcspike.errors import DataError
from hpcspike.maxima import maximum
from hpcspike.surface import INTERVAL, Surface
from hpcspike.takes_results import takes_results

FINE = 241
"""Places along the parameter at which the surface is looked at."""

MOST_LINES = 2
"""Crossings that are kept of every line along the parameter: an inverted U has two."""

MOST_PLACES = 625
"""About the most combinations of values of the other parameters, where there are several."""

_DRAWS = 400
_ENDS = {"_low": "lower end of the 90 % interval of the ", "_high": "upper end of the 90 % interval of the "}
_WORDS = {
    "rising": "whether the result grows through the level",
    "value": "value that is expected at the maximum",
    "value_error": "standard error of that value",
    "at_edge": "whether the maximum lies at an end of a range",
}


@takes_results
def level_line(
    sweep: xr.Dataset,
    *,
    level: float = 0.7,
    measure: str = "correlation",
    along: str = "tau_syn_ms",
    at: Mapping[str, float] | None = None,
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
        Parameter along which crossings are looked for; ``duration_ms`` gives T_max.
    at
        Values of other parameters, as of `optimum`.

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
    lines = _prepared(sweep, measure, [along], at)
    (axis,), (number_of_axis,), surface = lines.axes, lines.places, lines.surface
    position = np.full((MOST_LINES, len(lines.columns)), np.nan)
    half, rising = np.full_like(position, np.nan), np.full_like(position, np.nan)
    unit, crossed = np.linspace(0.0, 1.0, FINE), float(surface.scaled(np.array(level)))
    for row, place in enumerate(lines.columns):
        mean, sd = surface.mean_and_sd(_line(place, number_of_axis, unit))
        signs = mean >= crossed
        for number, k in enumerate(np.flatnonzero(signs[1:] != signs[:-1])[:MOST_LINES]):
            share = (crossed - mean[k]) / (mean[k + 1] - mean[k])
            position[number, row] = unit[k] + share * (unit[k + 1] - unit[k])
            slope = abs(mean[k + 1] - mean[k]) / (unit[k + 1] - unit[k])
            half[number, row] = INTERVAL * (sd[k] + share * (sd[k + 1] - sd[k])) / slope
            rising[number, row] = float(mean[k + 1] > mean[k])
    ends = {"position": position, "position_low": position - half, "position_high": position + half}
    return _table(
        sweep,
        lines,
        {name: (axis, column) for name, column in ends.items()},
        {"rising": rising},
        {"level": level, "measure": measure, "along": along},
    )


@takes_results
def optimum(
    sweep: xr.Dataset,
    *,
    measure: str = "correlation",
    along: str | Sequence[str] = "tau_syn_ms",
    at: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Where a result is largest along one parameter or several, for values of the others: the best setting.

    Parameters
    ----------
    sweep
        Dataset along ``point``, on a grid or scattered, in which one to four numeric parameters vary.
    measure
        Name of a result along ``point``; larger is better.
    along
        Parameter, or parameters, whose best values are looked for: everywhere in their ranges at once.
    at
        Values of other parameters, such as ``{"tau_corr_ms": 80.0}``; of those left out, some of the swept ones.

    Returns
    -------
    Dataset
        Over the other parameters: ``position`` of the maximum of the expected values, ``position_low`` and
        ``position_high``: 5 and 95 % quantiles of the maxima of 400 surfaces that the networks allow; ``value`` there
        and its standard error ``value_error``. Along several parameters, each has its own: ``position_tau_syn_ms``.
        ``at_edge``: 1 where the maximum lies at an end of a range, beyond which it may be larger.

    Raises
    ------
    DataError
        If a parameter does not vary, a value is outside of its range, or too few networks have a value.
    """
    names = [along] if isinstance(along, str) else list(along)
    lines = _prepared(sweep, measure, names, at)
    found = [
        maximum(lines.surface, place, lines.places, n_draws=_DRAWS, seed=row) for row, place in enumerate(lines.columns)
    ]
    positions: dict[str, tuple[Axis, np.ndarray]] = {}
    for k, axis in enumerate(lines.axes):
        ends = np.quantile([one.tops[:, k] for one in found], [0.05, 0.95], axis=1)
        ending = "" if isinstance(along, str) else f"_{axis.name}"
        parts = zip(("", "_low", "_high"), (np.array([one.best[k] for one in found]), *ends), strict=True)
        positions |= {f"position{end}{ending}": (axis, column) for end, column in parts}
    scaled = np.array([one.value for one in found])
    values = {
        "value": lines.surface.unscaled(scaled),
        "value_error": np.array([one.error for one in found]) * lines.surface.per_scaled(scaled),
        "at_edge": np.array([float(bool(((one.best <= 0.0) | (one.best >= 1.0)).any())) for one in found]),
    }
    return _table(sweep, lines, positions, values, {"measure": measure, "along": " ".join(names)})


@dataclass(frozen=True)
class _Lines:
    """The axes that something is looked for along, their places among all, and where the lines along them lie.

    others: values of the other parameters, by name; fixed: of those that have one value only; columns: (lines, axes).
    """

    axes: list[Axis]
    places: list[int]
    others: dict[str, np.ndarray]
    fixed: dict[str, float]
    surface: Surface
    columns: np.ndarray


def _prepared(sweep: xr.Dataset, measure: str, along: Sequence[str], at: Mapping[str, float] | None) -> _Lines:
    axes = axes_of(sweep)
    names = [axis.name for axis in axes]
    for name in along:
        if name not in names or list(along).count(name) > 1:
            raise DataError(f"along = {name!r}: must be a parameter that varies, one of {', '.join(names)}, named once")
    if not along:
        raise DataError(f"along names no parameter; give at least one of {', '.join(names)}")
    rest = [axis for axis in axes if axis.name not in along]
    fixed = _fixed(at or {}, rest)
    free = [axis for axis in rest if axis.name not in fixed]
    count = min(GRID_VALUES, round(MOST_PLACES ** (1.0 / max(len(free), 1))))
    others = {axis.name: axis.few(count) for axis in free}
    mesh = np.meshgrid(*others.values(), indexing="ij")
    columns = np.zeros((math.prod(map(len, others.values())), len(axes)))
    for name, grid in zip(others, mesh, strict=True):
        columns[:, names.index(name)] = axes[names.index(name)].unit(grid.ravel())
    for name, value in fixed.items():
        columns[:, names.index(name)] = axes[names.index(name)].unit(np.array(value))
    places = [names.index(name) for name in along]
    return _Lines([axes[k] for k in places], places, others, fixed, surface_of(sweep, measure, axes), columns)


def _fixed(at: Mapping[str, float], axes: Sequence[Axis]) -> dict[str, float]:
    """The values that are given of some axes, which must be among these, within their ranges."""
    known = {axis.name: axis for axis in axes}
    for name, value in at.items():
        if name not in known:
            raise DataError(f"at: {name!r} is no other parameter that varies; these are {', '.join(known) or 'none'}")
        first, last = known[name].values[[0, -1]]
        if not first <= value <= last:
            raise DataError(f"at: {name} = {value:g}: must lie in the range that was swept, {first:g} to {last:g}")
    return {name: float(value) for name, value in at.items()}


def _line(place: np.ndarray, axis: int, unit: np.ndarray) -> np.ndarray:
    places = np.repeat(place[None], len(unit), axis=0)
    places[:, axis] = unit
    return places


def _table(
    sweep: xr.Dataset,
    lines: _Lines,
    positions: dict[str, tuple[Axis, np.ndarray]],
    values: dict[str, np.ndarray],
    attrs: dict[str, object],
) -> xr.Dataset:
    """Places in the parameters' units and values, over the other parameters and, where there are several, crossings."""
    shape = tuple(len(column) for column in lines.others.values())
    variables = {}

    def add(name: str, column: np.ndarray, described: dict[str, Any]) -> None:
        dims = (("crossing",) if column.ndim == 2 else ()) + tuple(lines.others)
        variables[name] = (dims, column.reshape((*column.shape[:-1], *shape)), described)

    for name, (axis, place) in positions.items():
        units = axis_attrs(axis.name, sweep).get("units", "1")
        kind = next((words for end, words in _ENDS.items() if f"position{end}" in name), "")
        add(name, axis.at(place), {"units": units, "long_name": f"{kind}{axis.name} of the line or maximum"})
    unit = of_measure(sweep, str(attrs["measure"]))["performance"]["units"]
    for name, column in values.items():
        add(name, column, {"units": unit if name.startswith("value") else "1", "long_name": _WORDS[name]})
    coordinates: dict[str, Any] = {
        name: (name, column, axis_attrs(name, sweep)) for name, column in lines.others.items()
    }
    coordinates |= {name: ((), value, axis_attrs(name, sweep)) for name, value in lines.fixed.items()}
    network = "median network, by the surface through all networks"
    return xr.Dataset(variables, coordinates, {**attrs, "over": network, "networks": sweep.sizes["point"]})
