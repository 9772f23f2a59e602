"""The rounds of an adaptive sweep: what its store says decides what is added to it.

Round ``k`` is chosen from the results of the rounds up to ``k - 1 - ahead``, which must be complete, and from where the
points of later rounds lie. Nothing else counts: neither which points are done beyond that, nor when, nor by whom. So a
sweep that was killed, or has more workers, goes on with the same points. In the store a round is a generation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcspike.adaptive.choice import Sampled, choose
from hpcspike.adaptive.lattice import Lattice, lattice_of
from hpcspike.adaptive.questions import Target, targets_of
from hpcspike.errors import SpecError, StoreError
from hpcspike.spec.adaptive import Adaptive
from hpcspike.spec.sweep import Sweep
from hpcspike.surface import LEAST_POINTS
from hpcspike.sweep.cost import predict
from hpcspike.sweep.grid import PLANNED, Coordinate, Grid, build_grid
from hpcspike.sweep.growth import ensure_store, ensure_sweep
from hpcspike.sweep.mending import restore_plan
from hpcspike.sweep.store import SweepStore, difference, open_store
from hpcspike.variables import STATUS

_COST_VALUES = 5
"""Values of every axis at which the time of a point is predicted; between them it is interpolated."""

_DIVERGED = STATUS.index("diverged")


@dataclass(frozen=True)
class Round:
    """A round of an adaptive sweep, or its end.

    Attributes
    ----------
    number
        From 0.
    batches
        Batches that compute its points; empty at the end.
    ended
        Why no round follows, empty if this is one.
    """

    number: int
    batches: tuple[int, ...]
    ended: str = ""


@dataclass(frozen=True)
class Known:
    """What a store tells of the rounds up to some one.

    Attributes
    ----------
    lattice
        Places that points are chosen from.
    cells, replicates
        (points,) cells of all points, and which of the networks of its cell each is.
    rows
        (points,) rows of the store that hold them.
    pending
        (points,) bool: points of later rounds, whose values do not count.
    values
        Variable that is asked for -> (points,), NaN where there is none.
    seconds
        Predicted time of all points together, in s on one core.
    """

    lattice: Lattice
    cells: np.ndarray
    replicates: np.ndarray
    rows: np.ndarray
    pending: np.ndarray
    values: dict[str, np.ndarray]
    seconds: float

    @property
    def places(self) -> np.ndarray:
        """(points, axes) in the unit cube."""
        return self.lattice.places(self.cells)

    def targets(self, adaptive: Adaptive) -> list[list[Target]]:
        """The surfaces that each of the sweep's questions is about."""
        places = self.places
        return [targets_of(question, self.lattice, places, self.values) for question in adaptive.resolve]


def ensure_round(path: str | Path, sweep: Sweep, number: int) -> Round:
    """A round of an adaptive sweep in its store: found there, or chosen and added.

    Parameters
    ----------
    path
        Store of the sweep, which round 0 makes.
    sweep
        The adaptive sweep.
    number
        Which round; all before it must be there.

    Raises
    ------
    StoreError
        If the store is that of another sweep, or rounds before are missing or not computed.
    """
    path = Path(path)
    if not (path.exists() or path.is_symlink()):
        if number:
            raise StoreError(f"{path}: no such store; make it with 'hpcspike plan CONFIG --create'")
        ensure_store(path, sweep, grid=first_grid(sweep))
        return _found(open_store(path), 0)
    restore_plan(path)
    store = open_store(path)
    refuse_other_places(store, sweep)
    rounds = n_rounds(store)
    if number < rounds:
        return _found(store, number)
    if number > rounds:
        raise StoreError(f"{path} has {rounds} rounds; round {number} comes after round {rounds}")
    chosen, ended = next_points(store, sweep)
    if ended:
        ensure_sweep(path, sweep)
        return Round(number, (), ended)
    ensure_store(path, sweep, grid=_with(store, build_grid(sweep, chosen)))
    return _found(open_store(path), number)


def first_grid(sweep: Sweep) -> Grid:
    """The points of the first round."""
    return build_grid(sweep, _first(sweep, lattice_of(sweep)))


