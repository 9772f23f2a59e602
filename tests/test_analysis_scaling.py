"""A planted collapse is recognised, and told from a sweep that does not collapse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hpcspike.analysis import analyses_for, collapse
from hpcspike.analysis.scaling import _in_regime, falling_fit, held_out_intervals
from hpcspike.errors import DataError
from tests.synthetic import synthetic_sweep

SLOW = {"tau_syn_ms": tuple(30.0 * 2.0**k for k in range(5)), "tau_corr_ms": tuple(15.0 * 2.0**k for k in range(6))}
FAST = {"tau_syn_ms": (1.0, 2.0, 4.0, 8.0, 16.0), "n_neurons": (250, 500, 1000, 2000)}


def tracked(p):
    return 1 / (1 + (p["tau_syn_ms"] / p["tau_corr_ms"]) ** 2)


def sampled(p):
    return 1 / (1 + 2000.0 / (p["n_neurons"] * p["tau_syn_ms"]))


@pytest.mark.parametrize(("regime", "axes", "law"), [("tracking", SLOW, tracked), ("sampling", FAST, sampled)])
def test_a_planted_collapse_leaves_nothing_unexplained_and_the_control_does(regime, axes, law) -> None:
    found = collapse(synthetic_sweep(**axes, correlation=law), regime=regime).squeeze()
    explained, control = found["unexplained_fraction"].values
    assert explained < 1e-20
    assert control > 0.2
    predicted, control = found["held_out_fraction"].values
    assert predicted < 1e-20
    assert control > 0.5
    np.testing.assert_allclose(found["master_curve"], found["performance"], atol=1e-12)


def test_performance_that_depends_on_tau_s_alone_is_explained_by_the_control() -> None:
    sweep = synthetic_sweep(**SLOW, correlation=lambda p: 1 / (1 + p["tau_syn_ms"] / 100.0))
    found = collapse(sweep, regime="tracking").squeeze()
    scaled, alone = found["unexplained_fraction"].values
    assert alone < 1e-20
    assert scaled > 0.2


def test_noise_that_no_variable_explains_is_not_explained() -> None:
    def noise(p):
        return np.random.default_rng(5).standard_normal(len(p["seed"]))

    found = collapse(synthetic_sweep(**SLOW, correlation=noise, replicates=1), regime="tracking").squeeze()
    assert found["unexplained_fraction"].values.min() > 0.5
    assert found["held_out_fraction"].values.min() > 0.8


def test_noise_fraction_is_the_squared_standard_error_over_the_total_variance() -> None:
    found = collapse(
        synthetic_sweep(**SLOW, correlation=tracked, noise=0.05, replicates=20), regime="tracking"
    ).squeeze()
    mean = found["performance"].values
    expected = mean.size * 0.05**2 / 20 / np.sum((mean - mean.mean()) ** 2)
    assert found["noise_fraction"].item() == pytest.approx(expected, rel=0.2)


def test_sizes_stay_apart_in_the_tracking_regime_and_tau_c_in_the_sampling_regime() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(5.0, 10.0, 30.0, 60.0, 90.0), tau_corr_ms=(50.0, 100.0), n_neurons=(500, 1000))
    tracking, sampling = collapse(sweep, regime="tracking"), collapse(sweep, regime="sampling")
    assert tracking["performance"].dims == ("n_neurons", "tau_corr_ms", "tau_syn_ms")
    assert tracking["unexplained_fraction"].dims == ("n_neurons", "abscissa_name")
    assert sampling["performance"].dims == ("tau_corr_ms", "n_neurons", "tau_syn_ms")
    assert tracking["tau_syn_ms"].values.tolist() == [30.0, 60.0, 90.0]
    assert sampling["tau_syn_ms"].values.tolist() == [5.0, 10.0, 30.0]
    assert sampling["abscissa"].attrs["units"] == "ms^-0.5"
    at = {"n_neurons": 1000, "tau_syn_ms": 10.0}
    assert sampling["abscissa"].sel(at).item() == pytest.approx(0.01)


def test_one_curve_alone_has_no_collapse() -> None:
    found = collapse(synthetic_sweep(tau_syn_ms=SLOW["tau_syn_ms"], correlation=tracked), regime="tracking")
    assert found["n_curves"].item() == 1
    assert found["unexplained_fraction"].isnull().all()
    assert found["held_out_fraction"].isnull().all()


def test_missing_cells_are_left_out() -> None:
    sweep = synthetic_sweep(**SLOW, correlation=tracked, diverged=lambda p: p["tau_corr_ms"] == 15.0)
    found = collapse(sweep, regime="tracking").squeeze()
    assert found["n_curves"].item() == 5
    assert found["n_cells"].item() == 25
    assert found["unexplained_fraction"].values[0] < 1e-20


def test_targets_without_a_correlation_time_have_no_scaling_variable() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=SLOW["tau_syn_ms"], tau_corr_ms=(np.nan,), correlation=lambda p: 0.5 + 0 * p["seed"]
    )
    assert collapse(sweep, regime="tracking")["n_cells"].item() == 0
    assert "collapse_tracking" not in analyses_for(sweep)


def test_the_fit_is_the_monotone_least_squares_curve_with_ties_averaged() -> None:
    x = np.array([1.0, 2.0, 2.0 * (1 + 1e-12), 4.0, 8.0])
    y = np.array([1.0, 0.6, 0.8, 0.9, 0.1])
    np.testing.assert_allclose(falling_fit(x, y), [1.0, 2.3 / 3, 2.3 / 3, 2.3 / 3, 0.1])
    np.testing.assert_allclose(
        falling_fit(x, y, at=np.array([0.5, np.sqrt(32.0), 9.0])), [np.nan, (2.3 / 3 + 0.1) / 2, np.nan]
    )


def test_unknown_regimes_and_empty_ranges_are_refused() -> None:
    sweep = synthetic_sweep(**SLOW)
    with pytest.raises(DataError, match=r"regime = 'fast'.*tracking, sampling"):
        collapse(sweep, regime="fast")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"none of the sweep's tau_s \(30 to 480 ms\)"):
        collapse(sweep, regime="sampling", tau_syn_range_ms=(1.0, 5.0))


def test_the_error_of_curves_left_out_has_the_interval_that_redrawn_networks_give() -> None:
    sweep = synthetic_sweep(**SLOW, correlation=tracked, noise=0.05)
    scaled, alone = held_out_intervals(sweep, regime="tracking", n_bootstrap=100)
    assert [scaled.value, alone.value] == collapse(sweep, regime="tracking")[
        "held_out_fraction"
    ].values.ravel().tolist()
    assert scaled.n == alone.n == sweep.sizes["point"]
    assert 0.0 < scaled.low < scaled.high < 0.2
    assert 0.5 < alone.low < alone.value < alone.high
    assert held_out_intervals(sweep, regime="tracking", n_bootstrap=100) == (scaled, alone)
    wider, _ = held_out_intervals(synthetic_sweep(**SLOW, correlation=tracked, noise=0.15), n_bootstrap=100)
    assert wider.high - wider.low > scaled.high - scaled.low


def test_the_interval_of_curves_left_out_needs_two_networks_and_two_curves() -> None:
    once, _ = held_out_intervals(synthetic_sweep(**SLOW, correlation=tracked, replicates=1), n_bootstrap=10)
    assert once.value < 1e-20
    assert np.isnan([once.low, once.high]).all()
    one_curve, _ = held_out_intervals(synthetic_sweep(tau_syn_ms=SLOW["tau_syn_ms"]), n_bootstrap=10)
    assert np.isnan([one_curve.value, one_curve.low]).all()


def test_networks_that_diverged_are_not_redrawn() -> None:
    sweep = synthetic_sweep(
        **SLOW, correlation=tracked, noise=0.05, diverged=lambda p: (p["replicate"] == 0) & (p["tau_syn_ms"] > 200.0)
    )
    scaled, _ = held_out_intervals(sweep, n_bootstrap=100)
    assert scaled.n == int((sweep["diverged_loop"] < 0).sum())
    assert np.isfinite([scaled.low, scaled.high]).all()


def test_scaling_variables_and_their_controls_are_those_of_the_regime() -> None:
    axes = {"tau_syn_ms": np.array([4.0, 16.0, 100.0]), "n_neurons": np.array([25.0, 100.0])}
    grid = SimpleNamespace(axes={**axes, "tau_corr_ms": np.array([8.0, 32.0])})
    inside, (scaled, alone) = _in_regime(grid, "sampling", 4.0, 16.0)  # type: ignore[arg-type]
    assert inside.tolist() == [True, True, False]
    np.testing.assert_allclose(scaled, [[0.1, 0.05], [0.05, 0.025]])
    np.testing.assert_allclose(alone, [[0.5, 0.25], [0.5, 0.25]])
    inside, (scaled, alone) = _in_regime(grid, "tracking", 16.0, 100.0)  # type: ignore[arg-type]
    assert inside.tolist() == [False, True, True]
    np.testing.assert_allclose(scaled, [[2.0, 12.5], [0.5, 3.125]])
    np.testing.assert_allclose(alone, [[16.0, 100.0], [16.0, 100.0]])
