"""What every learner offers, whatever its neurons and its rule are.

Tasks (`hpcspike.learners.trials`) say what is wanted, learners how it is learned. `Learner.rollout` takes a stimulus,
so that no learner can be helped by the target when it is tested.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.trials import Kind, Stimulus, Task
from hpcspike.shown import Shown

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints


@dataclass(frozen=True, repr=False)
class Rollout(Shown):
    """What a network did on its own.

    Attributes
    ----------
    prediction
        (samples, d) what is compared with the target.
    spike_time_ms, spike_neuron
        (spikes,) in order of time, from the start of the window (negative: cue); neuron numbers are int32.
    drive
        (samples, N) synaptic drive, where the learner trains drives; else None.
    n_neurons
        Number of neurons N, removed ones included.
    """

    prediction: np.ndarray
    spike_time_ms: np.ndarray
    spike_neuron: np.ndarray
    n_neurons: int
    drive: np.ndarray | None = None

    def rate_hz(self, duration_ms: float) -> float:
        """Mean firing rate over the window of this length."""
        inside = (self.spike_time_ms > 0) & (self.spike_time_ms <= duration_ms)
        return float(np.count_nonzero(inside)) / self.n_neurons / duration_ms * 1000.0


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


class Learner(ABC):
    """A network and the rule that trains it.

    A subclass names what it can do in the class attributes, and implements `build`, `advance`, `rollout`, `weights`,
    `n_trained`, `state` and `restore`; `fit` with its budget, history and checkpoints comes with this class. After
    `build`, everything that `advance` changes must be in `state`, and `advance(p)` may depend on nothing else but p:
    then a training that was interrupted and resumed ends with the same bits as one that was not.

    Attributes
    ----------
    supports
        Kinds of task it can express.
    local, online, needs_error_current
        Whether the rule uses only what a synapse sees, whether it learns while the network runs, and whether training
        needs the error as a current into the network.
    for_free
        What it is given and does not learn, each in a few words, for tables.
    """

    supports: ClassVar[frozenset[Kind]]
    local: ClassVar[bool]
    online: ClassVar[bool]
    needs_error_current: ClassVar[bool]
    for_free: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any = None) -> None:
        """settings: the learner section of an experiment; None means its defaults."""
        self.settings = settings
        self.history = History()

    # ---- what a learner must say -------------------------------------------------------------------------------------

    @abstractmethod
    def build(self, task: Task, *, n_neurons: int, seed: int, replicate: int = 0) -> Self:
        """Make the untrained network for a task; returns itself.

        Parameters
        ----------
        task
            What is to be learned.
        n_neurons
            Number of neurons N.
        seed, replicate
            What every random number is keyed by.

        Raises
        ------
        SpecError
            If it does not support the task (`refuse_unsupported` says so).
        """

    @abstractmethod
    def advance(self, number: int) -> dict[str, float]:
        """Train for pass ``number`` (from 0).

        Returns
        -------
        dict
            Columns of `PASS_COLUMNS` that it knows; ``simulated_seconds`` of this pass alone.
        """

    @abstractmethod
    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None = None, noise: float = 0.0, delete_spike: int | None = None
    ) -> Rollout:
        """Run the network on its own: no error current, no plasticity, no target.

        Parameters
        ----------
        stimulus
            What it sees; its index and phase key initial state and noise. Call `refuse_targets` on it first.
        kill
            (N,) bool, neurons that are silent throughout.
        noise
            Additional white noise on the membrane, in units of the distance from rest (or reset) to threshold per
            square root of a second.
        delete_spike
            Number of the spike of the window (in order of time) that reaches nobody; its neuron is reset as usual.
        """

    @abstractmethod
    def weights(self) -> dict[str, np.ndarray]:
        """All weights by name, dense or with what is needed to read them."""

    @abstractmethod
    def n_trained(self) -> int:
        """Number of trained parameters."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Everything that training changes, as arrays by name; for checkpoints."""

    @abstractmethod
    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""

    def passes(self) -> int:
        """Number of passes that the settings ask for."""
        if isinstance(self.settings, dict):
            return int(self.settings.get("passes", 100))
        return int(getattr(self.settings, "passes", 100))

    def diverged(self) -> bool:
        """Whether training has left what can be computed; it ends then."""
        return False

    # ---- what every learner gets -------------------------------------------------------------------------------------

    def fit(
        self,
        budget: Budget,
        *,
        checkpoints: Checkpoints | None = None,
        identity: dict[str, Any] | None = None,
        on_pass: OnPass | None = None,
    ) -> History:
        """Train until the budget is used up, going on from where the learner (or its checkpoint) stands.

        Parameters
        ----------
        budget
            When to end; passes of earlier calls count.
        checkpoints
            Where and when to save; ``every_loops`` counts passes, ``stop_after_steps`` passes of this call.
        identity
            What the checkpoint is of, as plain data (canonical experiment); another's is refused.
        on_pass
            Called after every pass with its number and its row.

        Raises
        ------
        Interrupted
            If it was asked to stop; the state is saved.
        """
        from hpcspike.learners.saving import keeping

        with keeping(self, checkpoints, identity) as keeper:
            while not (self._used_up(budget) or self.diverged()):
                began, number = _working_cpu(), len(self.history)
                row = dict(self.advance(number))
                for name, spent in (
                    ("cpu_seconds", max(_working_cpu() - began, 0.0)),
                    ("simulated_seconds", row.get("simulated_seconds", 0.0)),
                ):
                    row[name] = self.history.total(name) + spent
                self.history.add(row)
                if on_pass is not None:
                    on_pass(number, row)
                keeper.after(finished=self._used_up(budget) or self.diverged())
        return self.history

    def _used_up(self, budget: Budget) -> bool:
        spent = (
            (budget.passes, len(self.history)),
            (budget.simulated_seconds, self.history.total("simulated_seconds")),
            (budget.cpu_seconds, self.history.total("cpu_seconds")),
        )
        return any(limit is not None and used >= limit for limit, used in spent)

    def refuse_unsupported(self, task: Task) -> None:
        """A `SpecError` if the task's kind is not among those this learner can express."""
        if task.kind not in self.supports:
            raise SpecError(
                f"task {task.name} is of kind {task.kind!r}, which learner {type(self).__name__} cannot express: not "
                f"applicable; it can express {', '.join(sorted(self.supports))}"
            )


def _working_cpu() -> float:
    """Seconds of CPU without those of numba's compiler, which works on one core."""
    from hpcspike.compiling import compile_seconds

    return time.process_time() - compile_seconds()


def refuse_targets(stimulus: Stimulus) -> None:
    """A TypeError if a rollout is given anything else than a stimulus, such as a trial with its target."""
    if type(stimulus) is not Stimulus:
        raise TypeError(f"a rollout takes a Stimulus, not a {type(stimulus).__name__}: it must not see a target")


def refuse_absent_spike(number: int, n_spikes: int) -> None:
    """A `SpecError` if a window of ``n_spikes`` spikes has none of this number, from 0."""
    if not 0 <= number < n_spikes:
        raise SpecError(f"delete_spike = {number}: the window has {n_spikes} spikes; choose one of them")
