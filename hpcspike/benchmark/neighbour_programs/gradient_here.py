"""Forward and backward through a network of the gradient learners here (JAX), one thread, or the peak of a product."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np
from turns import asked_for, processor_seconds, take_turns  # type: ignore[import-not-found]

from hpcspike.learners import huh_model, lsnn_model

case = asked_for()
N, BATCH, STEPS = case["n_neurons"], case["batch"], case["steps"]
rng = np.random.default_rng(case["seed"])


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(rng.standard_normal(shape) / np.sqrt(shape[0]), jnp.float32)


def _connected(*shape: int) -> jax.Array:
    there = rng.random(shape) < case["connectivity"]
    return _normal(*shape) * there / np.sqrt(case["connectivity"])


def lsnn() -> Callable[..., Any]:
    """(weights, inputs) -> readouts (steps, B, d) and spikes (steps, B, N) of leaky neurons, some of them adaptive."""
    delays = case["n_delays"]
    late = [rng.integers(0, delays, shape) if delays > 1 else None for shape in ((case["n_inputs"], N), (N, N))]
    cell = lsnn_model.make_cell(
        beta=np.where(np.arange(N) < case["n_adaptive"], 1.8, 0.0), refractory_steps=5, delays_in=late[0],
        delays_rec=late[1],
    )  # fmt: skip
    v = jnp.zeros((BATCH, N), jnp.float32)

    def run(weights: dict[str, jax.Array], inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        currents = weights["w_in"], lsnn_model.without_diagonal(weights["w_rec"])
        if delays > 1 and case["by_synapses"]:
            from hpcspike.learners.lsnn_blocks import simulate_blocks

            spikes, traces = simulate_blocks(cell, *currents, inputs, v, bias=jnp.zeros(N, jnp.float32))
        else:
            spikes, traces, _ = lsnn_model.simulate(cell, *currents, inputs, lsnn_model.start_state(cell, v))
        return traces @ weights["w_out"], spikes

    return run


def huh() -> Callable[..., Any]:
    """The same of neurons with graded synapses."""
    cell = huh_model.Cell("theta", step_ms=2.0, tau_ms=25.0, tau_syn_ms=250.0, gate_width=0.6, adjoint_clip=3e-4)
    v = jnp.asarray(rng.uniform(0.0, 1.0, (BATCH, N)), jnp.float32)
    start = huh_model.State(v, jnp.zeros_like(v), jnp.zeros_like(v))

    def run(weights: dict[str, jax.Array], inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        def current(x: jax.Array, state: huh_model.State) -> jax.Array:
            return x @ weights["w_in"] + state.slow @ weights["w_rec"]

        states, crossed, _ = huh_model.simulate(cell, current, inputs, start)
        return states.slow @ weights["w_out"], crossed

    return run


def passes() -> Callable[[], dict[str, float]]:
    """One pass forward and one forward and backward through the squared error of the readouts."""
    weights = {
        "w_in": _connected(case["n_inputs"], N), "w_rec": 0.3 * _connected(N, N),
        "w_out": _normal(N, case["n_outputs"]),
    }  # fmt: skip
    inputs = jnp.asarray(rng.random((STEPS, BATCH, case["n_inputs"])) < 0.05, jnp.float32)
    wanted = jnp.asarray(rng.standard_normal((STEPS, BATCH, case["n_outputs"])), jnp.float32)
    run = {"lsnn": lsnn, "huh": huh}[case["model"]]()

    def loss(weights: dict[str, jax.Array], inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        output, spikes = run(weights, inputs)
        return ((output - wanted) ** 2).mean(), spikes.mean()

    forward = jax.jit(lambda *given: loss(*given))
    both = jax.jit(partial(jax.value_and_grad(loss, has_aux=True)))
    calls = {name: partial(_waited, function, weights, inputs) for name, function in
             (("forward", forward), ("both", both))}  # fmt: skip
    share = float(calls["forward"]()[1])
    calls["both"]()  # compiled
    return lambda: {name: processor_seconds(call) for name, call in calls.items()} | {"share": share}


def _waited(function: Callable[..., Any], *given: Any) -> Any:
    return jax.block_until_ready(function(*given))


def peak() -> Callable[[], dict[str, float]]:
    """Multiply-adds per second of a large product in single precision, by JAX and by NumPy."""
    size = case["n_neurons"]
    matrix = rng.random((size, size)).astype(np.float32)
    here, product = jnp.asarray(matrix), jax.jit(lambda a: a @ a)
    calls: dict[str, Callable[[], Any]] = {"jax": partial(_waited, product, here), "numpy": lambda: matrix @ matrix}
    for call in calls.values():
        call()
    return lambda: {name: size**3 / processor_seconds(call) for name, call in calls.items()}


began = time.process_time()
turn = peak() if case["model"] == "peak" else passes()
take_turns(f"JAX {jax.__version__}, {time.process_time() - began:.1f} s to compile", 0, turn)
