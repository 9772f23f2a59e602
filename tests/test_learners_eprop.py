"""E-prop against eligibility traces that run forward, and against backpropagation where the two must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.errors import SpecError  # noqa: E402
from hpcspike.learners.eprop import EpropLearner  # noqa: E402
from hpcspike.learners.gradient_tasks import store_recall  # noqa: E402
from hpcspike.learners.lsnn_model import make_cell, simulate, start_state  # noqa: E402
from hpcspike.learners.passes import Budget  # noqa: E402
from hpcspike.spec.load import validate_experiment  # noqa: E402

STEPS, N_IN = 300, 3


def _gradient(cell: Any, w_in: np.ndarray, w_rec: np.ndarray, signal: np.ndarray, *, through_network: bool) -> Any:
    """Spikes, input and gradients (w_in, w_rec) of sum_t signal(t) trace(t), in float64."""
    inputs = (np.random.default_rng(2).random((STEPS, 1, N_IN)) < 0.15).astype(np.float64)
    n = cell.n_neurons

    def loss(weights: Any) -> Any:
        start = start_state(cell, jnp.zeros((1, n)))
        spikes, traces, _ = simulate(cell, *weights, jnp.asarray(inputs), start, through_network=through_network)
        return (jnp.asarray(signal)[:, None] * traces).sum(), spikes

    (_, spikes), found = jax.value_and_grad(loss, has_aux=True)((jnp.asarray(w_in), jnp.asarray(w_rec)))
    return np.asarray(spikes)[:, 0], inputs[:, 0], [np.asarray(one) for one in found]


def _by_traces(cell: Any, w_in: np.ndarray, w_rec: np.ndarray, signal: np.ndarray, inputs: np.ndarray) -> list[Any]:
    """Gradients by eligibility traces: derivatives of v, b and z of every neuron by every weight, step by step."""
    n = cell.n_neurons
    both = np.concatenate([w_in, w_rec])
    v, b, z, silent = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, int)
    dv, db, dz, filtered, found = (np.zeros((len(both), n)) for _ in range(5))
    for t in range(STEPS):
        sender = np.concatenate([inputs[t], z])
        b_new = cell.rho * b + (1 - cell.rho) * z
        db_new = cell.rho * db + (1 - cell.rho) * dz
        limit, d_limit = cell.threshold + cell.beta * b_new, cell.beta * db_new
        scaled = (v - limit) / limit
        d_scaled = dv / limit - v / limit**2 * d_limit
        v_new = cell.alpha * v + (1 - cell.alpha) * (sender @ both) - z * limit
        dv_new = cell.alpha * dv + (1 - cell.alpha) * sender[:, None] - dz * limit - z * d_limit
        z_new = np.where((silent == 0) & (scaled > 0), 1.0, 0.0)
        dz_new = np.where(silent == 0, cell.damping * np.maximum(0.0, 1.0 - np.abs(scaled)), 0.0) * d_scaled
        silent = np.where(z_new > 0, cell.n_refractory, np.maximum(silent - 1, 0))
        v, b, z, dv, db, dz = v_new, b_new, z_new, dv_new, db_new, dz_new
        filtered = cell.kappa * filtered + (1 - cell.kappa) * dz
        found += signal[t] * filtered
    return [found[: len(w_in)], found[len(w_in) :]]


def test_the_gradient_is_that_of_eligibility_traces_and_a_learning_signal() -> None:
    rng = np.random.default_rng(1)
    n = 6
    w_in, w_rec = 0.2 + 0.3 * rng.standard_normal((N_IN, n)), 0.3 * rng.standard_normal((n, n))
    np.fill_diagonal(w_rec, 0.0)
    signal = rng.standard_normal((STEPS, n))
    with jax.enable_x64(True):
        cell = make_cell(beta=np.where(np.arange(n) < 3, 0.0, 1.7), tau_adaptation_ms=80.0)
        spikes, inputs, local = _gradient(cell, w_in, w_rec, signal, through_network=False)
        whole = _gradient(cell, w_in, w_rec, signal, through_network=True)[2]
    wanted = _by_traces(cell, w_in, w_rec, signal, inputs)
    assert (spikes.sum(axis=0) > 3).sum() >= 4
    for one, other, full in zip(local, wanted, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
        assert not np.allclose(one, full, rtol=0.05)


@pytest.mark.parametrize("beta", [0.0, 1.7])
def test_one_neuron_without_recurrence_has_the_gradient_of_backpropagation(beta: float) -> None:
    with jax.enable_x64(True):
        cell = make_cell(beta=np.array([beta]), tau_adaptation_ms=80.0)
        signal = np.random.default_rng(3).standard_normal((STEPS, 1))
        found = [
            _gradient(cell, np.full((N_IN, 1), 0.25), np.zeros((1, 1)), signal, through_network=through)
            for through in (False, True)
        ]
    assert found[0][0].sum() > 5
    assert np.abs(found[0][2][0]).max() > 0.1
    np.testing.assert_allclose(found[0][2][0], found[1][2][0], rtol=1e-12)


def _learner(**settings: Any) -> EpropLearner:
    chosen = {"kind": "eprop", "steps_per_pass": 1, "batch": 2, "input_gain": 1.0, **settings}
    return EpropLearner(chosen).build(store_recall(seed=1, n_slots=6, slot_ms=20), n_neurons=10, seed=1)


def test_random_feedback_trains_by_other_weights_than_it_reads() -> None:
    symmetric, random = _learner(), _learner(feedback="random")
    for name, value in symmetric.weights().items():
        np.testing.assert_array_equal(value, random.weights()[name], err_msg=name)
    rows = [learner.fit(Budget(passes=1)) for learner in (symmetric, random)]
    # the same answers and the same readout, but not the same way back to the neurons
    assert rows[0]["score_alone"][0] == rows[1]["score_alone"][0]
    np.testing.assert_array_equal(symmetric.weights()["w_out"], random.weights()["w_out"])
    assert not np.array_equal(symmetric.weights()["w_in"], random.weights()["w_in"])


def test_a_resumed_training_has_the_same_bits(tmp_path: Path) -> None:
    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.errors import Interrupted

    settings = {"feedback": "random", "n_delays": 3, "connectivity": 0.4}
    learner, stopped, resumed = (_learner(**settings) for _ in range(3))
    learner.fit(Budget(passes=3))
    with pytest.raises(Interrupted):
        stopped.fit(Budget(passes=3), checkpoints=Checkpoints(tmp_path, stop_after_steps=2))
    resumed.fit(Budget(passes=3), checkpoints=Checkpoints(tmp_path))
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)


def test_it_trains_readouts_only() -> None:
    with pytest.raises(SpecError, match=r"learner\.variable"):
        validate_experiment({"learner": {"kind": "eprop", "variable": "drive"}})
