"""Spiking networks whose synapses release charge gradually while the membrane nears threshold (JAX).

The dynamics has no jump that a gradient cannot see: charge is the integral of g(v) dv with a gate g that is 1 / width
in a zone below threshold, and the reset shifts v by a constant.

Huh & Sejnowski 2018, "Gradient descent for spiking neural networks", Neural Information Processing Systems 31.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

THRESHOLD = 1.0
RESET = {"theta": 0.0, "nif": -1.0}
"""Where v is put on reaching threshold; both neurons move as fast there as at threshold, so the reset is smooth."""


@dataclass(frozen=True)
class Cell:
    """What is fixed in a network.

    Attributes
    ----------
    neuron
        "theta" or "nif".
    step_ms, tau_ms
        Integration step and membrane time constant.
    tau_syn_ms, tau_fast_ms
        Time constants of slow and fast synapses; the latter None without fast synapses.
    gate_width
        Width of the zone [1 - width, 1] of v in which charge is released.
    adjoint_clip
        Longest adjoint of a trial's state that is passed on from step to step, or None.
    """

    neuron: Literal["theta", "nif"]
    step_ms: float
    tau_ms: float
    tau_syn_ms: float
    tau_fast_ms: float | None = None
    gate_width: float = 0.3
    adjoint_clip: float | None = None

    @property
    def span(self) -> float:
        """Distance from reset to threshold."""
        return THRESHOLD - RESET[self.neuron]


class State(NamedTuple):
    """Membrane v, slow and fast synaptic traces, all (B, N).

    A trace is tau s: a full crossing of threshold releases tau_ms of its integral over time in ms.
    """

    v: jax.Array
    slow: jax.Array
    fast: jax.Array


def velocity(neuron: str, v: jax.Array, current: jax.Array) -> jax.Array:
    """tau dv/dt: the current (nif), or 1 + cos 2 pi v + (1 - cos 2 pi v) current (theta)."""
    if neuron == "nif":
        return current
    cosine = jnp.cos(2.0 * math.pi * v)
    return (1.0 + cosine) + (1.0 - cosine) * current


def released(v: jax.Array, width: float) -> jax.Array:
    """G(v), the integral of the gate: charge released on the way up to v, from 0 to 1."""
    return jnp.clip((v - (THRESHOLD - width)) / width, 0.0, 1.0)


def advance(
    cell: Cell, state: State, current: jax.Array, *, kick: jax.Array | None = None, sent: jax.Array | None = None
) -> tuple[State, jax.Array, jax.Array]:
    """One step; returns the state, where threshold was reached (B, N), and the charge released (B, N).

    Charge is taken as released evenly over the step: the integral of a trace over a run of steps is then exactly tau
    times the charge, whatever the speed of the crossing.
    """
    v = state.v + cell.step_ms / cell.tau_ms * velocity(cell.neuron, state.v, current)
    if kick is not None:
        v = v + kick
    charge = released(v, cell.gate_width) - released(state.v, cell.gate_width)
    if sent is not None:
        charge = charge * sent
    crossed = v >= THRESHOLD
    after = State(
        jnp.where(crossed, v - cell.span, v),
        _trace(state.slow, charge, cell.step_ms, cell.tau_syn_ms),
        state.fast if cell.tau_fast_ms is None else _trace(state.fast, charge, cell.step_ms, cell.tau_fast_ms),
    )
    return after, crossed, charge


def _trace(trace: jax.Array, charge: jax.Array, step_ms: float, tau_ms: float) -> jax.Array:
    left = math.exp(-step_ms / tau_ms)
    return trace * left + charge * ((1.0 - left) * tau_ms / step_ms)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _clipped(state: State, limit: float) -> State:
    """The state itself; its adjoint (v, slow, fast of a trial together) is shortened to ``limit``."""
    return state


def _clipped_forward(state: State, limit: float) -> tuple[State, None]:
    return state, None


def _clipped_backward(limit: float, _: None, adjoint: State) -> tuple[State]:
    squares = sum((part**2).sum(axis=-1, keepdims=True) for part in adjoint)
    factor = jnp.minimum(1.0, limit / jnp.sqrt(squares + 1e-30))
    return (State(*(part * factor for part in adjoint)),)


_clipped.defvjp(_clipped_forward, _clipped_backward)


def simulate(
    cell: Cell,
    current_of: Callable[[jax.Array, State], jax.Array],
    inputs: jax.Array,
    start: State,
    *,
    noise: jax.Array | None = None,
    alive: jax.Array | None = None,
    sent: jax.Array | None = None,
) -> tuple[State, jax.Array, jax.Array]:
    """Run a batch on inputs (steps, B, n_in).

    Parameters
    ----------
    cell
        Constants.
    current_of
        (input (B, n_in), state) -> current (B, N).
    inputs, start
        What enters, and the state before the first step.
    noise
        (steps, B, N) added to v in every step.
    alive
        (N,) 0 for neurons that are held where they release nothing.
    sent
        (steps, N) 0 where released charge is lost.

    Returns
    -------
    tuple
        States after every step (steps, B, N), crossings of threshold and charges released, each (steps, B, N).
    """

    def step(state: State, given: tuple) -> tuple[State, tuple[State, jax.Array, jax.Array]]:
        x, kick, kept = given
        if cell.adjoint_clip is not None:
            state = _clipped(state, cell.adjoint_clip)
        after, crossed, charge = advance(cell, state, current_of(x, state), kick=kick, sent=kept)
        if alive is not None:
            after = State(after.v * alive, after.slow * alive, after.fast * alive)
            crossed, charge = crossed & (alive > 0), charge * alive
        return after, (after, crossed, charge)

    if alive is not None:
        start = State(*(part * alive for part in start))
    _, (states, crossed, charge) = jax.lax.scan(step, start, (inputs, noise, sent))
    return states, crossed, charge
