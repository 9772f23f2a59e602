"""A stand-in for the simulation that feeds RLS engines with random spikes, and the reference beside it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np

from hpcspike.model.connectivity import rows_from_lists
from hpcspike.rls import reference


class Harness:
    """``n`` rows with given in-degrees among ``n_neurons`` presynaptic neurons that spike at random."""

    def __init__(self, in_degrees: list[int], n_neurons: int, *, seed: int, dtype: Any = np.float64) -> None:
        self.rng = np.random.default_rng(seed)
        sources = [np.sort(self.rng.choice(n_neurons, k, replace=False)) for k in in_degrees]
        self.rows = rows_from_lists(sources, [0.3 * self.rng.standard_normal(k) for k in in_degrees])
        self.sources = sources
        n = len(in_degrees)
        self.live = SimpleNamespace(
            weight=self.rows.weight.astype(dtype),
            readout=np.zeros(n),
            filtered=self.rng.random(n_neurons) * 0.3,
            trace=np.zeros(n_neurons),
            events=np.zeros(len(self.rows.presynaptic), dtype=np.int32),
            n_events=np.zeros(n, dtype=np.int32),
            interval_decay=1.0,
        )
        self.reference_weights = [self.rows.weight[a:b].copy() for a, b in itertools.pairwise(self.rows.start)]
        self.covariances: list[np.ndarray] = []
        self.restore_drive()

    def restore_drive(self) -> None:
        """u = w.r of the engine's own weights."""
        for i, sources in enumerate(self.sources):
            row = self.live.weight[self.rows.start[i] : self.rows.start[i + 1]]
            self.live.readout[i] = row.astype(np.float64) @ self.live.filtered[sources]

    def pass_time(self, decay: float, rate: float, jump: float) -> None:
        """One update interval: r decays and every neuron spikes with probability ``rate``."""
        live = self.live
        spiked = self.rng.random(len(live.filtered)) < rate
        live.trace[:] = np.where(spiked, jump * self.rng.uniform(0.5, 1.0, len(spiked)), 0.0)
        live.interval_decay = decay
        live.filtered *= decay
        live.filtered += live.trace
        for i, sources in enumerate(self.sources):
            places = np.flatnonzero(spiked[sources])
            live.events[self.rows.start[i] : self.rows.start[i] + len(places)] = places
            live.n_events[i] = len(places)
        self.restore_drive()

    def reference_update(self, target: np.ndarray, gain: np.ndarray, ridge: float) -> np.ndarray:
        """Update the reference; returns its errors (drive rule; the gain only scales r)."""
        if not self.covariances:
            self.covariances = [np.eye(len(sources)) / ridge for sources in self.sources]
        errors = np.empty(len(self.sources))
        for i, sources in enumerate(self.sources):
            q = self.live.filtered[sources]
            errors[i] = target[i] - self.reference_weights[i] @ q
            self.reference_weights[i], self.covariances[i] = reference.update(
                self.reference_weights[i], self.covariances[i], q, errors[i], gain[i]
            )
        return errors
