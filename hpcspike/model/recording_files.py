"""The files recorded targets come from: what one holds, before anything in it is judged."""

from __future__ import annotations

import csv
import os.path
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError
from hpcspike.plugins import without_pickles
from hpcspike.spec.targets import NO_FILE_REMEDY, RecordedTargets

if TYPE_CHECKING:
    import xarray as xr

_TIME_UNITS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1000.0),
}
_CSV_TIME_COLUMNS = {f"time_{unit}": factor for unit, factor in _TIME_UNITS.items()}


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds before anything is checked: (unit, sample) values and what the file says about them."""

    values: NDArray[Any]
    times_ms: NDArray[Any] | None
    unit_ids: tuple[str, ...]
    unit: str | None


def read_table(path: Path, targets: RecordedTargets) -> Table:
    """What the file at ``path`` holds; its suffix says the format.

    Raises
    ------
    DataError
        If the file is missing, of an unknown kind, unreadable, or its arrays cannot be told to be unit x time.
    """
    if not os.path.exists(path):  # Path.exists raises where a folder may not be entered
        raise refused(path, "no such file", NO_FILE_REMEDY)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise refused(path, f"files ending in {path.suffix!r} are not known", f"use one of {known} ({_FORMATS})")
    return reader(path, targets)


def refused(path: Path, found: str, remedy: str) -> DataError:
    """The error for a file that cannot be used: its path, what was found in it, what to do."""
    return DataError(f"targets.path = {path}: {found}; {remedy}")


def unreadable(path: Path, kind: str, error: Exception) -> DataError:
    """The error for a file that its format's library cannot read."""
    detail = " ".join(str(error).split()) or type(error).__name__
    return refused(path, f"cannot be read as {kind} ({detail})", f"check the file; known formats: {_FORMATS}")


def _read_netcdf(path: Path, targets: RecordedTargets) -> Table:
    if path.is_dir():
        raise refused(path, "is a folder", "give a netCDF file, or a folder that ends in .zarr")
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        raise unreadable(path, "netCDF", error) from None
    # chosen here, since xarray's own choice depends on which other packages happen to be installed
    return _read_dataset(path, targets, "netCDF", "scipy" if magic.startswith(b"CDF") else "h5netcdf", {})


def _read_zarr(path: Path, targets: RecordedTargets) -> Table:
    return _read_dataset(path, targets, "zarr", "zarr", {"consolidated": False})


def _read_dataset(path: Path, targets: RecordedTargets, kind: str, engine: Any, options: dict[str, Any]) -> Table:
    import xarray as xr

    try:
        with (
            without_pickles(),
            xr.open_dataset(path, engine=engine, decode_times=False, chunks=None, **options) as dataset,
        ):
            array = _chosen_array(path, dataset, targets.variable)
            array = array.load()
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever the format's library happens to raise
        raise unreadable(path, kind, error) from None
    time = _time_dimension(path, array)
    (unit,) = (dim for dim in array.dims if dim != time)
    array = array.transpose(unit, time)
    ids = array.coords[unit].values if unit in array.coords else range(array.sizes[unit])
    return Table(
        values=array.values,
        times_ms=_times_of(path, array, time),
        unit_ids=tuple(str(name) for name in ids),
        unit=array.attrs.get("units"),
    )


def _chosen_array(path: Path, dataset: xr.Dataset, name: str | None) -> xr.DataArray:
    shapes = {str(key): _shape(array) for key, array in dataset.data_vars.items()}
    held = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "no arrays"
    if name is not None:
        if name not in shapes:
            raise refused(path, f"targets.variable = {name!r} is not in it (it holds {held})", "choose one of those")
        chosen = [name]
    else:
        chosen = [key for key in shapes if dataset[key].ndim == 2]
    if len(chosen) > 1:
        raise refused(path, f"holds several 2-D arrays ({held})", f"set targets.variable to one of {chosen}")
    if not chosen or dataset[chosen[0]].ndim != 2:
        raise refused(path, f"holds no 2-D array to use ({held})", "store rates or drives as one array, unit x time")
    return dataset[chosen[0]]


def _shape(array: xr.DataArray) -> str:
    return "(" + ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items()) + ")"


