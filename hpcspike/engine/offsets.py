"""Targets around the drive that each neuron has before anything is learned."""

from __future__ import annotations

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.simulation import Simulation
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Experiment, n_steps

_CHUNK_STEPS = 100  # no part of the result: rows of the record are added one by one


def add_offsets(problem: Problem, experiment: Experiment, world: World | None = None) -> None:
    """Add to a block's targets what ``targets.offset`` asks for; all ranks must call this together."""
    if experiment.targets.offset == "mean_drive":
        dtype = np.dtype(experiment.training.dtype)
        drive = mean_drive(problem, experiment.targets.offset_run_ms, dtype=dtype, world=world)
        problem.targets = problem.targets + drive[:, None]


def mean_drive(
    problem: Problem, run_ms: float, *, dtype: np.dtype | type = np.float64, world: World | None = None
) -> np.ndarray:
    """Each neuron's mean synaptic drive while all plastic weights are zero and no cue is given, (n,).

    The network starts from the problem's initial state and runs for ``run_ms``, the second half of which is averaged.
    """
    simulation = Simulation(problem, dtype=dtype, world=world)
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
