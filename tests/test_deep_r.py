"""Rewiring: the number of connections, their signs, and their gradient."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.learners.deep_r import rewired, sparse_start, weights_of  # noqa: E402


def test_rewiring_keeps_the_number_of_connections_and_touches_only_what_it_may() -> None:
    rng = np.random.default_rng(3)
    sign = np.where(np.arange(30) < 22, 1.0, -1.0)
    strength, allowed = sparse_start(rng, n_from=30, n_to=30, connectivity=0.2, sign=sign, recurrent=True)
    assert np.count_nonzero(strength) == round(0.2 * 30 * 29)
    radius = np.abs(np.linalg.eigvals(strength * sign[:, None])).max()
    assert radius == pytest.approx(1.0, abs=1e-4)
    theta, ever = jnp.asarray(strength), set(np.flatnonzero(strength).tolist())
    for step in range(50):
        stepped = theta + 0.1 * jnp.asarray(rng.normal(size=theta.shape), jnp.float32)
        after = rewired(
            theta, stepped, jnp.asarray(allowed), jax.random.key(step), rate=jnp.float32(0.01), l1=0.1, temperature=0.01
        )
        stayed = np.asarray((theta > 0) & (after > 1e-9))
        assert int((after > 0).sum()) == int((theta > 0).sum())
        assert float(after.min()) >= 0.0
        assert not np.asarray(after)[np.arange(30), np.arange(30)].any()
        assert 0 < stayed.sum() < int((theta > 0).sum())
        theta = after
        ever |= set(np.flatnonzero(np.asarray(theta)).tolist())
    weights = np.asarray(weights_of(theta, sign[:, None]))
    assert (weights[:22] >= 0).all()
    assert (weights[22:] <= 0).all()
    assert len(ever) > 2 * round(0.2 * 30 * 29)


def test_dormant_connections_have_a_gradient_of_their_sign() -> None:
    slope = jax.grad(lambda theta: weights_of(theta, jnp.array([1.0, -1.0, -1.0])).sum())
    np.testing.assert_array_equal(slope(jnp.array([0.0, 0.0, 2.0])), [1.0, -1.0, -1.0])


def test_active_strengths_are_pulled_to_zero_by_the_rate_times_l1() -> None:
    before = jnp.array([[0.5, 0.2, 0.0, 0.3]])
    stepped = jnp.array([[0.6, 0.05, 0.4, 0.25]])
    after = rewired(
        before, stepped, jnp.ones((1, 4)), jax.random.key(0), rate=jnp.float32(0.25), l1=0.4, temperature=0.0
    )
    # one strength fell below zero; what wakes in its place has next to none
    np.testing.assert_allclose(np.asarray(after), [[0.5, 0.0, 0.0, 0.15]], atol=1e-6)
    assert int((after > 0).sum()) == 3


def test_the_walk_has_twice_the_rate_times_the_temperature_as_variance() -> None:
    before = jnp.full((200, 100), 5.0)
    after = rewired(
        before, before, jnp.ones((200, 100)), jax.random.key(1), rate=jnp.float32(0.02), l1=0.0, temperature=0.09
    )
    assert float((after - before).var()) == pytest.approx(2 * 0.02 * 0.09, rel=0.05)


def test_excitation_and_inhibition_onto_a_neuron_have_the_same_sum_where_it_has_both() -> None:
    sign = np.where(np.arange(40) < 30, 1.0, -1.0)
    rng = np.random.default_rng(5)
    strength, _ = sparse_start(rng, n_from=40, n_to=25, connectivity=0.5, sign=sign, recurrent=False)
    np.testing.assert_allclose(strength[:30].sum(axis=0), strength[30:].sum(axis=0), rtol=1e-5)
