"""Which points to compute next: those that make the answers most certain per predicted second.

Points are chosen one by one; each is taken into account when the next is chosen as if it were there, which a Gaussian
process allows without its value: how uncertain a surface is depends on where its points lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcspike.adaptive.lattice import Lattice
from hpcspike.adaptive.questions import Target

MOST_CANDIDATES = 3000
"""Places that a round chooses from, others in every round."""

_DIGITS = 6


@dataclass(frozen=True)
class Sampled:
    """What has been chosen so far, in any order.

    Attributes
    ----------
    cells
        (points,) cell of every point, replicates of a place beside each other or not.
    pending
        (points,) bool: whose values are not known yet.
    """

    cells: np.ndarray
    pending: np.ndarray


def choose(
    targets: Sequence[Target],
    lattice: Lattice,
    sampled: Sampled,
    *,
    count: int,
    replicates: int,
    seconds: Callable[[np.ndarray], np.ndarray],
    number: int,
) -> list[tuple[int, int]]:
    """The points of a round: (cell, replicate), in the order in which they were chosen.

    Parameters
    ----------
    targets
        What is to become more certain; with none the cube is filled evenly.
    lattice
        Where points may lie.
    sampled
        What was chosen before.
    count
        How many to choose; fewer if no more places are left.
    replicates
        Most replicates of a place.
    seconds
        Predicted time of a point at each of (n, axes) places.
    number
        Of the round, by which rounds look at different places.
    """
    cells, taken = np.unique(sampled.cells, return_counts=True)
    times = dict(zip(cells.tolist(), taken.tolist(), strict=True))
    if not targets:
        return _spread(lattice, times, count, replicates)
    candidates = lattice.spread(MOST_CANDIDATES, number * MOST_CANDIDATES)
    near = lattice.nearest(np.concatenate([target.references for target in targets]))
    candidates = np.unique(np.concatenate([candidates, near, cells]))
    field = _Field(targets, lattice.places(candidates))
    for cell in np.sort(sampled.cells[sampled.pending]).tolist():
        field.take(int(np.searchsorted(candidates, cell)))
    allowed = _allowed(candidates, times, targets, lattice, replicates)
    cost = seconds(lattice.places(candidates))
    found: list[tuple[int, int]] = []
    while len(found) < count and allowed.any():
        at = _first_of_best(np.where(allowed, field.gain() / cost, -1.0))
        cell = int(candidates[at])
        found.append((cell, times.get(cell, 0)))
        times[cell] = times.get(cell, 0) + 1
        allowed[at] = times[cell] < replicates
        field.take(at)
    return found


def _allowed(
    candidates: np.ndarray, times: dict[int, int], targets: Sequence[Target], lattice: Lattice, replicates: int
) -> np.ndarray:
    """Which candidates may be computed: new places, and those where a further replicate could decide something."""
    taken = np.array([times.get(cell, 0) for cell in candidates.tolist()])
    allowed = taken == 0
    again = np.flatnonzero((taken > 0) & (taken < replicates))
    if len(again):
        places = lattice.places(candidates[again])
        allowed[again] = np.any([target.is_open(places) for target in targets], axis=0)
    return allowed


def _spread(lattice: Lattice, times: dict[int, int], count: int, replicates: int) -> list[tuple[int, int]]:
    """Places that fill the cube evenly; when all are taken, further replicates."""
    found: list[tuple[int, int]] = []
    for replicate in range(replicates):
        for cell in lattice.spread(2 * (count + sum(times.values())) + 16).tolist():
            if len(found) == count:
                return found
            if times.get(cell, 0) == replicate:
                found.append((cell, replicate))
                times[cell] = replicate + 1
    return found


def _first_of_best(score: np.ndarray) -> int:
    """The best; of equal ones the first. A last bit that differs between machines does not decide."""
    best = score.max()
    return int(np.flatnonzero(score >= best * (1.0 - 10.0**-_DIGITS))[0])


class _Field:
    """How uncertain all targets are, and how much less so a point at each candidate would make them."""

    def __init__(self, targets: Sequence[Target], places: np.ndarray) -> None:
        self._parts = [_Part(target, places) for target in targets]

    def gain(self) -> np.ndarray:
        """(candidates,) share of the uncertainty that a point takes away, over all targets."""
        return np.sum([part.gain() for part in self._parts], axis=0)

    def take(self, at: int) -> None:
        """Count a candidate as computed."""
        for part in self._parts:
            part.take(at)


class _Part:
    def __init__(self, target: Target, places: np.ndarray) -> None:
        surface = target.surface
        self._surface, self._places, self._noise = surface, places, surface.noise
        self._solved = surface.solved(places)
        both = surface.solved(target.references), self._solved
        self._across = surface.covariance(target.references, places, solved=both)
        _, sd = surface.mean_and_sd(places)
        _, at_references = surface.mean_and_sd(target.references)
        self._variance = sd**2
        self._weights = target.weights * target.urgency / float(target.weights @ at_references**2)
        self._before: list[np.ndarray] = []

    def gain(self) -> np.ndarray:
        return (self._weights @ self._across**2) / (self._variance + self._noise)

    def take(self, at: int) -> None:
        # rank-one change of all covariances; those with earlier picks are kept as vectors
        both = self._solved[:, at : at + 1], self._solved
        row = self._surface.covariance(self._places[at : at + 1], self._places, solved=both)[0]
        for vector in self._before:
            row = row - vector[at] * vector
        root = np.sqrt(self._variance[at] + self._noise)
        vector = row / root
        self._across -= np.outer(self._across[:, at] / root, vector)
        self._variance = np.maximum(self._variance - vector**2, 0.0)
        self._before.append(vector)
