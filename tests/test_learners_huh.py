"""Graded synapses: charge, exact gradients, and the learner that descends them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.engine.checkpoint import Checkpoints  # noqa: E402
from hpcspike.errors import Interrupted  # noqa: E402
from hpcspike.learners import tasks  # noqa: E402
from hpcspike.learners.cancellation import measure_cancellation  # noqa: E402
from hpcspike.learners.gradient_tasks import autoencoder  # noqa: E402
from hpcspike.learners.huh import HuhLearner  # noqa: E402
from hpcspike.learners.huh_model import RESET, Cell, State, advance, released, simulate  # noqa: E402
from hpcspike.learners.passes import Budget  # noqa: E402
from hpcspike.learners.trials import Task  # noqa: E402

AUTOENCODER: dict[str, Any] = {
    "kind": "huh", "neuron": "nif", "step_ms": 0.25, "tau_ms": 10.0, "tau_syn_ms": 10.0, "tau_fast_ms": 1.0,
    "gate_width": 0.5, "input_scale": 5.0, "weight_scale": 0.0, "slow_rate": 0.0, "fast_rate": 0.6, "batch": 8,
    "learning_rate": 0.01, "rate_decay": 0.4, "rate_decay_every": 200, "activity_cost": 0.001, "gradient_norm": 1.0,
    "steps_per_pass": 50,
}  # fmt: skip
"""Settings with which 30 neurons learn to code their input."""


@pytest.fixture
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def _cell(neuron: str, step_ms: float = 0.05, **settings: Any) -> Cell:
    return Cell(neuron, step_ms, tau_ms=10.0, tau_syn_ms=10.0, **settings)  # type: ignore[arg-type]


# ---- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neuron", ["nif", "theta"])
def test_a_full_crossing_releases_charge_one_at_any_speed(neuron: str, double: None) -> None:
    cell = _cell(neuron, step_ms=0.1)
    pushes = jnp.array([[0.3], [1.0], [3.0], [10.0], [30.0]])
    rest = -1.0 if neuron == "theta" else 0.0

    def current(x: Any, state: State) -> Any:
        return jnp.where(state.v > 0.45, pushes, rest)

    start = State(jnp.full((5, 1), 0.5), jnp.zeros((5, 1)), jnp.zeros((5, 1)))
    states, crossed, _ = simulate(cell, current, jnp.zeros((4000, 5, 1)), start)
    assert np.asarray(crossed.sum(axis=0)).ravel().tolist() == [1] * 5
    charge = np.asarray(states.slow.sum(axis=0)).ravel() * cell.step_ms / cell.tau_syn_ms
    np.testing.assert_allclose(charge, 1.0, atol=1e-3)


def test_a_crossing_that_stops_within_the_zone_releases_a_part_and_takes_it_back_on_return(double: None) -> None:
    cell = _cell("nif", step_ms=1.0, gate_width=0.4)
    state = State(jnp.array([0.5]), jnp.zeros(1), jnp.zeros(1))
    state, crossed, up = advance(cell, state, jnp.array([3.0]))
    _, _, down = advance(cell, state, jnp.array([-3.0]))
    assert not bool(crossed[0])
    assert float(up[0]) == pytest.approx(0.5)
    assert float(down[0]) == pytest.approx(-0.5)


def test_the_reset_shifts_by_a_constant_and_releases_nothing(double: None) -> None:
    cell = _cell("nif", step_ms=1.0)
    state, crossed, charge = advance(cell, State(jnp.array([0.9]), jnp.zeros(1), jnp.zeros(1)), jnp.array([4.0]))
    assert bool(crossed[0])
    assert float(state.v[0]) == pytest.approx(1.3 - 2.0)
    assert float(charge[0]) == pytest.approx(1.0 - (0.9 - 0.7) / 0.3)


# ---- its gradient ----------------------------------------------------------------------------------------------------


def _problem(neuron: str, step_ms: float) -> dict[str, Any]:
    """Eight neurons for 100 ms, their weights, input and what a readout should do."""
    rng = np.random.default_rng(4)
    steps, n = round(100.0 / step_ms), 8
    time = step_ms * np.arange(steps)
    inputs = np.stack([np.sin(2 * np.pi * time / 40.0), np.cos(2 * np.pi * time / 70.0), np.ones(steps)], axis=1)
    return {
        "cell": _cell(neuron, step_ms),
        "weights": {
            "w_in": rng.normal(size=(3, n)) * 0.5 + np.array([[0.0], [0.0], [1.5]]),
            "w_rec": rng.normal(size=(n, n)) / np.sqrt(n),
            "w_out": rng.normal(size=(n, 2)),
        },
        "inputs": inputs,
        "wanted": np.stack([np.sin(2 * np.pi * time / 50.0), np.cos(2 * np.pi * time / 30.0)], axis=1),
        "start": rng.uniform(RESET[neuron], 0.6, n),
    }


def _run(problem: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    cell = problem["cell"]
    v = jnp.asarray(problem["start"])[None]

    def current(x: Any, state: State) -> Any:
        return x @ weights["w_in"] + state.slow @ weights["w_rec"]

    start = State(v, jnp.zeros_like(v), jnp.zeros_like(v))
    states, crossed, _ = simulate(cell, current, jnp.asarray(problem["inputs"])[:, None], start)
    output = states.slow[:, 0] @ weights["w_out"]
    cost = 0.5 * ((output - problem["wanted"]) ** 2).sum() * cell.step_ms
    return cost, states, crossed, output


@pytest.mark.parametrize("neuron", ["nif", "theta"])
def test_gradient_agrees_with_central_differences(neuron: str, double: None) -> None:
    problem = _problem(neuron, 0.1)
    weights = {name: jnp.asarray(value) for name, value in problem["weights"].items()}
    assert int(_run(problem, weights)[2].sum()) >= 20
    cost = jax.jit(lambda w: _run(problem, w)[0])
    gradient = jax.jit(jax.grad(lambda w: _run(problem, w)[0]))(weights)
    rng = np.random.default_rng(0)
    for name, value in weights.items():
        for _ in range(4):
            place = tuple(int(rng.integers(0, size)) for size in value.shape)
            h = 1e-6
            up = cost({**weights, name: value.at[place].add(h)})
            down = cost({**weights, name: value.at[place].add(-h)})
            assert float(gradient[name][place]) == pytest.approx(float(up - down) / (2 * h), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("neuron", ["nif", "theta"])
def test_gradient_agrees_with_the_adjoint_equations(neuron: str, double: None) -> None:
    problem = _problem(neuron, 0.01)
    weights = {name: jnp.asarray(value) for name, value in problem["weights"].items()}
    gradient = jax.jit(jax.grad(lambda w: _run(problem, w)[0]))(weights)
    by_hand = _adjoint(problem)
    exact = np.concatenate([np.ravel(gradient[name]) for name in ("w_in", "w_rec")])
    found = np.concatenate([by_hand[name].ravel() for name in ("w_in", "w_rec")])
    assert exact @ found / np.linalg.norm(exact) / np.linalg.norm(found) >= 0.999
    assert np.linalg.norm(found) / np.linalg.norm(exact) == pytest.approx(1.0, abs=0.03)


def _adjoint(problem: dict[str, Any]) -> dict[str, np.ndarray]:
    """The adjoint system in continuous time, integrated backwards by Euler along the recorded trajectory.

    q = p_v + g p_s,  -dq/dt = f_v q - g dp_s/dt,  -dp_s/dt = -p_s / tau_s + dl/ds + W^T (f_I q)
    """
    cell, weights = problem["cell"], problem["weights"]
    _, states, crossed, output = _run(problem, {name: jnp.asarray(value) for name, value in weights.items()})
    v = np.concatenate([problem["start"][None], np.asarray(states.v)[:, 0]])
    s = np.concatenate([np.zeros((1, v.shape[1])), np.asarray(states.slow)[:, 0]])
    slope = (np.asarray(output) - problem["wanted"]) @ weights["w_out"].T
    dt, tau = cell.step_ms, cell.tau_ms
    q, p = np.zeros(v.shape[1]), np.zeros(v.shape[1])
    total = {"w_in": np.zeros_like(weights["w_in"]), "w_rec": np.zeros_like(weights["w_rec"])}
    for k in range(len(slope) - 1, -1, -1):
        current = problem["inputs"][k] @ weights["w_in"] + s[k] @ weights["w_rec"]
        if cell.neuron == "nif":
            f_v, f_i = np.zeros_like(q), np.full_like(q, 1.0 / tau)
        else:
            f_v = 2 * np.pi * np.sin(2 * np.pi * v[k]) * (current - 1.0) / tau
            f_i = (1.0 - np.cos(2 * np.pi * v[k])) / tau
        reached = v[k + 1] + cell.span * np.asarray(crossed)[k, 0]
        gate = np.clip((reached - 1.0) / cell.gate_width + 1.0, 0.0, 1.0)  # its mean over the step
        gate = (gate - np.clip((v[k] - 1.0) / cell.gate_width + 1.0, 0.0, 1.0)) / (reached - v[k])
        reaching = f_i * q
        total["w_in"] += dt * np.outer(problem["inputs"][k], reaching)
        total["w_rec"] += dt * np.outer(s[k], reaching)
        minus_dp = -p / cell.tau_syn_ms + slope[k] + weights["w_rec"] @ reaching
        q = q + dt * (f_v * q + gate * minus_dp)
        p = p + dt * minus_dp
    return total


def test_released_charge_is_the_integral_of_the_gate() -> None:
    v = jnp.array([-1.0, 0.7, 0.85, 1.0, 1.4])
    assert released(v, 0.3) == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], abs=1e-6)


# ---- the learner -----------------------------------------------------------------------------------------------------


def _small(**changes: Any) -> tuple[Task, HuhLearner]:
    task = autoencoder(seed=2, duration_ms=120.0)
    settings = {**AUTOENCODER, "steps_per_pass": 3, "batch": 2, **changes}
    return task, HuhLearner(settings).build(task, n_neurons=12, seed=2)


def test_a_resumed_training_has_the_same_bits(tmp_path: Path) -> None:
    task, learner = _small()
    history = learner.fit(Budget(passes=4))
    assert np.isfinite(history["score_alone"]).all()
    _, stopped = _small()
    with pytest.raises(Interrupted):
        stopped.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path, stop_after_steps=2))
    _, resumed = _small()
    resumed.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path))
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)
    for name in ("score_alone", "rate_hz", "simulated_seconds"):
        np.testing.assert_array_equal(history[name], resumed.history[name], err_msg=name)
    stimulus = task.sample("test", 0).stimulus
    np.testing.assert_array_equal(learner.rollout(stimulus).prediction, resumed.rollout(stimulus).prediction)


def test_the_error_of_new_inputs_falls_far_below_that_of_a_silent_readout() -> None:
    task, learner = _small(steps_per_pass=60, batch=4, learning_rate=0.01)
    assert tasks.assess(learner, task, trials=5).score.mean() > 0.8
    learner.fit(Budget(passes=1))
    assert tasks.assess(learner, task, trials=5).score.mean() < 0.55


def test_killed_neurons_are_silent_and_a_deleted_spike_changes_only_what_follows() -> None:
    task, learner = _small(weight_scale=1.0)
    stimulus = task.sample("test", 0).stimulus
    whole = learner.rollout(stimulus)
    kill = np.arange(12) < 6
    assert not np.isin(learner.rollout(stimulus, kill=kill).spike_neuron, np.flatnonzero(kill)).any()
    inside = int((whole.spike_time_ms > 0).sum())
    assert inside > 4
    late = learner.rollout(stimulus, delete_spike=inside // 2)
    at = whole.spike_time_ms[whole.spike_time_ms > 0][inside // 2]
    early = np.arange(1, len(whole.prediction) + 1) * task.grid_ms < at - 30.0
    np.testing.assert_array_equal(late.prediction[early], whole.prediction[early])
    assert not np.array_equal(late.prediction, whole.prediction)
    assert not np.array_equal(learner.rollout(stimulus, noise=1.0).prediction, whole.prediction)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_neurons_learn_to_code_their_input_and_fail_without_fast_synapses() -> None:
    def error(seed: int, **changes: Any) -> float:
        task = autoencoder(seed=seed)
        learner = HuhLearner({**AUTOENCODER, **changes}).build(task, n_neurons=30, seed=seed)
        learner.fit(Budget(passes=14))
        return float(tasks.assess(learner, task, trials=10).score.mean())

    assert sum(error(seed) <= 0.02 for seed in (1, 2, 3)) >= 2
    assert error(1, tau_fast_ms=None) >= 0.3


# ---- what fast synapses do -------------------------------------------------------------------------------------------


def _coding(fast: float) -> HuhLearner:
    """An untrained network whose readouts are along its inputs, and sent back ``fast`` times as strong."""
    learner = HuhLearner({**AUTOENCODER, "step_ms": 0.5})
    learner.task = autoencoder(seed=3, duration_ms=100.0, tau_ms=10.0)
    learner.build(learner.task, n_neurons=10, seed=3)
    state = learner.state()
    state["weights.w_out"] = 0.04 * state["weights.w_in"].T
    state["weights.w_fast"] = -fast * state["weights.w_out"] @ state["weights.w_in"]
    learner.restore(state)
    return learner


def test_currents_are_those_of_the_network_as_it_runs() -> None:
    learner = _coding(1.0)
    trial = learner.task.sample("test", 1)
    external, fast = learner.currents(trial.stimulus)
    weights = {name: np.asarray(value, np.float64) for name, value in learner.weights().items()}
    np.testing.assert_allclose(external, np.repeat(trial.stimulus.input, 2, axis=0) @ weights["w_in"], atol=1e-4)
    v, trace = learner.rollout(trial.stimulus).start, np.zeros(10)
    assert v is not None
    left = np.exp(-0.5 / 1.0)
    for given, found in zip(external[:60], fast[:60], strict=True):
        before, v = v, v + 0.5 / 10.0 * (given + trace @ weights["w_fast"])
        charge = np.clip((v - 0.5) / 0.5, 0, 1) - np.clip((before - 0.5) / 0.5, 0, 1)
        v = np.where(v >= 1.0, v - 2.0, v)
        trace = left * trace + charge * (1.0 - left) / 0.5
        np.testing.assert_allclose(found, trace @ weights["w_fast"], atol=1e-3)
    assert np.ptp(fast[:60]) > 0.1


def test_fast_synapses_that_feed_the_readouts_back_cancel_the_input_and_others_do_not() -> None:
    with_them, without, opposite = (measure_cancellation(_coding(fast), trials=2) for fast in (3.0, 0.0, -0.3))
    assert with_them.weights == pytest.approx(1.0)
    assert with_them.currents < -0.5
    assert (without.currents, without.weights) == (0.0, 0.0)
    assert opposite.weights == pytest.approx(-1.0)
    assert opposite.currents > 0.5
