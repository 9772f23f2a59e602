"""Efficient balanced networks: embedding of targets, tests without help, resumed training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted, SpecError
from hpcspike.learners.ebn import EbnLearner
from hpcspike.learners.ebn_alemi import AlemiLearner
from hpcspike.learners.ebn_bourdoukan import BourdoukanLearner
from hpcspike.learners.ebn_kernels import run_ebn
from hpcspike.learners.embedding import fourier_embedding
from hpcspike.learners.passes import Budget
from hpcspike.learners.tasks import assess, oscillator_task, recall_task
from hpcspike.learners.trials import Task
from hpcspike.spec.learners import AlemiLearner as AlemiSettings
from hpcspike.spec.load import validate_experiment
from tests.ebn_settings import BISTABLE, BOURDOUKAN

# ---- the embedding ---------------------------------------------------------------------------------------------------


def test_the_embedding_solves_its_own_equation_and_the_cue_leads_to_its_start() -> None:
    rng = np.random.default_rng(0)
    target = np.cumsum(rng.standard_normal((500, 6)), axis=0)
    found = fourier_embedding(target, grid_ms=1.0, bandwidth_hz=8.0)
    assert found.teacher.n_states == 10
    h = 1e-5
    x, ahead = found.path(np.array([0.1, 0.1 + h]))
    np.testing.assert_allclose((ahead - x) / h, found.teacher.velocity(x), rtol=1e-2, atol=1e-2)
    times = 1e-4 * np.arange(500)
    c, path = found.cue(times, 0.05)
    state = np.zeros(10)
    for row in c:
        state = state + 1e-4 * (found.teacher.velocity(state) + row)
    np.testing.assert_allclose(state, found.start, atol=0.01)
    assert path[0].tolist() == [0.0] * 10
    samples = found.path(1e-3 * np.arange(1, 501)) @ found.teacher.readout.T + found.teacher.offset
    own = [np.corrcoef(samples[:, i], target[:, i])[0, 1] for i in range(6)]
    np.testing.assert_allclose(found.fit, own, atol=1e-12)
    wider = fourier_embedding(target, grid_ms=1.0, bandwidth_hz=30.0)
    assert wider.fit.mean() > found.fit.mean()


# ---- both learners ---------------------------------------------------------------------------------------------------


def _small(kind: str) -> tuple[EbnLearner, Task]:
    task = oscillator_task(duration_ms=300.0)
    if kind == "bourdoukan":
        settings = {**BOURDOUKAN, "passes": 4, "fast_passes": 4, "fast_pass_ms": 300.0}
        return BourdoukanLearner(settings).build(task, n_neurons=20, seed=1), task
    return AlemiLearner({**BISTABLE, "passes": 6}).build(task, n_neurons=20, seed=1), task


@pytest.mark.parametrize("kind", ["bourdoukan", "alemi"])
def test_an_interrupted_training_ends_with_the_same_bits(kind: str, tmp_path: Any) -> None:
    whole, _ = _small(kind)
    whole.fit(Budget(passes=6))
    for stop in (3, 2):
        with pytest.raises(Interrupted):
            _small(kind)[0].fit(Budget(passes=6), checkpoints=Checkpoints(tmp_path, stop_after_steps=stop))
    resumed, _ = _small(kind)
    history = resumed.fit(Budget(passes=6), checkpoints=Checkpoints(tmp_path))
    assert np.array_equal(resumed.W, whole.W)
    assert np.array_equal(resumed.G, whole.G)
    assert np.array_equal(history["score_helped"], whole.history["score_helped"], equal_nan=True)
    assert whole.G.any()


@pytest.mark.parametrize("kind", ["bourdoukan", "alemi"])
def test_a_rollout_has_no_feedback_and_no_plasticity(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, task = _small(kind)
    learner.fit(Budget(passes=6))
    seen: list[dict[str, Any]] = []
    original = type(learner)._run

    def watch(self: EbnLearner, command: np.ndarray, **options: Any) -> Any:
        seen.append(options)
        return original(self, command, **options)

    monkeypatch.setattr(type(learner), "_run", watch)
    state = {name: value.copy() for name, value in learner.state().items()}
    learner.rollout(task.sample("test", 0).stimulus, noise=0.1, delete_spike=2)
    assert seen
    for options in seen:
        assert not {"wanted", "feedback", "fast_rate", "slow_rate"} & options.keys()
    assert all(np.array_equal(state[name], value) for name, value in learner.state().items())
    with pytest.raises(AssertionError, match="was given"):
        learner._alone(np.zeros((10, 2)), phase=2, index=0, feedback=1.0)
    with pytest.raises(TypeError, match="must not see a target"):
        learner.rollout(task.sample("test", 0))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["bourdoukan", "alemi"])
def test_removed_neurons_are_silent_and_a_deleted_spike_acts_from_its_time_on(kind: str) -> None:
    learner, task = _small(kind)
    learner.fit(Budget(passes=6))
    stimulus = task.sample("test", 0).stimulus
    kill = np.arange(20) < 8
    assert learner.rollout(stimulus, kill=kill).spike_neuron.min() >= 8
    whole, less = learner.rollout(stimulus), learner.rollout(stimulus, delete_spike=4)
    at = int(np.ceil(whole.spike_time_ms[4]))
    assert np.array_equal(whole.prediction[: at - 1], less.prediction[: at - 1])
    assert np.abs(whole.prediction - less.prediction)[at - 1].max() > 1e-3
    with pytest.raises(SpecError, match="the window has"):
        learner.rollout(stimulus, delete_spike=10**6)


def test_a_step_that_does_not_divide_the_grid_is_refused() -> None:
    with pytest.raises(SpecError, match="must divide the sampling interval of the task, 1 ms"):
        AlemiLearner({**BISTABLE, "step_ms": 0.3}).build(oscillator_task(), n_neurons=10, seed=1)


@pytest.mark.parametrize("learner", [AlemiLearner(), BourdoukanLearner()])
def test_a_driven_system_with_a_cue_is_refused(learner: EbnLearner) -> None:
    # the wanted state covers the window only: the kernel would read past its end
    with pytest.raises(SpecError, match="has a cue"):
        learner.build(replace(oscillator_task(), n_cue_samples=20), n_neurons=10, seed=1)


@pytest.mark.parametrize(
    ("n", "grid_ms", "step_ms"), [(20, 1.0, 0.1), (250, 1.0, 0.1), (500, 1.0, 0.05), (600, 1.0, 1 / 24)]
)
def test_larger_networks_take_finer_steps_that_divide_the_grid(n: int, grid_ms: float, step_ms: float) -> None:
    settings = AlemiSettings(kind="ebn_alemi")
    assert settings.step(n, grid_ms) == step_ms
    assert AlemiSettings(kind="ebn_alemi", step_ms=0.2).step(n, grid_ms) == 0.2
    learner = AlemiLearner().build(oscillator_task(duration_ms=10.0), n_neurons=n, seed=1)
    rollout = learner.rollout(learner.task.sample("test", 0).stimulus)
    whole = rollout.spike_time_ms / step_ms
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-6)


def test_recall_through_the_embedding_reports_the_teacher_and_stays_below_it() -> None:
    experiment = validate_experiment(
        {
            "network": {"n_neurons": 60}, "targets": {"kind": "ou", "duration_ms": 300.0},
            "stimulus": {"duration_ms": 50.0},
        }
    )  # fmt: skip
    task = recall_task(experiment)
    learner = AlemiLearner({"kind": "ebn_alemi", "passes": 30}).build(task, n_neurons=60, seed=1)
    untrained = assess(learner, task, trials=2).score.mean()
    learner.fit(Budget(passes=30))
    assert learner.embedding is not None
    recalled = assess(learner, task, trials=2).score.mean()
    assert untrained < 0.4 < 0.6 < recalled < learner.embedding.fit.mean()


# ---- arithmetic of two neurons ---------------------------------------------------------------------------------------


def _two_neurons(learner: EbnLearner, **task: Any) -> EbnLearner:
    learner.build(oscillator_task(duration_ms=50.0, **task), n_neurons=2, seed=1)
    learner.F = np.array([[1.0, 2.0], [3.0, -1.0]])
    return learner


def test_the_best_fast_weights_are_minus_products_of_decoders_and_the_cost() -> None:
    learner = _two_neurons(BourdoukanLearner({**BOURDOUKAN, "weight_norm": 0.5, "cost": 2.0}))
    assert isinstance(learner, BourdoukanLearner)
    assert learner.cost == 0.5  # 2 |F|^2
    np.testing.assert_array_equal(learner.best_fast, [[-5.5, -1.0], [-1.0, -10.5]])
    learner.W = learner.best_fast + np.array([[3.0, 0.0], [4.0, 0.0]])
    assert learner.fast_distance() == pytest.approx(5.0 / np.sqrt(5.5**2 + 2.0 + 10.5**2))


@pytest.mark.parametrize("learner", [AlemiLearner({**BISTABLE, "cost": 3.0, "linear_cost": 0.5}), BourdoukanLearner()])
def test_thresholds_are_half_of_what_a_spike_costs(learner: EbnLearner) -> None:
    learner.build(oscillator_task(duration_ms=50.0), n_neurons=3, seed=1)
    lengths = (learner.F**2).sum(axis=1)
    if isinstance(learner, AlemiLearner):
        square = 2 * BISTABLE["decoder_scale"] ** 2
        np.testing.assert_allclose(learner.threshold, (lengths + 3.5 * square) / 2)
        np.testing.assert_allclose(learner.W, -(learner.F @ learner.F.T) - 3.0 * square * np.eye(3))
    else:
        np.testing.assert_allclose(learner.threshold, (lengths + learner.cost) / 2)


@pytest.mark.parametrize("scale", [0.03, None])
def test_decoding_vectors_of_equal_length_have_the_mean_square_of_gaussian_ones(scale: float | None) -> None:
    learner = AlemiLearner({**BISTABLE, "decoder": "equal", "decoder_scale": scale, "decay_per_s": 40.0})
    learner.build(oscillator_task(duration_ms=50.0), n_neurons=5, seed=1)
    entry = 0.03 if scale else 40.0 * np.sqrt(2.0) / (5 * 20.0)  # lambda sqrt(J) / (N 20 Hz)
    np.testing.assert_allclose(np.linalg.norm(learner.F, axis=1), entry * np.sqrt(2.0))
    assert np.linalg.matrix_rank(learner.F) == 2


def test_the_decoded_matrix_is_that_of_slow_weights_less_the_decay(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = _two_neurons(AlemiLearner({**BISTABLE, "decay_per_s": 20.0}))
    slow = np.array([[3.0, 7.0], [-2.0, 5.0]])

    def run(command: np.ndarray, *, phase: int, index: int) -> Any:
        states = np.random.default_rng(index).standard_normal((40, 2))
        fed = np.zeros_like(states)
        fed[1:] = states[:-1] @ slow.T  # what a step feeds back is of the state before it
        return states, fed, None, None

    monkeypatch.setattr(learner, "_alone", run)
    np.testing.assert_allclose(learner.decoded_matrix(), [[-17.0, 7.0], [-2.0, -15.0]], atol=1e-12)


def test_rates_count_the_spikes_of_the_whole_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = validate_experiment(
        {"network": {"n_neurons": 8}, "targets": {"kind": "ou", "duration_ms": 150.0}, "stimulus": {"duration_ms": 50}}
    )
    learner = AlemiLearner({"kind": "ebn_alemi", "passes": 2, "step_ms": 0.5})
    learner.build(recall_task(experiment), n_neurons=8, seed=1)
    original, steps = learner._run, []

    def run(command: np.ndarray, **options: Any) -> Any:
        found = original(command, **options)
        steps.append(found[2])
        return found

    monkeypatch.setattr(learner, "_run", run)
    row = learner.advance(0)
    assert (steps[0] < 100).any()  # in the cue, too
    assert row["simulated_seconds"] == pytest.approx(0.2)
    assert row["rate_hz"] == pytest.approx(len(steps[0]) / 8 / 0.2)


def test_slow_weights_take_no_part_while_fast_ones_are_learned() -> None:
    learner, _ = _small("bourdoukan")
    assert isinstance(learner, BourdoukanLearner)
    without = learner.follow(phase=0, index=0)
    slow = np.random.default_rng(0).standard_normal(learner.G.shape)
    learner.G = slow.copy()
    assert learner.follow(phase=0, index=0) == without
    assert without["simulated_seconds"] == pytest.approx(0.3)
    np.testing.assert_array_equal(learner.G, slow)


def test_noise_of_voltages_adds_up_to_the_same_spread_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def watch(*arguments: Any) -> Any:
        seen.append(arguments[12])
        return run_ebn(*arguments)

    monkeypatch.setattr("hpcspike.learners.ebn.run_ebn", watch)
    for step_ms in (0.1, 0.5, 0.1):
        learner = AlemiLearner({**BISTABLE, "step_ms": step_ms, "voltage_noise": 0.3})
        learner.build(oscillator_task(duration_ms=200.0), n_neurons=20, seed=1)
        noise = 0.0 if len(seen) == 2 else 0.4
        learner.rollout(learner.task.sample("test", 0).stimulus, noise=noise)
        level = np.hypot(noise, 0.3) * learner.threshold.mean()
        seconds = len(seen[-1]) * step_ms / 1000
        assert seconds == pytest.approx(0.2)
        assert (seen[-1] ** 2).sum() / 20 == pytest.approx(level**2 * seconds, rel=0.1)
