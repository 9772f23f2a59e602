"""Rates or drives in plain arrays: NPY and NPZ of NumPy, MAT of MATLAB (5 and 7.3)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_axes import ms_per_unit, unit_by_time
from hpcspike.model.recording_table import (
    RecordingTable,
    ambiguous,
    listed,
    numbered,
    plain,
    refused,
    several,
    unreadable,
)
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.spec.recorded_conditions import MOST_CONDITIONS

_TIMES = {"time_ms": "ms", "times_ms": "ms", "t_ms": "ms", "time_s": "s", "times_s": "s", "t_s": "s"}
_TIMES_OF_NO_UNIT = ("time", "times", "t")
_NAMES = ("names", "name", "unit_names", "unit_name", "neuron_names", "unit_ids", "unit_id", "ids", "id")

Arrays = dict[str, NDArray[Any]]


def read_npy(path: Path, targets: RecordedTargets) -> RecordingTable:
    """One array (unit, time) or (time, unit), as ``targets.layout`` says."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, "NPY", error) from None
    if not isinstance(values, np.ndarray) or values.ndim not in (2, 3):
        raise refused(path, f"holds an array of shape {np.shape(values)}", "store a 2-D array of units over time")
    values, task = one_task(path, values, targets, language="Python")
    values, remarks = unit_by_time(path, values, targets, language="Python")
    return RecordingTable(values, None, numbered(len(values)), None, "NPY", conditions=task, remarks=remarks)


def read_npz(path: Path, targets: RecordedTargets) -> RecordingTable:
    """One array of several, with a time axis (``time_ms``, ``time_s``) and names or other data of units beside it."""
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise unreadable(path, "NPZ", error) from None
    return _table_of(path, arrays, targets, language="Python", kind="NPZ")


def read_mat(path: Path, targets: RecordedTargets) -> RecordingTable:
    """One array of a MAT file, with a time axis and data of units beside it as in NPZ files."""
    if path.is_dir():
        raise refused(path, "is a folder", "give a MAT file")
    try:
        with path.open("rb") as stream:
            newer = b"MATLAB 7.3" in stream.read(128)
        arrays = _of_mat_7_3(path) if newer else _of_mat_5(path)
    except Exception as error:  # damaged files raise whatever scipy and HDF5 happen to raise
        raise unreadable(path, "MATLAB", error) from None
    return _table_of(path, arrays, targets, language="MATLAB", kind="MATLAB 7.3" if newer else "MATLAB 5")


def _of_mat_5(path: Path) -> Arrays:
    from scipy.io import loadmat

    found = loadmat(path, appendmat=False)
    return {name: _cell_of_text(np.asarray(item)) for name, item in found.items() if not name.startswith("__")}


def _cell_of_text(array: NDArray[Any]) -> NDArray[Any]:
    """A cell array of texts as an array of texts; anything else as it is."""
    if array.dtype.kind != "O" or not all(np.asarray(cell).dtype.kind == "U" for cell in array.ravel()):
        return array
    texts = ["".join(np.asarray(cell).ravel()) for cell in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)


def _of_mat_7_3(path: Path) -> Arrays:
    import h5py

    arrays: Arrays = {}
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            if not isinstance(item, h5py.Dataset) or name.startswith("#"):
                continue
            kind = plain(item.attrs.get("MATLAB_class", b""))
            if kind == "cell":
                cells = [file[reference] for reference in np.asarray(item[()]).ravel()]
                if all(plain(cell.attrs.get("MATLAB_class", b"")) == "char" for cell in cells):
                    arrays[name] = np.array([_text(cell) for cell in cells], dtype=str)
            elif kind == "char":
                arrays[name] = np.array(_text(item))
            else:
                arrays[name] = np.asarray(item[()]).T  # HDF5 sees MATLAB's dimensions in reversed order
    return arrays


def _text(item: Any) -> str:
    return "".join(chr(code) for code in np.asarray(item[()]).T.ravel())


