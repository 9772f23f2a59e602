"""What a file of recordings holds, in one form for every format, and the errors that readers raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError
from hpcspike.spec.recorded_conditions import CONDITION, MOST_CONDITIONS

FORMATS = "netCDF, zarr, CSV, TSV, NPY, NPZ, MATLAB, NWB, JLD2"
LAYOUTS = ("unit_by_time", "time_by_unit")


@dataclass(frozen=True)
class Trials:
    """The trials that rates were averaged over.

    Attributes
    ----------
    used
        Number of trials averaged over.
    of
        Number of trials in the file.
    dropped
        Reason -> number of trials left out for it; they add up to ``of - used``.
    """

    used: int
    of: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RecordingTable:
    """What a file holds before its values are judged.

    Attributes
    ----------
    values
        Shape (n_units, n_samples), in the file's own unit.
    times_ms
        Shape (n_samples,), the file's own time axis in ms; None if it has none.
    names
        Name of every unit; its number in a file that names none.
    unit
        Unit of the values as the file says it; None if it says none.
    kind
        The format, in words.
    attributes
        Name -> (n_units,): what else the file says of its units (id, area, depth, quality, ...).
    conditions
        What was chosen, in words: ``side: left``.
    alignment
        What counts as time 0, such as the NWB column ``go_time``; None: not said.
    trials
        The trials that were averaged here; None: the file holds averages, or single trials, and does not say so.
    units_of
        Number of units in the file, those included that keys such as ``targets.select_units`` left out.
    halves
        Shape (2, n_units, n_samples), in Hz: averages over every second trial; None without single trials.
    remarks
        What a reader decided, or found odd, in words; each is said to the user.
    """

    values: NDArray[Any]
    times_ms: NDArray[Any] | None
    names: tuple[str, ...]
    unit: str | None
    kind: str
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    conditions: str = ""
    alignment: str | None = None
    trials: Trials | None = None
    units_of: int | None = None
    remarks: tuple[str, ...] = ()
    halves: NDArray[Any] | None = None


class AmbiguousRecording(DataError):
    """A file that can be read in several ways, and the keys of ``targets`` for each of them.

    ``conditions``: what ``targets.conditions`` says to train all of them in one network; empty where they exclude each
    other.
    """

    def __init__(self, message: str, readings: Sequence[dict[str, Any]] = (), conditions: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.readings, self.conditions = list(readings), list(conditions)


def refused(path: Path, found: str, remedy: str) -> DataError:
    """The error for a file that cannot be used: its path, what was found in it, what to do."""
    return DataError(f"targets.path = {path}: {found}; {remedy}")


def ambiguous(
    path: Path, found: str, remedy: str, readings: list[dict[str, Any]], conditions: Sequence[Any] = ()
) -> AmbiguousRecording:
    """The error for a file of which a key of ``targets`` must say how to read it; ``readings``: what it may say."""
    return AmbiguousRecording(f"targets.path = {path}: {found}; {remedy}", readings, conditions)


def conditions_of(labels: Sequence[Any], name: str) -> list[Any]:
    """``targets.conditions`` for all values along a dimension or column of this name; empty if there is one alone."""
    if not 2 <= len(labels) <= MOST_CONDITIONS:
        return []
    return [label if name == CONDITION else {"condition": {name: label}} for label in map(plain, labels)]


def several(path: Path, found: str, names: list[str]) -> AmbiguousRecording:
    """The error for a file with several arrays that may hold the rates, of which `targets.variable` must name one."""
    readings = [{"variable": name} for name in names]
    return ambiguous(path, f"holds several {found}", f"set targets.variable to one of {names}", readings)


def unreadable(path: Path, kind: str, error: Exception) -> DataError:
    """The error for a file that its format's library cannot read."""
    detail = shortened(" ".join(str(error).split()) or type(error).__name__, 300)
    return refused(path, f"cannot be read as {kind} ({detail})", f"check the file; known formats: {FORMATS}")


def shortened(text: str, most: int) -> str:
    """Text of at most about ``most`` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def listed(items: Any, most: int = 8) -> str:
    """Some things in words, not more than ``most`` of them."""
    shown = [shortened(str(item), 80) for item in items]
    return ", ".join(shown[:most]) + (f", ... ({len(shown)} in all)" if len(shown) > most else "")


def numbered(n_units: int, first: int = 0) -> tuple[str, ...]:
    """Names of units in a file that names none: their numbers."""
    return tuple(str(number) for number in range(first, first + n_units))


def plain(value: Any) -> Any:
    """A cell of a table as a Python value; bytes as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def as_list(wanted: Any) -> list[Any]:
    """One allowed value or a list of them, as a list."""
    return list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]


def matches(values: Any, wanted: Any) -> NDArray[np.bool_]:
    """Which values are (one of) the wanted; 1 and True are different answers only if one of them is text."""

    def same(value: Any, one: Any) -> bool:
        return bool(str(value) == one if isinstance(one, str) else value == one)

    allowed = as_list(wanted)
    return np.array([any(same(plain(value), one) for one in allowed) for value in values], dtype=bool)


def without_match(values: Any, wanted: Any) -> list[Any]:
    """The wanted values that none of ``values`` has."""
    return [one for one in as_list(wanted) if not matches(values, one).any()]


def in_words(chosen: Mapping[str, Any]) -> str:
    """Chosen values of columns: ``side: left, correct: True or False``."""
    return ", ".join(f"{key}: {' or '.join(str(one) for one in as_list(wanted))}" for key, wanted in chosen.items())
