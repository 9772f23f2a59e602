"""Efficient balanced networks: the kernel against plain numpy, and what the two learning rules must reach.

The long tests print what they measured; run them with ``-m slow -s``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted, SpecError
from hpcspike.learners.ebn import AlemiLearner, BourdoukanLearner, EbnLearner
from hpcspike.learners.ebn_kernels import run_ebn
from hpcspike.learners.embedding import fourier_embedding
from hpcspike.learners.interface import Budget, Phase, Stimulus, Task, Trial
from hpcspike.learners.tasks import assess, bistable_task, oscillator_task, pushed_oscillator_task, recall_task
from hpcspike.spec.learners import AlemiLearner as AlemiSettings
from hpcspike.spec.load import validate_experiment

SEEDS = (101, 102, 103)
"""Seeds of what is reported; the settings were chosen on seeds 11 to 13."""

BOURDOUKAN: dict[str, Any] = {"kind": "ebn_bourdoukan", "passes": 60}
PUSHED: dict[str, Any] = {
    "kind": "ebn_alemi", "passes": 100, "settle_ms": 100.0, "voltage_noise": 0.01, "decoder_scale": 1 / 64,
    "cost": 0.01, "feedback_per_s": 20.0, "feedback_last_per_s": 10.0,
}  # fmt: skip
BISTABLE: dict[str, Any] = {
    "kind": "ebn_alemi", "passes": 40, "basis": "tanh", "basis_scale": 3.0, "decoder_scale": 0.03,
    "feedback_per_s": 100.0,
    "feedback_last_per_s": 25.0, "slow_rate": 300.0, "voltage_noise": 0.01,
}  # fmt: skip


# ---- the kernel ------------------------------------------------------------------------------------------------------


def _reference(arguments: dict[str, Any]) -> tuple[list[int], np.ndarray]:
    """The equations with dense slow weights W_s, step by step; returns spiking neurons and x_hat."""
    a = {name: np.array(value, copy=True) for name, value in arguments.items()}
    dt, leak, decay, eps, beta, mu, eta, settle = a["numbers"]
    F, W, W_slow = a["F"], a["W"].T.copy(), a["F"] @ a["G"]  # W[post, pre]
    D, volt, trace = F.T, a["volt"], a["trace"]
    spikes, record = [], []
    for t, c in enumerate(a["command"]):
        estimate = D @ trace
        psi = np.tanh(a["basis"] @ estimate + a["basis_offset"]) if len(a["basis"]) else trace.copy()
        current = F @ c + W_slow @ psi
        if len(a["wanted"]):
            error = a["wanted"][t] - estimate
            current = current + a["feedback"][t] * F @ error
            if t * dt >= settle:
                W_slow = W_slow + eta * dt * np.outer(F @ error, psi)
        volt = volt + dt * (current - leak * volt)
        if len(a["noise"]):
            volt = volt + a["noise"][t]
        trace = trace * (1.0 - decay * dt)
        above = np.where(a["alive"], volt - a["threshold"], -np.inf)
        k = int(above.argmax())
        if above[k] > 0:
            if len(spikes) == a["deleted"]:
                volt[k] += W[k, k]
            else:
                before = volt
                volt = volt + W[:, k]
                change = beta * (before + mu * trace) + W[:, k]
                change[k] += mu
                W[:, k] -= eps * change
                trace[k] += 1.0
            spikes.append(k)
        record.append(D @ trace)
    return spikes, np.array(record)


def _arguments(*, curved: bool = False, helped: bool = True, noisy: bool = True, deleted: int = -1) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    n, j, steps, dt = 12, 3, 1500, 1e-3
    F = 0.2 * rng.standard_normal((n, j))
    mu = 1e-3
    time = dt * np.arange(steps)[:, None]
    alive = np.ones(n, dtype=bool)
    alive[4] = False
    return {
        "volt": 0.01 * rng.standard_normal(n), "trace": np.zeros(n), "estimate": np.zeros(j), "F": F,
        "W": -(F @ F.T + mu * np.eye(n)) * rng.uniform(0.8, 1.2, (n, n)), "G": 0.5 * rng.standard_normal((j, n)),
        "threshold": ((F**2).sum(axis=1) + mu) / 2, "alive": alive,
        "basis": rng.standard_normal((n, j)) if curved else np.zeros((0, j)),
        "basis_offset": rng.uniform(-1, 1, n) if curved else np.zeros(0),
        "command": 20.0 * np.sin(5.0 * time + np.arange(j)),
        "wanted": np.cos(5.0 * time + np.arange(j)) if helped else np.zeros((0, j)),
        "noise": 1e-3 * rng.standard_normal((steps, n)) if noisy else np.zeros((0, n)),
        "feedback": np.linspace(30.0, 10.0, steps),
        "numbers": np.array([dt, 25.0, 20.0, 1e-2, 1.8, mu, 5.0, 0.1]), "deleted": deleted,
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"curved": True}, {"helped": False}, {"noisy": False}, {"deleted": 5}, {"curved": True, "helped": False}],
)
def test_the_kernel_is_the_equations_with_dense_slow_weights(options: dict[str, Any]) -> None:
    arguments = _arguments(**options)
    spikes, states = _reference(arguments)
    steps, j = arguments["command"].shape
    record, fed = np.empty((steps, j)), np.empty((steps, j))
    when, who = np.empty(steps, dtype=np.int32), np.empty(steps, dtype=np.int32)
    before = arguments["G"].copy()
    count = run_ebn(*arguments.values(), record, fed, when, who)
    assert count == len(spikes) > 100
    assert who[:count].tolist() == spikes
    assert 4 not in spikes
    np.testing.assert_allclose(record, states, rtol=1e-7, atol=1e-9)
    assert np.array_equal(before, arguments["G"]) == (options.get("helped") is False)


def test_without_a_wanted_state_nothing_is_learned_by_the_slow_rule_whatever_its_rate() -> None:
    arguments = _arguments(helped=False)
    arguments["numbers"][3] = 0.0
    steps, j = arguments["command"].shape
    slow, fast = arguments["G"].copy(), arguments["W"].copy()
    buffers = (np.empty((steps, j)), np.empty((steps, j)), np.empty(steps, np.int32), np.empty(steps, np.int32))
    run_ebn(*arguments.values(), *buffers)
    assert np.array_equal(slow, arguments["G"])
    assert np.array_equal(fast, arguments["W"])


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


def test_a_step_that_does_not_divide_the_grid_is_refused() -> None:
    with pytest.raises(SpecError, match="must divide the sampling interval of the task, 1 ms"):
        AlemiLearner({**BISTABLE, "step_ms": 0.3}).build(oscillator_task(), n_neurons=10, seed=1)


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


# ---- thresholds ------------------------------------------------------------------------------------------------------


def _relative(matrix: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(matrix - wanted) / np.linalg.norm(wanted))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """At the kernel's door: every run of a test has K = 0, eta = 0, eps = 0 and no wanted state; counts these runs."""
    inside, runs = [False], [0]
    rollout = EbnLearner.rollout

    def watched(self: EbnLearner, *args: Any, **options: Any) -> Any:
        inside[0] = True
        try:
            return rollout(self, *args, **options)
        finally:
            inside[0] = False

    def kernel(*arguments: Any) -> Any:
        if inside[0]:
            wanted, feedback, numbers = arguments[11], arguments[13], arguments[14]
            assert wanted.shape[0] == 0
            assert not feedback.any()
            assert numbers[3] == numbers[6] == 0.0
            runs[0] += 1
        return run_ebn(*arguments)

    monkeypatch.setattr(EbnLearner, "rollout", watched)
    monkeypatch.setattr("hpcspike.learners.ebn.run_ebn", kernel)
    yield runs
    assert runs[0] > 0


