"""Two sweeps, or two trained networks, side by side: which numbers differ, and by how much."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.spec.documents import flattened
from hpcspike.takes_results import refuse_other_results
from hpcspike.variables import COMPARISON, POINT_PROVENANCE, POINT_RESULTS, TESTED_RESULTS, TRAINED

_NOT_PARAMETERS = ("point", "experiment_hash", "grid_index", "generation", "batch", "predicted_seconds")
_CLOCKS = ("curve_seconds",)
"""Measured times, which never repeat."""


def compare(a: xr.Dataset, b: xr.Dataset) -> xr.Dataset:
    """Compare the results of two sweeps, or of two trained networks, value by value.

    Points of sweeps are matched by their parameters; the seed is one of them only where a sweep has points that differ
    in nothing else, so that sweeps of different seeds can be compared. Two NaN are equal. What processes measured of
    themselves (times, memory, ranks) is left out.

    Parameters
    ----------
    a, b
        Datasets of two sweeps (`hpcspike.open_sweep`), or of two networks (`hpcspike.open_network`).

    Returns
    -------
    Dataset
        Along ``variable``: ``n_compared``, ``n_different``, ``largest_difference`` (b - a), ``rms_difference``. Of
        sweeps along ``point``, the points of both: their parameters, ``point_a`` and ``point_b``, ``point_differences``
        (how many variables differ) and ``difference`` (variable, point), of a learning curve that of the loop where it
        is largest. ``score_a`` and ``score_b``: correlation of every point, or of every neuron. Attributes:
        ``only_in_a`` and ``only_in_b`` (points, or variables of networks), and ``fields`` (JSON: fields of the
        experiments that differ).

    Raises
    ------
    DataError
        If they are of two kinds, or points cannot be told apart by the parameters that both have.
    """
    refuse_other_results("a", a)
    refuse_other_results("b", b)
    kinds = {"sweep" if "point" in data.dims else "network" for data in (a, b) if isinstance(data, xr.Dataset)}
    for name, data in (("a", a), ("b", b)):
        if isinstance(data, xr.Dataset) and not {"point", "neuron"} & set(data.dims):
            raise DataError(f"{name} has neither points nor neurons: must be a sweep, or a trained network")
    if len(kinds) != 1 or isinstance(a, xr.DataTree) or isinstance(b, xr.DataTree):
        raise DataError(f"the first is {_kind(a)} and the second {_kind(b)}: give two sweeps, or two trained networks")
    result = _sweeps(a, b) if kinds == {"sweep"} else _networks(a, b)
    return result.assign_attrs(kind=kinds.pop(), fields=json.dumps(_changed_fields(a, b)))


def _kind(results: xr.Dataset | xr.DataTree) -> str:
    if isinstance(results, xr.DataTree):
        return "a study"
    return "a sweep" if "point" in results.dims else "a trained network"


def are_equal(comparison: xr.Dataset) -> bool:
    """Whether two results have the same points and variables with the same values."""
    alone = int(comparison.attrs["only_in_a"]) + int(comparison.attrs["only_in_b"])
    return not alone and not int(comparison["n_different"].sum())


# ---- sweeps ----------------------------------------------------------------------------------------------------------


def _sweeps(a: xr.Dataset, b: xr.Dataset) -> xr.Dataset:
    rows_a, rows_b, keys = _matched(a, b)
    names = [name for name in (*POINT_RESULTS, *TESTED_RESULTS) if name in a and name in b]
    left, right = a.isel(point=rows_a), b.isel(point=rows_b)
    differences = np.stack([_by_point(left[name].values, right[name].values) for name in names])
    apart = differences != 0.0  # a NaN on one side only is apart, too
    numbers = {"point_a": _numbers(a)[rows_a], "point_b": _numbers(b)[rows_b]}
    result = _by_variable(names, differences, np.full(len(names), len(rows_a)))
    result = result.assign(
        difference=_described("difference", differences),
        point_differences=_described("point_differences", apart.sum(axis=0)),
        score_a=("point", left["correlation"].values, COMPARISON["score_a"].attrs),
        score_b=("point", right["correlation"].values, COMPARISON["score_b"].attrs),
    )
    parameters = {name: ("point", left[name].values, left[name].attrs) for name in keys}
    named = {name: _described(name, values) for name, values in numbers.items()}
    alone = {"only_in_a": a.sizes["point"] - len(rows_a), "only_in_b": b.sizes["point"] - len(rows_b)}
    return result.assign_coords(parameters | named).assign_attrs(alone)


def _matched(a: xr.Dataset, b: xr.Dataset) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Positions of the points of both in each, in the order of ``a``, and the parameters that tell them apart."""
    import pandas as pd

    common = [
        str(name) for name, item in a.coords.items()
        if item.dims == ("point",) and name in b.coords and name not in _NOT_PARAMETERS and name not in POINT_PROVENANCE
    ]  # fmt: skip
    for keys in ([name for name in common if name != "seed"], common):
        if not keys:
            continue
        tables = [pd.MultiIndex.from_arrays([data[name].values for name in keys]) for data in (a, b)]
        if tables[0].is_unique and tables[1].is_unique:
            there = tables[1].get_indexer(tables[0])
            rows = np.flatnonzero(there >= 0)
            return rows, there[rows], keys
    extra = sorted(
        str(name) for data, other in ((a, b), (b, a)) for name, item in data.coords.items()
        if item.dims == ("point",) and name not in other.coords
    )  # fmt: skip
    raise DataError(
        f"points cannot be told apart by what both sweeps vary ({', '.join(common) or 'nothing'}); select one value of "
        f"what only one varies ({', '.join(extra) or 'nothing'})"
    )


