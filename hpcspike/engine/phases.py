"""Where the time of a run goes: wall seconds of each phase of its work."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from hpcspike.compiling import working_seconds

PHASES = {
    "build": "building the network",
    "steps": "neurons and spike delivery",
    "exchange": "spike exchange",
    "update": "weight updates",
    "measure": "test trials and measures",
    "write": "recorded trials and writing",
}
"""The phases of a run, in their order. steps, exchange and update are those of training; what the loops spend beside
them (learning curve, progress, checkpoints) is in none, as is what the compiler takes; exchange includes the wait for
slower ranks."""


class Phases:
    """Adds up the wall seconds of each phase.

    Attributes
    ----------
    seconds
        By the names of `PHASES`.
    exchanging
        (1,) seconds inside the spike exchange, which the step loop adds to by itself: it is compiled as one piece, so
        nothing outside could tell them apart. It reads the clock twice a step (0.1 us), and not if there is one rank.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.exchanging = np.zeros(1)
        self._spans = {name: _Span(self, name) for name in PHASES}

    def __call__(self, name: str) -> _Span:
        """A context whose duration counts for a phase; phases may not be nested."""
        return self._spans[name]

    def add(self, *, steps: float, exchange: float, update: float) -> None:
        """Count what a compiled piece of training has measured by itself; steps: those of the exchange included."""
        self.seconds["steps"] += steps - exchange
        self.seconds["exchange"] += exchange
        self.seconds["update"] += update

    def reset(self) -> None:
        """Forget what was measured."""
        self.seconds.update(dict.fromkeys(PHASES, 0.0))


class _Span:
    # one per phase and not one per use: an interval of a small network takes 20 us
    def __init__(self, phases: Phases, name: str) -> None:
        self._phases, self._name = phases, name
        self._began = self._exchanging = 0.0

    def __enter__(self) -> None:
        self._exchanging = float(self._phases.exchanging[0])
        self._began = working_seconds()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        elapsed = working_seconds() - self._began
        seconds = self._phases.seconds
        if self._name == "steps":
            exchanging = float(self._phases.exchanging[0]) - self._exchanging
            seconds["exchange"] += exchanging
            elapsed -= exchanging
        seconds[self._name] += elapsed
