"""Images pixel by pixel, from files of one's own."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import DataError, Interrupted
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.lsnn import LsnnLearner
from hpcspike.learners.sequential_digits import read_digits, sequential_digits
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load

MNIST = Path(__file__).resolve().parent.parent / "cluster" / "config" / "mnist.yaml"


def _write_images(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray, *, compressed: bool) -> None:
    head = struct.pack(">4i", 2051, *images.shape)
    for name, content in (
        (f"{prefix}-images-idx3-ubyte", head + images.tobytes()),
        (f"{prefix}-labels-idx1-ubyte", struct.pack(">2i", 2049, len(labels)) + labels.tobytes()),
    ):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def test_images_become_threshold_crossings_pixel_by_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    _write_images(tmp_path, "train", images, labels, compressed=True)
    _write_images(tmp_path, "t10k", images[:2], labels[:2], compressed=False)
    task = sequential_digits(read_digits(str(tmp_path)), seed=1, n_levels=5)
    assert (task.n_inputs, task.n_outputs, task.n_samples) == (11, 10, 16 + 8)
    trial = task.sample("test", 1)
    pixels = images[1].ravel() / 255.0
    levels = np.linspace(0.0, 1.0, 5)
    given = trial.stimulus.input
    for t in range(1, 16):
        up = (pixels[t - 1] < levels) & (pixels[t] >= levels)
        down = (pixels[t - 1] >= levels) & (pixels[t] < levels)
        np.testing.assert_array_equal(given[t, :5], up)
        np.testing.assert_array_equal(given[t, 5:10], down)
    assert given[16:, 10].all()
    assert not given[:16, 10].any()
    assert int(trial.target[-1].argmax()) == 1
    assert np.flatnonzero(trial.scored).tolist() == [20, 21, 22, 23]


def test_every_twelfth_training_image_is_kept_for_tuning_and_never_trained(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.uint8) % 9
    labels[[11, 23]] = 9
    images = np.zeros((24, 2, 2), dtype=np.uint8)
    for prefix in ("train", "t10k"):
        _write_images(tmp_path, prefix, images, labels, compressed=False)
    task = sequential_digits(read_digits(str(tmp_path)), seed=1, n_levels=2)
    seen = {
        phase: {int(task.sample(phase, index).target[-1].argmax()) for index in range(120)}
        for phase in ("train", "tune")
    }
    assert seen == {"train": set(range(9)), "tune": {9}}


def test_a_network_can_be_trained_on_images(tmp_path: Path) -> None:
    for package in ("jax", "optax"):
        pytest.importorskip(package, reason="needs the extra gradient")
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    for prefix in ("train", "t10k"):
        _write_images(tmp_path, prefix, images, np.arange(6, dtype=np.uint8), compressed=False)
    task = sequential_digits(read_digits(str(tmp_path)), seed=1, n_levels=5)
    settings = {"kind": "lsnn", "input_gain": 1.0, "batch": 4, "connectivity": 0.2}
    learner = LsnnLearner(settings).build(task, n_neurons=10, seed=1)
    assert np.isfinite(learner.advance(0)["score_alone"])


@pytest.mark.slow  # compiles three networks
def test_mnist_as_configured_is_resumed_with_the_same_bits(tmp_path: Path) -> None:
    for package in ("jax", "optax"):
        pytest.importorskip(package, reason="needs the extra gradient")
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
    arrays = {"train": images, "test": images[:4]}
    labels = {name: np.arange(len(array), dtype=np.uint8) % 10 for name, array in arrays.items()}
    named = {f"x_{name}": array for name, array in arrays.items()} | {f"y_{name}": of for name, of in labels.items()}
    np.savez(tmp_path / "images.npz", **named)  # type: ignore[arg-type]
    small = {"network.n_neurons": 12, "targets.rows": 4, "learner.passes": 4, "learner.batch": 4}
    changes = {"targets.path": str(tmp_path / "images.npz"), "learner.steps_per_pass": 1, **small}
    experiment = load(MNIST, changes=changes)
    assert isinstance(experiment, Experiment)
    whole, stopped, resumed = (learner_of(experiment) for _ in range(3))
    whole.train()
    with pytest.raises(Interrupted):
        stopped.train(checkpoints=Checkpoints(tmp_path / "saved", stop_after_steps=2))
    resumed.train(checkpoints=Checkpoints(tmp_path / "saved"))
    assert not np.array_equal(whole.state()["weights.w_rec"], stopped.state()["weights.w_rec"])
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)
    np.testing.assert_array_equal(whole.curve()["score"], resumed.curve()["score"])


def test_missing_or_damaged_image_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        sequential_digits(read_digits(str(tmp_path)), seed=1)
    images, labels = np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.uint8)
    for prefix in ("train", "t10k"):
        _write_images(tmp_path, prefix, images, labels, compressed=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\0\0" * 5)
    with pytest.raises(DataError, match="not an IDX file"):
        sequential_digits(read_digits(str(tmp_path)), seed=1)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    # a header as it should be, and then what is no compressed data
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 20)
    with pytest.raises(DataError, match="cannot be read"):
        sequential_digits(read_digits(str(tmp_path)), seed=1)


def test_labels_of_other_data_sets_are_refused(tmp_path: Path) -> None:
    for prefix in ("train", "t10k"):
        _write_images(tmp_path, prefix, np.zeros((2, 4, 4), np.uint8), np.array([3, 26], np.uint8), compressed=False)
    with pytest.raises(DataError, match="labels up to 26"):
        sequential_digits(read_digits(str(tmp_path)), seed=1)
