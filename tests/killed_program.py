"""``hpcspike``, killed (SIGKILL) at the end of a loop or pass, before its state is saved.

usage: killed_program.py NUMBER ARGUMENTS...    number of the loop or pass, from 1; on ranks the first one is killed
"""

from __future__ import annotations

import os
import signal
import sys

from hpcspike.cli import main
from hpcspike.engine.trainer import Trainer
from hpcspike.launcher import launched_rank
from hpcspike.learners.passes import History


def die() -> None:
    """As by kill -9."""
    if launched_rank() == 0:
        os.kill(os.getpid(), signal.SIGKILL)


_end_loop, _add = Trainer._end_loop, History.add


def _end_loop_or_die(trainer: Trainer) -> None:
    _end_loop(trainer)
    if trainer.cursor.loop == int(sys.argv[1]):
        die()


def _add_or_die(history: History, row: dict[str, float]) -> None:
    _add(history, row)
    if len(history) == int(sys.argv[1]):
        die()


if __name__ == "__main__":
    Trainer._end_loop = _end_loop_or_die  # type: ignore[method-assign]
    History.add = _add_or_die  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
