"""What is wanted of a network: tasks, their trials, and the systems that teach them.

A `Trial` is split in two: its `Stimulus` is all that a network may see when it runs on its own, its target is for
training and for the judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpcspike.shown import Shown, short_repr

if TYPE_CHECKING:
    from hpcspike.learners.navigation import Arena

Kind = Literal["drive", "rate", "readout", "system", "actions"]
"""What carries the target: every neuron's drive, every neuron's rate, d readouts, the state of a driven system, or
where actions lead to."""

Phase = Literal["train", "tune", "test", "repeat"]
"""Trials of different phases share no random numbers: "tune" is for choosing settings, "test" for what is reported,
"repeat" for the input of another trial with start and noise of its own."""

Score = Literal["correlation", "nmse", "error", "goals"]
"""What is reported: mean Pearson correlation, squared error over the target's power, share of wrong answers, goals per
second."""


@dataclass(frozen=True, repr=False)
class Stimulus:
    """What a network may see in one trial.

    Attributes
    ----------
    index
        Number of the trial within its phase; keys the network's own random numbers (initial state, noise).
    cue
        (cue samples, n_inputs) input before the window; the window starts after it.
    input
        (samples, n_inputs) input during the window, row m held over the interval that ends at (m + 1) ``grid_ms``; of
        kind "actions" (samples, 4) what the arena is like, which decides with the actions what is seen.
    phase
        Phase the trial belongs to.
    """

    index: int
    cue: np.ndarray
    input: np.ndarray
    phase: Phase = "test"

    def __repr__(self) -> str:
        return short_repr(self)


@dataclass(frozen=True, repr=False)
class Trial:
    """A stimulus and what is wanted in answer.

    Attributes
    ----------
    stimulus
        What the network sees.
    target
        (samples, d) wanted at the times (m + 1) ``grid_ms`` after the cue; class indicators for score "error".
    scored
        (samples,) bool, which samples count; for score "error" every stretch of them is one answer.
    """

    stimulus: Stimulus
    target: np.ndarray
    scored: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

    def answers(self) -> list[tuple[int, int]]:
        """First sample and end of every stretch of scored samples."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.scored, [False]]).astype(np.int8)))
        return [(int(first), int(end)) for first, end in zip(edges[0::2], edges[1::2], strict=True)]


@dataclass(frozen=True, repr=False)
class Teacher:
    """A dynamical system dx/dt = f(x) + c whose state, read out as Z = C x + offset, is the target.

    Attributes
    ----------
    n_states
        Length J of x.
    velocity
        f: (..., J) -> (..., J), per second.
    matrix
        (J, J) A of a linear system, per second; None for others.
    readout
        (d, J) C.
    offset
        (d,) constant part of Z.
    scale
        (J,) typical size of every component, by which learners may normalise.
    """

    n_states: int
    velocity: Callable[[np.ndarray], np.ndarray]
    matrix: np.ndarray | None
    readout: np.ndarray
    offset: np.ndarray
    scale: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


@dataclass(frozen=True, repr=False)
class Task(Shown):
    """What is wanted, independent of who learns it.

    Attributes
    ----------
    name
        Short name.
    kind
        What carries the target.
    score
        How answers are judged.
    grid_ms
        Interval of samples of inputs and targets.
    n_samples, n_cue_samples
        Samples of the window and of the cue before it.
    n_outputs, n_inputs
        Numbers d of target components and of input channels.
    sample
        (phase, index) -> the trial; keyed, so that the same question has the same answer whenever it is asked.
    n_trials
        Number of different trials if there are finitely many (1 for a fixed trajectory), None if every one is new.
    teacher
        The system behind the target, if there is one; native for kind "system".
    background
        N -> (samples, N - d) targets for the neurons that carry none of the d components (Kim & Chow's auxiliary
        neurons), or None.
    arena
        Where actions lead to; for kind "actions".
    """

    name: str
    kind: Kind
    score: Score
    grid_ms: float
    n_samples: int
    n_cue_samples: int
    n_outputs: int
    n_inputs: int
    sample: Callable[[Phase, int], Trial]
    n_trials: int | None = None
    teacher: Teacher | None = None
    background: Callable[[int], np.ndarray] | None = None
    arena: Arena | None = None

    def _told(self) -> list[tuple[str, str]]:
        trials = "new every time" if self.n_trials is None else str(self.n_trials)
        return [
            ("name", self.name), ("kind", self.kind), ("score", self.score),
            ("window", f"{self.duration_ms:g} ms every {self.grid_ms:g} ms"),
            ("outputs", str(self.n_outputs)), ("inputs", str(self.n_inputs)), ("trials", trials),
        ]  # fmt: skip

    @property
    def duration_ms(self) -> float:
        """Length T of the window."""
        return self.n_samples * self.grid_ms

    @property
    def followed(self) -> bool:
        """Whether the target is a course to be followed; else answers are right or wrong, or goals are reached."""
        return self.score in ("correlation", "nmse")

    @property
    def cue_ms(self) -> float:
        """Length of the cue."""
        return self.n_cue_samples * self.grid_ms


def carrier_dimension(task: Task, n_neurons: int) -> str:
    """What the components of a task's target lie along: "neuron" if each of n_neurons has its own, else "output"."""
    return "neuron" if task.kind in ("drive", "rate") and task.n_outputs == n_neurons else "output"
