"""Which points to compute next: those that make the answers most certain per predicted second.

Points are chosen one by one; each is taken into account when the next is chosen as if it were there, which a Gaussian
process allows without its value: how uncertain a surface is depends on where its points lie. In large rounds a pick
takes several points beside each other, which count as so many networks at one place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcspike.adaptive.lattice import Lattice
from hpcspike.adaptive.questions import Target

MOST_CANDIDATES = 2000
"""Places that are looked at for a round, others in every round."""

MOST_KEPT = 1000
"""Of these, places that tell most and that points are chosen from."""

MOST_PICKS = 100
"""Picks of a round; where it has more points, each pick takes several, in cells beside each other."""

_DIGITS = 6


@dataclass(frozen=True)
class Sampled:
    """What has been chosen so far, in any order.

    Attributes
    ----------
    cells, replicates
        (points,) cell of every point, and which of the networks of its cell it is.
    pending
        (points,) bool: whose values are not known yet.
    """

    cells: np.ndarray
    replicates: np.ndarray
    pending: np.ndarray


class _Taken:
    """Which networks of which cells are taken.

    Networks of one number share their seed, so those of neighbouring places may fail together, or learn alike. So a
    place takes the number that fewest places have: as in a grid, all count alike.
    """

    def __init__(self, sampled: Sampled, replicates: int) -> None:
        self._numbers: dict[int, set[int]] = defaultdict(set)
        self._times = [0] * replicates
        for cell, number in zip(sampled.cells.tolist(), sampled.replicates.tolist(), strict=True):
            self._numbers[cell].add(number)
            self._times[number] += 1

    def times(self, cell: int) -> int:
        """Networks of a cell."""
        return len(self._numbers[cell]) if cell in self._numbers else 0

    def beside(self, cell: int, count: int, lattice: Lattice) -> list[int]:
        """The nearest cells that have no more networks than a cell, at most so many, itself first."""
        steps, most = 1, self.times(cell)
        while True:
            near = [other for other in lattice.beside(cell, steps).tolist() if self.times(other) <= most]
            if len(near) >= count or steps >= max(lattice.shape):
                return near[:count]
            steps *= 2

    def is_full(self, cell: int) -> bool:
        """Whether all networks of a cell are taken."""
        return self.times(cell) == len(self._times)

    def take(self, cell: int) -> tuple[int, int]:
        """The cell and the number of a further network of it."""
        free = [number for number in range(len(self._times)) if number not in self._numbers[cell]]
        number = min(free, key=self._times.__getitem__)
        self._numbers[cell].add(number)
        self._times[number] += 1
        return cell, number


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
        What is to become more certain; with none, or where no place says more than others, the cube is filled evenly.
    lattice
        Where points may lie.
    sampled
        What was chosen before.
    count
        How many to choose; fewer if no more places are left.
    replicates
        Most networks of a place.
    seconds
        Predicted time of a point at each of (n, axes) places.
    number
        Of the round, by which rounds look at different places.
    """
    taken = _Taken(sampled, replicates)
    targets = [target for target in targets if target.weights.sum() > 0.0]  # of a level far from all values nothing
    if not targets:
        return _spread(lattice, taken, len(sampled.cells), count, replicates)
    anywhere = lattice.spread(MOST_CANDIDATES, number * MOST_CANDIDATES)
    near = lattice.nearest(np.concatenate([target.references for target in targets]))
    candidates = np.unique(np.concatenate([anywhere, near, _some(np.unique(sampled.cells), number)]))
    candidates = candidates[_allowed(candidates, taken, targets, lattice)]
    if not len(candidates):
        return []
    pending = lattice.places(np.sort(sampled.cells[sampled.pending]))
    at_once = math.ceil(count / MOST_PICKS)
    field = _Field(targets, lattice.places(candidates), pending, at_once)
    cost = seconds(lattice.places(candidates))
    kept = np.sort(np.argsort(-field.gain() / cost, kind="stable")[:MOST_KEPT])
    candidates, cost = candidates[kept], cost[kept]
    field.keep(kept)
    allowed = np.ones(len(candidates), dtype=bool)
    found: list[tuple[int, int]] = []
    while len(found) < count and allowed.any():
        best = _first_of_best(np.where(allowed, field.gain() / cost, -1.0))
        cells = taken.beside(int(candidates[best]), min(at_once, count - len(found)), lattice)
        found += [taken.take(cell) for cell in cells]
        full = [cell for cell in cells if taken.is_full(cell)]
        allowed[np.isin(candidates, full)] = False
        field.take(best)
    return found


