"""What every learner offers, whatever its neurons and its rule are.

Tasks (`hpcspike.learners.trials`) say what is wanted, learners how it is learned. `Learner.rollout` takes a stimulus,
so that no learner can be helped by the target when it is tested.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hpcspike.compiling import compile_seconds
from hpcspike.engine.stopping import keeping
from hpcspike.errors import SpecError
from hpcspike.learners.passes import Budget, History, OnPass, Passes
from hpcspike.learners.trials import Kind, Stimulus, Task
from hpcspike.progress import loop_reporter
from hpcspike.shown import Shown

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.engine.trained import Trained

OnLoop = Callable[[int, dict[str, float]], None]


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
    start
        (N,) membrane variable when the trial begins, where the learner says it.
    """

    prediction: np.ndarray
    spike_time_ms: np.ndarray
    spike_neuron: np.ndarray
    n_neurons: int
    drive: np.ndarray | None = None
    start: np.ndarray | None = None

    def rate_hz(self, duration_ms: float) -> float:
        """Mean firing rate over the window of this length."""
        return float(np.count_nonzero(self._inside(duration_ms))) / self.n_neurons / duration_ms * 1000.0

    def rates_hz(self, duration_ms: float) -> np.ndarray:
        """(N,) firing rate of every neuron over the window of this length."""
        inside = self.spike_neuron[self._inside(duration_ms)]
        return np.bincount(inside, minlength=self.n_neurons) * (1000.0 / duration_ms)

    def _inside(self, duration_ms: float) -> np.ndarray:
        return (self.spike_time_ms > 0) & (self.spike_time_ms <= duration_ms)


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

    task: Task
    trained: Trained | None = None
    """The network in the form that `hpcspike.measures` takes, where it is one of the engine's; see `RlsLearner`."""

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
        passes = Passes(self, budget)
        with keeping(passes, checkpoints, lambda: {"learner": name_of(self), **(identity or {})}) as manager:
            while not passes.finished:
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
                manager.after(1)
        return self.history

    def train(
        self,
        *,
        progress: bool = False,
        on_loop: OnLoop | None = None,
        checkpoints: Checkpoints | None = None,
        identity: dict[str, Any] | None = None,
    ) -> None:
        """Train for as many passes as the settings ask for.

        Parameters
        ----------
        progress
            Show a progress bar on a terminal, plain lines elsewhere.
        on_loop
            Called after every pass with its number and its row of `curve`.
        checkpoints, identity
            As for `fit`.
        """
        passes = self.passes()
        with loop_reporter(passes, shown=progress, unit="pass") as report:

            def tell(number: int, _: dict[str, float]) -> None:
                row = {name: float(column[-1]) for name, column in self.curve().items()}
                report(number, row)
                if on_loop is not None:
                    on_loop(number, row)

            self.fit(Budget(passes=passes), checkpoints=checkpoints, identity=identity, on_pass=tell)

    def curve(self) -> dict[str, np.ndarray]:
        """Learning curve, (passes,) each: the score, on its own or else helped; it again as correlation if it is one;
        rate in Hz and CPU seconds of every pass."""
        history = self.history
        score = np.where(np.isnan(history["score_alone"]), history["score_helped"], history["score_alone"])
        named = {"correlation": score} if self.task.score == "correlation" else {}
        seconds = np.diff(history["cpu_seconds"], prepend=0.0)
        return {"score": score, **named, "rate": history["rate_hz"], "seconds": seconds}

    def refuse_unsupported(self, task: Task) -> None:
        """A `SpecError` if the task's kind is not among those this learner can express."""
        if task.kind not in self.supports:
            raise SpecError(
                f"task {task.name} is of kind {task.kind!r}, which learner {type(self).__name__} cannot express: not "
                f"applicable; it can express {', '.join(sorted(self.supports))}"
            )


def name_of(learner: Learner) -> str:
    """Where a learner's class is, as ``package.module:Class``."""
    return f"{type(learner).__module__}:{type(learner).__qualname__}"


def _working_cpu() -> float:
    """Seconds of CPU without those of numba's compiler, which works on one core."""
    return time.process_time() - compile_seconds()


def refuse_targets(stimulus: Stimulus) -> None:
    """A TypeError if a rollout is given anything else than a stimulus, such as a trial with its target."""
    if type(stimulus) is not Stimulus:
        raise TypeError(f"a rollout takes a Stimulus, not a {type(stimulus).__name__}: it must not see a target")


def refuse_absent_spike(number: int, n_spikes: int) -> None:
    """A `SpecError` if a window of ``n_spikes`` spikes has none of this number, from 0."""
    if not 0 <= number < n_spikes:
        raise SpecError(f"delete_spike = {number}: the window has {n_spikes} spikes; choose one of them")
