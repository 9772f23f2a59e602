"""A store of the layout before brought up to date: written anew beside it, whole, and then put in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcspike.errors import DamagedStoreError, StoreError
from hpcspike.files import flush_folder
from hpcspike.sweep.durable import flush_files, read_sealed, read_unless_changed, write_durably
from hpcspike.sweep.grid import PLANNED, Coordinate
from hpcspike.sweep.layout import Table, check_room, with_every_chunk, write_table, written_to
from hpcspike.sweep.mending import restore_plan
from hpcspike.sweep.metadata import upgraded_path
from hpcspike.sweep.records import batch_holders, planning_lock, receipt_path, receipts_folder, runs_folder
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.variables import LATER_RESULTS, Variable


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade did: whether there was anything to do, points kept, and points that could not be read."""

    changed: bool
    points: int = 0
    unreadable: int = 0


def upgrade_sweep(path: str | Path, *, say: Callable[[str], None] | None = None) -> Upgraded:
    """Bring the store of a sweep to the present layout, in place. A store that is up to date is left alone.

    The new store is complete and on the disk before the old one is moved away; a process that is killed at any moment
    leaves the old or the new store, or neither at ``path`` and both beside it, and the next call goes on from there.

    Parameters
    ----------
    path
        Folder of the store.
    say
        Called with a message about points that cannot be read: the workflow computes them anew.

    Raises
    ------
    StoreError
        If it is no store, batches of it are being computed, or the folder cannot be written.
    ResourceError
        If the disk has no room for both.
    """
    path = Path(path)
    new, old = upgraded_path(path), path.with_name(f".{path.name}.replaced")
    try:
        if not (path.is_dir() or new.is_dir()):
            open_store(path)  # which says what is there instead
        with planning_lock(path):
            if not path.exists() and new.exists():
                _put_in_place(path, new, old)
            store = open_store(path)
            upgraded = Upgraded(changed=False)
            if store.inventory is None:
                upgraded = _rewritten(store, new, say)
                _put_in_place(path, new, old)
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(new, ignore_errors=True)
            _seal_documents(path)
        restore_plan(path)  # which makes the copy of the plan
    except OSError as error:
        raise StoreError(f"{path}: cannot be upgraded ({error.strerror or error}); nothing was lost") from None
    return upgraded


def _rewritten(store: SweepStore, new: Path, say: Callable[[str], None] | None) -> Upgraded:
    running = batch_holders(store.path, list(range(len(store.batches))))
    if running:
        batch, who = next(iter(running.items()))
        raise StoreError(f"{store.path}: batch {batch} is being computed by {who}; wait for it, then upgrade")
    table = _table_of(store)
    check_room(store.path.parent, table.predicted_bytes())
    shutil.rmtree(new, ignore_errors=True)
    write_table(new, table)
    kept, unreadable = 0, 0
    for batch in range(len(store.batches)):
        try:
            kept += _copy_batch(store, new, batch)
        except DamagedStoreError as error:
            unreadable += len(store.points(batch))
            receipt_path(store.path, batch).unlink(missing_ok=True)
            if say is not None:
                say(f"batch {batch} is left to be computed anew: {error}")
    flush_files((file for file in new.rglob("*") if file.is_file()), up_to=new)
    return Upgraded(True, kept, unreadable)


def _table_of(store: SweepStore) -> Table:
    names = [name for name in str(store.attributes["coordinates"]).split() if name != "loop"]
    curves = store.group["curve_correlation"]
    return Table(
        columns={name: _column(store, name) for name in names},
        batches=store.batches,
        chunk=store.chunk,
        n_loops=curves.shape[1],
        loop_chunk=curves.chunks[1],
        loops_by_batch=((len(store.batches), curves.shape[1]),),
        sweep=store.sweep,
        earlier=tuple(store.attributes["earlier_sweeps"]),
        identity=store.attributes["points_hash"],
        later=tuple(name for name in LATER_RESULTS if name in store.group),
    )


def _column(store: SweepStore, name: str) -> Coordinate:
    array, values = store.group[name], store.read(name)
    if name in PLANNED:
        variable = PLANNED[name]
    else:
        words = dict(array.attrs)
        kind = "str" if values.dtype.kind in "OTU" else str(values.dtype)
        fill = str(array.fill_value) if kind == "str" else array.fill_value
        variable = Variable(("point",), kind, str(words["units"]), str(words["long_name"]), fill=fill)
    if values.dtype.kind in "OTU":
        values = np.array(values.tolist(), dtype=object)
    return Coordinate(values, variable)


def _copy_batch(store: SweepStore, new: Path, batch: int) -> int:
    """Copy the results of a batch, ``done`` last; how many points it has done."""
    import zarr

    rows = store.batches.rows(batch)
    part = slice(rows.start, rows.stop)
    values = {name: store.read(name, part) for name in written_to(store.group)}
    finished = values["done"] == 1
    if not finished.any():
        return 0
    if np.isnan(values["wall_seconds"][finished]).any():
        raise DamagedStoreError(f"{store.path}: chunk of wall_seconds of batch {batch} is missing")
    group = zarr.open_group(new, mode="r+")
    for name in (*(name for name in values if name != "done"), "done"):
        with_every_chunk(group[name])[part] = values[name]
    return int(finished.sum())


def _put_in_place(path: Path, new: Path, old: Path) -> None:
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(path, old)
    os.rename(new, path)
    flush_folder(path.parent)


def _seal_documents(path: Path) -> None:
    """Give records and receipts the digests that they did not have; when they were written stays as it is."""
    for folder in (runs_folder(path), receipts_folder(path)):
        for file in sorted(folder.glob("*.json")):
            document = read_unless_changed(file)
            if document is not None and document != {} and read_sealed(file) is None:
                written = file.stat()
                write_durably(file, document)
                os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
