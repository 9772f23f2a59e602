"""``hpcspike plan``: what a sweep will cost, and its store."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hpcspike.commands.common import load_config, refuse_unwritable
from hpcspike.errors import ResourceError, SpecError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.cost import available_memory_mib, check_memory, predict, shown_mib, shown_seconds
from hpcspike.sweep.grid import Grid, build_grid
from hpcspike.sweep.layout import predicted_bytes, predicted_files
from hpcspike.sweep.plan import plan_batches
from hpcspike.sweep.records import write_durably
from hpcspike.sweep.store import ensure_store


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; with ``--create`` make the store."""
    config = load_config(arguments)
    available = available_memory_mib() if arguments.memory is None else arguments.memory
    if isinstance(config, Experiment):
        if arguments.create or arguments.store or arguments.receipt:
            raise SpecError(f"{arguments.config} is one experiment, it has no store; train it with 'hpcspike train'")
        _print_experiment(config, available)
        return 0
    grid = build_grid(config)
    path = Path(arguments.store or f"results/{config.name}.zarr")
    largest = int(np.argmax(grid.memory_mib))
    _print_sweep(config, grid, available)
    if not arguments.create:
        print(f"store      {path} ({'exists' if path.exists() else 'not made yet; make it with --create'})")
        return 0
    if grid.memory_mib[largest] > available:
        _refuse(config, largest, available, arguments.memory is not None)
    refuse_unwritable(path)
    store, created = ensure_store(path, config, grid=grid)
    print(f"store      {path} ({'made' if created else f'was there, {int(store.done().sum())} points done'})")
    if arguments.receipt:
        receipt = {"name": config.name, "points": grid.n_points, "points_hash": grid.identity}
        write_durably(Path(arguments.receipt), receipt)
    return 0


def _refuse(sweep: Sweep, index: int, available: float, given: bool) -> None:
    try:
        check_memory(sweep.point(sweep.parameters_at(index)), available_mib=available)
    except ResourceError as error:
        hint = "" if given else ". If the batches run on other machines, state their memory with --memory MIB"
        raise ResourceError(f"sweep {sweep.name!r}: {error}{hint}") from None


def _print_experiment(experiment: Experiment, available: float) -> None:
    cost = predict(experiment)
    print(f"experiment {experiment.name}")
    print(f"time       about {shown_seconds(cost.seconds)} on one core")
    _print_memory(cost.memory_mib, available)


def _print_sweep(sweep: Sweep, grid: Grid, available: float) -> None:
    plan = plan_batches(grid)
    shape = " x ".join(f"{length} {key}" for key, length in sweep.shape.items())
    shortest, longest = (shown_seconds(float(value)) for value in (grid.seconds.min(), grid.seconds.max()))
    each = shortest if shortest == longest else f"{shortest} to {longest}"
    batch_shortest, batch_longest = (shown_seconds(float(v)) for v in (plan.seconds.min(), plan.seconds.max()))
    batch_each = batch_shortest if batch_shortest == batch_longest else f"{batch_shortest} to {batch_longest}"
    print(f"sweep      {sweep.name}")
    print(f"points     {grid.n_points:,} = {shape}")
    print(f"time       about {shown_seconds(float(grid.seconds.sum()))} on one core ({each} per point)")
    print(f"batches    {plan.n_batches:,} of up to {plan.points_per_batch:,} points ({batch_each} each)")
    _print_memory(float(grid.memory_mib.max()), available)
    print(f"disk       up to {max(predicted_bytes(grid) / 1e6, 0.1):,.1f} MB in about {predicted_files(plan):,} files")


def _print_memory(needed: float, available: float) -> None:
    fits = "" if needed <= available else ": DOES NOT FIT"
    print(f"memory     up to {shown_mib(needed)} per process, {shown_mib(available)} available{fits}")
