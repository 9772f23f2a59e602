"""The authors' training program, transcribed to plain numpy from the paper's equations: one loop, dense, unoptimised.

Everything is done the long way (dense W, u = W r recomputed each step, theta never wrapped, textbook RLS row by row),
so that the engine can be compared with something that shares no line with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcspike.rls import reference


@dataclass
class Program:
    """State of the program; times in steps, the unit of time is tau."""

    weights: np.ndarray
    mask: np.ndarray
    phase: np.ndarray
    filtered: np.ndarray
    step: float
    tau_over_tau_syn: float
    ridge: float

    def __post_init__(self) -> None:
        self.weights = self.weights.copy()
        self.phase = self.phase.astype(float).copy()
        self.filtered = self.filtered.astype(float).copy()
        self.drive = self.weights @ self.filtered
        self.inputs = [np.flatnonzero(row) for row in self.mask]
        self.covariances = [np.eye(len(sources)) / self.ridge for sources in self.inputs]

    def advance(self, external: np.ndarray) -> np.ndarray:
        """One step; returns the neurons that spiked."""

        def velocity(theta: np.ndarray) -> np.ndarray:
            return 1.0 - np.cos(theta) + (self.drive + external) * (1.0 + np.cos(theta))

        h = self.step
        k1 = velocity(self.phase)
        k2 = velocity(self.phase + 0.5 * h * k1)
        k3 = velocity(self.phase + 0.5 * h * k2)
        k4 = velocity(self.phase + h * k3)
        change = h / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
        to_spike = np.mod(np.pi - np.mod(self.phase, 2 * np.pi), 2 * np.pi)
        spiked = np.flatnonzero((change > 0) & (change > to_spike))
        self.phase = self.phase + change
        b = self.tau_over_tau_syn
        r1 = -b * self.filtered
        r2 = -b * (self.filtered + 0.5 * h * r1)
        r3 = -b * (self.filtered + 0.5 * h * r2)
        r4 = -b * (self.filtered + h * r3)
        self.filtered = self.filtered + h / 6.0 * (r1 + 2 * r2 + 2 * r3 + r4)
        self.filtered[spiked] += b
        self.drive = self.weights @ self.filtered
        return spiked

    def learn(self, target: np.ndarray) -> None:
        """One RLS update of every row for the drive; the drive itself is not recomputed."""
        for i, sources in enumerate(self.inputs):
            q = self.filtered[sources]
            row, self.covariances[i] = reference.update(
                self.weights[i, sources], self.covariances[i], q, target[i] - self.drive[i]
            )
            self.weights[i, sources] = row
