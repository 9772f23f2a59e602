"""Handwritten digits pixel by pixel: from files that lie on this machine, or those that come with scikit-learn."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpcspike.errors import DataError, ResourceError
from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Phase, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

N_DIGITS = 10
_TUNE_SHARE = 12  # one in so many training images is kept for phase "tune"
_TEST_SHARE = 5  # the last so many-th part of scikit-learn's digits is for tests: other writers than those before
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class Digits(NamedTuple):
    """Images (images, rows, columns) between 0 and 1 and their labels, for training and for tests."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def sequential_digits(
    digits: Digits, *, seed: int, replicate: int = 0, n_levels: int = 40, ms_per_pixel: int = 1
) -> Task:
    """Say which digit was shown, one pixel per ``ms_per_pixel``, then an output cue for two rows of pixels.

    ``n_levels`` grey levels are each watched by two inputs, one that spikes when the level is crossed upwards from a
    pixel to the next, one downwards; a further input spikes throughout the cue. The answer is the mean output over the
    last row's time. Test trial k shows test image k; in training, images are drawn.
    """
    rows, columns = digits.train.shape[1:]
    n_shown, n_cue = rows * columns * ms_per_pixel, 2 * columns * ms_per_pixel
    levels = np.linspace(0.0, 1.0, n_levels)
    tune = np.arange(len(digits.train)) % _TUNE_SHARE == _TUNE_SHARE - 1
    choices = {"train": np.flatnonzero(~tune), "tune": np.flatnonzero(tune)}

    def pick(phase: Phase, index: int) -> tuple[np.ndarray, int]:
        if phase == "test":
            number = index % len(digits.test)
            return digits.test[number].ravel(), int(digits.test_labels[number])
        choice = choices[phase] if tune.any() else np.arange(len(tune))
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        number = int(choice[rng.integers(0, len(choice))])
        return digits.train[number].ravel(), int(digits.train_labels[number])

    def sample(phase: Phase, index: int) -> Trial:
        pixels, label = pick(phase, index)
        above = np.repeat(pixels, ms_per_pixel)[:, None] >= levels
        given = np.zeros((n_shown + n_cue, 2 * n_levels + 1), dtype=bool)
        given[1:n_shown, :n_levels] = above[1:] & ~above[:-1]
        given[1:n_shown, n_levels : 2 * n_levels] = above[:-1] & ~above[1:]
        given[n_shown:, -1] = True
        target, scored = np.zeros((len(given), N_DIGITS)), np.zeros(len(given), dtype=bool)
        target[:, label] = 1.0
        scored[-columns * ms_per_pixel :] = True
        return Trial(Stimulus(index, np.zeros((0, given.shape[1]), bool), given, phase), target, scored)

    return Task(
        name="sequential_digits", kind="readout", score="error", grid_ms=1.0, n_samples=n_shown + n_cue,
        n_cue_samples=0, n_outputs=N_DIGITS, n_inputs=2 * n_levels + 1, sample=sample,
    )  # fmt: skip


def read_digits(path: str | None, rows: int | None = None) -> Digits:
    """Images and labels from a folder or an .npz file, or those of scikit-learn.

    Parameters
    ----------
    path
        Folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte`` (IDX format), or the same with ``.gz``; or an .npz with x_train, y_train, x_test and
        y_test. None: the digits of 8 x 8 pixels that come with scikit-learn, the last fifth of them for tests.
    rows
        Rows and columns that the images must have; None: any.

    Raises
    ------
    DataError
        If a file is missing or is not what it should be.
    ResourceError
        If scikit-learn is asked for its digits and is not installed.
    """
    if path is None:
        digits = _of_scikit_learn()
    elif Path(path).suffix.lower() == ".npz":
        digits = _of_arrays(Path(path))
    else:
        digits = _of_folder(Path(path))
    found = digits.train.shape[1:]
    if rows is not None and found != (rows, rows):
        raise DataError(
            f"targets.rows = {rows}: the images {'of scikit-learn' if path is None else f'in {path}'} have {found[0]} "
            f"rows of {found[1]} pixels; choose rows: {found[0]}" + ("" if found[0] == found[1] else ", square images")
        )
    return digits


