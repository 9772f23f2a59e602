"""Files and folders that are whole or absent: a name of their own while they are written, the disk, one rename.

A name of what is not finished holds `UNFINISHED` and a random token, so that no two processes ever choose the same one,
on whatever machine and under whatever process number. What a killed process left is recognised by the lock of the path
it was writing (`claim`): whoever holds that lock is its only writer, so that all unfinished names beside it are
abandoned.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpcspike.errors import ResourceError, StoreError
from hpcspike.locks import Locked, is_certain, let_go, take

UNFINISHED = ".writing-"
"""Part of the name of what is not finished, or of what is being removed."""

_LONGEST_NAME = 160
"""Bytes of a name that go into names beside it; file systems allow 255."""


class Busy(StoreError):
    """Another process writes there."""


# ---- names -----------------------------------------------------------------------------------------------------------


def unfinished_beside(path: Path) -> Path:
    """A new name in the folder of ``path`` for what will take its place; it has the same suffix."""
    return path.with_name(f"{_mark(path)}{secrets.token_hex(8)}{path.suffix[:16]}")


def is_unfinished(path: Path) -> bool:
    """Whether a name is that of something unfinished."""
    return path.name.startswith(".") and UNFINISHED in path.name


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left unfinished beside ``path``; the caller is known to be its only writer."""
    with contextlib.suppress(OSError):  # they do no harm
        for leftover in path.parent.glob(f"{glob.escape(_mark(path))}*"):
            remove(leftover)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _mark(path: Path) -> str:
    return f".{_short(path.name)}{UNFINISHED}"


def _short(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    return os.fsdecode(encoded[:64]) + "-" + hashlib.sha256(encoded).hexdigest()[:32]


# ---- onto the disk ---------------------------------------------------------------------------------------------------


def put_in_place(unfinished: Path, path: Path) -> None:
    """Flush a finished file or folder to the disk and give it its name, in one rename.

    A file takes the place of a file that is there; a folder that of an empty folder only.

    Raises
    ------
    OSError
        If it cannot be done; ``path`` is as it was then.
    """
    flush(unfinished)
    os.replace(unfinished, path)
    flush_folder(path.parent)


def flush(path: Path) -> None:
    """Make the contents of a file, or of a folder and of all below it, durable."""
    if not path.is_dir():
        _sync(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            _sync(Path(folder, name))
        flush_folder(Path(folder))


def flush_folder(folder: Path) -> None:
    """Make new names in a folder durable, where the file system has that."""
    with contextlib.suppress(OSError):  # some network file systems refuse; the rename itself has happened
        _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file: whole or absent, also after power loss; its folder is made.

    No lock is taken: of several processes that write the same path, one wins.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_beside(path)
    try:
        with open(unfinished, "xb") as file:  # with the permissions that the umask leaves
            file.write(content)
        put_in_place(unfinished, path)
    except BaseException:
        remove(unfinished)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write a document as JSON, as `write_bytes` does."""
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


# ---- one writer ------------------------------------------------------------------------------------------------------


def claim(path: Path) -> None:
    """Be the only process that writes ``path``, until `release`; may be done again by the one that does.

    Its folder is made, and what killed processes left unfinished is removed. A killed process lets go by itself.

    Raises
    ------
    Busy
        If another process writes it now.
    StoreError
        If nothing can be written there.
    """
    try:
        take(_lock_of(path))
    except Locked as locked:
        raise Busy(f"{path}: {locked.holder} writes it now; wait for it or stop it, or choose another path") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None
    if is_certain(_lock_of(path)):
        remove_leftovers(path)


def release(path: Path) -> None:
    """Let others write ``path``; folders made for it are removed again if it did not come to be."""
    let_go(_lock_of(path))


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the `claim` to a path while the block lasts."""
    claim(path)
    try:
        yield
    finally:
        release(path)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` when the block ends well, and is removed otherwise.

    Raises
    ------
    Busy, StoreError
        As `claim`.
    ResourceError
        If it cannot be written, as on a full disk.
    """
    with claimed(path), written(path):
        unfinished = unfinished_beside(path)
        try:
            yield unfinished
            put_in_place(unfinished, path)
        finally:
            remove(unfinished)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Give what the operating system refuses while ``path`` is written the words of a user."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of a library, about something that it read
            raise
        raise ResourceError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was left behind; make room, or choose "
            "another path"
        ) from error


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{_short(path.name)}.lock")
