"""Lock files: one process at a time holds such a file, and a killed one lets go of it by itself."""

from __future__ import annotations

import os
import socket
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
    """Take the lock if nobody has it; whether it is held now."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # this file system has no locks; what is written is put in place whole all the same
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
