"""``hpcspike plan``: what a sweep will cost, and its store."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpcspike.commands.common import counted, load_config, refuse_unwritable
from hpcspike.commands.recordings import of_each_recording, say_what_are_recorded, say_what_is_recorded
from hpcspike.engine.checkpoint import checkpoint_bytes
from hpcspike.engine.distribute import refuse_idle_ranks
from hpcspike.errors import ResourceError, SpecError, StoreError
from hpcspike.runs.facts import facts_of, refuse_in_vain
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import sizes_of
from hpcspike.spec.study import Study, StudyRun
from hpcspike.spec.sweep import Sweep
from hpcspike.studies.feasible import check_study
from hpcspike.sweep.calibration import calibration
from hpcspike.sweep.cost import (
    BASE_MIB,
    SECONDS_TO_START,
    available_memory_mib,
    check_memory,
    matrices_mib,
    predict,
    shown_mib,
    shown_seconds,
    transfer_to_measure,
)
from hpcspike.sweep.durable import write_receipt
from hpcspike.sweep.grid import Grid, build_grid
from hpcspike.sweep.growth import ensure_store, grown, planned
from hpcspike.sweep.held import Points, memory_per_process, points_in, points_of
from hpcspike.sweep.layout import Table
from hpcspike.sweep.scaling import loop_time
from hpcspike.sweep.store import SweepStore, open_store

LEAST_MIB = 0.5
"""What takes less is 0 MiB in words, and not worth a line."""


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
    path = Path(arguments.store or f"results/{config.name}.zarr")
    if config.adaptive is not None:
        from hpcspike.commands.plan_adaptive import plan_adaptive

        return plan_adaptive(arguments, config, path, available)
    if arguments.round is not None:
        raise SpecError(f"--round: {arguments.config} has no section 'adaptive'; leave the option out")
    if not arguments.create:
        _preview(config, path, available)
        return 0
    existed = path.exists() or path.is_symlink()
    points, grid = _points(config, _ours(path)), None
    if points is None:
        grid = build_grid(config)
        points = points_of(grid)
    if not existed:
        assert grid is not None
        _print_sweep(config, points, planned(grid), available)
        _refuse_too_large(grid, available, given=arguments.memory is not None)
    refuse_unwritable(path)
    if arguments.receipt:
        refuse_unwritable(Path(arguments.receipt))
    store, added = ensure_store(path, config, grid=grid)
    if existed:
        _print_sweep(config, points, None, available, store)
    print(f"store      {path} ({_became(store, added, existed)})")
    if arguments.receipt:
        receipt = {"name": config.name, "points": points.n_points, "points_hash": points.identity}
        write_receipt(Path(arguments.receipt), receipt)
    return 0


def _ours(path: Path) -> SweepStore | None:
    """The store of a sweep at a path; None if there is none, or something else."""
    try:
        return open_store(path)
    except StoreError:
        return None


def _points(sweep: Sweep, store: SweepStore | None) -> Points | None:
    """What a store says of the points of a sweep; None if they must be worked out."""
    return None if store is None else points_in(store, sweep)


def _print_size(arguments: argparse.Namespace) -> None:
    """Which of its sizes a file is planned in, if it has several."""
    sizes = sizes_of(Path(arguments.config))
    if sizes:
        size = arguments.size or sizes[0]
        others = ", ".join(other for other in sizes if other != size)
        print(f"size       {size} ({f'others: {others}; choose with --size' if others else 'the only one'})")


def _preview(sweep: Sweep, path: Path, available: float) -> None:
    store = _ours(path)
    points = _points(sweep, store)
    if points is not None:
        _print_sweep(sweep, points, None, available, store)
        print(f"store      {path} (exists)")
        return
    grid = build_grid(sweep)
    points = points_of(grid)
    if not (path.exists() or path.is_symlink()):
        _print_sweep(sweep, points, planned(grid), available)
        print(f"store      {path} (not made yet; make it with --create)")
        return
    try:
        store = open_store(path)
        table = grown(store, grid)
    except StoreError:
        _print_sweep(sweep, points, planned(grid), available)
        print(f"store      {path} (holds something else; --create will say what differs)")
        return
    _print_sweep(sweep, points, table, available, store)
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
    sweep, needed = grid.sweep, memory_per_process(grid)
    index = int(np.argmax(needed))
    ranks = grid.memory_mib[index] / needed[index]
    try:
        check_memory(sweep.point(sweep.parameters_at(index)), available_mib=available * ranks)
    except ResourceError as error:
        hint = "" if given else ". If the batches run on other machines, state their memory with --memory MIB"
        raise ResourceError(f"sweep {sweep.name!r}: {error}{hint}") from None


def _print_experiment(experiment: Experiment, available: float, ranks: int) -> None:
    say_what_is_recorded(experiment, label="recorded   ")
    cost, facts, kind = predict(experiment), facts_of(experiment), experiment.learner.kind
    refuse_in_vain(experiment)
    refuse_idle_ranks(facts.n_neurons, ranks)
    if kind != "rls" and ranks > 1:
        raise SpecError(f"--ranks {ranks}: learner.kind = {kind} runs on one rank; leave the option out")
    print(f"experiment {experiment.name if 'name' in experiment.model_fields_set else '(its file gives no name)'}")
    of_them = f", {facts.n_recorded:,} of them recorded" if facts.n_recorded else ""
    print(f"network    {counted(facts.n_neurons, 'neuron')}{of_them}, {facts.duration_ms:g} ms")
    print(f"time       about {shown_seconds(cost.seconds + SECONDS_TO_START)} on one core")
    _print_transfer([experiment])
    _print_memory(cost.memory_mib, available)
    if kind != "rls":  # its states are of another kind
        return
    _print_matrices(experiment)
    saved = checkpoint_bytes(experiment, n_neurons=facts.n_neurons) / 2**20
    if saved >= LEAST_MIB:
        print(f"checkpoint up to {shown_mib(saved)} each")
    if ranks > 1:
        loop = loop_time(experiment, ranks)
        taken = {name: shown_seconds(value) for name, value in asdict(loop).items()}
        phases = ", ".join(f"{name} {words}" for name, words in taken.items() if words != shown_seconds(0.0))
        of_it = f" ({phases})" if phases else ""
        print(f"ranks      {ranks}: about {shown_seconds(loop.total)} per loop{of_it}, ", end="")
        print(f"about {shown_mib(BASE_MIB + (cost.memory_mib - BASE_MIB) / ranks)} of memory each")


def _print_study(study: Study, available: float) -> None:
    check_study(study)
    costs = {variant: predict(study.experiment_of(StudyRun(variant, 0))) for variant in study.variants}
    total = sum(study.repetitions(variant) * (cost.seconds + SECONDS_TO_START) for variant, cost in costs.items())
    print(f"study      {study.name}")
    experiments = [study.experiment_of(StudyRun(variant, 0)) for variant in study.variants]
    say_what_are_recorded(experiments, label="recorded   ")
    counts = [study.repetitions(variant) for variant in study.variants]
    fewest = f"{min(counts)} to " if min(counts) < max(counts) else ""
    each = f"{fewest}{counted(max(counts), 'replicate')}"
    print(f"networks   {len(study.runs)} = {counted(len(costs), 'variant')} x {each}")
    print(f"time       about {shown_seconds(total)} on one core, and what the probes take")
    for variant, cost in costs.items():
        print(f"           {variant}: {shown_seconds(cost.seconds)} per network")
    _print_transfer(experiments)
    _print_memory(max(cost.memory_mib for cost in costs.values()), available)


def _print_sweep(
    sweep: Sweep, points: Points, table: Table | None, available: float, store: SweepStore | None = None
) -> None:
    """table: what the store will be; None: the store is what it will be."""
    shape = " x ".join(f"{length} {key}" for key, length in sweep.shape.items())
    seconds = points.seconds if store is None else points.seconds * calibration(store)(points.seconds)
    basis = 0 if store is None else int(store.done().sum())
    corrected = f", corrected by {counted(basis, 'point')} done" if basis else ""
    print(f"sweep      {sweep.name}")
    say_what_are_recorded(of_each_recording(sweep), label="recorded   ")
    print(f"points     {points.n_points:,} = {shape}")
    if table is not None:
        batches, owned = table.batches, table.columns["batch"].values
    elif store is not None:
        batches, owned = store.batches, store.batch_of_row
    total = float(seconds.sum()) + SECONDS_TO_START * len(batches)
    per_job = f"{shown_seconds(SECONDS_TO_START)} to start each batch"
    print(f"time       about {shown_seconds(total)} on one core ({_span(seconds)} per point{corrected}, {per_job})")
    most = int(np.bincount(owned[owned >= 0]).max())
    by_mpi = sum(ranks > 1 for ranks in batches.ranks)
    mpi = f", {by_mpi:,} of them on {max(batches.ranks)} MPI ranks" if by_mpi else ""
    _print_transfer([sweep.point(sweep.parameters_at(0))])
    print(
        f"batches    {len(batches):,} of up to {counted(most, 'point')} ({_span(np.array(batches.seconds))} each){mpi}"
    )
    _print_memory(points.memory_mib, available)
    if table is not None:
        megabytes = max(table.predicted_bytes() / 1e6, 0.1)
        print(f"disk       up to {megabytes:,.1f} MB in about {table.predicted_files():,} files")


def _print_matrices(experiment: Experiment) -> None:
    """What the matrices P take in the precision they have, and in the other one."""
    training = experiment.training
    kept = training.precision_of_matrices
    keys = ("matrix_dtype", "dtype") if training.algorithm == "blocked" else ("dtype",)
    if kept == "float64":
        other, how = "float32", " or ".join(f"training.{key}: float32" for key in keys)
    else:
        other, how = "float64", "without that key" if training.matrix_dtype else "training.dtype: float64"
    needed = {name: shown_mib(matrices_mib(experiment, name)) for name in (kept, other)}
    if matrices_mib(experiment, kept) < LEAST_MIB:
        return
    print(f"matrices   {needed[kept]} of it for P in {kept}; in {other} {needed[other]} ({how})")


def _print_transfer(experiments: list[Experiment]) -> None:
    """What measuring transfer functions takes, if there are any to measure."""
    found = [transfer_to_measure(experiment) for experiment in experiments]
    curves, seconds = (sum(column) for column in zip(*found, strict=True))
    if curves:
        print(f"transfer   {counted(int(curves), 'curve')} to measure first, about {shown_seconds(seconds)}, then kept")


def _span(seconds: np.ndarray) -> str:
    shortest, longest = (shown_seconds(float(value)) for value in (seconds.min(), seconds.max()))
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _print_memory(needed: float, available: float) -> None:
    fits = "" if needed <= available else ": DOES NOT FIT"
    print(f"memory     up to {shown_mib(needed)} per process, {shown_mib(available)} available{fits}")
