"""One point of a sweep: build, train, judge; numbers out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.engine.distribute import build_block
from hpcspike.engine.stopping import Interrupts
from hpcspike.engine.trained import Trained
from hpcspike.engine.training import OnLoop, train
from hpcspike.measures.evaluate import Evaluation, evaluate
from hpcspike.model.facts import refuse_other_learners
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.identity import canonical


@dataclass(frozen=True)
class PointResult:
    """Scalars and learning curves by the names of `hpcspike.variables.POINT_RESULTS`."""

    scalars: dict[str, float | int]
    curves: dict[str, np.ndarray]


def train_and_judge(
    experiment: Experiment,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Trained, Evaluation]:
    """Build, train and test the network of an experiment, together with the other ranks if there are any.

    ``checkpoints`` are left where they are; remove them with `hpcspike.engine.checkpoint.discard` when the results are
    safe.

    Raises
    ------
    SpecError
        If the experiment names another learner than rls: its network has no drives and weights of this kind.
    """
    refuse_other_learners(experiment)
    world = world or World()
    with world.phases("build"):
        problem = build_block(experiment, world)
    named = None if checkpoints is None else world.agree(lambda: canonical(experiment))
    trained = train(
        problem, experiment.training, threads=threads, progress=progress, on_loop=on_loop,
        diverged_drive=experiment.measures.diverged_drive, world=world, checkpoints=checkpoints, experiment=named,
    )  # fmt: skip
    tau_corr_ms = getattr(experiment.targets, "tau_corr_ms", math.nan)
    with world.phases("measure"), Interrupts():
        evaluation = evaluate(trained, experiment.measures, tau_corr_ms=tau_corr_ms)
    return trained, evaluation


def run_point(
    experiment: Experiment,
    *,
    threads: int = 1,
    on_loop: OnLoop | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
) -> PointResult:
    """Train and judge one network; a network that diverges is a result, not an error. See `train_and_judge`.

    An experiment whose ``learner`` is not rls is handed to `hpcspike.learners`.
    """
    if experiment.learner.kind != "rls":
        from hpcspike.learners.point import run_learner_point

        n_ranks = 1 if world is None else world.size
        scalars, learned = run_learner_point(experiment, n_ranks=n_ranks, on_loop=on_loop, checkpoints=checkpoints)
        return PointResult(scalars, learned)
    trained, evaluation = train_and_judge(
        experiment, threads=threads, on_loop=on_loop, world=world, checkpoints=checkpoints
    )
    curves = {f"curve_{name}": trained.curve[name] for name in ("correlation", "rate", "weight_change")}
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    padded = {name: np.pad(curve, (0, n_loops - len(curve)), constant_values=np.nan) for name, curve in curves.items()}
    return PointResult(evaluation.scalars, padded)
