"""Intervals: slopes that cannot be told, and what redrawing networks says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpcspike.intervals import difference_interval, percentile_ends, redrawn_means, slope_interval


def test_a_predictor_of_one_value_has_no_slope_and_leaves_that_of_the_others() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 2))
    y = 3.0 + 2.0 * x[:, 0] + 0.1 * rng.normal(size=30)
    alone = slope_interval(x[:, 0], y)[0]
    first, constant = slope_interval(np.column_stack([x[:, 0], np.full(30, 2.3)]), y)
    assert (first.value, first.low, first.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert np.isnan([constant.value, constant.low, constant.high]).all()
    for one in slope_interval(np.column_stack([x[:, 0], 2.0 * x[:, 0]]), y):  # which of the two it is, nothing says
        assert np.isnan(one.value)
    assert np.isnan(slope_interval(np.full(9, 5.0), np.arange(9.0))[0].value)


def test_a_difference_of_networks_that_are_not_paired_has_welchs_interval() -> None:
    first, second = np.array([0.8, 0.6, 0.5, np.nan]), np.array([0.86, 0.87, 0.85, 0.88, 0.84])
    found, welch = difference_interval(first, second), stats.ttest_ind(first[:3], second, equal_var=False)
    ends = welch.confidence_interval(0.95)
    assert found == pytest.approx((first[:3].mean() - 0.86, ends.low, ends.high, 3))
    assert np.isnan(difference_interval(first[:1], second).low)
    assert np.isnan(difference_interval(np.empty(0), second).value)
    assert difference_interval(np.full(2, 0.5), np.full(3, 0.25)) == (0.25, 0.25, 0.25, 2)


def test_redrawn_means_scatter_like_means_of_new_networks() -> None:
    table = np.full((4000, 5), np.nan)
    table[:, :4] = np.random.default_rng(1).normal(size=(4000, 4))
    table[0], table[1, 1:] = np.nan, np.nan
    draws = np.array(list(redrawn_means(table, np.random.default_rng(2), 60)))
    assert draws[:, 2:].var(axis=0).mean() == pytest.approx(1 / 4, rel=0.05)
    assert draws[:, 2:].mean() == pytest.approx(np.nanmean(table[2:]), abs=0.01)
    assert np.isnan(draws[:, 0]).all()
    assert (draws[:, 1] == table[1, 0]).all()


def test_ends_hold_the_share_asked_for() -> None:
    assert percentile_ends(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert percentile_ends(np.append(np.arange(101.0), np.full(60, np.nan)), 0.9) == pytest.approx((5.0, 95.0))
    assert np.isnan(percentile_ends(np.append(np.arange(101.0), np.full(102, np.nan)), 0.9)).all()
    assert np.isnan(percentile_ends(np.empty(0), 0.9)).all()
