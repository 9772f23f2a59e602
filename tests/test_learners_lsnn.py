"""Adaptive neurons trained through time: recall, bound connections, resumed training, store and recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

from hpcspike.errors import Interrupted, SpecError
from hpcspike.learners import tasks
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.gradient_tasks import store_recall
from hpcspike.learners.lsnn import LsnnLearner
from hpcspike.learners.passes import Budget
from hpcspike.learners.trials import Stimulus, Task, Trial
from hpcspike.spec.load import validate_experiment

STORE_RECALL: dict[str, Any] = {
    "kind": "lsnn", "steps_per_pass": 1, "batch": 128, "learning_rate": 0.01, "rate_decay": 0.3,
    "rate_decay_every": 100, "tau_adaptation_ms": 1200.0, "n_delays": 10, "input_gain": 1.0,
}  # fmt: skip
"""Settings of the published store-recall task."""


def _recall(
    n: int = 12, kind: str = "drive", samples: int = 60, periods: tuple[float, float] = (30.0, 60.0)
) -> Task:  # fmt: skip
    """Sine waves, cued for 20 ms."""
    time = np.arange(1, samples + 1)[:, None]
    target = 0.5 * np.sin(2 * np.pi * time / np.linspace(*periods, n))

    def sample(phase: Any, index: int) -> Trial:
        return Trial(Stimulus(index, np.ones((20, 1)), np.zeros((samples, 1)), phase), target, np.ones(samples, bool))

    return Task("sines", kind, "correlation", 1.0, samples, 20, n, 1, sample, n_trials=1)  # type: ignore[arg-type]


RECALLED: dict[str, dict[str, Any]] = {
    "readout": {"input_gain": 0.3},
    "drive": {"bias": 1.0, "weight_scale": 0.15},
}
"""Settings with which a small network learns to recall."""


def _learner(task: Task, **settings: Any) -> LsnnLearner:
    chosen = {"kind": "lsnn", "steps_per_pass": 10, "batch": 2, "input_gain": 0.3, "bias": 0.9, **settings}
    return LsnnLearner(chosen).build(task, n_neurons=12, seed=5)


@pytest.mark.parametrize(("kind", "n", "before", "after"), [("readout", 3, 0.7, 0.95), ("drive", 40, 0.2, 0.5)])
def test_sine_waves_are_recalled_from_new_initial_states(kind: str, n: int, before: float, after: float) -> None:
    task = _recall(n, kind, samples=120, periods=(80.0, 160.0))
    learner = LsnnLearner({"kind": "lsnn", "batch": 1, "learning_rate": 0.003, **RECALLED[kind]})
    learner.build(task, n_neurons=40, seed=5)
    assert tasks.assess(learner, task, trials=3).score.mean() < before
    learner.fit(Budget(passes=30))
    assert tasks.assess(learner, task, trials=3).score.min() > after


@pytest.mark.parametrize("settings", [{}, {"n_delays": 3, "connectivity": 0.4}])
def test_a_resumed_training_has_the_same_bits(settings: dict[str, Any], tmp_path: Path) -> None:
    from hpcspike.engine.checkpoint import Checkpoints

    task = _recall()
    learner = _learner(task, **settings)
    untrained = learner.state()
    history = learner.fit(Budget(passes=4))
    assert not np.array_equal(learner.state()["weights.w_rec"], untrained["weights.w_rec"])
    assert history["simulated_seconds"][-1] == pytest.approx(4 * 10 * 2 * 0.08)
    stopped = _learner(task, **settings)
    with pytest.raises(Interrupted):
        stopped.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path, stop_after_steps=2))
    resumed = _learner(task, **settings)
    resumed.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path))
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)
    for name in ("score_alone", "rate_hz", "simulated_seconds"):
        np.testing.assert_array_equal(history[name], resumed.history[name], err_msg=name)
    stimulus = task.sample("test", 0).stimulus
    np.testing.assert_array_equal(learner.rollout(stimulus).prediction, resumed.rollout(stimulus).prediction)


def test_bound_connections_keep_count_and_signs_through_training() -> None:
    learner = _learner(_recall(kind="readout"), connectivity=0.3)
    before = learner.weights()
    counted = learner.n_trained()
    learner.fit(Budget(passes=3))
    after = learner.weights()
    assert learner.n_trained() == counted
    assert not np.array_equal(after["w_rec"] != 0, before["w_rec"] != 0)
    for name in ("w_in", "w_rec"):  # signs belong to the neuron a connection comes from
        together = np.concatenate([before[name], after[name]], axis=1)
        assert ((together >= 0).all(axis=1) | (together <= 0).all(axis=1)).all()
    assert (after["w_out"] * before["w_out"] >= 0).all()


def test_a_rollout_answers_the_same_stimulus_alike_and_never_sees_a_target() -> None:
    task = _recall(kind="readout")
    learner = _learner(task)
    trial = task.sample("test", 1)
    first, again = learner.rollout(trial.stimulus), learner.rollout(trial.stimulus)
    np.testing.assert_array_equal(first.prediction, again.prediction)
    assert first.drive is None
    assert not np.array_equal(first.prediction, learner.rollout(task.sample("test", 2).stimulus).prediction)
    with pytest.raises(TypeError, match="must not see a target"):
        learner.rollout(trial)  # type: ignore[arg-type]


def test_killed_neurons_are_silent_and_a_deleted_spike_changes_only_what_follows() -> None:
    task = _recall(kind="readout")
    learner = _learner(task, input_gain=1.0)
    stimulus = task.sample("test", 0).stimulus
    whole = learner.rollout(stimulus)
    kill = np.arange(12) < 6
    assert not np.isin(learner.rollout(stimulus, kill=kill).spike_neuron, np.flatnonzero(kill)).any()
    inside = whole.spike_time_ms[whole.spike_time_ms > 0]
    late = learner.rollout(stimulus, delete_spike=len(inside) // 2)
    early = np.arange(1, 61) < inside[len(inside) // 2]
    assert early.any()
    np.testing.assert_array_equal(late.prediction[early], whole.prediction[early])
    assert not np.array_equal(late.prediction, whole.prediction)
    assert not np.array_equal(learner.rollout(stimulus, noise=3.0).prediction, whole.prediction)
    with pytest.raises(SpecError, match="the window has"):
        learner.rollout(stimulus, delete_spike=10**6)


def test_what_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(SpecError, match="of kind 'rate'"):
        _learner(_recall(kind="rate"))
    with pytest.raises(SpecError, match="one per neuron"):
        _learner(_recall(n=3))
    with pytest.raises(SpecError, match="does not divide"):
        _learner(_recall(), step_ms=0.3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_trajectories_of_ten_correlation_times_are_recalled() -> None:
    sweep = yaml.safe_load((Path(__file__).parent.parent / "cluster" / "config" / "learners.yaml").read_text())
    section = next(one for one in sweep["axes"]["learner"] if one["kind"] == "lsnn")
    targets = {"kind": "ou", "duration_ms": 1000.0, "tau_corr_ms": 100.0, "standard_deviation": 0.5}
    learner = learner_of(
        validate_experiment(
            {"seed": 1, "network": {"n_neurons": 200}, "targets": targets, "stimulus": {"duration_ms": 50.0},
             "learner": section}
        )
    )  # fmt: skip
    learner.fit(Budget(passes=learner.passes()))
    assert tasks.assess(learner, learner.task, trials=5).score.mean() >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_adaptive_neurons_keep_a_bit_and_leaky_ones_alone_do_not() -> None:
    learned = 0
    for seed in (1, 2, 3):
        learner = LsnnLearner(STORE_RECALL).build(store_recall(seed=seed), n_neurons=20, seed=seed)
        errors: list[float] = []
        while len(errors) < 200 and not (len(errors) >= 20 and np.mean(errors[-20:]) < 0.05):
            errors.append(learner.advance(len(errors))["score_alone"])
        learned += bool(np.mean(errors[-20:]) < 0.05)
    assert learned >= 2
    control = LsnnLearner({**STORE_RECALL, "adaptive_share": 0.0}).build(store_recall(seed=1), n_neurons=20, seed=1)
    errors = [control.advance(number)["score_alone"] for number in range(120)]
    assert np.mean(errors[-20:]) >= 0.2
