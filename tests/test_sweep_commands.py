"""Watching a sweep, exporting it, and analysing it on a cluster of dask."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.cli import main
from hpcspike.commands import status as status_command
from hpcspike.runs import point
from hpcspike.spec import validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.calibration import calibration, factors
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.layout import with_every_chunk
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import batch_lock
from hpcspike.sweep.status import _end as predicted_end
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store
from hpcspike.variables import STATUS


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of three batches of which two are done."""
    monkeypatch.setattr(point, "run_point", stub_point)
    path = tmp_path / "little.zarr"
    ensure_store(path, validate_sweep(sweep_document(batching={"max_points": 4, "mpi_minutes": 100.0})))
    run_batch(path, 0)
    run_batch(path, 1)
    return path


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_names_the_batches_that_run_and_when_they_will_be_done(path: Path) -> None:
    assert (sweep_status(path).running, sweep_status(path).end) == ({}, None)
    before = time.time()
    with batch_lock(path, 2):
        status = sweep_status(path)
    assert list(status.running) == [2]
    assert status.running[2].startswith("process ")
    assert status.cores == 1
    assert status.end is not None
    assert before + status.seconds_left <= status.end <= time.time() + status.seconds_left
    assert sweep_status(path).running == {}


def test_asking_for_the_status_does_not_take_a_batch_away(path: Path) -> None:
    said: list[str] = []
    sweep_status(path)
    with batch_lock(path, 2, waiting=said.append):
        sweep_status(path)
    assert said == []


def test_predictions_are_corrected_by_points_of_like_cost() -> None:
    predicted = np.array([0.2, 0.3, 0.2, 200.0, 300.0])
    factor = factors(predicted, predicted * np.array([3.0, 3.0, 3.0, 0.5, 0.5]))
    assert factor(np.array([0.01, 0.25])) == pytest.approx([3.0, 3.0])
    assert factor(np.array([250.0, 9000.0])) == pytest.approx([0.5, 0.5])
    assert 0.5 < factor(np.array([8.0]))[0] < 3.0
    assert factors(np.empty(0), np.empty(0))(np.array([1.0, 2.0])).tolist() == [1.0, 1.0]


def test_a_sweep_of_many_batches_is_corrected_by_a_sample_of_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = zarr.open_group(path)
    predicted = group["predicted_seconds"][:]
    group["wall_seconds"][:8] = predicted[:8] * np.repeat([2.0, 8.0], 4)
    of_both = calibration(open_store(path))(predicted)
    assert ((of_both > 2.1) & (of_both < 7.9)).all()
    monkeypatch.setattr("hpcspike.sweep.calibration.MOST_CHUNKS", 1)
    assert calibration(open_store(path))(predicted) == pytest.approx(2.0)


def test_a_sweep_that_grows_is_batched_by_the_time_its_points_have_taken(path: Path) -> None:
    group = zarr.open_group(path)
    group["wall_seconds"][:8] = 1000.0 * group["predicted_seconds"][:8]
    run_batch(path, 2)
    store, _ = ensure_store(path, validate_sweep(sweep_document(replicates=3)))
    new = store.batches.seconds[3:]
    assert sum(new) > 300.0 * np.nansum(store.group["predicted_seconds"][12:])


