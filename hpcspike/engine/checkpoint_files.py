"""Checkpoints on disk: one file per block of neurons, a manifest that vouches for them, whole or absent.

``folder/checkpoint-<steps>/`` holds ``block-<rank>.bin`` and ``manifest.json``. A block file is the arrays of its
neurons one after the other, each from a multiple of 64 bytes on; arrays with rows of unequal length are preceded by
their row lengths (int64). The manifest says where they lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike import files
from hpcspike.errors import StoreError
from hpcspike.files import is_unfinished, unfinished_beside
from hpcspike.state import StateArray

MANIFEST = "manifest.json"
SCHEMA = 1
"""Version of the layout; another one is not read."""

_PIECE_BYTES = 16 << 20
_ALIGNMENT = 64
_NAME = re.compile(r"checkpoint-(\d+)")
_OTHER_VERSION = ": another version of hpcspike wrote it; go on with that version, or start anew in another folder"


class Damaged(Exception):
    """A checkpoint that is not as it was written; the message says what is wrong with it."""


def checkpoint_path(folder: Path, steps: int) -> Path:
    """Where the checkpoint after so many steps lies."""
    return folder / f"checkpoint-{steps:012d}"


def unfinished_path(folder: Path, steps: int) -> Path:
    """Where it is while it is being written."""
    return unfinished_beside(checkpoint_path(folder, steps))


def steps_of(path: Path) -> int:
    """Steps after which a checkpoint was written."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints of a folder, newest first, whether they are valid or not."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=steps_of, reverse=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed run left half-written; the caller holds the folder's lock."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_unfinished(path):
            files.remove(path)


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_block(path: Path, arrays: list[StateArray], n_rows: int) -> dict[str, Any]:
    """Write the arrays of a block durably; returns its entry in the manifest: name, size, sha256, arrays."""
    digest = hashlib.sha256()
    index: dict[str, dict[str, Any]] = {}
    with open(path, "xb", buffering=0) as file:

        def write(values: np.ndarray) -> None:
            view = memoryview(np.ascontiguousarray(values).view(np.uint8).data)
            digest.update(view)
            done = 0
            while done < len(view):
                done += file.write(view[done:])

        for array in arrays:
            lengths = array.row_lengths(n_rows)
            entry: dict[str, Any] = {"dtype": array.dtype.str, "per_row": array.lengths, "entries": int(lengths.sum())}
            if not isinstance(array.lengths, int):
                entry |= {"per_row": None, "lengths_at": _align(file.tell(), write)}
                write(lengths)
            entry["at"] = _align(file.tell(), write)
            for low, high in pieces(lengths * array.dtype.itemsize):
                write(array.take(low, high))
            index[array.name] = entry
        size = file.tell()
        os.fsync(file.fileno())
    return {"name": path.name, "size": size, "sha256": digest.hexdigest(), "arrays": index}


def _align(place: int, write: Any) -> int:
    padding = -place % _ALIGNMENT
    write(np.zeros(padding, dtype=np.uint8))
    return place + padding


def pieces(row_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Stretches of rows of about `_PIECE_BYTES` each, at least one row."""
    ends, low, done = np.cumsum(row_bytes), 0, 0
    while low < len(ends):
        high = max(low + 1, int(np.searchsorted(ends, done + _PIECE_BYTES, side="right")))
        yield low, high
        low, done = high, int(ends[high - 1])


def write_manifest(folder: Path, document: dict[str, Any]) -> None:
    """Write the manifest durably, with a digest of itself."""
    # no newline at its end: every byte that is cut off shows
    files.write_bytes(folder / MANIFEST, json.dumps({"sha256": _digest(document), **document}, indent=1).encode())


def put_in_place(unfinished: Path, path: Path) -> None:
    """Give a finished checkpoint its name, in one rename."""
    if path.exists():  # damaged, or it would not be written again
        remove(path)
    files.put_in_place(unfinished, path)


def remove(path: Path) -> None:
    """Remove a checkpoint; at no time does a part of it look like one."""
    removed = unfinished_beside(path)
    os.rename(path, removed)
    files.remove(removed)


def prune(folder: Path, newest: Path, keep: int) -> None:
    """Keep ``newest`` and the ones before it, ``keep`` in all; one that claims to be newer was found damaged."""
    kept = [path for path in checkpoints_in(folder) if steps_of(path) <= steps_of(newest)][:keep]
    for path in checkpoints_in(folder):
        if path not in kept:
            remove(path)


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint; `Damaged` if it is missing or not as it was written."""
    try:
        document = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise Damaged(f"{MANIFEST} is missing") from None
    except (OSError, ValueError) as error:
        raise Damaged(f"{MANIFEST} cannot be read ({error})") from None
    if not isinstance(document, dict) or document.pop("sha256", None) != _digest(document):
        raise Damaged(f"{MANIFEST} is not as it was written")
    return document


def checkpoint_faults(path: Path) -> list[str]:
    """What is wrong with a checkpoint, in words."""
    try:
        document = read_manifest(path)
    except Damaged as damage:
        return [str(damage)]
    entries = document.get("files", [])  # a learner's state is vouched for otherwise, see hpcspike/learners/saving.py
    return [reason for reason in (verify_block(path, entry) for entry in entries) if reason is not None]


def verify_block(path: Path, entry: dict[str, Any]) -> str | None:
    """What is wrong with a block file, or None."""
    file, digest = path / entry["name"], hashlib.sha256()
    try:
        size = file.stat().st_size
        if size != entry["size"]:
            return f"{file.name} has {size:,} bytes, not {entry['size']:,}"
        with open(file, "rb", buffering=0) as opened:
            while piece := opened.read(_PIECE_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        return f"{file.name} is missing"
    except OSError as error:
        return f"{file.name} cannot be read ({error.strerror})"
    return None if digest.hexdigest() == entry["sha256"] else f"{file.name} is not as it was written"


def read_rows(
    path: Path, entry: dict[str, Any], array: StateArray, *, rows: tuple[int, int], lengths: np.ndarray, into: int
) -> None:
    """Set rows of a live array, from row ``into`` on, to ``rows`` (first, end) of a block file.

    ``lengths``: entries of each of these rows in the live array. Nothing else of the file is read.
    """
    file, saved = path / entry["name"], entry["arrays"].get(array.name)
    if saved is None or np.dtype(saved["dtype"]) != array.dtype:
        raise StoreError(f"{file} does not hold {array.name} as {array.dtype}{_OTHER_VERSION}")
    first, end = rows
    if saved["per_row"] is None:
        written = np.fromfile(file, np.int64, end, offset=saved["lengths_at"])
    else:
        written = np.full(end, saved["per_row"], dtype=np.int64)
    if not np.array_equal(written[first:], lengths):
        raise StoreError(f"{file}: the rows of {array.name} have other lengths than in this network{_OTHER_VERSION}")
    at = saved["at"] + int(written[:first].sum()) * array.dtype.itemsize
    for low, high in pieces(lengths * array.dtype.itemsize):
        count = int(lengths[low:high].sum())
        values = np.fromfile(file, array.dtype, count, offset=at)
        if len(values) != count:
            raise StoreError(f"{file} ends within {array.name}: it was changed while it was read")
        array.put(into + low, into + high, values)
        at += values.nbytes
