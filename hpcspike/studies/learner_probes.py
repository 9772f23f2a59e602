"""Probes of networks on their own, whoever trained them: from a section of a study's file to named arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hpcspike.learners.balance import measure_balance
from hpcspike.learners.cancellation import measure_cancellation
from hpcspike.learners.ebn import EbnLearner
from hpcspike.learners.functions import N_PARTS, episode_errors, regression
from hpcspike.learners.huh import HuhLearner
from hpcspike.learners.interface import Learner
from hpcspike.learners.navigation import N_GOALS, goal_times
from hpcspike.learners.rate_code import poisson_error
from hpcspike.learners.tasks import Tested, assess, robustness
from hpcspike.learners.trials import Phase
from hpcspike.spec import study as sections
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Probe
from hpcspike.studies.probes import Arrays


class Network(NamedTuple):
    """What a probe looks at: a trained learner, its tests, and the experiment it was made from."""

    learner: Learner
    tested: Tested
    experiment: Experiment

    @property
    def balanced(self) -> EbnLearner:
        """The learner as the efficient balanced network that it is."""
        assert isinstance(self.learner, EbnLearner)
        return self.learner


def _damage(network: Network, probe: sections.DamageProbe) -> Arrays:
    learner, experiment = network.learner, network.experiment
    assert experiment.network.n_neurons is not None
    found = robustness(
        learner, learner.task, n_neurons=experiment.network.n_neurons, fractions=tuple(probe.fractions),
        trials=probe.trials, seed=experiment.seed, replicate=experiment.replicate,
    )  # fmt: skip
    return {
        "damage_fraction": (("damage_fraction",), found.fraction),
        "damaged_trial": (("damaged_trial",), np.arange(probe.trials)),
        "damage_score": (("damage_fraction", "damaged_trial"), found.score),
        "deleted_spike_score": (("damaged_trial",), found.deleted),
    }


def _noise(network: Network, probe: sections.NoiseProbe) -> Arrays:
    learner = network.learner
    scores = [assess(learner, learner.task, trials=probe.trials, noise=level).score for level in probe.levels]
    return {
        "noise_level": (("noise_level",), np.array(probe.levels)),
        "noisy_trial": (("noisy_trial",), np.arange(probe.trials)),
        "noise_score": (("noise_level", "noisy_trial"), np.stack(scores)),
    }


def _system(network: Network, probe: sections.SystemProbe) -> Arrays:
    learner = network.balanced
    assert learner.task.teacher is not None
    wanted, found = learner.task.teacher.matrix, learner.decoded_matrix(trials=probe.trials)
    assert wanted is not None
    states = np.arange(len(wanted))
    return {
        "state": (("state",), states),
        "from_state": (("from_state",), states),
        "system_matrix": (("state", "from_state"), wanted),
        "decoded_matrix": (("state", "from_state"), found),
        "matrix_error": ((), np.linalg.norm(found - wanted) / np.linalg.norm(wanted)),
    }


def _episode(network: Network, probe: sections.EpisodeProbe) -> Arrays:
    learner, task = network.learner, network.learner.task
    trials = [task.sample("test", index) for index in range(probe.trials)]
    answers = [learner.rollout(trial.stimulus).prediction for trial in trials]
    baseline = [regression(trial) for trial in trials]
    return {
        "episode_part": (("episode_part",), np.arange(N_PARTS)),
        "episode_error": (("episode_part",), episode_errors(trials, answers)),
        "regression_error": (("episode_part",), episode_errors(trials, baseline)),
    }


def _goals(network: Network, probe: sections.GoalsProbe) -> Arrays:
    return goal_arrays(network.learner, probe, "after")


def goal_arrays(learner: Learner, probe: Probe | None, when: str) -> Arrays:
    """What the probe ``goals`` finds "before" or "after" training; nothing if it is not asked for."""
    if not isinstance(probe, sections.GoalsProbe):
        return {}
    task = learner.task
    assert task.arena is not None
    phases: tuple[Phase, ...] = ("test", "repeat")
    reached = {}
    for phase in phases:
        trials = [task.sample(phase, index) for index in range(probe.trials)]
        found = [task.arena.reached(learner.rollout(one.stimulus).prediction, one.target) for one in trials]
        reached[phase] = np.stack(found)
    # of goals that are easy to find the second time is short whatever a network knows: theirs is the first to compare
    anew = reached["repeat"][reached["test"].any(axis=1)]
    return {
        "goal_number": (("goal_number",), np.arange(1, N_GOALS + 1)),
        f"goal_time_{when}": (("goal_number",), goal_times(reached["test"], grid_ms=task.grid_ms)),
        f"goal_time_anew_{when}": ((), goal_times(anew, grid_ms=task.grid_ms)[0]),
    }


def _cancellation(network: Network, probe: sections.CancellationProbe) -> Arrays:
    assert isinstance(network.learner, HuhLearner)
    found = measure_cancellation(network.learner, trials=probe.trials)
    return {"current_cancellation": ((), found.currents), "weight_cancellation": ((), found.weights)}


def _poisson(network: Network, _: sections.PoissonProbe) -> Arrays:
    learner = network.balanced
    scores = [
        poisson_error(learner, rollout, learner.task.sample("test", index).target)
        for index, rollout in enumerate(network.tested.rollouts)
    ]
    return {"poisson_score": (("test_trial",), np.array(scores))}


def _balance(network: Network, probe: sections.BalanceProbe) -> Arrays:
    return balance_arrays(network.learner, probe, "after")


def balance_arrays(learner: Learner, probe: Probe | None, when: str) -> Arrays:
    """What the probe ``balance`` finds "before" or "after" training; nothing if it is not asked for."""
    if not isinstance(probe, sections.BalanceProbe):
        return {}
    assert isinstance(learner, EbnLearner)
    found, currents = measure_balance(
        learner, learner.task.sample("test", 0).stimulus, trials=probe.trials, noise=probe.noise, bin_ms=probe.bin_ms
    )
    arrays: Arrays = {
        f"ei_correlation_{when}": ((), found.ei_correlation),
        f"cv_isi_{when}": ((), found.cv),
        f"cv2_isi_{when}": ((), found.cv2),
        f"fano_factor_{when}": ((), found.fano),
    }
    if when == "before":
        return arrays
    every = max(1, round(1.0 / learner.step_ms))  # of the trial, samples of about 1 ms
    kept = slice(every - 1, None, every)
    shown = np.unique(np.linspace(0, learner.n_neurons - 1, 2).round().astype(np.int64))
    dims, level = ("current_neuron", "current_time"), learner.threshold[shown, None]
    times = learner.step_ms * np.arange(1, len(currents.excitation) + 1)
    return arrays | {
        "current_neuron": (("current_neuron",), shown),
        "current_time": (("current_time",), times[kept]),
        "excitation": (dims, currents.excitation[kept, shown].T / level),
        "inhibition": (dims, currents.inhibition[kept, shown].T / level),
    }


LEARNER_PROBES: dict[str, Callable[[Network, Any], Arrays]] = {
    "damage": _damage,
    "noise": _noise,
    "episode": _episode,
    "goals": _goals,
    "cancellation": _cancellation,
    "system": _system,
    "poisson": _poisson,
    "balance": _balance,
}
"""Name in the ``probes`` section -> what takes the measure; whom it may be asked of: `hpcspike.studies.feasible`."""
