"""Where the numbers of a trained network go: a Dataset in memory, or a zarr store that all ranks write together.

Both are filled through the same calls, in the same order, on every rank. Nothing in a store depends on the number of
ranks: chunks follow from the size of the network alone, each is put together on one rank and written by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpcspike import files, zarr_files
from hpcspike.engine.communication import World
from hpcspike.variables import Variable

if TYPE_CHECKING:
    import xarray

CHUNK_BYTES = 8 * 2**20
"""Size of a chunk in memory; a single neuron's row may be larger."""

NOT_REPRODUCIBLE = ("curve_seconds", "provenance", zarr_files.DIGESTS)
"""The variable and the attributes of a store that differ from run to run; all else is the same to the last byte."""


class Output(Protocol):
    """What takes the variables of a trained network."""

    def declare(self, name: str, variable: Variable, shape: tuple[int, ...], *, axis: int | None, single: int) -> None:
        """Announce a variable that `write` will fill.

        Parameters
        ----------
        name, variable, shape
            Its name, its entry in the registry, and the shape of the whole.
        axis
            Axis along which the parts of the ranks follow each other; None: every rank has the whole.
        single
            Number of leading axes that are written one index at a time.
        """

    def write(self, name: str, part: np.ndarray, *, at: tuple[int, ...] = ()) -> None:
        """Fill a variable, at one index of each of its ``single`` axes, with this rank's part of the other axes."""

    def finish(self, attributes: Mapping[str, Any], coordinates: Collection[str]) -> None:
        """Add the attributes of the whole, and say which variables are coordinates, if they are there."""


def put(output: Output, world: World, name: str, variable: Variable, part: Any, *, axis: int | None = None) -> None:
    """Declare and write a variable at once; arguments as those of `Output.declare`."""
    part = np.asarray(part, dtype=variable.dtype)
    shape = list(part.shape)
    if axis is not None:
        shape[axis] = int(_lengths(world, shape[axis]).sum())
    output.declare(name, variable, tuple(shape), axis=axis, single=0)
    output.write(name, part)


class DatasetOutput:
    """A Dataset in memory, on every rank or on one.

    Parameters
    ----------
    world
        The ranks that hold the parts.
    owner
        The only rank that receives the whole; None: every rank does.
    """

    def __init__(self, world: World, *, owner: int | None = None) -> None:
        self._world, self._owner = world, owner
        self._variables: dict[str, tuple[Variable, int | None, int]] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self.dataset: xarray.Dataset | None = None
        """The whole once it is finished, where it is to be."""

    def declare(self, name: str, variable: Variable, shape: tuple[int, ...], *, axis: int | None, single: int) -> None:
        self._variables[name] = variable, axis, single
        if self._owner in (None, self._world.rank):
            # text of any length; fixed-length arrays would cut it
            self._arrays[name] = np.empty(shape, dtype=object if variable.dtype == "str" else variable.dtype)

    def write(self, name: str, part: np.ndarray, *, at: tuple[int, ...] = ()) -> None:
        variable, axis, single = self._variables[name]
        whole: np.ndarray | None = np.asarray(part, dtype=variable.dtype)
        if axis is not None:
            rows = np.moveaxis(np.asarray(part, dtype=variable.dtype), axis - single, 0)
            joined = self._world.concatenate(rows) if self._owner is None else self._world.collect(rows, self._owner)
            whole = None if joined is None else np.moveaxis(joined, 0, axis - single)
        if name in self._arrays:
            self._arrays[name][at] = whole

    def finish(self, attributes: Mapping[str, Any], coordinates: Collection[str]) -> None:
        import xarray

        if self._owner not in (None, self._world.rank):
            return
        data = {
            name: (variable.dims, as_text(self._arrays.pop(name)), dict(variable.attrs))
            for name, (variable, _, _) in self._variables.items()
        }
        present = [name for name in coordinates if name in data]
        self.dataset = xarray.Dataset(data, attrs=dict(attributes)).set_coords(present)


