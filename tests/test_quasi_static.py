"""Quasi-static prediction: the equations by dense algebra, and near perfect where its assumptions hold."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike import build_problem, train
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures import pearson, predict_quasi_static
from hpcspike.measures.bins import binned_duration, binned_mean
from hpcspike.spec.experiment import Training
from tests.small_networks import experiment, problem


def phi_1(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(x, 0.0, None)) / np.pi


def phi_2(x: np.ndarray, c: float) -> np.ndarray:
    return np.sqrt(c * np.log1p(np.exp(x / c))) / np.pi


def counted(trained: Trained, trials: int, bin_ms: int) -> np.ndarray:
    """Trial-averaged rates in Hz, spike by spike."""
    bins = trained.problem.n_samples // bin_ms
    rates = np.zeros((trained.problem.n_rows, bins))
    for spikes in trained.evoke(0, trials).spikes:
        for step, neuron in zip(spikes.step, spikes.neuron, strict=True):
            if 0 <= step < bins * bin_ms:
                rates[neuron, step // bin_ms] += 1000.0 / bin_ms / trials
    return rates


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(problem(fixed=0.3, duration_ms=110), Training(n_loops=2))


def test_single_trials_are_predicted_one_by_one(trained: Trained) -> None:
    found = predict_quasi_static(trained, trials=3, bin_ms=20.0)
    weights = trained.weights.toarray()
    drives = trained.evoke(0, 3).drive
    rates = phi_1(drives)
    predicted = np.einsum("ij,kjt->kit", weights, rates)
    np.testing.assert_allclose(found.drive, drives[0])
    np.testing.assert_allclose(found.predicted_drive, predicted[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.correlation_drive, pearson(predicted, drives).mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.rate, counted(trained, 3, 20))
    in_bins = 100.0 * rates.mean(axis=0)[:, :100].reshape(-1, 5, 20).mean(axis=2)
    np.testing.assert_allclose(found.rate_of_drive, in_bins, rtol=1e-12)
    np.testing.assert_allclose(found.rate_of_rates, 100.0 * phi_1(weights @ found.rate / 100.0), rtol=1e-10)
    np.testing.assert_array_equal(found.correlation_rate_of_drive, pearson(found.rate_of_drive, found.rate))
    np.testing.assert_array_equal(found.correlation_rate_of_rates, pearson(found.rate_of_rates, found.rate))


def test_the_mean_of_trials_or_the_target_may_enter_and_phi_2_be_asked_for(trained: Trained) -> None:
    weights, mean = trained.weights.toarray(), trained.evoke(0, 3).drive.mean(axis=0)
    of_mean = predict_quasi_static(trained, trials=3, drive="trial_mean", transfer="phi_2", smoothing=0.3, bin_ms=10.0)
    np.testing.assert_allclose(of_mean.drive, mean, rtol=1e-12)
    np.testing.assert_allclose(of_mean.predicted_drive, weights @ phi_2(mean, 0.3), rtol=1e-10)
    np.testing.assert_allclose(of_mean.correlation_drive, pearson(weights @ phi_2(mean, 0.3), mean), rtol=1e-9)
    target = trained.problem.targets[0]
    of_target = predict_quasi_static(trained, trials=3, drive="target", transfer="phi_2", bin_ms=10.0)
    np.testing.assert_allclose(of_target.predicted_drive, weights @ phi_2(target, 0.1), rtol=1e-10)
    np.testing.assert_allclose(of_target.drive, mean, rtol=1e-12)


def test_external_input_and_frozen_noise_are_part_of_what_phi_receives() -> None:
    noisy = experiment(
        neuron={"bias": 0.2},
        frozen_noise={"standard_deviation": 0.5},
        training={"n_loops": 0},
        stimulus={"duration_ms": 5},
    )
    trained = train(build_problem(noisy), noisy.training)
    found = predict_quasi_static(trained, trials=1, bin_ms=50.0)
    noise = trained.problem.noise
    assert noise is not None
    total = found.drive + 0.2 + noise[5:].T  # the first steps are the cue's; grid and step are both 1 ms
    np.testing.assert_allclose(found.predicted_drive, trained.weights.toarray() @ phi_1(total), rtol=1e-10, atol=1e-13)


def test_slow_strongly_driven_neurons_are_quasi_static() -> None:
    # frozen paths slow against neuron and synapse, and many spikes per correlation time
    slow = experiment(
        neuron={"bias": 3.0},
        network={"n_neurons": 100},
        connectivity={"kind": "gaussian", "probability": 0.5, "sigma": 0.5},
        targets={"kind": "sine", "duration_ms": 1000.0},
        frozen_noise={"standard_deviation": 1.5, "tau_corr_ms": 500.0},
        training={"n_loops": 0},
    )
    found = predict_quasi_static(train(build_problem(slow), slow.training), trials=5, drive="trial_mean")
    # over neurons and bins, since within a neuron the count of a few spikes per bin hides the course of the rate
    assert np.corrcoef(found.rate_of_drive.ravel(), found.rate.ravel())[0, 1] > 0.95
    np.testing.assert_allclose(found.rate_of_drive.mean(), found.rate.mean(), rtol=0.01)


def test_what_cannot_be_predicted_is_refused(trained: Trained) -> None:
    lif = experiment(neuron={"model": "lif"}, training={"n_loops": 0})
    with pytest.raises(SpecError, match="needs neuron.model = theta, not lif"):
        predict_quasi_static(train(build_problem(lif), lif.training))
    rate = experiment(training={"variable": "rate", "n_loops": 0})
    with pytest.raises(SpecError, match="drive = target needs drive targets"):
        predict_quasi_static(train(build_problem(rate), rate.training), drive="target")
    with pytest.raises(SpecError, match="bin_ms = 2.5 ms must be a multiple of the grid of 1 ms"):
        predict_quasi_static(trained, bin_ms=2.5)
    with pytest.raises(SpecError, match="bin_ms = 200 ms is longer than the window of 110 ms"):
        predict_quasi_static(trained, bin_ms=200.0)


def test_bins_leave_out_what_does_not_fill_one() -> None:
    values = np.arange(14.0).reshape(2, 7)
    np.testing.assert_array_equal(binned_mean(values, grid_ms=5.0, bin_ms=15.0), [[1, 4], [8, 11]])
    assert binned_duration(35.0, 15.0, unit_ms=5.0) == 30.0
    assert binned_duration(10.0, 15.0, unit_ms=5.0) == 0.0
