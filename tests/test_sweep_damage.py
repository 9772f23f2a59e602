"""Every file of a store is damaged in turn: no command shows other numbers, and the command that made it mends it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sweep_stub import stub_point, sweep_document

from hpcspike.cli import main
from hpcspike.errors import DamagedStoreError
from hpcspike.runs import point
from hpcspike.spec import validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.durable import write_receipt
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import receipt_path, receipts_folder, record_path, runs_folder
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store
from hpcspike.sweep.verify import verify_sweep
from hpcspike.sweep.withdrawal import mend_for_workflow
from hpcspike.variables import POINT_PROVENANCE, POINT_RESULTS

AXES = {"synapse.tau_syn_ms": [5.0, 20.0, 100.0]}
DOCUMENT = sweep_document(replicates=1, axes=AXES, batching={"max_points": 2})
ONE_BATCH = sweep_document(replicates=1, axes={"synapse.tau_syn_ms": [5.0, 20.0]})


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "run_point", stub_point)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep of three points in two batches, as the workflow leaves it."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point, "run_point", stub_point)
        run_workflow(folder / "little.zarr")
    return folder


@pytest.fixture
def path(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path, dirs_exist_ok=True)) / "little.zarr"


def run_workflow(path: Path, document: dict[str, Any] = DOCUMENT) -> list[int]:
    """The steps of the workflow whose receipts are not there; the batches among them."""
    mend_for_workflow(path)
    plan = receipts_folder(path) / "plan.json"
    if not plan.exists():
        ensure_store(path, validate_sweep(document))
        write_receipt(plan, {"sweep": "little"})
    batches = [batch for batch in range(len(open_store(path).batches)) if not receipt_path(path, batch).exists()]
    for batch in batches:
        run_batch(path, batch)
    if batches or not (receipts_folder(path) / "finalized.json").exists():
        finalize(path)
    return batches


def numbers(sweep: xr.Dataset) -> xr.Dataset:
    return sweep.load().drop_vars([name for name in POINT_PROVENANCE if name != "done"])


def delete(file: Path) -> None:
    file.unlink()


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_in_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def flip_at_the_end(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DAMAGES = (delete, halve, empty, flip_in_the_middle, flip_at_the_end)


# ---- every file in turn ----------------------------------------------------------------------------------------------


def files_of(folder: Path) -> list[Path]:
    """Every file that holds something: of the store, its records and its receipts."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".lock"]
    return [file for file in files if file.stat().st_size]


def read(path: Path, names: set[str]) -> dict[str, list[Any]]:
    """The values of some arrays as every command reads them."""
    store = open_store(path)
    assert store.done().all()
    return {name: store.read(name).astype(object).tolist() for name in sorted(names)}