class StoreOutput:
    """A zarr store that the ranks write together, no two of them the same chunk.

    Parameters
    ----------
    world
        The ranks that hold the parts.
    path
        Folder of the store, which all ranks see; must not exist.
    """

    def __init__(self, world: World, path: Path) -> None:
        self._world, self._path = world, path
        self._arrays: dict[str, tuple[Variable, Any, int | None, int]] = {}
        self._ends: dict[str, np.ndarray] = {}
        self._failure: Exception | None = None
        self._on_first(lambda: _zarr().create_group(path, zarr_format=3))
        self._settle()

    def declare(self, name: str, variable: Variable, shape: tuple[int, ...], *, axis: int | None, single: int) -> None:
        chunks = chunk_shape(shape, np.dtype(variable.dtype).itemsize, axis=axis, single=single)
        array = self._on_first(
            lambda: zarr_files.create_array(
                _zarr().open_group(self._path, mode="r+"), name, shape=shape, chunks=chunks, dtype=variable.dtype,
                fill_value="" if variable.dtype == "str" else 0, dimension_names=variable.dims,
                attributes=variable.attrs,
            )
        )  # fmt: skip
        if axis is not None:
            self._settle()
            array = self._attempt(lambda: zarr_files.open_array(self._path / name))
        self._arrays[name] = variable, array, axis, single

    def write(self, name: str, part: np.ndarray, *, at: tuple[int, ...] = ()) -> None:
        world = self._world
        variable, array, axis, single = self._arrays[name]
        if axis is None:
            self._on_first(lambda: _assign(array, at, part))
            return
        self._settle()
        rows = np.moveaxis(np.asarray(part, dtype=variable.dtype), axis - single, 0)
        if name not in self._ends:
            self._ends[name] = np.cumsum(_lengths(world, len(rows)))
        end, length = int(self._ends[name][world.rank]), int(array.chunks[axis])
        first = end - len(rows)
        lows = range(0, int(self._ends[name][-1]), length)
        # one chunk for each rank at a time: collected one after the other, written at once
        for begin in range(0, len(lows), world.size):
            mine: tuple[int, np.ndarray] | None = None
            for owner, low in enumerate(lows[begin : begin + world.size]):
                collected = world.collect(rows[max(low - first, 0) : max(low + length - first, 0)], owner)
                if collected is not None:
                    mine = low, collected
            if mine is not None:
                self._attempt(partial(_assign_rows, array, at, axis, single, *mine))

    def finish(self, attributes: Mapping[str, Any], coordinates: Collection[str]) -> None:
        # from this attribute xarray learns of the coordinates that are not named like their dimension
        present = [name for name in coordinates if name in self._arrays]
        others = " ".join(name for name in present if self._arrays[name][0].dims != (name,))
        everything = {**attributes, **({"coordinates": others} if others else {})}
        self._settle()
        self._on_first(lambda: zarr_files.seal(self._path, everything))
        self._settle()

    def _on_first(self, work: Callable[[], Any]) -> Any:
        return self._attempt(work) if self._world.rank == 0 else None

    def _attempt(self, work: Callable[[], Any]) -> Any:
        """Do something alone; if it fails, every rank hears of it when they next `_settle`."""
        if self._failure is None:
            try:
                return work()
            except Exception as error:  # whatever it is, the others must not be left waiting
                self._failure = error
        return None

    def _settle(self) -> None:
        """Wait for all ranks, and raise on all of them what has failed on one."""
        self._world.agree(self._raise_failure)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def chunk_shape(shape: tuple[int, ...], itemsize: int, *, axis: int | None, single: int) -> tuple[int, ...]:
    """Chunks of about `CHUNK_BYTES`, split along ``axis``; it and ``single`` as in `Output.declare`."""
    chunk = [1] * single + [max(size, 1) for size in shape[single:]]
    if axis is not None:
        row_bytes = itemsize * int(np.prod(chunk, dtype=np.int64)) // chunk[axis]
        most = max(CHUNK_BYTES // row_bytes, 1)
        parts = -(-chunk[axis] // most)
        chunk[axis] = -(-chunk[axis] // parts)
    return tuple(chunk)


def as_text(values: np.ndarray) -> np.ndarray:
    """Text at a fixed length, which every version of xarray, pandas and netCDF understands; numbers as they are."""
    return np.array(values.tolist(), dtype=np.str_) if values.dtype.kind in "OT" else values


@contextmanager
def claimed_over_ranks(path: Path, world: World) -> Iterator[None]:
    """`hpcspike.files.claimed`, by rank 0 for all ranks, which enter the block together."""
    world.agree(lambda: files.claim(path) if world.rank == 0 else None)
    try:
        yield
    finally:
        if world.rank == 0:
            files.release(path)


@contextmanager
def whole_over_ranks(path: Path, world: World) -> Iterator[Path]:
    """`hpcspike.files.whole` for all ranks together: the same temporary path, put in place when all have ended well."""
    first = world.rank == 0
    with claimed_over_ranks(path, world), files.written(path):
        unfinished = world.share(files.unfinished_beside(path))
        try:
            yield unfinished
            world.barrier()
            world.agree(lambda: files.put_in_place(unfinished, path) if first else None)
        finally:
            if first:
                files.remove(unfinished)


def _zarr() -> Any:
    import zarr

    return zarr


def _lengths(world: World, length: int) -> np.ndarray:
    return world.concatenate(np.array([length], dtype=np.int64))


def _assign(array: Any, at: tuple[int, ...], values: np.ndarray) -> None:
    array[(*at, ...)] = values


def _assign_rows(array: Any, at: tuple[int, ...], axis: int, single: int, low: int, rows: np.ndarray) -> None:
    place: list[Any] = [*at] + [slice(None)] * (array.ndim - single)
    place[axis] = slice(low, low + len(rows))
    array[tuple(place)] = np.moveaxis(rows, 0, axis - single)
