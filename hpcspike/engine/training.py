"""Training by recursive least squares, loop by loop (paper, Methods: training procedure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcspike.checks import function, instance, number
from hpcspike.engine.agreement import agree_on, same_checkpoints
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.communication import World
from hpcspike.engine.stopping import keeping
from hpcspike.engine.trained import Trained
from hpcspike.engine.trainer import CHUNK_STEPS, Trainer
from hpcspike.engine.trial import copy_of
from hpcspike.model.problem import Problem
from hpcspike.progress import loop_reporter
from hpcspike.spec.experiment import Measures, Training

OnLoop = Callable[[int, dict[str, float]], None]


def train(
    problem: Problem,
    training: Training | None = None,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    on_update: Callable[[Trainer], None] | None = None,
    diverged_drive: float | None = None,
    measures: Measures | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
    experiment: dict[str, Any] | None = None,
) -> Trained:
    """Train the plastic weights of a problem.

    One loop is a free run, the cue of a target set, and the trained window with one weight update every
    ``update_interval_ms``. The matrices P carry over between loops, and so does the state of neurons and synapses,
    unless ``protocol.start`` of the problem is random: then every loop but the first, which starts from the problem's
    ``phase`` and ``filtered``, starts from random phases of its own and r = 0. With several target sets the loops
    alternate between them.

    Parameters
    ----------
    problem
        Network, targets and starting state.
    training
        Learning rule; default: that of the problem, which `hpcspike.build_problem` takes from the experiment, otherwise
        the paper's.
    threads
        Threads over neurons; the result does not depend on it.
    progress
        Show a progress bar on a terminal, plain lines elsewhere.
    on_loop
        Called after every loop with its number and its row of the learning curve.
    on_update
        Called with the live `hpcspike.engine.trainer.Trainer` before every weight update.
    diverged_drive
        A drive beyond this size, or not finite, ends training; `Trained.diverged_loop` tells when. Default: that of the
        problem, as its experiment has it, otherwise 10^6.
    measures
        How often training stops for a test (``test_every_loops``) and in how many trials (``n_test_trials``); default:
        those of the problem, as its experiment has them, otherwise none.
    world
        The ranks that hold the other blocks of the network; default: this process holds it whole.
    checkpoints
        Save the state now and then, and go on from what an earlier run of the same training saved.
    experiment
        Canonical form of the experiment that the problem is of, by which checkpoints know it; default: by its arrays.

    Returns
    -------
    Trained

    Raises
    ------
    TypeError
        If it is given something else than a problem, such as a path or an experiment.
    SpecError
        If the update interval does not fit the problem's step, grid or window, ``threads`` is less than 1, training
        shall keep the best weights or end early without tests, or the ranks were given different problems or settings.
    Interrupted
        If it stopped early, because of a signal or its time limit, and saved its state; on all ranks.
    KeyboardInterrupt
        At Ctrl-C; with ``checkpoints`` the state is saved first, unless Ctrl-C comes a second time.
    ResourceError
        If not all ranks of ``world`` call this within a minute (``HPCSPIKE_WAIT_SECONDS``).
    StoreError
        If the folder of the checkpoints holds those of another training, or another process trains with it now.
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"hpcspike.train takes a problem, not {problem!r:.60}: give what build_problem(load(PATH)) returns, "
            "or use hpcspike.run(load(PATH)), which trains and tests"
        )
    if training is not None:
        instance("training", training, Training, made_by="hpcspike.Training(n_loops=30), or load(PATH).training")
    training = training or problem.training or Training()
    if measures is not None:
        instance("measures", measures, Measures, made_by="the section of an experiment, as in load(PATH).measures")
    measures = measures or problem.measures
    if diverged_drive is None:
        diverged_drive = (problem.measures or Measures()).diverged_drive
    diverged_drive = number("diverged_drive", diverged_drive, above=0.0)
    for name, called in (("on_loop", on_loop), ("on_update", on_update)):
        if called is not None:
            function(name, called)
    if world is not None:
        instance("world", world, World, made_by="give what hpcspike.engine.communication.connect() returns")
    world = world or World()
    agree_on(world, "hpcspike.train", lambda: _shared(problem, training, measures, threads, checkpoints, experiment))
    with world.phases("build"):
        trainer = Trainer(
            problem,
            training,
            threads=threads,
            diverged_drive=diverged_drive,
            measures=measures,
            world=world,
            on_update=on_update,
        )
    return complete(trainer, progress=progress, on_loop=on_loop, checkpoints=checkpoints, experiment=experiment)


def complete(
    trainer: Trainer,
    *,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    checkpoints: Checkpoints | None = None,
    experiment: dict[str, Any] | None = None,
) -> Trained:
    """Train until nothing is left to do; arguments as those of `train`."""
    smoothing_ms = 0.0 if trainer.measures is None else trainer.measures.smoothing_ms
    shown = progress and trainer.world.rank == 0
    with (
        loop_reporter(trainer.n_loops, shown=shown, smoothing_ms=smoothing_ms) as report,
        keeping(trainer, checkpoints, lambda: identify(trainer, experiment)) as manager,
    ):
        while not trainer.finished:
            loop = trainer.cursor.loop
            taken = trainer.advance_far(manager.most_steps(CHUNK_STEPS))
            if trainer.cursor.loop > loop:
                report(loop, trainer.last_row())
                if on_loop is not None:
                    on_loop(loop, trainer.last_row())
            manager.after(taken)
    return as_it_is(trainer)


def as_it_is(trainer: Trainer) -> Trained:
    """The network of a trainer as it is now, whether training is complete or not, with the weights that are kept."""
    problem, simulation, weight = trainer.problem, trainer.simulation, trainer.tests.kept_weight()
    if weight is not simulation.weight:
        simulation = copy_of(simulation, trainer.world)
        simulation.weight[:] = weight
        simulation.set_state(problem.phase, problem.filtered)
    return Trained(
        problem=problem,
        training=trainer.training,
        simulation=simulation,
        rls=trainer.rls,
        curve=trainer.curves(),
        diverged_loop=trainer.diverged_loop,
        world=trainer.world,
        planned_loops=trainer.n_loops if trainer.tests.exhausted else None,
        kept_loops=trainer.tests.kept_loops,
    )


def _shared(
    problem: Problem,
    training: Training,
    measures: Measures | None,
    threads: int,
    checkpoints: Checkpoints | None,
    experiment: dict[str, Any] | None,
) -> dict[str, Any]:
    """What the ranks must have in common although each holds a block of its own."""
    sections = {
        name: getattr(problem, name).model_dump(mode="json")
        for name in ("neuron", "synapse", "protocol", "trial_noise")
    }
    numbers = ("n_neurons", "n_sets", "n_samples", "grid_ms", "stimulus_ms", "seed", "replicate")
    sizes = {name: getattr(problem, name) for name in numbers}
    judged = {} if measures is None else measures.model_dump(mode="json")
    own = {"training": training.model_dump(mode="json"), "measures": judged, "threads": threads}
    settings = {**own, **same_checkpoints(checkpoints)}
    return {"problem": {**sections, **sizes}, **settings, "experiment": experiment or {}}
