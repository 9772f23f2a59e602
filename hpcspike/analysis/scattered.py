"""Points anywhere between the ends of their axes: surfaces through them, and the grids that other analyses take.

An adaptive sweep, or one of a random design, has hardly two points with the same tau_s. A smooth surface through them
(`hpcspike.surface.Surface`) says what is expected between them, and how certain that is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import DIVERGED, axis_attrs, condition, parameters
from hpcspike.errors import DataError
from hpcspike.measures.status import classify
from hpcspike.spec.axes import is_logarithmic
from hpcspike.spec.experiment import Measures
from hpcspike.spec.sweep import Sweep
from hpcspike.surface import LEAST_POINTS, Surface
from hpcspike.sweep.grid import coordinate_names
from hpcspike.variables import POINT_RESULTS, STATUS, SURFACE_SCALES

MOST_AXES = 4
"""Most parameters that a surface is drawn over."""

GRID_VALUES = 25
"""Values of every axis of the grid that stands for scattered points; an axis of fewer values has its own."""

MOST_PLACES = 20_000
"""Most places of that grid; where several axes would make more, each has fewer values."""

_MOST_AT_ONCE = 4096
"""Places at which a surface is computed in one go; memory grows with this times its points."""

_SILENT = STATUS.index("silent")


@dataclass(frozen=True)
class Axis:
    """A parameter that varies: its name, its values (ascending), and whether distances along it are logarithmic."""

    name: str
    values: np.ndarray
    logarithmic: bool

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Values between 0 (the first) and 1 (the last)."""
        scaled, ends = (np.log(part) if self.logarithmic else part for part in (values, self.values[[0, -1]]))
        return (scaled - ends[0]) / (ends[1] - ends[0])

    def at(self, unit: np.ndarray) -> np.ndarray:
        """The values at places between 0 and 1."""
        first, last = float(self.values[0]), float(self.values[-1])
        return first * (last / first) ** unit if self.logarithmic else first + (last - first) * unit

    @property
    def span(self) -> float:
        """Its length: decades, or 1 if it is not logarithmic."""
        return float(np.log10(self.values[-1] / self.values[0])) if self.logarithmic else 1.0

    def few(self, count: int = GRID_VALUES) -> np.ndarray:
        """At most so many of its values, the ends among them."""
        return self.values[np.unique(np.linspace(0, len(self.values) - 1, count).round().astype(int))]


def is_scattered(sweep: xr.Dataset) -> bool:
    """Whether the points of a sweep lie anywhere, by what was planned; False if its attributes do not say."""
    plan = plan_of(sweep)
    return plan is not None and plan.is_scattered


def axes_of(sweep: xr.Dataset) -> list[Axis]:
    """The numeric parameters that vary.

    Raises
    ------
    DataError
        If none does, or one is not a number, or there are more than a surface can be drawn over.
    """
    plan = plan_of(sweep)
    if plan is not None and plan.is_scattered:
        names = coordinate_names(list(plan.axes))
        columns = {names[key]: np.array(values) for key, values in plan.columns().items() if key in names}
        flags = {names[key]: logarithmic for key, logarithmic in plan.logarithmic.items()}
        own = parameters(sweep)
        columns = {name: column for name, column in columns.items() if name in flags or len(np.unique(own[name])) > 1}
    else:
        columns = {name: np.unique(column) for name, column in parameters(sweep).items()}
        columns = {name: column for name, column in columns.items() if len(column) > 1}
        flags = {name: is_logarithmic(c.tolist()) for name, c in columns.items() if c.dtype.kind in "iuf"}
    text = [name for name in columns if name not in flags]
    if text:
        raise DataError(f"{text[0]!r} holds text, not numbers; select one of its values first")
    if not 1 <= len(columns) <= MOST_AXES:
        raise DataError(
            f"{len(columns)} parameters vary ({', '.join(columns) or 'none'}); a surface is drawn over 1 to {MOST_AXES}"
        )
    return [Axis(name, np.sort(column.astype(np.float64)), flags[name]) for name, column in columns.items()]


def parts_of(sweep: xr.Dataset) -> dict[str, xr.Dataset]:
    """The points with each value of the first parameter that varies and is no number; nothing if there is none."""
    for column in parameters(sweep).values():
        values = np.unique(column)
        if column.dtype.kind not in "iuf" and len(values) > 1:
            return {str(value): sweep.isel(point=np.flatnonzero(column == value)) for value in values}
    return {}


def places_of(sweep: xr.Dataset, axes: list[Axis]) -> np.ndarray:
    """(points, axes) where the points of a sweep lie in the unit cube."""
    return np.stack([axis.unit(sweep[axis.name].values.astype(np.float64)) for axis in axes], axis=1)


def surface_of(sweep: xr.Dataset, measure: str, axes: list[Axis] | None = None) -> Surface:
    """The surface of a result over all parameters that vary.

    A diverged network has no value, but the correlation 0.

    Parameters
    ----------
    sweep
        Dataset along ``point``; points that are not done are left out.
    measure
        Name of a result along ``point``.
    axes
        From `axes_of`, if they are known.
    """
    places = places_of(sweep, axes_of(sweep) if axes is None else axes)
    return Surface(places, _values(sweep, measure), scale=SURFACE_SCALES.get(measure, ""))


def allows_surface(sweep: xr.Dataset, measure: str) -> bool:
    """Whether enough points have a value for a surface, or none is computed yet."""
    computed = "status" not in sweep or (sweep["status"].values >= 0).any()
    return not computed or _is_enough(_values(sweep, measure))


