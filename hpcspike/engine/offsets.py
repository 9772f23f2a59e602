"""Targets that only a simulation of the untrained network can give: innate drives, and the drive to build upon."""

from __future__ import annotations

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Experiment, n_steps
from hpcspike.spec.targets import InnateTargets

_CHUNK_STEPS = 100  # no part of the result: rows of the record are added one by one


def simulate_targets(problem: Problem, experiment: Experiment, world: World | None = None) -> None:
    """Complete a block's targets by what the experiment asks the untrained network; all ranks must call this together.

    Innate targets are recorded, and ``targets.offset`` is added.
    """
    dtype = np.dtype(experiment.training.dtype)
    if isinstance(experiment.targets, InnateTargets):
        problem.targets = innate_drives(problem, experiment.targets, dtype=dtype, world=world)
    if experiment.targets.offset == "mean_drive":
        drive = mean_drive(problem, experiment.targets.offset_run_ms, dtype=dtype, world=world)
        problem.targets = problem.targets + drive[:, None]


def spontaneous_rates(
    problem: Problem, run_ms: float, *, dtype: np.dtype | type = np.float64, world: World | None = None
) -> np.ndarray:
    """Rate of every neuron of all ranks in Hz, (N,), in a run from the initial state; all ranks must call together."""
    simulation, counts = make_simulation(problem, dtype=dtype, world=world), np.zeros(problem.n_rows, dtype=np.int64)
    steps = n_steps(run_ms, problem.neuron.step_ms)
    for begin in range(0, steps, _CHUNK_STEPS):
        spikes = simulation.run_interval(min(_CHUNK_STEPS, steps - begin), problem.input)
        counts += np.bincount(spikes.neuron - problem.first, minlength=problem.n_rows)
    return (world or World()).concatenate(counts) * (1000.0 / run_ms)


def innate_drives(
    problem: Problem, family: InnateTargets, *, dtype: np.dtype | type = np.float64, world: World | None = None
) -> np.ndarray:
    """Drives of the untrained network from random phases and r = 0, after a transient (paper, Fig 4).

    Every target set has its own initial phases and, if ``family.cue`` wants it, its own cue.

    Returns
    -------
    numpy.ndarray
        (n_sets, n, n_samples), sample m at time (m + 1) ``grid_ms`` after the transient (and the cue).
    """
    drives = np.empty(problem.targets.shape)
    transient, bias = n_steps(family.transient_ms, problem.neuron.step_ms), problem.input
    simulation = make_simulation(problem, dtype=dtype, world=world)
    for number, drive in enumerate(drives):
        simulation.start_at_random("innate_phase", number)
        stages: list[tuple[int, np.ndarray, np.ndarray | None]] = [(transient, bias, None)]
        if family.cue != "none":
            path = None if problem.cue is None else problem.cue[number]
            cue = (problem.stimulus_steps, bias + problem.stimuli[number], path)
            stages.insert(0 if family.cue == "at_start" else 1, cue)
        for length, external, noise in stages:
            if length:
                simulation.run_interval(length, external, noise=noise)
        record = np.empty(drive.shape[::-1])
        simulation.run_interval(problem.steps_per_sample * len(record), bias, record=record)
        drive[:] = record.T
    return drives


def mean_drive(
    problem: Problem, run_ms: float, *, dtype: np.dtype | type = np.float64, world: World | None = None
) -> np.ndarray:
    """Each neuron's mean synaptic drive while all plastic weights are zero and no cue is given, (n,).

    The network starts from the problem's initial state and runs for ``run_ms``, the second half of which is averaged.
    """
    simulation = make_simulation(problem, dtype=dtype, world=world)
    simulation.weight[:] = 0.0
    simulation.set_state(problem.phase, problem.filtered)
    steps = n_steps(run_ms, problem.neuron.step_ms)
    settling = steps // 2
    simulation.run_interval(settling, problem.input)
    total = np.zeros(problem.n_rows)
    for begin in range(settling, steps, _CHUNK_STEPS):
        record = np.empty((min(_CHUNK_STEPS, steps - begin), problem.n_rows))
        simulation.run_interval(len(record), problem.input, record=record)
        for drive in record:
            total += drive
    return total / (steps - settling)
