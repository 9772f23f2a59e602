"""A batch computes what is missing, keeps what is done, survives failures and kills, and leaves a receipt last."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xarray as xr
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.errors import HpcspikeError, ResourceError, StoreError
from hpcspike.runs import point
from hpcspike.spec import Experiment, validate_sweep
from hpcspike.sweep import batch as batch_module
from hpcspike.sweep.batch import PointDone, run_batch
from hpcspike.sweep.durable import read_sealed
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import (
    RunRecord,
    batch_lock,
    read_records,
    receipt_path,
    receipts_folder,
    runs_folder,
)
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.writer import BatchWriter
from hpcspike.variables import POINT_PARAMETERS, POINT_RESULTS, STATUS


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Replaces training by the stub; the experiments that were asked for."""
    asked: list[Experiment] = []

    def run_point(experiment: Experiment, **keywords: Any) -> SimpleNamespace:
        asked.append(experiment)
        return stub_point(experiment, **keywords)

    monkeypatch.setattr(point, "run_point", run_point)
    return asked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "little.zarr"
    ensure_store(path, validate_sweep(sweep_document()))
    return path


def run_all(path: Path) -> None:
    for number in range(3):
        run_batch(path, number)


def results(path: Path) -> xr.Dataset:
    return open_sweep(path, complete_only=False)[[*POINT_PARAMETERS, *POINT_RESULTS, "done"]].load()


# ---- one batch -------------------------------------------------------------------------------------------------------


def test_a_batch_computes_its_points_and_no_others(path: Path, calls: list[Experiment]) -> None:
    reported: list[PointDone] = []
    report = run_batch(path, 1, on_point=reported.append)
    assert (report.computed, report.already_done, report.failures) == (4, 0, {})
    assert [(item.row, item.position, item.total) for item in reported] == [(4, 1, 4), (5, 2, 4), (6, 3, 4), (7, 4, 4)]
    with open_sweep(path) as sweep:
        assert sweep.sizes["point"] == 4
        for experiment, row in zip(calls, range(4), strict=True):
            expected = stub_point(experiment)
            assert sweep["tau_syn_ms"].values[row] == experiment.synapse.tau_syn_ms
            assert sweep["correlation"].values[row] == expected.scalars["correlation"]
            assert sweep["curve_correlation"].values[row].tolist() == expected.curves["curve_correlation"].tolist()
    assert receipt_path(path, 1).exists()
    assert not receipt_path(path, 0).exists()


def test_a_second_run_computes_nothing(path: Path, calls: list[Experiment]) -> None:
    run_all(path)
    before = results(path)
    calls.clear()
    report = run_batch(path, 0)
    assert (report.computed, report.already_done) == (0, 4)
    assert calls == []
    assert results(path).identical(before)
    assert len(read_records(path)) == 3


def test_only_missing_points_are_computed(path: Path, calls: list[Experiment]) -> None:
    run_batch(path, 0)
    zarr.open_group(path)["done"][1] = 0
    calls.clear()
    assert run_batch(path, 0).computed == 1
    assert len(calls) == 1


@pytest.mark.parametrize("number", [-1, 3])
def test_a_batch_that_does_not_exist_is_refused(path: Path, number: int) -> None:
    with pytest.raises(StoreError, match="the sweep has the batches 0 to 2"):
        run_batch(path, number)


def test_the_receipt_says_what_is_complete(path: Path, calls: list[Experiment]) -> None:
    run_batch(path, 2)
    receipt = json.loads(receipt_path(path, 2).read_text())
    assert receipt["batch"] == 2
    assert receipt["points"] == 4


# ---- points that fail ------------------------------------------------------------------------------------------------


