"""Writing results: one batch, its own chunks, ``done`` last."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.sweep.layout import WRITTEN_BY_BATCHES
from hpcspike.sweep.store import SweepStore


class BatchWriter:
    """Writes the rows of one batch; nobody else writes its chunks.

    Every flush replaces the batch's chunks of each variable by whole new files, ``done`` last, so that a process killed
    at any moment leaves each point either absent or complete.

    Attributes
    ----------
    points
        Rows of the batch's points.
    """

    def __init__(self, store: SweepStore, batch: int) -> None:
        rows = store.batches.rows(batch)
        self.points = store.points(batch)
        self._slice = slice(rows.start, rows.stop)
        _check_sole_writer(store, rows)
        _sweep_partial_files(store, rows)
        self._arrays = {name: store.group[name] for name in WRITTEN_BY_BATCHES}
        self._chunk = {name: np.array(array[self._slice]) for name, array in self._arrays.items()}
        self._waiting: list[int] = []

    def missing(self) -> list[int]:
        """Rows of the points that are not done yet."""
        done = self._chunk["done"]
        return [row for row in self.points if done[row - self._slice.start] != 1]

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
        place = row - self._slice.start
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
    except (OSError, ValueError, KeyError):
        raise StoreError(f"{store.path}: {name}/zarr.json cannot be read; the store is damaged, make it anew") from None


def _sweep_partial_files(store: SweepStore, rows: range) -> None:
    """Remove files that a killed process left half-written in this batch's chunks (other batches may be writing)."""
    for name in WRITTEN_BY_BATCHES:
        folder = store.path / name / "c"
        for chunk in range(rows.start // store.chunk, -(-rows.stop // store.chunk)):
            for leftover in (*folder.glob(f"{chunk}.*.partial"), *(folder / str(chunk)).glob("*.partial")):
                leftover.unlink(missing_ok=True)
