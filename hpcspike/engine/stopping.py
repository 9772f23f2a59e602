"""When to save and when to stop, decided alike on all ranks: signals, the time limit, the cadence of checkpoints.

Ctrl-C is `KeyboardInterrupt` whatever is saved before; other reasons to stop are `Interrupted`.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from hpcspike.engine.checkpoint import Checkpoints, check_folder, progress_of, resume, save, state_bytes
from hpcspike.engine.checkpoint_lock import held
from hpcspike.engine.communication import World
from hpcspike.engine.resumable import Resumable
from hpcspike.errors import Interrupted, ResourceError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals that ask training to save and stop: schedulers send one before the time is up, a lost connection SIGHUP."""


def heeded(numbers: tuple[signal.Signals, ...] = STOP_SIGNALS) -> list[signal.Signals]:
    """Those of the signals that count: SIGHUP only where it would end the program, which ``nohup`` prevents."""
    return [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]


def leave_lost_terminal(number: int) -> None:
    """After SIGHUP write what is said nowhere: the terminal is gone, and writing to it would be an error."""
    if number != signal.SIGHUP:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        try:
            is_terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)  # a lost one does not say so to isatty
        except OSError:
            continue
        if is_terminal:
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Signals:
    """Notes signals of `STOP_SIGNALS` while the block lasts, if it runs in the main thread; `received` is the last.

    With ``interrupt`` Ctrl-C is noted too, unless the program has a use of its own for it: whoever runs the block can
    save first. A second one is `KeyboardInterrupt` at once, and one that nobody took up is when the block ends.
    """

    def __init__(self, *, interrupt: bool = False) -> None:
        self.received = 0
        self._interrupt = interrupt
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            numbers = [*heeded(), *([signal.SIGINT] if self._interrupt and _interrupts_raise() else [])]
            self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            # None: it was installed by something else than Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if kind is None and self.received == signal.SIGINT:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self.received == signal.SIGINT:
            raise KeyboardInterrupt
        leave_lost_terminal(number)
        self.received = number


