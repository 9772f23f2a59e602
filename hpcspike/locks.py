"""Lock files: one process at a time holds such a file, and a killed one lets go of it by itself."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hpcspike.errors import StoreError


def open_lock(path: Path) -> TextIO:
    """The file to be locked, made with its folder where they are not there; whoever closes it lets go of it.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+")
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{path.parent}: cannot be written ({reason}); check the folder's permissions") from None


def acquire(file: TextIO) -> bool:
    """Take the lock if nobody has it; whether it is held now.

    On a file system without locks it counts as held: what is written is put in place whole all the same.
    """
    return _lock(file) is not False


def _lock(file: TextIO) -> bool | None:
    # None: this file system has no locks
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def wait_for(file: TextIO) -> None:
    """Take the lock as soon as the process that has it lets go."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX)


def sign(file: TextIO) -> None:
    """Write into a lock that is held who holds it."""
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def holder(file: TextIO) -> str:
    """Who holds a lock that could not be taken: its process and machine."""
    file.seek(0)
    return file.read().strip() or "another process"


def holder_now(path: Path) -> str | None:
    """Who holds the lock at ``path`` now; None if nobody does, or if it cannot be known."""
    import fcntl

    try:
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return holder(file)
    except OSError:  # never made, or a file system without locks
        pass
    return None


# ---- locks that leave nothing behind ---------------------------------------------------------------------------------


class Locked(Exception):
    """Another process has the lock; ``holder`` says which."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@dataclass
class _Held:
    # depth: how often this process has taken it; made: folders that were not there before, innermost first
    file: TextIO
    made: list[Path]
    certain: bool
    depth: int = 1


_held: dict[Path, _Held] = {}


def take(lock: Path) -> None:
    """Hold a lock file, made with its folder; a process that holds it already may take it again.

    Raises
    ------
    Locked
        If another process holds it.
    OSError
        If it cannot be made.
    """
    place = _place(lock)
    if place in _held:
        _held[place].depth += 1
        return
    made = [path for path in place.parents if not path.exists()]
    try:
        file, certain = _locked_file(place)
    except (OSError, Locked):
        _remove_empty(made)
        raise
    with contextlib.suppress(OSError):  # on a full disk it holds as well without a name in it
        sign(file)
    _held[place] = _Held(file, made, certain)


def let_go(lock: Path) -> None:
    """Let go of a lock as often as it was taken; then its file is removed, and empty folders made for it."""
    place = _place(lock)
    held = _held[place]
    held.depth -= 1
    if held.depth:
        return
    del _held[place]
    with contextlib.suppress(OSError), held.file:  # removed while it is held: nobody else's is removed
        os.unlink(place)
    _remove_empty(held.made)


def is_certain(lock: Path) -> bool:
    """Whether a lock that this process holds keeps others out: some file systems have no locks."""
    return _held[_place(lock)].certain


def _place(lock: Path) -> Path:
    return Path(os.path.realpath(lock.parent), lock.name)


def _locked_file(place: Path) -> tuple[TextIO, bool]:
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = open(place, "a+")
        taken = _lock(file)
        if taken is False:
            with file:
                raise Locked(holder(file))
        # who held it may have removed it after it was opened here; then it keeps nobody out
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(place)):
                return file, taken is True
        file.close()


def _remove_empty(folders: list[Path]) -> None:
    for path in folders:
        try:
            path.rmdir()
        except OSError:  # it holds something, or was never made
            return
