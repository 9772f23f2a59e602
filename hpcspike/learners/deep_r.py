"""DEEP R: training with a constant number of connections, rewired at random (JAX).

Every connection has a fixed sign and a strength theta; its weight is sign * max(theta, 0), and those with theta = 0 are
dormant. Bellec, Kappel, Maass & Legenstein 2018, "Deep rewiring: training very sparse deep networks".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

AWAKENED = 1e-12
"""Strength of a connection that has just been made."""


@jax.custom_jvp
def _rectified(strength: jax.Array) -> jax.Array:
    return jnp.maximum(strength, 0.0)


@_rectified.defjvp
def _rectified_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _rectified(primals[0]), tangents[0]


def weights_of(strength: jax.Array, sign: jax.Array | np.ndarray) -> jax.Array:
    """Weights sign * max(theta, 0); the gradient on theta is sign * dL/dw, for dormant connections too."""
    return jnp.asarray(sign) * _rectified(strength)


def rewired(
    before: jax.Array,
    stepped: jax.Array,
    allowed: jax.Array,
    key: jax.Array,
    *,
    rate: jax.Array,
    l1: float,
    temperature: float,
) -> jax.Array:
    """Strengths after a step of the optimiser, with as many active connections as before it.

    Parameters
    ----------
    before, stepped
        Strengths theta before and after the optimiser's step, of one shape.
    allowed
        1 where a connection may be, 0 elsewhere (such as on the diagonal).
    key
        Decides the noise and which dormant connections wake.
    rate
        Learning rate of this step.
    l1
        Pull of active strengths towards zero, per unit of learning rate.
    temperature
        T of the random walk sqrt(2 rate T) of active strengths.
    """
    key_walk, key_wake = jax.random.split(key)
    active = before > 0
    moved = stepped - rate * l1
    if temperature > 0:
        moved = moved + jnp.sqrt(2.0 * rate * temperature) * jax.random.normal(key_walk, before.shape, before.dtype)
    strength = jnp.where(active & (moved > 0), moved, 0.0)
    missing = active.sum() - (strength > 0).sum()
    # ranks of random numbers choose uniformly without replacement; connections that exist or may not exist come last
    lot = jnp.where((strength > 0) | (allowed == 0), 2.0, jax.random.uniform(key_wake, before.shape))
    order = jnp.argsort(lot.ravel())
    rank = jnp.zeros(order.shape, jnp.int32).at[order].set(jnp.arange(order.size, dtype=jnp.int32))
    return jnp.where(rank.reshape(before.shape) < missing, AWAKENED, strength)


def sparse_start(
    rng: np.random.Generator, *, n_from: int, n_to: int, connectivity: float, sign: np.ndarray, recurrent: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Strengths of a sparse random matrix and where connections are allowed.

    Parameters
    ----------
    rng
        Random numbers.
    n_from, n_to
        Shape of the matrix.
    connectivity
        Share of the allowed entries that are connections.
    sign
        (n_from,) +1 or -1: of all weights from a neuron; zeros: every weight has a sign of its own.
    recurrent
        No connection of a neuron onto itself, and spectral radius 1.

    Returns
    -------
    tuple
        Strengths theta (n_from, n_to) >= 0, allowed (n_from, n_to) of 0 and 1; both float32. Onto every neuron,
        excitation and inhibition have the same sum where it has both.
    """
    allowed = np.ones((n_from, n_to), dtype=bool)
    if recurrent:
        np.fill_diagonal(allowed, False)
    places = np.flatnonzero(allowed)
    chosen = rng.choice(places, size=round(connectivity * len(places)), replace=False)
    strength = np.zeros((n_from, n_to))
    strength.reshape(-1)[chosen] = np.abs(rng.standard_normal(len(chosen))) + 1e-3
    excitation = strength[sign > 0].sum(axis=0)
    inhibition = strength[sign < 0].sum(axis=0)
    both = (excitation > 0) & (inhibition > 0)
    strength[sign < 0] *= np.where(both, excitation / np.where(both, inhibition, 1.0), 1.0)
    if recurrent:
        radius = np.max(np.abs(np.linalg.eigvals(strength * np.where(sign == 0, 1.0, sign)[:, None])))
        strength /= max(radius, 1e-12)
    else:
        strength /= np.sqrt(np.maximum((strength**2).sum(axis=0).mean(), 1e-12))
    return strength.astype(np.float32), allowed.astype(np.float32)
