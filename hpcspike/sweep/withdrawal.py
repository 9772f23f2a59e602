"""What a workflow does before it decides which steps are to be done: receipts that do not hold are withdrawn."""

from __future__ import annotations

from pathlib import Path

from hpcspike.sweep.mending import is_ours, restore_plan
from hpcspike.sweep.records import receipt_path, receipts_folder
from hpcspike.sweep.store import open_store
from hpcspike.sweep.verify import damaged_receipts, wrong_receipts


def withdraw_receipts(store: Path) -> list[str]:
    """Remove every receipt that is damaged, or of a batch that is not complete or whose files are damaged.

    The workflow then does that step again. Names the receipts and why.
    """
    said = []
    opened = open_store(store)
    for path, why in [*damaged_receipts(store), *wrong_receipts(opened)]:
        if path.exists():
            path.unlink()
            said.append(f"{path.name}: {why}")
    missing = any(not receipt_path(store, batch).exists() for batch in range(len(opened.batches)))
    if missing:  # the last step stands for all batches, and is done again after them
        (receipts_folder(store) / "finalized.json").unlink(missing_ok=True)
    return said


def withdraw_all(store: Path) -> list[str]:
    """Remove the receipts of a store that is not there any more: the next of its name has nothing of what they say."""
    left = list(receipts_folder(store).glob("*.json"))
    for path in left:
        path.unlink(missing_ok=True)
    return [f"{len(left)} receipts of a store that is not there any more"] if left else []


def mend_for_workflow(store: Path) -> list[str]:
    """What a workflow does before it decides which steps are to be done: `restore_plan` and `withdraw_receipts`."""
    if not (store.exists() or store.is_symlink()):
        return withdraw_all(store)
    if not is_ours(store):
        return []
    return restore_plan(store) + (withdraw_receipts(store) if receipts_folder(store).is_dir() else [])