def _some(cells: np.ndarray, number: int) -> np.ndarray:
    """At most `MOST_CANDIDATES` of some cells, others in every round."""
    step = max(math.ceil(len(cells) / MOST_CANDIDATES), 1)
    return cells[number % step :: step]


def _allowed(candidates: np.ndarray, taken: _Taken, targets: Sequence[Target], lattice: Lattice) -> np.ndarray:
    """Which candidates may be computed: new places, and those where a further replicate could decide something."""
    allowed = np.array([taken.times(cell) == 0 for cell in candidates.tolist()], dtype=bool)
    full = np.array([taken.is_full(cell) for cell in candidates.tolist()], dtype=bool)
    again = np.flatnonzero(~allowed & ~full)
    if len(again):
        places = lattice.places(candidates[again])
        allowed[again] = np.any([target.is_open(places) for target in targets], axis=0)
    return allowed


def _spread(lattice: Lattice, taken: _Taken, n_taken: int, count: int, replicates: int) -> list[tuple[int, int]]:
    """Places that fill the cube evenly; when all are taken, further replicates."""
    found: list[tuple[int, int]] = []
    for times in range(replicates):
        for cell in lattice.spread(2 * (count + n_taken + len(found)) + 16).tolist():
            if len(found) == count:
                return found
            if taken.times(cell) == times:
                found.append(taken.take(cell))
    return found


def _first_of_best(score: np.ndarray) -> int:
    """The best; of equal ones the first. A last bit that differs between machines does not decide."""
    best = score.max()
    return int(np.flatnonzero(score >= best * (1.0 - 10.0**-_DIGITS))[0])


class _Field:
    """How uncertain all targets are, and how much less so a pick at each candidate would make them.

    A pick is ``at_once`` points, as many networks at its place.
    """

    def __init__(self, targets: Sequence[Target], places: np.ndarray, pending: np.ndarray, at_once: int = 1) -> None:
        self._parts = [_Part(target, places, pending, at_once) for target in targets]

    def gain(self) -> np.ndarray:
        """(candidates,) share of the uncertainty that a pick takes away, over all targets."""
        return np.sum([part.gain() for part in self._parts], axis=0)

    def keep(self, some: np.ndarray) -> None:
        """Forget the other candidates; before any is taken."""
        for part in self._parts:
            part.keep(some)

    def take(self, at: int) -> None:
        """Count a candidate as computed."""
        for part in self._parts:
            part.take(at)


class _Part:
    """One target. A covariance after some picks is the first one less an outer product for each of them.

    The changed matrix is never formed: a pick costs two products of a matrix and a vector.
    """

    def __init__(self, target: Target, places: np.ndarray, pending: np.ndarray, at_once: int) -> None:
        self._reach, self._places = target.surface.reach(pending), places
        self._noise = target.surface.noise / at_once
        self._solved = self._reach.solved(places)
        at_references = self._reach.solved(target.references)
        before = self._reach.variance(target.references, solved=at_references)
        self._weights = target.weights * target.urgency / float(target.weights @ before)
        self._across = self._reach.covariance(target.references, places, solved=(at_references, self._solved))
        self._variance = self._reach.variance(places, solved=self._solved)
        self._reduced = self._weights @ self._across**2
        # of every pick: its covariances with references and candidates, each over the root of its variance
        self._with_references: list[np.ndarray] = []
        self._with_places: list[np.ndarray] = []

    def gain(self) -> np.ndarray:
        return self._reduced / (self._variance + self._noise)

    def keep(self, some: np.ndarray) -> None:
        self._places, self._variance, self._reduced = self._places[some], self._variance[some], self._reduced[some]
        self._solved, self._across = self._solved[:, some].copy(), self._across[:, some].copy()

    def take(self, at: int) -> None:
        both = self._solved[:, at : at + 1], self._solved
        row = self._reach.covariance(self._places[at : at + 1], self._places, solved=both)[0]
        column = self._across[:, at].copy()
        for references, places in zip(self._with_references, self._with_places, strict=True):
            row -= places[at] * places
            column -= places[at] * references
        root = np.sqrt(self._variance[at] + self._noise)
        row, column = row / root, column / root
        weighted = self._weights * column
        change = weighted @ self._across
        for references, places in zip(self._with_references, self._with_places, strict=True):
            change -= float(weighted @ references) * places
        self._reduced = np.maximum(self._reduced + row * (row * float(weighted @ column) - 2.0 * change), 0.0)
        self._variance = np.maximum(self._variance - row**2, 0.0)
        self._with_references.append(column)
        self._with_places.append(row)
