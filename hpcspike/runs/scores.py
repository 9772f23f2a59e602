"""Measures of a trained network by the names of sweeps, whichever learner trained it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hpcspike.correlation import centred, pearson
from hpcspike.learners.interface import Learner
from hpcspike.learners.tasks import Tested, assess
from hpcspike.learners.trials import Task, carrier_dimension
from hpcspike.measures.evaluation import Evaluation, evaluate
from hpcspike.measures.spectrum import fast_share, spectral_index
from hpcspike.measures.status import classify, silent_share
from hpcspike.measures.verdict import count_constant, remark_on_constant
from hpcspike.spec.experiment import Experiment, Measures
from hpcspike.variables import POINT_RESULTS


def evaluate_learner(learner: Learner, experiment: Experiment, *, tested: Tested | None = None) -> Evaluation:
    """Test a trained network and judge it.

    What has no meaning for a learner stays empty: the clamped error split, the theory's scales, the weight change.
    ``tested``: tests of a network that rls did not train, if they were made already.
    """
    measures = experiment.measures
    if learner.trained is not None:
        return evaluate(learner.trained, measures, tau_corr_ms=getattr(experiment.targets, "tau_corr_ms", math.nan))
    history, task = learner.history, learner.task
    n_neurons = experiment.network.n_neurons
    assert n_neurons is not None
    n_outputs = None if carrier_dimension(task, n_neurons) == "neuron" else task.n_outputs
    scalars: dict[str, float | int] = {
        name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)
    }
    scalars |= {"n_trained": learner.n_trained(), "simulated_seconds": history.total("simulated_seconds")}
    embedding = getattr(learner, "embedding", None)
    if embedding is not None:
        scalars["teacher_fit"] = float(embedding.fit.mean())
    correlation = np.full((1, task.n_outputs), np.nan)
    if learner.diverged():
        scalars |= {"diverged_loop": len(history) - 1, "status": _status(scalars, measures, diverged=True)}
        return Evaluation(scalars, correlation, n_neurons, measures, n_outputs=n_outputs)
    found, per_output = measures_of_tests(
        task, tested or assess(learner, task, trials=measures.n_test_trials), measures
    )
    scalars |= found
    scalars["status"] = _status(scalars, measures, diverged=False)
    correlation = correlation if per_output is None else per_output[None]
    said = []
    if task.followed:
        courses = _courses(task, task.n_trials or measures.n_test_trials)
        said = remark_on_constant(*count_constant(np.array(courses)))
    return Evaluation(scalars, correlation, n_neurons, measures, n_outputs=n_outputs, remarks=said)


def measures_of_tests(
    task: Task, tested: Tested, measures: Measures
) -> tuple[dict[str, float | int], np.ndarray | None]:  # fmt: skip
    """Measures of tests of a learner on its own, as `hpcspike.measures.evaluation` has them, and (d,) correlations.

    Of a task whose trials differ, only correlation and rate: the others compare answers to one and the same target.
    Where no course is to be followed, only the rate and the share of silent neurons.
    """
    of_neurons = np.mean([rollout.rates_hz(task.duration_ms) for rollout in tested.rollouts], axis=0)
    rate: dict[str, float | int] = {
        "population_rate": float(tested.rate_hz.mean()), "silent_share": silent_share(of_neurons, measures)
    }  # fmt: skip
    if not task.followed:
        return rate, None
    wanted = _courses(task, len(tested.rollouts))
    responses = np.stack([rollout.prediction.T for rollout in tested.rollouts])
    correlation = pearson(responses, np.stack(wanted)).mean(axis=0)
    found = rate | {"correlation": float(correlation.mean()), "correlation_sd": float(correlation.std())}
    if task.n_trials == 1:
        found |= _against_one(responses, wanted[0], task, measures)
    return found, correlation


def _courses(task: Task, trials: int) -> list[np.ndarray]:
    """The targets (d, samples) of the first test trials."""
    return [task.sample("test", index).target.T for index in range(trials)]


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
