"""One point of a sweep that another learner than RLS takes: build, fit, judge; numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.interface import Budget, History, Learner, OnPass
from hpcspike.learners.tasks import Tested, assess
from hpcspike.learners.trials import Task
from hpcspike.measures.correlation import centred, pearson
from hpcspike.measures.spectrum import fast_share, spectral_index
from hpcspike.measures.status import classify, silent_share
from hpcspike.spec.experiment import Experiment, Measures
from hpcspike.spec.identity import canonical
from hpcspike.variables import POINT_RESULTS

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints

OnLoop = Callable[[int, dict[str, float]], None]


def run_learner_point(
    experiment: Experiment, *, n_ranks: int = 1, on_loop: OnLoop | None = None, checkpoints: Checkpoints | None = None
) -> tuple[dict[str, float | int], dict[str, np.ndarray]]:
    """Scalars and curves by the names of `hpcspike.variables.POINT_RESULTS`.

    What has no meaning for a learner stays empty: the clamped error split, the theory's scales, the weight change. The
    curves hold the first passes, as many as the experiment has loops.
    """
    if n_ranks > 1:
        raise SpecError(f"learner.kind = {experiment.learner.kind} runs on one rank, not on {n_ranks}")
    learner, task = learner_of(experiment)
    history = learner.fit(
        Budget(passes=learner.passes()), checkpoints=checkpoints, identity=canonical(experiment),
        on_pass=report_to(on_loop),
    )  # fmt: skip
    scalars = scalars_of(learner, task, experiment.measures)
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    curves = {f"curve_{name}": np.full(n_loops, np.nan) for name in ("correlation", "rate", "weight_change")}
    for name, column in curves_of(history, task).items():
        curves[f"curve_{name}"][: len(column)] = column[:n_loops]
    return scalars, curves


def scalars_of(
    learner: Learner, task: Task, measures: Measures, *, tested: Tested | None = None
) -> dict[str, float | int]:
    """Scalars of `POINT_RESULTS` of a learner that was trained; ``tested``: its tests, if they were made already."""
    history = learner.history
    scalars: dict[str, float | int] = {
        name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)
    }
    scalars |= {"n_trained": learner.n_trained(), "simulated_seconds": history.total("simulated_seconds")}
    embedding = getattr(learner, "embedding", None)
    if embedding is not None:
        scalars["teacher_fit"] = float(embedding.fit.mean())
    if learner.diverged():
        scalars |= {"diverged_loop": len(history) - 1, "status": _status(scalars, measures, diverged=True)}
        return scalars
    scalars |= judge(task, tested or assess(learner, task, trials=measures.n_test_trials), measures)
    scalars["status"] = _status(scalars, measures, diverged=False)
    return scalars


def scores_of(history: History) -> np.ndarray:
    """(passes,) the task's score in training, as the learner says: on its own, or else helped."""
    return np.where(np.isnan(history["score_alone"]), history["score_helped"], history["score_alone"])


def curves_of(history: History, task: Task) -> dict[str, np.ndarray]:
    """Rate of every pass, and correlation if that is the task's score."""
    rate = {"rate": history["rate_hz"]}
    return {"correlation": scores_of(history), **rate} if task.score == "correlation" else rate


def report_to(on_loop: OnLoop | None) -> OnPass | None:
    """What tells of a pass as of a training loop."""
    if on_loop is None:
        return None

    def on_pass(number: int, row: dict[str, float]) -> None:
        alone = row.get("score_alone", math.nan)
        score = row.get("score_helped", math.nan) if math.isnan(alone) else alone
        shown = {"correlation": score, "rate": row.get("rate_hz", math.nan)}
        on_loop(number, {**shown, "weight_change": math.nan, "seconds": row["cpu_seconds"]})

    return on_pass


def judge(task: Task, tested: Tested, measures: Measures) -> dict[str, float | int]:
    """Measures of tests of a learner on its own, as `hpcspike.measures.evaluate` has them.

    Of a task whose trials differ, only correlation and rate: the others compare answers to one and the same target.
    Where answers are right or wrong, only the rate and the share of silent neurons.
    """
    of_neurons = np.mean([rollout.rates_hz(task.duration_ms) for rollout in tested.rollouts], axis=0)
    rate: dict[str, float | int] = {
        "population_rate": float(tested.rate_hz.mean()), "silent_share": silent_share(of_neurons, measures)
    }  # fmt: skip
    if task.score == "error":
        return rate
    wanted = [task.sample("test", index).target.T for index in range(len(tested.rollouts))]
    responses = np.stack([rollout.prediction.T for rollout in tested.rollouts])
    correlation = pearson(responses, np.stack(wanted)).mean(axis=0)
    found = rate | {"correlation": float(correlation.mean()), "correlation_sd": float(correlation.std())}
    return found if task.n_trials != 1 else found | _against_one(responses, wanted[0], task, measures)


def _against_one(
    responses: np.ndarray, target: np.ndarray, task: Task, measures: Measures
) -> dict[str, float | int]:  # fmt: skip
    mean = responses.mean(axis=0)
    spread = math.sqrt(float((centred(target) ** 2).mean())) or math.nan
    options: dict[str, Any] = {"grid_ms": task.grid_ms, "fast_time_ms": measures.fast_time_ms}
    share, wanted = fast_share(responses, **options), fast_share(target, **options)
    variance = float(responses.var(axis=0, ddof=1).mean()) if len(responses) > 1 else math.nan
    return {
        "correlation_trial_mean": float(pearson(mean, target).mean()),
        "trial_sd": math.sqrt(variance) / spread,
        "residual_after_averaging": math.sqrt(float(((mean - target) ** 2).mean())) / spread,
        "fast_share_response": share,
        "fast_share_target": wanted,
        "spectral_index": spectral_index(share, wanted),
    }


def _status(scalars: dict[str, float | int], measures: Measures, *, diverged: bool) -> int:
    return classify(
        correlation=scalars["correlation"], population_rate_hz=scalars["population_rate"],
        spectral_index=scalars["spectral_index"], diverged=diverged, measures=measures,
    )  # fmt: skip
