"""One training at a time saves its state in a folder: two would remove and go on from each other's checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcspike.engine.communication import World
from hpcspike.errors import StoreError
from hpcspike.files import Busy
from hpcspike.locks import Locked, let_go, take

LOCK = ".lock"
"""The file in a folder of checkpoints that the process training there holds; it is gone when no process does."""


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
    lock = folder / LOCK
    world.agree(lambda: _take(lock) if world.rank == 0 else None)
    try:
        yield
    finally:
        if world.rank == 0:
            let_go(lock)


def _take(lock: Path) -> None:
    folder = lock.parent
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file: checkpoints need a folder; choose another path")
    try:
        take(lock)
    except Locked as locked:
        raise Busy(
            f"{folder}: another training saves its state there ({locked.holder}); wait for it or stop it, or choose "
            "another folder"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{folder}: checkpoints cannot be written ({reason}); choose another path") from None
