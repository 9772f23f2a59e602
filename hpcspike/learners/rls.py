"""Recursive least squares (Kim & Chow 2018) behind the interface of all learners, with the engine of `hpcspike.train`.

Targets carried by d < N neurons (readouts) are drives of neurons 0 to d - 1; the others follow independent targets of
their own (the task's ``background``), for many neurons that share few targets cannot be trained.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.distribute import build_block
from hpcspike.engine.trained import Trained
from hpcspike.engine.trainer import CHUNK_STEPS, Trainer
from hpcspike.engine.training import as_it_is, complete
from hpcspike.engine.trial import take_spike_back
from hpcspike.errors import SpecError
from hpcspike.learners.interface import Learner, OnLoop, Rollout, refuse_absent_spike, refuse_targets
from hpcspike.learners.tasks import PHASES, recall_task
from hpcspike.learners.trials import Kind, Stimulus, Task
from hpcspike.model.build import build_problem
from hpcspike.model.random_streams import stream
from hpcspike.spec.experiment import Experiment

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints

_TRIALS_PER_PHASE = 1_000_000  # first trial of "train", "tune", "test" is that of "test", as `Trained.evoke` counts


class RlsLearner(Learner):
    """The plastic synapses of every neuron are trained by recursive least squares on its own target."""

    supports: ClassVar[frozenset[Kind]] = frozenset({"drive", "rate", "readout"})
    local: ClassVar[bool] = False
    online: ClassVar[bool] = True
    needs_error_current: ClassVar[bool] = False
    for_free: ClassVar[tuple[str, ...]] = ("a target for every neuron", "a matrix P per neuron while learning")

    def __init__(self, settings: Any = None) -> None:
        """settings: an `Experiment` (or its mapping), whose neuron, synapse, connectivity and training are used."""
        super().__init__(settings)
        if isinstance(settings, Experiment):
            self.experiment = settings
        else:
            base = {"network": {"n_neurons": 2}, "targets": {"kind": "ou"}, "stimulus": {"duration_ms": 50.0}}
            self.experiment = Experiment.model_validate({**base, **(settings or {})})

    @classmethod
    def of(cls, experiment: Experiment, *, threads: int = 1, world: World | None = None) -> Self:
        """The untrained network of an experiment, over all ranks; its targets need not be a task."""
        learner, world = cls(experiment), world or World()
        learner.built, learner.problem = experiment, build_block(experiment, world)
        learner.trainer = Trainer(
            learner.problem,
            experiment.training,
            threads=threads,
            diverged_drive=experiment.measures.diverged_drive,
            measures=experiment.measures,
            world=world,
        )
        return learner

    @cached_property
    def task(self) -> Task:  # type: ignore[override]
        """What it is asked for in rollouts."""
        return recall_task(self.built, kind=self.built.training.variable)

    def build(self, task: Task, *, n_neurons: int, seed: int, replicate: int = 0) -> Self:
        """See `Learner.build`."""
        self.refuse_unsupported(task)
        if task.n_trials != 1:
            raise SpecError(f"task {task.name} has new targets in every trial: not applicable to learner rls")
        target = task.sample("train", 0).target
        if task.kind == "readout" and task.background is None and task.n_outputs < n_neurons:
            raise SpecError(f"task {task.name} says nothing about the other neurons: learner rls needs a background")
        if task.n_outputs < n_neurons:
            assert task.background is not None
            target = np.concatenate([target, task.background(n_neurons)], axis=1)
        if target.shape[1] != n_neurons:
            raise SpecError(
                f"task {task.name} has {target.shape[1]} targets: must be one for each of {n_neurons} neurons"
            )
        document = self.experiment.model_dump(mode="json")
        document |= {"seed": seed, "replicate": replicate, "network": {"n_neurons": n_neurons}}
        document["targets"] |= {"duration_ms": task.duration_ms, "grid_ms": task.grid_ms, "offset": "none"}
        document["stimulus"]["duration_ms"] = task.cue_ms
        document["training"]["variable"] = "rate" if task.kind == "rate" else "drive"
        document["learner"] = {"kind": "rls"}
        self.task, self.built = task, Experiment.model_validate(document)
        self.problem = build_problem(self.built)
        self.problem.targets = np.ascontiguousarray(target.T[None])
        self.trainer = Trainer(
            self.problem,
            self.built.training,
            diverged_drive=self.built.measures.diverged_drive,
            measures=self.built.measures,
        )
        # how long to train is said by `fit`
        self.trainer.n_loops = np.iinfo(np.int64).max
        return self

    def train(
        self,
        *,
        progress: bool = False,
        on_loop: OnLoop | None = None,
        checkpoints: Checkpoints | None = None,
        identity: dict[str, Any] | None = None,
        on_update: Callable[[Trainer], None] | None = None,
    ) -> None:
        """See `Learner.train`; it can be saved and go on within a loop. on_update: see `hpcspike.train`."""
        self.trainer.on_update = on_update
        began = time.process_time()
        spent: dict[int, float] = {}

        def note(loop: int, row: dict[str, float]) -> None:
            nonlocal began
            spent[loop], began = time.process_time() - began, time.process_time()
            if on_loop is not None:
                on_loop(loop, row)

        complete(self.trainer, progress=progress, on_loop=note, checkpoints=checkpoints, experiment=identity)
        simulated = self.trainer.steps_per_loop * self.problem.neuron.step_ms / 1000.0
        for loop, seconds in enumerate(self.trainer.curve["seconds"]):
            self.history.add(
                {
                    "score_helped": self.trainer.curve["correlation"][loop],
                    "rate_hz": self.trainer.curve["rate"][loop],
                    "simulated_seconds": self.history.total("simulated_seconds") + simulated,
                    # of loops of an earlier run only the wall time is known
                    "cpu_seconds": self.history.total("cpu_seconds") + spent.get(loop, seconds),
                }
            )

    def curve(self) -> dict[str, np.ndarray]:
        """Learning curve, (loops,) each: correlation, rate (Hz), weight change, seconds, results of tests if any."""
        return self.trainer.curves()

    def passes(self) -> int:
        """Training loops."""
        return int(self.experiment.training.n_loops)

    def advance(self, number: int) -> dict[str, float]:
        """One training loop: free run, cue, and the window with its updates."""
        before = self.trainer.steps
        while self.trainer.cursor.loop <= number and self.trainer.diverged_loop < 0:
            self.trainer.advance_far(CHUNK_STEPS)
        row = self.trainer.last_row()
        return {
            "score_helped": row["correlation"],
            "rate_hz": row["rate"],
            "simulated_seconds": (self.trainer.steps - before) * self.problem.neuron.step_ms / 1000.0,
        }

    def diverged(self) -> bool:
        """Whether a drive grew beyond measures.diverged_drive."""
        return self.trainer.diverged_loop >= 0

    @property
    def trained(self) -> Trained:  # type: ignore[override]
        """The network in the form that all measures of `hpcspike.measures` take."""
        return as_it_is(self.trainer)

    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None = None, noise: float = 0.0, delete_spike: int | None = None
    ) -> Rollout:
        """See `Learner.rollout`; noise is white noise of the input current."""
        refuse_targets(stimulus)
        deleted = None
        if delete_spike is not None:
            whole = self._run(stimulus, kill, noise, None)[0]
            inside = np.flatnonzero(whole.spike_time_ms > 0)
            refuse_absent_spike(delete_spike, len(inside))
            at = inside[delete_spike]
            step = round(whole.spike_time_ms[at] / self.problem.neuron.step_ms)
            deleted = (step, int(whole.spike_neuron[at]))
        rollout, weight = self._run(stimulus, kill, noise, deleted)
        assert np.array_equal(weight, self.trained.simulation.weight), "weights changed in a test"
        return rollout

    def _run(
        self, stimulus: Stimulus, kill: np.ndarray | None, noise: float, deleted: tuple[int, int] | None
    ) -> tuple[Rollout, np.ndarray]:
        problem, trained = self.problem, self.trained
        simulation = trained.copy_simulation()
        dead = np.zeros(problem.n_neurons, dtype=bool) if kill is None else np.asarray(kill, dtype=bool)
        if dead[problem.static.presynaptic].any():
            raise SpecError("kill: neurons with fixed synapses cannot be removed here; use connectivity.kind: zero")
        before = simulation.weight.copy()
        simulation.weight[dead[problem.plastic.presynaptic]] = 0.0
        order = (PHASES["test"] - PHASES[stimulus.phase]) % len(PHASES)
        # as `Trained.evoke` begins test trials
        number = order * _TRIALS_PER_PHASE + stimulus.index
        simulation.start_at_random("test_phase", number)
        simulation.begin_test_feed("test_phase", number, 0)
        rng = stream(problem.seed, problem.replicate, "learner_noise", PHASES[stimulus.phase], stimulus.index)
        h, times, neurons = problem.neuron.step_ms, [], []
        free, cue = problem.test_free_run_steps, problem.stimulus_steps

        def run(length: int, first: int, external: np.ndarray, record: np.ndarray | None = None) -> None:
            if length == 0:
                return
            shaken = problem.noise_of(first + cue, length, 0) if first >= -cue else None
            if noise > 0:
                size = noise * problem.neuron.tau_ms / 1000.0 / np.sqrt(h / 1000.0)
                extra = size * rng.standard_normal((length, problem.n_neurons))
                shaken = extra if shaken is None else shaken + extra
            spikes = simulation.run_interval(length, external, record=record, noise=shaken)
            times.append(h * (spikes.step.astype(np.float64) + 1 + first))
            neurons.append(spikes.neuron)

        run(free, -cue - free, problem.input)
        run(cue, -cue, problem.input + problem.stimuli[0])
        every = problem.steps_per_sample
        drive = np.empty((problem.n_samples, problem.n_neurons))
        if deleted is None and self.task.kind != "rate":
            run(every * problem.n_samples, 0, problem.input, drive)
        else:
            traces = np.empty_like(drive)
            for m in range(problem.n_samples):
                low, high = m * every, (m + 1) * every
                if deleted is not None and low < deleted[0] <= high:
                    run(deleted[0] - 1 - low, low, problem.input)
                    run(1, deleted[0] - 1, problem.input)  # of one step, as what follows needs
                    take_spike_back(simulation, deleted[1])
                    low = deleted[0]
                run(high - low, low, problem.input)
                drive[m], traces[m] = simulation.drive, simulation.filtered
        time_ms, neuron = np.concatenate(times), np.concatenate(neurons)
        audible = ~dead[neuron]
        carried = traces if self.task.kind == "rate" else drive
        rollout = Rollout(
            carried[:, : self.task.n_outputs].copy(), time_ms[audible], neuron[audible], problem.n_neurons, drive
        )
        return rollout, before

    def weights(self) -> dict[str, np.ndarray]:
        """plastic (synapses,) with presynaptic (synapses,) and start (N + 1,): compressed rows."""
        rows = self.problem.plastic
        return {
            "plastic": self.trained.simulation.weight.copy(), "presynaptic": rows.presynaptic, "start": rows.start,
        }  # fmt: skip

    def n_trained(self) -> int:
        """Number of plastic synapses."""
        return len(self.problem.plastic.presynaptic)

    def state(self) -> dict[str, np.ndarray]:
        """The live state of neurons, synapses and matrices P."""
        n = self.problem.n_rows
        arrays = {array.name: np.array(array.take(0, n)) for array in self.trainer.state_arrays()}
        return {**arrays, "numbers": np.array(json.dumps(self.trainer.state_numbers()))}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        self.trainer.load_numbers(json.loads(str(state["numbers"])))
        for array in self.trainer.state_arrays():
            array.put(0, self.problem.n_rows, state[array.name])
        self.trainer.restored()
