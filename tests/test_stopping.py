"""When training saves and stops: signals, the time limit, the cadence."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine import checkpoint, stopping, stretch
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.errors import Interrupted, ResourceError
from tests.checkpoint_cases import TRAINING, folders, made, outcome, uninterrupted


@pytest.fixture
def always_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at clock and signals after every weight update."""
    monkeypatch.setattr(stopping.Watch, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(stretch, "MOST_WORK", 0.0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.usefixtures("always_polled")
def test_a_signal_saves_and_stops(name: str, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in stopping.STOP_SIGNALS]

    def send(loop: int, row: dict[str, float]) -> None:
        os.kill(os.getpid(), getattr(signal, name))

    with pytest.raises(Interrupted, match=f"stopped by {name}, 150 of 450"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=send)
    assert [signal.getsignal(number) for number in stopping.STOP_SIGNALS] == before
    assert folders(tmp_path) == [150]
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()


@pytest.mark.usefixtures("always_polled")
def test_a_signal_in_the_last_moment_does_not_undo_the_end(tmp_path: Path) -> None:
    def send(loop: int, row: dict[str, float]) -> None:
        if loop == TRAINING.n_loops - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    trained = hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=send)
    assert outcome(trained) == uninterrupted()


def test_without_checkpoints_signals_mean_what_they_meant() -> None:
    seen = []
    before = signal.getsignal(signal.SIGTERM)
    hpcspike.train(made(), TRAINING, on_loop=lambda loop, row: seen.append(signal.getsignal(signal.SIGTERM)))
    assert seen == [before] * 3


def test_outside_the_main_thread_signals_are_left_alone(tmp_path: Path) -> None:
    seen: list[Any] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(
        target=hpcspike.train,
        args=(made(), TRAINING),
        kwargs={
            "checkpoints": Checkpoints(tmp_path),
            "on_loop": lambda loop, row: seen.append(signal.getsignal(signal.SIGTERM)),
        },
    )
    thread.start()
    thread.join()
    assert seen == [before] * 3
    assert folders(tmp_path) == [450]


@pytest.mark.usefixtures("always_polled")
def test_ctrl_c_saves_and_is_an_interrupt_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=press_ctrl_c)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert folders(tmp_path) == [150]
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()


def press_ctrl_c(loop: int, row: dict[str, float]) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("always_polled")
def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    def twice(loop: int, row: dict[str, float]) -> None:
        press_ctrl_c(loop, row)
        press_ctrl_c(loop, row)

    with pytest.raises(KeyboardInterrupt):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=twice)
    assert folders(tmp_path) == []


class Destructor:
    """Something at whose end Ctrl-C is pressed: Python ignores what is raised there."""

    def __del__(self) -> None:
        press_ctrl_c(0, {})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("loop", [0, TRAINING.n_loops - 1])
@pytest.mark.parametrize("saved", [False, True])
def test_no_ctrl_c_is_lost(loop: int, saved: bool, tmp_path: Path) -> None:
    def swallow(number: int, row: dict[str, float]) -> None:
        reached.append(number)
        if number == loop:
            Destructor()

    reached: list[int] = []
    checkpoints = Checkpoints(tmp_path) if saved else None
    with pytest.raises(KeyboardInterrupt):
        hpcspike.train(made(), TRAINING, on_loop=swallow, checkpoints=checkpoints)
    assert saved or reached == list(range(loop + 1))  # with checkpoints it may take as long as a look at the clock
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_ctrl_c_is_lost_in_the_test_trials(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stopping.Interrupts():
        Destructor()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_handles_ctrl_c_itself_keeps_its_handler(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for checkpoints in (None, Checkpoints(tmp_path)):
            trained = hpcspike.train(made(), TRAINING, checkpoints=checkpoints, on_loop=press_ctrl_c)
            assert outcome(trained) == uninterrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


class Clock:
    """A clock that goes on by ``tick`` seconds whenever it is looked at."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.usefixtures("always_polled")
def test_training_stops_before_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.01)
    monkeypatch.setattr(stopping, "time", clock)
    with pytest.raises(Interrupted, match="stopped before its time limit"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, time_limit_minutes=0.05, started=0.0))
    assert clock.now < 3.0 - stopping.Watch._MARGIN_SECONDS + 10 * clock.tick
    assert 0 < folders(tmp_path)[-1] < 450
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()


def test_a_time_limit_without_time_to_train_is_refused(tmp_path: Path) -> None:
    # otherwise a workflow that runs it again and again would never come to an end
    an_hour_ago = Checkpoints(tmp_path).started - 3600.0
    with pytest.raises(
        ResourceError, match="time limit of 60 minutes leaves no time to train: 60.0 minutes have passed"
    ):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, time_limit_minutes=60, started=an_hour_ago))
    assert folders(tmp_path) == []


@pytest.mark.usefixtures("always_polled")
def test_every_so_many_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "time", Clock(0.5))
    times: list[int] = []
    saved = checkpoint.save

    def note(*arguments: Any) -> Path:
        times.append(arguments[0].steps)
        return saved(*arguments)

    monkeypatch.setattr(stopping, "save", note)
    hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, every_minutes=0.1, at_end=False))
    assert len(times) > 5
    assert np.diff(times).min() >= 20  # ten updates at least: the clock is looked at once between two of them


class Ranks(World):
    """A rank of two that notes when it is asked whether any rank wants something."""

    size = 2

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.stretch = 0

    def any(self, flag: bool) -> bool:
        self.asked.append(self.stretch)
        return flag


def test_ranks_look_up_at_the_same_steps_whatever_their_clocks_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [Ranks(), Ranks()]
    for world, tick in zip(worlds, (1e-6, 1.0), strict=True):
        monkeypatch.setattr(stopping, "time", Clock(tick))
        watch = stopping.Watch(Checkpoints(tmp_path), world, stopping.Signals(), step_seconds=2e-5, size=100_000_000)
        for turn, (taken, updated) in enumerate(itertools.islice(itertools.cycle([(2, True), (150, False)]), 500)):
            world.stretch = turn
            watch.decide(taken, updated=updated, loops_done=None)
    assert worlds[0].asked == worlds[1].asked
    assert 10 < len(worlds[0].asked) < 250