def _pushed_once(task: Task) -> Task:
    """The same system, pushed for 0.2 s and then left alone."""

    def sample(phase: Phase, index: int) -> Trial:
        command = np.zeros((task.n_samples, 2))
        command[:200, index % 2] = 15.0
        stimulus = Stimulus(index, np.zeros((0, 2)), command, phase)
        return Trial(stimulus, np.ones((task.n_samples, 2)), np.ones(task.n_samples, dtype=bool))

    return replace(task, sample=sample)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("alone")
def test_bourdoukan_learns_fast_and_then_slow_weights_from_random_ones(seed: int) -> None:
    task = oscillator_task(seed=seed)
    assert task.teacher is not None
    assert task.teacher.matrix is not None
    learner = BourdoukanLearner(BOURDOUKAN).build(task, n_neurons=50, seed=seed)
    start = learner.fast_distance()
    learner.fit(Budget(passes=learner.settings.fast_passes))
    followed = [learner.follow(phase=2, index=index)["score_helped"] for index in range(10)]
    distance = learner.fast_distance()
    learner.fit(Budget(passes=learner.passes()))
    tested = assess(learner, task, trials=10)
    error, rate = float(np.median(tested.score)), float(tested.rate_hz.mean())
    matrix = learner.decoded_matrix()
    off = _relative(matrix, task.teacher.matrix)
    # after a push the system rings; without slow weights nothing does
    rest = _pushed_once(task)
    rings = np.concatenate([rollout.prediction[400:] for rollout in assess(learner, rest, trials=3).rollouts])
    learner.G = np.zeros_like(learner.G)
    still = np.concatenate([rollout.prediction[400:] for rollout in assess(learner, rest, trials=3).rollouts])
    silent = assess(learner, task, trials=10).score
    print(
        f"\nbourdoukan seed {seed}: distance {start:.3f} -> {distance:.4f}, fast NMSE {np.median(followed):.5f} (max "
        f"{max(followed):.5f}), slow NMSE {error:.5f} (max {tested.score.max():.5f}), matrix off by {off:.3f} "
        f"{matrix.round(2).tolist()}, {rate:.1f} Hz, {learner.history.total('cpu_seconds'):.1f} CPU s; "
        f"W_s = 0: NMSE {np.median(silent):.3f}, largest |x_hat| 0.2 s after a push {np.abs(still).max():.3f} against "
        f"{np.abs(rings).max():.3f}"
    )
    assert start > 0.5
    assert np.median(followed) <= 0.005
    assert distance <= 0.08
    assert error <= 0.02
    assert off <= 0.15
    assert rate <= 40.0
    assert np.median(silent) >= 0.5
    assert 5.0 * np.abs(still).max() < np.abs(rings).max()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("alone")
