"""Binned rates and rasters of repeated trials against counting by hand; eigenvalues against what they scale to."""

from __future__ import annotations

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.simulation import Spikes
from hpcspike.errors import ResourceError, SpecError
from hpcspike.measures import weight_eigenvalues as module
from hpcspike.measures.rates import binned_rates, raster
from hpcspike.measures.weight_eigenvalues import dale_divisor, eigenvalues
from hpcspike.spec.connectivity import DaleConnectivity
from hpcspike.spec.experiment import Training
from tests.small_networks import experiment, problem


def spikes(*pairs: tuple[int, int]) -> Spikes:
    step, neuron = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return Spikes(step, neuron)


TRIALS = [spikes((-3, 5), (0, 5), (9, 5), (10, 6), (19, 5), (20, 5)), spikes((0, 5), (15, 6), (15, 7))]


def test_rates_are_counts_per_bin_and_trial() -> None:
    found = binned_rates(TRIALS, range(5, 8), step_ms=0.5, duration_ms=10.0, bin_ms=5.0)
    np.testing.assert_array_equal(found.time_ms, [2.5, 7.5])
    np.testing.assert_allclose(found.rate, 200.0 * np.array([[1.5, 0.5], [0.0, 1.0], [0.0, 0.5]]))
    np.testing.assert_allclose(found.trial_sd, 200.0 * np.array([[0.5, 0.5], [0.0, 0.0], [0.0, 0.5]]), atol=1e-9)


def test_a_block_of_neurons_has_the_rates_of_the_whole() -> None:
    whole = binned_rates(TRIALS, range(10), step_ms=0.5, duration_ms=10.0, bin_ms=5.0)
    part = binned_rates(TRIALS, range(6, 9), step_ms=0.5, duration_ms=10.0, bin_ms=5.0)
    np.testing.assert_array_equal(part.rate, whole.rate[6:9])


@pytest.mark.parametrize("bin_ms", [0.75, 3.0])
def test_bins_that_do_not_fit_are_refused(bin_ms: float) -> None:
    with pytest.raises(SpecError, match="must be a multiple of the step of 0.5 ms and divide the duration of 10 ms"):
        binned_rates(TRIALS, range(8), step_ms=0.5, duration_ms=10.0, bin_ms=bin_ms)


def test_binned_rates_of_a_network_average_to_its_population_rate() -> None:
    trained = hpcspike.train(problem(30), Training(n_loops=1))
    evoked = trained.evoke(0, 3)
    found = binned_rates(evoked.spikes, trained.problem.neurons, step_ms=1.0, duration_ms=100.0)
    count = sum(((trial.step >= 0) & (trial.step < 100)).sum() for trial in evoked.spikes)
    assert found.rate.mean() == pytest.approx(count / 30 / 3 / 0.1)
    assert found.rate.shape == (30, 2)


def test_a_raster_holds_the_chosen_neurons_trial_by_trial() -> None:
    found = raster(TRIALS, [5, 7], step_ms=0.5)
    np.testing.assert_array_equal(found.time_ms, [-1.0, 0.5, 5.0, 10.0, 10.5, 0.5, 8.0])
    np.testing.assert_array_equal(found.neuron, [5, 5, 5, 5, 5, 5, 7])
    np.testing.assert_array_equal(found.trial, [0, 0, 0, 0, 0, 1, 1])
    assert len(raster([], [1], step_ms=1.0).time_ms) == 0


# ---- eigenvalues -----------------------------------------------------------------------------------------------------


def test_eigenvalues_are_those_of_all_weights_before_and_after() -> None:
    trained = hpcspike.train(problem(30, fixed=0.3), Training(n_loops=1))
    found = eigenvalues(trained, divisor=2.0)
    initial = hpcspike.train(trained.problem, Training(n_loops=0)).weights.toarray()
    for values, matrix in ((found.before, initial), (found.after, trained.weights.toarray())):
        assert (np.diff(np.abs(values)) <= 1e-12).all()
        np.testing.assert_allclose(values.sum().real, np.trace(matrix) / 2.0, atol=1e-10)
        np.testing.assert_allclose((values**2).sum().real, np.trace(matrix @ matrix) / 4.0, atol=1e-10)
        expected = np.abs(np.linalg.eigvals(matrix)).max() / 2.0
        assert np.abs(values[0]) == pytest.approx(expected)
    assert found.radii == (np.abs(found.before[0]), np.abs(found.after[0]))
    assert found.radii[0] != found.radii[1]


def test_the_divisor_makes_the_spectral_radius_of_a_scaled_network_about_one() -> None:
    # paper, Fig 4: J = 6, g = 5, f = 0.2, p = 0.1 give 13.708
    assert dale_divisor(DaleConnectivity(kind="dale")) == pytest.approx(13.708, abs=1e-3)
    connectivity = {"kind": "dale", "probability": 0.2}
    chosen = experiment(network={"n_neurons": 400}, connectivity=connectivity, training={"n_loops": 0})
    trained = hpcspike.train(hpcspike.build_problem(chosen), chosen.training)
    assert isinstance(chosen.connectivity, DaleConnectivity)
    radius, same = eigenvalues(trained, divisor=dale_divisor(chosen.connectivity)).radii
    assert radius == pytest.approx(1.0, abs=0.12)
    assert same == radius


def test_networks_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 29)
    with pytest.raises(ResourceError, match="eigenvalues of 30 neurons"):
        eigenvalues(hpcspike.train(problem(30), Training(n_loops=0)))
