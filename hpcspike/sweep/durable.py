"""Small files that are whole or absent, on the disk, and say themselves whether they were changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hpcspike.errors import StoreError
from hpcspike.files import flush_folder, write_bytes

DIGEST = "digest"
"""Key under which a document holds the digest of all its other entries."""


def digest_of(document: dict[str, Any]) -> str:
    """SHA-256 of a document as canonical JSON, without the entry that holds its digest."""
    content = {key: value for key, value in document.items() if key != DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_sealed(path: Path) -> dict[str, Any] | None:
    """A document that `write_durably` wrote, without its digest; None if it is missing or is not what was written."""
    document = _read(path)
    if document is None or document.pop(DIGEST, None) != digest_of(document):
        return None
    return document


def read_unless_changed(path: Path) -> dict[str, Any] | None:
    """The same, but a document without any digest, as older versions wrote it, is taken as it is."""
    document = _read(path)
    if document is None or document.pop(DIGEST, digest := digest_of(document)) != digest:
        return None
    return document


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_durably(path: Path, document: dict[str, Any]) -> None:
    """Write JSON with its digest: whole or absent, also after a power loss."""
    sealed = {**document, DIGEST: digest_of(json.loads(json.dumps(document)))}
    write_bytes(path, (json.dumps(sealed, indent=1) + "\n").encode())


def write_receipt(path: Path, document: dict[str, Any]) -> None:
    """`write_durably` for a step that has nothing else to lose.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        write_durably(path, document)
    except OSError as error:
        raise StoreError(
            f"{path}: the receipt cannot be written ({error.strerror or error}); make room or check the folder's "
            "permissions, and run the same command again"
        ) from None


def flush_files(files: Iterable[Path], *, up_to: Path) -> None:
    """Flush files to the disk, and the folders that name them, up to one that is known to be there."""
    folders: set[Path] = set()
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        folders |= {folder for folder in path.parents if folder.is_relative_to(up_to)}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        flush_folder(folder)
