"""The small kernels around a weight update against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.engine.training_kernels import goal_statistics, squared_changes


@pytest.mark.parametrize("n", [1, 5])
def test_statistics_of_goals_do_not_depend_on_how_many_there_are(n: int) -> None:
    goals = np.random.default_rng(0).standard_normal((300, 5)) + 7.0
    goals[:, 3] = 0.1  # its mean of 300 is not 0.1 to the bit
    mean, variation = np.full((2, 5), np.nan)
    for first in range(0, 5, n):
        part = slice(first, first + n)
        goal_statistics(np.ascontiguousarray(goals[:, part]), mean[part], variation[part])
    total = np.zeros(5)
    for row in goals:
        total += row
    np.testing.assert_array_equal(mean, total / 300)
    np.testing.assert_allclose(variation, ((goals - goals.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-12, atol=1e-20)
    assert variation[3] == 0.0
    assert (variation[[0, 1, 2, 4]] > 100).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_squared_changes_are_summed_row_by_row_in_double_precision(dtype: type) -> None:
    rng = np.random.default_rng(1)
    start = np.array([0, 4, 4, 9], dtype=np.int64)
    now, before = rng.standard_normal((2, 9)).astype(dtype)
    result = np.full(3, np.nan)
    squared_changes(start, now, before, result)
    squares = (now.astype(np.float64) - before.astype(np.float64)) ** 2
    np.testing.assert_allclose(result, [squares[:4].sum(), 0.0, squares[4:].sum()], rtol=1e-15)
