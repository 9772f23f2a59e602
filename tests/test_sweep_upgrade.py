"""Stores without checksums: read and said to be so, refused where something would be written, and upgraded in place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.cli import main
from hpcspike.errors import StoreError
from hpcspike.runs import point
from hpcspike.spec import validate_sweep
from hpcspike.sweep import upgrade
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.durable import DIGEST
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.integrity import LOOPS, METADATA_DIGEST, sealed_metadata
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import plan_copy_path, receipt_path, receipts_folder, runs_folder
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store
from hpcspike.sweep.upgrade import upgrade_sweep
from hpcspike.sweep.verify import verify_sweep

AXES = {"synapse.tau_syn_ms": [5.0, 20.0, 100.0], "training.dtype": ["float64"]}
DOCUMENT = sweep_document(replicates=1, axes=AXES, batching={"max_points": 1})


def without_checksums(path: Path) -> None:
    """Make a store what the layout before would have made of it."""
    group, older = zarr.open_group(path, mode="r"), path.with_name("older.zarr")
    attributes = {**dict(group.attrs), "hpcspike_schema": 3}
    del attributes[METADATA_DIGEST], attributes[LOOPS]
    copy = zarr.create_group(older, zarr_format=3, attributes=attributes)
    for name, array in group.arrays():
        copy.create_array(
            name,
            shape=array.shape,
            chunks=array.chunks,
            dtype="str" if array.dtype.kind in "OTU" else array.dtype,
            fill_value=array.fill_value,
            dimension_names=array.metadata.dimension_names,
            attributes=dict(array.attrs),
        )[:] = array[:]
    zarr.consolidate_metadata(copy.store, zarr_format=3)
    shutil.rmtree(path)
    older.rename(path)
    plan_copy_path(path).unlink()
    for file in [*runs_folder(path).glob("*.json"), *receipts_folder(path).glob("*.json")]:
        document = json.loads(file.read_text())
        document.pop(DIGEST)
        document.pop("runs", None)
        file.write_text(json.dumps(document))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the layout before, of three points in three batches of which two are done."""
    monkeypatch.setattr(point, "run_point", stub_point)
    path = tmp_path / "little.zarr"
    ensure_store(path, validate_sweep(DOCUMENT))
    run_batch(path, 0)
    run_batch(path, 2)
    without_checksums(path)
    return path


pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")


def test_a_store_without_checksums_is_read_and_said_to_be_unverified(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_sweep(path).sizes["point"] == 2
    assert sweep_status(path).done == 2
    assert main(["status", str(path)]) == 0
    assert "unverified no checksums vouch for this store; 'hpcspike upgrade STORE' adds them" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 0
    assert "unverified layout 3 has no checksums" in capsys.readouterr().out
    assert main(["verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unverified"].startswith("layout 3 has no checksums")


def test_nothing_is_written_to_a_store_without_checksums(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert main(["run-batch", str(path), "--batch", "1"]) == 2
    assert f"bring it up to date with 'hpcspike upgrade {path}'" in capsys.readouterr().err
    with pytest.raises(StoreError, match="layout version 3, which has no checksums"):
        ensure_store(path, validate_sweep({**DOCUMENT, "replicates": 2}))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_an_upgraded_store_holds_the_same_is_vouched_for_and_goes_on(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_sweep(path, complete_only=False).load()
    written = receipt_path(path, 0).stat().st_mtime_ns
    assert main(["upgrade", str(path)]) == 0
    assert "2 finished points now vouched for by checksums" in capsys.readouterr().out
    after = open_sweep(path, complete_only=False).load()
    for name in before.variables:
        assert after[name].equals(before[name]), name
        assert after[name].attrs == before[name].attrs
    assert receipt_path(path, 0).stat().st_mtime_ns == written
    assert verify_sweep(path).findings == []
    assert sweep_status(path).vouched
    files = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    assert main(["upgrade", str(path)]) == 0
    assert "up to date, nothing to do" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == files
    assert run_batch(path, 1).computed == 1
    _, added = ensure_store(path, validate_sweep({**DOCUMENT, "replicates": 2}))
    assert added == 3
    assert verify_sweep(path).findings == []
    assert {file.name for file in path.parent.iterdir()} == {f"little.zarr{end}" for end in ("", ".runs", ".receipts")}


@pytest.mark.parametrize("renamed", [0, 1])
def test_an_upgrade_that_was_interrupted_is_whole_or_absent_and_is_gone_on_with(
    path: Path, renamed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_sweep(path).load()
    rename, count = os.rename, 0

    def interrupted(source: Any, target: Any) -> None:
        nonlocal count
        if count == renamed:
            raise KeyboardInterrupt
        count += 1
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(upgrade.os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            upgrade_sweep(path)
    assert path.exists() == (renamed == 0)
    if path.exists():
        assert open_sweep(path).load().identical(before)
    else:
        with pytest.raises(StoreError, match=f"an upgrade was interrupted; go on with 'hpcspike upgrade {path}'"):
            open_store(path)
    upgrade_sweep(path)
    after = open_sweep(path).load()
    assert after["correlation"].equals(before["correlation"])
    assert verify_sweep(path).findings == []
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_a_batch_that_cannot_be_read_is_left_to_be_computed_anew(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = open_sweep(path).load()["correlation"].values.tolist()
    chunk = path / "correlation" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[:7])
    for verb in ("analyse", "export", "verify"):
        more = {"analyse": ["--out", str(path.parent / "t")], "export": [str(path.parent / "o.nc")]}
        assert main([verb, str(path), *more.get(verb, [])]) == 2, verb
        captured = capsys.readouterr()
        assert "correlation" in captured.out + captured.err, verb
    assert main(["upgrade", str(path)]) == 0
    captured = capsys.readouterr()
    assert "batch 0 is left to be computed anew" in captured.err
    assert "1 finished point now vouched for by checksums, 1 left to be computed anew" in captured.out
    assert not receipt_path(path, 0).exists()
    assert run_batch(path, 0).computed == 1
    assert open_sweep(path)["correlation"].values.tolist() == right


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batches", 7),
        ("batches", "[]"),
        ("batches", '{"start": [0, 1], "seconds": [], "memory_mib": [1], "ranks": [1]}'),
        ("title", ["a"]),
        ("coordinates", None),
        ("coordinates", "tau_syn_ms nowhere loop"),
        ("sweep", {"name": "little"}),
        ("sweep", "{"),
        ("earlier_sweeps", "none"),
        ("hpcspike_schema", "three"),
        ("name", 3.5),
    ],
)
@pytest.mark.parametrize("vouched", [False, True])
def test_attributes_of_a_wrong_kind_are_refused_by_name(
    path: Path, name: str, value: Any, vouched: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if vouched:
        upgrade_sweep(path)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"][name] = value
    (path / "zarr.json").write_text(json.dumps(sealed_metadata(metadata) if vouched else metadata))
    words = {"hpcspike_schema": "layout version three"}.get(name, name)
    for verb in ("status", "finalize", "run-batch", "upgrade"):
        assert main([verb, str(path), *(["--batch", "0"] if verb == "run-batch" else [])]) == 2, verb
        assert words in capsys.readouterr().err, verb


def test_a_missing_chunk_of_a_coordinate_is_noticed_without_checksums(path: Path) -> None:
    shutil.rmtree(path / "batch" / "c")
    with pytest.raises(StoreError, match="by its coordinate batch it holds no points"):
        sweep_status(path)
    assert np.all(open_store(path).read("batch") == -1)
