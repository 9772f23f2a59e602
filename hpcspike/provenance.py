"""Where numbers come from: versions, code revision, host, threads, BLAS, code generation target."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.version import package_version as package_version

if TYPE_CHECKING:
    from hpcspike.engine.communication import World

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "xarray", "zarr", "dask", "pydantic", "mpi4py")
"""Packages whose versions can change numbers or files."""

ENVIRONMENT = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_ENABLE_AVX",
    "NUMBA_DISABLE_JIT",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
)
"""Environment variables that can change numbers or speed, or say which job it was."""


def collect(*, n_ranks: int = 1, n_threads: int = 1) -> dict[str, Any]:
    """Everything about this process and machine that a result depends on, as plain data.

    Parameters
    ----------
    n_ranks, n_threads
        MPI ranks, and threads of each of them.
    """
    return {
        "hpcspike": package_version(),
        "revision": code_revision(),
        "python": platform.python_version(),
        "versions": package_versions(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "pid": os.getpid(),
        "n_ranks": n_ranks,
        "n_threads": n_threads,
        "blas": blas_libraries(),
        "llvm": code_generation_target(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "command": sys.argv,
        "started": now(),
    }


def of_ranks(world: World) -> dict[str, Any]:
    """What the ranks of a run were and did, as plain data: the same on every rank, which all call this together.

    Hosts in order of rank, the MPI library, the number of different code generation targets among the ranks (equal bits
    hold for one), peak memory in MiB, and wall seconds of each phase: mean over the ranks and longest.
    """
    import hashlib

    import numpy as np

    target = hashlib.sha256(json.dumps(code_generation_target()).encode()).hexdigest()
    hosts, targets = (world.concatenate(np.array([text.encode()], "S64")) for text in (socket.gethostname(), target))
    memory = world.concatenate(np.array([peak_memory_mib()]))
    phases = world.phases.seconds
    seconds = world.concatenate(np.array([list(phases.values())]))
    return {
        "hosts": [host.decode() for host in hosts],
        "mpi": world.library,
        "n_llvm_targets": len(set(targets)),
        "peak_memory_mib": [round(float(mib), 1) for mib in memory],
        "phase_seconds": dict(zip(phases, seconds.mean(axis=0).tolist(), strict=True)),
        "phase_seconds_longest": dict(zip(phases, seconds.max(axis=0).tolist(), strict=True)),
    }


def now() -> str:
    """The time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def package_versions() -> dict[str, str]:
    """Versions of the installed PACKAGES."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_revision() -> str:
    """Git commit of the code that runs (``+changes`` if edited), else the commit or version that was installed."""
    folder = Path(__file__).parent
    # only if git tracks this very file: a virtual environment may lie inside somebody else's checkout
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is not None:
        commit = _git(folder, "rev-parse", "HEAD")
        if commit is not None:
            return commit + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")
    try:
        direct = importlib.metadata.distribution("hpcspike").read_text("direct_url.json")
        if direct is not None:
            return str(json.loads(direct)["vcs_info"]["commit_id"])
    except (importlib.metadata.PackageNotFoundError, KeyError, ValueError):
        pass
    return package_version()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        finished = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None


def blas_libraries() -> list[dict[str, str]]:
    """The BLAS libraries loaded now: name, version, and the kind of core they chose their kernels for."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [
        {
            "library": f"{item.get('internal_api', '')} {item.get('version', '')}".strip(),
            "core": str(item.get("architecture", "")),
            "threads": str(item.get("num_threads", "")),
        }
        for item in threadpool_info()
        if item.get("user_api") == "blas"
    ]


def code_generation_target() -> dict[str, str]:
    """CPU name and features that numba generates code for: equal bits hold for equal targets."""
    try:
        from llvmlite import binding
    except ImportError:
        return {}
    name = os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = "" if name == "generic" else binding.get_host_cpu_features().flatten()
    enabled = sorted(feature for feature in features.split(",") if feature.startswith("+"))
    return {"cpu": name, "features": ",".join(enabled)}


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, MiB.

    Linux counts the memory of the process that started this one into ``ru_maxrss`` (it survives exec), so there the
    peak of this program's own memory (VmHWM) is read.
    """
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2.0**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2.0**20 if sys.platform == "darwin" else 2.0**10)
