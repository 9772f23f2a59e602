"""One command on all MPI ranks: an error on one of them ends all at once, an error of all is told once."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np

from hpcspike.engine.agreement import agree_on, same_program
from hpcspike.engine.communication import World, connect
from hpcspike.errors import HpcspikeError
from hpcspike.launcher import launched_rank, launched_ranks, let_first_speak, own_cores

_PATIENCE_SECONDS = 1.0
_MOST_CORES = 4096
_TO_ARRIVE_SECONDS = 0.5  # for the message: the launcher, which passes it on, ends as soon as it hears of the abort


def run_on_ranks(
    command: Callable[[argparse.Namespace], int],
    arguments: argparse.Namespace,
    *,
    given: Callable[[], dict[str, Any]] = dict,
) -> int:
    """Run a command on every rank and return its exit code; with one rank, just run it.

    Before it begins, the ranks compare what they were given: command line, program, working folder, and ``given``.

    MPI by itself waits for ever for a rank that has raised or left. Here a rank that fails waits a second for the
    others: if all have failed, rank 0 raises its error and the others keep quiet; otherwise it tells its error and
    ends the job.

    Raises
    ------
    ResourceError
        If not all ranks come, or launcher and MPI library do not fit each other, see
        `hpcspike.engine.communication.connect`.
    SpecError
        If the ranks were given different work, see `hpcspike.engine.agreement.agree_on`.
    """
    if launched_ranks() == 1:
        return command(arguments)
    try:
        world = connect()
    except HpcspikeError as error:  # there are no other ranks to speak with, every process is alone
        if launched_rank() == 0:
            raise
        let_first_speak()
        return error.exit_code
    try:
        call = f"hpcspike {arguments.module.replace('_', '-')}"
        agree_on(world, call, lambda: given() | _options(arguments) | same_program())
        return command(arguments)
    except BaseException as error:  # interrupts and sys.exit on one rank must not leave the others waiting either
        code, text = _told(error)
        if world.arrive(_PATIENCE_SECONDS):
            if world.rank == 0:
                raise
            return code
        print(f"rank {world.rank}: {text}", file=sys.stderr, flush=True)
        time.sleep(_TO_ARRIVE_SECONDS)
        world.abort(code or 1)
        raise


def _options(arguments: argparse.Namespace) -> dict[str, str]:
    """What the command line says, but for what changes an experiment: that is compared when it has been read."""
    given = {key: value for key, value in vars(arguments).items() if key not in ("module", "config", "size", "changes")}
    return {f"--{key.replace('_', '-')}": str(value) for key, value in given.items()}


def too_few_cores(world: World, threads: int) -> str | None:
    """A remark, on rank 0, if its machine has fewer cores than the ranks there have threads; all ranks must ask.

    threads: of each rank.
    """
    if world.size == 1:
        return None
    own = np.zeros((1, _MOST_CORES), dtype=np.uint8)
    own[0, [core for core in own_cores() if core < _MOST_CORES]] = 1
    machine = world.concatenate(np.array([int(sha256(os.uname().nodename.encode()).hexdigest()[:15], 16)]))
    here = world.concatenate(own)[machine == machine[0]]
    ranks, cores = len(here), int(here.any(axis=0).sum())
    if world.rank != 0 or ranks * threads <= cores:
        return None
    each = f" of {threads} threads" if threads > 1 else ""
    return (
        f"{ranks} ranks{each} share {cores} core{'s' * (cores > 1)} of this machine: ranks that wait for others spin "
        f"and keep these from working, which can take ten times as long; start at most {max(cores // threads, 1)} "
        "here"
    )


def _told(error: BaseException) -> tuple[int, str]:
    """Exit code and message of what ended a rank."""
    if isinstance(error, HpcspikeError):
        return error.exit_code, f"hpcspike: error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 130, f"hpcspike: {error.args[0] if error.args else 'interrupted'}"
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return code, f"hpcspike: exit with code {error.code}"
    return 1, "".join(traceback.format_exception(error)).rstrip()
