"""Keys, Adam, and the state of both as named arrays, for the learners that descend a gradient (JAX)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hpcspike.errors import StoreError
from hpcspike.model.random_streams import stream

Weights = dict[str, jax.Array]
"""Trained parameters by name."""


def key_of(seed: int, replicate: int, purpose: str, *index: int) -> jax.Array:
    """The key of JAX that belongs to a network, a purpose and up to three indices."""
    words = stream(seed, replicate, purpose, *index).integers(0, 2**32, 2, dtype=np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


class Adam(NamedTuple):
    """State of the optimiser: first and second moments of the gradient of every weight, and the steps so far."""

    first: Weights
    second: Weights
    steps: jax.Array


def adam_start(weights: Weights) -> Adam:
    """The optimiser before its first step."""
    zeros = {name: jnp.zeros_like(value) for name, value in weights.items()}
    return Adam(zeros, dict(zeros), jnp.zeros((), jnp.int32))


def adam_step(weights: Weights, gradient: Weights, state: Adam, rates: dict[str, jax.Array]) -> tuple[Weights, Adam]:
    """One step of Adam (0.9, 0.999, 1e-8); ``rates``: learning rate of every weight."""
    rule = optax.scale_by_adam()
    inside = optax.ScaleByAdamState(count=state.steps, mu=state.first, nu=state.second)
    direction, after = rule.update(gradient, inside, weights)
    stepped = {name: weights[name] - rates[name] * direction[name] for name in weights}
    return stepped, Adam(after.mu, after.nu, after.count)


def norm_clipped(gradient: Weights, limit: float | None) -> tuple[Weights, jax.Array]:
    """The gradient, shortened to ``limit`` if it is longer, and whether all of it is finite.

    A gradient that is not finite becomes zero; Adam must not see it.
    """
    norm = jnp.sqrt(sum(jnp.sum(value**2) for value in gradient.values()))
    finite = jnp.isfinite(norm)
    factor = jnp.where(finite, 1.0, 0.0) if limit is None else jnp.where(finite, jnp.minimum(1.0, limit / norm), 0.0)
    return {name: jnp.where(finite, value, 0.0) * factor for name, value in gradient.items()}, finite


def to_arrays(weights: Weights, adam: Adam) -> dict[str, np.ndarray]:
    """Weights and optimiser as numpy arrays by name."""
    arrays = {f"weights.{name}": np.asarray(value) for name, value in weights.items()}
    arrays |= {f"first.{name}": np.asarray(value) for name, value in adam.first.items()}
    arrays |= {f"second.{name}": np.asarray(value) for name, value in adam.second.items()}
    return arrays | {"steps": np.asarray(adam.steps)}


def from_arrays(arrays: dict[str, np.ndarray], like: Weights) -> tuple[Weights, Adam]:
    """What `to_arrays` gave; `StoreError` if the weights have other names or shapes than ``like``."""

    def part(prefix: str) -> Weights:
        found: Weights = {}
        for name, value in like.items():
            saved = arrays.get(f"{prefix}.{name}")
            if saved is None or saved.shape != value.shape or saved.dtype != value.dtype:
                raise StoreError(
                    f"the checkpoint does not hold {prefix}.{name} as {value.dtype}{list(value.shape)}: it is of "
                    "another network; choose another folder, or remove it to start anew"
                )
            found[name] = jnp.asarray(saved)
        return found

    return part("weights"), Adam(part("first"), part("second"), jnp.asarray(arrays["steps"]))
