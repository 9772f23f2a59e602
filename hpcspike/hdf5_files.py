"""HDF5 files that are written safely and vouch for their contents: netCDF by xarray, NWB by pynwb.

HDF5 ends the process when it cannot flush a file, so on a full disk no error reaches Python. Here it writes through
`GuardedFile`, which never fails as long as HDF5 is at work, and says afterwards what the disk said.

Every file carries the attribute `DIGESTS`: a SHA-256 of every variable and of the attributes of every group. In netCDF
files the chunks of numbers carry checksums (Fletcher-32) besides, so that a reader who looks at a part of a large file
notices what is damaged there; all else, which is small, is compared with its digest when a file is opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.files import whole

if TYPE_CHECKING:
    import xarray as xr

DIGESTS = "hpcspike_digests"
"""Attribute of a file's root: JSON, SHA-256 of the attributes (with type and shape) and of the values of everything."""

_PIECE_BYTES = 64 << 20
_REMEMBERED_BYTES = 64 << 20
# what HDF5 keeps for itself, and where things lie in the file
_OF_THE_LIBRARY = ("REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties", DIGESTS)


# ---- writing ---------------------------------------------------------------------------------------------------------


class GuardedFile(io.RawIOBase):
    """A file for HDF5 that takes everything, and tells at its end (`finish`) what the disk refused.

    After a failure the small pieces, which HDF5 may read again, are kept in memory, and the others forgotten: the file
    will be thrown away.

    Parameters
    ----------
    path
        File to make.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "x+b", buffering=0)
        self._at = 0
        self._failure: OSError | None = None
        self._lost: list[tuple[int, bytes]] = []
        self._remembered = 0

    def write(self, data: Any) -> int:
        """Take all of it."""
        view = memoryview(data).cast("B")
        if self._failure is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._file.fileno(), view[done:], self._at + done)
            except OSError as error:
                self._failure = error
        if self._failure is not None and self._remembered + len(view) <= _REMEMBERED_BYTES:
            self._lost.append((self._at, bytes(view)))
            self._remembered += len(view)
        self._at += len(view)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """What was written, zeros where nothing was."""
        view = memoryview(buffer).cast("B")
        there = os.pread(self._file.fileno(), len(view), self._at)
        view[: len(there)] = there
        view[len(there) :] = bytes(len(view) - len(there))
        for begin, data in self._lost:
            low, high = max(begin, self._at), min(begin + len(data), self._at + len(view))
            if low < high:
                view[low - self._at : high - self._at] = data[low - begin : high - begin]
        self._at += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is that of what was taken."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end()}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Make it so long."""
        size = self._at if size is None else size
        if self._failure is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self._failure = error
        return size

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def finish(self) -> None:
        """Close it, and raise what the disk refused."""
        self._file.close()
        if self._failure is not None:
            raise self._failure

    def _end(self) -> int:
        return max([os.fstat(self._file.fileno()).st_size, *(begin + len(data) for begin, data in self._lost)])


@contextmanager
def guarded(path: Path) -> Iterator[GuardedFile]:
    """A new file for HDF5 that gets its digests when the block ends.

    Raises
    ------
    OSError
        If the disk refused something.
    """
    import h5py

    file = GuardedFile(path)
    try:
        yield file
        if file._failure is None:
            with h5py.File(file, "r+") as opened:
                opened.attrs[DIGESTS] = json.dumps(digests(opened))
    except Exception:
        file.finish()  # what the disk refused goes first
        raise
    file.finish()


