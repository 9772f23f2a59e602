"""Of all processes, one at a time trains with a folder of checkpoints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import yaml

import hpcspike
from hpcspike import locks
from hpcspike.cli import main
from hpcspike.engine.checkpoint import Checkpoints, discard
from hpcspike.engine.checkpoint_lock import LOCK, held
from hpcspike.engine.communication import World
from hpcspike.errors import StoreError
from tests.checkpoint_cases import TRAINING, cut_at, folders, made, outcome, uninterrupted
from tests.mpi_launch import ROOT, launch, started, wait_for
from tests.test_mpi_train import DOCUMENT

HOLDER = """
import sys
from pathlib import Path
from hpcspike.engine.checkpoint_lock import held
from hpcspike.engine.communication import World
with held(Path(sys.argv[1]), World()):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a folder; it lets go at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.communicate(timeout=60)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a config of a small network and nothing else."""
    document = DOCUMENT | {"training": {"n_loops": 1, "update_interval_ms": 2.0}}
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*options: str, config: str = "network.yaml") -> int:
    return main(["train", config, "--out", "out.nc", *options])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_job_with_the_same_folder_is_refused_by_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_at(place / "state", 40)
    with holding(place / "state") as process:
        assert train("--checkpoint", "state") == 2
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith(
            f"hpcspike: error: state: another training saves its state there (process {process.pid} on "
        )
        assert said[-1].endswith("); wait for it or stop it, or choose another folder")
        assert names(place) == ["network.yaml", "state"]
        assert names(place / "state") == [LOCK, "checkpoint-000000000040"]
    assert names(place / "state") == ["checkpoint-000000000040"]


def test_a_killed_job_does_not_block_the_next(place: Path) -> None:
    with holding(place / "state") as process:
        process.kill()
    assert names(place / "state") == [LOCK]
    assert train("--checkpoint", "state") == 0
    (checkpoint,) = names(place / "state")
    assert checkpoint.startswith("checkpoint-")


def test_two_functions_of_one_process_share_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with held(folder, World()):
        trained = hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder))
        with pytest.raises(locks.Locked):  # a lock opened anew is another process's as far as the system knows
            locks._locked_file(folder / LOCK)
        assert LOCK in names(folder)
    assert LOCK not in names(folder)
    assert outcome(trained) == uninterrupted()


def test_training_from_python_is_refused_too_and_changes_nothing(tmp_path: Path) -> None:
    cut_at(tmp_path, 40)
    with holding(tmp_path), pytest.raises(StoreError, match="another training saves its state there"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))
    assert folders(tmp_path) == [40]


def test_checkpoints_that_another_process_trains_with_are_not_discarded(tmp_path: Path) -> None:
    cut_at(tmp_path / "state", 40)
    with holding(tmp_path / "state"):
        discard(Checkpoints(tmp_path / "state"))
        assert folders(tmp_path / "state") == [40]
    discard(Checkpoints(tmp_path / "state"))
    assert names(tmp_path) == []


def test_a_lock_that_its_holder_removes_while_it_is_opened_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []

    lock = locks._lock

    def acquire_late(file: TextIO) -> bool | None:
        if not tries:  # the holder lets go between opening and locking
            (tmp_path / LOCK).unlink()
        tries.append(file)
        return lock(file)

    monkeypatch.setattr(locks, "_lock", acquire_late)
    with held(tmp_path, World()):
        assert len(tries) == 2
        assert locks.holder_now(tmp_path / LOCK) == f"process {os.getpid()} on {os.uname().nodename}"
    assert names(tmp_path) == []


def test_a_job_that_fails_before_it_saves_leaves_no_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = yaml.safe_load((place / "network.yaml").read_text()) | {"learner": {"kind": "ebn_alemi"}}
    (place / "other.yaml").write_text(yaml.safe_dump(document))
    assert train("--checkpoint", "new/state", config="other.yaml") == 2
    assert "learner.kind = ebn_alemi" in capsys.readouterr().err
    assert names(place) == ["network.yaml", "other.yaml"]


def test_a_file_in_place_of_the_folder_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "state").touch()
    assert train("--checkpoint", "state") == 2
    assert "state is a file: checkpoints need a folder; choose another path" in capsys.readouterr().err
    assert train("--checkpoint", "state/inside") == 2
    assert "--checkpoint state/inside: a part of it is a file, not a folder" in capsys.readouterr().err


@pytest.mark.mpi
def test_live_jobs_on_ranks_are_refused_and_refuse(place: Path) -> None:
    command = ["-m", "hpcspike", "train", "network.yaml", "--checkpoint", "state"]
    with started(2, *command, "--out", "one.nc", "--set", "training.n_loops=100000", folder=place) as first:
        holder = wait_for(place / "state" / LOCK, first).strip()
        second = launch(2, *command, "--out", "two.nc", folder=place, timeout=60)
        assert second.code == 2, second
        assert second.err.count(f"state: another training saves its state there ({holder})") == 1, second
        assert second.err.count("error: ") == 1
        assert "Traceback" not in second.err
        assert first.poll() is None
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(60)
        with contextlib.suppress(ProcessLookupError):  # some launchers put ranks into groups of their own
            os.kill(int(holder.split()[1]), signal.SIGKILL)
    end = time.monotonic() + 60
    while locks.holder_now(place / "state" / LOCK) is not None:  # a busy system takes a while to end it
        assert time.monotonic() < end
        time.sleep(0.02)
    assert train("--checkpoint", "state") == 0
    assert LOCK not in names(place / "state")
