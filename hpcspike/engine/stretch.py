"""Several update intervals of training at a time, where nothing but compiled code has a part in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcspike.engine.stretch_kernels import train_own_intervals
from hpcspike.engine.team_kernels import in_team
from hpcspike.errors import ResourceError
from hpcspike.model.rate_law_kinds import MEASURED
from hpcspike.rls.blocked import BlockedRls

if TYPE_CHECKING:
    from hpcspike.engine.trainer import Trainer

MOST_WORK = 2_000_000
"""Neurons times inputs of all updates that are taken in one piece: some 20 ms, so that signals are heard soon."""


def intervals_at_once(trainer: Trainer, most_steps: int) -> int:
    """How many whole update intervals can be taken in one piece from where a trainer stands, the same on all ranks."""
    cursor, simulation = trainer.cursor, trainer.simulation
    if not trainer.in_window or cursor.step or trainer.on_update is not None:
        return 0
    if not isinstance(trainer.rls, BlockedRls) or not simulation.compiled or trainer.rls.threads != simulation.threads:
        return 0
    left = trainer.goals.shape[1] - cursor.update
    affordable = int(MOST_WORK / max(1.0, trainer.problem.n_neurons * trainer.mean_in_degree))
    return min(most_steps // trainer.steps_per_update, left, max(1, affordable))


def take_intervals(trainer: Trainer, n_updates: int) -> int:
    """Run that many intervals with their updates, at most; returns the number of updates made."""
    problem, simulation, rls, world = trainer.problem, trainer.simulation, trainer.rls, trainer.world
    assert isinstance(rls, BlockedRls)
    n_steps, first = trainer.steps_per_update, trainer.cursor.update
    frozen = problem.noise_of(problem.stimulus_steps + first * n_steps, n_updates * n_steps)
    path = simulation.noise
    noise = simulation.noise_of_steps(frozen, 0 if path is None else path.step, n_updates * n_steps)
    current = np.broadcast_to(problem.input, (n_updates, problem.n_rows))
    known = frozen if trainer.law.kind == MEASURED else noise
    if known is not None:
        current = current + known[n_steps - 1 :: n_steps]
    live = simulation.live(n_steps)
    entering = live.plastic_drive.copy() if simulation.held is None else simulation.held
    steps, neurons = np.empty((2, n_steps * problem.n_rows), dtype=np.int32)
    seconds = np.zeros(2)
    interval_decay = simulation.decay_over(n_steps)
    exchanged = float(world.phases.exchanging[0])
    made, n_spikes = in_team(
        train_own_intervals, simulation.team, rls.threads, live, rls.matrices(), trainer.law, n_updates, n_steps,
        np.atleast_1d(interval_decay), rls.decay_by_row(interval_decay), *rls.position,
        trainer.training.variable == "rate", entering, simulation.rounded(problem.input),
        live.no_clamp if noise is None else simulation.rounded(noise), np.ascontiguousarray(current),
        *simulation.feed_of_steps(n_updates * n_steps),
        trainer.goals[trainer.target_set, first : first + n_updates], trainer.moments, trainer.error, trainer.gain,
        np.empty((2, problem.n_rows), entering.dtype), steps, neurons, seconds,
    )  # fmt: skip
    if n_spikes < 0:
        raise ResourceError("the spike exchange between MPI ranks failed; see the message of the MPI library")
    world.phases.add(steps=seconds[0], update=seconds[1], exchange=float(world.phases.exchanging[0]) - exchanged)
    simulation.held, simulation.interval_decay = entering, interval_decay
    for passed in (path, simulation.feed):
        if passed is not None:
            passed.step += int(made) * n_steps
    trainer.window_spikes += n_spikes
    rls.pass_updates(made, simulation, trainer.error, trainer.gain)
    return int(made)
