"""The map of error types, and the measures of single neurons and spectra of one network."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hpcspike.analysis import error_types, neuron_correlation, power_spectrum
from hpcspike.errors import DataError
from hpcspike.measures.spectrum import spectral_index
from hpcspike.variables import STATUS
from tests.synthetic import synthetic_sweep, synthetic_trained

PLANE = {"tau_syn_ms": (5.0, 20.0, 200.0), "tau_corr_ms": (50.0, 100.0)}


def with_status(*codes: str) -> xr.Dataset:
    """One cell whose replicates became these."""
    sweep = synthetic_sweep(replicates=len(codes), shuffle=False)
    sweep["status"] = ("point", np.array([STATUS.index(code) for code in codes], dtype="int8"), sweep["status"].attrs)
    return sweep


def test_the_status_of_a_cell_is_that_of_most_networks() -> None:
    found = error_types(with_status("sampling", "learned", "sampling")).squeeze()
    assert STATUS[found["status"].item()] == "sampling"
    assert found["status_fraction"].sel(status_name="learned").item() == pytest.approx(1 / 3)
    assert found["status_fraction"].sum().item() == pytest.approx(1.0)


def test_of_two_equally_frequent_statuses_the_worse_is_named() -> None:
    assert STATUS[error_types(with_status("learned", "tracking")).squeeze()["status"].item()] == "tracking"


def test_a_cell_without_finished_networks_has_no_status() -> None:
    found = error_types(synthetic_sweep(**PLANE, unfinished=lambda p: p["tau_syn_ms"] == 5)).sel(tau_syn_ms=5.0)
    assert (found["status"] == -1).all()
    assert found["status_fraction"].isnull().all()
    assert found["sign_agreement"].isnull().all()


def test_means_and_spreads_are_over_networks_and_leave_diverged_ones_out() -> None:
    sweep = synthetic_sweep(**PLANE, replicates=4, diverged=lambda p: p["replicate"] == 3)
    values = np.where(sweep["replicate"] == 0, 1.0, np.where(sweep["replicate"] == 1, 2.0, 6.0))
    sweep["sampling_error"] = sweep["sampling_error"].copy(data=values)
    found = error_types(sweep)
    assert found["sampling_error"].values == pytest.approx(3.0 * np.ones((3, 2)))
    assert found["sampling_error_sd_over_networks"].values == pytest.approx(np.sqrt(7.0) * np.ones((3, 2)))
    assert found["sampling_error"].attrs == sweep["sampling_error"].attrs


def test_theory_stands_beside_the_measures_also_where_every_network_diverged() -> None:
    sweep = synthetic_sweep(**PLANE, diverged=lambda p: p["tau_syn_ms"] == 200)
    found = error_types(sweep).sel(tau_syn_ms=200.0, tau_corr_ms=100.0)
    assert found["tracking_theory"].item() == pytest.approx(200 / (4 * np.pi * 100))
    assert np.isnan(found["tracking_error"])


def test_agreement_of_the_sign_is_the_share_of_the_majority() -> None:
    sweep = with_status("learned", "learned", "learned", "learned")
    sweep["spectral_index"] = sweep["spectral_index"].copy(data=[-1.0, 0.5, -0.2, -0.1])
    assert error_types(sweep)["sign_agreement"].item() == 0.75


def test_further_spectral_measures_of_the_sweep_are_averaged_too() -> None:
    sweep = synthetic_sweep(**PLANE)
    robust = sweep["spectral_index"].copy(data=np.ones(sweep.sizes["point"]))
    sweep["spectral_index_same_sign"] = robust.assign_attrs(units="1", long_name="same sign at every cut-off")
    found = error_types(sweep)
    assert (found["spectral_index_same_sign"] == 1.0).all()
    assert found["spectral_index_same_sign"].attrs["long_name"] == "same sign at every cut-off"


def test_a_sweep_without_status_is_refused() -> None:
    with pytest.raises(DataError, match="no 'status'"):
        error_types(synthetic_sweep(**PLANE).drop_vars("status"))


# ---- one trained network ---------------------------------------------------------------------------------------------


def test_correlation_per_neuron_is_that_of_numpy() -> None:
    trained = synthetic_trained(n_neurons=5, n_sets=2, n_trials=3, duration_ms=200)
    found = neuron_correlation(trained)
    target, response = trained["target"].values, trained["response"].values
    single = [np.corrcoef(target[1, 4], response[1, k, 4])[0, 1] for k in range(3)]
    assert found["correlation_single_trial"].values[1, 4] == pytest.approx(np.mean(single))
    averaged = np.corrcoef(target[1, 4], response[1, :, 4].mean(axis=0))[0, 1]
    assert found["correlation_trial_averaged"].values[1, 4] == pytest.approx(averaged)
    assert found["correlation_single_trial"].dims == ("target_set", "neuron")
    assert "correlation_rate_of_drive" not in found


def test_a_constant_response_has_correlation_zero() -> None:
    trained = synthetic_trained(n_neurons=3, duration_ms=100)
    trained["response"][:, :, 1] = 2.5
    trained["response"][:, :, 2] = trained["target"][:, 2] = 0.1  # whose mean, as computed, is not quite 0.1
    found = neuron_correlation(trained)
    assert found["correlation_single_trial"].values[0, 1:].tolist() == [0.0, 0.0]
    assert found["correlation_trial_averaged"].values[0, 1:].tolist() == [0.0, 0.0]


def test_after_rate_training_the_rate_of_the_drive_is_judged_too() -> None:
    trained = synthetic_trained(n_neurons=4, n_trials=2, duration_ms=300, variable="rate")
    found = neuron_correlation(trained)
    drive, target = trained["drive"].values[0, :, 2], trained["target"].values[0, 2]
    phi = [np.sqrt(0.1 * np.log1p(np.exp(u / 0.1))) for u in drive]
    expected = np.mean([np.corrcoef(one, target)[0, 1] for one in phi])
    assert found["correlation_rate_of_drive"].values[0, 2] == pytest.approx(expected)


def test_the_spectrum_integrates_to_the_variance() -> None:
    for duration in (500, 501):
        trained = synthetic_trained(n_neurons=6, n_trials=2, duration_ms=duration)
        spectrum = power_spectrum(trained)
        width = 1000.0 / duration
        for name, dims in (("target", "time"), ("response", "time")):
            variance = float(trained[name].var(dims).mean())
            assert float(spectrum[f"power_{name}"].sum()) * width == pytest.approx(variance)


def test_a_sine_has_its_power_at_its_frequency() -> None:
    trained = synthetic_trained(n_neurons=2, n_trials=1, duration_ms=1000)
    trained["target"][:] = np.sin(2 * np.pi * 12.0 * trained["time"].values / 1000.0)
    spectrum = power_spectrum(trained)
    assert float(spectrum["frequency"][int(np.argmax(spectrum["power_target"].values))]) == pytest.approx(12.0)
    assert spectrum["frequency"].attrs["units"] == "Hz"
    assert spectrum["power_target"].attrs["units"] == "Hz^-1"


def test_the_spectrum_agrees_with_the_shares_behind_the_spectral_index() -> None:
    from hpcspike.measures.spectrum import fast_share

    trained = synthetic_trained(n_neurons=6, n_trials=2, duration_ms=1000)
    spectrum = power_spectrum(trained)
    fast = spectrum["frequency"] > 1000.0 / (2 * np.pi * 20.0)
    shares = {
        name: float(spectrum[f"power_{name}"].where(fast, 0.0).sum() / spectrum[f"power_{name}"].sum())
        for name in ("target", "response")
    }
    for name, share in shares.items():
        assert share == pytest.approx(fast_share(trained[name].values, grid_ms=1.0, fast_time_ms=20.0))
    assert spectral_index(shares["response"], shares["target"]) > 0


def test_dask_backed_time_courses_stay_lazy_and_agree() -> None:
    trained = synthetic_trained(n_neurons=6, n_trials=2, duration_ms=300, variable="rate")
    lazy = trained.chunk(neuron=2, trial=1)
    for function in (neuron_correlation, power_spectrum):
        found = function(lazy)
        assert all(found[name].chunks is not None for name in found.data_vars)
        xr.testing.assert_allclose(found.compute(), function(trained), rtol=1e-12)


def test_a_network_that_diverged_has_no_response_to_analyse() -> None:
    trained = synthetic_trained(n_neurons=3, duration_ms=50).drop_vars(["response", "drive"])
    for function in (neuron_correlation, power_spectrum):
        with pytest.raises(DataError, match="no 'response'"):
            function(trained)
