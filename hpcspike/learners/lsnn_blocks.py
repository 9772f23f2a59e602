"""Batches of adaptive neurons on processors: kernels over blocks of trials, as one differentiable function of JAX.

On other devices `hpcspike.learners.lsnn_model.simulate` does the same by products of matrices; it states the equations,
and the tests compare the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.launcher import own_cores
from hpcspike.learners.lsnn_kernels import LANES, adjoint_block, run_block
from hpcspike.learners.lsnn_model import Cell


class _Synapses(NamedTuple):
    """Those of a matrix of weights that are not 0, by sender; see `hpcspike.learners.lsnn_kernels.run_block`."""

    begin: np.ndarray
    offset: np.ndarray
    weight: np.ndarray


def _offsets(delays: np.ndarray | None, n_from: int, n_to: int) -> np.ndarray:
    """Where what every weight sends arrives: (n_from, n_to) int64."""
    late = np.zeros((n_from, n_to), np.int64) if delays is None else delays.astype(np.int64)
    return (late * n_to + np.arange(n_to)) * LANES


def _synapses(weights: np.ndarray, offsets: np.ndarray) -> _Synapses:
    there = weights != 0
    begin = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return _Synapses(begin, offsets[there], weights[there])


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(own_cores()))


os.register_at_fork(after_in_child=_threads.cache_clear)


def _numbers(cell: Cell) -> np.ndarray:
    return np.array([cell.alpha, cell.rho, cell.kappa, cell.threshold, cell.damping], np.float32)


def _blocks(n_batch: int) -> list[tuple[int, int]]:
    """First trial and number of trials of every block."""
    return [(first, min(LANES, n_batch - first)) for first in range(0, n_batch, LANES)]


def _forward(cell: Cell, *given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and traces (steps, B, N)."""
    given = tuple(np.asarray(one) for one in given)
    whole = (*given[3].shape[:2], cell.n_neurons)
    spikes, traces = np.empty(whole, np.float32), np.empty(whole, np.float32)
    nowhere = np.zeros((0, 0), np.float32)
    runs = _runner(cell, given, spikes, traces)
    list(_threads().map(lambda block: runs(block, nowhere, nowhere, nowhere), _blocks(whole[1])))
    return spikes, traces


def _runner(cell: Cell, given: tuple[np.ndarray, ...], spikes: np.ndarray, traces: np.ndarray) -> Callable[..., None]:
    """What runs a block: (block, slope, ratio, bound)."""
    w_in, w_rec, bias, inputs, start, noise, alive, sent = given
    onto_in = _synapses(w_in, _offsets(cell.delays_in, *w_in.shape))
    onto_rec = _synapses(w_rec, _offsets(cell.delays_rec, *w_rec.shape))
    beta, numbers = cell.beta.astype(np.float32), _numbers(cell)

    def run(block: tuple[int, int], *kept: np.ndarray) -> None:
        run_block(
            inputs, *block, start, *onto_in, *onto_rec, bias, noise, alive, sent, beta, numbers, cell.n_refractory,
            cell.n_slots, spikes, traces, *kept,
        )  # fmt: skip

    return run


def _backward(cell: Cell, through_network: bool, *given: Any) -> tuple[np.ndarray, ...]:
    """Gradients of w_in, w_rec and bias, blocks added in order.

    Every block is run once more: what the way back has to know of every step takes several times the memory of the
    spikes, and moving it through JAX takes longer than computing it.
    """
    *given_forward, d_spikes, d_traces = (np.asarray(one) for one in given)
    w_in, w_rec, _, inputs = given_forward[:4]
    n, (n_steps, n_batch, _) = cell.n_neurons, inputs.shape
    spikes, traces = np.empty((n_steps, n_batch, n), np.float32), np.empty((n_steps, n_batch, n), np.float32)
    again = _runner(cell, tuple(given_forward), spikes, traces)
    all_in, all_rec = _offsets(cell.delays_in, *w_in.shape), _offsets(cell.delays_rec, *w_rec.shape)
    onto_rec, beta, numbers = _synapses(w_rec, all_rec), cell.beta.astype(np.float32), _numbers(cell)

    def run(block: tuple[int, int]) -> tuple[np.ndarray, ...]:
        kept = [np.zeros((n_steps, n * LANES), np.float32) for _ in range(3)]
        again(block, *kept)
        found = tuple(np.zeros(shape, np.float32) for shape in (w_in.shape, w_rec.shape, (n,)))
        adjoint_block(
            inputs, *block, *onto_rec, all_in, all_rec, beta, numbers, cell.n_slots, through_network, spikes, *kept,
            d_spikes, d_traces, *found,
        )  # fmt: skip
        return found

    blocks = list(_threads().map(run, _blocks(n_batch)))
    return tuple(sum(parts[1:], start=parts[0]) for parts in zip(*blocks, strict=True))


def _shapes(*shapes: tuple[int, ...]) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _spikes_and_traces(cell: Cell, through_network: bool, *given: jax.Array) -> tuple[jax.Array, jax.Array]:
    whole = (*given[3].shape[:2], cell.n_neurons)
    return jax.pure_callback(partial(_forward, cell), _shapes(whole, whole), *given)


def _with_residuals(cell: Cell, through_network: bool, *given: jax.Array) -> tuple[Any, Any]:
    return _spikes_and_traces(cell, through_network, *given), given


def _gradients(cell: Cell, through_network: bool, given: Any, found: tuple[jax.Array, jax.Array]) -> tuple:
    shapes = _shapes(*(one.shape for one in given[:3]))
    three = jax.pure_callback(partial(_backward, cell, through_network), shapes, *given, *found)
    return (*three, *(None for _ in given[3:]))


_spikes_and_traces.defvjp(_with_residuals, _gradients)


def simulate_blocks(
    cell: Cell,
    w_in: jax.Array,
    w_rec: jax.Array,
    inputs: jax.Array,
    v: jax.Array,
    *,
    bias: jax.Array,
    noise: jax.Array | None = None,
    alive: jax.Array | None = None,
    sent: jax.Array | None = None,
    through_network: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """Spikes and filtered traces (steps, B, N) of a batch that has not spiked before, from its potentials v (B, N).

    See `hpcspike.learners.lsnn_model.simulate`. What is differentiated is w_in, w_rec and bias; with ``alive`` or
    ``sent`` nothing is. ``through_network`` False: gradients do not pass from a spike to other neurons.
    """
    n = cell.n_neurons
    given = (
        w_in, w_rec, bias, inputs, v,
        jnp.zeros((0, 0, n), jnp.float32) if noise is None else noise,
        jnp.ones(n, jnp.float32) if alive is None else alive,
        jnp.zeros((0, n), jnp.float32) if sent is None else sent,
    )  # fmt: skip
    if alive is not None or sent is not None:
        given = jax.lax.stop_gradient(given)
    return _spikes_and_traces(cell, through_network, *given)