def write_netcdf(
    data: xr.Dataset | xr.DataTree,
    path: Path,
    *,
    compress: bool = False,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a Dataset, or a tree of them, as netCDF-4: whole or absent, with checksums and digests.

    Parameters
    ----------
    data
        What to write.
    path
        File, replaced if it is there.
    compress
        Whether to pack the numbers.
    encoding
        Further encoding of single variables of a Dataset.

    Raises
    ------
    ResourceError
        If it cannot be written.
    """
    with whole(path) as unfinished:
        write_unfinished(data, unfinished, compress=compress, encoding=encoding)


def write_unfinished(
    data: xr.Dataset | xr.DataTree,
    unfinished: Path,
    *,
    compress: bool = False,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """`write_netcdf` to a name that the caller puts in place.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import xarray as xr

    chosen: Any
    if isinstance(data, xr.DataTree):
        chosen = {node.path: _encoding(node.to_dataset(inherit=False), compress, {}) for node in data.subtree}
    else:
        chosen = _encoding(data, compress, encoding or {})
    with guarded(unfinished) as file:
        data.to_netcdf(file, engine="h5netcdf", encoding=chosen)


def _encoding(dataset: xr.Dataset, compress: bool, more: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    encoding = {name: dict(item) for name, item in more.items()}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "iufb" and variable.size and variable.ndim:
            own = encoding.setdefault(str(name), {})
            own["fletcher32"] = True
            if compress:
                own["zlib"] = True
    return encoding


# ---- digests ---------------------------------------------------------------------------------------------------------


def digests(file: Any) -> dict[str, str]:
    """SHA-256 of everything in an open h5py file, by what it is of."""
    return {name: compute() for name, compute, _ in _parts(file)}


def _parts(file: Any) -> list[tuple[str, Callable[[], str], bool]]:
    """What a file consists of: name, how its digest is computed, and whether checksums of its own protect it."""
    import h5py

    parts: list[tuple[str, Callable[[], str], bool]] = [("attributes of the file", partial(_of_header, file), False)]

    def visit(name: str, item: Any) -> None:
        parts.append((f"attributes of {name}", partial(_of_header, item), False))
        if isinstance(item, h5py.Dataset):
            parts.append((name, partial(_of_values, item), bool(item.fletcher32)))

    file.visititems(visit)
    return parts


def _of_header(item: Any) -> str:
    digest = hashlib.sha256()
    if hasattr(item, "shape"):
        digest.update(f"{item.dtype.str} {item.shape}".encode())
    for name in sorted(set(item.attrs) - set(_OF_THE_LIBRARY)):
        digest.update(f"{name}=".encode())
        _add(digest, item.file, item.attrs[name])
    return digest.hexdigest()


def _of_values(item: Any) -> str:
    digest = hashlib.sha256()
    if not item.shape:
        _add(digest, item.file, item[()])
        return digest.hexdigest()
    row_bytes = max(item.dtype.itemsize * int(np.prod(item.shape[1:], dtype=np.int64)), 1)
    step = max(_PIECE_BYTES // row_bytes, 1)
    step = max(step // item.chunks[0], 1) * item.chunks[0] if item.chunks else step  # no chunk is read twice
    for low in range(0, item.shape[0], step):
        _add(digest, item.file, item[low : low + step])
    return digest.hexdigest()


def _add(digest: Any, file: Any, value: Any) -> None:
    import h5py

    if isinstance(value, h5py.Reference):
        digest.update(((file[value].name if value else None) or "").encode() + b"\0")
    elif isinstance(value, (str, bytes)):
        digest.update((value.encode() if isinstance(value, str) else value) + b"\0")
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        for one in value.ravel():
            _add(digest, file, one)
    elif isinstance(value, (np.ndarray, np.void)) and value.dtype.names:
        for name in value.dtype.names:
            _add(digest, file, value[name])
    elif isinstance(value, h5py.Empty):
        digest.update(b"empty\0")
    else:
        digest.update(np.ascontiguousarray(value).tobytes())


# ---- reading ---------------------------------------------------------------------------------------------------------


def faults(path: Path, *, everything: bool = True) -> list[str] | None:
    """What is not as it was written, in words that begin with the variable's name; None if the file has no digests.

    Parameters
    ----------
    path
        The file.
    everything
        Whether to read all of it, or only what no checksum of its own protects.
    """
    import h5py

    # by way of Python: HDF5 minds what else in this process has the file open
    with path.open("rb") as opened:
        try:
            with h5py.File(opened, "r") as file:
                if DIGESTS not in file.attrs:
                    return None
                return _compared(file, json.loads(file.attrs[DIGESTS]), everything)
        except Exception as error:  # HDF5 has many; whatever it is, the list of what is there cannot be read
            return [f"its structure cannot be read ({_words(error)})"]


def _compared(file: Any, written: dict[str, str], everything: bool) -> list[str]:
    parts = _parts(file)
    found = [f"{name} is missing" for name in written.keys() - {name for name, _, _ in parts}]
    for name, compute, protected in parts:
        if protected and not everything:
            continue
        try:
            if compute() != written.get(name):
                found.append(f"{name} is not as it was written")
        except Exception as error:  # as above, of this part
            found.append(f"{name} cannot be read ({_words(error)})")
    return found


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
