"""One command on all MPI ranks: an error on one of them ends all at once, an error of all is told once."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable

from hpcspike.engine.communication import connect
from hpcspike.errors import HpcspikeError
from hpcspike.launcher import launched_rank, launched_ranks, let_first_speak

_PATIENCE_SECONDS = 1.0
_TO_ARRIVE_SECONDS = 0.5  # for the message: the launcher, which passes it on, ends as soon as it hears of the abort


def run_on_ranks(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command on every rank and return its exit code; with one rank, just run it.

    MPI by itself waits for ever for a rank that has raised or left. Here a rank that fails waits a second for the
    others: if all have failed, rank 0 raises its error and the others keep quiet; otherwise it tells its error and
    ends the job.

    Raises
    ------
    ResourceError
        If launcher and MPI library do not fit each other, see `hpcspike.engine.communication.connect`.
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


def _told(error: BaseException) -> tuple[int, str]:
    """Exit code and message of what ended a rank."""
    if isinstance(error, HpcspikeError):
        return error.exit_code, f"hpcspike: error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "hpcspike: interrupted"
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return code, f"hpcspike: exit with code {error.code}"
    return 1, "".join(traceback.format_exception(error)).rstrip()
