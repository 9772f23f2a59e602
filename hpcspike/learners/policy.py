"""Policy gradient: networks that move, and learn from the goals that they reach (JAX)."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.adam import Weights
from hpcspike.learners.descent import Batch, Descent, Network
from hpcspike.learners.interface import Rollout
from hpcspike.learners.navigation import Arena
from hpcspike.learners.trials import Stimulus

RIDGE = 1e-3
"""Penalty of the squared coefficients of the baseline, per sample."""


GOAL_GAIN = 5.0
"""Activity of place fields at the goal, which lasts for one sample, over that on the way to it."""


class ActingNetwork(Network, Protocol):
    """A differentiable network that can be run on from any state, so that what it sees may follow from what it does."""

    def go_on(
        self,
        weights: Weights,
        inputs: jax.Array,
        state: Any,
        *,
        noise: jax.Array | None = None,
        alive: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
        """Spikes, traces and outputs (steps, B, ...) on inputs (steps, B, n_inputs), and the last state."""

    def cost(self, spikes: jax.Array) -> jax.Array:
        """What the activity (steps, B, N) costs."""


class Episodes(NamedTuple):
    """What a batch did: position (samples, B, 2), at the goal (samples, B) and what it sees (samples, B, n_inputs), log
    density of its actions (samples, B), spikes (steps, B, N), and traces in every sample (samples, B, N)."""

    position: jax.Array
    reached: jax.Array
    seen: jax.Array
    log_density: jax.Array
    spikes: jax.Array
    traces: jax.Array


class PolicyDescent(Descent):
    """Steps of gradient ascent on the discounted goals to come (REINFORCE with a baseline, Williams 1992).

    In sample m a network with readouts u(m) moves by a stride in the direction of a(m) = u(m) + xi(m), with xi Gaussian
    of s.d. 1 in both components. With r(m) = 1 at the goal, else 0, weights follow

        sum_m (G(m) - V(m)) d log p(a(m) | u(m)),   G(m) = sum_{k >= 1} gamma^(k-1) r(m + k),

    with V the ridge regression of G on time, on what the network sees and on its traces, over the same batch;
    differences are in units of their s.d. Gradients pass through the network, not through the arena.
    """

    _network: ActingNetwork

    @property
    def _arena(self) -> Arena:
        assert self._task.arena is not None
        return self._task.arena

    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None, noise: float, delete_spike: int | None
    ) -> Rollout:
        """Let the network move in the arena of a stimulus, by random actions as in training."""
        if delete_spike is not None:
            raise SpecError(
                f"delete_spike = {delete_spike}: not for targets.kind = navigation; give kill or noise instead"
            )
        return super().rollout(stimulus, kill=kill, noise=noise, delete_spike=None)

    def _loss(self, weights: Weights, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        network, strength = self._network, self._settings.training_noise
        key_start, key_noise = jax.random.split(key)
        n_samples, n_batch = batch.inputs.shape[:2]
        noise = None
        if strength > 0:
            noise = self._noise(key_noise, strength, n_samples * self._substeps, n_batch)
        found = self._moved(weights, batch.inputs, key_start, noise=noise)
        worth = _to_come(found.reached, self._arena.discount)
        surprise = jax.lax.stop_gradient(worth - _expected(worth, found))
        surprise = jnp.where(found.reached, 0.0, surprise)  # where it is set to another place whatever it does
        gain = (surprise * found.log_density).mean() / (surprise.std() + 1e-6)
        cost = network.cost(found.spikes)
        return cost - gain, (self._per_second(found.reached), found.spikes.mean() * 1000.0 / network.step_ms)

    def _one_run(
        self, weights: Weights, inputs: Any, keys: Any, noise: jax.Array, alive: Any, sent: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        n_steps = inputs.shape[0] * self._substeps
        kicks = None if keys[1] is None else self._noise(keys[1], noise, n_steps, 1)
        found = self._moved(weights, inputs, keys[0], noise=kicks, alive=alive)
        return found.position[:, 0], found.spikes[:, 0] > 0, found.spikes[:, 0]

    def _per_second(self, reached: jax.Array) -> jax.Array:
        return reached.mean() * 1000.0 / self._task.grid_ms

    def _moved(
        self, weights: Weights, inputs: jax.Array, key: jax.Array, *, noise: Any = None, alive: Any = None
    ) -> Episodes:
        """Let a batch move in the arenas of ``inputs`` (samples, B, 4); noise (steps, B, N), alive (N,)."""
        arena, network, substeps = self._arena, self._network, self._substeps
        n_samples, n_batch = inputs.shape[:2]
        goal, place = jnp.asarray(inputs[..., :2], jnp.float32), jnp.asarray(inputs[..., 2:], jnp.float32)
        xi = jax.random.normal(jax.random.fold_in(key, 1), (n_samples, n_batch, 2))
        if noise is not None:
            noise = noise.reshape(n_samples, substeps, n_batch, -1)

        def sample(before: tuple, given: tuple) -> tuple[tuple, tuple]:
            (state, position), (goal, next_place, xi, kicks) = before, given
            reached = arena.reached(position, goal)
            seen = sight(arena, position, reached)
            repeated = jnp.broadcast_to(seen, (substeps, *seen.shape))
            spikes, traces, outputs, state = network.go_on(weights, repeated, state, noise=kicks, alive=alive)
            wish = outputs[-1]
            action = jax.lax.stop_gradient(wish + xi)
            log_density = -0.5 * ((action - wish) ** 2).sum(axis=-1)
            stride = arena.stride * action / jnp.linalg.norm(action, axis=-1, keepdims=True)
            after = jnp.where(reached[:, None], next_place, jnp.clip(position + stride, 0.0, 1.0))
            return (state, after), (position, reached, seen, log_density, spikes, traces[-1])

        start = network.random_start(key, n_batch), place[0]
        next_place = jnp.concatenate([place[1:], place[-1:]])
        _, found = jax.lax.scan(sample, start, (goal, next_place, xi, noise))
        episodes = Episodes(*found)
        return episodes._replace(spikes=episodes.spikes.reshape(-1, *episodes.spikes.shape[2:]))


def sight(arena: Arena, position: jax.Array, reached: jax.Array) -> jax.Array:
    """(B, n_inputs) what is seen at positions (B, 2): place fields, and again where the goal is reached (B,)."""
    width = 1.0 / max(arena.n_fields - 1, 1)
    distance = ((position[:, None] - arena.centres().astype("float32")) ** 2).sum(axis=-1)
    fields = jnp.exp(-0.5 * distance / width**2)
    return jnp.concatenate([fields, GOAL_GAIN * fields * reached[:, None]], axis=1)


def _to_come(reached: jax.Array, discount: float) -> jax.Array:
    """(samples, B) G, from whether the goal is reached (samples, B)."""

    def earlier(later: jax.Array, here: jax.Array) -> tuple[jax.Array, jax.Array]:
        return here + discount * later, later

    return jax.lax.scan(earlier, jnp.zeros(reached.shape[1]), reached.astype(jnp.float32), reverse=True)[1]


def _expected(worth: jax.Array, found: Episodes) -> jax.Array:
    """(samples, B) V, from G and what is known in every sample."""
    n_samples, n_batch = worth.shape
    time = jnp.broadcast_to(jnp.linspace(0.0, 1.0, n_samples)[:, None, None], (n_samples, n_batch, 1))
    known = jnp.concatenate([jnp.ones_like(time), time, time**2, found.seen, found.traces], axis=2)
    known = jax.lax.stop_gradient(known).reshape(n_samples * n_batch, -1)
    moments = known.T @ known + RIDGE * len(known) * jnp.eye(known.shape[1])
    return (known @ jnp.linalg.solve(moments, known.T @ worth.reshape(-1))).reshape(worth.shape)
