"""Training by recursive least squares, loop by loop (paper, Methods: training procedure)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trained import Trained
from hpcspike.engine.training_kernels import accumulate_moments, rate_error
from hpcspike.errors import SpecError
from hpcspike.measures.correlation import centred
from hpcspike.model.problem import Problem
from hpcspike.progress import loop_reporter
from hpcspike.rls import make_rls
from hpcspike.spec.experiment import Training, is_multiple, n_steps

CURVE = ("correlation", "rate", "weight_change", "seconds")
"""What the learning curve holds for every loop."""

OnLoop = Callable[[int, dict[str, float]], None]


def train(
    problem: Problem,
    training: Training | None = None,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    diverged_drive: float = 1e6,
) -> Trained:
    """Train the plastic weights of a problem.

    One loop is a free run, the cue of a target set, and the trained window with one weight update every
    ``update_interval_ms``. The state of neurons and synapses and the matrices P carry over between loops. With several
    target sets the loops alternate between them.

    Parameters
    ----------
    problem
        Network, targets and starting state.
    training
        Learning rule; default: the paper's.
    threads
        Threads over neurons; the result does not depend on it.
    progress
        Show a progress bar on a terminal, plain lines elsewhere.
    on_loop
        Called after every loop with its number and its row of the learning curve.
    diverged_drive
        A drive beyond this size, or not finite, ends training; `Trained.diverged_loop` tells when.

    Returns
    -------
    Trained

    Raises
    ------
    SpecError
        If the update interval does not fit the problem's step, grid or window.
    """
    training = training or Training()
    trainer = _Trainer(problem, training, threads, diverged_drive)
    n_loops = training.n_loops * problem.n_sets
    with loop_reporter(n_loops, shown=progress) as report:
        for loop in range(n_loops):
            row = trainer.run_loop(loop)
            report(loop, row)
            if on_loop is not None:
                on_loop(loop, row)
            if trainer.diverged_loop >= 0:
                break
    return Trained(
        problem=problem,
        training=training,
        simulation=trainer.simulation,
        rls=trainer.rls,
        curve={name: np.array(column) for name, column in trainer.curve.items()},
        diverged_loop=trainer.diverged_loop,
    )


class _Trainer:
    """Holds what lives from loop to loop."""

    def __init__(self, problem: Problem, training: Training, threads: int, diverged_drive: float) -> None:
        self.problem, self.training = problem, training
        interval, grid = training.update_interval_ms, problem.grid_ms
        if not is_multiple(interval, grid):
            raise SpecError(f"update_interval_ms = {interval:g} ms is not a multiple of the grid of {grid:g} ms")
        if not is_multiple(problem.duration_ms, interval) or problem.duration_ms < interval:
            raise SpecError(
                f"the targets last {problem.duration_ms:g} ms: "
                f"must be a multiple of update_interval_ms = {interval:g} ms"
            )
        self.dtype = np.dtype(training.dtype)
        self.simulation = Simulation(problem, dtype=self.dtype)
        self.rls = make_rls(problem, training, threads=threads)
        self.steps = n_steps(interval, problem.neuron.step_ms)
        stride = n_steps(interval, grid)
        # one contiguous row of targets per update: (sets, updates, n)
        self.goals = np.ascontiguousarray(problem.targets[:, :, stride - 1 :: stride].transpose(0, 2, 1))
        self.bias = np.full(problem.n_rows, problem.neuron.bias)
        self.error, self.gain = np.empty(problem.n_rows), np.ones(problem.n_rows)
        self.moments = np.zeros((3, problem.n_rows))
        self.reference = float(np.sum(self.simulation.weight.astype(np.float64) ** 2))
        self.limit = diverged_drive
        self.diverged_loop = -1
        self.curve: dict[str, list[float]] = {name: [] for name in CURVE}

    def run_loop(self, loop: int) -> dict[str, float]:
        """One loop; returns its row of the learning curve."""
        began = time.perf_counter()
        problem, simulation = self.problem, self.simulation
        target_set = loop % problem.n_sets
        before = simulation.weight.astype(np.float64)
        if problem.free_run_steps:
            simulation.run_interval(problem.free_run_steps, self.bias)
        if problem.stimulus_steps:
            simulation.run_interval(problem.stimulus_steps, self.bias + problem.stimuli[target_set])
        n_spikes = self._train_window(self.goals[target_set])
        with np.errstate(over="ignore", invalid="ignore"):  # of a network that diverges
            row = {
                "correlation": self._window_correlation(self.goals[target_set]),
                "rate": n_spikes / problem.n_rows / (problem.duration_ms / 1000.0),
                "weight_change": self._weight_change(before),
                "seconds": time.perf_counter() - began,
            }
        for name, value in row.items():
            self.curve[name].append(value)
        size = np.abs(simulation.drive).max(initial=0.0)
        if not (size < self.limit and np.isfinite(simulation.weight).all()):
            self.diverged_loop = loop
        return row

    def _train_window(self, goals: np.ndarray) -> int:
        simulation, rls, training = self.simulation, self.rls, self.training
        first, rows = self.problem.first, self.problem.n_rows
        rate = training.variable == "rate"
        self.moments[:] = 0.0
        n_spikes = 0
        rls.begin_window()
        for goal in goals:
            spikes = simulation.run_interval(self.steps, self.bias, collect=rls.needs_events)
            n_spikes += len(spikes.step)
            if rate:
                accumulate_moments(simulation.filtered[first : first + rows], goal, self.moments)
                rate_error(simulation.drive, self.bias, goal, training.smoothing, self.error, self.gain)
            else:
                accumulate_moments(simulation.drive, goal, self.moments)
                np.subtract(goal, simulation.drive, out=self.error)
            simulation.hold_drive()
            rls.update(simulation, self.error, self.gain)
        return n_spikes

    def _window_correlation(self, goals: np.ndarray) -> float:
        # correlation of what the network did with plasticity on, before each update, averaged over neurons
        n = len(goals)
        sum_x, sum_xx, sum_xf = self.moments
        mean_f = goals.mean(axis=0)
        variance_f = (centred(goals, axis=0) ** 2).sum(axis=0)
        variance_x = sum_xx - sum_x**2 / n
        covariance = sum_xf - sum_x * mean_f
        scale = np.sqrt(np.maximum(variance_x, 0.0) * variance_f)
        correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        return float(np.mean(correlation))

    def _weight_change(self, before: np.ndarray) -> float:
        now = self.simulation.weight.astype(np.float64)
        reference = self.reference or float(np.sum(now**2))
        change = float(np.sum((now - before) ** 2))
        return float(np.sqrt(change / reference)) if reference > 0 else 0.0
