"""Correlations and rates of tests, worked out again in plain NumPy."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import hpcspike
from hpcspike.analysis import neuron_correlation
from hpcspike.measures.evaluation import evaluate
from hpcspike.measures.performance import _mean_rates, measure_performance
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Measures
from hpcspike.spec.load import validate_experiment
from tests.small_networks import experiment


def correlation(response: np.ndarray, target: np.ndarray) -> float:
    """0 for a target that rests at a rate of 0."""
    return float(np.corrcoef(response, target)[0, 1]) if target.any() else 0.0


def test_the_rate_of_the_drive_has_the_constant_input_in_it() -> None:
    made = validate_experiment(
        {
            "network": {"n_neurons": 10}, "neuron": {"bias": 0.3}, "targets": {"kind": "ou", "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0}, "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0},
            "training": {"n_loops": 1, "variable": "rate", "smoothing": 0.2},
        }
    )  # fmt: skip
    trained = hpcspike.train(build_problem(made))
    found = measure_performance(trained, trials=2)
    evoked = trained.evoke(0, 2)
    target = trained.problem.targets[0]
    for neuron in range(10):
        phi = np.sqrt(0.2 * np.log1p(np.exp((evoked.drive[:, neuron] + 0.3) / 0.2))) / np.pi
        own = [np.corrcoef(course, target[neuron])[0, 1] for course in phi]
        assert found.rate_of_drive[neuron] == pytest.approx(np.mean(own))
        together = evoked.filtered[:, neuron].sum(axis=0)
        if together.std() > 0:
            assert found.trial_mean[neuron] == pytest.approx(np.corrcoef(together, target[neuron])[0, 1])


def test_the_rate_of_the_drive_has_the_frozen_noise_of_its_own_step_in_it() -> None:
    quick = {"free_run_ms": 20.0, "test_free_run_ms": 20.0}
    training = {"n_loops": 0, "variable": "rate", "smoothing": 0.2}
    targets = {"kind": "ou", "duration_ms": 100.0, "grid_ms": 2.0}
    noise = {"standard_deviation": 1.5, "tau_corr_ms": 10.0}
    trained = hpcspike.train(
        build_problem(experiment(targets=targets, frozen_noise=noise, protocol=quick, training=training))
    )
    problem = trained.problem
    assert problem.noise is not None
    # 20 steps of the cue, then two to each sample; the last of them leads to it
    forcing = problem.noise[20:].reshape(50, 2, 20)[:, 1].T
    x = (trained.evoke(0, 2).drive + problem.input[:, None] + forcing) / 0.2
    phi = np.sqrt(0.2 * np.logaddexp(0.0, x)) / np.pi
    expected = [
        np.mean([correlation(course, target) for course in courses])
        for courses, target in zip(phi.transpose(1, 0, 2), problem.targets[0], strict=True)
    ]
    np.testing.assert_allclose(measure_performance(trained, trials=2).rate_of_drive, expected, rtol=1e-9)
    phi_of_all = evaluate(trained, Measures(n_test_trials=2)).scalars["correlation_phi"]
    assert phi_of_all == pytest.approx(np.mean(expected))


def test_a_dataset_gives_the_rate_of_the_drive_with_inputs_of_populations_and_frozen_noise() -> None:
    balanced = {
        "kind": "balanced", "plastic_in_degree": 4, "static_in_degree": 3,
        "input_excitatory": 0.6, "input_inhibitory": -0.3,
    }  # fmt: skip
    dataset = hpcspike.run(
        experiment(
            connectivity=balanced, frozen_noise={"standard_deviation": 1.5, "tau_corr_ms": 10.0},
            targets={"kind": "ou", "duration_ms": 100.0, "grid_ms": 2.0},
            training={"n_loops": 0, "variable": "rate", "smoothing": 0.2},
        )
    )  # fmt: skip
    found = neuron_correlation(dataset)["correlation_rate_of_drive"]
    assert float(found.mean()) == pytest.approx(float(dataset["correlation_phi"]), abs=1e-9)
    some = dataset.isel(neuron=[18, 2])
    np.testing.assert_array_equal(neuron_correlation(some)["correlation_rate_of_drive"], found[:, [18, 2]])
    late = {"time": slice(25, None)}
    of_late = neuron_correlation(dataset.isel(late))["correlation_rate_of_drive"]
    problem = build_problem(validate_experiment(json.loads(dataset.attrs["experiment"])))
    drive, target = dataset["drive"].values[0], dataset["target"].values[0]
    x = (drive + problem.input_at_samples())[..., 25:] / 0.2
    expected = [
        np.mean([correlation(one, target[neuron, 25:]) for one in np.logaddexp(0.0, x[:, neuron]) ** 0.5])
        for neuron in range(20)
    ]
    np.testing.assert_allclose(of_late[0], expected, rtol=1e-9)


def test_rates_count_spikes_from_the_first_step_of_the_window_on() -> None:
    spikes = SimpleNamespace(step=np.array([-1, 0, 5, 7]), neuron=np.array([10, 10, 11, 11]))
    problem = SimpleNamespace(n_rows=2, first=10, duration_ms=250.0)
    assert _mean_rates([spikes], SimpleNamespace(problem=problem)).tolist() == [4.0, 8.0]  # type: ignore[arg-type,list-item]
