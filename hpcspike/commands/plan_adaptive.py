"""``hpcspike plan`` of an adaptive sweep: what the next round and the whole may cost, and the next round itself."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hpcspike.adaptive.questions import Target
from hpcspike.adaptive.rounds import Known, Round, ensure_round, first_grid, known_of, n_rounds, refuse_other_places
from hpcspike.adaptive.sketch import LEGEND, sketch
from hpcspike.commands.common import counted, refuse_unwritable
from hpcspike.commands.recordings import of_each_recording, say_what_are_recorded
from hpcspike.errors import DamagedStoreError, DataError, StoreError
from hpcspike.spec.adaptive import Question
from hpcspike.spec.sweep import Sweep
from hpcspike.surface import LEAST_POINTS
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.cost import SECONDS_TO_START, check_memory, shown_mib, shown_seconds
from hpcspike.sweep.durable import write_receipt
from hpcspike.sweep.grid import Grid, coordinate_names
from hpcspike.sweep.growth import planned
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.variables import STATUS

ANYWHERE = 10.0
"""A place known no better than within so many decades is not known."""


def plan_adaptive(arguments: argparse.Namespace, sweep: Sweep, path: Path, available: float) -> int:
    """Print the plan; with ``--create`` make the store with its first round, or add the next one."""
    exists = path.exists() or path.is_symlink()
    _print_sweep(sweep)
    if not arguments.create:
        if exists:
            store = open_store(path)
            refuse_other_places(store, sweep)
            known = known_of(store, sweep)
            _print_cost(sweep, store, known.pending)
            _print_rounds(sweep, known)
        else:
            _print_first(sweep, first_grid(sweep), available)
            print(f"store      {path} (not made yet; make it with --create)")
        return 0
    refuse_unwritable(path)
    if arguments.receipt:
        refuse_unwritable(Path(arguments.receipt))
    if not exists:
        grid = first_grid(sweep)
        _print_first(sweep, grid, available)
        worst = int(np.argmax(grid.memory_mib))
        check_memory(sweep.point(sweep.parameters_at(int(grid.positions[worst]))), available_mib=available)
    number = arguments.round if arguments.round is not None else _next(path, sweep) if exists else 0
    chosen = ensure_round(path, sweep, number)
    store = open_store(path)
    if exists:
        _print_cost(sweep, store, ~store.done()[store.planned])
    _print_round(store, chosen)
    print(f"store      {path} ({counted(store.n_points, 'point')}, {int(store.done().sum())} done)")
    if arguments.receipt:
        write_receipt(Path(arguments.receipt), receipt_of(chosen, store))
    return 0


def receipt_of(chosen: Round, store: SweepStore) -> dict[str, object]:
    """What the workflow reads of a round."""
    return {
        "name": store.name,
        "round": chosen.number,
        "batches": list(chosen.batches),
        "ended": chosen.ended,
        "points": store.n_points,
    }


def _next(path: Path, sweep: Sweep) -> int:
    """The round to add by hand: the first that is not there, once all points before it are done."""
    store = open_store(path)
    refuse_other_places(store, sweep)
    lacking = int((store.planned & ~store.done()).sum())
    if lacking:
        raise StoreError(
            f"{path}: {lacking} of {store.n_points} points are not done; compute their batches with 'hpcspike "
            "run-batch', or leave it all to the workflow"
        )
    return n_rounds(store)


def _print_sweep(sweep: Sweep) -> None:
    assert sweep.adaptive is not None
    adaptive = sweep.adaptive
    print(f"sweep      {sweep.name} (adaptive)")
    say_what_are_recorded(of_each_recording(sweep), label="recorded   ")
    shape = " x ".join(f"{length} {key}" for key, length in sweep.shape.items())
    budget = []
    if adaptive.budget.points is not None:
        budget.append(f"{adaptive.budget.points:,} points")
    if adaptive.budget.minutes is not None:
        budget.append(f"{adaptive.budget.minutes:g} min on one core")
    print(f"points     at most {' and '.join(budget)}, chosen from {sweep.n_points:,} = {shape}")
    for question in adaptive.resolve:
        print(f"resolve    {question.words}, within {question.accuracy:g} (half width of the 90 % interval)")


def _print_first(sweep: Sweep, grid: Grid, available: float) -> None:
    assert sweep.adaptive is not None
    table = planned(grid)
    seconds = float(grid.seconds.sum()) + SECONDS_TO_START * len(table.batches)
    print(f"round 0    {_of_the_first(sweep, 0, grid.n_points)}, about {shown_seconds(seconds)} on one core")
    _print_whole(sweep, grid.seconds, len(table.batches))
    needed = float(grid.memory_mib.max())
    fits = "" if needed <= available else ": DOES NOT FIT"
    print(f"memory     up to {shown_mib(needed)} per process, {shown_mib(available)} available{fits}")


def _of_the_first(sweep: Sweep, number: int, n_points: int) -> str:
    """How many points a round has; of those that are spread evenly before any is chosen, of how many they are."""
    assert sweep.adaptive is not None
    first = sweep.adaptive.first_round(len(sweep.axes))
    if number > sweep.adaptive.ahead or n_points >= first:
        return counted(n_points, "point")
    return f"{n_points} of the {first} first points"


def _print_cost(sweep: Sweep, store: SweepStore, lacking: np.ndarray) -> None:
    predicted = store.read("predicted_seconds")[store.planned]
    seconds = predicted * calibration(store)(predicted)
    left = shown_seconds(float(seconds[lacking].sum())) if lacking.any() else "nothing"
    rounds = counted(n_rounds(store), "round")
    print(f"chosen     {counted(store.n_points, 'point')} in {rounds}, {left} left to compute")
    _print_whole(sweep, seconds, len(store.batches))


def _print_whole(sweep: Sweep, seconds: np.ndarray, batches: int) -> None:
    """What the sweep costs if it ends with its budget, by what the points and batches so far are predicted to take."""
    assert sweep.adaptive is not None
    budget, mean = sweep.adaptive.budget, float(seconds.mean())
    most = min(
        np.inf if budget.points is None else mean * budget.points,
        np.inf if budget.minutes is None else 60.0 * budget.minutes,
    )
    most = max(most, float(seconds.sum()))
    starts = SECONDS_TO_START * batches * most / (mean * len(seconds))
    per_point = f"{shown_seconds(mean)} per point so far"
    print(f"time       at most about {shown_seconds(most + starts)} on one core ({per_point})")


def _print_rounds(sweep: Sweep, known: Known) -> None:
    assert sweep.adaptive is not None
    for question, targets in zip(sweep.adaptive.resolve, known.targets(sweep.adaptive), strict=True):
        _print_answer(known, question, targets)


def _print_answer(known: Known, question: Question, targets: list[Target]) -> None:
    """How accurately a question is answered, or why it is not."""
    for target in targets:
        _print_reached(target)
    if targets:
        return
    values = known.values[question.variable][~known.pending]
    there = values[np.isfinite(values)]
    if question.variable == "status" and len(there) >= LEAST_POINTS:
        print(f"resolved   border of status: all networks are {STATUS[int(there[0])]} so far")
    else:
        few = f"only {len(there)} of {counted(len(values), 'network')} {'has' if len(there) == 1 else 'have'} a value"
        print(f"resolved   {question.words}: not decided, {few}")


def _print_reached(target: Target) -> None:
    if target.level is not None and target.reached == 0.0:
        print(f"resolved   {target.words}: nowhere in the ranges")
        return
    known = f"within {target.reached:.2g}" if target.reached < ANYWHERE else "not located yet"
    state = "resolved" if target.is_resolved else "open"
    print(f"resolved   {target.words}: {known}, {target.accuracy:g} asked, {state}")


def print_map(store: SweepStore) -> None:
    """Rounds, how accurately every question is answered, and the map of the first one so far."""
    sweep = store.sweep
    assert sweep.adaptive is not None
    known = known_of(store, sweep)
    print(f"rounds     {n_rounds(store)} of the adaptive sweep")
    first = True
    for question, targets in zip(sweep.adaptive.resolve, known.targets(sweep.adaptive), strict=True):
        _print_answer(known, question, targets)
        for words in _best(store, question, known) if targets else []:
            print(f"           {words}")
        if targets and first:
            lines, first = sketch(known, targets[0], question), False
            has_level = question.level is not None or question.variable == "status"
            print(f"map        {targets[0].words}: {LEGEND[has_level]}")
            for line in lines:
                print(f"           |{line}|")
            keys = list(sweep.axes)
            words = f"{keys[0]} to the right" + (f", {keys[1]} upwards" if len(keys) > 1 else "")
            middle = ", in the middle of the other axes" if len(keys) > 2 else ""
            print(f"           {words}, from the first to the last value{middle}")


def _best(store: SweepStore, question: Question, known: Known) -> list[str]:
    """The best value of every axis with its interval, where there is one best place and enough networks say it."""
    if set(question.maximum_axes) != set(store.sweep.axes):
        return []
    from hpcspike.analysis import optimum

    names = coordinate_names(list(store.sweep.axes))
    over = [names[key] for key in question.maximum_axes]
    try:
        sweep = open_sweep(store.path)
        sweep = sweep.isel(point=np.isin(sweep["point"].values, known.rows[~known.pending]))
        best = optimum(sweep, measure=question.variable, along=over)
    except (DataError, DamagedStoreError):  # too few values, or the list of what is done is damaged
        return []
    edge = ", at an end of the ranges" if best["at_edge"].item() else ""
    values = []
    for name in over:
        at, low, high = (best[f"position{end}_{name}"].item() for end in ("", "_low", "_high"))
        values.append(f"{name} = {at:.4g} ({low:.4g} to {high:.4g})")
    return [f"largest at {', '.join(values)}{edge}"]


def _print_round(store: SweepStore, chosen: Round) -> None:
    if chosen.ended:
        print(f"ended      {chosen.ended}")
        return
    rows = [row for batch in chosen.batches for row in store.points(batch)]
    predicted = store.read("predicted_seconds")[rows]
    seconds = float((predicted * calibration(store)(predicted)).sum()) + SECONDS_TO_START * len(chosen.batches)
    points, batches = _of_the_first(store.sweep, chosen.number, len(rows)), ", ".join(map(str, chosen.batches))
    print(f"round {chosen.number:<4} {points} in batches {batches}, about {shown_seconds(seconds)} on one core")
