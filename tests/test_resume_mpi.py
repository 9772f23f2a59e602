"""Checkpoints over MPI ranks: stopped or killed on some, gone on from on others, the same bits in the end."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path

import pytest

from hpcspike.engine import checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.errors import Interrupted
from tests.mpi_launch import ROOT, Ended, ended, is_open_mpi, launch, started, wait_for
from tests.resume_program import Request, digests

pytestmark = pytest.mark.mpi

PROGRAM = ROOT / "tests" / "resume_program.py"
STEPS = 6 * 100
"""Of three loops for each of two target sets."""


@functools.cache
def uninterrupted(variable: str = "drive", n_loops: int = 3) -> dict[str, str]:
    """What training gives on one rank that is left alone."""
    return digests(Request({}, variable, n_loops), World())


def run(ranks: int, request: Request, folder: Path) -> Ended:
    return launch(ranks, PROGRAM, json.dumps(request._asdict()), folder=folder)


def result(folder: Path) -> dict[str, str]:
    return json.loads((folder / "result.json").read_text())


def saved(folder: Path) -> list[int]:
    """Steps of the checkpoints, oldest first."""
    return [checkpoint_files.steps_of(path) for path in reversed(checkpoint_files.checkpoints_in(folder / "state"))]


def stop_alone(folder: Path, variable: str, steps: int) -> None:
    """Train for so many steps in this process."""
    with pytest.raises(Interrupted):
        digests(Request({}, variable), World(), checkpoints=Checkpoints(folder / "state", stop_after_steps=steps))


def finish_alone(folder: Path, variable: str = "drive", n_loops: int = 3) -> dict[str, str]:
    return digests(Request({}, variable, n_loops), World(), checkpoints=Checkpoints(folder / "state"))


@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_ranks_can_be_others_after_every_stop(tmp_path: Path, variable: str) -> None:
    stop_alone(tmp_path, variable, 57)  # within an interval of the first window
    for ranks, steps in ((3, 131), (2, 204)):  # within the cue of the second loop, right after an update of the third
        done = run(ranks, Request({"folder": "state", "stop_after_steps": steps}, variable), tmp_path)
        assert done.code == 75, done
        manifest = checkpoint_files.read_manifest(checkpoint_files.checkpoints_in(tmp_path / "state")[0])
        assert len(manifest["files"]) == ranks
        assert manifest["bounds"][-1] == 29
    assert saved(tmp_path) == [57 + 131, 57 + 131 + 204]
    assert finish_alone(tmp_path, variable) == uninterrupted(variable)


def test_more_ranks_go_on_and_clean_up(tmp_path: Path) -> None:
    stop_alone(tmp_path, "drive", 250)
    done = run(4, Request({"folder": "state"}), tmp_path)
    assert done.code == 0, done
    assert result(tmp_path) == uninterrupted()
    assert not (tmp_path / "state").exists()


def test_damage_that_one_rank_finds_is_heeded_by_all(tmp_path: Path) -> None:
    stop_alone(tmp_path, "drive", 250)
    assert run(2, Request({"folder": "state", "stop_after_steps": 101}), tmp_path).code == 75
    block = tmp_path / "state" / "checkpoint-000000000351" / "block-00001.bin"
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 4
    block.write_bytes(data)
    done = run(2, Request({"folder": "state"}), tmp_path)
    assert done.code == 0, done
    assert done.err.count("block-00001.bin is not as it was written") == 1
    assert result(tmp_path) == uninterrupted()


def test_the_checkpoint_of_another_experiment_ends_all_ranks(tmp_path: Path) -> None:
    stop_alone(tmp_path, "rate", 57)
    done = run(2, Request({"folder": "state"}), tmp_path)
    assert done.code == 2, done
    messages = [path.read_text() for path in tmp_path.glob("ended-*")]
    assert len(messages) == 2
    assert "another experiment: " in messages[0]
    assert 'training.variable is "rate" there and "drive" here' in messages[0]
    assert messages[1] == messages[0]
    assert saved(tmp_path) == [57]


SIGNALS = [signal.SIGUSR1, *([] if is_open_mpi() else [signal.SIGTERM])]  # Open MPI's launcher kills at SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_launcher_stops_all_ranks_at_the_same_step(tmp_path: Path, number: signal.Signals) -> None:
    loops = 8
    request = Request({"folder": "state"}, n_loops=loops, happens="signal")
    with started(3, PROGRAM, json.dumps(request._asdict()), folder=tmp_path) as process:
        wait_for(tmp_path / "ready", process)
        process.send_signal(number)
        done = ended(process)
    assert done.code == 75, done
    messages = [path.read_text() for path in tmp_path.glob("ended-*")]
    assert len(messages) == 3
    assert len(set(messages)) == 1
    assert messages[0].startswith(f"stopped by {number.name}, ")
    (steps,) = saved(tmp_path)
    assert 200 <= steps < 200 * loops
    assert finish_alone(tmp_path, n_loops=loops) == uninterrupted(n_loops=loops)


def test_a_time_limit_stops_all_ranks(tmp_path: Path) -> None:
    done = run(2, Request({"folder": "state", "time_limit_minutes": 60.0}, happens="late"), tmp_path)
    assert done.code == 75, done
    messages = [path.read_text() for path in tmp_path.glob("ended-*")]
    assert len(messages) == 2
    assert messages[0].startswith("stopped before its time limit, ")
    assert messages[1] == messages[0]
    (steps,) = saved(tmp_path)
    assert 200 <= steps < STEPS


@pytest.mark.parametrize("happens", ["kill", "kill writing"])
def test_after_a_rank_was_killed_training_goes_on_from_the_last_checkpoint(tmp_path: Path, happens: str) -> None:
    done = run(2, Request({"folder": "state", "every_loops": 1}, happens=happens), tmp_path)
    assert done.code not in (0, 75), done
    last = 200 if happens == "kill" else 100
    assert saved(tmp_path)[-1] == last
    unfinished = list((tmp_path / "state").glob(".*.writing-*"))
    assert len(unfinished) == (happens == "kill writing")
    assert finish_alone(tmp_path) == uninterrupted()
    assert not list((tmp_path / "state").glob(".*.writing-*"))
