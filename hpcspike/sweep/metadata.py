"""The metadata of a store: read as plain JSON, held against their digest, and refused where they are not a sweep's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpcspike.errors import DamagedStoreError, StoreError
from hpcspike.provenance import package_version
from hpcspike.sweep.integrity import METADATA, METADATA_DIGEST, metadata_hold, read_metadata
from hpcspike.sweep.layout import SCHEMA, UNVOUCHED, WRITTEN_BY_BATCHES
from hpcspike.sweep.plan import Batches
from hpcspike.sweep.records import plan_copy_path

MAKE_IT = "make it with 'hpcspike plan CONFIG --create'"


def checked_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a store of this layout or the one before, as JSON, held against their digest.

    Raises
    ------
    StoreError, DamagedStoreError
        See `open_store`.
    """
    document = read_metadata(path / METADATA)
    group = isinstance(document, dict) and document.get("node_type") == "group"
    attributes: Any = document.get("attributes") if group else None
    attributes = attributes if isinstance(attributes, dict) else {}
    ours = "hpcspike_schema" in attributes or METADATA_DIGEST in attributes
    if not ours or (METADATA_DIGEST in attributes and not metadata_hold(document)):
        if ours or (path.is_dir() and plan_copy_path(path).exists()):
            raise _damaged_metadata(path, document)
        raise _nothing_ours(path, is_group=group)
    require_layout(path, attributes)
    listed = (document.get("consolidated_metadata") or {}).get("metadata")
    if not isinstance(listed, dict):
        raise StoreError(f"{path}: its zarr.json does not list the arrays, so it was changed; make the store anew")
    if odd := odd_attribute(document):
        raise StoreError(f"{path}: {odd}; {what_now(path)}")
    if attributes["hpcspike_schema"] == SCHEMA and METADATA_DIGEST not in attributes:
        raise _damaged_metadata(path, document)
    return dict(document)


def upgraded_path(path: Path) -> Path:
    """Where the upgraded store is until it takes the place of the old one."""
    return path.with_name(f".{path.name}.upgraded")


def _nothing_ours(path: Path, *, is_group: bool) -> StoreError:
    if not path.exists() and upgraded_path(path).exists():
        return StoreError(f"{path}: an upgrade was interrupted; go on with 'hpcspike upgrade {path}'")
    if not path.exists() and path.suffix == ".nc":
        return StoreError(f"{path}: no such file; make it with 'hpcspike train CONFIG --out {path}'")
    if not path.exists():
        return StoreError(f"{path}: no such store; {_meant(path) or MAKE_IT}")
    if is_group:
        return StoreError(
            f"{path} is a zarr group, but not the store of a sweep; give one that 'hpcspike plan CONFIG --create' made"
        )
    meant = _meant(path)
    hint = f"; {meant}" if meant else ""
    return StoreError(f"{path} is {describe(path)}, not the store of a sweep{hint}")


def _damaged_metadata(path: Path, document: Any) -> DamagedStoreError:
    there = (path / METADATA).exists()
    odd = odd_attribute(document) if isinstance(document, dict) else ""
    what = f"is not what was written{f' ({odd})' if odd else ''}" if there else "is missing"
    remedy = "no copy of it is left; take the store from a backup, or plan the sweep under another name"
    if plan_copy_path(path).exists():
        remedy = f"run the same workflow again, or 'hpcspike run-batch {path} --batch 0', to restore it from its copy"
    return DamagedStoreError(f"{path}: its {METADATA} {what}; {remedy}")


def what_now(path: Path) -> str:
    """What to do about damage that nothing mends."""
    return f"'hpcspike verify {path}' says what else is wrong; take the store from a backup or make it anew"


def odd_attribute(document: dict[str, Any]) -> str:
    """Which attribute of a store is missing or of a wrong kind, in words; empty if none is."""
    attributes = document.get("attributes")
    if not isinstance(attributes, dict):
        return "it has no attributes"
    texts = ("title", "name", "hpcspike_version", "sweep", "sweep_hash", "points_hash", "batches", "coordinates")
    for name in texts:
        if not isinstance(attributes.get(name), str):
            return f"attribute {name} must be text, but is {_kind(attributes, name)}"
    earlier = attributes.get("earlier_sweeps")
    if not isinstance(earlier, list) or not all(isinstance(text, str) for text in earlier):
        return f"attribute earlier_sweeps must be a list of texts, but is {_kind(attributes, 'earlier_sweeps')}"
    for name, text in [("sweep", attributes["sweep"]), *(("earlier_sweeps", text) for text in earlier)]:
        if not _is_mapping(text):
            return f"attribute {name} must be the JSON of a sweep"
    try:
        Batches.from_json(attributes["batches"])
    except (ValueError, TypeError, RecursionError):
        return "attribute batches must be the JSON of start, seconds, memory_mib and ranks, each of one length"
    listed = (document.get("consolidated_metadata") or {}).get("metadata") or {}
    unknown = [name for name in (*attributes["coordinates"].split(), *WRITTEN_BY_BATCHES) if name not in listed]
    return f"attribute coordinates or the results name {unknown[0]}, an array that is not there" if unknown else ""


def _kind(attributes: dict[str, Any], name: str) -> str:
    return f"{type(attributes[name]).__name__} {str(attributes[name])[:40]}" if name in attributes else "missing"


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def require_layout(path: Path, attributes: dict[str, Any], *, oldest: int = UNVOUCHED) -> None:
    """A StoreError if the results at a path, which have these attributes, are laid out in a way that is not read."""
    version = attributes.get("hpcspike_schema")
    if version not in range(oldest, SCHEMA + 1):
        raise StoreError(
            f"{path} has layout version {version}, this hpcspike ({package_version()}) reads version {SCHEMA}; use the "
            f"one that made it ({attributes.get('hpcspike_version')}) or choose another path"
        )


def _meant(path: Path) -> str:
    """Words that name the store somebody means who gives the name of a sweep, or the folder of its tables."""
    if not path.name:
        return ""
    stores = (path.with_name(f"{path.name}.zarr"), Path("results") / f"{path.name}.zarr", Path("results") / path.name)
    found = next((store for store in stores if (store / "zarr.json").is_file()), None)
    return "" if found is None else f"did you mean {found}?"


def describe(path: Path) -> str:
    """What lies at a path, in words."""
    if path.is_symlink() and not path.exists():
        return "a broken link"
    if path.is_file():
        return "a file"
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
            return "another zarr store"
        return "a folder" if any(path.iterdir()) else "an empty folder"
    return "something else"
