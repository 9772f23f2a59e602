"""What fails on one rank ends all of them, soon, with a code and one message, and leaves nothing half-written."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from hpcspike.cli import build_parser
from hpcspike.commands.train import _checkpoints
from hpcspike.engine.communication import MpiWorld, World
from hpcspike.engine.output import whole_over_ranks
from hpcspike.errors import ResourceError
from hpcspike.launcher import launched_rank, launched_ranks
from tests import mpi_launch
from tests.mpi_launch import ROOT, Ended, ended, launch, started, wait_for
from tests.test_mpi_train import DOCUMENT, assert_same_files

FAIL = ROOT / "tests" / "mpi_fail.py"
HANGS = 60.0
"""Seconds after which a job is taken to hang; they end within a few, but start slowly on a busy machine."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config, and nothing else."""
    document = DOCUMENT | {"training": {"n_loops": 2, "update_interval_ms": 2.0}}
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


def fail(folder: Path, how: str, rank: object, *more: str, ranks: int = 2) -> Ended:
    return launch(
        ranks, FAIL, how, rank, "train", "network.yaml", "--out", "out.zarr", *more, folder=folder, timeout=HANGS
    )


def names(folder: Path) -> list[str]:
    # a job that is ended from outside leaves its lock, which the next one takes
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


# ---- one rank --------------------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("raise", 1, "RuntimeError: no luck"),
        ("refuse", 2, "rank 1: hpcspike: error: bad luck"),
        ("exit", 3, "rank 1: hpcspike: exit with code 3"),
        ("leave", 1, "rank 1: hpcspike: exit with code 0"),
    ],
)
def test_an_error_on_one_rank_ends_all(folder: Path, how: str, code: int, message: str) -> None:
    done = fail(folder, how, 1)
    assert done.code == code, done
    assert done.err.count(message) == 1
    assert names(folder) == ["network.yaml"]


@pytest.mark.mpi
def test_a_disk_that_is_full_for_one_rank_is_told_once_and_leaves_nothing(folder: Path) -> None:
    done = fail(folder, "full", 1)
    assert done.code == 2, done
    assert done.err.count("out.zarr: cannot be written (No space left on device); nothing was left behind") == 1
    assert "rank 1:" not in done.err  # all ranks know of it
    assert names(folder) == ["network.yaml"]


@pytest.mark.mpi
def test_a_killed_rank_ends_all_and_the_same_command_goes_on(folder: Path) -> None:
    command = ["train", "network.yaml", "--out", "out.zarr", "--checkpoint-every-loops", "1"]
    with started(2, FAIL, "wait", 1, *command, folder=folder) as process:
        pid = int(wait_for(folder / "waiting", process))
        ranks = [rank.pid for rank in psutil.Process(pid).parent().children()]
        os.kill(pid, signal.SIGKILL)
        done = ended(process, timeout=HANGS)
    assert done.code != 0
    assert names(folder) == ["network.yaml", "out.zarr.checkpoint", "waiting"]
    end = time.monotonic() + HANGS
    while any(_runs(rank) for rank in ranks):
        assert time.monotonic() < end, "a rank is still there"
        time.sleep(0.05)
    resumed = launch(0, "-m", "hpcspike", *command, folder=folder)
    assert resumed.code == 0, resumed
    assert resumed.err.splitlines()[-1].startswith("loop 4/4")
    assert "loop 1/4" not in resumed.err
    assert names(folder) == ["network.yaml", "out.zarr", "waiting"]
    whole = launch(0, "-m", "hpcspike", "train", "network.yaml", "--out", "whole.zarr", folder=folder)
    assert whole.code == 0, whole
    assert_same_files(folder / "out.zarr", folder / "whole.zarr")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ---- all ranks -------------------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "synapse.tau_syn_ms=0"], "hpcspike: error: network.yaml: synapse.tau_syn_ms = 0: must be"),
        (["--set", "network.n_neurons=2"], "network.n_neurons = 2 is less than the 3 MPI ranks; start at most 2"),
        (["--threads", "none"], "error: argument --threads: must be a whole number, not 'none'"),
    ],
)
def test_what_all_ranks_refuse_is_told_once(folder: Path, arguments: list[str], message: str) -> None:
    command = ["-m", "hpcspike", "train", "network.yaml", "--out", "out.zarr", *arguments]
    done = launch(3, *command, folder=folder, timeout=HANGS)
    assert done.code == 2, done
    assert done.err.count(message) == 1, done
    assert done.err.count("error: ") == 1, done
    assert "Traceback" not in done.err
    assert names(folder) == ["network.yaml"]


