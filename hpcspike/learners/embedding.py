"""Trajectories as readouts of a linear system: what lets learners of dynamical systems recall arbitrary targets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.learners.trials import Teacher

PERIOD_OVER_WINDOW = 1.25
"""The rotations close after this many windows, so that no target is forced to end where it began."""


@dataclass(frozen=True)
class Embedding:
    """Rotations x in R^2K, x(0) = (1, 0, 1, 0, ...), whose mixture C x + offset follows a target.

    Attributes
    ----------
    teacher
        dx/dt = A x with C and offset.
    start
        (2K,) x(0).
    fit
        (d,) correlation of C x + offset with the target: what recall cannot exceed by much.
    """

    teacher: Teacher
    start: np.ndarray
    fit: np.ndarray

    def path(self, times_s: np.ndarray) -> np.ndarray:
        """x at these times from the end of the cue, (times, 2K)."""
        assert self.teacher.matrix is not None
        omega = self.teacher.matrix[1::2, 0::2].diagonal()
        return _rotations(omega, times_s)

    def cue(self, times_s: np.ndarray, length_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Input c (times, 2K) that leads x from 0 to x(0) on a straight line, and x itself.

        times_s: from the start of the cue. c = dx/dt - A x for x = x(0) t / length.
        """
        assert self.teacher.matrix is not None
        x = self.start * (times_s / length_s)[:, None]
        return self.start / length_s - x @ self.teacher.matrix.T, x


def n_rotations(duration_ms: float, bandwidth_hz: float) -> int:
    """Number K of rotations for a window of this length."""
    return max(1, round(bandwidth_hz * PERIOD_OVER_WINDOW * duration_ms / 1000.0))


def fourier_embedding(target: np.ndarray, *, grid_ms: float, bandwidth_hz: float) -> Embedding:
    """The embedding of a target by rotations up to a frequency.

    Parameters
    ----------
    target
        (samples, d), sample m at time (m + 1) ``grid_ms``.
    grid_ms
        Sampling interval.
    bandwidth_hz
        Highest frequency; K is the number of multiples of 1 / (1.25 T) up to it (`n_rotations`).
    """
    samples = len(target)
    period_s = PERIOD_OVER_WINDOW * samples * grid_ms / 1000.0
    count = n_rotations(samples * grid_ms, bandwidth_hz)
    omega = 2.0 * math.pi * np.arange(1, count + 1) / period_s
    x = _rotations(omega, grid_ms / 1000.0 * np.arange(1, samples + 1))
    design = np.column_stack([x, np.ones(samples)])
    # the columns are nearly dependent over a part of their period: a little ridge keeps the mixture small
    gram = design.T @ design + 1e-3 * samples * np.diag([*np.ones(2 * count), 0.0])
    solution = np.linalg.solve(gram, design.T @ target)
    matrix = np.zeros((2 * count, 2 * count))
    for k, w in enumerate(omega):
        matrix[2 * k, 2 * k + 1], matrix[2 * k + 1, 2 * k] = -w, w
    teacher = Teacher(
        n_states=2 * count,
        velocity=lambda state: state @ matrix.T,
        matrix=matrix,
        readout=solution[:-1].T.copy(),
        offset=solution[-1].copy(),
        scale=np.ones(2 * count),
    )
    start = np.zeros(2 * count)
    start[0::2] = 1.0
    return Embedding(teacher, start, pearson((design @ solution).T, target.T))


def _rotations(omega: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    x = np.empty((len(times_s), 2 * len(omega)))
    x[:, 0::2] = np.cos(times_s[:, None] * omega)
    x[:, 1::2] = np.sin(times_s[:, None] * omega)
    return x
