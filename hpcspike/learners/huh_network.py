"""A network with graded synapses as one that gradient descent trains: weights, readout or drives (JAX)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.learners.adam import Weights
from hpcspike.learners.descent import Activity
from hpcspike.learners.huh_model import RESET, Cell, State, simulate
from hpcspike.learners.trials import Task
from hpcspike.model.random_streams import stream

if TYPE_CHECKING:
    from hpcspike.spec.learners import HuhLearner as HuhSection


class HuhNetwork:
    """N theta or non-leaky neurons for one task; current = W s + W_fast s_fast + U x + bias."""

    def __init__(self, task: Task, settings: HuhSection, *, n_neurons: int, seed: int, replicate: int) -> None:
        self._settings, self._task, self._n_neurons = settings, task, n_neurons
        self._cell = Cell(
            neuron=settings.neuron,
            step_ms=settings.step_ms,
            tau_ms=settings.tau_ms,
            tau_syn_ms=settings.tau_syn_ms,
            tau_fast_ms=settings.tau_fast_ms,
            gate_width=settings.gate_width,
            adjoint_clip=settings.adjoint_clip,
        )
        self.step_ms, self.kick = settings.step_ms, self._cell.span
        rng = stream(seed, replicate, "learner_weights", 0)
        n = n_neurons
        weights = {
            "w_in": settings.input_mean
            + settings.input_scale * rng.standard_normal((task.n_inputs, n)) / np.sqrt(task.n_inputs),
            "w_rec": settings.weight_scale * rng.standard_normal((n, n)) / np.sqrt(n),
        }
        if settings.tau_fast_ms is not None:
            weights["w_fast"] = np.full((n, n), -settings.fast_inhibition / n)
        if task.kind != "drive":
            weights["w_out"] = rng.standard_normal((n, task.n_outputs)) / n
            weights["b_out"] = np.zeros(task.n_outputs)
        if settings.train_bias:
            weights["bias"] = settings.bias_spread * rng.uniform(-1.0, 1.0, n)
        self.start_weights: Weights = {name: jnp.asarray(value, jnp.float32) for name, value in weights.items()}
        factors = {"w_rec": settings.slow_rate, "bias": settings.slow_rate, "w_fast": settings.fast_rate}
        self.relative_rates = {name: factors.get(name, 1.0) for name in weights}

    def random_start(self, key: jax.Array, n_batch: int) -> State:
        """Membranes uniform between reset and threshold, nothing in the synapses."""
        shape = (n_batch, self._n_neurons)
        v = jax.random.uniform(key, shape, minval=RESET[self._cell.neuron], maxval=1.0)
        return State(v, jnp.zeros(shape), jnp.zeros(shape))

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
        """Run on inputs (steps, B, n_inputs)."""
        current = self._current(weights)
        states, crossed, charge = simulate(self._cell, current, inputs, start, noise=noise, alive=alive, sent=sent)
        if self._task.kind == "drive":
            output = states.slow @ weights["w_rec"]
        else:
            output = states.slow @ weights["w_out"] + weights["b_out"]
        cost = self._settings.activity_cost * (states.slow**2).mean()
        return Activity(crossed.astype(jnp.float32), output, charge, cost)

    def _current(self, weights: Weights) -> Callable[[jax.Array, State], jax.Array]:
        constant = self._settings.bias + weights.get("bias", jnp.float32(0.0))

        def current(x: jax.Array, state: State) -> jax.Array:
            total = x @ weights["w_in"] + state.slow @ weights["w_rec"] + constant
            return total if "w_fast" not in weights else total + state.fast @ weights["w_fast"]

        return current

    def currents(self, weights: Weights, inputs: jax.Array, start: State) -> tuple[jax.Array, jax.Array]:
        """External and fast recurrent current of every neuron after each step, (steps, B, N) each."""
        states, _, _ = simulate(self._cell, self._current(weights), inputs, start)
        return inputs @ weights["w_in"], states.fast @ weights["w_fast"]

    def settle(self, before: Weights, stepped: Weights, key: jax.Array, rate: jax.Array) -> Weights:
        """Every weight is allowed."""
        return stepped

    def shown(self, weights: Weights) -> Weights:
        """The weights themselves."""
        return weights

    def n_trained(self, weights: Weights) -> int:
        """Number of weights and biases with a learning rate."""
        return sum(value.size for name, value in weights.items() if self.relative_rates[name] > 0)

    def lost(self, released: np.ndarray, step: int, neuron: int) -> np.ndarray:
        """Mask (steps, N) without the charge that led up to and came with one crossing."""
        mask = np.ones_like(released, dtype=np.float32)
        first = step
        while first > 0 and released[first - 1, neuron] > 0:
            first -= 1
        mask[first : step + 1, neuron] = 0.0
        return mask
