"""``hpcspike plan``: what a sweep will cost, and its store."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpcspike.commands.common import counted, load_config, refuse_unwritable
from hpcspike.engine.checkpoint import checkpoint_bytes
from hpcspike.errors import ResourceError, SpecError, StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import sizes_of
from hpcspike.spec.study import Study, StudyRun
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.cost import BASE_MIB, available_memory_mib, check_memory, predict, shown_mib, shown_seconds
from hpcspike.sweep.durable import write_receipt
from hpcspike.sweep.grid import Grid, build_grid
from hpcspike.sweep.growth import ensure_store, grown, planned
from hpcspike.sweep.layout import Table
from hpcspike.sweep.scaling import loop_time
from hpcspike.sweep.store import SweepStore, open_store


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; with ``--create`` make the store, or add what is new to it."""
    config = load_config(arguments)
    _print_size(arguments)
    available = available_memory_mib() if arguments.memory is None else arguments.memory
    if isinstance(config, Experiment):
        if arguments.create or arguments.store or arguments.receipt:
            raise SpecError(f"{arguments.config} is one experiment, it has no store; train it with 'hpcspike train'")
        _print_experiment(config, available, arguments.ranks)
        return 0
    if isinstance(config, Study):
        if arguments.create or arguments.store or arguments.receipt:
            raise SpecError(f"{arguments.config} is a study, it has no store; run it with 'hpcspike study'")
        _print_study(config, available)
        return 0
    grid = build_grid(config)
    path = Path(arguments.store or f"results/{config.name}.zarr")
    if not arguments.create:
        _preview(grid, path, available)
        return 0
    existed = path.exists() or path.is_symlink()
    if not existed:
        _print_sweep(grid, planned(grid), available)
        _refuse_too_large(grid, available, given=arguments.memory is not None)
    refuse_unwritable(path)
    if arguments.receipt:
        refuse_unwritable(Path(arguments.receipt))
    store, added = ensure_store(path, config, grid=grid)
    if existed:
        _print_sweep(grid, None, available, store)
    print(f"store      {path} ({_became(store, added, existed)})")
    if arguments.receipt:
        receipt = {"name": config.name, "points": grid.n_points, "points_hash": grid.identity}
        write_receipt(Path(arguments.receipt), receipt)
    return 0


def _print_size(arguments: argparse.Namespace) -> None:
    """Which of its sizes a file is planned in, if it has several."""
    sizes = sizes_of(Path(arguments.config))
    if sizes:
        size = arguments.size or sizes[0]
        others = ", ".join(other for other in sizes if other != size)
        print(f"size       {size} ({f'others: {others}; choose with --size' if others else 'the only one'})")


def _preview(grid: Grid, path: Path, available: float) -> None:
    if not (path.exists() or path.is_symlink()):
        _print_sweep(grid, planned(grid), available)
        print(f"store      {path} (not made yet; make it with --create)")
        return
    try:
        store = open_store(path)
        table = grown(store, grid)
    except StoreError:
        _print_sweep(grid, planned(grid), available)
        print(f"store      {path} (holds something else; --create will say what differs)")
        return
    _print_sweep(grid, table, available, store)
    new = 0 if table is None else table.n_points - store.n_points
    became = f"{counted(new, 'point')} to be added; add with --create" if new else "exists"
    print(f"store      {path} ({became})")


def _became(store: SweepStore, added: int, existed: bool) -> str:
    if not existed:
        return "made"
    done = f"{counted(int(store.done().sum()), 'point')} done"
    return f"grown by {counted(added, 'point')}, {done}" if added else f"was there, {done}"


def _refuse_too_large(grid: Grid, available: float, *, given: bool) -> None:
    """A ResourceError if the point that takes the most memory in one process does not fit; given: with ``--memory``."""
    sweep, needed = grid.sweep, _memory_per_process(grid)
    index = int(np.argmax(needed))
    ranks = grid.memory_mib[index] / needed[index]
    try:
        check_memory(sweep.point(sweep.parameters_at(index)), available_mib=available * ranks)
    except ResourceError as error:
        hint = "" if given else ". If the batches run on other machines, state their memory with --memory MIB"
        raise ResourceError(f"sweep {sweep.name!r}: {error}{hint}") from None


