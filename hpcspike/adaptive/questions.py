"""What of a sweep's questions is still open: where their answers are uncertain, and how uncertain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hpcspike.adaptive.lattice import Lattice
from hpcspike.maxima import maximum
from hpcspike.spec.adaptive import Question
from hpcspike.surface import INTERVAL, LEAST_POINTS, Surface, evenly
from hpcspike.variables import STATUS, SURFACE_SCALES

MOST_LOOKED_AT = 2000
"""Places at which a question's surface is looked at."""

MOST_HELD = 600
"""Places that surfaces go through while points are chosen, in every round anew; answers are read off finer ones."""

MOST_REFERENCES = 500
"""Places whose uncertainty is weighed when points are chosen: those that matter most."""

_LINES, _DRAWS, _LEAST_SHARE = 24, 200, 1e-4
_FLAT = 0.03
"""Slopes below this share of the values' spread over the whole range count as this: a plateau has no clear line."""


@dataclass(frozen=True)
class Target:
    """One surface whose uncertainty is to fall; variances and the level are on the surface's own scale.

    Attributes
    ----------
    words
        What is resolved.
    surface
        What is known.
    references, weights
        (n, axes) places and (n,) what the variance there is worth.
    level
        The level whose place is asked for, None if it is something else.
    reached, accuracy
        Half width of the 90 % interval now, and the one that is enough.
    is_open
        Of (m, axes) places, whether a further replicate could decide something there.
    """

    words: str
    surface: Surface
    references: np.ndarray
    weights: np.ndarray
    reached: float
    accuracy: float
    is_open: Callable[[np.ndarray], np.ndarray]
    level: float | None = None

    @property
    def is_resolved(self) -> bool:
        """Whether it is as accurate as asked."""
        return self.reached <= self.accuracy

    @property
    def urgency(self) -> float:
        """What this target counts beside others."""
        return 0.05 if self.is_resolved else min(self.reached / self.accuracy, 10.0)


def targets_of(
    question: Question, lattice: Lattice, places: np.ndarray, values: Mapping[str, np.ndarray]
) -> list[Target]:
    """The surfaces that a question is about; none if too few points have a value.

    Parameters
    ----------
    question
        What is asked.
    lattice
        Where points may lie.
    places
        (points, axes) where points lie that are done.
    values
        Variable -> (points,), NaN where there is none.
    """
    column = values[question.variable]
    if np.isfinite(column).sum() < LEAST_POINTS:
        return []
    if question.variable == "status":
        return _of_status(question, lattice, places, column)
    surface = Surface(places, column, scale=SURFACE_SCALES.get(question.variable, ""), held=MOST_HELD)
    if question.level is not None:
        level = float(surface.scaled(np.array(question.level)))
        return [_of_level(question.words, question.accuracy, surface, level, lattice)]
    if question.maximum_over is not None:
        return [_of_maximum(question, surface, lattice)]
    looked_at = evenly(MOST_REFERENCES, len(lattice.shape))
    mean, sd = surface.mean_and_sd(looked_at)
    worth = surface.per_scaled(mean) ** 2
    reached = float(INTERVAL * np.sqrt(np.mean(worth * sd**2)))
    return [_target(question.words, surface, looked_at, worth, reached, question.accuracy)]


def _of_status(question: Question, lattice: Lattice, places: np.ndarray, status: np.ndarray) -> list[Target]:
    """One surface for every status that some points have and others have not: the share of networks that have it."""
    known = np.isfinite(status)
    found = []
    for code in np.unique(status[known]).astype(int):
        has = np.where(known, status == code, np.nan).astype(np.float64)
        if 0.0 < np.nanmean(has) < 1.0:
            words = f"border of {STATUS[code]}"
            found.append(
                _of_level(
                    words, question.accuracy, Surface(places, has, heavy_tails=False, held=MOST_HELD), 0.5, lattice
                )
            )
    return found


def _target(
    words: str,
    surface: Surface,
    references: np.ndarray,
    weights: np.ndarray,
    reached: float,
    accuracy: float,
    is_open: Callable[[np.ndarray], np.ndarray] | None = None,
    level: float | None = None,
) -> Target:
    most = np.sort(np.argsort(-weights, kind="stable")[:MOST_REFERENCES])
    always = is_open or (lambda some: np.ones(len(some), dtype=bool))
    return Target(words, surface, references[most], weights[most], reached, accuracy, always, level)


def _of_level(words: str, accuracy: float, surface: Surface, level: float, lattice: Lattice) -> Target:
    """Where a surface crosses a level: the standard error over the slope is how far the line may lie elsewhere.

    The place is asked for along every axis. Along axis a it may be off by sd / |g_a|, g_a the slope along this axis;
    a piece of the level line is met by a share |g_a| of the lines along a. Both together, and summed over the axes: a
    variance is worth the sum of 1 / |g_a|, most where the level line turns back and is nearly parallel to an axis.
    """
    looked_at = evenly(MOST_LOOKED_AT, len(lattice.shape))
    mean, sd = surface.mean_and_sd(looked_at)
    steps = surface.gradient(looked_at) / lattice.spans
    flat = _FLAT * float(np.ptp(mean)) / float(np.max(lattice.spans))
    slope = np.sqrt((steps**2).sum(axis=1) + flat**2 + 1e-12)
    width = np.sqrt(sd**2 + (slope * accuracy) ** 2)
    nearness = np.exp(-0.5 * ((mean - level) / width) ** 2) / width
    weights = nearness * (1.0 / np.sqrt(steps**2 + flat**2 + 1e-12)).sum(axis=1)

    def straddles(places: np.ndarray) -> np.ndarray:
        there, error = surface.mean_and_sd(places)
        return np.abs(there - level) <= INTERVAL * error

    reached = line_error(mean, sd, slope, level, lattice)
    return _target(words, surface, looked_at, weights, reached, accuracy, straddles, level)


def line_error(mean: np.ndarray, sd: np.ndarray, slope: np.ndarray, level: float, lattice: Lattice) -> float:
    """Half width of the 90 % interval of how far a level line is off, root mean square along it, in decades (ranges).

    The distance counts across the line, not along an axis. Infinite while it is open whether there is a line, 0 where
    there is none.
    """
    near = 1.5 * float(np.max(lattice.spans)) / MOST_LOOKED_AT ** (1.0 / len(lattice.shape))
    on_line = np.exp(-0.5 * ((mean - level) / (slope * near)) ** 2)
    if on_line.max() < 0.1:
        return np.inf if (np.abs(mean - level) < 3.0 * sd).any() else 0.0
    return float(INTERVAL * np.sqrt(np.average((sd / slope) ** 2, weights=on_line)))


def _of_maximum(question: Question, surface: Surface, lattice: Lattice) -> Target:
    """Where along some axes a surface is largest, for many values of the others; the least certain axis counts."""
    along = [lattice.names.index(name) for name in question.maximum_axes]
    others = [axis for axis in range(len(lattice.shape)) if axis not in along]
    rows = np.zeros((_LINES if others else 1, len(lattice.shape)))
    rows[:, others] = evenly(len(rows), len(others)) if others else 0.0
    found = [maximum(surface, row, along, n_draws=_DRAWS, seed=number) for number, row in enumerate(rows)]
    errors = np.array([one.tops.std(axis=0) for one in found]) * lattice.spans[along]
    looked_at, share = (np.concatenate(parts) for parts in zip(*((o.looked_at, o.share) for o in found), strict=True))
    reached = float(INTERVAL * np.sqrt(np.mean(errors**2, axis=0)).max())
    return _target(question.words, surface, looked_at, share + _LEAST_SHARE, reached, question.accuracy)
