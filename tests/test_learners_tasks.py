"""Tasks of the learners: keyed samplers, the systems they integrate, scores, and damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import SpecError
from hpcspike.learners import tasks
from hpcspike.learners.interface import Rollout
from hpcspike.learners.trials import Task, Trial
from hpcspike.model.targets import build_targets
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_experiment

DRIVEN = [tasks.oscillator_task, tasks.pushed_oscillator_task, tasks.bistable_task, tasks.pendulum_task]


def _experiment(**changes: Any) -> Experiment:
    return validate_experiment(
        {
            "network": {"n_neurons": 12}, "targets": {"kind": "ou", "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0}, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize("make", DRIVEN)
def test_trials_are_keyed_by_phase_number_and_seed(make: Callable[..., Task]) -> None:
    task = make(duration_ms=300.0, seed=5)
    later = task.sample("test", 3)
    task.sample("test", 1)
    again = make(duration_ms=300.0, seed=5).sample("test", 3)
    assert np.array_equal(later.target, again.target)
    assert np.array_equal(later.stimulus.input, again.stimulus.input)
    for other in (task.sample("test", 2), task.sample("train", 3), make(duration_ms=300.0, seed=6).sample("test", 3)):
        assert not np.array_equal(later.stimulus.input, other.stimulus.input)


@pytest.mark.parametrize("make", DRIVEN)
def test_targets_solve_the_equation_of_their_system(make: Callable[..., Task]) -> None:
    task = make(duration_ms=400.0)
    trial = task.sample("train", 0)
    assert task.teacher is not None
    x, c, h = trial.target, trial.stimulus.input, task.grid_ms / 1000.0
    middle = 0.5 * (x[1:] + x[:-1])
    left = (x[1:] - x[:-1]) / h - c[1:]
    right = np.array([task.teacher.velocity(state) for state in middle])
    np.testing.assert_allclose(left, right, atol=2e-3 * np.abs(left).max())


def test_the_pushed_oscillator_can_be_scored_where_it_is_free() -> None:
    trial = tasks.pushed_oscillator_task(free_ms=100.0).sample("test", 0)
    last = np.flatnonzero(trial.stimulus.input.any(axis=1)).max()
    assert not trial.scored[: last + 101].any()
    assert trial.scored[last + 101 :].all()


def test_states_keep_within_their_bounds() -> None:
    pendulum = tasks.pendulum_task(duration_ms=500.0)
    for index in range(3):
        assert 0.3 <= np.abs(pendulum.sample("test", index).target).max() <= 1.6


def test_smooth_noise_starts_at_rest_and_settles_at_unit_deviation() -> None:
    noise = tasks.smooth_noise(np.random.default_rng(0), 40000, 0.001, 20, tau_s=0.02)
    assert np.abs(noise[0]).max() < 0.05
    assert noise[1000:].std() == pytest.approx(1.0, rel=0.05)


def test_recall_asks_for_the_targets_of_the_experiment() -> None:
    experiment = _experiment()
    task = tasks.recall_task(experiment)
    wanted = build_targets(experiment, range(12), n_neurons=12, duration_ms=100.0)[0]
    trial = task.sample("test", 0)
    assert np.array_equal(trial.target, wanted.T)
    assert trial.stimulus.cue.shape == (20, 1)
    assert not trial.stimulus.input.any()
    few = tasks.recall_task(experiment, kind="readout", n_readouts=4)
    assert np.array_equal(few.sample("test", 0).target, wanted[:4].T)
    assert few.background is not None
    others = few.background(12)
    assert others.shape == (100, 8)
    assert not np.allclose(others.T, wanted[4:])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"targets": {"kind": "ou", "n_sets": 2}}, {}, "targets.n_sets = 2"),
        ({}, {"kind": "system"}, "must be drive, rate or readout"),
        ({}, {"kind": "readout", "n_readouts": 13}, "learner.n_readouts = 13"),
    ],
)
def test_what_cannot_be_recalled_is_refused(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        tasks.recall_task(_experiment(**changes), **options)


def test_scores_are_what_they_say() -> None:
    task = tasks.oscillator_task(duration_ms=100.0)
    trial = task.sample("test", 0)
    assert tasks.score(task, trial, trial.target) == 0.0
    assert tasks.score(task, trial, np.zeros_like(trial.target)) == pytest.approx(1.0)
    correlated = replace(task, score="correlation")
    assert tasks.score(correlated, trial, 2.0 * trial.target + 1.0) == pytest.approx(1.0)
    assert tasks.score(correlated, trial, -trial.target) == pytest.approx(-1.0)


def test_errors_count_stretches_of_scored_samples() -> None:
    task = replace(tasks.oscillator_task(duration_ms=100.0), score="error")
    scored = np.zeros(100, dtype=bool)
    scored[10:20] = scored[40:60] = scored[90:] = True
    target = np.tile([1.0, 0.0], (100, 1))
    answer = target.copy()
    answer[45:60] = [0.0, 1.0]
    answer[20:40] = [0.0, 1.0]  # nobody asks here
    trial = Trial(task.sample("test", 0).stimulus, target, scored)
    assert tasks.score(task, trial, answer) == pytest.approx(1 / 3)
    assert np.isnan(tasks.score(task, replace(trial, scored=np.zeros(100, dtype=bool)), answer))


class _Noted:
    """Stands for a learner: notes how it was asked, and answers with a share of neurons that are left."""

    def __init__(self, task: Task, n: int, counts: tuple[int, ...] = (7, 7)) -> None:
        self.task, self.n, self.counts, self.asked = task, n, counts, []

    def rollout(self, stimulus: Any, *, kill: Any = None, noise: float = 0.0, delete_spike: Any = None) -> Rollout:
        self.asked.append((None if kill is None else kill.copy(), delete_spike))
        gain = 1.0 if kill is None else 1.0 - kill.mean()
        target = self.task.sample("test", stimulus.index).target
        count = self.counts[stimulus.index]
        return Rollout(gain * target, np.arange(1.0, 1.0 + count), np.zeros(count, dtype=np.int32), self.n)


def test_damage_removes_larger_sets_that_hold_the_smaller_ones_and_then_one_spike() -> None:
    task = tasks.oscillator_task(duration_ms=50.0)
    learner = _Noted(task, 40)
    found = tasks.robustness(learner, task, n_neurons=40, fractions=(0.0, 0.1, 0.4), trials=2)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.score, np.array([[0.0] * 2, [0.01] * 2, [0.16] * 2]), atol=1e-12)
    assert found.deleted.tolist() == [0.0, 0.0]
    killed = [kill for kill, _ in learner.asked if kill is not None]
    assert [int(kill.sum()) for kill in killed] == [0, 0, 4, 4, 16, 16]
    assert not (killed[2] & ~killed[4]).any()
    assert [which for _, which in learner.asked[-2:]] == [3, 3]


def test_trials_with_fewer_spikes_lose_their_last_and_silent_ones_none() -> None:
    task = tasks.oscillator_task(duration_ms=50.0)
    learner = _Noted(task, 40, counts=(7, 2, 0))
    tasks.robustness(learner, task, n_neurons=40, fractions=(0.0,), trials=3)  # type: ignore[arg-type]
    assert [which for _, which in learner.asked[-3:]] == [3, 1, None]


@pytest.mark.parametrize(
    ("task", "state", "velocity"),
    [
        (tasks.oscillator_task(), [1.0, 2.0], [-26.0, 8.0]),
        (tasks.pushed_oscillator_task(), [1.0, 2.0], [-51.0, 3.0]),
        (tasks.bistable_task(), [0.25], [0.75]),
        (tasks.pendulum_task(), [np.pi / 6, 0.4], [2.0, -3.3]),
    ],
)
def test_systems_move_as_their_equations_say(task: Task, state: list[float], velocity: list[float]) -> None:
    assert task.teacher is not None
    np.testing.assert_allclose(task.teacher.velocity(np.array(state)), velocity)
