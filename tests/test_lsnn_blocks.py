"""Kernels over blocks of trials against the products of matrices that define the network, forward and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.learners import lsnn_blocks  # noqa: E402
from hpcspike.learners.lsnn_blocks import simulate_blocks  # noqa: E402
from hpcspike.learners.lsnn_kernels import LANES  # noqa: E402
from hpcspike.learners.lsnn_model import Cell, make_cell, simulate, start_state  # noqa: E402

N, N_IN, STEPS = 12, 5, 60


class Problem:
    """A network of leaky and adaptive neurons with random delays, its input, and a loss of spikes and traces."""

    def __init__(self, *, n_batch: int, n_delays: int = 4, share: float = 1.0, binary: bool = True) -> None:
        rng = np.random.default_rng(7)
        delays = [rng.integers(0, n_delays, shape) for shape in ((N_IN, N), (N, N))]
        self.cell: Cell = make_cell(
            beta=np.where(np.arange(N) < N // 2, 0.0, 1.7), tau_adaptation_ms=100.0, delays_in=delays[0],
            delays_rec=delays[1],
        )  # fmt: skip
        w_in, w_rec = (rng.standard_normal(d.shape) * (rng.random(d.shape) < share) / np.sqrt(len(d)) for d in delays)
        np.fill_diagonal(w_rec, 0.0)
        self.weights = tuple(jnp.asarray(w, jnp.float32) for w in (w_in, w_rec, np.full(N, 0.002)))
        self.inputs: Any = rng.random((STEPS, n_batch, N_IN)) < 0.05
        if not binary:
            self.inputs = (self.inputs * rng.standard_normal(self.inputs.shape)).astype(np.float32)
        self.v = jnp.asarray(rng.random((n_batch, N)) * 0.01, jnp.float32)
        self.noise = jnp.asarray(1e-3 * rng.standard_normal((STEPS, n_batch, N)), jnp.float32)
        self.loss_of = [jnp.asarray(rng.standard_normal((STEPS, n_batch, N)), jnp.float32) for _ in range(2)]

    def by_products(self, weights: Any, **options: Any) -> Any:
        w_in, w_rec, bias = weights
        start = start_state(self.cell, self.v)
        return simulate(self.cell, w_in, w_rec, self.inputs, start, bias=bias, **options)[:2]

    def by_blocks(self, weights: Any, **options: Any) -> Any:
        w_in, w_rec, bias = weights
        return simulate_blocks(self.cell, w_in, w_rec, self.inputs, self.v, bias=bias, **options)

    def gradients(self, run: Any, **options: Any) -> Any:
        def loss(weights: Any) -> Any:
            spikes, traces = run(weights, **options)
            return (self.loss_of[0] * spikes).sum() + (self.loss_of[1] * traces).sum()

        return jax.jit(jax.grad(loss))(self.weights)


@pytest.mark.parametrize(
    ("case", "noisy"),
    [({"n_batch": 3}, False), ({"n_batch": LANES + 1, "share": 0.5}, True), ({"n_batch": 2, "binary": False}, False)],
)
def test_spikes_and_gradients_are_those_of_products_of_matrices(case: dict[str, Any], noisy: bool) -> None:
    problem = Problem(**case)
    options = {"noise": problem.noise} if noisy else {"through_network": case["n_batch"] == 2}
    wanted, found = (run(problem.weights, **options) for run in (problem.by_products, problem.by_blocks))
    assert 0.02 < float(wanted[0].mean()) < 0.2
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-7)
    wanted, found = (problem.gradients(run, **options) for run in (problem.by_products, problem.by_blocks))
    for one, other in zip(wanted, found, strict=True):
        assert float(jnp.abs(one).max()) > 1.0
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-4 * float(jnp.abs(one).max()))


def test_the_gradient_without_the_network_is_another() -> None:
    problem = Problem(n_batch=3)
    whole, local = (problem.gradients(problem.by_blocks, through_network=yes) for yes in (True, False))
    assert not np.allclose(whole[1], local[1], rtol=0.05, atol=0.0)


def test_silent_neurons_and_lost_spikes_are_those_of_products_of_matrices() -> None:
    problem = Problem(n_batch=2)
    spikes = np.asarray(problem.by_blocks(problem.weights)[0])
    busiest = spikes.sum(axis=(0, 1)).argmax()
    alive, sent = jnp.ones(N).at[busiest].set(0.0), jnp.ones((STEPS, N)).at[:, busiest].set(0.0)
    for options in ({"alive": alive}, {"sent": sent}):
        wanted, found = (run(problem.weights, **options) for run in (problem.by_products, problem.by_blocks))
        others = np.arange(N) != busiest
        assert not np.array_equal(found[0][:, :, others], spikes[:, :, others])
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-7)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    problem = Problem(n_batch=2 * LANES + 3)
    found = []
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as threads:
            monkeypatch.setattr(lsnn_blocks, "_threads", lambda threads=threads: threads)
            found.append((problem.by_blocks(problem.weights), problem.gradients(problem.by_blocks)))
    for one, other in zip(jax.tree.leaves(found[0]), jax.tree.leaves(found[1]), strict=True):
        np.testing.assert_array_equal(one, other)
