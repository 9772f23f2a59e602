"""Every file of a sweep's store held against what vouches for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hpcspike.errors import DamagedStoreError, StoreError
from hpcspike.sweep.durable import read_sealed, read_unless_changed
from hpcspike.sweep.integrity import METADATA
from hpcspike.sweep.layout import UNVOUCHED, written_to
from hpcspike.sweep.records import receipt_path, receipts_folder, record_path, runs_folder
from hpcspike.sweep.store import SweepStore, open_store


@dataclass(frozen=True)
class Finding:
    """Something that is not what was written: what it is, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Verified:
    """What was checked and what is wrong.

    Attributes
    ----------
    checked
        Kind of thing -> how many of them were checked.
    findings
        What is wrong; none: everything is what was written.
    unverified
        Why nothing vouches for the content, in words; empty where something does.
    """

    checked: dict[str, int]
    findings: list[Finding] = field(default_factory=list)
    unverified: str = ""


def verify_sweep(path: Path) -> Verified:
    """Check metadata, every chunk of every array, provenance records and receipts of a store.

    Raises
    ------
    StoreError
        If it is no store at all.
    """
    try:
        store = open_store(path)
    except DamagedStoreError as error:
        return Verified({"stores": 1}, [Finding(METADATA, str(error))])
    if store.inventory is None:
        return _read_through(store)
    from hpcspike.sweep.mending import damage_of_plan

    again = f"run the same workflow again, or 'hpcspike run-batch {path} --batch"
    findings = [Finding(what, f"{again} 0', to restore it") for what in damage_of_plan(path)]
    receipts = damaged_receipts(path)
    if not any(store.inventory.faults_of_plan()):  # otherwise it is not known whose rows are whose
        faults = store.faults()
        for batch, found in faults.items():
            findings += [Finding(str(fault), f"{again} {batch}', to compute the batch anew") for fault in found]
        if not faults:  # otherwise nothing is known of what the rows say
            for record, batch, why in faults_of_records(store):
                findings.append(Finding(f"provenance record {record.name} is {why}", f"{again} {batch}'"))
        receipts += wrong_receipts(store)
    findings += [
        Finding(f"receipt {receipt.name}: {why}", "run the same workflow again, which does that step again")
        for receipt, why in receipts
    ]
    n_chunks = sum(1 for file in path.glob("*/c/**/*") if file.is_file())
    records = len(list(runs_folder(path).glob("[0-9]*.json")))
    n_receipts = len(list(receipts_folder(path).glob("*.json")))
    arrays = len(store.inventory.coordinates) + len(store.inventory.results)
    checked = {"arrays": arrays, "chunks": n_chunks, "provenance records": records, "receipts": n_receipts}
    return Verified(checked, findings)


def refuse_unreadable(path: Path) -> None:
    """A DamagedStoreError if nothing vouches for a store and some of it cannot be read; others say so when they are."""
    if not path.is_dir():  # an export
        return
    store = open_store(path)
    if store.inventory is None:
        for finding in _read_through(store).findings:
            raise DamagedStoreError(finding.remedy)


def _read_through(store: SweepStore) -> Verified:
    """A store of the layout before: nothing vouches for it, but it can be seen whether everything is readable."""
    names = [*str(store.attributes["coordinates"]).split(), *written_to(store.group)]
    findings = []
    for name in names:
        try:
            store.read(name)
        except StoreError as error:
            findings.append(Finding(name, str(error)))
    note = (
        f"layout {UNVOUCHED} has no checksums: what is readable may still be other than it was written; 'hpcspike "
        f"upgrade {store.path}' adds them to what is there now"
    )
    return Verified({"arrays": len(names)}, findings, unverified=note)


def faults_of_records(store: SweepStore) -> Iterator[tuple[Path, int, str]]:
    """Provenance records of finished points that are damaged or missing, and a batch that has such points."""
    done = store.done()
    runs, first = np.unique(store.read("run")[done], return_index=True)
    batches = store.batch_of_row[done][first]
    for run, batch in zip(runs.tolist(), batches.tolist(), strict=True):
        path = record_path(store.path, run)
        if read_sealed(path) is None:
            yield path, batch, "damaged" if path.exists() else "missing"


def damaged_receipts(path: Path) -> list[tuple[Path, str]]:
    """Receipts that are not what was written, and in words why they do not hold."""
    receipts = sorted(receipts_folder(path).glob("*.json"))
    return [(receipt, "it is damaged") for receipt in receipts if read_sealed(receipt) is None]


def wrong_receipts(store: SweepStore) -> Iterator[tuple[Path, str]]:
    """Receipts that say of a batch what is not so, and in words why they do not hold; the plan must be whole."""
    path, faults = store.path, store.faults()
    lost = {batch for _, batch, _ in faults_of_records(store)} if not faults else set()
    # of what is damaged nobody knows what it says
    trusted = store.planned & ~np.isin(store.batch_of_row, list(faults))
    lacking = np.zeros_like(trusted)
    if trusted.any():
        lacking[trusted] = store.read("done", np.flatnonzero(trusted)) != 1
    unfinished = set(store.batch_of_row[lacking].tolist())
    for batch in range(len(store.batches)):
        receipt = receipt_path(path, batch)
        if not receipt.exists():
            continue
        document = read_sealed(receipt)
        if batch in faults:
            yield receipt, str(faults[batch][0])
        elif batch in unfinished:
            yield receipt, "the batch is not complete"
        elif batch in lost:
            yield receipt, "a provenance record of its points is damaged or missing"
        elif document is not None and document.get("batch") != batch:
            yield receipt, "it is that of another batch"


def is_finalized(path: Path) -> bool:
    """Whether the last receipt of a sweep is there and holds."""
    return read_unless_changed(receipts_folder(path) / "finalized.json") is not None
