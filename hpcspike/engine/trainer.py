"""What lives from loop to loop while a network is trained, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from hpcspike.checks import whole_number
from hpcspike.compiling import working_seconds
from hpcspike.engine.communication import World
from hpcspike.engine.learning_curve import CURVE, row_of, squared_change
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.engine.stretch import intervals_at_once, take_intervals
from hpcspike.engine.trained import law_of
from hpcspike.engine.training_kernels import accumulate_moments, goal_statistics, rate_error
from hpcspike.engine.training_tests import TrainingTests
from hpcspike.errors import SpecError
from hpcspike.model.problem import Problem
from hpcspike.model.rate_law_kinds import MEASURED
from hpcspike.rls import make_rls
from hpcspike.spec.by_neuron import why_no_decays_of_each
from hpcspike.spec.experiment import (
    Measures,
    Training,
    is_multiple,
    n_steps,
    why_no_matrices_of_their_own,
    why_unconnectable,
    why_untested,
    why_untrainable,
)
from hpcspike.spec.synapse import why_late
from hpcspike.state import StateArray, by_neuron, prefixed, ragged
from hpcspike.threads import allowed_threads

FREE_RUN, CUE, WINDOW = range(3)
CHUNK_STEPS = 200
"""Steps that training takes at a time, unless an update or the end of a stage comes first."""


@dataclass
class Cursor:
    """How far training has come: whole loops, the stage of the loop, updates in the window, steps in the interval."""

    loop: int = 0
    stage: int = FREE_RUN
    update: int = 0
    step: int = 0


class Trainer:
    """Trains a block of neurons, one stretch of steps after another.

    The state is that of `Simulation` and of the RLS engine, and the running sums of the loop; `cursor` says where in
    the protocol it stands. `state_arrays` and `state_numbers` name all of it for checkpoints, for it is a
    `hpcspike.engine.resumable.Resumable`.
    """

    unit: ClassVar[str] = "steps"

    REBUILT: ClassVar[frozenset[str]] = frozenset(
        {
            "problem",
            "training",
            "measures",
            "on_update",
            "world",
            "steps_per_update",
            "mean_in_degree",
            "goals",
            "n_loops",
            "diverged_drive",
            "reference",
            "law",
        }
        | {"goal_mean", "goal_variation"}
    )
    """Attributes that are no state: equal whenever they are made for the same problem."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset({"error", "gain", "began"})
    """Attributes that are no state: written before they are read."""

    def __init__(
        self,
        problem: Problem,
        training: Training,
        *,
        threads: int = 1,
        diverged_drive: float = 1e6,
        measures: Measures | None = None,
        world: World | None = None,
        on_update: Callable[[Trainer], None] | None = None,
    ) -> None:
        self.problem, self.training, self.measures, self.on_update = problem, training, measures, on_update
        self.world = world or World()
        threads = _check(problem, training, measures, threads)
        interval, grid = training.update_interval_ms, problem.grid_ms
        self.simulation = make_simulation(problem, dtype=np.dtype(training.dtype), world=self.world, threads=threads)
        degrees = self.world.concatenate(problem.in_degree)
        self.mean_in_degree = float((degrees if problem.subset is None else degrees[degrees > 0]).mean())
        self.rls = make_rls(problem, training, threads=threads, mean_in_degree=self.mean_in_degree)
        self.law = law_of(problem, training, self.world)
        self.steps_per_update = n_steps(interval, problem.neuron.step_ms)
        stride = n_steps(interval, grid)
        # one contiguous row of targets per update: (sets, updates, n)
        self.goals = np.ascontiguousarray(problem.targets[:, :, stride - 1 :: stride].transpose(0, 2, 1))
        if not problem.has_target.all():  # such neurons have no plastic synapses, which the zeros could change
            self.goals = np.nan_to_num(self.goals)
        self.goal_mean, self.goal_variation = np.empty((2, problem.n_sets, problem.n_rows))
        for goals, mean, variation in zip(self.goals, self.goal_mean, self.goal_variation, strict=True):
            goal_statistics(goals, mean, variation)
        self.error, self.gain = np.empty(problem.n_rows), np.ones(problem.n_rows)
        self.n_loops = training.n_loops * problem.n_sets
        self.diverged_drive = diverged_drive
        initial = problem.plastic.weight
        self.reference = squared_change(problem, self.world, initial, np.zeros_like(initial))
        self.cursor = Cursor()
        self.moments = np.zeros((3, problem.n_rows))
        self.weight_before = self.simulation.weight.copy()
        self.window_spikes = 0
        self.loop_seconds = 0.0
        self._began = 0.0
        self.diverged_loop = -1
        self.curve: dict[str, list[float]] = {name: [] for name in CURVE}
        self.tests = TrainingTests(self.simulation, training, measures, self.world)

    @property
    def finished(self) -> bool:
        """Whether all loops are done, the network diverged, or tests have not become better for long enough."""
        return self.cursor.loop >= self.n_loops or self.diverged_loop >= 0 or self.tests.exhausted

    def advance(self, most_steps: int = CHUNK_STEPS) -> int:
        """Run at most ``most_steps`` steps, never beyond the next weight update; returns how many."""
        self._began = working_seconds()
        cursor, problem = self.cursor, self.problem
        if cursor.stage == FREE_RUN and cursor.step == 0:
            self._start_loop()
        length = (problem.free_run_steps, problem.stimulus_steps, self.steps_per_update)[cursor.stage]
        stop = min(length, cursor.step + most_steps)
        if length:
            external = problem.input + problem.stimuli[self.target_set] if cursor.stage == CUE else problem.input
            collect = cursor.stage == WINDOW and self.rls.needs_events and not self.simulation.graded
            with self.world.phases("steps"):
                spikes = self.simulation.run_interval(
                    length, external, begin=cursor.step, stop=stop, collect=collect, noise=self._noise(length)
                )
            if cursor.stage == WINDOW:
                self.window_spikes += len(spikes.step)
        taken = stop - cursor.step
        cursor.step = stop
        if cursor.step == length:
            self._end_interval()
        if self.cursor is cursor:
            self.loop_seconds += working_seconds() - self._began
        return taken

    def advance_far(self, most_steps: int = CHUNK_STEPS) -> int:
        """As `advance`, but over several weight updates where one compiled piece can take them; the same bits."""
        n_updates = intervals_at_once(self, most_steps)
        if n_updates < 2:
            return self.advance(most_steps)
        self._began = working_seconds()
        cursor = self.cursor
        end = cursor.update + n_updates
        while cursor.update < end:  # a row that starts anew ends a piece early, on its rank alone
            cursor.update += take_intervals(self, end - cursor.update)
        if cursor.update == self.goals.shape[1]:
            self._end_loop()
        if self.cursor is cursor:
            self.loop_seconds += working_seconds() - self._began
        return n_updates * self.steps_per_update

    def _start_loop(self) -> None:
        # when the loop begins and not when the one before ends, whose state is that of the end of training, too
        problem, loop = self.problem, self.cursor.loop
        if problem.protocol.start == "random" and loop > 0:
            self.simulation.start_at_random("loop_phase", loop)
        if problem.trial_noise.phase == "training_and_test":
            self.simulation.begin_noise("training_noise", loop)
        silent = problem.free_run_steps + problem.stimulus_steps
        self.simulation.begin_feed("training_feed", loop, self.target_set, silent)
        if len(self.simulation.weight_sets):  # the change of a loop is that of the weights that are in use in it
            self.weight_before[:] = self.simulation.weight

    def _noise(self, length: int) -> np.ndarray | None:
        # frozen noise of the interval of this length that the cursor is in
        cursor = self.cursor
        if cursor.stage == FREE_RUN:
            return None
        in_window = self.problem.stimulus_steps if cursor.stage == WINDOW else 0
        return self.problem.noise_of(in_window + cursor.update * self.steps_per_update, length, self.target_set)

    @property
    def in_window(self) -> bool:
        """Whether it is in the trained window of a loop."""
        return self.cursor.stage == WINDOW

    @property
    def target_set(self) -> int:
        """The target set of the present loop."""
        return self.problem.set_of_loop(self.cursor.loop)

    @property
    def steps(self) -> int:
        """Steps since the start of training."""
        cursor, stages = self.cursor, (self.problem.free_run_steps, self.problem.stimulus_steps)
        within = sum(stages[: cursor.stage]) + cursor.update * self.steps_per_update + cursor.step
        return cursor.loop * self.steps_per_loop + within

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.n_loops * self.steps_per_loop

    @property
    def loop(self) -> int:
        """Number of loops that are done."""
        return self.cursor.loop

    @property
    def updated(self) -> bool:
        """Whether the last stretch ended with a weight update."""
        return self.cursor.step == 0 and self.cursor.update > 0

    @property
    def first(self) -> int:
        """First neuron of this rank's block."""
        return self.problem.first

    @property
    def n_rows(self) -> int:
        """Neurons of this rank's block."""
        return self.problem.n_rows

    @property
    def n_rows_of_all(self) -> int:
        """Neurons of the network."""
        return self.problem.n_neurons

    @property
    def step_seconds(self) -> float:
        """About how long a step takes without learning."""
        return 5e-6 + 3e-8 * self.problem.n_neurons / self.world.size

    @property
    def steps_per_loop(self) -> int:
        """Steps of a loop: free run, cue and window."""
        window = self.goals.shape[1] * self.steps_per_update
        return self.problem.free_run_steps + self.problem.stimulus_steps + window

    def last_row(self) -> dict[str, float]:
        """The learning curve's last row, with the result of the test after that loop if there was one."""
        tested = self.tests.results.get(self.cursor.loop)
        row = {name: column[-1] for name, column in self.curve.items()}
        return row if tested is None else {**row, "test_correlation": tested}

    def curves(self) -> dict[str, np.ndarray]:
        """The learning curve, (loops,) each; with tests also their results as test_correlation, NaN between."""
        columns = {name: np.array(column) for name, column in self.curve.items()}
        if not self.tests.every:
            return columns
        loop, several = self.cursor.loop, self.problem.n_sets > 1
        by_set = {"test_correlation_by_set": self.tests.curve_by_set(loop)} if several else {}
        return {**columns, "test_correlation": self.tests.curve(loop), **by_set}

    def _end_interval(self) -> None:
        cursor = self.cursor
        cursor.step = 0
        if cursor.stage == WINDOW:
            self._update(self.goals[self.target_set, cursor.update])
            cursor.update += 1
            if cursor.update == self.goals.shape[1]:
                self._end_loop()
            return
        cursor.stage += 1
        if cursor.stage == WINDOW:
            self.rls.begin_window()

    def _update(self, goal: np.ndarray) -> None:
        simulation, first = self.simulation, self.problem.first
        if self.on_update is not None:
            self.on_update(self)
        drive = simulation.drive
        # what the weights of the moment make of r; mostly it is the drive itself
        readout = simulation.with_fixed(simulation.readout)
        if self.training.variable == "rate":
            accumulate_moments(simulation.filtered[first : first + len(goal)], goal, self.moments)
            rate_error(readout, self._input_now(), goal, self.law, self.error, self.gain)
        else:
            accumulate_moments(drive, goal, self.moments)
            np.subtract(goal, readout, out=self.error)  # Eq 10: f - w.r
        simulation.hold_drive()
        if simulation.graded:  # no input stays as it was, so that there are no events to go by
            self.rls.begin_window()
        with self.world.phases("update"):
            self.rls.update(simulation, self.error, self.gain)

    def _input_now(self) -> np.ndarray:
        # external input of the last step before the update
        live, frozen = self.simulation, self._noise(self.steps_per_update)
        last = None if frozen is None else frozen[-1:]
        if self.law.kind == MEASURED:  # whose curve is a mean over the noise of trials
            return self.problem.input if last is None else self.problem.input + last[0]
        noise = live.noise_of_steps(last, 0 if live.noise is None else live.noise.step - 1, 1)
        return self.problem.input if noise is None else self.problem.input + noise[0]

    def _end_loop(self) -> None:
        simulation, world = self.simulation, self.world
        with np.errstate(over="ignore", invalid="ignore"):  # of a network that diverges
            row = {**row_of(self), "seconds": self.loop_seconds + working_seconds() - self._began}
        for name, value in row.items():
            self.curve[name].append(value)
        size = np.abs(simulation.drive).max(initial=0.0)
        if world.any(not (size < self.diverged_drive and bool(np.isfinite(simulation.weight).all()))):
            self.diverged_loop = self.cursor.loop
        self.cursor = Cursor(loop=self.cursor.loop + 1)
        self.moments[:] = 0.0
        self.weight_before = simulation.weight.copy()
        self.window_spikes = 0
        self.loop_seconds = 0.0
        if self.diverged_loop < 0:
            with world.phases("measure"):
                self.tests.after(self.cursor.loop, last=self.cursor.loop == self.n_loops)

    def state_numbers(self) -> dict[str, Any]:
        """What is not an array of the live state, as plain data; all ranks must ask together, and rank 0's counts."""
        return {
            "cursor": asdict(self.cursor),
            "window_spikes": int(self.world.concatenate(np.array([self.window_spikes])).sum()),
            "loop_seconds": self.loop_seconds,
            "diverged_loop": self.diverged_loop,
            "curve": self.curve,
            "simulation": self.simulation.state_numbers(),
            "rls": self.rls.state_numbers(),
            "tests": self.tests.state_numbers(),
        }

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, which depend on them."""
        self.cursor = Cursor(**numbers["cursor"])
        # only their sum over ranks has a meaning
        self.window_spikes = numbers["window_spikes"] if self.world.rank == 0 else 0
        self.loop_seconds, self.diverged_loop = numbers["loop_seconds"], numbers["diverged_loop"]
        self.curve = {name: list(numbers["curve"][name]) for name in CURVE}
        self.simulation.load_numbers(numbers["simulation"])
        self.rls.load_numbers(numbers["rls"])
        if "tests" in numbers:  # earlier versions had none
            self.tests.load_numbers(numbers["tests"], n_loops=self.n_loops)

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the live state, by neuron; after they were set, call `restored`."""
        return [
            by_neuron("moments", self.moments.T),
            ragged("weight_before", self.weight_before, self.problem.plastic.start),
            *prefixed("simulation", self.simulation.state_arrays()),
            *prefixed("rls", self.rls.state_arrays()),
            *prefixed("tests", self.tests.state_arrays()),
        ]

    def restored(self) -> None:
        """Bring r and the trace, of which each rank has set those of its neurons, together on all ranks."""
        own = slice(self.problem.first, self.problem.first + self.problem.n_rows)
        for replicated in self.simulation.replicated():
            replicated[:] = self.world.concatenate(replicated[own])


def _check(problem: Problem, training: Training, measures: Measures | None, threads: int) -> int:
    whole_number("threads", threads, least=1)  # the kernels would write beyond work arrays that are made for so many
    reason = (
        why_untrainable(problem.neuron, training, problem.trial_noise)
        or why_no_matrices_of_their_own(training)
        or why_unconnectable(problem.neuron, problem.synapse)
        or why_late(problem.synapse, problem.neuron.step_ms, training.variable)
        or why_untested(training, measures)
        or why_no_decays_of_each(problem.synapse.by_neuron, problem.neuron.step_ms, training.variable)
    )
    if reason is not None:
        raise SpecError(reason)
    interval, grid = training.update_interval_ms, problem.grid_ms
    if not is_multiple(interval, grid):
        raise SpecError(f"update_interval_ms = {interval:g} ms is not a multiple of the grid of {grid:g} ms")
    if not is_multiple(problem.duration_ms, interval) or problem.duration_ms < interval:
        raise SpecError(
            f"the targets last {problem.duration_ms:g} ms: must be a multiple of update_interval_ms = {interval:g} ms"
        )
    return allowed_threads(threads)
