"""P(0) of group ridges and row sums, and forgetting: engines against the least squares they solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike.errors import SpecError
from hpcspike.rls.blocked import BlockedRls
from hpcspike.rls.forgetting import ForgettingRls
from hpcspike.rls.penalties import Penalties
from hpcspike.rls.textbook import TextbookBlasRls, TextbookRls
from hpcspike.spec.validation import validate_experiment
from tests.rls_harness import Harness
from tests.small_networks import experiment

RIDGES, ROW_SUMS = np.array([0.4, 0.4, 5.0]), np.array([8.0, 8.0, 0.0])
KINDS = {"blocked": BlockedRls, "textbook": TextbookRls, "BLAS": TextbookBlasRls}


def penalties_of(harness: Harness) -> Penalties:
    """Groups in turn along each row."""
    group = (np.arange(len(harness.rows.presynaptic)) % 3).astype(np.int8)
    return Penalties(harness.rows.start, group, RIDGES, ROW_SUMS)


def engine(kind: str, harness: Harness, penalties: Penalties, dtype: Any = np.float64) -> Any:
    options: dict[str, Any] = {"capacity": 5} if kind == "blocked" else {}
    arrays = (harness.rows.start, harness.rows.presynaptic)
    return KINDS[kind](*arrays, ridge=penalties.ridge, dtype=np.dtype(dtype), penalties=penalties, **options)


def price(harness: Harness, row: int) -> np.ndarray:
    """P(0)^-1 of a row by definition."""
    low, high = harness.rows.start[row : row + 2]
    group = np.arange(low, high) % 3
    same = group[:, None] == group
    return np.diag(RIDGES[group]) + np.where(same, ROW_SUMS[group], 0.0)


def train(
    harness: Harness, rls: Any, *, updates: int, gains: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Random updates; the trains, targets and gains that there were."""
    trains, targets, all_gains = [], [], []
    for step in range(updates):
        if step % 7 == 0:
            rls.begin_window()
        harness.pass_time(0.8, 0.2, jump=0.5)
        n = len(harness.sources)
        target, gain = harness.rng.standard_normal(n), harness.rng.uniform(0.5, 1.5, n) if gains else np.ones(n)
        trains.append(harness.live.filtered.copy())
        targets.append(target)
        all_gains.append(gain)
        rls.update(harness.live, target - harness.live.readout, gain)
    return trains, targets, all_gains


