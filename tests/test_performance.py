"""Correlations and rates of tests, worked out again in plain NumPy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import hpcspike
from hpcspike.measures.performance import _mean_rates, measure_performance
from hpcspike.model.build import build_problem
from hpcspike.spec.load import validate_experiment


def test_the_rate_of_the_drive_has_the_constant_input_in_it() -> None:
    experiment = validate_experiment(
        {
            "network": {"n_neurons": 10}, "neuron": {"bias": 0.3}, "targets": {"kind": "ou", "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0}, "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0},
            "training": {"n_loops": 1, "variable": "rate", "smoothing": 0.2},
        }
    )  # fmt: skip
    trained = hpcspike.train(build_problem(experiment))
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


def test_rates_count_spikes_from_the_first_step_of_the_window_on() -> None:
    spikes = SimpleNamespace(step=np.array([-1, 0, 5, 7]), neuron=np.array([10, 10, 11, 11]))
    problem = SimpleNamespace(n_rows=2, first=10, duration_ms=250.0)
    assert _mean_rates([spikes], SimpleNamespace(problem=problem)).tolist() == [4.0, 8.0]  # type: ignore[arg-type,list-item]
