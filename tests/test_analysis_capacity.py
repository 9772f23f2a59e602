"""The capacity is the planted slope, and censored, non-monotone and missing cells do what the options say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.analysis import capacity
from hpcspike.analysis.limits_fit import line_fits, longest_learned
from hpcspike.errors import DataError
from tests.synthetic import Columns, synthetic_sweep

TAU_CORR = (50.0, 100.0, 150.0, 200.0)
DURATION = tuple(250.0 * k for k in range(1, 21))


def falling(slope: Callable[[np.ndarray], np.ndarray], steepness: float = 1e-4) -> Callable[[Columns], np.ndarray]:
    """Performance that crosses 0.7 at T = slope(N) * tau_c, on a straight line in T."""

    def correlation(p: Columns) -> np.ndarray:
        return 0.7 - steepness * (p["duration_ms"] - slope(p["n_neurons"]) * p["tau_corr_ms"])

    return correlation


def planted(slope: float | Callable[[np.ndarray], np.ndarray], *, steepness: float = 1e-4, **options) -> xr.Dataset:
    law = falling(slope if callable(slope) else lambda n: slope + 0 * n, steepness)
    axes = {"tau_corr_ms": TAU_CORR, "duration_ms": DURATION, "replicates": 1, "n_loops": 1}
    return synthetic_sweep(**{**axes, "correlation": law, **options})


def test_interpolated_t_max_and_capacity_are_the_planted_ones() -> None:
    found = capacity(planted(12.3), interpolate=True).squeeze()
    np.testing.assert_allclose(found["longest_learned"], 12.3 * np.array(TAU_CORR))
    assert found["capacity"].item() == pytest.approx(12.3)
    assert found["capacity_one_sided"].item() == pytest.approx(12.3)
    assert found["capacity_residual"].item() == pytest.approx(0.0, abs=1e-9)
    assert (found["censoring"] == 0).all()
    assert found["n_measured"].item() == 4
    assert found["capacity_kind"].item() == 0


def test_without_interpolation_t_max_is_the_longest_tested_window_that_was_learned() -> None:
    found = capacity(planted(12.3)).squeeze()
    t_max = np.array([500.0, 1000.0, 1750.0, 2250.0])  # 615, 1230, 1845, 2460 rounded down to the grid
    np.testing.assert_array_equal(found["longest_learned"], t_max)
    expected = np.sum(t_max * TAU_CORR) / np.sum(np.square(TAU_CORR))
    assert found["capacity"].item() == pytest.approx(expected)


def test_every_size_has_its_own_slope() -> None:
    sweep = planted(lambda n: n / 50.0, n_neurons=(500, 750, 1000))
    found = capacity(sweep, interpolate=True).squeeze()
    np.testing.assert_allclose(found["capacity"], [10.0, 15.0, 20.0])


def test_the_threshold_dimension_shows_the_sensitivity() -> None:
    found = capacity(planted(12.3), threshold=(0.6, 0.7), interpolate=True).squeeze()
    assert found["threshold"].values.tolist() == [0.6, 0.7]
    np.testing.assert_allclose(
        found["longest_learned"], 12.3 * np.array(TAU_CORR) + np.array([[1000.0], [0.0]]), rtol=1e-12
    )
    assert found["capacity"][0] > found["capacity"][1]


def test_cells_that_learned_even_the_longest_window_are_flagged_and_left_out() -> None:
    sweep = planted(12.3, duration_ms=DURATION[:6])  # up to 1500 ms: tau_c = 150 and 200 ms are censored
    found = capacity(sweep, interpolate=True).squeeze()
    assert found["censoring"].values.tolist() == [0, 0, 1, 1]
    assert found["longest_learned"].values[2:].tolist() == [1500.0, 1500.0]
    assert found["n_everything_learned"].item() == 2
    assert found["n_measured"].item() == 2
    assert found["capacity"].item() == pytest.approx(12.3)
    assert found["capacity_one_sided"].item() == pytest.approx(12.3)


def test_cells_that_learned_nothing_are_flagged_and_left_out() -> None:
    sweep = planted(12.3, duration_ms=DURATION[4:])  # from 1250 ms: tau_c = 50 and 100 ms learn nothing
    found = capacity(sweep, interpolate=True).squeeze()
    assert found["censoring"].values.tolist() == [-1, -1, 0, 0]
    assert found["longest_learned"].values[:2].tolist() == [0.0, 0.0]
    assert found["n_nothing_learned"].item() == 2
    assert found["capacity"].item() == pytest.approx(12.3)


def test_a_censored_cell_pulls_the_one_sided_estimate_only_if_it_contradicts_the_line() -> None:
    tau_corr = np.array([1.0, 1.0])
    for censoring, bound, expected in ((1, 20.0, 15.0), (1, 5.0, 10.0), (-1, 5.0, 7.5), (-1, 20.0, 10.0)):
        plain, one_sided, kind, _ = line_fits(
            np.array([10.0, bound if censoring == 1 else 0.0]),
            np.array([0, censoring]),
            tau_corr,
            np.array([1.0, bound]),
            np.array([99.0, bound]),
        )
        assert (plain, kind) == (10.0, 0)
        assert one_sided == pytest.approx(expected)


def test_the_one_sided_estimate_minimises_its_cost() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        n = int(generator.integers(2, 9))
        tau_corr, bound = generator.uniform(1, 5, n), generator.uniform(1, 50, n)
        censoring = generator.integers(-1, 2, n)
        censoring[0] = 0
        t_max = np.where(censoring == -1, 0.0, bound)
        _, one_sided, _, _ = line_fits(t_max, censoring, tau_corr, bound, bound)
        grid = np.linspace(0.1, 60, 60_000)
        gap = bound[:, None] - grid * tau_corr[:, None]
        counted = np.where(censoring[:, None] == 1, np.maximum(gap, 0), gap)
        counted = np.where(censoring[:, None] == -1, np.minimum(gap, 0), counted)
        assert one_sided == pytest.approx(grid[np.argmin((counted**2).sum(axis=0))], abs=2e-3)


@pytest.mark.parametrize(("level", "kind", "bound"), [(0.9, 1, 5000.0 / 50.0), (0.1, -1, 250.0 / 200.0)])
def test_if_every_cell_is_censored_only_a_bound_is_given(level: float, kind: int, bound: float) -> None:
    found = capacity(planted(1.0, correlation=lambda p: level + 0 * p["seed"])).squeeze()
    assert found["capacity_kind"].item() == kind
    assert found["capacity"].isnull().all()
    assert found["capacity_low"].isnull().all()
    assert found["capacity_one_sided"].item() == pytest.approx(bound)


def test_non_monotone_cells_are_flagged_and_follow_the_named_rule() -> None:
    def holes(p: Columns) -> np.ndarray:
        missed = (p["duration_ms"] > 2000) | ((p["duration_ms"] == 1000) & (p["tau_corr_ms"] == 100))
        return np.where(missed, 0.1, 0.9)

    sweep = planted(1.0, correlation=holes)
    largest, contiguous = capacity(sweep).squeeze(), capacity(sweep, non_monotone="contiguous").squeeze()
    assert largest["non_monotone"].values.tolist() == contiguous["non_monotone"].values.tolist() == [0, 1, 0, 0]
    assert largest["longest_learned"].values.tolist() == [2000.0] * 4
    assert contiguous["longest_learned"].values.tolist() == [2000.0, 750.0, 2000.0, 2000.0]


def test_missing_windows_are_skipped_and_empty_cells_have_no_t_max() -> None:
    sweep = planted(10.0, unfinished=lambda p: (p["duration_ms"] == 1250) | (p["tau_corr_ms"] == 200))
    found = capacity(sweep, interpolate=True).squeeze()
    np.testing.assert_allclose(found["longest_learned"].values[:3], [500.0, 1000.0, 1500.0])
    assert np.isnan(found["longest_learned"].values[3])
    assert found["censoring"].values.tolist() == [0, 0, 0, -2]
    assert found["capacity"].item() == pytest.approx(10.0)


def test_a_diverged_network_did_not_learn() -> None:
    sweep = planted(1.0, correlation=lambda p: 0.9 + 0 * p["seed"], diverged=lambda p: p["duration_ms"] > 1000)
    found = capacity(sweep).squeeze()
    assert found["longest_learned"].values.tolist() == [1000.0] * 4
    assert (found["censoring"] == 0).all()


def test_the_interval_over_replicates_covers_the_planted_slope_about_as_often_as_it_says() -> None:
    law, covered = falling(lambda n: 10.0 + 0 * n, 4e-4), 0
    for seed in range(20):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(len(TAU_CORR) * len(DURATION) * 4)
        sweep = planted(10.0, correlation=lambda p, noise=noise: law(p) + noise, replicates=4)
        found = capacity(sweep, interpolate=True, n_bootstrap=100)
        low, value, high = (found[n].item() for n in ("capacity_low", "capacity", "capacity_high"))
        assert low < value < high < low + 2.0
        covered += low < 10.0 < high
    assert 14 <= covered <= 20  # of 20, at a nominal 90 %


def test_the_interval_is_repeatable_and_has_a_seed() -> None:
    sweep = planted(10.0, correlation=falling(lambda n: 10.0 + 0 * n, 4e-4), noise=0.05, replicates=4)
    found = capacity(sweep, interpolate=True)
    assert found.attrs["interval"] == "replicates"
    xr.testing.assert_identical(found, capacity(sweep, interpolate=True))
    assert capacity(sweep, interpolate=True, random_seed=1)["capacity_low"].item() != found["capacity_low"].item()
    assert capacity(sweep, interpolate=True, n_bootstrap=0)["capacity_low"].isnull().all()


def test_replicates_without_scatter_give_an_interval_of_no_width() -> None:
    found = capacity(planted(10.0, replicates=3), interpolate=True)
    assert found["capacity_low"].item() == pytest.approx(10.0)
    assert found["capacity_high"].item() == pytest.approx(10.0)


def test_a_single_replicate_is_resampled_over_tau_c() -> None:
    found = capacity(planted(12.3))
    assert found.attrs["interval"] == "cells"
    ratios = found["longest_learned"].squeeze().values / np.array(TAU_CORR)
    assert ratios.min() - 1e-9 <= found["capacity_low"].item() < found["capacity"].item()
    assert found["capacity"].item() < found["capacity_high"].item() <= ratios.max() + 1e-9


def test_the_mean_over_replicates_decides_whether_a_window_is_learned() -> None:
    def halves(p: Columns) -> np.ndarray:
        high = np.where(p["duration_ms"] <= 1000, 0.8, 0.5)
        return np.where(p["replicate"] == 0, high + 0.15, high - 0.15)

    found = capacity(planted(1.0, correlation=halves, replicates=2)).squeeze()
    assert found["longest_learned"].values.tolist() == [1000.0] * 4


def test_bad_options_and_sweeps_are_refused() -> None:
    sweep = planted(10.0)
    with pytest.raises(DataError, match=r"non_monotone = 'first'.*largest, contiguous"):
        capacity(sweep, non_monotone="first")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="level = 1"):
        capacity(sweep, level=1.0)
    with pytest.raises(DataError, match=r"duration_ms = 1000 ms in every point"):
        capacity(synthetic_sweep(tau_corr_ms=TAU_CORR))


@pytest.mark.parametrize(
    ("tau_corr", "replicates", "interval"), [((100.0,), 1, "auto"), ((50.0, 100.0, 200.0), 1, "replicates")]
)
def test_what_has_no_scatter_has_no_interval(tau_corr: tuple[float, ...], replicates: int, interval: Any) -> None:
    durations = tuple(500.0 * k for k in range(1, 9))
    sweep = synthetic_sweep(tau_corr_ms=tau_corr, duration_ms=durations, replicates=replicates)
    found = capacity(sweep, threshold=0.7, interval=interval, n_bootstrap=20)
    assert found["capacity"].notnull().all()
    for name in ("capacity_low", "capacity_high", "capacity_one_sided_low", "capacity_one_sided_high"):
        assert found[name].isnull().all(), name


def test_cells_that_a_sweep_leaves_empty_do_not_hide_its_replicates() -> None:
    durations = tuple(500.0 * k for k in range(1, 9))
    blocks = [
        synthetic_sweep(tau_corr_ms=(50.0 * k,), duration_ms=durations, n_neurons=(500 * k,), noise=0.02)
        for k in (1, 2, 3)
    ]
    assert capacity(xr.concat(blocks, "point"), n_bootstrap=5).attrs["interval"] == "replicates"


def test_a_correlation_at_the_threshold_is_learned() -> None:
    mean = np.array([[0.9, 0.7, 0.5], [0.7, 0.6, 0.2]])
    longest, censoring, _ = longest_learned(
        mean, np.array([1.0, 3.0, 4.0]), 0.7, non_monotone="largest", interpolate=False
    )
    assert longest.tolist() == [3.0, 1.0]
    assert censoring.tolist() == [0, 0]
    between = longest_learned(mean, np.array([1.0, 3.0, 4.0]), 0.65, non_monotone="largest", interpolate=True)[0]
    np.testing.assert_allclose(between, [3.0 + 0.05 / 0.2, 1.0 + 2.0 * 0.5])


def test_a_grid_read_off_its_surface_has_the_capacity_of_the_median_network() -> None:
    """One network of six that fails pulls the mean of its cell below the threshold, but not the median."""
    pytest.importorskip("sklearn")
    axes = {"tau_corr_ms": (100.0,), "duration_ms": DURATION[:12], "replicates": 6}
    sweep = planted(12.3, steepness=4e-4, **axes).load()
    at = (sweep["duration_ms"].values == 1000.0) & (sweep["replicate"].values == 3)
    spoilt = sweep.assign(correlation=("point", np.where(at, 0.0, sweep["correlation"].values)))
    means, medians = (capacity(spoilt, surface=surface, interpolate=True).squeeze() for surface in (False, True))
    assert medians["longest_learned"].item() == pytest.approx(1230.0, rel=0.02)
    assert means["longest_learned"].item() < 1000.0
    assert "median over networks" in medians["performance"].attrs["long_name"]
    assert "mean over networks" in means["performance"].attrs["long_name"]
