"""Adaptive neurons against their recurrences, and what the gradient through their spikes is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.learners.adam import norm_clipped  # noqa: E402
from hpcspike.learners.lsnn_model import (  # noqa: E402
    delayed_product,
    make_cell,
    rate_penalty,
    simulate,
    spike,
    start_state,
    without_diagonal,
)


def test_one_adaptive_neuron_follows_the_recurrences_exactly() -> None:
    rng = np.random.default_rng(1)
    inputs = (rng.random((400, 3)) < 0.2).astype(np.float64)
    w_in, delay = rng.normal(size=(3, 1)) * 0.3 + 0.2, np.array([[0], [4], [2]])
    with jax.enable_x64(True):
        cell = make_cell(beta=np.array([1.7]), tau_adaptation_ms=50.0, delays_in=delay)
        spikes, traces, last = simulate(
            cell,
            jnp.asarray(w_in),
            jnp.zeros((1, 1)),
            jnp.asarray(inputs)[:, None],
            start_state(cell, jnp.zeros((1, 1))),
        )
    alpha, rho, kappa, threshold = np.exp(-1 / 20.0), np.exp(-1 / 50.0), np.exp(-1 / 20.0), 0.01
    v = b = z = trace = 0.0
    silent, wanted, wanted_trace = 0, [], []
    for t in range(400):
        current = sum(w_in[i, 0] * inputs[t - delay[i, 0], i] for i in range(3) if t >= delay[i, 0])
        b = rho * b + (1 - rho) * z
        bound = threshold + 1.7 * b
        v, before = alpha * v + (1 - alpha) * current - z * bound, v
        z = float(before > bound and silent == 0)
        silent = 3 if z else max(silent - 1, 0)
        trace = kappa * trace + (1 - kappa) * z
        wanted.append(z)
        wanted_trace.append(trace)
    assert 20 < sum(wanted) < 100
    np.testing.assert_array_equal(np.asarray(spikes).ravel(), wanted)
    np.testing.assert_allclose(np.asarray(traces).ravel(), wanted_trace, rtol=1e-12)
    np.testing.assert_allclose(float(last.v[0, 0]), v, rtol=1e-9)
    np.testing.assert_allclose(float(last.b[0, 0]), b, rtol=1e-12)


def test_recurrent_spikes_arrive_after_their_delay_and_lost_ones_never() -> None:
    delays = np.array([[0, 3], [0, 0]])
    cell = make_cell(beta=np.zeros(2), delays_rec=delays)
    w_rec = without_diagonal(jnp.full((2, 2), 0.3))
    # only the first neuron is driven, for one step
    inputs = jnp.zeros((12, 1, 1)).at[0].set(1.0)
    w_in = jnp.array([[0.3, 0.0]])
    start = start_state(cell, jnp.zeros((1, 2)))
    spikes, _, _ = simulate(cell, w_in, w_rec, inputs, start)
    first, second = (np.flatnonzero(np.asarray(spikes)[:, 0, j])[0] for j in (0, 1))
    # v one step after the input, z one after that; the same again after three more steps of delay
    assert (first, second) == (1, 1 + 3 + 2)
    silent, _, _ = simulate(cell, w_in, w_rec, inputs, start, sent=jnp.ones((12, 2)).at[first, 0].set(0.0))
    assert np.flatnonzero(np.asarray(silent)[:, 0, 0])[0] == first
    assert not np.asarray(silent)[:, 0, 1].any()


def test_delayed_products_are_the_currents_of_every_delay() -> None:
    rng = np.random.default_rng(2)
    signal, weights, delays = rng.normal(size=(9, 2, 3)), rng.normal(size=(3, 4)), rng.integers(0, 5, (3, 4))
    wanted = np.zeros((9, 2, 4))
    for t in range(9):
        for i in range(3):
            for j in range(4):
                if t >= delays[i, j]:
                    wanted[t, :, j] += weights[i, j] * signal[t - delays[i, j], :, i]
    found = delayed_product(jnp.asarray(signal, jnp.float32), jnp.asarray(weights, jnp.float32), delays)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_pseudo_derivative_is_largest_at_threshold_and_ends_one_threshold_away() -> None:
    slope = jax.vmap(jax.grad(spike))
    found = slope(jnp.array([0.0, 0.5, -0.5, 1.0, -1.0, 3.0]))
    np.testing.assert_allclose(found, [0.3, 0.15, 0.15, 0.0, 0.0, 0.0], atol=1e-7)
    np.testing.assert_array_equal(spike(jnp.array([-0.1, 0.0, 0.1])), [0.0, 0.0, 1.0])


def test_a_refractory_neuron_passes_no_gradient_from_its_spike() -> None:
    cell = make_cell(beta=np.zeros(1), refractory_steps=4)

    def spikes_of(v: Any) -> Any:
        start = start_state(cell, jnp.full((1, 1), v))._replace(silent=jnp.full((1, 1), 2, jnp.int32))
        return simulate(cell, jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros((2, 1, 1)), start)[0].sum()

    assert float(spikes_of(0.011)) == 0.0
    assert float(jax.grad(spikes_of)(0.011)) == 0.0


def test_rate_penalty_counts_spikes_per_ms() -> None:
    spikes = jnp.zeros((100, 1, 2)).at[:5, :, 0].set(1.0)
    assert float(rate_penalty(spikes, step_ms=1.0, wanted_hz=10.0)) == pytest.approx(0.04**2 + 0.01**2)


def test_rates_are_of_time_whatever_the_step() -> None:
    spikes = jnp.zeros((100, 1, 2)).at[:5, :, 0].set(1.0)  # 5 in 200 ms
    assert float(rate_penalty(spikes, step_ms=2.0, wanted_hz=10.0)) == pytest.approx(0.015**2 + 0.01**2)


def test_decays_are_of_time_whatever_the_step() -> None:
    cell = make_cell(beta=np.zeros(1), step_ms=2.0, tau_ms=20.0, tau_adaptation_ms=500.0, tau_readout_ms=40.0)
    assert (cell.alpha, cell.rho, cell.kappa) == pytest.approx((np.exp(-0.1), np.exp(-0.004), np.exp(-0.05)))


def test_only_gradients_longer_than_the_limit_are_shortened() -> None:
    gradient = {"one": jnp.array([3.0]), "two": jnp.array([[0.0, -4.0]])}  # 5 long
    for limit, factor in ((None, 1.0), (10.0, 1.0), (2.5, 0.5)):
        found, finite = norm_clipped(gradient, limit)
        assert finite
        np.testing.assert_allclose(found["one"], [3.0 * factor], rtol=1e-6)
        np.testing.assert_allclose(found["two"], [[0.0, -4.0 * factor]], rtol=1e-6)
    found, finite = norm_clipped({**gradient, "two": jnp.array([[np.nan, 1.0]])}, 2.5)
    assert not finite
    assert not found["one"].any()
    assert not found["two"].any()
