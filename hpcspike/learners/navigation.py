"""Navigation: a goal in an arena that is to be found, and found again from other places, within one episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Phase, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

N_GOALS = 5
"""Goals of an episode whose times are kept, the first included."""


@dataclass(frozen=True)
class Arena:
    """The unit square that a network moves in, one stride per sample.

    Attributes
    ----------
    radius
        Distance from the goal within which it is reached.
    stride
        Distance moved in a sample; walls stop it.
    n_fields
        Place fields along a side; there are n_fields^2 of them.
    discount
        What a goal is worth that is reached one sample later, over what it is worth now.
    """

    radius: float
    stride: float
    n_fields: int
    discount: float

    @property
    def n_inputs(self) -> int:
        """Inputs: the activity of every place field, and the same again where the goal is reached, else 0."""
        return 2 * self.n_fields**2

    def centres(self) -> np.ndarray:
        """(n_fields^2, 2) middles of the place fields, whose s.d. is their distance."""
        along = np.linspace(0.0, 1.0, self.n_fields)
        return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)

    def reached(self, position: Any, goal: Any) -> Any:
        """(...) bool, whether a position (..., 2) is within the radius of a goal (..., 2); arrays of NumPy or JAX."""
        return ((position - goal) ** 2).sum(-1) <= self.radius**2


def navigation(
    arena: Arena,
    *,
    seed: int,
    replicate: int = 0,
    n_samples: int = 100,
    grid_ms: float = 5.0,
    n_places: int | None = None,
) -> Task:
    """Reach a goal as often as possible, which is another in every episode and stays where it is throughout.

    A network knows its position and whether it is at the goal; in the sample after that it is set to a random place
    away from the goal. Goals are anywhere, or at one of ``n_places`` places on a circle around the middle. A trial's
    input (samples, 4) is the goal and the place to be set to, of which a network sees no more than the arena shows; its
    target is the goal. Trials of phase "repeat" have the goals of those of phase "test", and other places.
    """
    angle = 2.0 * np.pi * (np.arange(n_places or 0) + 0.5) / max(n_places or 0, 1)
    places = 0.5 + 0.35 * np.column_stack([np.cos(angle), np.sin(angle)])

    def drawn(phase: Phase, index: int) -> tuple[np.ndarray, np.random.Generator]:
        """The goal of a trial, and what its other numbers are drawn from."""
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        return rng.uniform(0.0, 1.0, 2) if n_places is None else places[rng.integers(n_places)], rng

    def sample(phase: Phase, index: int) -> Trial:
        goal, rng = drawn(phase, index)
        if phase == "repeat":
            goal, _ = drawn("test", index)
        start = rng.uniform(0.0, 1.0, (n_samples, 2))
        while (near := arena.reached(start, goal)).any():
            start[near] = rng.uniform(0.0, 1.0, (int(near.sum()), 2))
        target = np.tile(goal, (n_samples, 1))
        stimulus = Stimulus(index, np.zeros((0, 4)), np.column_stack([target, start]), phase)
        return Trial(stimulus, target, np.ones(n_samples, dtype=bool))

    return Task(
        name="navigation", kind="actions", score="goals", grid_ms=grid_ms, n_samples=n_samples, n_cue_samples=0,
        n_outputs=2, n_inputs=arena.n_inputs, sample=sample, arena=arena,
    )  # fmt: skip


def goal_times(reached: np.ndarray, *, grid_ms: float) -> np.ndarray:
    """(N_GOALS,) mean time (ms) to the first goal of an episode, the second, and so on.

    It is the time spent on the way to a goal over the number of episodes in which it was reached, so that ways which
    the end of an episode cut off count as well: `inf` if nobody arrived, NaN if nobody set out.

    reached: (episodes, samples) bool, at the goal.
    """
    spent, arrived = np.zeros(N_GOALS), np.zeros(N_GOALS)
    last = reached.shape[1] - 1
    for episode in reached:
        begin = 0
        arrivals = np.flatnonzero(episode)[:N_GOALS]
        for number, end in enumerate([*arrivals, last][:N_GOALS]):
            spent[number] += max(0, end - begin)
            begin = end + 1
        arrived[: len(arrivals)] += 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return grid_ms * spent / arrived
