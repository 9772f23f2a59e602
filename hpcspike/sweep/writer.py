"""Writing results: one batch, its own chunks, on the disk before ``done`` says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.files import flush_folder
from hpcspike.sweep.durable import flush_files
from hpcspike.sweep.integrity import Fault
from hpcspike.sweep.layout import SOMETIMES_WRITTEN, WRITTEN_BY_BATCHES, with_every_chunk, written_to
from hpcspike.sweep.records import receipt_path
from hpcspike.sweep.store import SweepStore
from hpcspike.variables import LATER_RESULTS, TESTED_RESULTS


class BatchWriter:
    """Writes the rows of one batch; nobody else writes its chunks.

    Every flush replaces the batch's chunks of each variable by whole new files and puts them on the disk, then those
    of ``done``, so that whatever ends the process or the machine leaves each point either absent or complete.

    What is damaged is given up before anything is read: first the receipt, then ``done``, so that no reader believes
    the rows until they have been computed anew.

    Attributes
    ----------
    points
        Rows of the batch's points.
    faults
        What was damaged, and has been given up.
    """

    def __init__(self, store: SweepStore, batch: int) -> None:
        rows = store.batches.rows(batch)
        self.points = store.points(batch)
        self._path, self._slice = store.path, slice(rows.start, rows.stop)
        self._positions = range(rows.start // store.chunk, -(-rows.stop // store.chunk))
        _check_sole_writer(store, rows)
        self._sweep_partial_files()
        self.faults = _give_up_damage(store, batch)
        self._arrays = {name: with_every_chunk(store.group[name]) for name in written_to(store.group)}
        self._chunk = {name: np.array(store.read(name, self._slice)) for name in self._arrays}
        self._waiting: list[int] = []

    def missing(self) -> list[int]:
        """Rows of the points that are not done yet."""
        done = self._chunk["done"]
        return [row for row in self.points if done[row - self._slice.start] != 1]

    def runs(self) -> dict[int, int]:
        """Number of the provenance record of each row that is done."""
        done = set(self.points) - set(self.missing())
        return {row: int(self._chunk["run"][row - self._slice.start]) for row in sorted(done)}

    def forget(self, rows: list[int]) -> None:
        """Take rows as not done, so that they are computed anew."""
        self._chunk["done"][[row - self._slice.start for row in rows]] = 0

    def add(self, row: int, values: dict[str, Any]) -> None:
        """Take one finished point, to be written by the next flush.

        Parameters
        ----------
        row
            Row of the store.
        values
            Every variable of POINT_RESULTS and POINT_PROVENANCE but ``done``, and of TESTED_RESULTS if there were
            tests; a curve may be shorter than the store's.
        """
        expected = (WRITTEN_BY_BATCHES.keys() | (set(LATER_RESULTS) & self._arrays.keys())) - {"done"}
        # a store that is older than a result goes on without it
        values = {name: value for name, value in values.items() if name not in LATER_RESULTS or name in self._arrays}
        if values.keys() - (TESTED_RESULTS.keys() & self._arrays.keys()) != expected:
            raise ValueError(
                f"a point needs {sorted(expected - values.keys())}, not {sorted(values.keys() - expected)}"
            )
        place = row - self._slice.start
        self._waiting.append(place)
        for name, value in values.items():
            chunk = self._chunk[name]
            if chunk.ndim == 1:
                chunk[place] = value
            else:
                chunk[place] = self._arrays[name].fill_value
                chunk[place, : len(value)] = value

    def flush(self) -> None:
        """Put the points that were added on disk."""
        if not self._waiting:
            return
        results = [name for name in self._arrays if name != "done"]
        for name in results:
            self._arrays[name][self._slice] = self._chunk[name]
        flush_files((file for name in results for file in self._files(name)), up_to=self._path)
        self._chunk["done"][self._waiting] = 1
        self._arrays["done"][self._slice] = self._chunk["done"]
        flush_files(self._files("done"), up_to=self._path)
        self._waiting.clear()

    def _files(self, name: str) -> list[Path]:
        places = [self._path / name / "c" / str(position) for position in self._positions]
        return [file for place in places for file in (sorted(place.iterdir()) if place.is_dir() else [place])]

    def _sweep_partial_files(self) -> None:
        """Remove files that a killed process left half-written in this batch's chunks (others may be writing)."""
        for name in (*WRITTEN_BY_BATCHES, *SOMETIMES_WRITTEN):
            folder = self._path / name / "c"
            for position in self._positions:
                leftovers = (*folder.glob(f"{position}.*.partial"), *(folder / str(position)).glob("*.partial"))
                for leftover in leftovers:
                    leftover.unlink(missing_ok=True)


def _give_up_damage(store: SweepStore, batch: int) -> list[Fault]:
    """Make what is damaged in a batch absent, in an order that leaves no moment at which it is believed."""
    assert store.inventory is not None  # stores without checksums are not written to
    _remove_what_done_does_not_vouch_for(store, batch)
    faults = list(store.inventory.faults_of_batch(batch))
    if not faults:
        return faults
    receipt = receipt_path(store.path, batch)
    receipt.unlink(missing_ok=True)
    flush_folder(receipt.parent)
    done = store.path / "done" / "c"
    for position in {fault.chunk.place[0] for fault in faults if fault.chunk is not None}:
        (done / str(position)).unlink(missing_ok=True)
    flush_folder(done)
    for fault in faults:
        if fault.chunk is not None:
            (store.path / fault.chunk.key).unlink(missing_ok=True)
    return faults


def _remove_what_done_does_not_vouch_for(store: SweepStore, batch: int) -> None:
    """Remove chunks that a process wrote which ended before ``done``: whatever they hold, their points are missing."""
    assert store.inventory is not None
    for position in store.inventory.positions(batch):
        if not (store.path / "done" / "c" / str(position)).exists():
            for chunk in store.inventory.of_batch(batch, position):
                (store.path / chunk.key).unlink(missing_ok=True)


def _check_sole_writer(store: SweepStore, rows: range) -> None:
    # neither zarr nor xarray checks this, and rows of a shared chunk are lost without an error
    for name in WRITTEN_BY_BATCHES:
        array = store.group[name]
        lengths = {(array.shards or array.chunks)[0], _own_chunk(store, name)}
        whole = all(row % length == 0 for length in lengths for row in (rows.start, rows.stop) if row < store.n_rows)
        if not whole or len(lengths) > 1:
            raise StoreError(
                f"{store.path}: rows {rows.start} to {rows.stop - 1} share a chunk of {name} ({max(lengths)} rows) "
                "with other batches; the store is damaged or was rechunked, make it anew"
            )


def _own_chunk(store: SweepStore, name: str) -> int:
    """Rows of a chunk (or shard) as the array's own metadata have it."""
    try:
        metadata = json.loads((store.path / name / "zarr.json").read_text())
        return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{store.path}: {name}/zarr.json cannot be read; the store is damaged, make it anew") from None
