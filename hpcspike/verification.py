"""Whether a result on disk is as it was written: what `hpcspike verify` says of files and of stores of one network."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hpcspike.errors import StoreError
from hpcspike.paths import local
from hpcspike.zarr_files import DIGESTS

if TYPE_CHECKING:
    import xarray as xr

READ_WHOLE_BYTES = 64 << 20
"""Results up to this size are compared with their digests whole when they are opened; larger ones as they are read."""


Data = TypeVar("Data", "xr.Dataset", "xr.DataTree")


class Unknown(StoreError):
    """What lies at a path is nothing that could vouch for itself."""


@dataclass(frozen=True)
class Findings:
    """What is known of a result.

    Attributes
    ----------
    faults
        What is not as it was written, each in words that name the variable.
    vouched
        Whether it carries digests at all; what an older version wrote does not.
    """

    faults: list[str] = field(default_factory=list)
    vouched: bool = True


def verify(path: str | Path, *, everything: bool = True) -> Findings:
    """Compare a result with the digests it carries.

    Parameters
    ----------
    path
        netCDF file (``.nc``), NWB file (``.nwb``), archive (``.zip``), store of one network (``.zarr``), or folder of
        checkpoints.
    everything
        Whether to read all of it, or only what is not protected by checksums that every reader checks.

    Raises
    ------
    Unknown
        If there is nothing, or nothing of these kinds.
    """
    path = local(path)
    with _readable(path):
        return _of_folder(path, everything) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> Findings:
    if not path.is_file():
        raise Unknown(f"{path}: no such file or store")
    if path.suffix == ".zip":
        return _of_archive(path)
    with path.open("rb") as file:
        begin = file.read(8)
    if begin == b"\x89HDF\r\n\x1a\n":
        from hpcspike.hdf5_files import faults

        found = faults(path)
        return Findings([], vouched=False) if found is None else Findings(found)
    raise Unknown(f"{path}: not a netCDF file, NWB file, archive or zarr store; nothing vouches for it")


def refuse_damaged(path: Path) -> None:
    """Refuse a result of which something is not as it was written: a small one is read for this, as is what is small.

    Raises
    ------
    StoreError
        Naming the variables.
    """
    files = path.rglob("*") if path.is_dir() else [path]
    small = sum(file.stat().st_size for file in files if file.is_file()) <= READ_WHOLE_BYTES
    raise_faults(path, verify(path, everything=small))


def vouched(data: Data, path: str | Path) -> Data:
    """What was opened at a path, after `refuse_damaged`, without the digests: what users change is theirs."""
    try:
        refuse_damaged(Path(path))
    except StoreError:
        data.close()
        raise
    data.attrs.pop(DIGESTS, None)
    return data


def refuse_if_damaged(path: Path) -> None:
    """Called before something is said to be foreign: HDF5 or zarr that cannot be read is damaged."""
    with contextlib.suppress(Unknown):
        raise_faults(path, verify(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from None


def raise_faults(path: Path, findings: Findings) -> None:
    """Raise what was found, if anything was."""
    if findings.faults:
        shown = "; ".join(findings.faults[:5])
        more = len(findings.faults) - 5
        raise StoreError(
            f"{path} is damaged: {shown}{f'; and {more} more' if more > 0 else ''}; make it anew, or take a copy "
            "('hpcspike verify' lists everything)"
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of what fails while a large result is read whether the file is to blame.

    Raises
    ------
    StoreError
        If the result is damaged.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError):
        refuse_if_damaged(path)
        raise


def _of_folder(path: Path, everything: bool) -> Findings:
    from hpcspike.engine.checkpoint_files import checkpoint_faults, checkpoints_in

    saved = checkpoints_in(path)
    if saved:
        return Findings([f"{one.name}: {fault}" for one in saved for fault in checkpoint_faults(one)])
    if not (path / "zarr.json").exists():
        raise Unknown(f"{path}: not a zarr store and not a folder of checkpoints")
    from hpcspike.zarr_files import faults

    found = faults(path, everything=everything)
    return Findings([], vouched=False) if found is None else Findings(found)


def _of_archive(path: Path) -> Findings:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        return Findings([f"its structure cannot be read ({error})"])
    return Findings([] if bad is None else [f"{bad} is not as it was written"])
