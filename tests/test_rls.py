"""The RLS engines against the definition, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.rls import make_rls, reference
from hpcspike.rls.blocked import BlockedRls
from hpcspike.rls.textbook import TextbookRls
from hpcspike.spec.experiment import Training
from tests.rls_harness import Harness
from tests.small_networks import problem


def _train(
    harness: Harness, rls: Any, *, updates: int, rate: float, decay: float, gains: bool, window: int, ridge: float
) -> None:
    for step in range(updates):
        if step % window == 0:
            rls.begin_window()
            harness.live.filtered += 0.05 * harness.rng.random(len(harness.live.filtered))
        harness.pass_time(decay, rate, jump=0.5)
        n = len(harness.sources)
        target = harness.rng.standard_normal(n)
        gain = harness.rng.uniform(0.0, 0.5, n) if gains else np.ones(n)
        if gains:
            gain[harness.rng.random(n) < 0.2] = 0.0
        harness.reference_update(target, gain, ridge)
        rls.update(harness.live, target - harness.live.readout, gain)


def _compare(harness: Harness, rls: Any, tolerance: float) -> None:
    for i in range(len(harness.sources)):
        row = harness.live.weight[harness.rows.start[i] : harness.rows.start[i + 1]]
        scale = np.abs(harness.reference_weights[i]).max(initial=1e-3)
        np.testing.assert_allclose(row, harness.reference_weights[i], atol=tolerance * scale)
        np.testing.assert_allclose(
            rls.covariance(i), harness.covariances[i], atol=tolerance * np.abs(harness.covariances[i]).max(initial=1)
        )


@given(
    in_degrees=st.lists(st.integers(0, 37), min_size=1, max_size=5),
    rate=st.sampled_from([0.0, 0.01, 0.1, 0.8]),
    capacity=st.integers(1, 64),
    window=st.integers(1, 40),
    updates=st.integers(1, 80),
    gains=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_blocked_is_the_definition(
    in_degrees: list[int], rate: float, capacity: int, window: int, updates: int, gains: bool, seed: int
) -> None:
    harness = Harness(in_degrees, 40, seed=seed)
    rls = BlockedRls(
        harness.rows.start, harness.rows.presynaptic, ridge=1.0, dtype=np.dtype(np.float64), capacity=capacity
    )
    _train(harness, rls, updates=updates, rate=rate, decay=0.9, gains=gains, window=window, ridge=1.0)
    _compare(harness, rls, 1e-10)


@pytest.mark.parametrize("gains", [False, True])
def test_textbook_is_the_definition(gains: bool) -> None:
    harness = Harness([0, 1, 7, 40], 40, seed=5)
    rls = TextbookRls(harness.rows.start, harness.rows.presynaptic, ridge=0.5, dtype=np.dtype(np.float64))
    _train(harness, rls, updates=60, rate=0.1, decay=0.9, gains=gains, window=20, ridge=0.5)
    _compare(harness, rls, 1e-11)


@pytest.mark.parametrize("engine", [BlockedRls, TextbookRls])
def test_float32_follows_the_definition_to_its_precision(engine: type) -> None:
    harness = Harness([3, 24, 33], 40, seed=7, dtype=np.float32)
    options = {"capacity": 8} if engine is BlockedRls else {}
    rls = engine(harness.rows.start, harness.rows.presynaptic, ridge=1.0, dtype=np.dtype(np.float32), **options)
    _train(harness, rls, updates=100, rate=0.05, decay=0.9, gains=False, window=50, ridge=1.0)
    assert harness.live.weight.dtype == np.float32
    _compare(harness, rls, 3e-5)


@pytest.mark.parametrize("engine", [BlockedRls, TextbookRls])
def test_threads_do_not_change_a_bit(engine: type) -> None:
    results = []
    for threads in (1, 2, 3):
        harness = Harness([5, 30, 0, 12, 37, 21, 9], 40, seed=2)
        options = {"capacity": 8} if engine is BlockedRls else {}
        rls = engine(
            harness.rows.start, harness.rows.presynaptic, ridge=1.0, dtype=np.dtype(np.float64), threads=threads,
            **options,
        )  # fmt: skip
        _train(harness, rls, updates=70, rate=0.05, decay=0.9, gains=False, window=35, ridge=1.0)
        results.append((harness.live.weight.copy(), [rls.covariance(i) for i in range(7)]))
    for weight, covariances in results[1:]:
        np.testing.assert_array_equal(weight, results[0][0])
        for mine, first in zip(covariances, results[0][1], strict=True):
            np.testing.assert_array_equal(mine, first)


def test_reference_solves_the_regularised_least_squares_problem() -> None:
    # paper Eqs 20-26: started from zero weights, the recursion ends at the ridge regression solution
    rng = np.random.default_rng(0)
    inputs, targets, ridge = rng.random((200, 6)), rng.standard_normal(200), 0.7
    weights, covariance = np.zeros(6), np.eye(6) / ridge
    for r, f in zip(inputs, targets, strict=True):
        weights, covariance = reference.update(weights, covariance, r, f - weights @ r)
    gram = inputs.T @ inputs + ridge * np.eye(6)
    np.testing.assert_allclose(weights, np.linalg.solve(gram, inputs.T @ targets), rtol=1e-10)
    np.testing.assert_allclose(covariance, np.linalg.inv(gram), rtol=1e-10, atol=1e-14)


def test_kept_updates_go_by_the_in_degree_of_the_whole_network_and_not_of_a_block() -> None:
    block = problem(12)  # at most 11 inputs
    for mean, capacity in ((8.0, 4), (200.0, 20), (1e5, 64)):  # sqrt(2 K), from 4 to 64
        engine = make_rls(block, Training(n_loops=1), mean_in_degree=mean)
        assert isinstance(engine, BlockedRls)
        assert engine.capacity == capacity
