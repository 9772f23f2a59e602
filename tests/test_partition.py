"""Contiguous blocks of about equal work."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.partition import balanced_bounds

COSTS = st.lists(st.floats(0, 1e6), min_size=0, max_size=40)


@given(cost=COSTS, parts=st.integers(1, 12))
def test_every_neuron_belongs_to_exactly_one_part(cost: list[float], parts: int) -> None:
    bounds = balanced_bounds(np.array(cost), parts)
    assert bounds.dtype == np.int64
    assert len(bounds) == parts + 1
    assert bounds[0] == 0
    assert bounds[-1] == len(cost)
    assert (np.diff(bounds) >= 0).all()


@given(cost=COSTS, parts=st.integers(1, 12))
def test_no_part_is_heavier_than_its_share_and_one_neuron(cost: list[float], parts: int) -> None:
    bounds = balanced_bounds(np.array(cost), parts)
    weight = np.array(cost) + 1.0
    share = weight.sum() / parts + weight.max(initial=0.0)
    for first, last in zip(bounds, bounds[1:], strict=False):
        assert weight[first:last].sum() <= share * (1 + 1e-12)


def test_equal_neurons_are_dealt_out_evenly() -> None:
    np.testing.assert_array_equal(balanced_bounds(np.full(12, 7.0), 4), [0, 3, 6, 9, 12])
    np.testing.assert_array_equal(balanced_bounds(np.zeros(6), 3), [0, 2, 4, 6])


def test_more_parts_than_neurons_leave_some_empty() -> None:
    assert (np.diff(balanced_bounds(np.ones(2), 5)) > 0).sum() == 2