def _numbers(sweep: xr.Dataset) -> np.ndarray:
    return sweep["point"].values if "point" in sweep.coords else np.arange(sweep.sizes["point"])


def _by_point(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(points,) b - a, of a curve at the loop where it is largest; NaN where one side alone has no value."""
    if a.ndim == 1:
        return _minus(b, a)
    length = max(a.shape[1], b.shape[1])  # the longer training has loops that the other lacks
    padded = [
        np.pad(part.astype(float), ((0, 0), (0, length - part.shape[1])), constant_values=np.nan) for part in (a, b)
    ]
    curves = _minus(padded[1], padded[0])
    if not curves.size:
        return np.zeros(len(curves))
    largest = np.argmax(np.where(np.isnan(curves), np.inf, np.abs(curves)), axis=1)
    return curves[np.arange(len(curves)), largest]


def _minus(b: np.ndarray, a: np.ndarray) -> np.ndarray:
    left, right = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0.0, right - left)


# ---- networks --------------------------------------------------------------------------------------------------------


def _networks(a: xr.Dataset, b: xr.Dataset) -> xr.Dataset:
    alone = {
        f"only_in_{side}": len(set(data.data_vars) - set(other.data_vars))
        for side, data, other in (("a", a, b), ("b", b, a))
    }
    names = [str(name) for name in a.data_vars if name in b and name not in _CLOCKS and a[name].dtype.kind in "bifu"]
    differences = [_flat(a[name], b[name]) for name in names]
    result = _by_variable(names, differences, np.array([part.size for part in differences]))
    if "neuron_correlation" in names and a["neuron_correlation"].shape == b["neuron_correlation"].shape:
        for side, data in (("a", a), ("b", b)):
            first = data["neuron_correlation"].isel(target_set=0)
            result[f"score_{side}"] = ("neuron", first.values, COMPARISON[f"score_{side}"].attrs)
    return result.assign_attrs(alone)


def _flat(a: xr.DataArray, b: xr.DataArray) -> np.ndarray:
    """(values,) b - a; NaN throughout where there are not equally many of them, as of spikes."""
    if a.shape != b.shape:
        return np.full(max(a.size, b.size), np.nan)
    return np.atleast_1d(_minus(b.values, a.values)).ravel()


# ---- both ------------------------------------------------------------------------------------------------------------


def _by_variable(names: list[str], differences: Any, n_compared: np.ndarray) -> xr.Dataset:
    columns: dict[str, list[float]] = {"n_different": [], "largest_difference": [], "rms_difference": []}
    for part in differences:
        known = part[~np.isnan(part)]
        columns["n_different"].append(float(np.count_nonzero(part != 0.0)))
        columns["largest_difference"].append(known[np.argmax(np.abs(known))] if known.size else np.nan)
        columns["rms_difference"].append(np.sqrt(np.mean(known**2)) if known.size else np.nan)
    table = {name: _described(name, np.array(values)) for name, values in columns.items()}
    meanings = [(POINT_RESULTS | TESTED_RESULTS | TRAINED).get(name) for name in names]
    units = np.array([meaning.units if meaning else "" for meaning in meanings], dtype=object)
    return xr.Dataset(
        {"n_compared": _described("n_compared", n_compared), **table},
        coords={"variable": ("variable", np.array(names, dtype=object)), "unit": ("variable", units)},
    )


def _described(name: str, values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, dict[str, Any]]:
    variable = COMPARISON[name]
    return variable.dims, values.astype(variable.dtype), variable.attrs


def _changed_fields(a: xr.Dataset, b: xr.Dataset) -> dict[str, list[Any]]:
    """Dotted field -> its values, of the fields in which what was run differs."""
    left, right = (flattened(json.loads(d.attrs.get("sweep") or d.attrs.get("experiment") or "{}")) for d in (a, b))
    return {
        key: [left.get(key), right.get(key)]
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    }
