"""Handwritten digits pixel by pixel, from files that lie on this machine; a long experiment for LSNNs."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from hpcspike.errors import DataError
from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Phase, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

N_DIGITS = 10
_TUNE_SHARE = 12  # one in so many training images is kept for phase "tune"


def sequential_mnist(
    folder: str | Path, *, seed: int, replicate: int = 0, n_levels: int = 40, ms_per_pixel: int = 1
) -> Task:
    """Say which digit was shown, one pixel per ``ms_per_pixel``, then an output cue for two rows of pixels.

    ``n_levels`` grey levels are each watched by two inputs, one that spikes when the level is crossed upwards from a
    pixel to the next, one downwards; a further input spikes throughout the cue. The answer is the mean output over the
    last row's time.

    Parameters
    ----------
    folder
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte`` (IDX format), or the same with ``.gz``.
    seed, replicate
        Key of the order of images.

    Raises
    ------
    DataError
        If a file is missing or is not what it should be.
    """
    folder = Path(folder)
    sets = {prefix: (_idx(folder, f"{prefix}-images-idx3-ubyte", 3), _idx(folder, f"{prefix}-labels-idx1-ubyte", 1))
            for prefix in ("train", "t10k")}  # fmt: skip
    for prefix, (images, labels) in sets.items():
        if len(images) != len(labels) or not len(images):
            raise DataError(
                f"{folder}: {prefix} has {len(images)} images and {len(labels)} labels; use files of one data set"
            )
        if labels.max() >= N_DIGITS:
            raise DataError(f"{folder}: {prefix} has labels up to {labels.max()}; they must be digits, 0 to 9")
    rows, columns = sets["train"][0].shape[1:]
    if sets["t10k"][0].shape[1:] != (rows, columns):
        raise DataError(f"{folder}: images for training and test differ in size; use files of one data set")
    n_shown, n_cue = rows * columns * ms_per_pixel, 2 * columns * ms_per_pixel
    levels = np.linspace(0.0, 1.0, n_levels)

    def pick(phase: Phase, index: int) -> tuple[np.ndarray, int]:
        images, labels = sets["t10k" if phase == "test" else "train"]
        if phase == "test":
            number = index % len(images)
        else:
            tune = np.arange(len(images)) % _TUNE_SHARE == _TUNE_SHARE - 1
            choice = np.flatnonzero(tune == (phase == "tune")) if tune.any() else np.arange(len(images))
            rng = stream(seed, replicate, "task", PHASES[phase], index)
            number = int(choice[rng.integers(0, len(choice))])
        return images[number].ravel() / 255.0, int(labels[number])

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
        name="sequential_mnist", kind="readout", score="error", grid_ms=1.0, n_samples=n_shown + n_cue, n_cue_samples=0,
        n_outputs=N_DIGITS, n_inputs=2 * n_levels + 1, sample=sample,
    )  # fmt: skip


def _idx(folder: Path, name: str, n_dims: int) -> np.ndarray:
    """An array of bytes in IDX format, plain or compressed."""
    plain, compressed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.exists() else gzip.decompress(compressed.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds neither {name} nor {name}.gz; put the four files of the data set there (nothing is "
            "downloaded)"
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
