"""Scores of learners on their own, worked out by hand on two outputs of four samples."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.learners import tasks
from hpcspike.learners.interface import Rollout
from hpcspike.learners.trials import Stimulus, Task, Trial
from hpcspike.runs.scores import measures_of_tests
from hpcspike.spec.experiment import Measures

TARGET = np.array([[1.0, 2.0], [-1.0, 2.0], [1.0, -2.0], [-1.0, -2.0]])  # variances 1 and 4
SPREAD = np.sqrt(2.5)


def recall() -> Task:
    def sample(phase: str, index: int) -> Trial:
        return Trial(Stimulus(index, np.ones((1, 1)), np.zeros((4, 1)), "test"), TARGET, np.ones(4, dtype=bool))

    return Task(
        name="recall", kind="readout", score="correlation", grid_ms=1.0, n_samples=4, n_cue_samples=1, n_outputs=2,
        n_inputs=1, sample=sample, n_trials=1,
    )  # fmt: skip


def trials_of(*predictions: np.ndarray) -> tasks.Tested:
    """Trials in which neuron 0 spikes twice and neuron 1 once in the window of 4 ms, and once before it."""
    times, neurons = np.array([-1.0, 1.0, 2.0, 4.0]), np.array([1, 0, 1, 0], dtype=np.int32)
    rollouts = [Rollout(prediction, times, neurons, 5) for prediction in predictions]
    return tasks.Tested(np.zeros(len(rollouts)), np.array([rollout.rate_hz(4.0) for rollout in rollouts]), rollouts)


def test_spread_and_residual_are_in_units_of_the_target_and_trials_count_less_one() -> None:
    found, per_output = measures_of_tests(recall(), trials_of(TARGET + 1.0, TARGET + 3.0, TARGET - 1.0), Measures())
    assert found["trial_sd"] == pytest.approx(2.0 / SPREAD)  # sqrt((0 + 4 + 4) / 2)
    assert found["residual_after_averaging"] == pytest.approx(1.0 / SPREAD)
    assert found["correlation"] == found["correlation_trial_mean"] == pytest.approx(1.0)
    assert found["population_rate"] == pytest.approx(3 / 5 / 0.004)
    assert found["silent_share"] == pytest.approx(3 / 5)
    assert per_output is not None
    np.testing.assert_allclose(per_output, [1.0, 1.0])


def test_the_correlation_of_an_output_is_the_mean_over_its_trials() -> None:
    half = TARGET * [1.0, -1.0]
    found, per_output = measures_of_tests(recall(), trials_of(TARGET, half), Measures())
    assert per_output is not None
    np.testing.assert_allclose(per_output, [1.0, 0.0], atol=1e-15)
    assert found["correlation"] == pytest.approx(0.5)
    assert found["correlation_sd"] == pytest.approx(0.5)
    assert found["correlation_trial_mean"] == pytest.approx(0.5)  # the mean of the second is 0 all along
    assert np.isnan(measures_of_tests(recall(), trials_of(TARGET), Measures())[0]["trial_sd"])
