"""From an experiment to an untrained learner and its task."""

from __future__ import annotations

import math
from collections.abc import Callable

from hpcspike.engine.communication import World
from hpcspike.errors import SpecError
from hpcspike.learners import make_learner
from hpcspike.learners.functions import learn_functions
from hpcspike.learners.gradient_tasks import autoencoder, delayed_xor, store_recall
from hpcspike.learners.interface import Learner
from hpcspike.learners.linear_systems import linear_task
from hpcspike.learners.navigation import Arena, navigation
from hpcspike.learners.sequential_digits import read_digits, sequential_digits
from hpcspike.learners.tasks import (
    bistable_task,
    oscillator_task,
    pendulum_task,
    pushed_oscillator_task,
    recall_task,
)
from hpcspike.learners.trials import Task
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.learners import AlemiLearner, BourdoukanLearner, RlsLearner, UserLearner
from hpcspike.spec.targets import DelayedXorTargets, DrivenTargets, StoreRecallTargets
from hpcspike.spec.task_targets import (
    AutoencoderTargets,
    DigitsTargets,
    FunctionsTargets,
    InputTargets,
    NavigationTargets,
)

SYSTEMS: dict[str, Callable[..., Task]] = {
    "oscillator": oscillator_task,
    "pushed_oscillator": pushed_oscillator_task,
    "bistable": bistable_task,
    "pendulum": pendulum_task,
}
"""targets.system -> what makes the task, but for ``linear``, which has keys of its own."""


def task_of(experiment: Experiment) -> Task:
    """What an experiment wants: the state of a driven system, an answer to an input, or recall of its targets."""
    targets, section = experiment.targets, experiment.learner
    if isinstance(targets, DrivenTargets) and targets.system == "linear":
        return linear_task(targets, seed=experiment.seed, replicate=experiment.replicate)
    if isinstance(targets, DrivenTargets):
        options = {} if targets.free_ms is None else {"free_ms": targets.free_ms}
        return SYSTEMS[targets.system](
            duration_ms=targets.duration_ms, seed=experiment.seed, replicate=experiment.replicate, **options
        )
    if isinstance(targets, StoreRecallTargets):
        slots = round(targets.duration_ms / targets.slot_ms)
        return store_recall(
            seed=experiment.seed, replicate=experiment.replicate, n_slots=slots, slot_ms=targets.slot_ms
        )  # fmt: skip
    if isinstance(targets, DelayedXorTargets):
        return delayed_xor(
            seed=experiment.seed, replicate=experiment.replicate, duration_ms=round(targets.duration_ms),
            longest_delay_ms=targets.longest_delay_ms, null_share=targets.null_share, grid_ms=targets.grid_ms,
            curriculum_trials=targets.curriculum_trials,
        )  # fmt: skip
    if isinstance(targets, InputTargets):
        return _given_input(targets, experiment)
    if isinstance(section, RlsLearner):
        return recall_task(experiment, kind=experiment.training.variable)
    return recall_task(experiment, kind=section.variable, n_readouts=section.n_readouts)


def _given_input(targets: InputTargets, experiment: Experiment) -> Task:
    """The tasks of `hpcspike.spec.task_targets`."""
    key = {"seed": experiment.seed, "replicate": experiment.replicate}
    if isinstance(targets, DigitsTargets):
        digits = read_digits(targets.path, targets.rows)
        return sequential_digits(digits, n_levels=targets.n_levels, ms_per_pixel=targets.ms_per_pixel, **key)
    if isinstance(targets, AutoencoderTargets):
        return autoencoder(
            duration_ms=targets.duration_ms, period_ms=targets.period_ms, n_harmonics=targets.n_harmonics,
            n_channels=targets.n_channels, tau_ms=targets.tau_ms, amplitude=targets.amplitude, **key,
        )  # fmt: skip
    if isinstance(targets, NavigationTargets):
        return _navigation(targets, **key)
    assert isinstance(targets, FunctionsTargets)
    return learn_functions(
        n_examples=targets.n_examples, example_ms=targets.example_ms, n_hidden=targets.n_hidden, **key
    )


def _navigation(targets: NavigationTargets, **key: int) -> Task:
    assert targets.duration_ms is not None
    discount = math.exp(-targets.grid_ms / targets.horizon_ms)
    arena = Arena(targets.radius, targets.stride, targets.n_fields, discount)
    n_samples = round(targets.duration_ms / targets.grid_ms)
    return navigation(arena, n_samples=n_samples, grid_ms=targets.grid_ms, n_places=targets.n_places, **key)


def learner_of(experiment: Experiment, *, threads: int = 1, world: World | None = None) -> Learner:
    """The untrained learner of an experiment.

    threads, world
        Threads over neurons and the ranks that train together, for learner rls; the others run on one rank.

    Raises
    ------
    SpecError
        If the learner runs on one rank and there are more, or if it cannot express the targets.
    """
    section, world = experiment.learner, world or World()
    if isinstance(section, RlsLearner):
        from hpcspike.learners.rls import RlsLearner as TrainsByRls

        return TrainsByRls.of(experiment, threads=threads, world=world)
    if world.size > 1:
        raise SpecError(f"learner.kind = {section.kind} runs on one rank, not on {world.size}")
    if isinstance(section, UserLearner):
        learner = make_learner(section.path, {"passes": section.passes, **section.settings})
    else:
        learner = make_learner(section.kind, section)
    assert experiment.network.n_neurons is not None
    task = task_of(experiment)
    learner.build(
        task, n_neurons=experiment.network.n_neurons, seed=experiment.seed, replicate=experiment.replicate
    )  # fmt: skip
    learner.task = task
    return learner


def carrier_of(experiment: Experiment) -> str:
    """What carries the targets: drive, rate, readout, or the state of a driven system."""
    if isinstance(experiment.targets, DrivenTargets):
        return "state"
    section = experiment.learner
    if isinstance(section, RlsLearner):
        return experiment.training.variable
    # of an efficient balanced network drives too are readouts of its decoded state
    return "readout" if isinstance(section, AlemiLearner | BourdoukanLearner) else section.variable
