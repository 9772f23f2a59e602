"""One training at a time saves its state in a folder: two would remove and go on from each other's checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hpcspike.engine.communication import World
from hpcspike.errors import StoreError
from hpcspike.locks import acquire, holder, sign

LOCK = ".lock"
"""The file in a folder of checkpoints that the process training there holds; it is gone when no process does."""


class Busy(StoreError):
    """Another process trains with this folder of checkpoints."""


@dataclass
class _Held:
    # depth: how many blocks of this process hold the folder; made: folders that were not there before, innermost first
    file: TextIO
    made: list[Path]
    depth: int = 1


_held: dict[Path, _Held] = {}


@contextmanager
def held(folder: Path, world: World) -> Iterator[None]:
    """Keep other processes from training with a folder of checkpoints while the block lasts.

    All ranks enter it together; rank 0 holds the lock for all, and a killed job lets go of it by itself. The folder is
    made if it is not there, and removed after the block if nothing was saved. A process that holds a folder may enter
    again: the command line holds it from beginning to end, and training, which others call too, does so once more.

    Raises
    ------
    Busy
        On all ranks, if another process holds the folder.
    StoreError
        On all ranks, if it is a file or cannot be written.
    """
    place = folder.resolve()
    world.agree(lambda: _take(place, folder) if world.rank == 0 else None)
    try:
        yield
    finally:
        if world.rank == 0:
            _let_go(place)


def _take(place: Path, folder: Path) -> None:
    if place in _held:
        _held[place].depth += 1
        return
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file: checkpoints need a folder; choose another path")
    made = [path for path in (place, *place.parents) if not path.exists()]
    try:
        file = _locked_file(folder)
    except OSError as error:
        _remove_empty(made)
        reason = error.strerror or error
        raise StoreError(f"{folder}: checkpoints cannot be written ({reason}); choose another path") from None
    sign(file)
    _held[place] = _Held(file, made)


def _locked_file(folder: Path) -> TextIO:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "a+")
        if not acquire(file):
            with file:
                raise Busy(
                    f"{folder}: another training saves its state there ({holder(file)}); wait for it or stop it, or "
                    "choose another folder"
                )
        # who held it may have removed it after it was opened here; then it keeps nobody out
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK)):
                return file
        file.close()


def _let_go(place: Path) -> None:
    lock = _held[place]
    lock.depth -= 1
    if lock.depth:
        return
    del _held[place]
    with contextlib.suppress(OSError), lock.file:  # removed while it is held: nobody else's is removed
        os.unlink(place / LOCK)
    _remove_empty(lock.made)


def _remove_empty(folders: list[Path]) -> None:
    for path in folders:
        try:
            path.rmdir()
        except OSError:  # it holds something, or was never made
            return