def test_a_point_that_raises_does_not_take_the_others_with_it(
    path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlucky(experiment: Experiment, **keywords: Any) -> SimpleNamespace:
        if len(calls) == 1:
            calls.append(experiment)
            raise ZeroDivisionError("by nought")
        calls.append(experiment)
        return stub_point(experiment, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(point, "run_point", unlucky)
        with pytest.raises(HpcspikeError, match="1 of 4 points failed.*point 1: ZeroDivisionError: by nought"):
            run_batch(path, 0)
    assert not receipt_path(path, 0).exists()
    status = sweep_status(path)
    assert status.done == 3
    assert status.failures == {1: "ZeroDivisionError: by nought"}
    assert "Traceback" in read_records(path)[0]["failures"]["1"]
    assert run_batch(path, 0).computed == 1
    assert sweep_status(path).failures == {}
    assert receipt_path(path, 0).exists()


def test_a_point_that_cannot_fit_in_memory_fails_before_it_is_run(
    path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(experiment: Experiment, **_: Any) -> None:
        raise ResourceError("too large")

    monkeypatch.setattr(batch_module, "check_memory", refuse)
    with pytest.raises(HpcspikeError, match="4 of 4 points failed.*too large"):
        run_batch(path, 0)
    assert calls == []


def test_a_diverging_network_is_a_result(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(experiment: Experiment, **keywords: Any) -> SimpleNamespace:
        result = stub_point(experiment)
        scalars = {name: float("nan") for name in result.scalars}
        scalars |= {"status": STATUS.index("diverged"), "diverged_loop": 1, "n_recorded": 0}
        return SimpleNamespace(scalars=scalars, curves={name: curve[:1] for name, curve in result.curves.items()})

    monkeypatch.setattr(point, "run_point", diverge)
    run_all(path)
    assert finalize(path)["status"]["diverged"] == 12
    with open_sweep(path) as sweep:
        assert (sweep["diverged_loop"] == 1).all()


def test_a_full_disk_is_a_clear_stop(path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: BatchWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BatchWriter, "flush", full)
    with pytest.raises(ResourceError, match="the disk is full; make room and run the batch again"):
        run_batch(path, 0)
    assert not receipt_path(path, 0).exists()


# ---- provenance ------------------------------------------------------------------------------------------------------


def test_every_point_says_where_it_came_from(path: Path, calls: list[Experiment]) -> None:
    run_batch(path, 0, threads=2)
    run_batch(path, 2)
    record = read_records(path)[0]
    assert {
        "hpcspike", "revision", "python", "versions", "host", "platform", "n_ranks", "n_threads", "blas", "llvm",
        "environment", "started", "finished", "batch",
    } <= set(record)  # fmt: skip
    assert {"numpy", "numba", "zarr", "xarray"} <= set(record["versions"])
    assert record["llvm"]["cpu"]
    with open_sweep(path, provenance=True) as sweep:
        sweep.load()
        assert sweep["run"].values.tolist() == [0] * 4 + [1] * 4
        assert sweep["n_threads"].values.tolist() == [2] * 4 + [1] * 4
        assert (sweep["wall_seconds"] >= 0).all()
        assert (sweep["peak_memory"] > 10).all()
        assert set(sweep["run_host"].values) == {record["host"]}
        assert f"numpy {record['versions']['numpy']}" in str(sweep["run_versions"].values[0])
        assert all(len(text) == 64 for text in sweep["experiment_hash"].values)


def test_run_numbers_are_never_given_twice(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    numbers = [RunRecord(store, {"k": k}).number for k in range(3)]
    (runs_folder(store) / "0003.json").touch()  # reserved by a process that was killed then
    numbers.append(RunRecord(store, {"k": 4}).number)
    assert numbers == [0, 1, 2, 4]
    assert read_records(store) == {0: {"k": 0}, 1: {"k": 1}, 2: {"k": 2}, 3: {}, 4: {"k": 4}}


# ---- two processes ---------------------------------------------------------------------------------------------------


def test_a_batch_waits_for_the_process_that_has_it(path: Path, calls: list[Experiment]) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        said: list[str] = []

        def waiting(text: str) -> None:
            said.append(text)
            assert calls == []
            holder.kill()  # a killed process lets go of the batch

        run_batch(path, 0, say=waiting)
    finally:
        holder.kill()
        holder.communicate()
    assert len(said) == 1
    assert f"batch 0 is being computed by process {holder.pid}" in said[0]
    assert len(calls) == 4


_HOLD = """
import sys
from pathlib import Path
from hpcspike.sweep.records import batch_lock
with batch_lock(Path(sys.argv[1]), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_different_batches_do_not_wait_for_each_other(path: Path) -> None:
    said: list[str] = []
    with batch_lock(path, 0), batch_lock(path, 1, waiting=said.append):
        assert said == []


# ---- killed at any moment --------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys, types
sys.path.insert(0, sys.argv[3])
from sweep_stub import stub_point, sweep_document
module = types.ModuleType("hpcspike.runs.point")
module.run_point = stub_point
sys.modules["hpcspike.runs.point"] = module
import zarr
from hpcspike.spec import validate_sweep
from hpcspike.sweep import batch
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store

batch.FLUSH_SECONDS = 0.0
path, moment = sys.argv[1:3]
writes = []

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

put = zarr.Array.__setitem__
def counted(self, *arguments):
    writes.append(self.basename)
    third_point = writes.count("done") + (self.basename != "done") == 3
    if moment == "rows" and third_point and writes.count("tracking_error") == 3:
        die()
    if moment == "before done" and self.basename == "done" and writes.count("done") == 3:
        die()
    put(self, *arguments)
    if moment == "after done" and writes.count("done") == 3:
        die()

if moment == "template":
    zarr.consolidate_metadata = die
ensure_store(path, validate_sweep(sweep_document()))
zarr.Array.__setitem__ = counted
if moment == "receipt":
    os.replace = lambda source, target: die() if "batch-" in str(target) else os.rename(source, target)
run_batch(path, 0)
"""

MOMENTS = {"template": 0, "rows": 2, "before done": 2, "after done": 3, "receipt": 4}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The results of the sweep that nobody killed."""
    path = tmp_path_factory.mktemp("undisturbed") / "little.zarr"
    ensure_store(path, validate_sweep(sweep_document()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point, "run_point", stub_point)
        run_all(path)
    return results(path)


@pytest.mark.parametrize(("moment", "kept"), MOMENTS.items())
def test_kill_at_any_moment_loses_at_most_the_point_in_work(
    tmp_path: Path, undisturbed: xr.Dataset, calls: list[Experiment], moment: str, kept: int
) -> None:
    killed = tmp_path / "killed" / "little.zarr"
    folder = str(Path(__file__).parent)
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(killed), moment, folder], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert killed.exists() == (moment != "template")
    assert not receipt_path(killed, 0).exists()
    ensure_store(killed, validate_sweep(sweep_document()))
    assert sweep_status(killed).done == kept
    for file in (killed / "status" / "c" / "0.dead.partial", killed / "status" / "c" / "2.dead.partial"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"half")
    run_all(killed)
    assert len(calls) == 12 - kept
    finalize(killed)
    assert results(killed).identical(undisturbed)
    leftovers = [file.name for file in killed.parent.rglob("*") if "partial" in file.name or "creating" in file.name]
    assert [name for name in leftovers if not name.startswith(".batch-")] == []


def test_readers_see_only_complete_points_while_a_batch_runs(
    path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    flush = BatchWriter.flush

    def watched(self: BatchWriter) -> None:
        flush(self)
        sweep = open_sweep(path).load()
        seen.append(sweep.sizes["point"])
        assert (sweep["done"] == 1).all()
        assert sweep["correlation"].notnull().all()

    monkeypatch.setattr(BatchWriter, "flush", watched)
    monkeypatch.setattr(batch_module, "FLUSH_SECONDS", 0.0)
    run_batch(path, 1)
    assert seen == [1, 2, 3, 4, 4]


def test_fast_points_are_written_together(path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[int] = []
    flush = BatchWriter.flush
    monkeypatch.setattr(BatchWriter, "flush", lambda self: (flushes.append(len(calls)), flush(self)))
    monkeypatch.setattr(batch_module, "FLUSH_SECONDS", 3600.0)
    run_batch(path, 0)
    assert flushes == [4]
    assert sweep_status(path).done == 4


# ---- finalize --------------------------------------------------------------------------------------------------------


def test_finalize_names_the_batches_that_are_missing(path: Path, calls: list[Experiment]) -> None:
    run_batch(path, 1)
    with pytest.raises(StoreError, match=r"8 of 12 points are missing \(batches 0, 2\)"):
        finalize(path)
    assert not (receipts_folder(path) / "finalized.json").exists()


def test_finalize_summarises_and_leaves_a_receipt(path: Path, calls: list[Experiment]) -> None:
    run_all(path)
    summary = finalize(path)
    assert summary["points"] == 12
    assert summary["status"]["learned"] == 12
    assert read_sealed(receipts_folder(path) / "finalized.json") == summary
    assert sweep_status(path).finalized