def test_the_watched_table_shows_progress_and_failures(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(point, "run_point", fail)
        with pytest.raises(Exception, match="4 of 4 points failed"):
            run_batch(path, 2)
    text = io.StringIO()
    with batch_lock(path, 2):
        Console(file=text, width=100).print(status_command._table(sweep_status(path)))
    for part in ("sweep little", "8 of 12 done (8 learned)", "2 of 3 done", "1 batch on 1 core", "about"):
        assert part in text.getvalue()
    assert text.getvalue().count("RuntimeError: no luck") == 4


def test_watching_ends_when_every_point_is_done(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        run_batch(path, 2)

    monkeypatch.setattr(status_command, "time", SimpleNamespace(sleep=wait))
    assert main(["status", str(path), "--watch", "7"]) == 0
    assert waits == [7]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("points")] == [
        "points     8 of 12 done (8 learned)",
        "points     12 of 12 done (12 learned)",
    ]


def test_a_terminal_is_drawn_by_rich(path: Path) -> None:
    command = [sys.executable, "-m", "hpcspike", "status", str(path), "--watch", "1"]
    code = f"import pty, sys; sys.exit(pty.spawn({command!r}))"
    run_batch(path, 2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "12 of 12 done" in done.stdout.decode()
    assert "\x1b[" in done.stdout.decode()


# ---- export ----------------------------------------------------------------------------------------------------------


def test_a_netcdf_file_says_what_everything_in_it_is(path: Path, tmp_path: Path) -> None:
    assert main(["export", str(path), str(tmp_path / "new" / "out.nc")]) == 0
    with xr.open_dataset(tmp_path / "new" / "out.nc", engine="h5netcdf") as copy, open_sweep(path) as sweep:
        assert copy.sizes["point"] == 8
        for name in sweep.data_vars:
            assert np.array_equal(copy[name].values, sweep[name].values, equal_nan=True), name
        for name in sweep.coords:
            assert copy[name].values.tolist() == sweep[name].values.tolist(), name
        dictionary = pd.read_csv(io.StringIO(copy.attrs["data_dictionary"]), keep_default_na=False)
        assert set(dictionary["name"]) == set(copy.variables)
        assert (dictionary["unit"] != "").all()
        assert (dictionary["meaning"].str.len() > 4).all()
        row = dictionary.set_index("name").loc["status"]
        assert row["flags"] == "0 learned; 1 sampling; 2 tracking; 3 diverged; 4 silent; 5 unjudged; 6 recall"
        assert {"run_host", "run_revision", "run_versions"} <= set(copy.data_vars)


def test_a_zip_file_can_be_read_without_python_for_science(path: Path, tmp_path: Path) -> None:
    assert main(["export", str(path), str(tmp_path / "out.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive, open_sweep(path) as sweep:
        assert set(archive.namelist()) == {
            "README.txt", "points.csv", "curves.csv", "data_dictionary.csv", "sweep.json", "provenance.json",
            "little.nc",
        }  # fmt: skip
        points = pd.read_csv(archive.open("points.csv"))
        curves = pd.read_csv(archive.open("curves.csv"))
        dictionary = pd.read_csv(archive.open("data_dictionary.csv"))
        assert points["correlation"].tolist() == sweep["correlation"].values.tolist()
        assert len(curves) == 8 * sweep.sizes["loop"]
        fifth = curves[curves["point"] == 5]["curve_rate"].tolist()
        assert fifth == sweep["curve_rate"].values[5].tolist()
        assert {*points.columns, *curves.columns} == set(dictionary["name"])
        assert json.loads(archive.read("sweep.json"))["replicates"] == 2
        assert set(json.loads(archive.read("provenance.json"))) == {"0", "1"}
        assert "8 trained spiking networks" in archive.read("README.txt").decode()
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["out.zip"]


def test_points_are_numbered_by_their_rows_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "run_point", stub_point)
    store = tmp_path / "little.zarr"
    ensure_store(store, validate_sweep(sweep_document()))
    run_batch(store, 1)
    assert main(["export", str(store), str(tmp_path / "out.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        points = pd.read_csv(archive.open("points.csv")).set_index("point")
        curves = pd.read_csv(archive.open("curves.csv")).set_index("point")
    group = zarr.open_group(store, mode="r")
    assert points.index.tolist() == [4, 5, 6, 7]
    assert points["experiment_hash"][6] == str(group["experiment_hash"][6])
    assert curves["curve_rate"][6].tolist() == group["curve_rate"][6].tolist()


def test_curves_that_a_learner_has_only_in_part_are_exported(path: Path, tmp_path: Path) -> None:
    group = zarr.open_group(path)
    with_every_chunk(group["curve_weight_change"])[:] = np.nan  # what learners other than rls leave open
    group["curve_rate"][2, 1] = group["curve_correlation"][2, 1] = np.nan  # the second loop was never reached
    assert main(["export", str(path), str(tmp_path / "out.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        curves = pd.read_csv(archive.open("curves.csv")).set_index(["point", "loop"])
    assert len(curves) == 8 * 2 - 1
    assert curves["curve_rate"][3, 1] == group["curve_rate"][3, 1]


@pytest.mark.parametrize(
    ("out", "message"), [("out.csv", "must end in .nc"), ("folder.zip", "is a folder"), ("file/out.nc", "is a file")]
)
def test_an_export_that_cannot_be_written_is_refused(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, message: str
) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "file").touch()
    assert main(["export", str(path), str(tmp_path / out)]) == 2
    assert message in capsys.readouterr().err


# ---- dask ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Address of a scheduler with two workers in processes of their own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_of_dask_computes_the_same_numbers(path: Path, tmp_path: Path, scheduler: str) -> None:
    run_batch(path, 2)
    assert main(["analyse", str(path), "--out", str(tmp_path / "here")]) == 0
    assert main(["analyse", str(path), "--out", str(tmp_path / "there"), "--scheduler", scheduler]) == 0
    tables = sorted(file.name for file in (tmp_path / "here").iterdir())
    assert len(tables) >= 6
    assert sorted(file.name for file in (tmp_path / "there").iterdir()) == tables
    for name in tables:
        if name.endswith(".csv"):
            assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_a_scheduler_that_does_not_answer_is_said(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    out = str(tmp_path / "tables")
    assert main(["analyse", str(path), "--out", out, "--scheduler", "no such address"]) == 2
    assert "--scheduler no such address: no dask scheduler answers there" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_sweep_ends_no_sooner_than_its_longest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcspike.sweep.status.time", SimpleNamespace(time=lambda: 5000.0))
    two = np.array([100.0, 1.0])
    assert predicted_end(two, np.array([1, 1]), 2) == 5100.0
    assert predicted_end(two, np.array([4, 1]), 5) == 5025.0
    assert predicted_end(two, np.array([1, 1]), 1) == 5101.0


@pytest.mark.parametrize("ranks", [1, 2])
def test_time_that_several_ranks_took_counts_for_each_of_them(tmp_path: Path, ranks: int) -> None:
    columns = {
        "predicted_seconds": [10.0, 10.0, 10.0, 10.0], "wall_seconds": [30.0, 30.0, 900.0, 900.0],
        "n_ranks": [ranks] * 4, "status": [0, 1, STATUS.index("diverged"), 0], "done": [1, 1, 1, 0],
    }  # fmt: skip
    (tmp_path / "done" / "c" / "0").mkdir(parents=True)
    store = SimpleNamespace(
        path=tmp_path, inventory=None, chunk=4, n_rows=4, read=lambda name, rows: np.array(columns[name])[rows]
    )
    assert calibration(store)(np.array([1.0, 50.0])).tolist() == pytest.approx([3.0 * ranks] * 2)  # type: ignore[arg-type]


def test_the_time_limit_of_a_batch_counts_from_the_start_of_the_program(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def run(*_: Any, saving: Any, **others: Any) -> SimpleNamespace:
        given.append(saving)
        return SimpleNamespace(batch=2, computed=0, already_done=0)

    monkeypatch.setattr("hpcspike.sweep.batch.run_batch", run)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(create_time=lambda: 4700.0))
    clocks = SimpleNamespace(time=lambda: 5000.0, monotonic=lambda: 70.0)
    monkeypatch.setattr("hpcspike.commands.run_batch.time", clocks)
    assert main(["run-batch", str(path), "--batch", "2", "--time-limit", "9"]) == 0
    assert (given[0].started, given[0].time_limit_minutes) == (-230.0, 9.0)  # 300 s ago