class Interrupts:
    """Ctrl-C raises as ever, but none is lost while the block lasts, also where Python ignores what is raised.

    That is in destructors and in what compiled code calls back; `check`, and the end of the block, raise it again.
    """

    def __init__(self) -> None:
        self._heard = self._watched = False

    def __enter__(self) -> Interrupts:
        self._watched = threading.current_thread() is threading.main_thread() and _interrupts_raise()
        if self._watched:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watched:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what was lost."""
        if self._heard:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._heard = True
        raise KeyboardInterrupt


def _interrupts_raise() -> bool:
    # and are neither ignored, as in jobs in the background, nor handled by the program that uses this package
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Decision(NamedTuple):
    """What to do now: save, and why to stop after that (empty: go on), which may be Ctrl-C."""

    save: bool
    stop: str
    interrupted: bool = False


GO_ON = Decision(False, "")

# What ranks tell each other at a poll; the largest counts. A signal is told as _SIGNAL plus its number.
_NOTHING, _SAVE, _TIME_IS_UP, _SIGNAL = range(4)


class Watch:
    """Decides after every stretch of steps. Ranks must ask at the same steps, and all get the same answer.

    The clock and the signals are looked at in polls (one small message among all ranks, 3 to 20 us). When to poll must
    not depend on a clock, or ranks would disagree about it: a poll is due when so many steps and updates have passed as
    take about ``_POLL_SECONDS`` by rough constants.
    """

    _POLL_SECONDS = 0.02
    _PER_UPDATE_BYTE = 2.5e-11
    _WRITE_BYTES_PER_SECOND = 200e6  # until the first write has been timed
    _MARGIN_SECONDS = 2.0

    def __init__(
        self, checkpoints: Checkpoints, world: World, signals: Signals, *, step_seconds: float, size: int,
        unit: str = "steps",
    ) -> None:  # fmt: skip
        """step_seconds: see `Resumable`; size: bytes of a checkpoint, most of which a weight update reads."""
        self._checkpoints, self._world, self._signals = checkpoints, world, signals
        self._step_cost, self._unit = step_seconds, unit
        self._update_cost = self._PER_UPDATE_BYTE * size / world.size
        self._cost = 0.0
        self._taken = 0
        self._last_save = self._last_poll = time.monotonic()
        self._longest_gap = 0.0
        self.write_seconds = size / self._WRITE_BYTES_PER_SECOND

    def most_steps(self, usual: int) -> int:
        """How many steps may be taken at most before the next decision."""
        last = self._checkpoints.stop_after_steps
        return usual if last is None else min(usual, last - self._taken)

    def refuse_too_little_time(self) -> None:
        """An error if the time limit leaves no time to train: run again and again, it would never come to an end."""
        if self._world.any(self._world.rank == 0 and self._time_left() <= 0):
            raise ResourceError(
                f"the time limit of {self._checkpoints.time_limit_minutes:g} minutes leaves no time to train: "
                f"{(time.monotonic() - self._checkpoints.started) / 60:.1f} minutes have passed, and writing a "
                f"checkpoint is given {self._reserve():.0f} seconds; allow more time"
            )

    def decide(self, taken: int, *, updated: bool, loops_done: int | None) -> Decision:
        """What to do after ``taken`` steps (and a weight update); loops_done: number of loops if one has just ended."""
        asked = self._checkpoints
        self._taken += taken
        self._cost += taken * self._step_cost + updated * self._update_cost
        if asked.stop_after_steps is not None and self._taken >= asked.stop_after_steps:
            return Decision(True, f"after {self._taken} {self._unit} of this run")
        decision = GO_ON
        if self._cost >= self._POLL_SECONDS:
            self._cost = 0.0
            decision = self._poll()
        if loops_done is not None and asked.every_loops is not None and loops_done % asked.every_loops == 0:
            decision = decision._replace(save=True)
        return decision

    def saved(self, seconds: float) -> None:
        """A checkpoint was written, in so many seconds."""
        self.write_seconds = seconds
        self._last_save = self._last_poll = time.monotonic()

    def _poll(self) -> Decision:
        now = time.monotonic()
        self._longest_gap = max(self._longest_gap, now - self._last_poll)
        self._last_poll = now
        mine = self._wish(now)
        if not self._world.any(mine != _NOTHING):
            return GO_ON
        wish = int(self._world.concatenate(np.array([mine])).max())
        if wish >= _SIGNAL:
            number = signal.Signals(wish - _SIGNAL)
            return Decision(True, f"by {number.name}", interrupted=number == signal.SIGINT)
        return Decision(True, "before its time limit" if wish == _TIME_IS_UP else "")

    def _wish(self, now: float) -> int:
        if self._signals.received:
            return _SIGNAL + self._signals.received
        if self._world.rank != 0:  # one clock is enough, and two would differ
            return _NOTHING
        if self._time_left() <= 0:
            return _TIME_IS_UP
        every = self._checkpoints.every_minutes
        return _SAVE if every is not None and now - self._last_save >= 60.0 * every else _NOTHING

    def _time_left(self) -> float:
        limit = self._checkpoints.time_limit_minutes
        if limit is None:
            return float("inf")
        return self._checkpoints.started + 60.0 * limit - time.monotonic() - self._reserve()

    def _reserve(self) -> float:
        return self._MARGIN_SECONDS + 2.0 * self.write_seconds + self._longest_gap


class CheckpointManager:
    """Saves a training whenever it is due, and ends it when it must stop."""

    def __init__(self, training: Resumable, checkpoints: Checkpoints, identity: dict[str, Any], watch: Watch) -> None:
        self._training, self._checkpoints, self._identity, self._watch = training, checkpoints, identity, watch
        self._loop = training.loop
        self._saved_at = training.steps  # of the start nothing needs to be saved, of what was resumed nothing again

    def most_steps(self, usual: int) -> int:
        """How many steps may be taken at most before `after` is called."""
        return self._watch.most_steps(usual)

    def after(self, taken: int) -> None:
        """Save if it is due; `Interrupted` on all ranks if training must stop. Call it after every stretch of steps."""
        training = self._training
        ended, self._loop = training.loop > self._loop, training.loop
        decision = self._watch.decide(
            taken, updated=ended or training.updated, loops_done=training.loop if ended else None
        )
        if training.finished:  # nothing is left to be stopped
            if decision.save or self._checkpoints.at_end:
                self._save()
        elif decision.save:
            self._save()
            if decision.interrupted:
                raise KeyboardInterrupt
            if decision.stop:
                raise Interrupted(
                    f"stopped {decision.stop}, {progress_of(training)} done; the state is "
                    f"in {self._checkpoints.folder}, and the same command goes on from there"
                )

    def _save(self) -> None:
        if self._training.steps == self._saved_at:
            return
        began = time.monotonic()
        save(self._training, self._checkpoints, self._identity)
        self._watch.saved(time.monotonic() - began)
        self._saved_at = self._training.steps


class NoCheckpoints:
    """Training without checkpoints."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def most_steps(self, usual: int) -> int:
        """As many as usual."""
        return usual

    def after(self, taken: int) -> None:
        """Nothing is saved; a Ctrl-C that was lost ends training."""
        self._interrupts.check()


@contextmanager
def keeping(
    training: Resumable, checkpoints: Checkpoints | None, identity: Callable[[], dict[str, Any]]
) -> Iterator[CheckpointManager | NoCheckpoints]:
    """Resume training if there is something to resume, and watch over it while the block lasts.

    The folder of the checkpoints is held meanwhile, see `hpcspike.engine.checkpoint_lock.held`.

    Parameters
    ----------
    training
        At its start.
    checkpoints
        Where and when; None: neither.
    identity
        What says of which training the checkpoints are, as plain data; asked on all ranks, if at all.
    """
    if checkpoints is None:
        with Interrupts() as interrupts:
            yield NoCheckpoints(interrupts)
        return
    world = training.world
    with held(checkpoints.folder, world), Signals(interrupt=True) as signals:
        size = state_bytes(training)
        check_folder(checkpoints, world, size)
        who = identity()
        resume(training, checkpoints, who)
        watch = Watch(
            checkpoints, world, signals, step_seconds=training.step_seconds, size=size, unit=training.unit
        )  # fmt: skip
        if not training.finished:
            watch.refuse_too_little_time()
        yield CheckpointManager(training, checkpoints, who, watch)
