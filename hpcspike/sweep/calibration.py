"""Predicted times corrected by the points that are done: a model on paper does not know the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.variables import STATUS

if TYPE_CHECKING:
    from hpcspike.sweep.store import SweepStore

_PER_CLASS = 4.0
"""Points whose predictions differ by less than this factor share one correction."""

MOST_CHUNKS = 64
"""Chunks that are looked at, each a sample of the whole sweep: every batch asks, and may be one of two thousand."""


def calibration(store: SweepStore) -> Callable[[np.ndarray], np.ndarray]:
    """How much longer than predicted points take: a function of their predicted time on one core, s.

    Points that are done, all or a sample of them, are sorted into classes of like predictions; each class has its own
    factor, and between them it is interpolated. Networks that diverged ended early and do not count. Without points
    that are done, 1.
    """
    names = ("predicted_seconds", "wall_seconds", "n_ranks", "status", "done")
    rows = _sampled_rows(store)
    predicted, wall, ranks, status, done = (store.read(name, rows) for name in names)
    basis = (done == 1) & (status != STATUS.index("diverged")) & (predicted > 0) & (wall > 0)
    return factors(predicted[basis], wall[basis] * np.maximum(ranks[basis], 1))


def _sampled_rows(store: SweepStore) -> np.ndarray:
    """Rows of chunks that hold points that are done, evenly spread."""
    folder = store.path / "done" / "c"
    written = sorted(int(file.name) for file in folder.iterdir() if file.name.isdigit()) if folder.is_dir() else []
    sampled = written[:: -(-len(written) // MOST_CHUNKS) or 1]
    if store.inventory is not None:  # what is damaged is computed anew, which must not need it
        sampled = [position for position in sampled if store.inventory.holds(position)]
    first = store.chunk * np.array(sampled, dtype=np.int64)
    rows = (first[:, None] + np.arange(store.chunk)).ravel()
    return rows[rows < store.n_rows]


def factors(predicted: np.ndarray, measured: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """See `calibration`; (points,) predicted and measured core seconds."""
    if len(predicted) == 0:
        return lambda seconds: np.ones_like(seconds)
    classes, member = np.unique(np.floor(np.log(predicted) / np.log(_PER_CLASS)), return_inverse=True)
    sums = [np.bincount(member, values, minlength=len(classes)) for values in (predicted, measured)]
    centre = np.log(sums[0] / np.bincount(member))
    factor = np.log(sums[1] / sums[0])

    def corrected(seconds: np.ndarray) -> np.ndarray:
        return np.exp(np.interp(np.log(np.maximum(seconds, 1e-9)), centre, factor))

    return corrected
