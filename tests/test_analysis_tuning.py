"""The optimum of the inverted U is found where it was planted, and flagged where the grid does not hold it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcspike.analysis import inverted_u
from hpcspike.analysis.tuning import _optimum, parabola_vertex
from tests.synthetic import Columns, synthetic_sweep

TAU_SYN = (2.0, 5.0, 10.0, 30.0, 100.0, 200.0)


def peaked(best_tau: float, height: float = 0.9, width: float = 0.15):
    def correlation(p: Columns) -> np.ndarray:
        return height - width * (np.log(p["tau_syn_ms"] / best_tau)) ** 2

    return correlation


@settings(max_examples=20)
@given(best_tau=st.floats(5.0, 100.0))
def test_a_planted_parabola_in_log_tau_s_gives_its_vertex(best_tau: float) -> None:
    found = inverted_u(synthetic_sweep(tau_syn_ms=TAU_SYN, replicates=1, n_loops=1, correlation=peaked(best_tau)))
    curve = found.isel(tau_corr_ms=0, n_neurons=0)
    assert curve["optimum_edge"] == 0
    assert curve["optimum_tau_syn"].item() == pytest.approx(best_tau, rel=1e-9)
    assert curve["optimum_performance"].item() == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize(("best_tau", "edge", "place"), [(0.5, -1, 2.0), (900.0, 1, 200.0)])
def test_an_optimum_outside_the_grid_is_flagged_and_not_extrapolated(best_tau: float, edge: int, place: float) -> None:
    found = inverted_u(synthetic_sweep(tau_syn_ms=TAU_SYN, correlation=peaked(best_tau)))
    assert found["optimum_edge"].item() == edge
    assert found["optimum_tau_syn"].item() == place


def test_rise_and_fall_are_measured_from_the_ends_of_the_curve() -> None:
    found = inverted_u(synthetic_sweep(tau_syn_ms=TAU_SYN, correlation=peaked(10.0)))
    assert found["rise"].item() == pytest.approx(0.15 * np.log(5.0) ** 2)
    assert found["fall"].item() == pytest.approx(0.15 * np.log(20.0) ** 2)


def test_the_nearly_optimal_range_reaches_as_far_as_the_tolerance_allows() -> None:
    sweep = synthetic_sweep(tau_syn_ms=TAU_SYN, correlation=peaked(20.0))
    narrow, wide = inverted_u(sweep, near=1e-6), inverted_u(sweep, near=0.1)
    assert (narrow["near_optimal_low"].item(), narrow["near_optimal_high"].item()) == (30.0, 30.0)
    assert (wide["near_optimal_low"].item(), wide["near_optimal_high"].item()) == (10.0, 30.0)


@pytest.mark.parametrize("shift", [0.0, -0.6])
def test_nearly_optimal_is_a_difference_on_either_side(shift: float) -> None:
    curve = np.array([0.3, 0.41, 0.5, 0.41, 0.3]) + shift
    assert _optimum(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), curve, 0.1)[3:5] == (2.0, 8.0)
    assert _optimum(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), curve, 0.08)[3:5] == (4.0, 4.0)


def test_every_tau_c_and_size_has_its_own_optimum() -> None:
    def correlation(p: Columns) -> np.ndarray:
        return 0.9 - 0.1 * np.log(p["tau_syn_ms"] / (0.2 * p["tau_corr_ms"] * 500 / p["n_neurons"])) ** 2

    sweep = synthetic_sweep(
        tau_syn_ms=TAU_SYN, tau_corr_ms=(50.0, 100.0), n_neurons=(500, 1000), correlation=correlation
    )
    found = inverted_u(sweep)["optimum_tau_syn"].transpose("tau_corr_ms", "n_neurons")
    np.testing.assert_allclose(found, [[10.0, 5.0], [20.0, 10.0]])


def test_missing_values_are_skipped_and_an_empty_curve_says_so() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=TAU_SYN,
        tau_corr_ms=(50.0, 100.0),
        correlation=peaked(20.0),
        diverged=lambda p: (p["tau_corr_ms"] == 50) | (p["tau_syn_ms"] == 10),
    )
    found = inverted_u(sweep)
    gone = found.sel(tau_corr_ms=50.0)
    assert gone["optimum_edge"].item() == -2
    assert gone["optimum_tau_syn"].isnull().all()
    kept = found.sel(tau_corr_ms=100.0)
    assert kept["optimum_edge"].item() == 0
    assert kept["optimum_tau_syn"].item() == pytest.approx(20.0)


def test_three_equal_values_have_their_vertex_in_the_middle() -> None:
    assert parabola_vertex(np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.5, 0.5])) == (1.0, 0.5)


def test_a_plateau_of_two_has_its_vertex_between_them() -> None:
    place, value = parabola_vertex(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]))
    assert place == pytest.approx(1.5)
    assert value == pytest.approx(1.125)


def test_a_value_just_as_far_below_the_best_as_allowed_is_nearly_optimal() -> None:
    tau = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    found = _optimum(tau, np.array([0.25, 0.5, 0.75, 1.0, 0.75, 0.25]), 0.25)
    assert found[3:5] == (4.0, 16.0)
    assert found[5:] == (0.75, 0.75)
    assert _optimum(tau, np.array([0.25, 0.5, 0.75, 1.0, 0.5, 0.0]), 0.5)[3:5] == (2.0, 16.0)
