"""The results store of a sweep: opened, checked, and read row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike import checks
from hpcspike.errors import DamagedStoreError, HpcspikeError, StoreError
from hpcspike.identity import experiment_hash
from hpcspike.plugins import refuse_unasked, sources
from hpcspike.provenance import package_version
from hpcspike.spec.documents import flattened
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_sweep
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.integrity import Fault, Inventory
from hpcspike.sweep.layout import UNVOUCHED
from hpcspike.sweep.metadata import checked_metadata, what_now
from hpcspike.sweep.plan import Batches


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
    inventory
        What vouches for its chunks; None for a store of the layout before, which nothing vouches for.
    """

    path: Path
    group: Any
    attributes: dict[str, Any]
    inventory: Inventory | None = None

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return str(self.attributes["name"])

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """The sweeps the store was made for, by generation: those it grew from, and the present one."""
        texts = [*self.attributes["earlier_sweeps"], self.attributes["sweep"]]
        # every round of an adaptive sweep leaves the same text
        known = {text: validate_sweep(json.loads(text), source=str(self.path)) for text in dict.fromkeys(texts)}
        return [known[text] for text in texts]

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
        batch = self.read("batch")
        if not (batch >= 0).any():
            raise DamagedStoreError(f"{self.path}: by its coordinate batch it holds no points; {what_now(self.path)}")
        return batch

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
        return self.read("done") == 1

    def read(self, name: str, rows: Any = slice(None)) -> np.ndarray:
        """Values of an array, all or some of its rows.

        Raises
        ------
        DamagedStoreError
            If they are not what was written; the message names array, chunk and batch.
        """
        try:
            return np.asarray(self.group[name].oindex[rows])
        except HpcspikeError:
            raise
        except Exception as error:  # zarr and its codecs raise many kinds
            raise DamagedStoreError(
                f"{self.path}: {name} cannot be read ({type(error).__name__}: {error}); {what_now(self.path)}"
            ) from None

    def faults(self) -> dict[int, list[Fault]]:
        """What is wrong with the results, by batch; nothing is known of a store without checksums."""
        if self.inventory is None:
            return {}
        found = {batch: list(self.inventory.faults_of_batch(batch)) for batch in range(len(self.batches))}
        return {batch: faults for batch, faults in found.items() if faults}

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
        columns = [self.read(name, part) for name in ("generation", "grid_index", "experiment_hash")]
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
        If there is none, or it is something else, or its layout has another version, or an older one that can be read
        but not written to.
    DamagedStoreError
        If its metadata are not what was written.
    """
    import zarr
    from zarr.storage import LocalStore

    path = checks.path("store", path)
    document = checked_metadata(path)
    attributes = document["attributes"]
    inventory = None
    source: Any = LocalStore(path, read_only=not writable)
    if attributes["hpcspike_schema"] == UNVOUCHED:
        if writable:
            raise _unvouched(path)
    else:
        from hpcspike.sweep.checked import CheckedStore

        inventory = Inventory(path, document)
        source = CheckedStore(source, inventory)
    try:
        group = zarr.open_group(source, mode="r+" if writable else "r", zarr_format=3, use_consolidated=True)
    except Exception as error:  # zarr raises many kinds
        raise StoreError(f"{path} cannot be opened ({type(error).__name__}: {error}); {what_now(path)}") from None
    return SweepStore(path, group, attributes, inventory)


def refuse_unvouched(store: SweepStore) -> None:
    """A StoreError if nothing vouches for a store, to which nothing may be written then."""
    if store.inventory is None:
        raise _unvouched(store.path)


def _unvouched(path: Path) -> StoreError:
    return StoreError(
        f"{path} has layout version {UNVOUCHED}, which has no checksums; bring it up to date with 'hpcspike upgrade "
        f"{path}' before anything is written to it"
    )


def difference(store: SweepStore, sweep: Sweep, *, at_most: int = 8) -> str:
    """What tells the sweep of a store from another one, key by key."""
    old = flattened(json.loads(store.attributes["sweep"]))
    new = flattened(sweep.model_dump(mode="json"))
    lines = [
        f"{key} = {_shown(old, key)} in the store, {_shown(new, key)} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key != "name" and not key.startswith("batching.")
    ]
    if not lines:
        return _changed(store)
    more = f"; and {len(lines) - at_most} more" if len(lines) > at_most else ""
    return "; ".join(lines[:at_most]) + more


def _changed(store: SweepStore) -> str:
    made_by = store.attributes.get("hpcspike_version")
    return (
        "the sweep reads the same, but its points differ: a file of targets has changed since, or the defaults of "
        f"hpcspike have (the store was made by version {made_by}, this is {package_version()})"
    )


def _changed_code(experiment: Experiment) -> str:
    named = " or ".join(f"{key} = {source}" for key, source in sources(experiment).items())
    return named and (
        f"{named}, a file that it imports, or a parameter that it defines has changed since; put it back as it was, or "
        "plan a sweep of another name (or in another store) for the new code"
    )


def _shown(flat: dict[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "absent"
