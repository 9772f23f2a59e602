"""Long points go on from saved states, are trained by several ranks, and are extended by loops: with real training."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from sweep_stub import sweep_document

from hpcspike.errors import Interrupted
from hpcspike.spec import validate_sweep
from hpcspike.sweep import batch as batch_module
from hpcspike.sweep import states
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import read_records, receipt_path
from hpcspike.sweep.states import Saving, states_folder
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store
from hpcspike.variables import POINT_PARAMETERS, POINT_RESULTS
from tests.mpi_launch import ROOT, launch

OFTEN = 1e-6
"""Minutes between saved states: at every opportunity."""


def document(**changes: Any) -> dict[str, Any]:
    """Two points, one twice as long as the other, in a batch each."""
    axes = {"targets.duration_ms": [100.0, 200.0]}
    return sweep_document(**{"replicates": 1, "axes": axes, "batching": {"max_points": 1}, **changes})


def with_loops(n_loops: Any) -> dict[str, Any]:
    changed = document()
    if isinstance(n_loops, list):
        changed["axes"] = {**changed["axes"], "training.n_loops": n_loops}
    else:
        changed["experiment"] = {**changed["experiment"], "training": {"n_loops": n_loops}}
    return changed


def planned(path: Path, config: dict[str, Any]) -> Path:
    ensure_store(path, validate_sweep(config))
    return path


def run_all(path: Path, **options: Any) -> Path:
    for batch in range(len(open_store(path).batches)):
        run_batch(path, batch, **options)
    return path


def results(path: Path) -> xr.Dataset:
    sweep = open_sweep(path)[[*POINT_PARAMETERS, *POINT_RESULTS]].load()
    # where a point stands is no result of it
    return sweep.drop_vars(["batch", "generation", "grid_index", "point"]).drop_attrs(deep=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return results(run_all(planned(tmp_path_factory.mktemp("undisturbed") / "little.zarr", document())))


# ---- interrupted points ----------------------------------------------------------------------------------------------

_DISTURBED = """
import os, sys
from pathlib import Path
from hpcspike.cli import main
from hpcspike.engine import stopping

saved, save = [], stopping.save
def counted(*arguments):
    path = save(*arguments)
    saved.append(path)
    if len(saved) == 3:
        os.kill(os.getpid(), int(sys.argv[2]))
    return path
stopping.save = counted
stopping.Watch._POLL_SECONDS = 0.0001
sys.exit(main(["run-batch", sys.argv[1], "--batch", "1", "--save-minutes", "0.000001"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)])
def test_a_point_that_was_stopped_goes_on_from_its_saved_state(
    tmp_path: Path, undisturbed: xr.Dataset, caplog: pytest.LogCaptureFixture, number: int, code: int
) -> None:
    path = planned(tmp_path / "little.zarr", document())
    stopped = subprocess.run(
        [sys.executable, "-c", _DISTURBED, str(path), str(int(number))], capture_output=True, text=True, timeout=120
    )
    assert stopped.returncode == code, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert states_folder(path).exists()
    assert not receipt_path(path, 1).exists()
    with caplog.at_level(logging.INFO):
        run_all(path, saving=Saving(minutes=OFTEN))
    assert any(record.getMessage().startswith("going on from") for record in caplog.records)
    assert results(path).identical(undisturbed)
    assert list(states_folder(path).iterdir()) == []
    finalize(path)
    assert not states_folder(path).exists()


def test_points_are_saved_only_if_they_are_long(tmp_path: Path, undisturbed: xr.Dataset) -> None:
    path = planned(tmp_path / "little.zarr", document())
    run_all(path, saving=Saving(minutes=5.0))
    assert not states_folder(path).exists()
    assert results(path).identical(undisturbed)


def test_no_point_is_begun_when_the_time_is_nearly_up(tmp_path: Path, undisturbed: xr.Dataset) -> None:
    path = planned(tmp_path / "little.zarr", document(batching={"max_points": 2}))
    late = Saving(time_limit_minutes=10.0, started=time.monotonic() - 9.5 * 60.0)
    with pytest.raises(Interrupted, match="stopped before the time limit of 10 min; finished points are kept"):
        run_batch(path, 0, saving=late)
    assert sweep_status(path).done == 0
    run_batch(path, 0, saving=Saving(time_limit_minutes=10.0))
    # batches of another size put the points into another order
    assert results(path).sortby("duration_ms").identical(undisturbed.sortby("duration_ms"))


# ---- more loops ------------------------------------------------------------------------------------------------------


