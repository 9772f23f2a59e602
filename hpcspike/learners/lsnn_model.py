"""Recurrent networks of leaky and of adaptive integrate-and-fire neurons, differentiable through their spikes (JAX).

Bellec, Salaj, Subramoney, Legenstein & Maass 2018, "Long short-term memory and learning-to-learn in networks of spiking
neurons", Neural Information Processing Systems 31.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

DAMPING = 0.3
"""gamma of the pseudo-derivative, its value at threshold."""


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def spike(scaled: jax.Array, damping: float = DAMPING) -> jax.Array:
    """1 where the scaled distance to threshold v_s = (v - B) / B is positive, else 0."""
    return (scaled > 0).astype(scaled.dtype)


@spike.defjvp
def _spike_jvp(damping: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (scaled,), (change,) = primals, tangents
    return spike(scaled, damping), damping * jnp.maximum(0.0, 1.0 - jnp.abs(scaled)) * change


@dataclass(frozen=True, eq=False)
class Cell:
    """What is fixed in a network of N neurons.

    Attributes
    ----------
    alpha, rho, kappa
        Decay per step of the membrane, the adaptation and the filter of the readout.
    threshold
        Base threshold.
    beta
        (N,) strength of the adaptation; 0 for a leaky integrate-and-fire neuron.
    n_refractory
        Steps after a spike without another, at least 1.
    damping
        gamma of the pseudo-derivative.
    delays_in, delays_rec
        (n_in, N) and (N, N) delays in steps, or None if there are none.
    """

    alpha: float
    rho: float
    kappa: float
    threshold: float
    beta: np.ndarray
    n_refractory: int
    damping: float = DAMPING
    delays_in: np.ndarray | None = None
    delays_rec: np.ndarray | None = None

    @property
    def n_neurons(self) -> int:
        """Number of neurons N."""
        return len(self.beta)

    @property
    def n_slots(self) -> int:
        """Number of steps into the future that a spike can reach."""
        longest = [int(delays.max()) for delays in (self.delays_in, self.delays_rec) if delays is not None]
        return max(longest, default=0) + 1


def make_cell(
    *,
    beta: np.ndarray,
    step_ms: float = 1.0,
    tau_ms: float = 20.0,
    tau_adaptation_ms: float = 1200.0,
    tau_readout_ms: float = 20.0,
    threshold: float = 0.01,
    refractory_steps: int = 3,
    damping: float = DAMPING,
    delays_in: np.ndarray | None = None,
    delays_rec: np.ndarray | None = None,
) -> Cell:
    """A cell from its time constants; ``beta`` is (N,)."""
    return Cell(
        alpha=math.exp(-step_ms / tau_ms),
        rho=math.exp(-step_ms / tau_adaptation_ms),
        kappa=math.exp(-step_ms / tau_readout_ms),
        threshold=threshold,
        beta=np.asarray(beta, dtype=np.float64),
        n_refractory=refractory_steps,
        damping=damping,
        delays_in=delays_in,
        delays_rec=delays_rec,
    )


class State(NamedTuple):
    """State of a batch: v, b, z, trace of z and steps of silence left, (B, N); coming currents, (B, slots, N)."""

    v: jax.Array
    b: jax.Array
    z: jax.Array
    trace: jax.Array
    silent: jax.Array
    coming: jax.Array


def start_state(cell: Cell, v: jax.Array) -> State:
    """The state of a batch that has not spiked yet, from its membrane potentials (B, N)."""
    zero = jnp.zeros_like(v)
    return State(
        v, zero, zero, zero, jnp.zeros(v.shape, jnp.int32), jnp.zeros((v.shape[0], cell.n_slots, v.shape[1]), v.dtype)
    )


def delayed_product(signal: jax.Array, weights: jax.Array, delays: np.ndarray | None) -> jax.Array:
    """sum_i w_ij x_i(t - d_ij) of a signal (steps, B, n) that was zero before; shape (steps, B, N)."""
    if delays is None:
        return signal @ weights
    total = jnp.zeros((*signal.shape[:2], weights.shape[1]), weights.dtype)
    for delay in np.unique(delays):
        part = signal[: signal.shape[0] - delay] @ jnp.where(delays == delay, weights, 0.0)
        total = total.at[delay:].add(part)
    return total


def _by_delay(weights: jax.Array, delays: np.ndarray | None, n_slots: int) -> jax.Array:
    """Weights (n, slots N): of every delay one matrix, beside each other."""
    if delays is None:
        delays = np.zeros(weights.shape, dtype=np.int64)
    return jnp.concatenate([jnp.where(delays == delay, weights, 0.0) for delay in range(n_slots)], axis=1)


def without_diagonal(weights: jax.Array) -> jax.Array:
    """Recurrent weights without those of a neuron onto itself."""
    return weights * (1.0 - jnp.eye(weights.shape[0], dtype=weights.dtype))


def simulate(
    cell: Cell,
    w_in: jax.Array,
    w_rec: jax.Array,
    inputs: jax.Array,
    start: State,
    *,
    bias: jax.Array | None = None,
    noise: jax.Array | None = None,
    alive: jax.Array | None = None,
    sent: jax.Array | None = None,
    through_network: bool = True,
) -> tuple[jax.Array, jax.Array, State]:
    """Run a batch for as many steps as ``inputs`` has.

        I(t) = sum_i w_in,ij x_i(t - d_in,ij) + sum_i w_rec,ij z_i(t - d_rec,ij)
        b(t+1) = rho b(t) + (1 - rho) z(t),             B(t+1) = threshold + beta b(t+1)
        v(t+1) = alpha v(t) + (1 - alpha) I(t) - z(t) B(t+1)
        z(t+1) = 1 if v(t) > B(t+1) and not refractory

    It is the potential before the step that meets the new threshold, as in the authors' program.

    Parameters
    ----------
    cell
        Constants.
    w_in, w_rec
        (n_in, N) and (N, N) weights from row to column, the latter without diagonal.
    inputs
        (steps, B, n_in), numbers or bool.
    start
        State before the first step.
    bias
        (N,) current that always flows.
    noise
        (steps, B, N) added to v in every step.
    alive
        (N,) 1 for neurons that may spike, 0 for others.
    sent
        (steps, N) 1 where a spike at the end of this step reaches others, 0 where it is lost.
    through_network
        Whether gradients pass from a spike to the currents of other neurons; the weights have theirs in any case.

    Returns
    -------
    tuple
        Spikes z(t+1) (steps, B, N), their filtered traces (steps, B, N), and the last state. The trace follows
        p(t+1) = kappa p(t) + (1 - kappa) z(t+1).
    """
    beta = jnp.asarray(cell.beta, w_rec.dtype)
    n_slots, n = cell.n_slots, cell.n_neurons
    # one product per step: inputs apart would be a large array, made anew for every batch
    both = jnp.concatenate([_by_delay(w_in, cell.delays_in, n_slots), _by_delay(w_rec, cell.delays_rec, n_slots)])

    def step(state: State, given: tuple) -> tuple[State, tuple[jax.Array, jax.Array]]:
        x, kick, kept = given
        reaches = state.z if kept is None else state.z * kept[0]
        if not through_network:
            reaches = jax.lax.stop_gradient(reaches)
        senders = jnp.concatenate([x.astype(both.dtype), reaches], axis=1)
        waiting = state.coming + (senders @ both).reshape(-1, n_slots, n)
        arriving = waiting[:, 0] if bias is None else waiting[:, 0] + bias
        coming = jnp.concatenate([waiting[:, 1:], jnp.zeros_like(waiting[:, :1])], axis=1)
        b = cell.rho * state.b + (1.0 - cell.rho) * state.z
        bound = cell.threshold + beta * b
        v = cell.alpha * state.v + (1.0 - cell.alpha) * arriving - state.z * bound
        if kick is not None:
            v = v + kick
        z = jnp.where(state.silent > 0, 0.0, spike((state.v - bound) / bound, cell.damping))
        if alive is not None:
            z = z * alive
        silent = jnp.where(z > 0, cell.n_refractory, jnp.maximum(state.silent - 1, 0))
        shown = z if kept is None else z * kept[1]
        trace = cell.kappa * state.trace + (1.0 - cell.kappa) * shown
        return State(v, b, z, trace, silent, coming), (z, trace)

    kept = None
    if sent is not None:  # of the spikes that arrive in a step, and of those at its end
        kept = (jnp.concatenate([jnp.ones_like(sent[:1]), sent[:-1]]), sent)
    last, (spikes, traces) = jax.lax.scan(step, start, (inputs, noise, kept))
    return spikes, traces, last


def rate_penalty(spikes: jax.Array, *, step_ms: float, wanted_hz: float) -> jax.Array:
    """sum_j (rate_j - f0)^2 in spikes per ms, rates averaged over steps and batch."""
    rates = spikes.mean(axis=(0, 1)) / step_ms
    return jnp.sum((rates - wanted_hz / 1000.0) ** 2)
