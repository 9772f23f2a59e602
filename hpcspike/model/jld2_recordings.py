"""Arrays of JLD2 and JLD files: what Julia's ``save`` wrote, as TrainSpikingNet.jl keeps its targets.

Both formats are HDF5 behind a header of 512 bytes. Julia's arrays are column-major, so that HDF5 sees their dimensions
in reversed order: what has the size (time, unit, task) in Julia has the shape (task, unit, time) here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import DataError
from hpcspike.model.recording_axes import unit_by_time
from hpcspike.model.recording_table import RecordingTable, ambiguous, listed, numbered, refused, several, unreadable
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.spec.recorded_conditions import MOST_CONDITIONS


def read_jld2(path: Path, targets: RecordedTargets) -> RecordingTable:
    """One task of an array of rates or drives, in the file's unit, without a time axis.

    Read are arrays of numbers of two dimensions, of three dimensions whose last (in Julia) counts tasks, and vectors of
    matrices, one per task, as older programs of the same family wrote them. Which dimension is time is nowhere in the
    file: TrainSpikingNet.jl's ``utarg`` and the arrays of its ``utarg_file`` and ``spikerate_file`` are (time, unit) or
    (time, unit, task), with a sample every ``learn_every`` ms (`targets.sample_ms`); other files of the same authors
    are (unit, time). So ``targets.layout`` must say it, unless only one order is possible. Its ``utarg`` are
    currents in units of its own neurons' threshold: drives of another model, which are read as they are.

    Raises
    ------
    DataError
        If the file cannot be read, or holds no such array, several, or not the one that was asked for.
    """
    import h5py

    if path.is_dir():
        raise refused(path, "is a folder", "give a JLD2 file")
    try:
        with h5py.File(path, "r") as file:
            values = _one_task(path, file, _chosen(path, file, targets.variable), targets.task)
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever HDF5 happens to raise
        raise unreadable(path, "JLD2", error) from None
    if values.ndim != 2:
        raise refused(path, f"its array has the size {_size(values)} in Julia", "give one with time and unit")
    values, remarks = unit_by_time(path, values.T, targets, language="Julia")
    task = "" if targets.task is None else f"task: {targets.task}"
    return RecordingTable(values, None, numbered(len(values), first=1), None, "JLD2", conditions=task, remarks=remarks)


def _chosen(path: Path, file: Any, name: str | None) -> Any:
    """The dataset called so, or the only one that can hold rates."""
    held: dict[str, Any] = {}

    def note(key: str, item: Any) -> None:
        if hasattr(item, "dtype") and hasattr(item, "ndim") and not key.startswith("_"):  # _types, _refs, _creator
            held[key] = item

    file.visititems(note)
    shown = listed(f"{key} {_size(item)}" for key, item in held.items()) or "no arrays"
    if name is not None:
        if name not in held:
            raise refused(path, f"targets.variable = {name!r} is not in it (it holds {shown})", "choose one of those")
        if not _can_hold_rates(held[name]):
            raise refused(path, f"{name} {_size(held[name])} is no array of numbers over time and unit", _REMEDY)
        return held[name]
    fitting = [key for key, item in held.items() if _can_hold_rates(item)]
    if not fitting:
        raise refused(path, f"holds no array of numbers over time and unit (it holds {shown})", _REMEDY)
    if len(fitting) > 1:
        raise several(path, f"arrays ({shown})", fitting)
    return held[fitting[0]]


def _can_hold_rates(item: Any) -> bool:
    return (item.dtype.kind in "iuf" and item.ndim in (2, 3)) or (_is_list(item) and item.ndim == 1)


def _is_list(item: Any) -> bool:
    """Whether it is a vector of other arrays, as references to them."""
    import h5py

    return h5py.check_ref_dtype(item.dtype) is h5py.Reference


def _one_task(path: Path, file: Any, item: Any, task: int | None) -> np.ndarray:
    if item.ndim == 2:
        if task is not None:
            raise refused(
                path, f"targets.task = {task}, but its array has no tasks, only time and unit", "leave it out"
            )
        return np.asarray(item[()])
    n_tasks = item.shape[0]
    if task is None and n_tasks != 1:
        raise ambiguous(
            path,
            f"holds {n_tasks} tasks",
            f"set targets.task to 1 to {n_tasks}, as Julia counts",
            [{"task": number} for number in range(1, min(n_tasks, _MOST_TASKS) + 1)],
            list(range(1, n_tasks + 1)) if n_tasks <= MOST_CONDITIONS else [],
        )
    number = 1 if task is None else task
    if number > n_tasks:
        raise refused(path, f"targets.task = {number}, but it holds {n_tasks} tasks", f"choose 1 to {n_tasks}")
    part = item[number - 1]
    return np.asarray(file[part][()] if _is_list(item) else part)


def _size(item: Any) -> str:
    """The size as Julia shows it."""
    shape = item.shape or ()
    return "(" + ", ".join(str(length) for length in reversed(shape)) + ")"


_MOST_TASKS = 8
"""So many are shown, not more."""
_REMEDY = "give an array of numbers of size (time, unit) or (time, unit, task) in Julia"
