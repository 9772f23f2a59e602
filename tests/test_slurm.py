"""The workflow on a real SLURM of one node: the same results as on a laptop, also when a job is killed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_runs import FINALIZED, ROOT, finish, results, run, start, wait_for, worker, write_sweep
from sweep_stub import sweep_document

from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import read_records

pytestmark = [pytest.mark.slurm, pytest.mark.workflow, pytest.mark.mpi]

# as in the profile, but a test does not wait twenty seconds to ask a scheduler that has one user
AT_ONCE = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    scripts = ROOT / "cluster" / "slurm"
    up = subprocess.run([scripts / "up.sh", folder], capture_output=True, text=True, timeout=60, check=False)
    if up.returncode == 3:
        pytest.skip(up.stderr.strip())
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield
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
    slurm: None, laptop: Path, tmp_path: Path
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