@pytest.mark.mpi
def test_a_bug_on_all_ranks_shows_one_traceback(folder: Path) -> None:
    done = fail(folder, "raise", "all")
    assert done.code == 1, done
    assert done.err.count("RuntimeError: no luck") == 1


@pytest.mark.mpi
def test_help_is_shown_once(folder: Path) -> None:
    done = launch(2, "-m", "hpcspike", "train", "--help", folder=folder)
    assert (done.code, done.out.count("usage: hpcspike train")) == (0, 1)


# ---- launchers -------------------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize(("rank", "told"), [("0", 1), ("1", 0)])
def test_processes_that_a_launcher_started_but_mpi_does_not_join_are_refused(
    folder: Path, rank: str, told: int
) -> None:
    command = ["-m", "hpcspike", "train", "network.yaml", "--out", "out.zarr"]
    done = launch(0, *command, folder=folder, PMI_SIZE="3", PMI_RANK=rank)
    assert done.code == 2, done
    assert done.err.count("the launcher started 3 ranks, but MPI sees 1") == told
    assert names(folder) == ["network.yaml"]


@pytest.mark.mpi
def test_the_launcher_of_another_mpi_is_refused(folder: Path) -> None:
    other = os.environ.get("HPCSPIKE_OTHER_MPIEXEC")
    if other is None:
        pytest.skip("HPCSPIKE_OTHER_MPIEXEC does not name the mpiexec of the other MPI")
    command = [other, "-n", "2", *mpi_launch.command(0, "-m", "hpcspike", "train", "network.yaml", "--out", "out.zarr")]
    done = subprocess.run(
        command, cwd=folder, env=mpi_launch.environment(), capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode != 0, done
    # MPICH's library ends by itself under Open MPI's launcher
    own_words = done.stderr.count("the launcher started 2 ranks, but MPI sees 1")
    assert own_words == 1 or "unsupported PMI version PMIx" in done.stderr, done
    assert names(folder) == ["network.yaml"]


def test_one_process_never_touches_mpi(folder: Path) -> None:
    code = (
        "import sys\n"
        "from hpcspike.cli import main\n"
        "assert main(['train', 'network.yaml', '--out', 'out.zarr']) == 0\n"
        "assert 'mpi4py' not in sys.modules\n"
    )
    done = launch(0, "-c", code, folder=folder)
    assert done.code == 0, done


@pytest.mark.parametrize(
    ("variables", "ranks", "rank"),
    [
        ({}, 1, 0),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, 4, 3),
        ({"OMPI_COMM_WORLD_SIZE": "5", "OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "2"}, 5, 2),
        ({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "8", "SLURM_PROCID": "1"}, 2, 1),
        # a batch script with several tasks is one process by itself
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, 1, 0),
        ({"PMI_SIZE": "many"}, 1, 0),
    ],
)
def test_launchers_are_known_by_what_they_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], ranks: int, rank: int
) -> None:
    for name in [name for name in os.environ if name.startswith(("PMI", "OMPI_COMM", "MV2_COMM", "SLURM_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (launched_ranks(), launched_rank()) == (ranks, rank)


# ---- without ranks ---------------------------------------------------------------------------------------------------


def test_an_error_that_cannot_travel_between_ranks_is_told_in_words() -> None:
    class Local(Exception):
        """Of no module, so that pickle does not find it."""

    world = MpiWorld.__new__(MpiWorld)
    world._world = SimpleNamespace(allgather=lambda thing: [pickle.loads(pickle.dumps(thing))])

    def fail() -> None:
        raise Local("key is bad")

    with pytest.raises(RuntimeError, match="Local: key is bad"):
        world.agree(fail)
    with pytest.raises(ResourceError, match="as it is"):
        world.agree(lambda: (_ for _ in ()).throw(ResourceError("as it is")))


def test_a_failed_write_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot be written .No space left"):  # noqa: PT012
        with whole_over_ranks(tmp_path / "new" / "out.zarr", World()) as unfinished:
            unfinished.mkdir()
            raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_made_only_if_asked_for(tmp_path: Path) -> None:
    def asked(*options: str) -> tuple[object, ...] | None:
        arguments = build_parser().parse_args(["train", "config.yaml", "--out", "out.zarr", *options])
        found = _checkpoints(arguments)
        if found is None:
            return None
        assert found.started <= time.monotonic()
        return str(found.folder), found.every_loops, found.every_minutes, found.time_limit_minutes

    assert asked() is None
    assert asked("--checkpoint", "there") == ("there", None, None, None)
    assert asked("--checkpoint-every-loops", "5") == ("out.zarr.checkpoint", 5, None, None)
    assert asked("--time-limit", "90", "--checkpoint-every-minutes", "2.5") == ("out.zarr.checkpoint", None, 2.5, 90.0)
