"""From a sweep to its store: made anew, found, or grown by the points that are new.

A sweep grows when the new one holds every point of the old one: values are added to its axes, replicates, or an axis
whose value so far was one among the new ones. Rows that are there keep their place and their results; new points follow
in new chunks with new batches. Whatever is no growth is refused, and the difference named.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.files import claimed, put_in_place, remove, unfinished_beside, write_bytes
from hpcspike.identity import sweep_hash
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.grid import PLANNED, Coordinate, Grid, build_grid
from hpcspike.sweep.held import points_in
from hpcspike.sweep.integrity import LOOPS, METADATA, read_metadata, sealed_metadata
from hpcspike.sweep.layout import (
    Table,
    check_room,
    columns_of,
    create_store,
    first_table,
    tests_in_training,
    write_table,
)
from hpcspike.sweep.mending import complete_plan, copy_plan, restore_plan
from hpcspike.sweep.plan import MAX_BATCHES, plan_batches
from hpcspike.sweep.records import planning_lock
from hpcspike.sweep.store import SweepStore, difference, open_store, refuse_unvouched
from hpcspike.sweep.withdrawal import withdraw_all
from hpcspike.variables import LATER_RESULTS

LEAST_BATCHES = 100
"""New batches that a growing sweep may have, however many it has already."""


def ensure_store(path: str | Path, sweep: Sweep, *, grid: Grid | None = None) -> tuple[SweepStore, int]:
    """The store of a sweep at ``path``: made if nothing is there, grown if it holds a part of the sweep.

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
    store, added
        The store, and the number of points that were added to it now.

    Raises
    ------
    StoreError
        If something else is there, or a store of another sweep; the difference is named.
    ResourceError
        If the disk has no room for the finished store.
    """
    path = Path(path)
    if not (path.exists() or path.is_symlink()):
        grid = build_grid(sweep) if grid is None else grid
        withdraw_all(path)
        create_store(path, planned(grid))
        restore_plan(path)
        return open_store(path), grid.n_points
    restore_plan(path)
    store = open_store(path)
    held = grid is None and points_in(store, sweep) is not None
    if held:
        return store, 0
    grid = build_grid(sweep) if grid is None else grid
    if grown(store, grid) is None:
        return store, 0
    with planning_lock(path):
        store = open_store(path)  # another planner may have been faster
        table = grown(store, grid)
        if table is None:
            return store, 0
        try:
            _publish(store, table)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror or error}); nothing was added") from None
    return open_store(path), table.n_points - store.n_points


def ensure_sweep(path: str | Path, sweep: Sweep) -> None:
    """Make a store say that it holds a sweep of the same points, which asks or may cost something else.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    path = Path(path)
    if open_store(path).sweep == sweep:
        return
    with planning_lock(path):
        store = open_store(path)
        refuse_unvouched(store)
        document = read_metadata(path / METADATA)
        title = store.attributes["title"].replace(f" {store.name}:", f" {sweep.name}:", 1)
        said = {"title": title, "name": sweep.name, "sweep": sweep.model_dump_json(), "sweep_hash": sweep_hash(sweep)}
        document["attributes"] |= said
        try:
            write_bytes(path / METADATA, json.dumps(sealed_metadata(document), indent=1).encode())
            complete_plan(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None


def planned(grid: Grid) -> Table:
    """What the store of a new sweep will hold."""
    return first_table(grid, plan_batches(grid.seconds, grid.memory_mib, grid.sweep.batching))


def grown(store: SweepStore, grid: Grid) -> Table | None:
    """What a store will hold when the missing points of a sweep are added; None if it holds them all.

    Raises
    ------
    StoreError
        If the store holds points that the sweep does not, and so belongs to another one.
    """
    if store.attributes["points_hash"] == grid.identity:
        return None
    place = {identity: index for index, identity in enumerate(grid.hashes)}
    there = [str(identity) for identity in store.read("experiment_hash")]
    gone = sum(identity not in place for identity in there if identity)
    if gone:
        raise StoreError(
            f"{store.path} belongs to another sweep: {difference(store, grid.sweep)}. A sweep can grow, but {gone} of "
            f"the {store.n_points} points in the store are not among the {grid.n_points} of this one. Nothing was "
            "changed; give this sweep another name (or another store path), or move the old store away"
        )
    if tests_in_training(grid.sweep) and not tests_in_training(store.sweep):
        raise StoreError(
            f"{store.path} has no room for tests in training (measures.test_every_loops), which the sweep that it was "
            "made for does not have; give this sweep another name (or another store path)"
        )
    refuse_unvouched(store)
    known = set(there)
    new = np.array([index for identity, index in place.items() if identity not in known], dtype=np.int64)
    return _extended(store, grid, there, new) if len(new) else None


def _extended(store: SweepStore, grid: Grid, there: list[str], new: np.ndarray) -> Table:
    factor = calibration(store)
    plan = plan_batches(
        grid.seconds[new] * factor(grid.seconds[new]),
        grid.memory_mib[new],
        grid.sweep.batching,
        chunk=store.chunk,
        most=max(MAX_BATCHES - len(store.batches), LEAST_BATCHES),
    )
    batches = store.batches.followed_by(plan.batches, chunk=store.chunk)
    columns = columns_of(grid, plan, grid_index=new, generation=len(store.sweeps))
    batch = columns["batch"]
    columns["batch"] = replace(batch, values=np.where(batch.values >= 0, batch.values + len(store.batches), -1))
    place = {identity: index for index, identity in enumerate(grid.hashes)}
    grid_index = np.array([place.get(identity, -1) for identity in there])
    space = batches.start[len(store.batches)] - store.n_rows
    joined = {
        name: _joined(_old_rows(store, grid, name, grid_index), column, space, store.group.get(name))
        for name, column in columns.items()
    }
    curves = store.group["curve_correlation"]
    n_loops = max(grid.n_loops, curves.shape[1])
    return Table(
        columns=joined,
        batches=batches,
        chunk=store.chunk,
        n_loops=n_loops,
        loop_chunk=curves.chunks[1],
        loops_by_batch=_loops_by_batch(store, len(batches), n_loops),
        sweep=grid.sweep,
        earlier=(*store.attributes["earlier_sweeps"], store.attributes["sweep"]),
        identity=grid.identity,
        later=tuple(name for name in LATER_RESULTS if name in store.group),
    )


def _loops_by_batch(store: SweepStore, n_batches: int, n_loops: int) -> tuple[tuple[int, int], ...]:
    before = ((batches, loops) for batches, loops in store.attributes[LOOPS])
    return (*before, (n_batches, n_loops))


def _old_rows(store: SweepStore, grid: Grid, name: str, grid_index: np.ndarray) -> np.ndarray:
    """A coordinate of the rows that are there; of an axis that is new, the value they had without it."""
    if name in PLANNED:
        return store.read(name)
    column = grid.coordinates[name]
    rows = np.full(len(grid_index), column.variable.fill, dtype=column.values.dtype)
    rows[grid_index >= 0] = column.values[grid_index[grid_index >= 0]]
    return rows


def _joined(old: np.ndarray, new: Coordinate, space: int, array: Any) -> Coordinate:
    kind, variable = new.values.dtype, new.variable
    stored = variable.dtype if array is None else "str" if array.dtype.kind in "OTU" else str(array.dtype)
    if stored != variable.dtype:
        raise StoreError(
            f"{variable.long_name}: in the store its values are {stored}, with the new points they would be "
            f"{variable.dtype}; give this sweep another name"
        )
    between = np.full(space, variable.fill, dtype=kind)
    return Coordinate(np.concatenate([old.astype(kind), between, new.values]), variable)


def _publish(store: SweepStore, table: Table) -> None:
    """Put a grown table in the place of the old one, whole or not at all.

    The copy of the plan comes first, then chunks of coordinates: with the old ``zarr.json`` their new rows are not
    seen. Then ``zarr.json``, which holds the metadata of all arrays, is replaced; the copies of it beside each array
    follow.
    """
    path = store.path
    check_room(path.parent, table.predicted_bytes())
    with claimed(path):
        unfinished = unfinished_beside(path)
        try:
            write_table(unfinished, table)
            copy_plan(unfinished, path)  # first: from it the new metadata are restored, should they be damaged
            for chunk in sorted(file for file in unfinished.glob("*/c/**/*") if file.is_file()):
                _replace(chunk, path / chunk.relative_to(unfinished))
            _replace(unfinished / "zarr.json", path / "zarr.json")
            for name in set(store.attributes["coordinates"].split()) - {*table.columns, "loop"}:
                remove(path / name)
        finally:
            remove(unfinished)
    complete_plan(path)


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    put_in_place(source, target)