@pytest.mark.parametrize("sizes", [(20, 8.0, 0.04, 23.750312, -1.2496876), (132, 8.0, 0.04, 24.810613, -0.18938677)])
def test_published_numbers(sizes: tuple[int, float, float, float, float]) -> None:
    k, of_sum, ridge, diagonal, outside = sizes
    group = np.repeat(np.array([0, 1], dtype=np.int8), k)
    penalties = Penalties(np.array([0, 2 * k]), group, np.full(2, ridge), np.full(2, of_sum))
    matrix = np.zeros((2 * k, 2 * k))
    penalties.fill(0, matrix, ridge)
    assert matrix[0, 0] == pytest.approx(diagonal, rel=1e-7)
    assert matrix[0, 1] == pytest.approx(outside, rel=1e-7)
    assert not matrix[:k, k:].any()
    assert matrix[:k, :k].sum() / k == pytest.approx(1 / (ridge + of_sum * k), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_start_is_the_inverse_of_the_penalties(kind: str) -> None:
    harness = Harness([0, 1, 5, 20], 30, seed=2)
    penalties = penalties_of(harness)
    rls = engine(kind, harness, penalties)
    for row, sources in enumerate(harness.sources):
        inverse = np.linalg.inv(price(harness, row)) if len(sources) else np.zeros((0, 0))
        np.testing.assert_allclose(rls.covariance(row), inverse, atol=1e-12)
        vector = np.arange(1.0, len(sources) + 1.0)
        np.testing.assert_allclose(penalties.product(row, vector, 0.4), inverse @ vector, atol=1e-12)
        np.testing.assert_allclose(penalties.product(row, vector, 4.0), inverse @ vector / 10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_regularised_least_squares(kind: str) -> None:
    harness = Harness([4, 20], 30, seed=3)
    rls = engine(kind, harness, penalties_of(harness))
    begin = harness.live.weight.copy()
    trains, targets, _ = train(harness, rls, updates=60)
    for row, sources in enumerate(harness.sources):
        part = slice(harness.rows.start[row], harness.rows.start[row + 1])
        q, f = np.array(trains)[:, sources], np.array(targets)[:, row]
        change = np.linalg.solve(price(harness, row) + q.T @ q, q.T @ (f - q @ begin[part]))
        np.testing.assert_allclose(harness.live.weight[part], begin[part] + change, atol=1e-9)


@pytest.mark.parametrize("gains", [False, True])
def test_engines_agree(gains: bool) -> None:
    harnesses = {kind: Harness([0, 3, 24], 40, seed=4) for kind in KINDS}
    for kind, harness in harnesses.items():
        train(harness, engine(kind, harness, penalties_of(harness)), updates=80, gains=gains)
    first, *others = (harness.live.weight for harness in harnesses.values())
    for other in others:
        assert np.abs(other - first).max() <= 1e-10 * np.abs(first).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forgetting", [0.999, 0.8])
def test_forgetting_weighs_old_errors_less(kind: str, forgetting: float) -> None:
    harness = Harness([4, 20], 30, seed=5)
    rls = ForgettingRls(engine(kind, harness, penalties_of(harness)), forgetting)
    begin, updates = harness.live.weight.copy(), 60
    trains, targets, gains = train(harness, rls, updates=updates, gains=True)
    weight = forgetting ** np.arange(updates - 1, -1, -1)
    for row, sources in enumerate(harness.sources):
        part = slice(harness.rows.start[row], harness.rows.start[row + 1])
        # the rule for rates: error f - value as it is, regressor gain times r
        gain = np.array(gains)[:, row, None]
        q, f = gain * np.array(trains)[:, sources], np.array(targets)[:, row]
        w, inverse = begin[part].copy(), price(harness, row)
        for n in range(updates):
            error = f[n] - np.array(trains)[n, sources] @ w
            inverse = forgetting * inverse + np.outer(q[n], q[n])
            w = w + error * np.linalg.solve(inverse, q[n])
        np.testing.assert_allclose(harness.live.weight[part], w, atol=1e-8)
        np.testing.assert_allclose(rls.covariance(row), np.linalg.inv(inverse), rtol=1e-6, atol=1e-9)
        total = forgetting**updates * price(harness, row) + (q * weight[:, None]).T @ q
        np.testing.assert_allclose(inverse, total, rtol=1e-9)


def test_a_row_that_is_started_anew_has_ten_times_all_penalties() -> None:
    harness = Harness([6, 9], 30, seed=6)
    rls = engine("blocked", harness, penalties_of(harness))
    train(harness, rls, updates=3)
    rls._scalars[1, 1] = -1.0
    rls.pass_updates(1, harness.live, np.zeros(2), np.ones(2))
    np.testing.assert_allclose(rls.covariance(1), np.linalg.inv(10.0 * price(harness, 1)), atol=1e-12)


def test_forgetting_is_refused_beside_a_sign_rule() -> None:
    document = experiment().model_dump(mode="json")
    document["training"] |= {"forgetting": 0.99, "sign_rule": "reject"}
    with pytest.raises(SpecError, match=r"training\.forgetting = 0\.99"):
        validate_experiment(document)


def test_a_ridge_of_nothing_is_refused() -> None:
    document = experiment().model_dump(mode="json")
    document["training"] |= {"feed_forward_ridge": 2.0}
    with pytest.raises(SpecError, match=r"feed_forward\.n_neurons = 0"):
        validate_experiment(document)
