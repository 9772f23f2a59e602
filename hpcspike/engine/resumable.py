"""What saving and going on need to know of a training, whoever trains."""

from __future__ import annotations

from typing import Any, Protocol

from hpcspike.engine.communication import World
from hpcspike.state import StateArray


class Resumable(Protocol):
    """A training that can be saved between two stretches of its work and gone on with, bit for bit.

    Its state is arrays by row (a neuron, or the only row of a training that is not split) and plain numbers. All ranks
    ask together.

    Attributes
    ----------
    world
        The ranks that train together.
    """

    world: World

    @property
    def unit(self) -> str:
        """What its progress is counted in, as plural: "steps" or "passes"."""

    @property
    def first(self) -> int:
        """First row of this rank."""

    @property
    def n_rows(self) -> int:
        """Rows of this rank."""

    @property
    def n_rows_of_all(self) -> int:
        """Rows of all ranks."""

    @property
    def steps(self) -> int:
        """How far it has come, in its unit."""

    @property
    def total_steps(self) -> int | None:
        """How far it will go; None if that shows only on the way."""

    @property
    def loop(self) -> int:
        """Number of loops (or passes) that are done."""

    @property
    def updated(self) -> bool:
        """Whether the last stretch ended with a change of weights."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""

    @property
    def step_seconds(self) -> float:
        """About how long a step takes without learning, by constants and not by a clock; the same on all ranks."""

    def state_numbers(self) -> dict[str, Any]:
        """What is not an array of the live state, as plain data; rank 0's counts."""

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, which may depend on them."""

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the live state, by row."""

    def restored(self) -> None:
        """All arrays have been set: bring up to date what follows from them."""
