"""A learner's passes: how many, what they gave, and how they are saved and gone on with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.errors import SpecError
from hpcspike.state import StateArray


@dataclass(frozen=True)
class Budget:
    """When training ends: after so many passes, so much simulated time, or so much CPU time, whichever comes first.

    The last depends on the machine: a run that it ended is not reproducible to the bit.
    """

    passes: int | None = None
    simulated_seconds: float | None = None
    cpu_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.passes is None and self.simulated_seconds is None and self.cpu_seconds is None:
            raise SpecError("budget: give passes, simulated_seconds or cpu_seconds")

    def used_up(self, history: History) -> bool:
        """Whether the passes of a history are all that it allows."""
        spent = (
            (self.passes, len(history)),
            (self.simulated_seconds, history.total("simulated_seconds")),
            (self.cpu_seconds, history.total("cpu_seconds")),
        )
        return any(limit is not None and used >= limit for limit, used in spent)


PASS_COLUMNS = ("score_helped", "score_alone", "rate_hz", "simulated_seconds", "cpu_seconds")
"""Columns of a history; NaN where a learner does not measure one."""


@dataclass
class History:
    """One row per pass.

    Attributes
    ----------
    columns
        Name -> list of floats. ``score_helped``: the task's score while learning (and teacher) were on;
        ``score_alone``: without any help; ``rate_hz``; ``simulated_seconds`` and ``cpu_seconds``: totals so far.
    """

    columns: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PASS_COLUMNS})

    def add(self, row: dict[str, float]) -> None:
        """Take the row of one pass; columns that are left out become NaN."""
        unknown = row.keys() - set(PASS_COLUMNS)
        if unknown:
            raise ValueError(f"a pass has no {sorted(unknown)}; known are {PASS_COLUMNS}")
        for name in PASS_COLUMNS:
            self.columns[name].append(float(row.get(name, float("nan"))))

    def __len__(self) -> int:
        return len(self.columns["cpu_seconds"])

    def __getitem__(self, name: str) -> np.ndarray:
        return np.array(self.columns[name], dtype=np.float64)

    def total(self, name: str) -> float:
        """The last entry of a column of totals, 0 before the first pass."""
        return self.columns[name][-1] if len(self) else 0.0


OnPass = Callable[[int, dict[str, float]], None]


class Stateful(Protocol):
    """What `Passes` asks of a learner; see `hpcspike.learners.interface.Learner`."""

    history: History

    def state(self) -> dict[str, np.ndarray]:
        """Everything that training changes."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""

    def diverged(self) -> bool:
        """Whether training has left what can be computed."""


class Passes:
    """The state of a learner in one row, on one rank: its arrays whatever their shapes, and its history.

    See `hpcspike.engine.resumable.Resumable`.
    """

    unit = "passes"
    updated = True
    first, n_rows, n_rows_of_all = 0, 1, 1
    # a pass takes long enough for the clock and the signals to be looked at after each
    step_seconds = math.inf

    def __init__(self, learner: Stateful, budget: Budget) -> None:
        self.world = World()
        self._learner, self._budget = learner, budget
        self._loaded: dict[str, np.ndarray] | None = None

    @property
    def steps(self) -> int:
        """Passes that are done."""
        return len(self._learner.history)

    @property
    def loop(self) -> int:
        """Passes that are done."""
        return self.steps

    @property
    def total_steps(self) -> int | None:
        """Passes of the budget, if it counts passes."""
        return self._budget.passes

    @property
    def finished(self) -> bool:
        """Whether the budget is used up, or training has left what can be computed."""
        return self._budget.used_up(self._learner.history) or self._learner.diverged()

    def state_numbers(self) -> dict[str, Any]:
        """The history, and the type and shape of every array."""
        state = {name: np.asarray(array) for name, array in self._learner.state().items()}
        layout = {name: [array.dtype.str, list(array.shape)] for name, array in state.items()}
        return {"history": self._learner.history.columns, "layout": layout}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over the history, and make room for the arrays."""
        for name, column in numbers["history"].items():
            self._learner.history.columns[name] = list(column)
        self._loaded = {name: np.empty(shape, np.dtype(kind)) for name, (kind, shape) in numbers["layout"].items()}

    def state_arrays(self) -> list[StateArray]:
        """Every array as one row."""
        arrays = self._learner.state() if self._loaded is None else self._loaded
        return [_whole(name, np.asarray(array)) for name, array in arrays.items()]

    def restored(self) -> None:
        """Hand what was loaded to the learner."""
        assert self._loaded is not None
        self._learner.restore(self._loaded)
        self._loaded = None


def _whole(name: str, array: np.ndarray) -> StateArray:
    def put(low: int, high: int, values: np.ndarray) -> None:
        array[...] = values.reshape(array.shape)

    return StateArray(name, array.dtype, int(array.size), lambda low, high: array.reshape(-1), put)
