"""What mpiexec, mpirun or srun says about this process in its environment, without touching MPI."""

from __future__ import annotations

import math
import os
import stat
import time

from hpcspike.errors import ResourceError

ALONE = "HPCSPIKE_ALONE"
"""Variable that says: whatever a launcher has set, this process works by itself."""
WAIT_SECONDS = "HPCSPIKE_WAIT_SECONDS"
"""Variable with the seconds that ranks wait for each other before they work together; 0: for ever."""

_DEFAULT_WAIT_SECONDS = 60.0
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
_TO_SPEAK_SECONDS = 2.0


def own_cores() -> set[int]:
    """The cores that the launcher or the scheduler leaves to this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity else set(range(os.cpu_count() or 1))


def launched_ranks() -> int:
    """How many ranks a launcher says it started; 1 if none did, or if this process is told to work alone."""
    if _alone():
        return 1
    size = _first_number(_SIZES)
    if size is None and ("PMIX_RANK" in os.environ or "SLURM_STEP_ID" in os.environ):
        size = _first_number(("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"))
    return 1 if size is None else size


def launched_rank() -> int:
    """Which of them this process is; 0 if none were started."""
    return 0 if _alone() else _first_number(_RANKS) or 0


def seconds_to_wait() -> float:
    """How long ranks wait for each other before they work together, s; infinite: for ever.

    Raises
    ------
    ResourceError
        If the variable is not a number of seconds.
    """
    text = os.environ.get(WAIT_SECONDS, str(_DEFAULT_WAIT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0.0:
        raise ResourceError(f"{WAIT_SECONDS} = {text}: must be a number of seconds, 0 to wait for ever (default: 60)")
    return seconds or math.inf


def leftover() -> str | None:
    """Words about variables of a launcher that is not there any more; None if it is, or none was."""
    text = os.environ.get("PMI_FD")
    if _alone() or text is None:
        return None
    try:
        alive = stat.S_ISSOCK(os.fstat(int(text)).st_mode)
    except (OSError, ValueError, OverflowError):
        alive = False
    if alive:
        return None
    return (
        f"PMI_FD = {text} and PMI_SIZE = {os.environ.get('PMI_SIZE', '')} say that mpiexec started this process, but "
        f"its connection is closed: they are left from a program that it had started; set {ALONE}=1 to work alone, or "
        "unset PMI_FD, PMI_RANK and PMI_SIZE"
    )


def let_first_speak() -> None:
    """Called before a rank other than the first ends with an error that all have: some launchers then kill the rest."""
    time.sleep(_TO_SPEAK_SECONDS)


def refuse_ranks(command: str) -> None:
    """Refuse to run a command that knows nothing of other ranks on several of them.

    Raises
    ------
    ResourceError
        If a launcher has started several; the ranks but the first end without a word.
    """
    ranks = launched_ranks()
    if ranks == 1:
        return
    if launched_rank() != 0:
        let_first_speak()
        raise SystemExit(ResourceError.exit_code)
    raise ResourceError(
        f"hpcspike {command} works in one process, but {ranks} ranks were started, which would all do the same: start "
        f"it without mpiexec or srun; set {ALONE}=1 where every process is given work of its own"
    )


def _alone() -> bool:
    return os.environ.get(ALONE, "") not in ("", "0")


def _first_number(names: tuple[str, ...]) -> int | None:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), None)
