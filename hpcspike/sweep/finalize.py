"""The last step of a sweep: everything is there, nothing half-written is left, and the receipt says so."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.sweep.durable import write_receipt
from hpcspike.sweep.records import receipts_folder
from hpcspike.sweep.states import states_folder
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store


def finalize(path: str | Path) -> dict[str, Any]:
    """Check that all points are done, remove half-written files of killed processes, and write the last receipt.

    Returns
    -------
    dict
        Summary of the sweep, as the receipt ``finalized.json`` holds it.

    Raises
    ------
    StoreError
        If points are missing (the batches that hold them are named), or the receipt cannot be written.
    """
    path = Path(path)
    store = open_store(path)
    for faults in store.faults().values():
        assert store.inventory is not None
        raise store.inventory.damaged(faults[0])
    lacking = store.planned & ~store.done()
    if lacking.any():
        missing = np.unique(store.batch_of_row[lacking])
        shown = ", ".join(str(batch) for batch in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise StoreError(
            f"{path}: {int(lacking.sum())} of {store.n_points} points are missing (batches {shown}); run the workflow "
            f"again, or 'hpcspike run-batch {path} --batch {missing[0]}'"
        )
    with contextlib.suppress(OSError):  # in a folder that is read-only by now they do no harm
        for leftover in path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)
    shutil.rmtree(states_folder(path), ignore_errors=True)
    status = sweep_status(path)
    summary = {
        "name": status.name,
        "points": status.points,
        "batches": status.batches,
        "status": status.counts,
        "wall_seconds": float(np.nansum(store.read("wall_seconds"))),
        "points_hash": store.attributes["points_hash"],
    }
    write_receipt(receipts_folder(path) / "finalized.json", summary)
    return summary