def test_without_the_fast_rule_bourdoukan_fails(seed: int) -> None:
    task = oscillator_task(seed=seed)
    learner = BourdoukanLearner({**BOURDOUKAN, "fast_passes": 0}).build(task, n_neurons=50, seed=seed)
    followed = [learner.follow(phase=2, index=index)["score_helped"] for index in range(10)]
    learner.fit(Budget(passes=learner.passes()))
    error = float(np.median(assess(learner, task, trials=10).score)) if not learner.diverged() else np.inf
    print(f"\nbourdoukan seed {seed}, fast rule off: fast NMSE {np.median(followed):.3f}, slow NMSE {error:.3f}")
    assert np.median(followed) >= 0.5
    assert error >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("alone")
def test_alemi_learns_an_oscillator(seed: int) -> None:
    task, free = pushed_oscillator_task(seed=seed), pushed_oscillator_task(seed=seed, free_ms=100.0)
    assert task.teacher is not None
    assert task.teacher.matrix is not None
    learner = AlemiLearner(PUSHED).build(task, n_neurons=64, seed=seed)
    before, before_free = (float(np.median(assess(learner, t, trials=10).score)) for t in (task, free))
    learner.fit(Budget(passes=learner.passes()))
    tested = assess(learner, task, trials=10)
    error, error_free = float(np.median(tested.score)), float(np.median(assess(learner, free, trials=10).score))
    matrix = learner.decoded_matrix()
    off = _relative(matrix, task.teacher.matrix)
    print(
        f"\nalemi oscillator seed {seed}: NMSE {error:.4f} (max {tested.score.max():.4f}), free part {error_free:.4f}, "
        f"matrix off by {off:.3f} {matrix.round(2).tolist()}, {tested.rate_hz.mean():.1f} Hz, "
        f"{learner.history.total('cpu_seconds'):.1f} CPU s; W_s = 0: {before:.3f}, free part {before_free:.3f}"
    )
    assert error <= 0.05
    assert error_free <= 0.05
    assert off <= 0.15
    assert before_free >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("alone")
def test_alemi_learns_two_stable_states_only_with_nonlinear_units_and_survives_damage(seed: int) -> None:
    task = bistable_task(seed=seed)
    learner = AlemiLearner(BISTABLE).build(task, n_neurons=50, seed=seed)
    before = float(np.median(assess(learner, task, trials=10).score))
    learner.fit(Budget(passes=learner.passes()))
    tested = assess(learner, task, trials=10)
    error = float(np.median(tested.score))
    kill = np.random.default_rng(seed).permutation(50) < 20
    damaged = float(np.median(assess(learner, task, trials=10, kill=kill).score))
    linear = AlemiLearner({**BISTABLE, "basis": "trace", "slow_rate": 40.0}).build(task, n_neurons=50, seed=seed)
    linear.fit(Budget(passes=linear.passes()))
    without = float(np.median(assess(linear, task, trials=10).score))
    print(
        f"\nalemi bistable seed {seed}: NMSE {error:.5f} (max {tested.score.max():.5f}), 40 % removed {damaged:.5f}, "
        f"Psi = r {without:.3f} ({without / error:.0f} times), {50 * tested.rate_hz.mean():.0f} spikes/s, "
        f"{learner.history.total('cpu_seconds'):.1f} CPU s; W_s = 0: {before:.3f}"
    )
    assert error <= 0.01
    assert without >= 20.0 * error
    assert damaged < 2.0 * error
    assert error < 2.0 * damaged
    assert before >= 0.9
