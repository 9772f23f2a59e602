"""Tasks with input as targets of an experiment: digits, an autoencoder, functions, delays that grow in training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError, SpecError
from hpcspike.identity import experiment_hash
from hpcspike.learners.assignment import task_of
from hpcspike.learners.functions import N_PARTS, episode_errors, learn_functions, regression
from hpcspike.learners.gradient_tasks import delayed_xor
from hpcspike.learners.sequential_digits import read_digits
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_experiment
from hpcspike.sweep.learner_cost import _channels


def experiment(targets: dict[str, Any], kind: str = "lsnn") -> Experiment:
    return validate_experiment(
        {"network": {"n_neurons": 6}, "targets": targets, "stimulus": {"duration_ms": 0.0}, "learner": {"kind": kind}}
    )


def _arrays(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(1)
    arrays = {f"x_{part}": rng.integers(0, 256, (n, 3, 3), dtype=np.uint8) for part, n in (("train", 24), ("test", 5))}
    arrays |= {f"y_{part}": np.arange(n) % 10 for part, n in (("train", 24), ("test", 5))} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("targets", "length"),
    [
        ({"kind": "digits", "ms_per_pixel": 3}, 3.0 * (64 + 16)),
        ({"kind": "digits", "rows": 28, "ms_per_pixel": 1}, 784.0 + 56.0),
        ({"kind": "functions", "n_examples": 20, "example_ms": 4}, 80.0),
        ({"kind": "autoencoder", "duration_ms": 90.0}, 90.0),
        ({"kind": "navigation", "duration_ms": 90.0, "grid_ms": 2.0}, 90.0),
    ],
)
def test_the_length_of_a_trial_follows_from_its_parts(targets: dict[str, Any], length: float) -> None:
    asked = experiment(targets)
    assert asked.targets.duration_ms == length
    again = validate_experiment(asked.model_dump(mode="json"))
    assert experiment_hash(again) == experiment_hash(asked)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"kind": "digits", "duration_ms": 100.0}, "duration_ms = 100 ms: follows from targets.rows and .*160 ms"),
        ({"kind": "digits", "rows": "many"}, "targets.rows"),
        ({"kind": "functions", "grid_ms": 2.0}, "targets.grid_ms = 2"),
        ({"kind": "navigation", "duration_ms": 47.0}, "must be whole steps of targets.grid_ms = 5 ms"),
        ({"kind": "navigation", "radius": 0.6}, "targets.radius"),
        ({"kind": "autoencoder", "duration_ms": 40.0}, "longer than five times targets.tau_ms = 10 ms"),
    ],
)
def test_what_cannot_be_is_refused(targets: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        experiment(targets)


@pytest.mark.parametrize("kind", ["digits", "autoencoder", "functions", "navigation"])
def test_learners_without_input_are_refused(kind: str) -> None:
    with pytest.raises(SpecError, match=f"targets.kind = {kind} asks for answers to inputs, which learner.kind = rls"):
        experiment({"kind": kind}, "rls")


def test_the_channels_that_are_priced_are_those_of_the_task(tmp_path: Path) -> None:
    path = str(_arrays(tmp_path / "images.npz"))
    for targets in (
        {"kind": "digits", "path": path, "rows": 3, "n_levels": 4}, {"kind": "autoencoder", "n_channels": 3},
        {"kind": "functions"}, {"kind": "delayed_xor", "grid_ms": 2.0}, {"kind": "navigation", "n_fields": 3},
    ):  # fmt: skip
        asked = experiment(targets)
        task = task_of(asked)
        assert _channels(asked, asked.learner, 6) == (task.n_inputs, task.n_outputs)  # type: ignore[arg-type]
        assert task.duration_ms == asked.targets.duration_ms


def test_other_images_are_another_experiment(tmp_path: Path) -> None:
    path = _arrays(tmp_path / "images.npz")
    asked = experiment({"kind": "digits", "path": str(path), "rows": 3})
    before = experiment_hash(asked)
    _arrays(path, y_test=np.arange(5)[::-1].copy())
    assert experiment_hash(asked) != before


def test_image_files_that_are_not_what_they_should_be_are_refused(tmp_path: Path) -> None:
    path = _arrays(tmp_path / "images.npz")
    assert read_digits(str(path), 3).test.shape == (5, 3, 3)
    with pytest.raises(DataError, match=r"targets.rows = 8: the images in .* have 3 rows of 3 pixels"):
        read_digits(str(path), 8)
    for changes, message in (
        ({"y_test": None}, "no array y_test"),
        ({"x_test": np.zeros((5, 3, 3))}, "x_test is float64 in 3 dimensions"),
        ({"y_train": np.arange(7)}, "24 training images and 7 labels"),
        ({"y_test": np.full(5, -1)}, "must be digits"),
    ):
        with pytest.raises(DataError, match=message):
            read_digits(str(_arrays(path, **changes)))
    (tmp_path / "no.npz").write_bytes(b"nothing")
    for name, message in (("no.npz", "cannot be read"), ("absent.npz", "no such file"), ("absent", "holds neither")):
        with pytest.raises(DataError, match=message):
            read_digits(str(tmp_path / name))


def test_the_digits_of_scikit_learn_are_split_by_writers() -> None:
    pytest.importorskip("sklearn")
    digits = read_digits(None, 8)
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    assert digits.train.max() == 1.0
    assert np.bincount(digits.test_labels, minlength=10).min() > 30


def test_an_example_shows_the_value_of_the_one_before_it() -> None:
    trial = learn_functions(seed=1, n_examples=12, example_ms=4).sample("train", 3)
    value, given = trial.target[::4, 0], trial.stimulus.input[::4]
    assert given[0, 2] == 0.0
    np.testing.assert_array_equal(given[1:, 2], value[:-1])
    np.testing.assert_array_equal(np.flatnonzero(trial.scored)[:4], [2, 3, 6, 7])
    assert np.abs(given[:, :2]).max() <= 1.0
    other = learn_functions(seed=1, n_examples=12, example_ms=4).sample("train", 4)
    assert not np.allclose(other.target, trial.target)


def test_linear_regression_knows_only_the_examples_before() -> None:
    task = learn_functions(seed=2, n_examples=60, example_ms=4)
    trials = [task.sample("test", index) for index in range(30)]
    answers = [regression(trial) for trial in trials]
    assert answers[0][0] == 0.0
    x, value = trials[0].stimulus.input[::4, :2], trials[0].target[::4, 0]
    design = np.column_stack([np.ones(40), x[:40]])
    wanted = np.array([1.0, *x[40]]) @ np.linalg.solve(design.T @ design + np.eye(3), design.T @ value[:40])
    assert answers[0][160, 0] == pytest.approx(wanted)
    errors = episode_errors(trials, answers)
    assert errors.shape == (N_PARTS,)
    assert errors[-3:].mean() < 0.5 * errors[0]
    np.testing.assert_array_equal(episode_errors(trials, [trial.target for trial in trials]), 0.0)
    np.testing.assert_allclose(episode_errors(trials, [0 * trial.target for trial in trials]), 1.0)


def test_delays_grow_in_training_alone() -> None:
    def go(task: Any, phase: Any, index: int) -> int:
        return int(np.flatnonzero(task.sample(phase, index).scored)[0])

    usual, growing = delayed_xor(seed=1), delayed_xor(seed=1, curriculum_trials=1000)
    shortest = 50 + 2 * 50
    early = [go(growing, "train", index) for index in range(100)]
    assert max(early) <= shortest + 2 * 10
    assert {go(growing, "train", index) for index in range(5)} == {shortest}
    for phase, first in (("train", 1000), ("test", 0)):
        assert [go(growing, phase, first + k) for k in range(20)] == [go(usual, phase, first + k) for k in range(20)]
    assert math.isclose(max(go(usual, "test", k) for k in range(300)), shortest + 2 * 170, abs_tol=40)
