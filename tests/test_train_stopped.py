"""``hpcspike train`` that is interrupted: what it says is true; states that lie unused; too few cores for the ranks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from hpcspike.cli import build_parser, main
from hpcspike.commands import ranks
from hpcspike.commands import train as train_command
from hpcspike.engine import stopping
from hpcspike.engine.communication import World
from hpcspike.engine.trainer import Trainer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_document: dict[str, Any]) -> Path:
    """A folder with network.yaml, of three loops."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # commands set thread limits for their process
    monkeypatch.setattr(stopping.Watch, "_POLL_SECONDS", 0.0)
    tiny_document.setdefault("training", {})["n_loops"] = 3
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(tiny_document))
    return tmp_path


@pytest.fixture
def ctrl_c(here: Path) -> Iterator[pytest.MonkeyPatch]:
    """Ctrl-C is pressed at the end of the second loop; undo it to leave the keys alone."""
    ended = Trainer._end_loop

    def press(trainer: Trainer) -> None:
        ended(trainer)
        if trainer.cursor.loop == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as pressed:
        pressed.setattr(Trainer, "_end_loop", press)
        yield pressed


TRAIN = ["train", "network.yaml", "--out", "net.zarr"]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("ctrl_c")
def test_without_checkpoints_it_says_that_nothing_was_saved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TRAIN) == 130
    assert last_line(capsys) == "hpcspike: stopped; nothing was saved; --checkpoint FOLDER keeps states"
    assert [path.name for path in here.iterdir()] == ["network.yaml"]


def test_with_checkpoints_the_same_command_goes_on(
    here: Path, ctrl_c: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*TRAIN, "--checkpoint", "states"]
    assert main(command) == 130
    words = "hpcspike: stopped; the state of loop 2 is in states; the same command goes on from there"
    assert last_line(capsys) == words
    ctrl_c.undo()
    assert main(command) == 0
    shown = capsys.readouterr().err
    assert "loop 3/3" in shown
    assert "loop 2/3" not in shown


def test_states_that_lie_unused_are_named(
    here: Path, ctrl_c: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, "--checkpoint-every-loops", "2"]) == 130
    ctrl_c.undo()
    capsys.readouterr()
    assert main([*TRAIN[:-1], "other.zarr"]) == 0
    assert main([*TRAIN, "--set", "seed=9"]) == 0  # of another experiment: none of its business
    assert "hpcspike: " not in capsys.readouterr().err
    (here / "net.zarr").rename(here / "of_seed_9.zarr")
    assert main(TRAIN) == 0
    shown = capsys.readouterr().err
    assert "hpcspike: net.zarr.checkpoint holds the state of loop 2 of this experiment, which is not used" in shown
    assert "add --checkpoint net.zarr.checkpoint" in shown
    assert "loop 1/3" in shown
    assert (here / "net.zarr.checkpoint").is_dir()


class Ranks(World):
    """The first of so many ranks on this machine."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def concatenate(self, part: np.ndarray) -> np.ndarray:
        return np.concatenate([part] * self.size)


def test_too_few_cores_for_the_ranks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "own_cores", lambda: {0, 3})
    assert ranks.too_few_cores(World(), 8) is None
    assert ranks.too_few_cores(Ranks(2), 1) is None
    assert str(ranks.too_few_cores(Ranks(3), 1)).startswith("3 ranks share 2 cores of this machine: ")
    assert str(ranks.too_few_cores(Ranks(2), 2)).startswith("2 ranks of 2 threads share 2 cores of this machine: ")


def test_the_time_limit_counts_from_the_start_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(create_time=lambda: 4700.0))
    clocks = SimpleNamespace(time=lambda: 5000.0, monotonic=lambda: 70.0)
    monkeypatch.setattr("hpcspike.commands.train.time", clocks)
    asked = build_parser().parse_args([*TRAIN, "--time-limit", "9"])
    found = train_command._checkpoints(asked)
    assert found is not None
    assert (found.started, found.time_limit_minutes) == (-230.0, 9.0)  # 300 s ago