def _time_dimension(path: Path, array: xr.DataArray) -> Any:
    named = [dim for dim in array.dims if str(dim).lower() == "time"]
    timed = [dim for dim in array.dims if dim in array.coords and array.coords[dim].attrs.get("units") in _TIME_UNITS]
    found = named or timed
    if len(found) != 1:
        raise refused(
            path,
            f"{array.name} has the dimensions {_shape(array)}, of which none can be told to be time",
            "name one of them 'time', the other is the unit",
        )
    return found[0]


def _times_of(path: Path, array: xr.DataArray, time: Any) -> NDArray[Any] | None:
    if time not in array.coords:
        return None
    units = array.coords[time].attrs.get("units")
    if units not in _TIME_UNITS:
        raise refused(
            path,
            f"its time axis {time!r} has " + ("no units attribute" if units is None else f"units = {units!r}"),
            "set the attribute units of the time axis to 'ms' or 's'",
        )
    return np.asarray(array.coords[time].values) * _TIME_UNITS[units]


def _read_csv(path: Path, targets: RecordedTargets) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = [name.strip() for name in next(csv.reader(stream), [])]
            lines = [line for line in stream if line.strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, "CSV", error) from None
    factor = _csv_time_factor(path, header)
    if len(header) < 2 or not lines:
        raise refused(path, f"holds {max(len(header) - 1, 0)} units and {len(lines)} samples", _CSV_LAYOUT)
    try:
        table = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2, dtype=np.float64)
    except ValueError as error:
        separator = _other_separator(lines[0])
        detail = f"separated by {separator!r}?" if separator else _shortened(str(error), 120)
        raise refused(path, f"a row after the header is not all numbers ({detail})", _CSV_LAYOUT) from None
    if table.shape[1] != len(header):
        raise refused(path, f"the header names {len(header)} columns, the rows have {table.shape[1]}", _CSV_LAYOUT)
    return Table(values=table[:, 1:].T, times_ms=table[:, 0] * factor, unit_ids=tuple(header[1:]), unit=None)


_CSV_LAYOUT = "use a header 'time_ms,unit_1,unit_2,...', then one row per sample, separated by commas"


def _csv_time_factor(path: Path, header: list[str]) -> float:
    """How many ms the unit in the name of the first column has."""
    if not header:
        raise refused(path, "is empty", _CSV_LAYOUT)
    first = re.sub(r"[^a-z]+", "_", header[0].lower()).strip("_")  # 'Time (ms)' as well
    if first in _CSV_TIME_COLUMNS:
        return _CSV_TIME_COLUMNS[first]
    separator = _other_separator(header[0])
    if separator is None and first in ("time", "times", "t"):
        raise refused(
            path,
            f"its first column {header[0]!r} does not say in which unit the times are",
            "call it 'time_ms' if they are in milliseconds, 'time_s' if they are in seconds",
        )
    asked = "" if separator is None else f" (separated by {separator!r}?)"
    raise refused(path, f"its first column is {_shortened(header[0], 30)!r}, not the time{asked}", _CSV_LAYOUT)


def _other_separator(line: str) -> str | None:
    """What a line may be separated by instead of commas."""
    return next((separator for separator in (";", "\t", "|") if separator in line), None)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _read_npy(path: Path, targets: RecordedTargets) -> Table:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, "NPY", error) from None
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise refused(path, f"holds an array of shape {np.shape(values)}", "store a 2-D array, unit x time")
    return Table(values=values, times_ms=None, unit_ids=tuple(map(str, range(len(values)))), unit=None)


def _read_nwb(path: Path, targets: RecordedTargets) -> Table:
    from hpcspike.model.nwb_recordings import read_nwb

    if path.is_dir():
        raise refused(path, "is a folder", "give an NWB file in HDF5 format")
    return read_nwb(path, targets)


def _read_jld2(path: Path, targets: RecordedTargets) -> Table:
    from hpcspike.model.jld2_recordings import read_jld2

    return read_jld2(path, targets)


_FORMATS = "netCDF, zarr, CSV, NPY, NWB, JLD2"
_READERS: dict[str, Callable[[Path, RecordedTargets], Table]] = {
    ".nc": _read_netcdf,
    ".nc4": _read_netcdf,
    ".zarr": _read_zarr,
    ".csv": _read_csv,
    ".npy": _read_npy,
    ".nwb": _read_nwb,
    ".jld2": _read_jld2,
    ".jld": _read_jld2,
}
