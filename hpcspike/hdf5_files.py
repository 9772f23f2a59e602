"""HDF5 files that are written safely and vouch for their contents: netCDF by xarray, NWB by pynwb.

HDF5 ends the process when it cannot flush a file, so on a full disk no error reaches Python. Here it writes through
`GuardedFile`, which never fails as long as HDF5 is at work, and says afterwards what the disk said.

Every file ends with checksums of all that is before (`hpcspike.seals`). In netCDF files the chunks of numbers carry
checksums of their own besides (Fletcher-32), which every reader compares, also one that reads a part of a large file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike import seals
from hpcspike.files import whole

if TYPE_CHECKING:
    import xarray as xr

_REMEMBERED_BYTES = 64 << 20

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
    """A new file for HDF5 that is sealed when the block ends.

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
            with h5py.File(file, "r") as opened:
                extents = _extents(opened)
            seals.seal(file, extents)
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
    """Write a Dataset, or a tree of them, as netCDF-4: whole or absent, with checksums.

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


# ---- what lies where -------------------------------------------------------------------------------------------------


def _extents(file: Any) -> dict[str, list[tuple[int, int]]]:
    """Where (first byte, length) the values of every dataset of an open h5py file lie."""
    import h5py

    found: dict[str, list[tuple[int, int]]] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        pieces = found.setdefault(name, [])
        if item.chunks:
            item.id.chunk_iter(lambda chunk: pieces.append((chunk.byte_offset, chunk.size)))
        elif item.id.get_offset() is not None:
            pieces.append((item.id.get_offset(), item.id.get_storage_size()))

    file.visititems(visit)
    return found


# ---- reading ---------------------------------------------------------------------------------------------------------


def faults(path: Path) -> list[str] | None:
    """What is not as it was written, in words that begin with the variable's name; None if nothing vouches for it."""
    import h5py

    found = seals.faults(path)
    if found is None:
        # by way of Python: HDF5 minds what else in this process has the file open
        with path.open("rb") as file:
            try:
                h5py.File(file, "r").close()
            except Exception as error:  # HDF5 has many
                return [f"its structure cannot be read ({' '.join(str(error).split())})"]
    return found
