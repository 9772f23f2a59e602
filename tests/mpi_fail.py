"""A program for MPI ranks: ``hpcspike`` with a fault in it.

usage: mpi_fail.py HOW RANK ARGUMENTS...    RANK is the one that fails, or "all"
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from hpcspike.cli import main
from hpcspike.engine import output
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import DataError
from hpcspike.launcher import launched_rank

HOW, RANK = sys.argv[1:3] if __name__ == "__main__" else ("", "")  # pytest imports every file for doctests
end_loop, assign_rows = Trainer._end_loop, output._assign_rows


def failing_loop(trainer: Trainer) -> None:
    """Fail when the second loop has ended."""
    end_loop(trainer)
    world = trainer.world
    if trainer.cursor.loop != 2 or RANK not in ("all", str(world.rank)):
        return
    if HOW == "raise":
        raise RuntimeError("no luck")
    if HOW == "refuse":
        raise DataError("bad luck")
    if HOW == "exit":
        sys.exit(3)
    if HOW == "leave":
        sys.exit(0)
    if HOW == "wait":  # to be killed, while the others wait in an exchange
        Path("waiting").write_text(str(os.getpid()))
        time.sleep(600)


def failing_write(*arguments: Any) -> None:
    """Fail when the first chunk of this rank is to be written."""
    if str(launched_rank()) == RANK:
        raise OSError(28, "No space left on device")
    assign_rows(*arguments)


if __name__ == "__main__":
    if HOW == "full":
        output.CHUNK_BYTES = 2000  # enough chunks for every rank to have one
        output._assign_rows = failing_write
    else:
        Trainer._end_loop = failing_loop
    sys.exit(main(sys.argv[3:]))
