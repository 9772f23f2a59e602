"""Rates or drives with named dimensions: netCDF files and zarr stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError
from hpcspike.model.recording_axes import TIME_UNITS, ms_per_unit
from hpcspike.model.recording_table import (
    RecordingTable,
    ambiguous,
    conditions_of,
    in_words,
    listed,
    matches,
    numbered,
    plain,
    refused,
    several,
    unreadable,
)
from hpcspike.plugins import without_pickles
from hpcspike.spec.recorded import RecordedTargets

if TYPE_CHECKING:
    import xarray as xr

_TIME_REMEDY = "set the attribute units of the time axis to 'ms' or 's'"
_NAMES = ("unit_name", "unit_names", "name", "names", "unit_id", "unit_ids", "id", "ids")


def read_netcdf(path: Path, targets: RecordedTargets) -> RecordingTable:
    """An array of a netCDF file (4 by h5netcdf, 3 by scipy)."""
    if path.is_dir():
        raise refused(path, "is a folder", "give a netCDF file, or a folder that ends in .zarr")
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        raise unreadable(path, "netCDF", error) from None
    # chosen here, since xarray's own choice depends on which other packages happen to be installed
    return _read_dataset(path, targets, "netCDF", "scipy" if magic.startswith(b"CDF") else "h5netcdf", {})


def read_zarr(path: Path, targets: RecordedTargets) -> RecordingTable:
    """An array of a zarr store, version 2 or 3."""
    return _read_dataset(path, targets, "zarr", "zarr", {"consolidated": False})


def _read_dataset(
    path: Path, targets: RecordedTargets, kind: str, engine: Any, options: dict[str, Any]
) -> RecordingTable:
    import xarray as xr

    try:
        with (
            without_pickles(),
            xr.open_dataset(
                path, engine=engine, decode_times=False, mask_and_scale=False, chunks=None, **options
            ) as opened,
        ):
            dataset = _decoded(path, opened, kind)
            return _table(path, dataset, _chosen_array(path, dataset, targets.variable), targets, kind)
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever the format's library happens to raise
        raise unreadable(path, kind, error) from None


def _decoded(path: Path, opened: xr.Dataset, kind: str) -> xr.Dataset:
    """The dataset with packed numbers unpacked and declared gaps as NaN; a rate of zero is never a gap."""
    import xarray as xr

    for name, item in opened.variables.items():
        if item.attrs.get("_FillValue") is None or item.dtype.kind not in "iuf" or item.attrs["_FillValue"] != 0:
            continue
        if kind == "zarr":  # what zarr itself calls its default, before version 3 xarray takes it for a gap
            del item.attrs["_FillValue"]
        elif item.size and (item.values == 0).any():
            raise refused(
                path,
                f"{name} declares 0 as its fill value, so that its zeros cannot be told from gaps",
                "write it without _FillValue (in xarray: encoding _FillValue: None)",
            )
    return xr.decode_cf(opened, decode_times=False)


def _table(path: Path, dataset: xr.Dataset, array: xr.DataArray, targets: RecordedTargets, kind: str) -> RecordingTable:
    array, conditions = _of_condition(path, array, targets)
    time = _time_dimension(path, array)
    (unit,) = (dim for dim in array.dims if dim != time)
    array = array.transpose(unit, time).load()
    attributes = {
        str(name): np.asarray(item.values)
        for name, item in dataset.variables.items()
        if item.dims == (unit,) and name != array.name
    }
    named = next((name for name in (str(unit), *_NAMES) if name in attributes), None)
    names = numbered(array.sizes[unit]) if named is None else tuple(str(plain(name)) for name in attributes[named])
    said = array.attrs.get("units")
    return RecordingTable(
        values=array.values,
        times_ms=_times_of(path, array, time, targets),
        names=names,
        unit=None if said is None else str(said),
        kind=kind,
        attributes=attributes,
        conditions=conditions,
    )


def _chosen_array(path: Path, dataset: xr.Dataset, name: str | None) -> xr.DataArray:
    shapes = {str(key): _shape(array) for key, array in dataset.data_vars.items()}
    held = listed(f"{key} {shape}" for key, shape in shapes.items()) or "no arrays"
    if name is not None:
        if name not in shapes:
            raise refused(path, f"targets.variable = {name!r} is not in it (it holds {held})", "choose one of those")
        chosen = [name]
    else:
        chosen = [key for key in shapes if dataset[key].ndim == 2] or [key for key in shapes if dataset[key].ndim > 2]
    if len(chosen) > 1:
        number = "2-D arrays" if dataset[chosen[0]].ndim == 2 else "arrays"
        raise several(path, f"{number} ({held})", chosen)
    if not chosen or dataset[chosen[0]].ndim < 2:
        raise refused(path, f"holds no 2-D array to use ({held})", "store rates or drives as one array, unit x time")
    return dataset[chosen[0]]


def _of_condition(path: Path, array: xr.DataArray, targets: RecordedTargets) -> tuple[xr.DataArray, str]:
    """The array at one value of every dimension beside unit and time, and these values in words."""
    for dim, wanted in targets.condition.items():
        if dim not in array.dims:
            raise refused(
                path,
                f"targets.condition = {dim!r} is not a dimension of {array.name} {_shape(array)}",
                "choose one of its dimensions beside unit and time, or leave it out",
            )
        labels = array.coords[dim].values if dim in array.coords else np.arange(array.sizes[dim])
        found = np.flatnonzero(matches(labels, wanted))
        if len(found) > 1:
            _refuse_repeated(path, dim, labels[found])
        if len(found) != 1:
            raise refused(
                path,
                f"{len(found)} of the {len(labels)} places along {dim} have {in_words({dim: wanted})}",
                f"choose one of {listed(repr(plain(label)) for label in labels)}",
            )
        array = array.isel({dim: int(found[0])})
    if array.ndim > 2:
        dim, labels = _labels_of_first(array)
        _refuse_repeated(path, dim, labels)
        readings = [{"condition": {dim: label}} for label in labels]
        conditions = conditions_of(labels, dim) if array.ndim == 3 else []
        raise ambiguous(
            path,
            f"holds no 2-D array to use: {array.name} {_shape(array)} has {array.ndim} dimensions",
            "store rates or drives as one array, unit x time, or choose one value of every other dimension with "
            "targets.condition, for example condition: " + (str(readings[0]["condition"]) if readings else "{dim: 0}"),
            readings[:8],
            conditions,
        )
    if array.ndim < 2:
        raise refused(path, f"targets.condition leaves {array.name} {_shape(array)}", "keep unit and time")
    return array, in_words(targets.condition)


def _refuse_repeated(path: Path, dim: str, labels: Iterable[Any]) -> None:
    """Refuse places along a dimension that cannot be told apart by their labels."""
    counts = Counter(repr(plain(label)) for label in labels)
    for label, times in counts.most_common(1):
        if times > 1:
            raise refused(
                path,
                f"{times} places along {dim} have the label {label}, but places are chosen by their labels, which must "
                "differ",
                f"give every place along {dim} a label of its own in the file, or leave the labels out: places are "
                "counted from 0 then",
            )


def _labels_of_first(array: xr.DataArray) -> tuple[str, list[Any]]:
    """The first dimension that is neither time nor the longest other one, and its labels."""
    others = [dim for dim in array.dims if str(dim).lower() != "time"]
    dim = min(others, key=lambda dim: array.sizes[dim])
    labels = array.coords[dim].values if dim in array.coords else np.arange(array.sizes[dim])
    return str(dim), [plain(label) for label in labels]


def _shape(array: xr.DataArray) -> str:
    return "(" + ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items()) + ")"


def _time_dimension(path: Path, array: xr.DataArray) -> Any:
    named = [dim for dim in array.dims if str(dim).lower() == "time"]
    timed = [dim for dim in array.dims if dim in array.coords and array.coords[dim].attrs.get("units") in TIME_UNITS]
    found = named or timed
    if len(found) != 1:
        raise refused(
            path,
            f"{array.name} has the dimensions {_shape(array)}, of which none can be told to be time",
            "name one of them 'time', the other is the unit",
        )
    return found[0]


def _times_of(path: Path, array: xr.DataArray, time: Any, targets: RecordedTargets) -> NDArray[Any] | None:
    if time not in array.coords:
        if targets.time_unit is not None:
            raise refused(path, f"has no time axis, but targets.time_unit = {targets.time_unit}", "leave it out")
        return None
    said = array.coords[time].attrs.get("units")
    factor = ms_per_unit(path, said, targets, axis=f"its time axis {time!r}", remedy=_TIME_REMEDY)
    return np.asarray(array.coords[time].values) * factor
