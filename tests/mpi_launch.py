"""Starts programs on MPI ranks, whichever MPI is installed, and never lets one outlive its test."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Ended(NamedTuple):
    """How a job ended."""

    code: int
    out: str
    err: str


def mpiexec() -> str:
    """The launcher beside this Python, which fits its library, or the one on the path."""
    beside = Path(sys.prefix) / "bin" / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert found is not None
    return found


@functools.cache
def is_open_mpi() -> bool:
    """Whether the launcher is that of Open MPI; else it is MPICH's."""
    shown = subprocess.run([mpiexec(), "--version"], capture_output=True, text=True, timeout=60, check=False)
    return "HYDRA" not in shown.stdout


def command(ranks: int, *arguments: object) -> list[str]:
    """Command line that runs ``python *arguments`` on so many ranks; 0 ranks: without a launcher."""
    program = [sys.executable, *map(str, arguments)]
    if ranks == 0:
        return program
    # here ranks may well be more than cores
    return [mpiexec(), *(["--oversubscribe"] if is_open_mpi() else []), "-n", str(ranks), *program]


def environment(**changes: str) -> dict[str, str]:
    """Variables for a job: what a launcher around the tests has set must not reach it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI_", "PMIX_", "OMPI_COMM_WORLD_"))}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    own = {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # containers are often root's
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        # shared memory only: Open MPI looks for network cards for a second otherwise
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "self,sm",
        "OMPI_MCA_osc": "^ucx",
    }
    return {**kept, **own, **changes}


@contextmanager
def started(ranks: int, *arguments: object, folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A running job; what is left of it at the end of the block is killed, ranks included."""
    process = subprocess.Popen(
        command(ranks, *arguments), cwd=folder, env=environment(**variables), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def ended(process: subprocess.Popen[str], *, timeout: float = 240.0) -> Ended:
    """Wait for a job; one that hangs fails the test and shows what it had said."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"the job hung for {timeout:g} s\n--- out\n{out}\n--- err\n{err}") from None
    return Ended(process.returncode, out, err)


def launch(ranks: int, *arguments: object, folder: Path, timeout: float = 240.0, **variables: str) -> Ended:
    """Run ``python *arguments`` on so many ranks (0: without a launcher) in a folder, to its end."""
    with started(ranks, *arguments, folder=folder, **variables) as process:
        return ended(process, timeout=timeout)


def wait_for(path: Path, process: subprocess.Popen[str], *, timeout: float = 240.0) -> str:
    """The text of a file that a job writes; an error if the job ends before."""
    end = time.monotonic() + timeout
    while not (path.exists() and path.read_text()):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"no {path.name}: {ended(process, timeout=1.0)}")
        time.sleep(0.02)
    return path.read_text()
