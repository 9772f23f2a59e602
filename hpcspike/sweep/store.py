"""The results store of a sweep: opened, checked, read row by row, and written by the batch that owns the rows."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.identity import experiment_hash
from hpcspike.spec.load import validate_sweep
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.grid import Grid, build_grid
from hpcspike.sweep.layout import SCHEMA, WRITTEN_BY_BATCHES, create_store
from hpcspike.sweep.plan import plan_batches, rows_of_batch


@dataclass(frozen=True)
class SweepStore:
    """A store that has been checked to be a sweep of this layout.

    Attributes
    ----------
    path
        Folder of the zarr store.
    group
        Its zarr group.
    attributes
        Attributes of the group.
    """

    path: Path
    group: Any
    attributes: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return str(self.attributes["name"])

    @property
    def sweep(self) -> Sweep:
        """The sweep the store was made for."""
        return validate_sweep(json.loads(self.attributes["sweep"]), source=str(self.path))

    @property
    def points_per_batch(self) -> int:
        """Rows of a batch and of a chunk."""
        return int(self.attributes["points_per_batch"])

    @property
    def n_points(self) -> int:
        """Rows of the store."""
        return int(self.group["done"].shape[0])

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return math.ceil(self.n_points / self.points_per_batch)

    def rows(self, batch: int) -> range:
        """Rows of one batch."""
        return rows_of_batch(batch, self.points_per_batch, self.n_points)

    def done(self) -> np.ndarray:
        """(points,) bool: which points are finished."""
        return np.asarray(self.group["done"][:]) == 1

    def experiments(self, rows: range) -> dict[int, Experiment]:
        """The validated experiments of some rows.

        Raises
        ------
        StoreError
            If an experiment is no longer the one that was planned.
        """
        sweep = self.sweep
        part = slice(rows.start, rows.stop)
        positions, planned = self.group["grid_index"][part], self.group["experiment_hash"][part]
        found = {}
        for row, position, identity in zip(rows, positions, planned, strict=True):
            experiment = sweep.point(sweep.parameters_at(int(position)))
            if experiment_hash(experiment) != identity:
                raise StoreError(
                    f"{self.path}: point {row} is no longer the experiment that was planned: {_changed(self)}"
                )
            found[row] = experiment
        return found


def open_store(path: str | Path, *, writable: bool = False) -> SweepStore:
    """Open the store of a sweep.

    Parameters
    ----------
    path
        Folder of the store.
    writable
        Whether results will be written.

    Raises
    ------
    StoreError
        If there is none, or it is something else, or its layout has another version.
    """
    import zarr

    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path}: no such store; make it with 'hpcspike plan CONFIG --create'")
    try:
        # the arrays' own metadata: a consolidated copy may be older than they are
        group = zarr.open_group(path, mode="r+" if writable else "r", use_consolidated=False)
        attributes = dict(group.attrs)
    except Exception:  # zarr raises many kinds for a path that is not a group
        raise StoreError(f"{path} is {describe(path)}, not the store of a sweep") from None
    version = attributes.get("hpcspike_schema")
    if version is None or "done" not in group:
        raise StoreError(f"{path} is a zarr group, but not the store of a sweep")
    if version != SCHEMA:
        raise StoreError(
            f"{path} has layout version {version}, this hpcspike ({_version()}) reads version {SCHEMA}; use the one "
            f"that made it ({attributes.get('hpcspike_version')}) or choose another path"
        )
    return SweepStore(path, group, attributes)


def ensure_store(path: str | Path, sweep: Sweep, *, grid: Grid | None = None) -> tuple[SweepStore, bool]:
    """The store of a sweep at ``path``, made if nothing is there.

    Parameters
    ----------
    path
        Folder of the store.
    sweep
        What it must hold.
    grid
        The sweep's points if they are known already.

    Returns
    -------
    store, created
        The store, and whether it was made now.

    Raises
    ------
    StoreError
        If something else is there, or a store of another sweep; the difference is named.
    """
    path = Path(path)
    grid = build_grid(sweep) if grid is None else grid
    created = not (path.exists() or path.is_symlink())
    if created:
        create_store(path, grid, plan_batches(grid))
    store = open_store(path)
    if store.attributes.get("points_hash") != grid.identity:
        raise StoreError(
            f"{path} belongs to another sweep: {difference(store, sweep)}. Nothing was changed; give this sweep "
            "another name (or another store path), or move the old store away"
        )
    return store, created


def difference(store: SweepStore, sweep: Sweep, *, at_most: int = 8) -> str:
    """What tells the sweep of a store from another one, key by key."""
    old = _flat(json.loads(store.attributes["sweep"]))
    new = _flat(sweep.model_dump(mode="json"))
    lines = [
        f"{key} = {_shown(old, key)} in the store, {_shown(new, key)} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key != "name" and not key.startswith("batching.")
    ]
    if not lines:
        return _changed(store)
    more = f"; and {len(lines) - at_most} more" if len(lines) > at_most else ""
    return "; ".join(lines[:at_most]) + more


def describe(path: Path) -> str:
    """What lies at a path, in words."""
    if path.is_symlink() and not path.exists():
        return "a broken link"
    if path.is_file():
        return "a file"
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
            return "another zarr store"
        return "a folder" if any(path.iterdir()) else "an empty folder"
    return "something else"


class BatchWriter:
    """Writes the rows of one batch; nobody else writes its chunks.

    Every flush replaces the batch's chunk of each variable by a whole new file, ``done`` last, so that a process killed
    at any moment leaves each point either absent or complete.
    """

    def __init__(self, store: SweepStore, batch: int) -> None:
        self.rows = store.rows(batch)
        self._store = store
        self._slice = slice(self.rows.start, self.rows.stop)
        _check_sole_writer(store, self.rows)
        _sweep_partial_files(store, batch)
        self._arrays = {name: store.group[name] for name in WRITTEN_BY_BATCHES}
        self._chunk = {name: np.array(array[self._slice]) for name, array in self._arrays.items()}
        self._waiting: list[int] = []

    def missing(self) -> list[int]:
        """Rows that are not done yet."""
        return [row for row, done in zip(self.rows, self._chunk["done"], strict=True) if done != 1]

    def add(self, row: int, values: dict[str, Any]) -> None:
        """Take one finished point, to be written by the next flush.

        Parameters
        ----------
        row
            Row of the store.
        values
            Every variable of POINT_RESULTS and POINT_PROVENANCE but ``done``; a curve may be shorter than the store's.
        """
        expected = WRITTEN_BY_BATCHES.keys() - {"done"}
        if values.keys() != expected:
            raise ValueError(
                f"a point needs {sorted(expected - values.keys())}, not {sorted(values.keys() - expected)}"
            )
        place = row - self.rows.start
        self._waiting.append(place)
        for name, value in values.items():
            chunk = self._chunk[name]
            if chunk.ndim == 1:
                chunk[place] = value
            else:
                chunk[place] = WRITTEN_BY_BATCHES[name].fill
                chunk[place, : len(value)] = value

    def flush(self) -> None:
        """Put the points that were added on disk."""
        if not self._waiting:
            return
        for name, array in self._arrays.items():
            if name != "done":
                array[self._slice] = self._chunk[name]
        self._chunk["done"][self._waiting] = 1
        self._arrays["done"][self._slice] = self._chunk["done"]
        self._waiting.clear()


def _check_sole_writer(store: SweepStore, rows: range) -> None:
    # neither zarr nor xarray checks this, and rows of a shared chunk are lost without an error
    for name in WRITTEN_BY_BATCHES:
        array = store.group[name]
        length = (array.shards or array.chunks)[0]
        whole = rows.start % length == 0 and (rows.stop % length == 0 or rows.stop == array.shape[0])
        if not whole:
            raise StoreError(
                f"{store.path}: rows {rows.start} to {rows.stop - 1} share a chunk of {name} ({length} rows) with "
                "other batches; the store is damaged or was rechunked, make it anew"
            )


def _sweep_partial_files(store: SweepStore, batch: int) -> None:
    """Remove files that a killed process left half-written in this batch's chunks (other batches may be writing)."""
    for name in WRITTEN_BY_BATCHES:
        folder = store.path / name / "c"
        for leftover in (*folder.glob(f"{batch}.*.partial"), *(folder / str(batch)).glob("*.partial")):
            leftover.unlink(missing_ok=True)


def _changed(store: SweepStore) -> str:
    made_by = store.attributes.get("hpcspike_version")
    return (
        "the sweep reads the same, but its points differ: a file of targets has changed since, or the defaults of "
        f"hpcspike have (the store was made by version {made_by}, this is {_version()})"
    )


def _version() -> str:
    from hpcspike.provenance import package_version

    return package_version()


def _flat(document: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(document, dict):
        return {prefix: document}
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _shown(flat: dict[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "absent"
