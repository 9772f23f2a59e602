"""Training by recursive least squares, loop by loop (paper, Methods: training procedure)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.trained import Trained
from hpcspike.engine.trainer import Trainer
from hpcspike.model.problem import Problem
from hpcspike.progress import loop_reporter
from hpcspike.spec.experiment import Training

OnLoop = Callable[[int, dict[str, float]], None]


def train(
    problem: Problem,
    training: Training | None = None,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    diverged_drive: float = 1e6,
    world: World | None = None,
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
    world
        The ranks that hold the other blocks of the network; default: this process holds it whole.

    Returns
    -------
    Trained

    Raises
    ------
    SpecError
        If the update interval does not fit the problem's step, grid or window.
    """
    training = training or Training()
    trainer = Trainer(problem, training, threads=threads, diverged_drive=diverged_drive, world=world)
    with loop_reporter(trainer.n_loops, shown=progress and trainer.world.rank == 0) as report:
        while not trainer.finished:
            loop = trainer.cursor.loop
            trainer.advance()
            if trainer.cursor.loop > loop:
                report(loop, trainer.last_row())
                if on_loop is not None:
                    on_loop(loop, trainer.last_row())
    return Trained(
        problem=problem,
        training=training,
        simulation=trainer.simulation,
        rls=trainer.rls,
        curve={name: np.array(column) for name, column in trainer.curve.items()},
        diverged_loop=trainer.diverged_loop,
        world=trainer.world,
    )