def _print_experiment(experiment: Experiment, available: float, ranks: int) -> None:
    cost, kind = predict(experiment), experiment.learner.kind
    if kind != "rls" and ranks > 1:
        raise SpecError(f"--ranks {ranks}: learner.kind = {kind} runs on one rank; leave the option out")
    print(f"experiment {experiment.name}")
    print(f"time       about {shown_seconds(cost.seconds)} on one core")
    _print_memory(cost.memory_mib, available)
    if kind != "rls":  # its states are of another kind
        return
    print(f"checkpoint up to {shown_mib(checkpoint_bytes(experiment) / 2**20)} each")
    if ranks > 1:
        loop = loop_time(experiment, ranks)
        phases = ", ".join(f"{name} {shown_seconds(value)}" for name, value in asdict(loop).items())
        print(f"ranks      {ranks}: about {shown_seconds(loop.total)} per loop ({phases}), ", end="")
        print(f"about {shown_mib(BASE_MIB + (cost.memory_mib - BASE_MIB) / ranks)} of memory each")


def _print_study(study: Study, available: float) -> None:
    costs = {variant: predict(study.experiment_of(StudyRun(variant, 0))) for variant in study.variants}
    total = study.replicates * sum(cost.seconds for cost in costs.values())
    print(f"study      {study.name}")
    print(f"networks   {len(study.runs)} = {counted(len(costs), 'variant')} x {counted(study.replicates, 'replicate')}")
    print(f"time       about {shown_seconds(total)} on one core, and what the probes take")
    for variant, cost in costs.items():
        print(f"           {variant}: {shown_seconds(cost.seconds)} per network")
    _print_memory(max(cost.memory_mib for cost in costs.values()), available)


def _print_sweep(grid: Grid, table: Table | None, available: float, store: SweepStore | None = None) -> None:
    """table: what the store will be; None: the store is what it will be."""
    sweep = grid.sweep
    shape = " x ".join(f"{length} {key}" for key, length in sweep.shape.items())
    seconds = grid.seconds if store is None else grid.seconds * calibration(store)(grid.seconds)
    basis = 0 if store is None else int(store.done().sum())
    corrected = f", corrected by {counted(basis, 'point')} done" if basis else ""
    print(f"sweep      {sweep.name}")
    print(f"points     {grid.n_points:,} = {shape}")
    print(f"time       about {shown_seconds(float(seconds.sum()))} on one core ({_span(seconds)} per point{corrected})")
    if table is not None:
        batches, owned = table.batches, table.columns["batch"].values
    elif store is not None:
        batches, owned = store.batches, store.batch_of_row
    most = int(np.bincount(owned[owned >= 0]).max())
    by_mpi = sum(ranks > 1 for ranks in batches.ranks)
    mpi = f", {by_mpi:,} of them on {max(batches.ranks)} MPI ranks" if by_mpi else ""
    print(
        f"batches    {len(batches):,} of up to {counted(most, 'point')} ({_span(np.array(batches.seconds))} each){mpi}"
    )
    _print_memory(float(_memory_per_process(grid).max()), available)
    if table is not None:
        megabytes = max(table.predicted_bytes() / 1e6, 0.1)
        print(f"disk       up to {megabytes:,.1f} MB in about {table.predicted_files():,} files")


def _span(seconds: np.ndarray) -> str:
    shortest, longest = (shown_seconds(float(value)) for value in (seconds.min(), seconds.max()))
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _memory_per_process(grid: Grid) -> np.ndarray:
    """(points,) MiB; a network is spread evenly over its MPI ranks."""
    batching = grid.sweep.batching
    if batching.mpi_minutes is None:
        return grid.memory_mib
    return np.where(grid.seconds > 60.0 * batching.mpi_minutes, grid.memory_mib / batching.mpi_ranks, grid.memory_mib)


def _print_memory(needed: float, available: float) -> None:
    fits = "" if needed <= available else ": DOES NOT FIT"
    print(f"memory     up to {shown_mib(needed)} per process, {shown_mib(available)} available{fits}")
