"""What mpiexec, mpirun or srun says about this process in its environment, without touching MPI."""

from __future__ import annotations

import os
import time

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
_TO_SPEAK_SECONDS = 2.0


def launched_ranks() -> int:
    """How many ranks a launcher says it started; 1 if none did."""
    size = _first_number(_SIZES)
    if size is None and ("PMIX_RANK" in os.environ or "SLURM_STEP_ID" in os.environ):
        size = _first_number(("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"))
    return 1 if size is None else size


def launched_rank() -> int:
    """Which of them this process is; 0 if none were started."""
    return _first_number(_RANKS) or 0


def let_first_speak() -> None:
    """Called before a rank other than the first ends with an error that all have: some launchers then kill the rest."""
    time.sleep(_TO_SPEAK_SECONDS)


def _first_number(names: tuple[str, ...]) -> int | None:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), None)
