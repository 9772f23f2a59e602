"""What goes wrong while a sweep runs, and that the same command afterwards gives the results of an undisturbed one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
from sweep_runs import FINALIZED, finish, planned, results, run, run_all, start, wait_for, worker, write_sweep
from sweep_stub import stub_point, sweep_document

import hpcspike
from hpcspike.errors import HpcspikeError, ResourceError, StoreError
from hpcspike.runs import point
from hpcspike.spec import Experiment, validate_sweep
from hpcspike.sweep import batch as batch_module
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import receipt_path
from hpcspike.sweep.status import sweep_status
from hpcspike.variables import STATUS

LOGS = Path("results") / "little" / "logs"


# ---- processes that are killed ---------------------------------------------------------------------------------------


@pytest.mark.workflow
def test_kill_9_of_snakemake_and_of_its_orphan_and_a_second_snakemake(tmp_path: Path) -> None:
    document = sweep_document(replicates=1, batching={"max_points": 3})
    folder, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    folder.mkdir()
    run_all(planned(undisturbed, document))
    write_sweep(folder, document)
    first = start(folder, FINALIZED)
    orphan = None
    try:
        orphan = wait_for(lambda: worker(folder, 1))
        orphan.suspend()
        _check_that_a_running_sweep_can_be_read(folder, undisturbed)
        code, output = run(folder, FINALIZED)
        assert code != 0
        assert "another workflow runs this sweep" in output
        first.kill()
        first.wait()
        second = start(folder, FINALIZED)
        try:
            # Snakemake removes an old log before the job writes a new one
            log = folder / LOGS / "batch-0001.log"
            wait_for(lambda: log.exists() and "waiting for it" in log.read_text())
            assert second.poll() is None
        finally:
            orphan.kill()
            code, output = finish(second)
    finally:
        _end(first, orphan)
    assert code == 0, output
    assert results(folder).identical(results(undisturbed))
    code, output = run(folder, FINALIZED)
    assert code == 0
    assert "Nothing to be done" in output


def _check_that_a_running_sweep_can_be_read(folder: Path, undisturbed: Path) -> None:
    assert "process" in sweep_status(folder / "results" / "little.zarr").running[1]
    so_far, complete = hpcspike.open_sweep(folder / "results" / "little.zarr").load(), results(undisturbed)
    assert so_far.sizes["point"] < complete.sizes["point"]
    same = complete["experiment_hash"].isin(so_far["experiment_hash"])
    for name in complete:
        assert so_far[name].equals(complete[name][same]), name


def _end(workflow: subprocess.Popen[str], orphan: psutil.Process | None) -> None:
    workflow.kill()
    assert workflow.stdout is not None
    workflow.stdout.close()
    if orphan is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()


# ---- the disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "run_point", stub_point)


@pytest.fixture
def reference(tmp_path: Path, stubbed: None) -> xr.Dataset:
    """The results of the sweep that nothing happened to."""
    run_all(planned(tmp_path / "reference", sweep_document()))
    return results(tmp_path / "reference")


def test_a_full_disk_stops_a_batch_and_costs_only_what_was_not_written(
    disk: Path, reference: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcspike.sweep.layout._SPARE_BYTES", 0)
    monkeypatch.setattr(batch_module, "FLUSH_SECONDS", 0.0)
    path = planned(disk, sweep_document())
    run_batch(path, 1)
    filler = disk / "filler"

    def fill_up(experiment: Experiment, **_: Any) -> SimpleNamespace:
        with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return stub_point(experiment)

    with monkeypatch.context() as patch:
        patch.setattr(point, "run_point", fill_up)
        with pytest.raises(ResourceError, match="the disk is full; make room and run the batch again"):
            run_batch(path, 0)
    assert not receipt_path(path, 0).exists()
    assert sweep_status(path).done == 4  # whatever was written, the other batch's points are seen
    filler.unlink()
    run_all(path)
    finalize(path)
    assert results(disk).identical(reference)
    assert list(path.rglob("*.partial")) == []


def test_a_disk_that_has_become_read_only(disk: Path, reference: xr.Dataset) -> None:
    path = disk / "results" / "little.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcspike.sweep.layout._SPARE_BYTES", 0)
        planned(disk, sweep_document())
    run_batch(path, 1)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreError, match="cannot be written"):
        run_batch(path, 0)
    with pytest.raises(StoreError, match="cannot be written"):
        ensure_store(path, validate_sweep(sweep_document(replicates=3)))
    assert open_sweep(path).sizes["point"] == 4
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    run_all(path)
    assert results(disk).identical(reference)


# ---- points that go wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError("by nought"), OSError(5, "Input/output error")])
def test_a_point_that_raises_is_noted_and_computed_by_the_next_run(
    tmp_path: Path, reference: xr.Dataset, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = planned(tmp_path, sweep_document())
    asked: list[Experiment] = []

    def unlucky(experiment: Experiment, **_: Any) -> SimpleNamespace:
        asked.append(experiment)
        if len(asked) == 2:
            raise error
        return stub_point(experiment)

    with monkeypatch.context() as patch:
        patch.setattr(point, "run_point", unlucky)
        with pytest.raises(HpcspikeError, match=f"1 of 4 points failed, .* point 1: {type(error).__name__}"):
            run_batch(path, 0)
    assert list(sweep_status(path).failures) == [1]
    run_all(path)
    assert results(tmp_path).identical(reference)


def test_memory_that_is_refused_by_the_system_is_a_failure_of_the_point_only(tmp_path: Path) -> None:
    # 3 GB of P under a limit of 2.5 GB of address space, which the free memory of the machine does not show
    document = sweep_document(replicates=1, axes={"network.n_neurons": [20, 1200]}, batching={"max_points": 2})
    document["experiment"] |= {"connectivity": {"kind": "zero", "probability": 0.5}}
    path = planned(tmp_path, document)
    limited = f"ulimit -v 2500000; exec {sys.executable} -m hpcspike run-batch {path} --batch 0"
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2, ended.stderr
    assert "1 of 2 points failed, the others are done" in ended.stderr
    assert "MemoryError" in ended.stderr
    assert sweep_status(path).done == 1


def test_a_point_that_diverges_is_a_result_and_the_sweep_goes_on(tmp_path: Path) -> None:
    axes = {"measures.diverged_drive": [1e-3, 1e6]}
    path = planned(tmp_path, sweep_document(replicates=1, axes=axes))
    run_all(path)
    assert finalize(path)["status"]["diverged"] == 1
    with open_sweep(path) as sweep:
        diverged = sweep["status"].values == STATUS.index("diverged")
        assert diverged.tolist() == [True, False]
        assert sweep["diverged_loop"].values.tolist() == [0, -1]
        assert np.isnan(sweep["correlation"].values).tolist() == [True, False]


# ---- signals ---------------------------------------------------------------------------------------------------------


def test_sigterm_ends_a_batch_with_the_code_for_run_again(tmp_path: Path) -> None:
    document = sweep_document(replicates=1, batching={"max_points": 6})
    document["experiment"] |= {"training": {"n_loops": 1000}}  # a third of a second a point
    path = planned(tmp_path, document)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcspike", "run-batch", str(path), "--batch", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("batch 0: point 1/6")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "stopped by SIGTERM; finished points are kept" in err
    assert 1 <= sweep_status(path).done < 6
    run_all(path)
    run_all(planned(tmp_path / "undisturbed", document))
    assert results(tmp_path).identical(results(tmp_path / "undisturbed"))
