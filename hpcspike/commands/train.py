"""``hpcspike train``: one network, one Dataset, on one process or on the MPI ranks it was started with."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import load_config, refuse_unwritable
from hpcspike.commands.ranks import run_on_ranks, too_few_cores
from hpcspike.commands.recordings import say_what_is_recorded
from hpcspike.commands.states import leftover, what_is_saved
from hpcspike.engine.agreement import same_experiment
from hpcspike.engine.communication import World, connect
from hpcspike.engine.output import claimed_over_ranks
from hpcspike.engine.phases import PHASES
from hpcspike.errors import SpecError, StoreError
from hpcspike.identity import experiment_hash
from hpcspike.model.reach import remark_on_reach
from hpcspike.runs.facts import refuse_in_vain
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Study
from hpcspike.sweep.cost import available_memory_mib, check_memory
from hpcspike.sweep.metadata import describe

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.exchange.logs import Log


def run(arguments: argparse.Namespace) -> int:
    """Train, write, and say how it went."""
    if arguments.source is not None:
        from hpcspike.commands.test import go_on

        return go_on(arguments)
    if arguments.config is None:
        raise SpecError("give CONFIG, an experiment in YAML, or --from NET, a trained network to go on with")
    if arguments.loops is not None or arguments.states is not None:
        raise SpecError("--loops and --states go on with a trained network: give it by --from NET, or leave them out")
    return run_on_ranks(_run, arguments, given=lambda: same_experiment(_experiment(arguments)))


def _run(arguments: argparse.Namespace) -> int:
    world = connect()
    path = Path(arguments.out)
    experiment = world.agree(lambda: _experiment(arguments))
    is_there = world.agree(lambda: _prepare(arguments, experiment, path, world))
    if world.share(is_there):
        if world.rank == 0:
            print(f"{path} holds this experiment already; nothing to do")
        return 0
    world.agree(lambda: say_what_is_recorded(experiment, speaks=world.rank == 0))
    checkpoints = _checkpoints(arguments)
    for remark in (
        too_few_cores(world, arguments.threads),
        _unused_states(arguments, experiment, checkpoints, world),
        world.agree(lambda: remark_on_reach(experiment) if world.rank == 0 else None),
    ):
        if remark and world.rank == 0:
            print(f"hpcspike: {remark}", file=sys.stderr, flush=True)
    with _saying_what_is_saved(checkpoints), claimed_over_ranks(path, world):
        # what was written between the first look and the claim is not written again
        if not world.share(world.agree(lambda: _is_there(path, experiment_hash(experiment)))):
            _train(arguments, experiment, path, checkpoints, world)
    return 0


@contextmanager
def _saying_what_is_saved(checkpoints: Checkpoints | None) -> Iterator[None]:
    """Give Ctrl-C its words."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(what_is_saved(None if checkpoints is None else checkpoints.folder)) from None


def _unused_states(
    arguments: argparse.Namespace, experiment: Experiment, checkpoints: Checkpoints | None, world: World
) -> str | None:
    """Words about states that an earlier run of this training left where it saves them by default."""
    if checkpoints is not None or world.rank != 0:
        return None
    return leftover(_default_folder(arguments), experiment)


def _train(
    arguments: argparse.Namespace, experiment: Experiment, path: Path, checkpoints: Checkpoints | None, world: World
) -> None:
    from hpcspike.engine.checkpoint import discard
    from hpcspike.engine.checkpoint_lock import held
    from hpcspike.model.stand_in import stand_in_attributes
    from hpcspike.runs.run import train_to_store

    # from before the network is built until the result is safe
    log = world.agree(lambda: _log(arguments, experiment) if world.rank == 0 else None)
    with (
        nullcontext() if checkpoints is None else held(checkpoints.folder, world),
        nullcontext() if log is None else closing(log),
    ):
        evaluation, record = train_to_store(
            experiment, path, threads=arguments.threads, progress=True, world=world, checkpoints=checkpoints,
            on_loop=None if log is None else log.on_loop,
        )  # fmt: skip
    if checkpoints is not None and arguments.checkpoint is None:  # a folder that was named may be wanted
        discard(checkpoints, world)
    if world.rank == 0:
        print(f"{path}: {evaluation.verdict}")
        for words in evaluation.remarks:
            print(words)
        for words in stand_in_attributes(experiment).values():
            print(f"data: {words}")
        print(_times(record))


