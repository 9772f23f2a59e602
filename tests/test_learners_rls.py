"""RLS behind the interface of learners is the RLS of `hpcspike.train`, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike.engine.simulation import Simulation
from hpcspike.engine.training import train
from hpcspike.errors import SpecError
from hpcspike.learners.passes import Budget
from hpcspike.learners.rls import RlsLearner
from hpcspike.learners.tasks import assess, recall_task
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_experiment

N = 24


def _experiment(**training: Any) -> Experiment:
    return validate_experiment(
        {
            "network": {"n_neurons": N}, "targets": {"kind": "ou", "duration_ms": 200.0},
            "stimulus": {"duration_ms": 50.0}, "protocol": {"free_run_ms": 100.0},
            "training": {"n_loops": 3, **training},
        }
    )  # fmt: skip


def _fitted(experiment: Experiment, passes: int = 3, **task: Any) -> tuple[RlsLearner, Any]:
    made = recall_task(experiment, **task)
    learner = RlsLearner(experiment).build(made, n_neurons=N, seed=1)
    learner.fit(Budget(passes=passes))
    return learner, made


@pytest.mark.parametrize("kind", ["drive", "rate"])
def test_training_and_tests_are_those_of_the_engine(kind: str) -> None:
    experiment = _experiment(variable=kind)
    learner, task = _fitted(experiment, kind=kind)
    trained = train(build_problem(experiment), experiment.training)
    assert np.array_equal(learner.weights()["plastic"], trained.simulation.weight)
    evoked = trained.evoke(0, 1, first_trial=1)
    rollout = learner.rollout(task.sample("test", 1).stimulus)
    wanted = (evoked.filtered if kind == "rate" else evoked.drive)[0].T
    np.testing.assert_allclose(rollout.prediction, wanted, rtol=1e-12, atol=1e-13)
    inside = rollout.spike_time_ms > 0
    assert np.array_equal(rollout.spike_neuron[inside], evoked.spikes[0].neuron[evoked.spikes[0].step >= 0])


def test_readouts_are_drives_of_the_first_neurons_and_the_others_follow_processes_of_their_own() -> None:
    learner, task = _fitted(_experiment(), kind="readout", n_readouts=5)
    rollout = learner.rollout(task.sample("test", 0).stimulus)
    assert rollout.prediction.shape == (200, 5)
    assert rollout.drive is not None
    assert np.array_equal(rollout.prediction, rollout.drive[:, :5])
    targets = learner.problem.targets[0]
    assert np.array_equal(targets[:5].T, task.sample("test", 0).target)
    crossed = np.corrcoef(targets)
    assert np.linalg.matrix_rank(targets - targets.mean(axis=1, keepdims=True)) == N
    assert np.abs(crossed - np.eye(N)).max() < 1.0


def test_more_passes_improve_the_score() -> None:
    experiment = _experiment()
    few, task = _fitted(experiment, passes=0)
    many, _ = _fitted(experiment, passes=6)
    assert assess(many, task, trials=2).score.mean() > assess(few, task, trials=2).score.mean() + 0.2


def test_a_resumed_training_ends_with_the_same_bits() -> None:
    experiment = _experiment()
    whole, task = _fitted(experiment, passes=3)
    begun, _ = _fitted(experiment, passes=1)
    state = {name: value.copy() for name, value in begun.state().items()}
    resumed = RlsLearner(experiment).build(task, n_neurons=N, seed=1)
    resumed.restore(state)
    for number in (1, 2):
        resumed.advance(number)
    for name, value in whole.state().items():
        if name != "numbers":  # holds wall times
            assert np.array_equal(value, resumed.state()[name]), name


def test_removed_neurons_are_silent_and_have_no_effect() -> None:
    learner, task = _fitted(_experiment())
    stimulus = task.sample("test", 0).stimulus
    kill = np.zeros(N, dtype=bool)
    kill[:10] = True
    damaged = learner.rollout(stimulus, kill=kill)
    assert damaged.spike_neuron.min() >= 10
    nobody = learner.rollout(stimulus, kill=np.ones(N, dtype=bool))
    assert not nobody.prediction.any()


def test_a_deleted_spike_changes_nothing_before_it() -> None:
    learner, task = _fitted(_experiment())
    stimulus = task.sample("test", 0).stimulus
    whole = learner.rollout(stimulus)
    at = whole.spike_time_ms[whole.spike_time_ms > 0][3]
    less = learner.rollout(stimulus, delete_spike=3)
    change = np.abs(less.prediction - whole.prediction).max(axis=1)
    assert change[: int(at) - 1].max() < 1e-9
    assert change[int(at) - 1] > 1e-3
    with pytest.raises(SpecError, match="the window has"):
        learner.rollout(stimulus, delete_spike=10**6)


def test_new_targets_in_every_trial_are_not_applicable() -> None:
    from dataclasses import replace

    task = replace(recall_task(_experiment()), n_trials=None)
    with pytest.raises(SpecError, match="not applicable to learner rls"):
        RlsLearner(_experiment()).build(task, n_neurons=N, seed=1)


def test_every_phase_and_trial_begins_at_phases_of_its_own() -> None:
    learner, task = _fitted(_experiment(), passes=1)
    first = [learner.rollout(task.sample(phase, index).stimulus).prediction
             for phase in ("train", "tune", "test") for index in (0, 1)]  # fmt: skip
    assert len({one.tobytes() for one in first}) == 6
    evoked = learner.trained.evoke(0, 2)
    for index in (0, 1):
        np.testing.assert_allclose(first[4 + index], evoked.drive[index].T, rtol=1e-12, atol=1e-13)


def test_noise_adds_up_to_the_same_spread_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    original = Simulation.run_interval

    def watch(self: Simulation, length: int, external: Any, **options: Any) -> Any:
        seen.append(options["noise"])
        return original(self, length, external, **options)

    for step_ms in (0.1, 0.5):
        document = _experiment().model_dump(mode="json")
        document["neuron"] |= {"step_ms": step_ms, "tau_ms": 20.0}
        learner, task = _fitted(validate_experiment(document), passes=1)
        monkeypatch.setattr(Simulation, "run_interval", watch)
        seen.clear()
        learner.rollout(task.sample("test", 0).stimulus, noise=3.0)
        monkeypatch.undo()
        added = np.concatenate(seen)
        # tau dv = ... + noise tau dW: what one step adds to v is noise sqrt(dt), dt in s
        assert len(added) * step_ms == pytest.approx(450.0)
        assert (step_ms / 20.0 * added).var() == pytest.approx(9.0 * step_ms / 1000, rel=0.1)
