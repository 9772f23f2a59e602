"""Rows of the weight matrix: their statistics, and that they belong to their neuron alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.model.connectivity import (
    Rows,
    build_rows,
    build_static_rows,
    constant_input,
    in_degrees,
    rows_from_dense,
    rows_from_lists,
)
from hpcspike.spec.connectivity import BalancedConnectivity, Connectivity, GaussianConnectivity, ZeroConnectivity
from tests.small_networks import experiment

KINDS = {
    "zero": ZeroConnectivity(kind="zero", probability=0.4),
    "gaussian": GaussianConnectivity(kind="gaussian", probability=0.4, sigma=3.0),
    "balanced": GaussianConnectivity(kind="gaussian", probability=0.4, sigma=3.0, zero_row_sum=True),
}


def rows_of(connectivity: Connectivity, n: int, neurons: range | None = None, *, seed: int = 1) -> Rows:
    return build_rows(connectivity, n, range(n) if neurons is None else neurons, seed=seed, replicate=0)


def dense(rows: Rows, n: int, values: np.ndarray | None = None) -> np.ndarray:
    result = np.zeros((len(rows.start) - 1, n))
    row = np.repeat(np.arange(len(result)), np.diff(rows.start))
    result[row, rows.presynaptic] = rows.weight if values is None else values
    return result


@pytest.mark.parametrize("kind", KINDS)
@given(n=st.integers(2, 40), data=st.data())
def test_a_row_is_the_same_in_every_block(kind: str, n: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, n))
    last = data.draw(st.integers(first, n))
    whole, block = rows_of(KINDS[kind], n), rows_of(KINDS[kind], n, range(first, last))
    a, b = whole.start[first], whole.start[last]
    np.testing.assert_array_equal(block.start, whole.start[first : last + 1] - a)
    np.testing.assert_array_equal(block.presynaptic, whole.presynaptic[a:b])
    np.testing.assert_array_equal(block.weight, whole.weight[a:b])
    assert (block.start.dtype, block.presynaptic.dtype, block.weight.dtype) == (np.int64, np.int32, np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_presynaptic_neurons_ascend_and_never_include_the_neuron_itself(kind: str) -> None:
    rows = rows_of(KINDS[kind], 50)
    for neuron in range(50):
        sources = rows.presynaptic[rows.start[neuron] : rows.start[neuron + 1]]
        assert (np.diff(sources) > 0).all()
        assert neuron not in sources
        assert sources[0] >= 0
        assert sources[-1] < 50


def test_probability_one_connects_everybody_else() -> None:
    rows = rows_of(ZeroConnectivity(kind="zero", probability=1.0), 7)
    np.testing.assert_array_equal(dense(rows, 7, np.ones(42)), 1 - np.eye(7))


def test_connection_probability_and_weight_scale_are_those_asked_for() -> None:
    n, p, sigma = 300, 0.4, 3.0
    rows = rows_of(KINDS["gaussian"], n)
    pairs = n * (n - 1)
    assert abs(len(rows.weight) / pairs - p) < 4 * np.sqrt(p * (1 - p) / pairs)
    scale = sigma / np.sqrt(n * p)
    assert abs(rows.weight.std() / scale - 1) < 4 / np.sqrt(2 * len(rows.weight))
    assert abs(rows.weight.mean()) < 4 * scale / np.sqrt(len(rows.weight))
    normal = rows.weight / scale  # the fourth moment tells a Gaussian from other shapes
    assert abs((normal**4).mean() - 3.0) < 0.2


def test_zero_row_sum_subtracts_each_rows_mean_and_nothing_else() -> None:
    plain, balanced = rows_of(KINDS["gaussian"], 60), rows_of(KINDS["balanced"], 60)
    np.testing.assert_array_equal(balanced.presynaptic, plain.presynaptic)
    before, after = dense(plain, 60), dense(balanced, 60)
    assert np.abs(before.sum(axis=1)).max() > 0.5
    np.testing.assert_allclose(after.sum(axis=1), 0.0, atol=1e-13)
    expected = before - (before != 0) * (before.sum(axis=1) / (before != 0).sum(axis=1))[:, None]
    np.testing.assert_allclose(after, expected, atol=1e-14)


def test_zero_connectivity_has_the_same_mask_and_no_weights() -> None:
    rows, gaussian = rows_of(KINDS["zero"], 60), rows_of(KINDS["gaussian"], 60)
    np.testing.assert_array_equal(rows.presynaptic, gaussian.presynaptic)
    assert not rows.weight.any()


def test_seed_and_replicate_make_other_networks() -> None:
    networks = [build_rows(KINDS["gaussian"], 20, range(20), seed=s, replicate=r) for s, r in ((1, 0), (2, 0), (1, 1))]
    matrices = [dense(rows, 20) for rows in networks]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert ((matrices[i] != 0) != (matrices[j] != 0)).sum() > 50


@given(n=st.integers(1, 8), seed=st.integers(0, 100))
def test_dense_matrices_and_rows_are_the_same_thing(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((n, n)) < 0.5
    weights = np.where(rng.random((n, n)) < 0.5, rng.standard_normal((n, n)), 0.0)  # a masked weight may be zero
    rows = rows_from_dense(weights, mask)
    np.testing.assert_array_equal(dense(rows, n), np.where(mask, weights, 0.0))
    np.testing.assert_array_equal(dense(rows, n, np.ones(len(rows.weight))), mask)


def test_no_rows_are_rows_too() -> None:
    rows = rows_from_lists([], [])
    assert rows.start.tolist() == [0]
    assert len(rows.presynaptic) == len(rows.weight) == 0


BALANCED = BalancedConnectivity(
    kind="balanced", excitatory_fraction=0.6, static_in_degree=4, static_ee=1.0, static_ei=-2.0, static_ie=3.0,
    static_ii=-4.0, plastic_in_degree=3, plastic_excitatory=0.5, plastic_inhibitory=-0.25, input_excitatory=0.3,
    input_inhibitory=0.2,
)  # fmt: skip


def balanced_matrices(neurons: range) -> list[np.ndarray]:
    builders = (build_rows, build_static_rows)
    return [dense(build(BALANCED, 20, neurons, seed=1, replicate=0), 20) for build in builders]


def test_balanced_rows_have_their_numbers_of_inputs_from_each_population() -> None:
    plastic, static = balanced_matrices(range(20))
    excitatory = np.arange(20) < 12
    for matrix, k in ((plastic, 3), (static, 4)):
        assert ((matrix[:, excitatory] != 0).sum(axis=1) == k).all()
        assert ((matrix[:, ~excitatory] != 0).sum(axis=1) == k).all()
        assert not np.diag(matrix).any()
        assert len({tuple(row) for row in (matrix != 0)}) > 15  # drawn for each neuron
    assert set(plastic[:, excitatory].flat) == {0.0, 0.5}
    assert set(plastic[:, ~excitatory].flat) == {0.0, -0.25}
    for rows, columns, weight in (
        (excitatory, excitatory, 1.0),
        (excitatory, ~excitatory, -2.0),
        (~excitatory, excitatory, 3.0),
        (~excitatory, ~excitatory, -4.0),
    ):
        assert set(static[np.ix_(rows, columns)].flat) == {0.0, weight}


def test_balanced_rows_are_the_same_in_every_block() -> None:
    whole = balanced_matrices(range(20))
    for first, last in ((0, 5), (10, 14), (19, 20)):
        for mine, all_rows in zip(balanced_matrices(range(first, last)), whole, strict=True):
            np.testing.assert_array_equal(mine, all_rows[first:last])


def test_every_other_neuron_can_be_drawn() -> None:
    # the neuron itself is skipped, not its neighbour
    many = [dense(build_rows(BALANCED, 20, range(20), seed=seed, replicate=0), 20) != 0 for seed in range(60)]
    np.testing.assert_array_equal(np.any(many, axis=0), ~np.eye(20, dtype=bool))


@pytest.mark.parametrize("connectivity", [*KINDS.values(), BALANCED], ids=[*KINDS, "in two populations"])
def test_in_degrees_are_known_without_building_rows(connectivity: Connectivity) -> None:
    rows = rows_of(connectivity, 20, range(3, 17))
    found = in_degrees(connectivity, 20, range(3, 17), seed=1, replicate=0)
    np.testing.assert_array_equal(found, np.diff(rows.start))


def test_only_balanced_networks_have_fixed_synapses_and_inputs_of_their_own() -> None:
    for connectivity in KINDS.values():
        rows = build_static_rows(connectivity, 20, range(5), seed=1, replicate=0)
        assert rows.start.tolist() == [0] * 6
        assert len(rows.weight) == 0
    plain = experiment(neuron={"bias": 0.1})
    np.testing.assert_array_equal(constant_input(plain, 20, range(5)), np.full(5, 0.1))
    both = experiment(neuron={"bias": 0.1}, connectivity=BALANCED.model_dump())
    np.testing.assert_allclose(constant_input(both, 20, range(10, 14)), [0.4, 0.4, 0.3, 0.3])


def test_a_share_that_is_a_whole_number_of_neurons_is_that_number() -> None:
    for n in (50, 100, 5000):
        for excitatory in range(1, n):
            section = BalancedConnectivity(kind="balanced", excitatory_fraction=excitatory / n)
            assert section.populations(n) == (excitatory, n - excitatory)
    assert BalancedConnectivity(kind="balanced", excitatory_fraction=0.58).populations(100) == (58, 42)
    assert BalancedConnectivity(kind="balanced", excitatory_fraction=0.59).populations(99) == (58, 41)
