"""HDF5 files on full disks, and what they vouch for."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from hpcspike.errors import ResourceError
from hpcspike.hdf5_files import GuardedFile, faults, guarded, write_netcdf


def dataset() -> xr.Dataset:
    """Numbers of several kinds, text, flags, a scalar, nothing."""
    values = np.random.default_rng(0).normal(size=(40, 30))
    return xr.Dataset(
        {
            "drive": (("neuron", "time"), values, {"units": "1", "long_name": "drive"}),
            "count": ("neuron", np.arange(40, dtype=np.int32)),
            "small": ((), 2.5),
            "label": ("neuron", np.array([f"unit {k}" for k in range(40)], dtype=object)),
            "flag": ("neuron", np.arange(40) % 3 == 0, {"flag_values": np.array([0, 1], dtype=np.int8)}),
            "empty": ("spike", np.zeros(0)),
        },
        {"time": 2.0 * np.arange(30)},
        {"experiment": "text " * 3000},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.nc"
    write_netcdf(dataset(), path)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read(tmp_path: Path, compress: bool) -> None:
    write_netcdf(dataset(), tmp_path / "a.nc", compress=compress)
    found = xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf")
    xr.testing.assert_identical(found, dataset())
    assert faults(tmp_path / "a.nc") == []


def test_every_chunk_of_numbers_has_a_checksum(path: Path) -> None:
    with h5py.File(path) as file:
        protected = {name for name, item in file.items() if item.fletcher32}
    assert protected == {"drive", "count", "flag", "time"}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


def test_a_tree_vouches_for_every_node(tmp_path: Path) -> None:
    path = tmp_path / "tree.nc"
    write_netcdf(xr.DataTree.from_dict({"/a/0": dataset(), "/b/0": dataset()}), path)
    assert faults(path) == []
    with h5py.File(path) as file:
        at = file["b/0/drive"].id.get_chunk_info(0).byte_offset
    flip(path, at + 4000)
    assert faults(path) == ["b/0/drive is not as it was written"]


def test_a_change_is_noticed_and_named(path: Path) -> None:
    with h5py.File(path) as file:
        drive, small = file["drive"].id.get_chunk_info(0).byte_offset, file["small"].id.get_offset()
    flip(path, drive + 4000)
    assert faults(path) == ["drive is not as it was written"]
    flip(path, small)
    assert "small is not as it was written" in (faults(path) or [])


def test_changed_attributes_are_noticed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"text text", b"test text", 1))
    assert (faults(path) or [])[-1] == "its structure, text or attributes are not as they were written"


@pytest.mark.parametrize("at", [-1, -5, -20, -40, -200])
def test_changed_checksums_are_noticed(path: Path, at: int) -> None:
    flip(path, at)
    assert faults(path) not in (None, [])


def test_a_file_that_was_cut_short_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for length in (len(content) // 2, len(content) // 3, 100, 0):
        path.write_bytes(content[:length])
        assert faults(path) not in (None, [])


def test_what_an_older_version_wrote_is_told_apart(tmp_path: Path) -> None:
    dataset().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert faults(tmp_path / "a.nc") is None


def test_a_block_of_zeros_anywhere_is_noticed(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for begin in range(0, len(content), 512):
        block = content[begin : begin + 512]
        if any(block):
            (tmp_path / "b.nc").write_bytes(content[:begin] + bytes(len(block)) + content[begin + 512 :])
            assert faults(tmp_path / "b.nc"), begin


# ---- full disks ------------------------------------------------------------------------------------------------------


def fill_after(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """A disk with room for so much."""
    write, used = os.pwrite, 0

    def limited(handle: int, data: Any, at: int) -> int:
        nonlocal used
        if used + len(data) > n_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        used += len(data)
        return write(handle, data, at)

    monkeypatch.setattr(os, "pwrite", limited)


@pytest.mark.parametrize("n_bytes", [0, 500, 3000, 20_000, 40_000])
def test_a_full_disk_is_an_error_in_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    fill_after(monkeypatch, n_bytes)
    with pytest.raises(ResourceError, match="new/a.nc: cannot be written .No space left on device.; nothing was left"):
        write_netcdf(dataset(), tmp_path / "new" / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_when_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    fill_after(monkeypatch, 3000)
    with pytest.raises(ResourceError):
        write_netcdf(dataset(), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.nc"]


def test_what_the_disk_refused_can_be_read_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_after(monkeypatch, 4)
    file = GuardedFile(tmp_path / "a")
    for data in (b"abcd", b"efgh", b"ijkl"):
        assert file.write(data) == 4
    assert file.seek(0, os.SEEK_END) == 12
    file.seek(2)
    assert file.read(8) == b"cdefghij"
    file.seek(5)
    file.write(b"FG")
    file.seek(4)
    assert file.read(4) == b"eFGh"
    with pytest.raises(OSError, match="No space left"):
        file.finish()


def test_an_error_of_the_writer_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), guarded(tmp_path / "a"):
        raise KeyError("mine")