def test_loops_are_added_to_trainings_whose_states_were_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep = Saving(keep=tmp_path / "states")
    run_all(planned(tmp_path / "short.zarr", with_loops(2)), saving=keep)
    kept = sorted(str(file.relative_to(tmp_path)) for file in keep.keep.rglob("checkpoint-*"))
    assert len(kept) == 2
    with caplog.at_level(logging.INFO):
        run_all(planned(tmp_path / "long.zarr", with_loops(5)), saving=keep)
    assert sum("going on from" in record.getMessage() for record in caplog.records) == 2
    run_all(planned(tmp_path / "fresh.zarr", with_loops(5)))
    assert results(tmp_path / "long.zarr").identical(results(tmp_path / "fresh.zarr"))
    assert {str(file.relative_to(tmp_path)) for file in keep.keep.rglob("checkpoint-*")} > set(kept)


def test_a_sweep_that_grows_by_longer_trainings_goes_on_from_the_shorter_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, keep = tmp_path / "little.zarr", Saving(keep=tmp_path / "states")
    run_all(planned(path, with_loops([2])), saving=keep)
    short = results(path)
    with caplog.at_level(logging.INFO):
        run_all(planned(path, with_loops([1, 2, 5])), saving=keep)
    assert sum("going on from" in record.getMessage() for record in caplog.records) == 2
    fresh = run_all(planned(tmp_path / "fresh.zarr", with_loops([1, 2, 5])))
    order = ["n_loops", "duration_ms"]
    assert results(path).sortby(order).identical(results(fresh).sortby(order))
    assert results(path).isel(point=slice(2), loop=slice(2)).equals(short)


# ---- several ranks ---------------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_compute_a_batch_together_and_the_results_are_the_same(
    tmp_path: Path, undisturbed: xr.Dataset, ranks: int
) -> None:
    path = planned(tmp_path / "little.zarr", document())
    run_batch(path, 0)
    ended = launch(ranks, "-m", "hpcspike", "run-batch", path, "--batch", 1, "--save-minutes", OFTEN, folder=ROOT)
    assert ended.code == 0, ended.err
    assert ended.out == "batch 1: 1 point computed, 0 done before\n"
    assert results(path).identical(undisturbed)
    assert open_sweep(path)["n_ranks"].values.tolist() == [1, ranks]
    assert len(read_records(path)[1]["hosts"]) == ranks
    again = launch(ranks, "-m", "hpcspike", "run-batch", path, "--batch", 1, folder=ROOT)
    assert (again.code, again.out) == (0, "batch 1: 0 points computed, 1 done before\n")
    finalize(path)


@pytest.mark.mpi
def test_an_error_on_rank_0_ends_all_ranks(tmp_path: Path) -> None:
    path = planned(tmp_path / "little.zarr", document())
    ended = launch(2, "-m", "hpcspike", "run-batch", path, "--batch", 7, folder=ROOT)
    assert ended.code == 2
    assert ended.err.count("batch 7 does not exist; the sweep has the batches 0 to 1") == 1


@pytest.mark.mpi
def test_a_point_that_fails_on_all_ranks_is_noted_and_the_others_are_computed(tmp_path: Path) -> None:
    config = sweep_document(replicates=1, axes={"network.n_neurons": [2, 20]}, batching={"max_points": 2})
    path = planned(tmp_path / "little.zarr", config)
    ended = launch(3, "-m", "hpcspike", "run-batch", path, "--batch", 0, folder=ROOT)
    assert ended.code == 2
    assert "network.n_neurons = 2 is less than the 3 MPI ranks" in ended.err
    assert "Traceback" not in ended.err
    status = sweep_status(path)
    assert (status.done, list(status.failures)) == (1, [0])
    run_batch(path, 0)
    assert sweep_status(path).done == 2


@pytest.mark.parametrize("keeps", [False, True])
def test_a_points_results_are_on_the_disk_before_its_states_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    path = planned(tmp_path / "little.zarr", document(batching={"max_points": 2}))
    done: list[int] = []

    def forget(*arguments: Any, **keywords: Any) -> None:
        done.append(int(open_store(path).read("done").sum()))
        states.forget(*arguments, **keywords)

    monkeypatch.setattr(batch_module, "forget", forget)
    monkeypatch.setattr(batch_module, "FLUSH_SECONDS", 1e9)
    for number in range(len(open_store(path).batches)):
        run_batch(path, number, saving=Saving(minutes=OFTEN, keep=tmp_path / "kept" if keeps else None))
    assert done == [1, 2]
