"""An LSNN as a network that gradient descent trains: weights, readout or drives, and rewiring (JAX)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.learners.adam import Weights
from hpcspike.learners.deep_r import rewired, sparse_start, weights_of
from hpcspike.learners.descent import Activity
from hpcspike.learners.lsnn_blocks import simulate_blocks
from hpcspike.learners.lsnn_model import (
    State,
    delayed_product,
    make_cell,
    rate_penalty,
    simulate,
    start_state,
    without_diagonal,
)
from hpcspike.learners.trials import Task
from hpcspike.model.random_streams import stream

if TYPE_CHECKING:
    from hpcspike.spec.learners import AdaptiveNetwork, EpropLearner


class LsnnNetwork:
    """N neurons, the last ``adaptive_share`` of them adaptive, for one task."""

    _through_network = True

    def __init__(self, task: Task, settings: AdaptiveNetwork, *, n_neurons: int, seed: int, replicate: int) -> None:
        self._settings, self._task, self._n_neurons = settings, task, n_neurons
        self.step_ms = settings.step_ms
        self.kick = settings.threshold
        n_adaptive = round(settings.adaptive_share * n_neurons)
        rng = stream(seed, replicate, "learner_weights", 0)
        shapes = {"w_in": (task.n_inputs, n_neurons), "w_rec": (n_neurons, n_neurons)}
        delays = {name: None if settings.n_delays == 1 else rng.integers(0, settings.n_delays, shape)
                  for name, shape in shapes.items()}  # fmt: skip
        self._cell = make_cell(
            beta=np.where(np.arange(n_neurons) >= n_neurons - n_adaptive, settings.beta, 0.0),
            step_ms=settings.step_ms,
            tau_ms=settings.tau_ms,
            tau_adaptation_ms=settings.tau_adaptation_ms,
            tau_readout_ms=settings.tau_readout_ms,
            threshold=settings.threshold,
            refractory_steps=max(1, round(settings.refractory_ms / settings.step_ms)),
            damping=settings.damping,
            delays_in=delays["w_in"],
            delays_rec=delays["w_rec"],
        )
        if task.kind != "drive":
            shapes["w_out"] = (n_neurons, task.n_outputs)
        self._sign: dict[str, np.ndarray] = {}
        self._allowed: dict[str, np.ndarray] = {}
        weights = {}
        for name, shape in shapes.items():
            if settings.connectivity is None:
                scale = (settings.weight_scale if name == "w_rec" else 1.0) / np.sqrt(shape[0])
                weights[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
            else:
                weights[name] = self._sparse(rng, name, shape, settings.connectivity)
        if settings.train_bias:
            weights["bias"] = np.zeros(n_neurons, dtype=np.float32)
        if task.kind != "drive":
            weights["b_out"] = np.zeros(task.n_outputs, dtype=np.float32)
        self.start_weights: Weights = {name: jnp.asarray(value) for name, value in weights.items()}
        self.relative_rates = dict.fromkeys(weights, 1.0)

    def _sparse(self, rng: np.random.Generator, name: str, shape: tuple[int, ...], connectivity: float) -> np.ndarray:
        n_from, n_to = shape
        if name == "w_out":  # readouts are no neurons: their weights may have any sign
            entries = rng.choice([-1.0, 1.0], size=shape)
            strength, self._allowed[name] = sparse_start(
                rng, n_from=n_from, n_to=n_to, connectivity=connectivity, sign=np.zeros(n_from), recurrent=False
            )
            self._sign[name] = entries.astype(np.float32)
            return strength
        dale = np.where(rng.permutation(n_from) < round(0.75 * n_from), 1.0, -1.0)
        strength, self._allowed[name] = sparse_start(
            rng, n_from=n_from, n_to=n_to, connectivity=connectivity, sign=dale, recurrent=name == "w_rec"
        )
        self._sign[name] = np.broadcast_to(dale[:, None], shape).astype(np.float32)
        return strength

    def random_start(self, key: jax.Array, n_batch: int) -> State:
        """Potentials uniform between rest and threshold."""
        threshold = self._settings.threshold
        return start_state(self._cell, jax.random.uniform(key, (n_batch, self._n_neurons), maxval=threshold))

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
        cell, settings = self._cell, self._settings
        acting, currents, bias = self._acting(weights)
        options: dict[str, Any] = {"bias": bias, "noise": noise, "alive": alive, "sent": sent}
        options["through_network"] = self._through_network
        if cell.n_slots > 1 and jax.default_backend() == "cpu":
            # without delays products of matrices are as fast: 0.4 s of CPU for both at 220 neurons, batch 32, 840 steps
            spikes, traces = simulate_blocks(cell, *currents, inputs, start.v, **options)
        else:
            spikes, traces, _ = simulate(cell, *currents, inputs, start, **options)
        if self._task.kind == "drive":
            unit = settings.drive_unit * settings.threshold
            output = delayed_product(traces, acting["w_rec"], cell.delays_rec) / unit
        else:
            output = self._read(traces, acting["w_out"]) + acting["b_out"]
        return Activity(spikes, output, spikes, self.cost(spikes))

    def go_on(
        self,
        weights: Weights,
        inputs: jax.Array,
        state: State,
        *,
        noise: jax.Array | None = None,
        alive: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array, jax.Array, State]:
        """Spikes, traces and outputs (steps, B, ...) on inputs (steps, B, n_inputs) from any state; the last state."""
        acting, currents, bias = self._acting(weights)
        spikes, traces, last = simulate(self._cell, *currents, inputs, state, bias=bias, noise=noise, alive=alive)
        return spikes, traces, self._read(traces, acting["w_out"]) + acting["b_out"], last

    def cost(self, spikes: jax.Array) -> jax.Array:
        """What the activity (steps, B, N) costs."""
        settings = self._settings
        return settings.rate_cost * rate_penalty(spikes, step_ms=self.step_ms, wanted_hz=settings.rate_hz)

    def _acting(self, weights: Weights) -> tuple[Weights, tuple[jax.Array, jax.Array], jax.Array]:
        """Weights as they act, those of inputs (with their gain) and of spikes, and the constant currents (N,)."""
        settings, acting = self._settings, self.shown(weights)
        bias = settings.threshold * (settings.bias + weights.get("bias", 0.0)) * jnp.ones(self._n_neurons)
        return acting, (settings.input_gain * acting["w_in"], acting["w_rec"]), bias

    def _read(self, traces: jax.Array, w_out: jax.Array) -> jax.Array:
        return traces @ w_out

    def settle(self, before: Weights, stepped: Weights, key: jax.Array, rate: jax.Array) -> Weights:
        """Rewire, if the number of connections is bound."""
        if self._settings.connectivity is None:
            return stepped
        settled = dict(stepped)
        for number, name in enumerate(self._sign):
            settled[name] = rewired(
                before[name],
                stepped[name],
                jnp.asarray(self._allowed[name]),
                jax.random.fold_in(key, number),
                rate=rate,
                l1=self._settings.rewiring_l1,
                temperature=self._settings.rewiring_temperature,
            )
        return settled

    def shown(self, weights: Weights) -> Weights:
        """The weights as they act: signed, and no neuron onto itself."""
        acting = dict(weights) | {name: weights_of(weights[name], sign) for name, sign in self._sign.items()}
        return acting | {"w_rec": without_diagonal(acting["w_rec"])}

    def n_trained(self, weights: Weights) -> int:
        """Number of weights and biases; with a bound on the connections, of those that exist."""
        if self._settings.connectivity is not None:
            return sum(int((value > 0).sum()) if name in self._sign else value.size for name, value in weights.items())
        return sum(value.size for value in weights.values()) - self._n_neurons

    def lost(self, released: np.ndarray, step: int, neuron: int) -> np.ndarray:
        """Mask (steps, N) without one spike."""
        mask = np.ones_like(released, dtype=np.float32)
        mask[step, neuron] = 0.0
        return mask


class EpropNetwork(LsnnNetwork):
    """The same network, whose gradients stay in a neuron and reach it from the readouts alone.

    With e_ij(t) the eligibility trace of a synapse, the derivative of z_j(t) by its weight through the state of neuron
    j alone (its potential, adaptation and reset), and the learning signal L_j(t) = sum_k B_jk dE/dy_k(t),

        dE/dw_ij = sum_t L_j(t) sum_{t' <= t} (1 - kappa) kappa^(t - t') e_ij(t')

    The sum over time is taken backwards, neuron by neuron, which gives the same number as traces that run forward, one
    for every synapse and trial.
    """

    _through_network = False

    def __init__(self, task: Task, settings: EpropLearner, *, n_neurons: int, seed: int, replicate: int) -> None:
        super().__init__(task, settings, n_neurons=n_neurons, seed=seed, replicate=replicate)
        self._feedback = None
        if settings.feedback == "random":
            rng = stream(seed, replicate, "learner_weights", 1)
            random = rng.standard_normal((n_neurons, task.n_outputs)) / np.sqrt(n_neurons)
            self._feedback = jnp.asarray(random, jnp.float32)

    def _read(self, traces: jax.Array, w_out: jax.Array) -> jax.Array:
        if self._feedback is None:
            return traces @ w_out
        back = traces @ self._feedback
        # the value of the first term alone; its gradient by the traces is the second's
        return jax.lax.stop_gradient(traces) @ w_out + (back - jax.lax.stop_gradient(back))
