"""Points anywhere between the ends of their axes: surfaces through them, and the grids that other analyses take.

An adaptive sweep, or one of a random design, has hardly two points with the same tau_s. A smooth surface through them
(`hpcspike.surface.Surface`) says what is expected between them, and how certain that is.
"""

from __future__ import annotations

import json
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
from hpcspike.surface import Surface
from hpcspike.sweep.grid import coordinate_names
from hpcspike.variables import POINT_RESULTS, STATUS, SURFACE_SCALES

MOST_AXES = 4
"""Most parameters that a surface is drawn over."""

GRID_VALUES = 25
"""Values of every axis of the grid that stands for scattered points; an axis of fewer values has its own."""

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
        flags = {names[key]: plan.logarithmic[key] for key in plan.axes if columns[names[key]].dtype.kind in "iuf"}
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
    values = np.asarray(condition(sweep, measure).values, dtype=np.float64)
    if "status" in sweep:
        gone = sweep["status"].values == DIVERGED
        values = np.where(gone, 0.0 if measure == "correlation" else np.nan, values)
    if "done" in sweep:
        values = np.where(sweep["done"].values == 1, values, np.nan)
    places = places_of(sweep, axes_of(sweep) if axes is None else axes)
    return Surface(places, values, scale=SURFACE_SCALES.get(measure, ""))


def on_grid(sweep: xr.Dataset, measures: Sequence[str] | None = None, *, always: bool = False) -> xr.Dataset:
    """The sweep itself if its points lie on a grid; otherwise one of a grid, with the values expected there.

    ``always`` takes a grid's points as scattered ones, too.

    Every result that has a value at four points or more, or of these the measures that are named, becomes its surface
    at the grid's places. The status is that of the expected correlation and spectral index, by the thresholds of the
    experiment, where these are among them, with that of responses that a teacher has started a failure of recall, too;
    diverged and silent where the nearest network is. The attribute ``estimated`` says from how many networks.
    """
    if "estimated" in sweep.attrs or not (always or is_scattered(sweep)):
        return sweep
    axes = axes_of(sweep)
    columns = _mesh({axis.name: axis.few() for axis in axes})
    places = np.stack([axis.unit(columns[axis.name]) for axis in axes], axis=1)
    results: dict[str, tuple] = {}
    for name in [str(name) for name in sweep.data_vars if sweep[name].dims == ("point",)]:
        wanted = measures is None or name in measures
        if wanted and name in POINT_RESULTS and POINT_RESULTS[name].dtype == "float64":
            if np.isfinite(sweep[name].values).sum() >= 4:
                results[name] = ("point", surface_of(sweep, name, axes).expected(places), sweep[name].attrs)
    size = len(places)
    if "status" in sweep:
        status = _status(sweep, results, places_of(sweep, axes), places)
        results["status"] = ("point", status, sweep["status"].attrs)
    fixed = {name: values for name, values in parameters(sweep).items() if name not in columns}
    coordinates = {name: ("point", np.full(size, values[0]), sweep[name].attrs) for name, values in fixed.items()}
    coordinates |= {
        name: ("point", column.astype(sweep[name].dtype), axis_attrs(name, sweep)) for name, column in columns.items()
    }
    attributes = {**sweep.attrs, "estimated": f"surface through {sweep.sizes['point']} networks"}
    return xr.Dataset(results, coordinates, attributes)


def _mesh(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    mesh = np.meshgrid(*values.values(), indexing="ij")
    return {name: column.ravel() for name, column in zip(values, mesh, strict=True)}


def _status(sweep: xr.Dataset, results: Mapping[str, tuple], there: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(places,) status at places, see `on_grid`; there: (points, axes) where the networks are."""
    from scipy.spatial import cKDTree

    own = sweep["status"].values
    nearest = own[cKDTree(there).query(places)[1]]
    if "correlation" not in results or "spectral_index" not in results:
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
