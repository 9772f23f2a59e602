"""Small files beside a store: provenance of every batch process, receipts of finished steps, and one lock per batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from hpcspike.errors import StoreError
from hpcspike.locks import acquire, holder, holder_now, open_lock, sign, wait_for
from hpcspike.sweep.durable import read_unless_changed, write_durably


def runs_folder(store: Path) -> Path:
    """Where the provenance records of a store lie."""
    return store.with_name(store.name + ".runs")


def receipts_folder(store: Path) -> Path:
    """Where the receipts of a store lie."""
    return store.with_name(store.name + ".receipts")


def plan_copy_path(store: Path) -> Path:
    """The copy of what the planner wrote: metadata and coordinates."""
    return runs_folder(store) / "plan.zip"


def receipt_path(store: Path, batch: int) -> Path:
    """The file that says that a batch is complete."""
    return receipts_folder(store) / f"batch-{batch:04d}.json"


def round_path(store: Path, number: int) -> Path:
    """The file that says which batches a round of an adaptive sweep has, or why there are no more rounds."""
    return receipts_folder(store) / f"round-{number:04d}.json"


class RunRecord:
    """The provenance record of one batch process; its number is what a point's ``run`` holds."""

    def __init__(self, store: Path, document: dict[str, Any]) -> None:
        folder = runs_folder(store)
        folder.mkdir(parents=True, exist_ok=True)
        self.number = _reserve(folder)
        self.path = record_path(store, self.number)
        self.document = document
        self.save()

    def save(self, **more: Any) -> None:
        """Write the record with further entries."""
        self.document |= more
        write_durably(self.path, self.document)


def read_records(store: Path) -> dict[int, dict[str, Any]]:
    """All provenance records of a store by number; one that is damaged, or was only reserved, is empty."""
    paths = sorted(runs_folder(store).glob("[0-9]*.json"))
    return {int(path.stem): read_unless_changed(path) or {} for path in paths if path.stem.isdigit()}


def record_path(store: Path, number: int) -> Path:
    """File of one provenance record."""
    return _record_path(runs_folder(store), number)


def _record_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.json"


def _reserve(folder: Path) -> int:
    """A number that no other process has, also on a shared file system: exclusive creation decides."""
    number = max((int(path.stem) for path in folder.glob("[0-9]*.json")), default=-1) + 1
    while True:
        try:
            os.close(os.open(_record_path(folder, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
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
    with open_lock(_batch_lock_path(store, batch)) as file:
        if not acquire(file):
            if waiting is not None:
                waiting(f"batch {batch} is being computed by {holder(file)}; waiting for it")
            wait_for(file)
        sign(file)
        yield


def batch_holders(store: Path, batches: list[int]) -> dict[int, str]:
    """Which of some batches are being computed now, and by whom."""
    holders = {batch: holder_now(_batch_lock_path(store, batch)) for batch in batches}
    return {batch: who for batch, who in holders.items() if who is not None}


def workflow_lock(store: Path) -> TextIO:
    """Hold a sweep for one workflow, as long as the returned file is open; a killed process lets go by itself.

    Raises
    ------
    StoreError
        If another workflow runs this sweep, or the folder cannot be written.
    """
    file = open_lock(runs_folder(store) / "workflow.lock")
    if not acquire(file):
        with file:
            raise StoreError(f"{store}: another workflow runs this sweep ({holder(file)}); wait for it or stop it")
    sign(file)
    return file


@contextmanager
def planning_lock(store: Path) -> Iterator[None]:
    """Hold the metadata of a store while points are added to it; another planner is waited for."""
    with open_lock(runs_folder(store) / "plan.lock") as file:
        if not acquire(file):
            wait_for(file)
        yield


def _batch_lock_path(store: Path, batch: int) -> Path:
    return runs_folder(store) / f"batch-{batch:04d}.lock"
