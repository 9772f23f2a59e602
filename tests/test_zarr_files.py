"""Zarr stores of one network: every file vouches for itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hpcspike.zarr_files import DIGESTS, faults, write_zarr


def dataset() -> xr.Dataset:
    drive = np.random.default_rng(0).normal(size=(20, 10))
    return xr.Dataset(
        {
            "drive": (("neuron", "time"), drive, {"units": "1"}),
            "zero": ("neuron", np.zeros(20, dtype=np.int32)),
            "small": ((), 2.5),
        },
        {"time": np.arange(10.0)},
        {"name": "a"},
    )


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(bytes(content))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "halved": cut,
    "emptied": lambda file: file.write_bytes(b""),
    "one bit flipped": flip,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_zarr(dataset(), tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


def test_what_is_written_is_read(path: Path) -> None:
    found = xr.open_zarr(path, chunks=None).load()
    del found.attrs[DIGESTS]
    xr.testing.assert_identical(found, dataset())
    assert faults(path) == []
    assert (path / "zero" / "c" / "0").stat().st_size > 0  # what holds zeros only is there too


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_every_file_in_turn_is_noticed_and_named(path: Path, damage: str) -> None:
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    assert len(files) == 9  # of the store and of four arrays, which have a chunk each
    for file in files:
        before = file.read_bytes()
        DAMAGE[damage](file)
        found = faults(path)
        name = file.relative_to(path).parts[0]
        if file == path / "zarr.json" and damage == "deleted":
            assert found == [f"zarr.json cannot be read ([Errno 2] No such file or directory: '{file}')"]
        else:
            assert found is not None
            assert len(found) == 1
            assert found[0].startswith(name)
        file.write_bytes(before)
    assert faults(path) == []


def test_attributes_that_were_changed_are_noticed(path: Path) -> None:
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["name"] = "b"
    (path / "zarr.json").write_text(json.dumps(document))
    assert faults(path) == ["zarr.json is not as it was written"]


def test_without_reading_everything_missing_chunks_are_seen(path: Path) -> None:
    flip(path / "drive" / "c" / "0" / "0")
    assert faults(path, everything=False) == []
    (path / "drive" / "c" / "0" / "0").unlink()
    assert faults(path, everything=False) == ["drive: chunk c/0/0 is missing or empty"]


def test_what_an_older_version_wrote_is_told_apart(tmp_path: Path) -> None:
    dataset().to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    assert faults(tmp_path / "a.zarr") is None