def _is_enough(values: np.ndarray) -> bool:
    return int(np.isfinite(values).sum()) >= LEAST_POINTS


def _values(sweep: xr.Dataset, measure: str) -> np.ndarray:
    """(points,) values that a surface goes through, NaN where there is none."""
    values = np.asarray(condition(sweep, measure).values, dtype=np.float64)
    if "status" in sweep:
        gone = sweep["status"].values == DIVERGED
        values = np.where(gone, 0.0 if measure == "correlation" else np.nan, values)
    if "done" in sweep:
        values = np.where(sweep["done"].values == 1, values, np.nan)
    return values


def on_grid(sweep: xr.Dataset, measures: Sequence[str] | None = None, *, always: bool = False) -> xr.Dataset:
    """The sweep itself if its points lie on a grid; otherwise one of a grid, with the values expected there.

    ``always`` takes a grid's points as scattered ones, too.

    Every result, or the measures that are named, becomes its surface at the grid's places, NaN if fewer than four
    points have a value; one surface for each value of parameters of text. The status is that of the expected
    correlation and spectral index, by the thresholds of the experiment, where these are among them, with that of
    responses that a teacher has started a failure of recall, too; diverged and silent where the nearest network is. The
    attribute ``estimated`` says from how many networks.
    """
    if "estimated" in sweep.attrs or not (always or is_scattered(sweep)):
        return sweep
    parts = [on_grid(part, measures, always=always) for part in parts_of(sweep).values()]
    if parts:
        return xr.concat(parts, "point", combine_attrs="override").assign_attrs(estimated=_words(sweep))
    axes = axes_of(sweep)
    columns = _mesh(_few(axes))
    places = np.stack([axis.unit(columns[axis.name]) for axis in axes], axis=1)
    results: dict[str, tuple] = {}
    for name in [str(name) for name in sweep.data_vars if sweep[name].dims == ("point",)]:
        wanted = measures is None or name in measures
        if wanted and name in POINT_RESULTS and POINT_RESULTS[name].dtype == "float64":
            results[name] = ("point", _expected(sweep, name, axes, places), sweep[name].attrs)
    size = len(places)
    if "status" in sweep:
        status = _status(sweep, results, places_of(sweep, axes), places)
        results["status"] = ("point", status, sweep["status"].attrs)
    fixed = {name: values for name, values in parameters(sweep).items() if name not in columns}
    coordinates = {name: ("point", np.full(size, values[0]), sweep[name].attrs) for name, values in fixed.items()}
    coordinates |= {
        name: ("point", column.astype(sweep[name].dtype), axis_attrs(name, sweep)) for name, column in columns.items()
    }
    return xr.Dataset(results, coordinates, {**sweep.attrs, "estimated": _words(sweep)})


def _words(sweep: xr.Dataset) -> str:
    return f"surface through {sweep.sizes['point']} networks"


def _few(axes: Sequence[Axis]) -> dict[str, np.ndarray]:
    """Values of every axis of the grid that stands for scattered points."""
    count = GRID_VALUES
    while math.prod(min(count, len(axis.values)) for axis in axes) > MOST_PLACES:
        count -= 1
    return {axis.name: axis.few(count) for axis in axes}


def _expected(sweep: xr.Dataset, measure: str, axes: list[Axis], places: np.ndarray) -> np.ndarray:
    """(places,) values of the surface of a result; NaN if too few points have a value."""
    if not _is_enough(_values(sweep, measure)):
        return np.full(len(places), np.nan)
    surface = surface_of(sweep, measure, axes)
    blocks = np.array_split(places, math.ceil(len(places) / _MOST_AT_ONCE))
    return np.concatenate([surface.expected(block) for block in blocks])


def _mesh(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    mesh = np.meshgrid(*values.values(), indexing="ij")
    return {name: column.ravel() for name, column in zip(values, mesh, strict=True)}


def _status(sweep: xr.Dataset, results: Mapping[str, tuple], there: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(places,) status at places, see `on_grid`; there: (points, axes) where the networks are."""
    from scipy.spatial import cKDTree

    own = sweep["status"].values
    nearest = own[cKDTree(there).query(places)[1]]
    if not all(name in results and np.isfinite(results[name][1]).all() for name in ("correlation", "spectral_index")):
        return np.asarray(nearest)
    measures = _measures(sweep)
    taught = results["correlation_taught"][1] if "correlation_taught" in results else np.full(len(places), np.nan)
    found = nearest.copy()
    for place in np.flatnonzero(~np.isin(nearest, (DIVERGED, _SILENT))):
        found[place] = classify(
            correlation=float(results["correlation"][1][place]),
            population_rate_hz=np.inf,
            spectral_index=float(results["spectral_index"][1][place]),
            diverged=False,
            measures=measures,
            taught=float(taught[place]),
        )
    return np.asarray(found)


def _measures(sweep: xr.Dataset) -> Measures:
    plan = plan_of(sweep)
    return Measures() if plan is None else plan.point(plan.parameters_at(0)).measures


def plan_of(sweep: xr.Dataset) -> Sweep | None:
    """What was asked for when a sweep was planned; None if its attributes do not say so."""
    try:
        return Sweep.model_validate(json.loads(sweep.attrs["sweep"]))
    except (KeyError, ValueError):  # made by hand
        return None
