"""Navigation: the arena, what a network may know of the goal, the policy gradient, and the study to its figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from hpcspike.errors import SpecError
from hpcspike.figures.study_available import figures_of_study
from hpcspike.learners.assignment import learner_of, task_of
from hpcspike.learners.interface import Learner
from hpcspike.learners.navigation import goal_times
from hpcspike.learners.tasks import score
from hpcspike.learners.trials import Stimulus
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load, validate_experiment
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.run import run_of_study

CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config" / "headlines_navigation.yaml"


def experiment(learner: dict[str, Any] | None = None, **targets: Any) -> Experiment:
    section = {
        "kind": "lsnn", "passes": 2, "steps_per_pass": 2, "batch": 4, "step_ms": 5.0, "input_gain": 0.1,
        **(learner or {}),
    }  # fmt: skip
    return validate_experiment(
        {
            "seed": 3, "network": {"n_neurons": 10}, "stimulus": {"duration_ms": 0.0}, "learner": section,
            "targets": {"kind": "navigation", "duration_ms": 100.0, "n_fields": 3, **targets},
        }
    )  # fmt: skip


def built(learner: dict[str, Any] | None = None, **targets: Any) -> Learner:
    pytest.importorskip("jax", reason="needs the extra gradient")
    pytest.importorskip("optax", reason="needs the extra gradient")
    return learner_of(experiment(learner, **targets))


@pytest.fixture(scope="module")
def mover() -> Learner:
    return built(radius=0.3)


def test_a_goal_stays_within_a_trial_and_no_place_is_near_it() -> None:
    task = task_of(experiment())
    trials = [task.sample("test", index) for index in range(50)]
    goals = np.stack([trial.target[0] for trial in trials])
    for trial in trials:
        assert (trial.target == trial.target[0]).all()
        assert np.linalg.norm(trial.stimulus.input[:, 2:] - trial.target, axis=1).min() > 0.15
    assert goals.min() < 0.1
    assert goals.max() > 0.9
    assert len(np.unique(goals[:, 0])) == 50
    again = task.sample("repeat", 7)
    np.testing.assert_array_equal(again.target, trials[7].target)
    assert not np.isin(again.stimulus.input[:, 2:], trials[7].stimulus.input[:, 2:]).any()
    places = np.stack([task_of(experiment(n_places=4)).sample("test", k).target[0] for k in range(50)])
    assert len(np.unique(places.round(6), axis=0)) == 4


def test_times_count_what_the_end_of_a_trial_cuts_off() -> None:
    reached = np.zeros((2, 10), dtype=bool)
    reached[0, [3, 5]] = True  # 3 samples to the first, set out in sample 4, 1 to the second; then 3 without the third
    reached[1, 8] = True  # 8 samples, set out in sample 9, the last
    found = goal_times(reached, grid_ms=2.0)
    np.testing.assert_array_equal(found[:2], [2.0 * (3 + 8) / 2, 2.0 * 1])
    assert np.isinf(found[2])
    assert np.isnan(found[3:]).all()


def test_the_score_is_goals_per_second() -> None:
    task = task_of(experiment())
    trial = task.sample("test", 0)
    path = trial.target + 1.0
    path[[2, 7]] = trial.target[0] + 0.1
    assert score(task, trial, path) == pytest.approx(2 / 0.1)


def test_a_network_learns_of_the_goal_by_reaching_it_alone(mover: Learner) -> None:
    trial = mover.task.sample("test", 1)
    whole = mover.rollout(trial.stimulus).prediction
    given = trial.stimulus.input.copy()
    given[:, :2] = 1.0 - given[:, :2]
    other = mover.rollout(Stimulus(1, trial.stimulus.cue, given)).prediction
    arena = mover.task.arena
    assert arena is not None
    met = np.flatnonzero(arena.reached(whole, trial.target) | arena.reached(other, given[:, :2]))
    assert len(met)
    np.testing.assert_array_equal(whole[: met[0] + 1], other[: met[0] + 1])
    assert not np.array_equal(whole[: met[0] + 2], other[: met[0] + 2])
    strides = np.linalg.norm(np.diff(whole[: met[0] + 1], axis=0), axis=1)
    assert (strides <= 0.1 + 1e-6).all()


def test_at_the_goal_it_is_set_to_the_place_of_the_next_sample(mover: Learner) -> None:
    for index in range(10):
        trial = mover.task.sample("test", index)
        path = mover.rollout(trial.stimulus).prediction
        arena = mover.task.arena
        assert arena is not None
        at = np.flatnonzero(arena.reached(path[:-1], trial.target[:-1]))
        np.testing.assert_allclose(path[at + 1], trial.stimulus.input[at + 1, 2:], rtol=1e-6)


def test_what_is_to_come_is_discounted() -> None:
    pytest.importorskip("jax", reason="needs the extra gradient")
    from hpcspike.learners.policy import _to_come

    reached = np.array([[0, 1], [1, 0], [0, 0], [1, 1]], dtype=bool)
    found = np.asarray(_to_come(reached, 0.5))  # type: ignore[arg-type]
    wanted = [[1.0 + 0.25, 0.25], [0.5, 0.5], [1.0, 1.0], [0.0, 0.0]]
    np.testing.assert_allclose(found, wanted)


def test_a_goal_that_is_always_in_one_place_is_learned_and_again_with_the_same_bits() -> None:
    learner = built({"batch": 32, "steps_per_pass": 4, "learning_rate": 0.02}, n_places=1, radius=0.2)
    before = learner.advance(0)["score_alone"]
    saved = learner.state()
    for number in range(1, 10):
        after = learner.advance(number)["score_alone"]
    assert after > 1.5 * before
    found = learner.state()
    learner.restore(saved)
    for number in range(1, 10):
        learner.advance(number)
    for name, values in learner.state().items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


@pytest.mark.parametrize("kind", ["eprop", "lstm", "huh"])
def test_learners_without_actions_are_refused(kind: str) -> None:
    with pytest.raises(SpecError, match=f"asks for actions, which learner.kind = {kind} cannot; choose lsnn"):
        validate_experiment(
            {
                "network": {"n_neurons": 6}, "targets": {"kind": "navigation"}, "stimulus": {"duration_ms": 0.0},
                "learner": {"kind": kind},
            }
        )  # fmt: skip


def test_deleted_spikes_are_refused(mover: Learner) -> None:
    with pytest.raises(SpecError, match="delete_spike = 0: not for targets.kind = navigation"):
        mover.rollout(mover.task.sample("test", 0).stimulus, delete_spike=0)


def test_a_network_of_the_study_gives_its_figure() -> None:
    pytest.importorskip("jax", reason="needs the extra gradient")
    pytest.importorskip("optax", reason="needs the extra gradient")
    study = load(CONFIG, size="smoke")
    assert isinstance(study, Study)
    found = run_of_study(study, StudyRun("lsnn", 0))
    assert found["curve_goals"].sizes["loop"] == 2
    assert (found["test_goals"].values >= 0.0).all()
    assert found["goal_time_after"].sizes == found["goal_time_before"].sizes == {"goal_number": 5}
    tree = xr.DataTree.from_dict({"/lsnn/0": found, "/lif/0": run_of_study(study, StudyRun("lif", 0))})
    tree.attrs["document"] = json.dumps(study.model_dump(mode="json"))
    figures = figures_of_study(tree)
    assert "goals" in figures
    assert "performance" not in figures
    figure = figures["goals"]()
    left, _ = figure.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["lsnn", "lif"]
    plt.close(figure)