def one_task(path: Path, array: NDArray[Any], targets: RecordedTargets, *, language: str) -> tuple[NDArray[Any], str]:
    """The 2-D array of the condition ``targets.task``, and this choice in words.

    Parameters
    ----------
    array
        Units over time, in any order, or with a third dimension of conditions: the last one in MATLAB, the first in
        Python.
    """
    if array.ndim == 2:
        if targets.task is not None:
            shape = " x ".join(map(str, array.shape))
            raise refused(
                path, f"targets.task = {targets.task}, but its array is {shape}: one condition", "leave it out"
            )
        return array, ""
    axis = -1 if language == "MATLAB" else 0
    n_tasks, shape = array.shape[axis], " x ".join(map(str, array.shape))
    tasks, which = list(range(1, n_tasks + 1)), "last" if axis else "first"
    if targets.task is None and n_tasks > 1:
        raise ambiguous(
            path,
            f"its array has the shape {shape} as {language} shows it, of which the {which} dimension is taken for "
            f"{n_tasks} conditions",
            f"set targets.task to 1 to {n_tasks}, or train them all with targets.conditions; if another dimension "
            f"counts the conditions, make it the {which}",
            [{"task": task} for task in tasks[:8]],
            tasks if n_tasks <= MOST_CONDITIONS else [],
        )
    task = targets.task or 1
    if task > n_tasks:
        raise refused(
            path, f"targets.task = {task}, but its array {shape} holds {n_tasks} conditions", f"choose 1 to {n_tasks}"
        )
    return array.take(task - 1, axis=axis), f"task: {task} of {n_tasks}"


def _table_of(path: Path, arrays: Arrays, targets: RecordedTargets, *, language: str, kind: str) -> RecordingTable:
    array, task = one_task(path, _chosen(path, arrays, targets), targets, language=language)
    vectors = {name: item.ravel() for name, item in arrays.items() if max(item.shape, default=0) == item.size > 1}
    timed = [name for name in vectors if name.lower() in (*_TIMES, *_TIMES_OF_NO_UNIT)]
    timed = [name for name in timed if vectors[name].size in array.shape]
    if len(timed) > 1:
        raise refused(path, f"holds several time axes ({listed(timed)})", "keep the one that belongs to the array")
    times = None
    if timed:
        name = timed[0]
        said = _TIMES.get(name.lower())
        remedy = "call it 'time_ms' if they are in milliseconds, 'time_s' if they are in seconds"
        if vectors[name].dtype.kind not in "iuf":
            raise refused(path, f"its time axis {name} is of type {vectors[name].dtype}", "store times as numbers")
        times = vectors[name] * ms_per_unit(path, said, targets, axis=f"its time axis {name!r}", remedy=remedy)
    elif targets.time_unit is not None:
        raise refused(
            path,
            f"has no time axis (an array called time_ms, time_s or time), but targets.time_unit = {targets.time_unit}",
            "leave it out and set targets.sample_ms",
        )
    n_times = None if times is None else len(times)
    values, remarks = unit_by_time(path, array, targets, language=language, n_times=n_times)
    others = {name: item for name, item in vectors.items() if name not in timed and item.size == len(values)}
    if len(values) == values.shape[1]:  # of as many numbers as samples nobody knows what they belong to
        others = {name: item for name, item in others.items() if name.lower() in _NAMES}
    named = next((name for name in _NAMES for key in others if key.lower() == name), None)
    key = next((key for key in others if named is not None and key.lower() == named), None)
    names = numbered(len(values)) if key is None else tuple(str(plain(name)).strip() for name in others[key])
    unit = next((item for name, item in arrays.items() if name.lower() in ("unit", "units")), None)
    text = None if unit is None or unit.dtype.kind not in "US" or unit.size != 1 else str(plain(unit.ravel()[0]))
    return RecordingTable(values, times, names, text, kind, attributes=others, conditions=task, remarks=remarks)


def _chosen(path: Path, arrays: Arrays, targets: RecordedTargets) -> NDArray[Any]:
    """The array called ``targets.variable``, or the only one that can hold rates."""
    held = listed(f"{name} {' x '.join(map(str, item.shape)) or 'scalar'}" for name, item in arrays.items())
    held = held or "no arrays"
    if targets.variable is not None:
        if targets.variable not in arrays:
            raise refused(
                path, f"targets.variable = {targets.variable!r} is not in it (it holds {held})", "choose one of those"
            )
        chosen = arrays[targets.variable]
        if chosen.ndim not in (2, 3) or chosen.dtype.kind not in "iuf":
            raise refused(
                path,
                f"{targets.variable} is no 2-D array of numbers (it holds {held})",
                "store rates or drives as one 2-D array of units over time, or 3-D with conditions",
            )
        return chosen
    numbers = {name: item for name, item in arrays.items() if item.ndim in (2, 3) and item.dtype.kind in "iuf"}
    fitting = [name for name, item in numbers.items() if sorted(item.shape)[-2] > 1]
    fitting = [name for name in fitting if numbers[name].ndim == 2] or fitting
    if not fitting:
        raise refused(
            path,
            f"holds no 2-D array of numbers to use (it holds {held})",
            "store rates or drives as one 2-D array of units over time, or name one in targets.variable",
        )
    if len(fitting) > 1:
        raise several(path, f"2-D arrays ({held})", fitting)
    return arrays[fitting[0]]