def n_rounds(store: SweepStore) -> int:
    """Rounds that a store holds."""
    return int(store.read("generation")[store.planned].max()) + 1


def next_points(store: SweepStore, sweep: Sweep) -> tuple[list[int], str]:
    """Positions of the points of the next round; or none, and why the sweep has ended.

    Raises
    ------
    StoreError
        If a round that must be complete is not.
    """
    assert sweep.adaptive is not None
    adaptive, number = sweep.adaptive, n_rounds(store)
    known = known_of(store, sweep, complete=number - 1 - adaptive.ahead)
    n_points = len(known.cells)
    first = adaptive.first_round(len(sweep.axes))
    if number <= adaptive.ahead and n_points < first:
        wanted, targets = min(_share(first, adaptive.ahead, number), first - n_points), []
    else:
        asked = known.targets(adaptive)
        wanted, targets = adaptive.next_round(n_points), [target for found in asked for target in found]
        enough = first <= (~known.pending).sum()  # of fewer points a surface may say too soon that there is no line
        if enough and _are_resolved(asked) and (adaptive.ahead or _were_resolved(store, sweep, number - 2)):
            return [], "everything is as accurate as asked"
    if wanted < 1:
        return [], f"the budget of {adaptive.budget.points:,} points is used up"
    seconds = seconds_at(sweep, known.lattice)
    chosen = choose(
        targets,
        known.lattice,
        Sampled(known.cells, known.replicates, known.pending),
        count=wanted,
        replicates=sweep.replicates,
        seconds=seconds,
        number=number,
    )
    if not chosen:
        return [], "every place has been computed as often as allowed"
    if adaptive.budget.minutes is not None:
        cost = seconds(known.lattice.places(np.array([cell for cell, _ in chosen])))
        chosen = chosen[: int((known.seconds + np.cumsum(cost) <= 60.0 * adaptive.budget.minutes).sum())]
        if not chosen:
            return [], f"the budget of {adaptive.budget.minutes:g} min is used up"
    return [cell * sweep.replicates + replicate for cell, replicate in chosen], ""


def _are_resolved(asked: list[list[Target]]) -> bool:
    """Whether all questions have an answer that is as accurate as asked."""
    return all(found and all(target.is_resolved for target in found) for found in asked)


def _were_resolved(store: SweepStore, sweep: Sweep, number: int) -> bool:
    """Whether everything was as accurate as asked by the rounds up to ``number``.

    The first time that it seems so is often luck. Where workers do not wait, there are networks of a further round that
    had no say in it; otherwise it must hold in two rounds in turn.
    """
    assert sweep.adaptive is not None
    return _are_resolved(known_of(store, sweep, complete=number).targets(sweep.adaptive))


def known_of(store: SweepStore, sweep: Sweep, *, complete: int | None = None) -> Known:
    """What a store tells of its rounds up to ``complete``, all points of which must be done.

    None: of what is done, without batches that are damaged.
    """
    assert sweep.adaptive is not None
    rows = np.flatnonzero(store.planned)
    damaged = list(store.faults()) if complete is None else []
    believed = ~np.isin(store.batch_of_row[rows], damaged)
    done = np.zeros(len(rows), dtype=bool)
    done[believed] = store.read("done", rows[believed]) == 1
    generation = store.read("generation", rows)
    used = done if complete is None else generation <= complete
    lacking = int((used & ~done).sum())
    if lacking:
        raise StoreError(
            f"{store.path}: {lacking} points of the rounds 0 to {complete} are not done; run the workflow again, which "
            "computes them before it chooses the next round"
        )
    names = dict.fromkeys([question.variable for question in sweep.adaptive.resolve])
    values = {name: np.full(len(rows), np.nan) for name in names}
    status = store.read("status", rows[used])
    for name, column in values.items():
        column[used] = store.read(name, rows[used])
        if name == "correlation":
            column[used] = np.where(status == _DIVERGED, 0.0, column[used])  # it learned nothing
    seconds = float(store.read("predicted_seconds", rows).sum())
    cells, replicates = np.divmod(store.read("grid_index", rows), sweep.replicates)
    return Known(lattice_of(sweep), cells, replicates, rows, ~used, values, seconds)


