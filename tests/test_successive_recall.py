"""Recall of one set after another: which correlation stands where, and what a trial is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.measures import successive_recall
from hpcspike.measures.successive_recall import recall
from hpcspike.model.build import build_problem
from hpcspike.spec.load import validate_experiment


@pytest.fixture(scope="module")
def trained() -> hpcspike.Trained:
    experiment = validate_experiment(
        {
            "network": {"n_neurons": 12}, "targets": {"kind": "sine", "n_sets": 2, "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0}, "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 30.0},
            "training": {"n_loops": 1},
        }
    )  # fmt: skip
    return hpcspike.train(build_problem(experiment))


def test_rows_are_the_set_that_was_cued_and_columns_the_one_before(
    trained: hpcspike.Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = trained.problem.targets
    responses = {(0, 0): first, (0, 1): first + 0.2 * second, (1, 0): -first, (1, 1): first - second}

    def respond(network: Any, simulation: Any, sets: tuple[int, int]) -> np.ndarray:
        return responses[sets]  # (preceding, judged)

    monkeypatch.setattr(successive_recall, "_second_response", respond)

    def correlation(sets: tuple[int, int], target: np.ndarray) -> float:
        pairs = zip(responses[sets], target, strict=True)
        return float(np.mean([np.corrcoef(response, wanted)[0, 1] for response, wanted in pairs]))

    found = recall(trained, trials=2)
    for judged in range(2):
        for preceding in range(2):
            sets = (preceding, judged)
            assert found.cued[judged, preceding] == pytest.approx(correlation(sets, (first, second)[judged]))
            assert found.confused[judged, preceding] == pytest.approx(correlation(sets, (first, second)[preceding]))
    assert abs(found.cued[0, 1] - found.cued[1, 0]) > 0.1


def test_the_response_is_that_of_the_second_window(trained: hpcspike.Trained) -> None:
    problem, simulation = trained.problem, trained.copy_simulation()
    phase = np.linspace(0.0, 6.0, 12)
    started = trained.copy_simulation()
    for one in (started, simulation):
        one.set_state(phase, np.zeros(12))
    found = successive_recall._second_response(trained, started, (1, 0))
    record = np.empty((problem.n_samples, 12))
    simulation.run_interval(problem.test_free_run_steps, problem.input)
    for target_set in (1, 0):
        simulation.run_interval(problem.stimulus_steps, problem.input + problem.stimuli[target_set])
        simulation.run_interval(problem.n_samples * problem.steps_per_sample, problem.input, record=record)
    np.testing.assert_array_equal(found, record.T)
