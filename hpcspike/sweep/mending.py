"""Damage that is mended without computing: the plan from its copy, records from receipts, receipts withdrawn."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from hpcspike.errors import DamagedStoreError, StoreError
from hpcspike.files import write_bytes
from hpcspike.sweep.durable import read_sealed, write_durably
from hpcspike.sweep.integrity import METADATA, METADATA_DIGEST, Inventory, metadata_hold, read_bytes, read_metadata
from hpcspike.sweep.layout import UNVOUCHED
from hpcspike.sweep.metadata import checked_metadata
from hpcspike.sweep.records import plan_copy_path, planning_lock, receipt_path, record_path


def copy_plan(source: Path, store: Path) -> None:
    """Keep a copy of what the planner wrote, metadata and coordinates, beside a store.

    Parameters
    ----------
    source
        Folder of the store, or of the one that is about to take its place.
    store
        Folder of the store.
    """
    write_bytes(plan_copy_path(store), _packed(source))


def _packed(source: Path) -> bytes:
    """The copy of a plan: the same bytes whenever the plan is the same."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        inventory = Inventory(source, json.loads((source / METADATA).read_bytes()))
        for key in (METADATA, *(chunk.key for chunk in inventory.of_plan())):
            archive.writestr(zipfile.ZipInfo(key), (source / key).read_bytes())
    return content.getvalue()


def restore_plan(store: Path) -> list[str]:
    """Make metadata and coordinates of a store what the planner wrote, from their copy where they are damaged.

    Stores of an older layout and what is no store are left alone.

    Returns
    -------
    list of str
        What was restored.

    Raises
    ------
    DamagedStoreError
        If the copy is damaged too.
    StoreError
        If the store cannot be written.
    """
    if not is_ours(store) or not damage_of_plan(store):
        return []
    try:
        with planning_lock(store):  # what another planner has published meanwhile must not be undone
            restored = damage_of_plan(store)
            complete_plan(store)
    except OSError as error:
        raise StoreError(f"{store}: cannot be mended ({error.strerror or error}); check folder and disk") from None
    return restored


def is_ours(store: Path) -> bool:
    """Whether there is a store of this layout, damaged or not."""
    document = read_metadata(store / METADATA)
    attributes = document.get("attributes") if isinstance(document, dict) else None
    if isinstance(attributes, dict) and METADATA_DIGEST not in attributes:
        if attributes.get("hpcspike_schema") == UNVOUCHED:
            return False
    return store.is_dir() and (plan_copy_path(store).exists() or metadata_hold(document))


def damage_of_plan(store: Path) -> list[str]:
    """What of the plan is not as it should be, in words."""
    document = read_metadata(store / METADATA)
    if not metadata_hold(document):
        return [f"{METADATA} of the store"]
    document = checked_metadata(store)
    damaged = [str(fault) for fault in Inventory(store, document).faults_of_plan()]
    found = damaged + [f"{name}/{METADATA}" for name in _left_behind(store, document)]
    if not damaged and _packed(store) != read_bytes(plan_copy_path(store)):
        found.append(f"{plan_copy_path(store).name}, the copy of the plan")
    return found


def _left_behind(store: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Arrays whose own metadata are not what the store's say, and what those say."""
    listed = document["consolidated_metadata"]["metadata"]
    return {name: own for name, own in listed.items() if read_metadata(store / name / METADATA) != own}


def _copied(store: Path) -> dict[str, bytes]:
    """Content of the copy by file; empty if it is missing or damaged."""
    try:
        with zipfile.ZipFile(plan_copy_path(store)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # zipfile raises many kinds for a file that is damaged
        return {}


def complete_plan(store: Path) -> None:
    """`restore_plan` for whoever holds the planning lock."""
    copy = _copied(store)
    if not metadata_hold(read_metadata(store / METADATA)):
        _put_copied(store, copy, METADATA)
    document = read_metadata(store / METADATA)
    inventory = Inventory(store, document)
    for fault in inventory.faults_of_plan():
        assert fault.chunk is not None
        if inventory.fault(fault.chunk, copy.get(fault.chunk.key)) is not None:
            raise DamagedStoreError(f"{store}: {fault}, {_NO_COPY}")
        _put_copied(store, copy, fault.chunk.key)
    for name, metadata in _left_behind(store, document).items():
        write_bytes(store / name / METADATA, json.dumps(metadata, indent=1).encode())
    if _packed(store) != read_bytes(plan_copy_path(store)):
        copy_plan(store, store)


_NO_COPY = "and no copy of it is left; take the store from a backup, or plan the sweep under another name"


def _put_copied(store: Path, copy: dict[str, bytes], key: str) -> None:
    if key not in copy or (key == METADATA and not metadata_hold(json.loads(copy[key]))):
        raise DamagedStoreError(f"{store}: {key} is not what was written, {_NO_COPY}")
    write_bytes(store / key, copy[key])


def restore_records(store: Path, batch: int, runs: dict[int, int]) -> list[int]:
    """Put back provenance records that are damaged or missing, from the receipt of the batch.

    Parameters
    ----------
    store, batch
        Which batch.
    runs
        Number of the record of each row that is done.

    Returns
    -------
    list of int
        Rows of which nobody knows any more what computed them.
    """
    lost = {run for run in set(runs.values()) if read_sealed(record_path(store, run)) is None}
    kept = (read_sealed(receipt_path(store, batch)) or {}).get("runs", {}) if lost else {}
    for run in sorted(lost):
        if str(run) in kept:
            write_durably(record_path(store, run), kept[str(run)])
    return [row for row, run in runs.items() if run in lost and str(run) not in kept]
