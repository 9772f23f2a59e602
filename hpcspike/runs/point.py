"""The one road from an experiment to a judged network: learner, fit, evaluation; numbers of a point of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.engine.stopping import Interrupts
from hpcspike.engine.training import OnLoop
from hpcspike.identity import canonical
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.interface import Learner
from hpcspike.measures.evaluation import Evaluation
from hpcspike.runs.scores import evaluate_learner
from hpcspike.spec.experiment import Experiment
from hpcspike.variables import BINNED_RESULTS

POINT_CURVES = ("correlation", "rate", "weight_change")
"""Columns of the learning curve that a sweep keeps."""

TESTED_CURVES = ("test_correlation",)
"""Columns that it keeps too where there were tests in training."""


@dataclass(frozen=True)
class PointResult:
    """Scalars and learning curves by the names of `hpcspike.variables.POINT_RESULTS`, and of TESTED_RESULTS there."""

    scalars: dict[str, float | int]
    curves: dict[str, np.ndarray]


def fit_and_evaluate(
    experiment: Experiment,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Learner, Evaluation]:
    """Build, train and test the network of an experiment, together with the other ranks if there are any.

    ``checkpoints`` are left where they are; remove them with `hpcspike.engine.checkpoint.discard` when the results are
    safe.

    Raises
    ------
    SpecError
        If the learner trains on one rank only and there are more, or cannot express the targets.
    """
    world = world or World()
    with world.phases("build"):
        learner = learner_of(experiment, threads=threads, world=world)
    identity = None if checkpoints is None else world.agree(lambda: canonical(experiment))
    learner.train(progress=progress, on_loop=on_loop, checkpoints=checkpoints, identity=identity)
    with world.phases("measure"), Interrupts():
        evaluation = evaluate_learner(learner, experiment)
    return learner, evaluation


def run_point(
    experiment: Experiment,
    *,
    threads: int = 1,
    on_loop: OnLoop | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
) -> PointResult:
    """Train and judge one network; a network that diverges is a result, not an error. See `fit_and_evaluate`.

    Curves have as many entries as the experiment has loops, whatever a pass of its learner is: NaN where there are
    fewer, cut where there are more.
    """
    learner, evaluation = fit_and_evaluate(
        experiment, threads=threads, on_loop=on_loop, world=world, checkpoints=checkpoints
    )
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    found = learner.curve()
    kept = [*POINT_CURVES, *(name for name in TESTED_CURVES if name in found)]
    curves = {f"curve_{name}": np.full(n_loops, np.nan) for name in kept}
    for name in kept:
        column = found.get(name, np.empty(0))[:n_loops]
        curves[f"curve_{name}"][: len(column)] = column
    scalars = {name: value for name, value in evaluation.scalars.items() if name not in BINNED_RESULTS}
    return PointResult(scalars, curves)
