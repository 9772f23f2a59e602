"""Small files beside a store: provenance of every batch process, receipts of finished steps, and one lock per batch."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from hpcspike.errors import StoreError


def runs_folder(store: Path) -> Path:
    """Where the provenance records of a store lie."""
    return store.with_name(store.name + ".runs")


def receipts_folder(store: Path) -> Path:
    """Where the receipts of a store lie."""
    return store.with_name(store.name + ".receipts")


def receipt_path(store: Path, batch: int) -> Path:
    """The file that says that a batch is complete."""
    return receipts_folder(store) / f"batch-{batch:04d}.json"


def write_durably(path: Path, document: dict[str, Any]) -> None:
    """Write JSON under a temporary name, flush it to the disk, and rename: whole or absent, also after power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; the rename itself has happened
        pass
    finally:
        os.close(handle)


class RunRecord:
    """The provenance record of one batch process; its number is what a point's ``run`` holds."""

    def __init__(self, store: Path, document: dict[str, Any]) -> None:
        folder = runs_folder(store)
        folder.mkdir(parents=True, exist_ok=True)
        self.number = _reserve(folder)
        self.path = _record_path(folder, self.number)
        self.document = document
        self.save()

    def save(self, **more: Any) -> None:
        """Write the record with further entries."""
        self.document |= more
        write_durably(self.path, self.document)


def read_records(store: Path) -> dict[int, dict[str, Any]]:
    """All provenance records of a store by number; one that a killed process only reserved is empty."""
    records = {}
    for path in sorted(runs_folder(store).glob("[0-9]*.json")):
        try:
            records[int(path.stem)] = json.loads(path.read_text())
        except ValueError:
            records[int(path.stem)] = {}
    return records


def _record_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.json"


def _reserve(folder: Path) -> int:
    """A number that no other process has, also on a shared file system: exclusive creation decides."""
    number = max((int(path.stem) for path in folder.glob("[0-9]*.json")), default=-1) + 1
    while True:
        try:
            os.close(os.open(_record_path(folder, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            return number
        except FileExistsError:
            number += 1


@contextmanager
def batch_lock(store: Path, batch: int, *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a batch: one process at a time writes its chunks. A killed process lets go by itself.

    Parameters
    ----------
    store, batch
        Which batch.
    waiting
        Called with a message if another process holds it, which is then waited for: a workflow that was killed leaves
        its jobs running, and they may be about to finish this batch.
    """
    import fcntl

    with _lock_file(_batch_lock_path(store, batch)) as file:
        if not _acquire(file):
            if waiting is not None:
                waiting(f"batch {batch} is being computed by {_holder(file)}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        _sign(file)
        yield


def batch_holders(store: Path, batches: list[int]) -> dict[int, str]:
    """Which of some batches are being computed now, and by whom."""
    import fcntl

    found = {}
    for batch in batches:
        try:
            with open(_batch_lock_path(store, batch)) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found[batch] = _holder(file)
        except OSError:  # never begun, or a file system without locks
            continue
    return found


def workflow_lock(store: Path) -> TextIO:
    """Hold a sweep for one workflow, as long as the returned file is open; a killed process lets go by itself.

    Raises
    ------
    StoreError
        If another workflow runs this sweep, or the folder cannot be written.
    """
    file = _lock_file(runs_folder(store) / "workflow.lock")
    if not _acquire(file):
        with file:
            raise StoreError(f"{store}: another workflow runs this sweep ({_holder(file)}); wait for it or stop it")
    _sign(file)
    return file


@contextmanager
def planning_lock(store: Path) -> Iterator[None]:
    """Hold the metadata of a store while points are added to it; another planner is waited for."""
    import fcntl

    with _lock_file(runs_folder(store) / "plan.lock") as file:
        if not _acquire(file):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _batch_lock_path(store: Path, batch: int) -> Path:
    return runs_folder(store) / f"batch-{batch:04d}.lock"


def _lock_file(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+")
    except OSError as error:
        raise StoreError(
            f"{path.parent}: cannot be written ({error.strerror}); check the folder's permissions"
        ) from None


def _acquire(file: TextIO) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # this file system has no locks; whole-chunk renames still keep every file readable
    return True


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip() or "another process"


def _sign(file: TextIO) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
