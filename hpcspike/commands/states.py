"""What the command line says of the saved states of a training: when it is stopped, and when some lie unused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcspike.engine import checkpoint_files as files
from hpcspike.engine.checkpoint_identity import refuse_another
from hpcspike.errors import StoreError
from hpcspike.identity import canonical
from hpcspike.spec.experiment import Experiment


def what_is_saved(folder: Path | None) -> str:
    """Words for a training that was interrupted; folder: of its checkpoints, None without."""
    if folder is None:
        return "stopped; nothing was saved; --checkpoint FOLDER keeps states"
    manifest = _newest(folder)
    if manifest is None:
        return f"stopped; no state was saved in {folder} yet; the same command starts anew"
    return f"stopped; the state of loop {_loop(manifest)} is in {folder}; the same command goes on from there"


def leftover(folder: Path, experiment: Experiment) -> str | None:
    """Words about a folder of states of this experiment that a training without checkpoints does not use, or None."""
    manifest = _newest(folder)
    if manifest is None:
        return None
    saved = manifest.get("identity", {})
    try:
        refuse_another(folder, saved, {**canonical(experiment), "arrays": saved.get("arrays", {})})
    except StoreError:
        return None
    return (
        f"{folder} holds the state of loop {_loop(manifest)} of this experiment, which is not used: training begins "
        f"with loop 1. To go on from there, stop this and add --checkpoint {folder}; otherwise remove that folder"
    )


def _newest(folder: Path) -> dict[str, Any] | None:
    for path in files.checkpoints_in(folder):
        try:
            manifest = files.read_manifest(path)
        except files.Damaged:
            continue
        if manifest.get("schema") == files.SCHEMA and "numbers" in manifest:
            return manifest
    return None


def _loop(manifest: dict[str, Any]) -> int:
    """The loop, from 1, that a state lies in or at the end of."""
    cursor = manifest["numbers"]["cursor"]
    return int(cursor["loop"]) + any(cursor[name] for name in ("stage", "update", "step"))
