"""The workflow on a real SLURM of one node: the same results as on a laptop, whatever fails.

``pytest -m slurm tests/test_slurm.py`` runs the faults that take minutes, too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import xarray as xr
from sweep_runs import (
    FINALIZED,
    ROOT,
    finish,
    planned,
    results,
    run,
    run_all,
    start,
    wait_for,
    worker,
    write_sweep,
)
from sweep_stub import sweep_document

from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import read_records

# not marked mpi: the profile starts ranks as MPICH wants it
pytest.importorskip("mpi4py")
pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

# as in the profile, but a test does not wait twenty seconds to ask a scheduler that has one user
AT_ONCE = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a SLURM that runs."""
    folder = tmp_path_factory.mktemp("slurm")
    scripts = ROOT / "cluster" / "slurm"
    up = subprocess.run([scripts / "up.sh", folder], capture_output=True, text=True, timeout=60, check=False)
    if up.returncode == 3:
        pytest.skip(up.stderr.strip())
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield folder
    finally:
        subprocess.run([scripts / "down.sh", folder], timeout=60, check=False)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep as the laptop profile computes it."""
    folder = tmp_path_factory.mktemp("laptop")
    write_sweep(folder, DOCUMENT)
    code, output = run(folder, FINALIZED)
    assert code == 0, output
    return folder


# four points for two batches, and a large one for two MPI ranks
DOCUMENT = sweep_document(
    replicates=1,
    axes={"network.n_neurons": [30, 40, 50, 60, 200]},
    batching={"max_points": 2, "mpi_minutes": 0.005, "mpi_ranks": 2},
)
DOCUMENT["experiment"] |= {"targets": {"kind": "ou", "duration_ms": 200.0}, "training": {"n_loops": 20}}
MPI_BATCH = 2


def test_a_sweep_through_slurm_equals_that_of_a_laptop_although_a_worker_was_killed(
    slurm: Path, laptop: Path, tmp_path: Path
) -> None:
    write_sweep(tmp_path, DOCUMENT)
    workflow = start(tmp_path, FINALIZED, *AT_ONCE, profile="slurm")
    try:
        wait_for(lambda: worker(tmp_path, 1)).kill()
    finally:
        code, output = finish(workflow)
    assert code == 0, output
    assert "Trying to restart job" in output
    records = read_records(tmp_path / "results" / "little.zarr").values()
    assert sorted(record["batch"] for record in records) == [0, 1, 1, MPI_BATCH]
    assert all("SLURM_JOB_ID" in record["environment"] for record in records)
    assert results(tmp_path).identical(results(laptop))
    for folder in (tmp_path, laptop):
        ranks = open_sweep(folder / "results" / "little.zarr")["n_ranks"].values
        assert ranks.tolist() == [1, 1, 1, 1, 2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_batches_as_a_job_array_give_the_same_results(slurm: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    run_all(planned(alone, DOCUMENT))
    write_sweep(tmp_path, DOCUMENT)
    (tmp_path / "workflow.yaml").write_text("equal_needs: true\n")
    code, output = run(tmp_path, FINALIZED, *AT_ONCE, "--slurm-array-jobs", "batch", profile="slurm")
    assert code == 0, output
    records = read_records(tmp_path / "results" / "little.zarr").values()
    arrays = {record["batch"]: record["environment"].get("SLURM_ARRAY_JOB_ID") for record in records}
    assert arrays[0] == arrays[1] is not None
    assert arrays[MPI_BATCH] is None
    assert results(tmp_path).identical(results(alone))


# ---- faults that take minutes ----------------------------------------------------------------------------------------

FAULTY = sweep_document(replicates=1, axes={"network.n_neurons": [*range(200, 208)]}, batching={"max_points": 4})
FAULTY["experiment"] |= {"targets": {"kind": "ou", "duration_ms": 400.0}, "training": {"n_loops": 60}}
"""Two batches of some ten seconds."""


# a machine that is busy with other things
PATIENCE = 800.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The results of the sweep that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_all(planned(folder, FAULTY))
    return results(folder)


def sinfo(field: str) -> str:
    return subprocess.run(["sinfo", "-h", "-o", field], capture_output=True, text=True, check=True).stdout.strip()


def set_node(state: str) -> None:
    # a node that is back already cannot be resumed
    subprocess.run(["scontrol", "update", f"nodename={sinfo('%n')}", f"state={state}", "reason=test"], check=False)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_node_that_fails(slurm: Path, undisturbed: xr.Dataset, tmp_path: Path) -> None:
    write_sweep(tmp_path, FAULTY)
    workflow = start(tmp_path, FINALIZED, *AT_ONCE, profile="slurm")
    try:
        process = wait_for(lambda: worker(tmp_path, 0))
        set_node("down")
        wait_for(lambda: not process.is_running())
        set_node("resume")
    finally:
        code, output = finish(workflow, seconds=PATIENCE)
    assert code == 0, output
    assert "Trying to restart job" not in output  # SLURM itself has started the batches again
    assert results(tmp_path).identical(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_9_of_slurmd(slurm: Path, undisturbed: xr.Dataset, tmp_path: Path) -> None:
    write_sweep(tmp_path, FAULTY)
    workflow = start(tmp_path, FINALIZED, *AT_ONCE, profile="slurm")
    try:
        wait_for(lambda: worker(tmp_path, 0))
        psutil.Process(int((slurm / "slurmd.pid").read_text())).kill()
        # the node counts as failed, but its batches go on: those that SLURM starts again wait for them
        wait_for(lambda: sinfo("%T").startswith("down"))
        subprocess.run(["slurmd"], check=True)
    finally:
        code, output = finish(workflow, seconds=PATIENCE)
    assert code == 0, output
    assert results(tmp_path).identical(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_9_of_snakemake_whose_jobs_stay_in_the_queue(slurm: Path, undisturbed: xr.Dataset, tmp_path: Path) -> None:
    write_sweep(tmp_path, FAULTY)
    workflow = start(tmp_path, FINALIZED, *AT_ONCE, profile="slurm")
    try:
        wait_for(lambda: worker(tmp_path, 0))
    finally:
        workflow.kill()
        finish(workflow)
    code, output = finish(start(tmp_path, FINALIZED, *AT_ONCE, profile="slurm"), seconds=PATIENCE)
    assert code == 0, output
    records = read_records(tmp_path / "results" / "little.zarr").values()
    assert sum(record["computed"] for record in records) == undisturbed.sizes["point"]  # none twice
    assert results(tmp_path).identical(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_that_does_not_suffice(slurm: Path, undisturbed: xr.Dataset, tmp_path: Path) -> None:
    write_sweep(tmp_path, FAULTY)
    too_little = ("--set-resources", "batch:mem_mb=60*attempt**3", "batch:killed_at_runtime=1")
    code, output = finish(start(tmp_path, FINALIZED, *AT_ONCE, *too_little, profile="slurm"), seconds=PATIENCE)
    assert code == 0, output
    assert "Trying to restart job" in output
    assert results(tmp_path).identical(undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("expected", [True, False])
def test_a_time_limit_that_is_too_short(slurm: Path, tmp_path: Path, expected: bool) -> None:
    # a minute is the shortest limit that SLURM has; the second try has half an hour
    document = {**FAULTY, "axes": {"network.n_neurons": [*range(440, 452)]}, "batching": {"max_points": 12}}
    write_sweep(tmp_path, document)
    limit = ("--set-resources", "batch:runtime=29*attempt-28", f"batch:killed_at_runtime={int(expected)}")
    code, output = finish(start(tmp_path, FINALIZED, *AT_ONCE, *limit, profile="slurm"), seconds=PATIENCE)
    assert code == 0, output
    assert "Trying to restart job" in output
    first, *others = read_records(tmp_path / "results" / "little.zarr").values()
    assert "finished" in first or not expected  # by itself; or by SIGTERM, if that was answered before SIGKILL
    assert 0 < others[-1]["computed"] < 12
    run_all(planned(tmp_path / "undisturbed", document))
    assert results(tmp_path).identical(results(tmp_path / "undisturbed"))
