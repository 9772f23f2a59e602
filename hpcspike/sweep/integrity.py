"""What vouches for the bytes of a store: a digest in its metadata, a checksum on every chunk, and which must be there.

The metadata of all arrays and the sweep itself stand in the store's ``zarr.json``, which holds a digest of itself.
Every chunk ends in its CRC-32C, and no chunk is left out because it is empty. Chunks of coordinates are always there;
those of results from the moment on at which the chunk of ``done`` beside them is, which is written last; and ``done``
itself once the batch has its receipt. Nothing here needs zarr: files are read as they are.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import google_crc32c

from hpcspike.errors import DamagedStoreError
from hpcspike.sweep.durable import digest_of
from hpcspike.sweep.plan import Batches
from hpcspike.sweep.records import receipt_path
from hpcspike.variables import POINT_PROVENANCE, POINT_RESULTS, TESTED_RESULTS

METADATA = "zarr.json"
"""File of a store that holds the metadata of all its arrays."""

METADATA_DIGEST = "metadata_digest"
"""Attribute of a store that holds the digest of its metadata without this attribute."""

LOOPS = "loops_by_batch"
"""Attribute of a store: pairs of a number of batches and the loops that the store had when the last of them came."""

_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Chunk:
    """One file of an array: its place in the grid of chunks, and the batch that writes it; None: the planner."""

    array: str
    place: tuple[int, ...]
    batch: int | None

    @property
    def key(self) -> str:
        """Path of its file in the store."""
        return "/".join([self.array, "c", *map(str, self.place)])


@dataclass(frozen=True)
class Fault:
    """Something that is not what was written."""

    what: str
    chunk: Chunk | None = None

    def __str__(self) -> str:
        return self.what


def sealed_metadata(document: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a store with their own digest among its attributes."""
    attributes = {key: value for key, value in document["attributes"].items() if key != METADATA_DIGEST}
    content = {**document, "attributes": attributes}
    return {**content, "attributes": {**attributes, METADATA_DIGEST: digest_of(content)}}


def metadata_hold(document: Any) -> bool:
    """Whether the metadata of a store are those that were written, by their digest."""
    try:
        attributes = document["attributes"]
        return bool(attributes[METADATA_DIGEST] == sealed_metadata(document)["attributes"][METADATA_DIGEST])
    except (KeyError, TypeError, AttributeError):
        return False


def bytes_hold(content: bytes | memoryview) -> bool:
    """Whether the bytes of a chunk end in the checksum of the others."""
    inner, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    return len(content) > _CHECKSUM_BYTES and google_crc32c.value(bytes(inner)) == int.from_bytes(checksum, "little")


