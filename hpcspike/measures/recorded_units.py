"""Each recorded unit against its data: trial averages in bins, their ceiling, and whether the cue selects."""

from __future__ import annotations

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Spikes
from hpcspike.measures.bins import binned_duration, binned_mean
from hpcspike.model.problem import Problem
from hpcspike.model.recordings import interpolated_at
from hpcspike.spec.experiment import is_multiple, n_steps

BINS_MS = (50.0, 100.0)
"""Bins in which a trial average is held against the data; the second is two of the first."""

FEWEST_BINS = 5
"""Of the longer bins: over two of them every correlation is 1 or -1, over three hardly less."""


class BinnedTrials:
    """Spikes of the test trials of one target set in bins, of the even and of the odd trials apart.

    Parameters
    ----------
    problem
        A block of neurons with rate targets.
    target_set
        Whose targets the trials are held against.
    """

    def __init__(self, problem: Problem, target_set: int) -> None:
        self._problem, self._target_set = problem, target_set
        width, fits = BINS_MS[0], is_multiple(BINS_MS[0], problem.grid_ms) and problem.neuron.facts.spikes
        long = binned_duration(problem.duration_ms, BINS_MS[1], unit_ms=problem.grid_ms) if fits else 0.0
        self._bins = n_steps(long, width) if long >= FEWEST_BINS * BINS_MS[1] else 0
        self._width = n_steps(width, problem.neuron.step_ms)
        self._counts = np.zeros((2, problem.n_rows, self._bins), dtype=np.int64)
        self._trials = 0

    def add(self, spikes: Spikes) -> None:
        """The spikes of the next trial, steps counted from the start of the window."""
        n, bins = self._counts.shape[1:]
        kept = (spikes.step >= 0) & (spikes.step < self._width * bins)
        place = (spikes.neuron[kept].astype(np.int64) - self._problem.first) * bins + spikes.step[kept] // self._width
        if bins:
            self._counts[self._trials % 2] += np.bincount(place, minlength=n * bins).reshape(n, bins)
        self._trials += 1

    def columns(self) -> dict[str, np.ndarray]:
        """Measures of each neuron, (n,) each; none where the window is too short for the bins.

        ``binned_B`` for bins of B ms: correlation of the trial average with the target's means; ``ceiling_B``: of the
        model's own trials, ``data_ceiling_B``: of the data's, where single trials are known (`ceiling`); ``other_100``:
        correlation with the targets of the other sets in the longer bins, their mean.
        """
        if not self._bins:
            return {}
        found: dict[str, np.ndarray] = {}
        problem, targets = self._problem, self._problem.targets
        for bin_ms in BINS_MS:
            halves = self._halves(bin_ms)
            average, bins = halves.sum(axis=0), halves.shape[2]
            means = binned_mean(targets, grid_ms=problem.grid_ms, bin_ms=bin_ms)[:, :, :bins]
            found[f"binned_{bin_ms:g}"] = pearson(average, means[self._target_set])
            if self._trials > 1:
                found[f"ceiling_{bin_ms:g}"] = ceiling(halves[0], halves[1])
            data = self._data_ceiling(bin_ms, bins)
            if data is not None:
                found[f"data_ceiling_{bin_ms:g}"] = data
            if bin_ms == BINS_MS[1] and problem.n_sets > 1:
                others = [pearson(average, means[s]) for s in range(problem.n_sets) if s != self._target_set]
                found["other_100"] = np.mean(others, axis=0)
        return found

    def _halves(self, bin_ms: float) -> np.ndarray:
        per_bin = round(bin_ms / BINS_MS[0])
        return self._counts.reshape(*self._counts.shape[:2], -1, per_bin).sum(axis=3).astype(np.float64)

    def _data_ceiling(self, bin_ms: float, bins: int) -> np.ndarray | None:
        """The ceiling of the recorded units of this block; NaN of auxiliary neurons, None without single trials."""
        problem = self._problem
        conditions = () if problem.recording is None else problem.recording.conditions
        if self._target_set >= len(conditions):  # it runs again without its file, or learned a further set
            return None
        recording = conditions[self._target_set]
        if recording.halves is None:
            return None
        rows = range(problem.first, min(problem.first + problem.n_rows, problem.n_recorded))
        found = np.full(problem.n_rows, np.nan)
        times = recording.begin_ms + problem.grid_ms * np.arange(1, problem.n_samples + 1, dtype=np.float64)
        if len(rows):
            sampled = interpolated_at(recording.halves[:, rows.start : rows.stop], recording.times_ms, times)
            halves = binned_mean(sampled, grid_ms=problem.grid_ms, bin_ms=bin_ms)[..., :bins]
            found[: len(rows)] = ceiling(halves[0], halves[1])
        return found


def ceiling(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The highest correlation to be expected with an average over all trials, from its halves (n, bins); (n,).

    With r the correlation of the averages over the even and over the odd trials, the average over all has the
    reliability R = 2 r / (1 + r) (Spearman and Brown), and a curve without noise correlates with it by sqrt(R); 0 where
    the halves do not agree.
    """
    r = np.maximum(pearson(one, other), 0.0)
    return np.asarray(np.sqrt(2.0 * r / (1.0 + r)))