def _log(arguments: argparse.Namespace, experiment: Experiment) -> Log | None:
    if arguments.log is None:
        return None
    from hpcspike.exchange.logs import log_to

    return log_to(arguments.log, experiment=experiment)


def _experiment(arguments: argparse.Namespace) -> Experiment:
    experiment = load_config(arguments)
    if not isinstance(experiment, Experiment):
        what = "study" if isinstance(experiment, Study) else "sweep"
        raise SpecError(f"{arguments.config} is a {what}; see 'hpcspike plan', or give the config of one experiment")
    return experiment


def _prepare(arguments: argparse.Namespace, experiment: Experiment, path: Path, world: World) -> bool:
    """Whether the result is there already; whatever speaks against training it is an error."""
    refuse_in_vain(experiment)
    is_there = _is_there(path, experiment_hash(experiment))
    if not is_there:
        # a network is spread evenly over the ranks, of which so many share the memory of this machine
        available = available_memory_mib() * world.size / world.local_size
        check_memory(experiment, available_mib=available, keeps_trials=path.suffix == ".nc")
    return is_there


def _is_there(path: Path, identity: str) -> bool:
    """Whether the result is there already; anything else at the path is refused."""
    if path.suffix not in (".zarr", ".nc"):
        raise StoreError(f"--out {path}: must end in .zarr (a zarr store) or .nc (a netCDF file)")
    if not (path.exists() or path.is_symlink()):
        refuse_unwritable(path)
        return False
    from hpcspike.sweep.reading import open_network

    try:
        found = open_network(path).attrs["experiment_hash"]
    except StoreError:
        found = None
    if found == identity:
        return True
    what = describe(path) if found is None else "the result of another experiment"
    raise StoreError(f"--out {path} exists and holds {what}; choose another path or move it away")


def _checkpoints(arguments: argparse.Namespace) -> Checkpoints | None:
    """Where and when to save the state; None if no option asks for it."""
    cadence = {
        "every_loops": arguments.checkpoint_every_loops,
        "every_minutes": arguments.checkpoint_every_minutes,
        "time_limit_minutes": arguments.time_limit,
    }
    if arguments.checkpoint is None and set(cadence.values()) == {None}:
        return None
    import psutil

    from hpcspike.engine.checkpoint import Checkpoints

    age = time.time() - psutil.Process().create_time()  # the time limit counts from the start of the program
    folder = _default_folder(arguments) if arguments.checkpoint is None else Path(arguments.checkpoint)
    return Checkpoints(folder, **cadence, started=time.monotonic() - age)


def _default_folder(arguments: argparse.Namespace) -> Path:
    return Path(f"{arguments.out}.checkpoint")


def _times(record: dict[str, Any]) -> str:
    """Where the time went; over several ranks their mean, and the longest."""
    mean, longest, ranks = record["phase_seconds"], record["phase_seconds_longest"], record["n_ranks"]
    if ranks == 1:
        head = f"{record['wall_seconds']:.1f} s"
        parts = [f"{words} {mean[name]:.2f}" for name, words in PHASES.items() if name != "exchange"]
    else:
        head = f"{record['wall_seconds']:.1f} s on {ranks} ranks (mean/longest)"
        parts = [f"{words} {mean[name]:.2f}/{longest[name]:.2f}" for name, words in PHASES.items()]
    compiled = record["compile_seconds"]
    beside = f"; {compiled:.1f} s beside it for compiling and loading kernels" if compiled >= 0.1 else ""
    return f"{head}: {', '.join(parts)}{beside}"