def _of_scikit_learn() -> Digits:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ResourceError(
            "targets.kind = digits without targets.path takes the digits that come with scikit-learn, which is not "
            "installed; install it with pip install scikit-learn, or give the path of a folder with the files of MNIST"
        ) from None
    found = load_digits()
    images, labels = found.images / 16.0, found.target
    first = len(images) - len(images) // _TEST_SHARE
    return Digits(images[:first], labels[:first], images[first:], labels[first:])


def _of_folder(folder: Path) -> Digits:
    parts = [
        _idx(folder, f"{prefix}-{what}-ubyte", n_dims)
        for prefix in ("train", "t10k")
        for what, n_dims in (("images-idx3", 3), ("labels-idx1", 1))
    ]
    return _checked(folder, parts)


def _of_arrays(path: Path) -> Digits:
    try:
        with np.load(path, allow_pickle=False) as found:
            absent = [name for name in _ARRAYS if name not in found]
            if absent:
                raise DataError(f"{path} has no array {absent[0]}; it must hold {', '.join(_ARRAYS)}")
            parts = [found[name] for name in _ARRAYS]
    except FileNotFoundError:
        raise DataError(
            f"targets.path = {path}: no such file; give an .npz with {', '.join(_ARRAYS)}, a folder with the "
            "four files of MNIST, or leave targets.path out for the digits of scikit-learn (nothing is downloaded)"
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as .npz ({error}); write it anew with numpy.savez") from None
    for name, array, n_dims in zip(_ARRAYS, parts, (3, 1, 3, 1), strict=True):
        if array.ndim != n_dims or array.dtype.kind not in "ui":
            raise DataError(
                f"{path}: {name} is {array.dtype} in {array.ndim} dimensions; it must be whole numbers in {n_dims}"
            )
    return _checked(path, parts)


def _checked(source: Path, parts: list[np.ndarray]) -> Digits:
    """Arrays of bytes as digits, if they are such; train images and labels, test images and labels."""
    train, train_labels, test, test_labels = parts
    for what, images, labels in (("training", train, train_labels), ("test", test, test_labels)):
        if len(images) != len(labels) or not len(images):
            raise DataError(
                f"{source}: {len(images)} {what} images and {len(labels)} labels; use files of one data set"
            )
        if labels.max() >= N_DIGITS or labels.min() < 0:
            raise DataError(f"{source}: {what} has labels up to {labels.max()}; they must be digits, 0 to 9")
        if images.max() > 255 or images.min() < 0:
            raise DataError(f"{source}: {what} images have values up to {images.max()}; they must be 0 to 255")
    if train.shape[1:] != test.shape[1:]:
        raise DataError(f"{source}: images for training and test differ in size; use files of one data set")
    return Digits(train / 255.0, train_labels, test / 255.0, test_labels)


def _idx(folder: Path, name: str, n_dims: int) -> np.ndarray:
    """An array of bytes in IDX format, plain or compressed."""
    plain, compressed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.exists() else gzip.decompress(compressed.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"{folder} holds neither {name} nor {name}.gz; put the four files of MNIST there, give an .npz with "
            f"{', '.join(_ARRAYS)}, or leave targets.path out for the digits of scikit-learn (nothing is downloaded)"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{folder / name} cannot be read ({error}); copy it anew") from None
    head = 4 + 4 * n_dims
    if len(content) < head or content[:4] != bytes([0, 0, 8, n_dims]):
        raise DataError(f"{folder / name} is not an IDX file of bytes in {n_dims} dimensions; copy it anew")
    shape = np.frombuffer(content, ">i4", n_dims, offset=4)
    values = np.frombuffer(content, np.uint8, offset=head)
    if len(values) != int(np.prod(shape.astype(np.int64))):
        raise DataError(f"{folder / name} is cut short or too long; copy it anew")
    return values.reshape(shape)
