"""Networks of a study on their own: scores before and after training, probes, and what figures show of rollouts."""

from __future__ import annotations

import numpy as np

from hpcspike.learners.interface import Learner, Rollout
from hpcspike.learners.tasks import Tested
from hpcspike.learners.trials import Task
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Probe, Shown
from hpcspike.studies.learner_probes import LEARNER_PROBES, Network
from hpcspike.studies.probes import Arrays


def is_scored(learner: Learner, asked: dict[str, Probe]) -> bool:
    """Whether tests of the network on its own are kept: where rls did not train it, or where a probe needs them."""
    return learner.trained is None or bool(LEARNER_PROBES.keys() & asked.keys())


def score_arrays(
    learner: Learner, untrained: Tested, tested: Tested | None, asked: dict[str, Probe], experiment: Experiment
) -> Arrays:
    """The score of every pass, those of tests before and after training, and what probes of learners find.

    tested: None if training diverged.
    """
    history, task = learner.history, learner.task
    arrays: Arrays = {
        "window_ms": ((), task.duration_ms),
        "cpu_seconds": ((), history.total("cpu_seconds")),
        "loop": (("loop",), np.arange(1, len(history) + 1)),
        "test_trial": (("test_trial",), np.arange(len(untrained.score))),
        "untrained_score": (("test_trial",), untrained.score),
    }
    for name, column in Learner.curve(learner).items():
        if name != "seconds":
            arrays[f"curve_{name}"] = (("loop",), column)
    if tested is not None:
        arrays["test_score"] = (("test_trial",), tested.score)
        network = Network(learner, tested, experiment)
        for name, measured in LEARNER_PROBES.items():
            if name in asked:
                arrays |= measured(network, asked[name])
    return {name.replace("score", _WORDS[task.score]): array for name, array in arrays.items()}


_WORDS = {"correlation": "score", "nmse": "score", "error": "wrong", "goals": "goals"}
"""Names of scores: shares of wrong answers and goals per second are neither errors nor correlations."""


def shown_rollouts(task: Task, untrained: Tested, tested: Tested | None, shown: Shown) -> Arrays:
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
