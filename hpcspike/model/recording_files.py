"""The files recorded targets come from: the reader of each format."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from hpcspike.model.recording_selection import of_chosen_units
from hpcspike.model.recording_table import FORMATS, RecordingTable, refused
from hpcspike.spec.recorded import FORMAT_OF_SUFFIX, NO_FILE_REMEDY, RecordedTargets

_READERS = {
    "netCDF": ("dataset_recordings", "read_netcdf"),
    "zarr": ("dataset_recordings", "read_zarr"),
    "CSV": ("text_recordings", "read_text"),
    "TSV": ("text_recordings", "read_text"),
    "NPY": ("array_recordings", "read_npy"),
    "NPZ": ("array_recordings", "read_npz"),
    "MATLAB": ("array_recordings", "read_mat"),
    "NWB": ("nwb_recordings", "read_nwb"),
    "JLD2": ("jld2_recordings", "read_jld2"),
}
"""Module and function by format; imported when they are needed, with what they need."""


def refuse_missing(path: Path) -> None:
    """A DataError if there is nothing at the path."""
    if not os.path.exists(path):  # Path.exists raises where a folder may not be entered
        raise refused(path, "no such file", NO_FILE_REMEDY)


def read_table(path: Path, targets: RecordedTargets) -> RecordingTable:
    """What the file at ``path`` holds; its suffix says the format.

    Raises
    ------
    DataError
        If the file is missing, of an unknown kind, unreadable, or its arrays cannot be told to be unit x time.
    AmbiguousRecording
        If it can be read in several ways, and no key says in which.
    """
    refuse_missing(path)
    if targets.format is None:
        known = ", ".join(FORMAT_OF_SUFFIX)
        raise refused(path, f"files ending in {path.suffix!r} are not known", f"use one of {known} ({FORMATS})")
    module, function = _READERS[targets.format]
    read: Callable[[Path, RecordedTargets], RecordingTable]
    read = getattr(import_module(f"hpcspike.model.{module}"), function)
    table = read(path, targets)
    return table if targets.format == "NWB" else of_chosen_units(path, table, targets)  # NWB: before spikes are read
