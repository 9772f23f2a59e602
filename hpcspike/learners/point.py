"""One point of a sweep that another learner than RLS takes: build, fit, judge; numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners import make_learner
from hpcspike.learners.interface import Budget, Learner, Task
from hpcspike.learners.tasks import assess, recall_task
from hpcspike.measures.correlation import centred, pearson
from hpcspike.measures.spectrum import band_powers, spectral_index
from hpcspike.measures.status import classify
from hpcspike.spec.experiment import Experiment, Measures
from hpcspike.spec.identity import canonical
from hpcspike.spec.learners import RlsLearner, UserLearner
from hpcspike.variables import POINT_RESULTS

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints

OnLoop = Callable[[int, dict[str, float]], None]


def learner_of(experiment: Experiment) -> tuple[Learner, Task]:
    """The untrained learner of an experiment and its task."""
    section = experiment.learner
    assert not isinstance(section, RlsLearner)
    task = recall_task(experiment, kind=section.variable, n_readouts=section.n_readouts)
    if isinstance(section, UserLearner):
        learner = make_learner(section.path, {"passes": section.passes, **section.settings})
    else:
        learner = make_learner(section.kind, section)
    assert experiment.network.n_neurons is not None
    learner.build(
        task, n_neurons=experiment.network.n_neurons, seed=experiment.seed, replicate=experiment.replicate
    )  # fmt: skip
    return learner, task


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

    def on_pass(number: int, row: dict[str, float]) -> None:
        if on_loop is not None:
            shown = {"correlation": _curve_score(row), "rate": row.get("rate_hz", math.nan)}
            on_loop(number, {**shown, "weight_change": math.nan, "seconds": row["cpu_seconds"]})

    history = learner.fit(
        Budget(passes=learner.passes()), checkpoints=checkpoints, identity=canonical(experiment), on_pass=on_pass
    )
    scalars: dict[str, float | int] = {
        name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)
    }
    scalars |= {"n_trained": learner.n_trained(), "simulated_seconds": history.total("simulated_seconds")}
    embedding = getattr(learner, "embedding", None)
    if embedding is not None:
        scalars["teacher_fit"] = float(embedding.fit.mean())
    if learner.diverged():
        scalars |= {"diverged_loop": len(history) - 1, "status": _status(scalars, experiment.measures, diverged=True)}
    else:
        scalars |= judge(learner, task, experiment.measures)
        scalars["status"] = _status(scalars, experiment.measures, diverged=False)
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    rows = [{name: history.columns[name][k] for name in history.columns} for k in range(min(len(history), n_loops))]
    curves = {name: np.full(n_loops, np.nan) for name in ("curve_correlation", "curve_rate", "curve_weight_change")}
    curves["curve_correlation"][: len(rows)] = [_curve_score(row) for row in rows]
    curves["curve_rate"][: len(rows)] = [row["rate_hz"] for row in rows]
    return scalars, curves


def judge(learner: Learner, task: Task, measures: Measures) -> dict[str, float | int]:
    """Measures of a recalled trajectory, of the learner on its own, as `hpcspike.measures.evaluate` has them."""
    trials = measures.n_test_trials
    tested = assess(learner, task, trials=trials)
    target = task.sample("test", 0).target.T
    responses = np.stack([rollout.prediction.T for rollout in tested.rollouts])
    correlation = pearson(responses, target).mean(axis=0)
    mean = responses.mean(axis=0)
    spread = math.sqrt(float((centred(target) ** 2).mean())) or math.nan
    options: dict[str, Any] = {"grid_ms": task.grid_ms, "fast_time_ms": measures.fast_time_ms}
    share, wanted = (
        float(fast.sum() / total.sum()) if total.sum() > 0 else math.nan
        for fast, total in (band_powers(responses, **options), band_powers(target, **options))
    )
    variance = float(responses.var(axis=0, ddof=1).mean()) if trials > 1 else math.nan
    return {
        "correlation": float(correlation.mean()),
        "correlation_sd": float(correlation.std()),
        "correlation_trial_mean": float(pearson(mean, target).mean()),
        "population_rate": float(tested.rate_hz.mean()),
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


def _curve_score(row: dict[str, float]) -> float:
    # what a learner did in training, as it says: on its own, or else helped
    alone = row.get("score_alone", math.nan)
    return row.get("score_helped", math.nan) if math.isnan(alone) else alone