class Inventory:
    """The chunks that a store must hold, by its metadata.

    Parameters
    ----------
    path
        Folder of the store.
    document
        Its metadata.
    """

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path = path
        self._listed = document["consolidated_metadata"]["metadata"]
        attributes = document["attributes"]
        self._loops: list[list[int]] = attributes[LOOPS]
        self._start: list[int] = Batches.from_json(attributes["batches"]).start
        self._rows = self._chunk_shape("done")[0]

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return len(self._start) - 1

    @cached_property
    def coordinates(self) -> list[str]:
        """Arrays that the planner writes."""
        written = {**POINT_RESULTS, **TESTED_RESULTS, **POINT_PROVENANCE}
        return [name for name in self._listed if name not in written]

    @cached_property
    def results(self) -> list[str]:
        """Arrays that batches write, ``done`` last."""
        return [*(name for name in self._listed if name not in {*self.coordinates, "done"}), "done"]

    @cached_property
    def _batch_of_chunk(self) -> list[int]:
        owners: list[int] = []
        for batch in range(self.n_batches):
            owners += [batch] * (-(-self._start[batch + 1] // self._rows) - len(owners))
        return owners

    def _chunk_shape(self, name: str) -> list[int]:
        shape: list[int] = self._listed[name]["chunk_grid"]["configuration"]["chunk_shape"]
        return shape

    def _counts(self, name: str) -> list[int]:
        return [-(-n // k) for n, k in zip(self._listed[name]["shape"], self._chunk_shape(name), strict=True)]

    def of_plan(self) -> Iterator[Chunk]:
        """Chunks of the coordinates."""
        for name in self.coordinates:
            for place in itertools.product(*map(range, self._counts(name))):
                yield Chunk(name, place, None)

    def positions(self, batch: int) -> range:
        """Positions, in the direction of points, of the chunks that a batch owns."""
        return range(self._start[batch] // self._rows, -(-self._start[batch + 1] // self._rows))

    def of_batch(self, batch: int, position: int) -> Iterator[Chunk]:
        """Chunks of results beside one another at one position of a batch, ``done`` last."""
        for name in self.results:
            for rest in itertools.product(*map(range, self._counts(name)[1:])):
                yield Chunk(name, (position, *rest), batch)

    def chunk_at(self, key: str) -> Chunk | None:
        """The chunk that has this file, None if it is none."""
        name, separator, place = key.partition("/c/")
        numbers = place.split("/")
        if not separator or name not in self._listed or not all(number.isdigit() for number in numbers):
            return None
        at = tuple(map(int, numbers))
        if name in self.coordinates:
            return Chunk(name, at, None)
        return Chunk(name, at, self._batch_of_chunk[at[0]]) if at[0] < len(self._batch_of_chunk) else None

    def must_be_there(self, chunk: Chunk) -> bool:
        """Whether a chunk that is missing was there once, and is not just still to be written."""
        if chunk.batch is None:
            return True
        if chunk.array == "done":
            return receipt_path(self.path, chunk.batch).exists()
        if len(chunk.place) > 1:
            # loops that longer trainings have added since: without a file they are NaN, as they are with one
            loops = next(loops for batches, loops in self._loops if chunk.batch < batches)
            if chunk.place[1] * self._chunk_shape(chunk.array)[1] >= loops:
                return False
        return (self.path / Chunk("done", chunk.place[:1], chunk.batch).key).exists()

    def fault(self, chunk: Chunk, content: bytes | memoryview | None) -> Fault | None:
        """What is wrong with the content of a chunk, None: there is no such file."""
        if content is None:
            return Fault(f"{_named(chunk)} is missing", chunk) if self.must_be_there(chunk) else None
        return None if bytes_hold(content) else Fault(f"{_named(chunk)} is damaged", chunk)

    def faults_of_plan(self) -> Iterator[Fault]:
        """What is wrong with the coordinates."""
        yield from filter(None, map(self._checked, self.of_plan()))

    def faults_of_batch(self, batch: int) -> Iterator[Fault]:
        """What is wrong with the results of a batch, as far as it says that they are there."""
        for position in self.positions(batch):
            done = Chunk("done", (position,), batch)
            if (self.path / done.key).exists():
                yield from filter(None, map(self._checked, self.of_batch(batch, position)))
            elif self.must_be_there(done):
                yield Fault(f"{_named(done)} is missing", done)

    def holds(self, position: int) -> bool:
        """Whether all results at one position are what was written."""
        if position >= len(self._batch_of_chunk):
            return False
        return not any(map(self._checked, self.of_batch(self._batch_of_chunk[position], position)))

    def _checked(self, chunk: Chunk) -> Fault | None:
        return self.fault(chunk, read_bytes(self.path / chunk.key))

    def damaged(self, fault: Fault) -> DamagedStoreError:
        """The error of a fault, with what to do about it."""
        remedy = "run the same workflow again"
        if fault.chunk is not None and fault.chunk.batch is not None:
            remedy += f", or 'hpcspike run-batch {self.path} --batch {fault.chunk.batch}': its points are computed anew"
        else:
            remedy += f", or 'hpcspike run-batch {self.path} --batch 0': the plan is restored from its copy"
        return DamagedStoreError(f"{self.path}: {fault}; {remedy}. 'hpcspike verify {self.path}' names all damage")


def read_bytes(path: Path) -> bytes | None:
    """Content of a file, None if there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        return b""


def read_metadata(path: Path) -> Any:
    """The metadata file of a store or array as JSON, None if it cannot be read as such."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _named(chunk: Chunk) -> str:
    owner = "of the plan" if chunk.batch is None else f"of batch {chunk.batch}"
    return f"chunk {chunk.key} of {chunk.array} ({owner})"
