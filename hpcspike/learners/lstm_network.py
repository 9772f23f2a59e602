"""A long short-term memory network as one that gradient descent trains (JAX)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.learners.adam import Weights
from hpcspike.learners.descent import Activity
from hpcspike.learners.trials import Task
from hpcspike.model.random_streams import stream

if TYPE_CHECKING:
    from hpcspike.spec.learners import LstmLearner as LstmSection

N_GATES = 4
"""Input, forget and output gate, and the value that is written: the first axis of weights."""


class State(NamedTuple):
    """Cells and outputs of the units, both (B, N)."""

    v: jax.Array
    h: jax.Array


class LstmNetwork:
    """N units: with (i, f, o, g) = W_in x + W_rec h + bias,

    c(t+1) = sigmoid(f) c(t) + sigmoid(i) tanh(g),   h(t+1) = sigmoid(o) tanh(c(t+1)).
    """

    def __init__(self, task: Task, settings: LstmSection, *, n_neurons: int, seed: int, replicate: int) -> None:
        self._n_neurons, self.step_ms, self.kick = n_neurons, settings.step_ms, 1.0
        rng = stream(seed, replicate, "learner_weights", 0)
        n, n_in = n_neurons, task.n_inputs
        bias = np.zeros((N_GATES, n))
        bias[1] = settings.forget_bias  # open at first: what is written stays
        weights = {
            "w_in": rng.standard_normal((N_GATES, n_in, n)) / np.sqrt(n_in),
            "w_rec": rng.standard_normal((N_GATES, n, n)) / np.sqrt(n),
            "bias": bias,
            "w_out": rng.standard_normal((n, task.n_outputs)) / np.sqrt(n),
            "b_out": np.zeros(task.n_outputs),
        }
        self.start_weights: Weights = {name: jnp.asarray(value, jnp.float32) for name, value in weights.items()}
        self.relative_rates = dict.fromkeys(weights, 1.0)

    def random_start(self, key: jax.Array, n_batch: int) -> State:
        """Empty cells; nothing is drawn."""
        nothing = jnp.zeros((n_batch, self._n_neurons))
        return State(nothing, nothing)

    def run(
        self,
        weights: Weights,
        inputs: jax.Array,
        start: State,
        *,
        noise: jax.Array | None = None,
        alive: jax.Array | None = None,
        sent: jax.Array | None = None,
    ) -> Activity:
        """Run on inputs (steps, B, n_inputs); noise is added to the cells, ``alive`` 0 is an output of 0."""
        n = self._n_neurons
        # one product for all gates, (from, gates N)
        both = jnp.concatenate([weights["w_in"], weights["w_rec"]], axis=1)
        both = jnp.moveaxis(both, 0, 1).reshape(-1, N_GATES * n)
        bias = weights["bias"].reshape(-1)

        def step(state: State, given: tuple) -> tuple[State, jax.Array]:
            x, kick = given
            gates = jnp.concatenate([x.astype(both.dtype), state.h], axis=1) @ both + bias
            write, forget, show, value = jnp.split(gates, N_GATES, axis=1)
            cell = jax.nn.sigmoid(forget) * state.v + jax.nn.sigmoid(write) * jnp.tanh(value)
            if kick is not None:
                cell = cell + kick
            out = jax.nn.sigmoid(show) * jnp.tanh(cell)
            if alive is not None:
                out = out * alive
            return State(cell, out), out

        _, shown = jax.lax.scan(step, start, (inputs, noise))
        silent = jnp.zeros_like(shown)
        return Activity(silent, shown @ weights["w_out"] + weights["b_out"], silent, jnp.float32(0.0))

    def settle(self, before: Weights, stepped: Weights, key: jax.Array, rate: jax.Array) -> Weights:
        """Every weight is allowed."""
        return stepped

    def shown(self, weights: Weights) -> Weights:
        """The weights themselves."""
        return weights

    def n_trained(self, weights: Weights) -> int:
        """Number of weights and biases."""
        return sum(value.size for value in weights.values())

    def lost(self, released: np.ndarray, step: int, neuron: int) -> np.ndarray:
        """There are no spikes to lose."""
        raise NotImplementedError("units of an LSTM have no spikes")