def bytes_of(path: Path, names: set[str]) -> dict[str, bytes]:
    """The chunks of some arrays; what holds the same bytes is read as the same values."""
    files = [file for name in sorted(names) for file in sorted((path / name / "c").rglob("*")) if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_damage_of_any_file_never_reads_as_other_numbers_and_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "little.zarr"
    run_workflow(path, ONE_BATCH)
    arrays = {folder.name for folder in path.iterdir() if folder.is_dir()}
    arrays -= {"run", "wall_seconds", "peak_memory"}  # of a batch that was computed anew they are others
    right, right_bytes = read(path, arrays), bytes_of(path, arrays)
    files = files_of(tmp_path)
    for number, file in enumerate(files):
        touched = {file.relative_to(path).parts[0]} & arrays if file.is_relative_to(path) else set()
        before = file.read_bytes()
        for damage in DAMAGES:
            damage(file)
            what = f"{damage.__name__} {file.relative_to(tmp_path)}"
            with contextlib.suppress(DamagedStoreError):
                assert read(path, touched) == {name: right[name] for name in touched}, what
            file.write_bytes(before)
        damage = DAMAGES[number % len(DAMAGES)]
        what = f"{damage.__name__} {file.relative_to(tmp_path)}"
        damage(file)
        # a receipt that is missing says nothing wrong, and a record that no point names says nothing
        silent = damage is delete and file.parent == receipts_folder(path)
        if not (silent or _says_the_same(file, before) or _is_unused_record(path, file)):
            assert verify_sweep(path).findings, what
        run_workflow(path, ONE_BATCH)
        assert verify_sweep(path).findings == [], what
        assert (receipts_folder(path) / "finalized.json").exists(), what
        assert bytes_of(path, arrays) == right_bytes, what
        again = read(path, touched or arrays)
        assert again == {name: right[name] for name in again}, what
    assert sweep_status(path).finalized
    assert len(files) > 80


def _is_unused_record(path: Path, file: Path) -> bool:
    """Whether a file is the record of a process whose points were all computed again."""
    return (
        file.parent == runs_folder(path) and file.stem.isdigit() and int(file.stem) not in open_store(path).read("run")
    )


def _says_the_same(file: Path, before: bytes) -> bool:
    """Whether a file of JSON differs in blanks only."""
    try:
        return file.suffix == ".json" and json.loads(file.read_bytes()) == json.loads(before)
    except (OSError, ValueError):
        return False


# ---- what is said, and what is computed ------------------------------------------------------------------------------

VERBS = ("status", "finalize", "analyse", "export", "verify")


@pytest.mark.parametrize(
    ("key", "damage", "refused", "words"),
    [
        (
            "correlation/c/0",
            flip_in_the_middle,
            {"finalize", "analyse", "export", "verify"},
            "correlation (of batch 0)",
        ),
        ("correlation/c/1", delete, {"finalize", "analyse", "export", "verify"}, "correlation (of batch 1) is missing"),
        ("curve_rate/c/0/0", halve, {"finalize", "export", "verify"}, "curve_rate (of batch 0) is damaged"),
        ("done/c/1", delete, {"finalize", "analyse", "export", "verify"}, "done (of batch 1) is missing"),
        ("batch/c/0", delete, set(VERBS), "batch (of the plan) is missing"),
        ("tau_syn_ms/c/0", empty, {"analyse", "export", "verify"}, "tau_syn_ms (of the plan) is damaged"),
        ("zarr.json", flip_in_the_middle, set(VERBS), "zarr.json is not what was written"),
        ("zarr.json", delete, set(VERBS), "zarr.json is missing"),
    ],
)
def test_commands_refuse_what_is_damaged_and_name_array_chunk_and_batch(
    path: Path,
    key: str,
    damage: Callable[[Path], None],
    refused: set[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(path / key)
    for verb in VERBS:
        more = {"analyse": ["--out", str(path.parent / "tables")], "export": [str(path.parent / "out.nc")]}
        code = main([verb, str(path), *more.get(verb, [])])
        captured = capsys.readouterr()
        assert code == (2 if verb in refused else 0), verb
        if verb in refused or verb == "status" and "of batch" in words:
            assert words in captured.out + captured.err, verb
    assert not (path.parent / "out.nc").exists()
    assert main(["run-batch", str(path), "--batch", "1" if "/1" in key else "0"]) == 0
    assert main(["finalize", str(path)]) == 0
    assert main(["verify", str(path)]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_only_the_batch_that_is_damaged_is_computed_again(path: Path) -> None:
    before = open_sweep(path).load()
    flip_in_the_middle(path / "correlation" / "c" / "1")
    status = sweep_status(path)
    assert (status.done, status.batches_done, list(status.damaged)) == (2, 1, [1])
    assert not status.finalized
    assert run_workflow(path) == [1]
    after = open_sweep(path).load()
    assert numbers(after).identical(numbers(before))
    assert after["run"].values.tolist() == [*before["run"].values[:2].tolist(), 2]


def test_points_that_are_read_only_when_they_are_used_are_checked_then(path: Path) -> None:
    flip_in_the_middle(path / "correlation" / "c" / "1")
    (path / "curve_rate" / "c" / "0" / "0").unlink()
    sweep = open_sweep(path)
    assert sweep["population_rate"].load().notnull().all()
    for name, words in {
        "correlation": "c/1 of correlation .of batch 1. is damaged",
        "curve_rate": "is missing",
    }.items():
        with pytest.raises(DamagedStoreError, match=words):
            sweep[name].load()
    assert np.isfinite(sweep["correlation"][:2].values).all()


def test_a_batch_is_never_believed_while_what_was_damaged_is_computed_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_in_the_middle(path / "correlation" / "c" / "0")
    seen = []

    def watched(experiment: Any, **keywords: Any) -> Any:
        seen.append((receipt_path(path, 0).exists(), open_store(path).done().tolist()))
        return stub_point(experiment, **keywords)

    monkeypatch.setattr(point, "run_point", watched)
    run_batch(path, 0)
    assert seen == [(False, [False, False, True])] * 2


def test_what_a_killed_process_left_without_done_is_computed_whatever_its_chunks_hold(tmp_path: Path) -> None:
    path = tmp_path / "little.zarr"
    ensure_store(path, validate_sweep(DOCUMENT))
    (path / "correlation" / "c").mkdir()
    (path / "correlation" / "c" / "0").write_bytes(b"half")
    assert run_workflow(path) == [0, 1]
    assert verify_sweep(path).findings == []


def test_a_record_is_restored_from_the_receipt_and_without_that_its_points_are_computed_again(path: Path) -> None:
    record = record_path(path, 0)
    right = record.read_bytes()
    flip_in_the_middle(record)
    assert [finding.what for finding in verify_sweep(path).findings][0] == "provenance record 0000.json is damaged"
    assert run_batch(path, 0).computed == 0
    assert record.read_bytes() == right
    record.unlink()
    receipt_path(path, 0).unlink()
    assert run_batch(path, 0).computed == 2
    assert open_store(path).read("run").tolist()[:2] == [2, 2]


@pytest.mark.parametrize("make", [delete, halve, flip_in_the_middle])
def test_a_receipt_that_does_not_hold_is_written_again_and_nothing_computed(
    path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be computed")

    monkeypatch.setattr(point, "run_point", never)
    right = receipt_path(path, 1).read_bytes()
    make(receipt_path(path, 1))
    assert run_workflow(path) == [1]
    assert receipt_path(path, 1).read_bytes() == right


def test_a_receipt_of_a_batch_that_is_not_complete_is_withdrawn(tmp_path: Path, path: Path) -> None:
    fresh = tmp_path / "fresh" / "little.zarr"
    ensure_store(fresh, validate_sweep(DOCUMENT))
    run_batch(fresh, 1)
    receipts_folder(fresh).mkdir(exist_ok=True)
    shutil.copy(receipt_path(path, 0), receipt_path(fresh, 0))
    assert "0000.json" in verify_sweep(fresh).findings[0].what + verify_sweep(fresh).findings[1].what
    assert run_workflow(fresh) == [0]
    assert sweep_status(fresh).done == 3


def test_a_store_that_was_deleted_leaves_no_receipts_that_hold(path: Path) -> None:
    left = list(receipts_folder(path).glob("*.json"))
    shutil.rmtree(path)
    assert mend_for_workflow(path) == [f"{len(left)} receipts of a store that is not there any more"]
    assert run_workflow(path) == [0, 1]
    shutil.rmtree(path)
    ensure_store(path, validate_sweep(DOCUMENT))
    assert not list(receipts_folder(path).glob("*.json"))


# ---- on the disk, in this order --------------------------------------------------------------------------------------


def test_chunks_are_on_the_disk_before_done_and_done_before_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "little.zarr"
    ensure_store(path, validate_sweep(DOCUMENT))
    flushed: list[str] = []
    flush = os.fsync

    def noted(handle: int) -> None:
        flushed.append(os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), tmp_path))
        # what is flushed is there, and nothing that is written later
        if "/c/" in flushed[-1] and "/done/" not in flushed[-1]:
            assert not (path / "done" / "c" / "0").exists()
        if "/done/c" in flushed[-1]:
            assert not receipt_path(path, 0).exists()
        flush(handle)

    monkeypatch.setattr(os, "fsync", noted)
    run_batch(path, 0)
    written = {**POINT_RESULTS, **POINT_PROVENANCE}
    results = [name for name in written if name != "done"]
    files = [f"little.zarr/{name}/c/0{'/0' if 'loop' in written[name].dims else ''}" for name in results]
    chunks = [flushed.index(file) for file in files]
    folders = [flushed.index(f"little.zarr/{name}/c") for name in results]
    done = [flushed.index("little.zarr/done/c/0"), flushed.index("little.zarr/done/c")]
    receipt = next(k for k, file in enumerate(flushed) if file.startswith("little.zarr.receipts/"))
    assert max(chunks + folders) < min(done)
    assert max(done) < receipt
