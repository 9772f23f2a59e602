"""LSTM networks against their equations, and behind the interface of learners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

from hpcspike.errors import Interrupted, SpecError  # noqa: E402
from hpcspike.learners.gradient_tasks import autoencoder  # noqa: E402
from hpcspike.learners.lstm import LstmLearner  # noqa: E402
from hpcspike.learners.passes import Budget  # noqa: E402
from hpcspike.spec.load import validate_experiment  # noqa: E402

N = 5
TASK = autoencoder(seed=3, duration_ms=80.0)


def _learner(**settings: Any) -> LstmLearner:
    chosen = {"kind": "lstm", "steps_per_pass": 5, "batch": 4, **settings}
    return LstmLearner(chosen).build(TASK, n_neurons=N, seed=3)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def test_units_follow_their_equations() -> None:
    learner = _learner(forget_bias=0.7)
    weights, stimulus = learner.weights(), TASK.sample("test", 0).stimulus
    cell, out, wanted = np.zeros(N), np.zeros(N), []
    for x in stimulus.input:
        write, forget, show, value = np.einsum("gij,i->gj", weights["w_in"], x) + np.einsum(
            "gij,i->gj", weights["w_rec"], out
        ) + weights["bias"]  # fmt: skip
        cell = _sigmoid(forget) * cell + _sigmoid(write) * np.tanh(value)
        out = _sigmoid(show) * np.tanh(cell)
        wanted.append(out @ weights["w_out"] + weights["b_out"])
    np.testing.assert_array_equal(weights["bias"][1], np.float32(0.7))
    found = learner.rollout(stimulus)
    np.testing.assert_allclose(found.prediction, wanted, atol=1e-5)
    assert len(found.spike_time_ms) == 0
    assert learner.n_trained() == 4 * (2 * N + N * N + N) + 2 * N + 2


def test_it_learns_and_a_resumed_training_has_the_same_bits(tmp_path: Path) -> None:
    from hpcspike.engine.checkpoint import Checkpoints

    learner, stopped, resumed = (_learner(learning_rate=0.03) for _ in range(3))
    history = learner.fit(Budget(passes=12))
    assert history["score_alone"][-1] < 0.5 * history["score_alone"][0]
    with pytest.raises(Interrupted):
        stopped.fit(Budget(passes=12), checkpoints=Checkpoints(tmp_path, stop_after_steps=5))
    resumed.fit(Budget(passes=12), checkpoints=Checkpoints(tmp_path))
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)


def test_units_that_are_silent_and_noise_change_the_answer() -> None:
    learner, stimulus = _learner(), TASK.sample("test", 0).stimulus
    usual = learner.rollout(stimulus).prediction
    silent = learner.rollout(stimulus, kill=np.ones(N, dtype=bool)).prediction
    np.testing.assert_allclose(silent, np.broadcast_to(learner.weights()["b_out"], silent.shape), atol=1e-7)
    assert not np.allclose(learner.rollout(stimulus, noise=1.0).prediction, usual)
    with pytest.raises(SpecError, match="0 spikes"):
        learner.rollout(stimulus, delete_spike=0)


def test_it_trains_readouts_only() -> None:
    with pytest.raises(SpecError, match=r"learner\.variable"):
        validate_experiment({"learner": {"kind": "lstm", "variable": "drive"}})