def seconds_at(sweep: Sweep, lattice: Lattice) -> Callable[[np.ndarray], np.ndarray]:
    """Predicted time of a point at (n, axes) places, s on one core: exact at some, interpolated between them."""
    from scipy.interpolate import RegularGridInterpolator

    some = [np.unique(np.linspace(0, length - 1, _COST_VALUES).astype(int)) for length in lattice.shape]
    mesh = np.meshgrid(*some, indexing="ij")
    cells = np.ravel_multi_index([axis.ravel() for axis in mesh], lattice.shape)
    seconds = [predict(sweep.point(sweep.parameters_at(int(cell) * sweep.replicates))).seconds for cell in cells]
    axes = [unit[position] for unit, position in zip(lattice.units, some, strict=True)]
    table = RegularGridInterpolator(axes, np.log(seconds).reshape(mesh[0].shape))
    return lambda places: np.exp(table(places))


def refuse_other_places(store: SweepStore, sweep: Sweep) -> None:
    """A StoreError unless a store was made for the same experiment, axes and replicates."""
    same = ("experiment", "axes", "replicates")
    there = store.sweep
    if there.adaptive is None or any(getattr(there, key) != getattr(sweep, key) for key in same):
        raise StoreError(
            f"{store.path} belongs to another sweep: {difference(store, sweep)}. An adaptive sweep may change what it "
            "resolves and its budget; for another experiment, axes or replicates give it another name (or store path)"
        )


def _found(store: SweepStore, number: int) -> Round:
    rows = store.planned & (store.read("generation") == number)
    return Round(number, tuple(np.unique(store.batch_of_row[rows]).tolist()))


def _first(sweep: Sweep, lattice: Lattice) -> list[int]:
    assert sweep.adaptive is not None
    first = sweep.adaptive.first_round(len(sweep.axes))
    seconds = seconds_at(sweep, lattice)  # which refuses places that cannot be run before any is
    none = np.zeros(0, dtype=np.int64)
    nothing = Sampled(none, none, np.zeros(0, dtype=bool))
    chosen = choose(
        [],
        lattice,
        nothing,
        count=_share(first, sweep.adaptive.ahead, 0),
        replicates=sweep.replicates,
        seconds=seconds,
        number=0,
    )
    minutes = sweep.adaptive.budget.minutes
    if minutes is not None:
        cost = seconds(lattice.places(np.array([cell for cell, _ in chosen])))
        needed = float(cost[:LEAST_POINTS].mean()) * LEAST_POINTS / 60.0
        if needed > minutes:
            raise SpecError(
                f"adaptive.budget.minutes = {minutes:g} min: must be at least {1.01 * needed:.3g} min here, which the "
                f"first {LEAST_POINTS} networks are predicted to take, the fewest that make a map; give more minutes"
            )
        chosen = chosen[: int((np.cumsum(cost) <= 60.0 * minutes).sum())]
    return [cell * sweep.replicates + replicate for cell, replicate in chosen]


def _share(first: int, ahead: int, number: int) -> int:
    """Points of one of the rounds that are begun before any result is there: together ``first``."""
    return (first + ahead - number) // (ahead + 1)


def _with(store: SweepStore, new: Grid) -> Grid:
    """The points of a store followed by new ones."""
    rows = np.flatnonzero(store.planned)
    columns = {name: store.read(name, rows) for name in (*new.coordinates, *PLANNED)}
    there = {
        name: Coordinate(np.concatenate([columns[name].astype(item.values.dtype), item.values]), item.variable)
        for name, item in new.coordinates.items()
    }
    return Grid(
        sweep=new.sweep,
        positions=np.concatenate([columns["grid_index"], new.positions]),
        hashes=[*map(str, columns["experiment_hash"]), *new.hashes],
        coordinates=there,
        seconds=np.concatenate([columns["predicted_seconds"], new.seconds]),
        memory_mib=np.concatenate([np.zeros(len(rows)), new.memory_mib]),
        n_loops=new.n_loops,
    )
