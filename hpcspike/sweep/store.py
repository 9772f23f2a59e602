"""The results store of a sweep: opened, checked, and read row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike import checks
from hpcspike.errors import StoreError
from hpcspike.plugins import refuse_unasked, sources
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.identity import experiment_hash
from hpcspike.spec.load import validate_sweep
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.layout import SCHEMA
from hpcspike.sweep.plan import Batches

MAKE_IT = "make it with 'hpcspike plan CONFIG --create'"


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

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """The sweeps the store was made for, by generation: those it grew from, and the present one."""
        texts = [*self.attributes["earlier_sweeps"], self.attributes["sweep"]]
        return [validate_sweep(json.loads(text), source=str(self.path)) for text in texts]

    @property
    def sweep(self) -> Sweep:
        """The sweep the store holds now."""
        return self.sweeps[-1]

    @cached_property
    def batches(self) -> Batches:
        """The jobs of the sweep."""
        return Batches.from_json(self.attributes["batches"])

    @property
    def chunk(self) -> int:
        """Rows of a chunk; every batch owns whole chunks."""
        return int(self.group["done"].chunks[0])

    @property
    def n_rows(self) -> int:
        """Rows of the store, with those that hold no point."""
        return int(self.group["done"].shape[0])

    @cached_property
    def batch_of_row(self) -> np.ndarray:
        """(rows,) batch that computes each row, -1 where there is no point."""
        return np.asarray(self.group["batch"][:])

    @property
    def planned(self) -> np.ndarray:
        """(rows,) bool: which rows hold a point."""
        return self.batch_of_row >= 0

    @property
    def n_points(self) -> int:
        """Number of trainings."""
        return int(self.planned.sum())

    def done(self) -> np.ndarray:
        """(rows,) bool: which points are finished."""
        return np.asarray(self.group["done"][:]) == 1

    def points(self, batch: int) -> list[int]:
        """The rows of the points of one batch.

        Raises
        ------
        StoreError
            If there is no such batch.
        """
        rows = self.batches.rows(batch)
        return [row for row in rows if self.batch_of_row[row] >= 0]

    def experiments(self, rows: list[int], *, run_user_code: bool = False) -> dict[int, Experiment]:
        """The validated experiments of some rows.

        Parameters
        ----------
        rows
            Which.
        run_user_code
            Whether a user's code that the store names may be run, which is needed to know and to train them.

        Raises
        ------
        StoreError
            If an experiment is no longer the one that was planned, or needs code that may not be run.
        """
        if not rows:
            return {}
        part = slice(min(rows), max(rows) + 1)
        columns = [self.group[name][part] for name in ("generation", "grid_index", "experiment_hash")]
        found = {}
        for row in rows:
            generation, position, identity = (column[row - part.start] for column in columns)
            sweep = self.sweeps[int(generation)]
            experiment = sweep.point(sweep.parameters_at(int(position)))
            if not run_user_code:
                refuse_unasked(experiment, f"{self.path}: point {row}")
            if experiment_hash(experiment) != identity:
                changed = _changed_code(experiment) or _changed(self)
                raise StoreError(f"{self.path}: point {row} is no longer the experiment that was planned: {changed}")
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

    path = checks.path("store", path)
    if not path.exists():
        raise StoreError(f"{path}: no such store; {_meant(path) or MAKE_IT}")
    try:
        group = zarr.open_group(path, mode="r+" if writable else "r", zarr_format=3)
        attributes = dict(group.attrs)
    except Exception:  # zarr raises many kinds for a path that is not a group
        meant = _meant(path)
        hint = f"; {meant}" if meant else ""
        raise StoreError(f"{path} is {describe(path)}, not the store of a sweep{hint}") from None
    if "hpcspike_schema" not in attributes or "done" not in group:
        raise StoreError(
            f"{path} is a zarr group, but not the store of a sweep; give one that 'hpcspike plan CONFIG --create' made"
        )
    require_layout(path, attributes)
    if group.metadata.consolidated_metadata is None:
        raise StoreError(f"{path}: its zarr.json does not list the arrays, so it was changed; make the store anew")
    return SweepStore(path, group, attributes)


def require_layout(path: Path, attributes: dict[str, Any]) -> None:
    """A StoreError if the results at a path, which have these attributes, are not laid out as this version has it."""
    version = attributes.get("hpcspike_schema")
    if version != SCHEMA:
        raise StoreError(
            f"{path} has layout version {version}, this hpcspike ({_version()}) reads version {SCHEMA}; use the one "
            f"that made it ({attributes.get('hpcspike_version')}) or choose another path"
        )


def _meant(path: Path) -> str:
    """Words that name the store somebody means who gives the name of a sweep, or the folder of its tables."""
    if not path.name:
        return ""
    stores = (path.with_name(f"{path.name}.zarr"), Path("results") / f"{path.name}.zarr", Path("results") / path.name)
    found = next((store for store in stores if (store / "zarr.json").is_file()), None)
    return "" if found is None else f"did you mean {found}?"


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


def _changed(store: SweepStore) -> str:
    made_by = store.attributes.get("hpcspike_version")
    return (
        "the sweep reads the same, but its points differ: a file of targets has changed since, or the defaults of "
        f"hpcspike have (the store was made by version {made_by}, this is {_version()})"
    )


def _changed_code(experiment: Experiment) -> str:
    named = " or ".join(f"{key} = {source}" for key, source in sources(experiment).items())
    return named and (
        f"{named}, a file that it imports, or a parameter that it defines has changed since; put it back as it was, or "
        "plan a sweep of another name (or in another store) for the new code"
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
