"""One network of a study behind the interface of all learners: fit, judge on its own, damage, keep for figures."""

from __future__ import annotations

import numpy as np

from hpcspike.engine.training import OnLoop
from hpcspike.errors import SpecError
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.interface import Learner, Rollout
from hpcspike.learners.passes import Budget
from hpcspike.learners.point import curves_of, report_to, scalars_of, scores_of
from hpcspike.learners.tasks import Tested, assess, robustness
from hpcspike.learners.trials import Task
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.learners import AlemiLearner, BourdoukanLearner, RlsLearner
from hpcspike.spec.study import DamageProbe, Probe, Shown, Study, StudyRun
from hpcspike.spec.targets import ANSWERED, DrivenTargets
from hpcspike.studies.probes import Arrays


def goes_through_interface(study: Study, run: StudyRun, experiment: Experiment) -> bool:
    """Whether a network is trained and judged as learners are: if rls does not train it, or damage is asked for."""
    return experiment.learner.kind != "rls" or "damage" in study.probes.of(run.variant)


def carrier_of(experiment: Experiment) -> str:
    """What carries the targets: drive, rate, readout, or the state of a driven system."""
    if isinstance(experiment.targets, DrivenTargets):
        return "state"
    section = experiment.learner
    if isinstance(section, RlsLearner):
        return experiment.training.variable
    # of an efficient balanced network drives too are readouts of its decoded state
    return "readout" if isinstance(section, AlemiLearner | BourdoukanLearner) else section.variable


def learned_arrays(study: Study, run: StudyRun, experiment: Experiment, *, on_loop: OnLoop | None = None) -> Arrays:
    """Train one network of a study by its learner; see `hpcspike.studies.run.run_of_study`.

    Returns
    -------
    Arrays
        Scalars of `POINT_RESULTS`, the score of every pass, those of tests before and after training, what damage does,
        and, for the first replicate, time courses of tests.

    Raises
    ------
    SpecError
        If another probe than ``damage`` is asked for: the others look into networks that rls trained; or if that is
        asked of a task whose answers are right or wrong.
    """
    asked = study.probes.of(run.variant)
    _refuse_probes(asked, run, experiment)
    learner, task = learner_of(experiment)
    trials = experiment.measures.n_test_trials
    untrained = assess(learner, task, trials=trials)
    history = learner.fit(Budget(passes=learner.passes()), on_pass=report_to(on_loop))
    tested = None if learner.diverged() else assess(learner, task, trials=trials)
    scalars = scalars_of(learner, task, experiment.measures, tested=tested)
    arrays: Arrays = {name: ((), value) for name, value in scalars.items()}
    arrays |= {
        "window_ms": ((), task.duration_ms),
        "cpu_seconds": ((), history.total("cpu_seconds")),
        "loop": (("loop",), np.arange(1, len(history) + 1)),
        "curve_score": (("loop",), scores_of(history)),
        "test_trial": (("test_trial",), np.arange(trials)),
        "untrained_score": (("test_trial",), untrained.score),
    }
    arrays |= {f"curve_{name}": (("loop",), column) for name, column in curves_of(history, task).items()}
    if tested is not None:
        arrays["test_score"] = (("test_trial",), tested.score)
        damage = asked.get("damage")
        if isinstance(damage, DamageProbe):
            arrays |= _damaged(learner, task, damage, experiment)
    if task.score == "error":
        return _wrong_answers(arrays)
    if run.replicate == 0:
        arrays |= _shown(task, untrained, tested, study.shown)
    return arrays


def _wrong_answers(arrays: Arrays) -> Arrays:
    """Scores that are shares of wrong answers under names of their own: they are neither errors nor correlations."""
    return {name.replace("score", "wrong"): array for name, array in arrays.items()}


def _refuse_probes(asked: dict[str, Probe], run: StudyRun, experiment: Experiment) -> None:
    others = [name for name in asked if name != "damage"]
    if others:
        raise SpecError(
            f"probes.{others[0]} is for networks that rls trains and probes.damage does not look at; name the variants "
            f"it is for, without {run.variant!r}"
        )
    if asked and isinstance(experiment.targets, ANSWERED):
        raise SpecError(
            f"probes.damage measures correlations and squared errors, but answers of {run.variant!r} are right or "
            "wrong; name the variants it is for, without this one"
        )


def _damaged(learner: Learner, task: Task, probe: DamageProbe, experiment: Experiment) -> Arrays:
    assert experiment.network.n_neurons is not None
    found = robustness(
        learner, task, n_neurons=experiment.network.n_neurons, fractions=tuple(probe.fractions), trials=probe.trials,
        seed=experiment.seed, replicate=experiment.replicate,
    )  # fmt: skip
    return {
        "damage_fraction": (("damage_fraction",), found.fraction),
        "damaged_trial": (("damaged_trial",), np.arange(probe.trials)),
        "damage_score": (("damage_fraction", "damaged_trial"), found.score),
        "deleted_spike_score": (("damaged_trial",), found.deleted),
    }


def _shown(task: Task, untrained: Tested, tested: Tested | None, shown: Shown) -> Arrays:
    """Time courses of tests: several trials of one trajectory, or the first where every trial has its own."""
    trials = min(shown.trials if task.n_trials == 1 else 1, len(untrained.rollouts))
    examples = evenly_spread(task.n_outputs, shown.neurons)
    target = task.sample("test", 0).target.T
    time = task.grid_ms * np.arange(1, task.n_samples + 1)
    networks = {"after": tested, "before": untrained if shown.before else None}
    arrays: Arrays = {
        "example": (("example",), examples),
        "target_set": (("target_set",), np.arange(1)),
        "trial": (("trial",), np.arange(trials)),
        "target_time": (("target_time",), time),
        "target": (("target_set", "example", "target_time"), target[None, examples]),
        "time": (("time",), time),
    }
    rastered = evenly_spread(untrained.rollouts[0].n_neurons, shown.raster_neurons)
    table = []
    for state, (when, found) in enumerate(networks.items()):
        if found is None:
            continue
        rollouts = found.rollouts[:trials]
        response = np.stack([rollout.prediction.T[examples] for rollout in rollouts])
        arrays[f"response_{when}"] = (("target_set", "trial", "example", "time"), response[None])
        table += [_spikes(rollout, rastered, state, trial) for trial, rollout in enumerate(rollouts)]
    spikes = np.concatenate(table) if table else np.zeros((0, 5))
    arrays["raster_neuron"] = (("raster_neuron",), rastered)
    for column, name in enumerate(("time", "neuron", "state", "set", "trial")):
        arrays[f"spike_{name}"] = (("spike",), spikes[:, column])
    return arrays


def _spikes(rollout: Rollout, rastered: np.ndarray, state: int, trial: int) -> np.ndarray:
    kept = np.isin(rollout.spike_neuron, rastered)
    time, neuron = rollout.spike_time_ms[kept], rollout.spike_neuron[kept]
    labels = np.broadcast_to([state, 0, trial], (len(time), 3))
    return np.column_stack([time, neuron, labels])


def evenly_spread(among: int, count: int) -> np.ndarray:
    """Evenly spread numbers below ``among``, (at most count,)."""
    return np.unique(np.linspace(0, among - 1, min(count, among)).round().astype(np.int64))
