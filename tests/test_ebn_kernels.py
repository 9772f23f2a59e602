"""The kernel of efficient balanced networks against plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike.learners.ebn_kernels import run_ebn


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
