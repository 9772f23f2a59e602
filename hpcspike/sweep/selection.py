"""One point of a sweep, by its number or by the values of its parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.sweep.grid import PLANNED, STANDARD_FIELDS, coordinate_names
from hpcspike.sweep.store import SweepStore

_INTERNAL = ("batch", "generation", "predicted_seconds")
_SHOWN = 6
"""Most values or points that a message lists."""


def find_point(store: SweepStore, *, point: int | None = None, where: Mapping[str, Any] | None = None) -> int:
    """The row of one point in the store.

    Parameters
    ----------
    store
        The sweep, finished or not.
    point
        Its number: the row of the store, as the coordinate ``point`` of `open_sweep`, ``hpcspike status`` and the
        errors of batches have it.
    where
        Values of parameters, by their field (``synapse.tau_syn_ms``) or by the name of their coordinate
        (``tau_syn_ms``, ``grid_index``, ``experiment_hash`` or the beginning of one).

    Raises
    ------
    StoreError
        If no point, or more than one, is meant: the message says which there are.
    """
    planned = np.flatnonzero(store.planned)
    if point is not None:
        if where:
            raise StoreError(f"{store.path}: give the number of a point or values of its parameters, not both")
        if point not in planned:
            raise StoreError(f"{store.path} has no point {point}; its {len(planned)} points are {_ranges(planned)}")
        return int(point)
    columns = _columns(store, planned)
    matches = np.ones(len(planned), dtype=bool)
    asked: list[str] = []
    for key, wanted in (where or {}).items():
        name = _coordinate_of(store, key, columns)
        fits = _equal(columns[name], wanted, prefix=name == "experiment_hash")
        if not (matches & fits).any():
            raise StoreError(f"{store.path}: {_nothing_matches(key, wanted, columns[name], matches, asked)}")
        matches &= fits
        asked.append(f"{key} = {_text(wanted)}")
    found = np.flatnonzero(matches)
    if len(found) > 1:
        raise StoreError(f"{store.path}: {_several_match(planned[found], columns, found, asked)}")
    return int(planned[found[0]])


def parameters_of(store: SweepStore, row: int) -> dict[str, Any]:
    """The parameters of a point that not all points of its sweep share, and its replicate, by their coordinates."""
    planned = np.flatnonzero(store.planned)
    position = int(np.searchsorted(planned, row))
    columns = {name: column for name, column in _columns(store, planned).items() if name not in PLANNED}
    found = {
        name: column[position].item() if isinstance(column[position], np.generic) else column[position]
        for name, column in columns.items()
        if name == "replicate" or len({_text(value) for value in column.tolist()}) > 1
    }
    return {name: None if value != value else value for name, value in found.items()}  # NaN: it has no such parameter


def _columns(store: SweepStore, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The coordinates along ``point``, of the rows that hold a point."""
    names = [name for name in str(store.attributes["coordinates"]).split() if name != "loop"]
    columns = {name: store.read(name)[rows] for name in names}
    return {name: c if c.dtype.kind in "biuf" else np.array(c.tolist(), dtype=object) for name, c in columns.items()}


def _coordinate_of(store: SweepStore, key: str, columns: dict[str, np.ndarray]) -> str:
    fields = {dotted: name for name, dotted in STANDARD_FIELDS.items()}
    for sweep in store.sweeps:
        fields |= coordinate_names(list(sweep.axes))
    name = fields.get(key, key)
    if name not in columns:
        known = [dotted for dotted, name in fields.items() if name in columns]
        others = [name for name in columns if name not in fields.values() and name not in _INTERNAL]
        raise StoreError(
            f"{store.path}: {key} does not tell its points apart; choose from {', '.join([*known, *others])}"
        )
    return name


def _equal(column: np.ndarray, wanted: Any, *, prefix: bool = False) -> np.ndarray:
    if column.dtype == object:
        if isinstance(wanted, str):
            fits = {text: text.startswith(wanted) if prefix else text == wanted for text in set(column)}
        else:  # written as JSON, a section with all its defaults
            fits = {text: _says(text, wanted) for text in set(column)}
        return np.array([fits[text] for text in column], dtype=bool)
    if wanted is None:
        return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), dtype=bool)
    if isinstance(wanted, str) or isinstance(wanted, bool) != (column.dtype.kind == "b"):
        return np.zeros(len(column), dtype=bool)
    if column.dtype.kind != "f":  # seeds may be large numbers that differ by one
        return np.asarray(column == wanted)
    # a value that was copied from a message has twelve digits
    return np.asarray(np.isclose(column, wanted, rtol=1e-9, atol=0.0))


def _says(text: str, wanted: Any) -> bool:
    """Whether a value in JSON is the one that is wanted; of a mapping its keys are enough."""
    try:
        return _includes(json.loads(text), wanted)
    except ValueError:
        return False


def _includes(value: Any, wanted: Any) -> bool:
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(key in value and _includes(value[key], part) for key, part in wanted.items())
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _nothing_matches(key: str, wanted: Any, column: np.ndarray, matches: np.ndarray, asked: list[str]) -> str:
    there = list(dict.fromkeys(_text(value) for value in sorted(column[matches].tolist())))
    given = f"no point{f' with {_listed(asked)}' if asked else ''} has {key} = {_text(wanted)}"
    number = isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and column.dtype.kind in "iuf"
    if number and len(there) > _SHOWN:
        values = np.unique(column[matches])
        values = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        nearest = np.sort(values[np.argsort(np.abs(values - wanted), kind="stable")[:2]])
        return f"{given}; the nearest values are {_listed([_text(value) for value in nearest.tolist()])}"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return f"{given}; there {'is' if len(there) == 1 else 'are'} {', '.join(there[:_SHOWN])}{more}"


def _several_match(rows: np.ndarray, columns: dict[str, np.ndarray], found: np.ndarray, asked: list[str]) -> str:
    varying = []
    for name, column in columns.items():
        values = list(dict.fromkeys(_text(value) for value in sorted(column[found].tolist())))
        if name not in PLANNED and len(values) > 1:
            more = f", ... {len(values)} values" if len(values) > _SHOWN else ""
            varying.append(f"{name} ({', '.join(values[:_SHOWN])}{more})")
    given = f"{len(rows)} points have {_listed(asked)}" if asked else f"it has {len(rows)} points"
    return f"{given}; say {_listed(varying)}{' too' if asked else ''}, or the number of one: {_ranges(rows)}"


def _listed(words: list[str]) -> str:
    return " and ".join(words)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "null" if np.isnan(value) else f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value)


def _ranges(rows: np.ndarray) -> str:
    """Numbers in short: 0 to 7, 9, 12 to 15."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    words = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(words[:_SHOWN]) + (", ..." if len(words) > _SHOWN else "")
