"""The workflow run for real in a folder of its own: started, watched, disturbed, and its results compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import xarray as xr
import yaml

from hpcspike.spec import validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import read_records
from hpcspike.sweep.store import open_store
from hpcspike.variables import POINT_PROVENANCE

ROOT = Path(__file__).resolve().parent.parent
FINALIZED = "results/little.zarr.receipts/finalized.json"
"""Target that runs every batch and no figure."""


def write_sweep(folder: Path, document: dict[str, Any], name: str = "sweep.yaml") -> Path:
    """Write a config into a folder of a workflow."""
    path = folder / name
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def start(folder: Path, *arguments: str, profile: str = "laptop", sweep: str = "sweep.yaml") -> subprocess.Popen[str]:
    """Start the workflow, its output in one pipe."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile")]
    command += ["--workflow-profile", str(ROOT / "cluster" / "profiles" / profile)]
    command += [*arguments, "--config", f"sweep={sweep}", "networks=[]"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str], *, seconds: float = 240.0) -> tuple[int, str]:
    """Wait for a workflow: exit code and output."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            process.kill()
    return process.returncode, output


def run(folder: Path, *arguments: str, **keywords: Any) -> tuple[int, str]:
    """Run the workflow to its end: exit code and output."""
    return finish(start(folder, *arguments, **keywords))


def wait_for(condition: Callable[[], Any], *, seconds: float = 200.0) -> Any:
    """The first true value of ``condition``."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError("what the test waits for did not happen")
        time.sleep(0.05)
    return value


def planned(folder: Path, document: dict[str, Any]) -> Path:
    """The store of a sweep that the workflow would make in a folder, with no results."""
    path = folder / "results" / "little.zarr"
    ensure_store(path, validate_sweep(document))
    return path


def run_all(path: Path) -> None:
    """Compute every batch of a store in this process: what an undisturbed workflow computes."""
    for number in range(len(open_store(path).batches)):
        run_batch(path, number)


def worker(folder: Path, batch: int) -> psutil.Process | None:
    """The process that computes a batch of the sweep in a folder, once it has begun."""
    for record in read_records(folder / "results" / "little.zarr").values():
        if record.get("batch") == batch and "finished" not in record and psutil.pid_exists(record["pid"]):
            return psutil.Process(record["pid"])
    return None


def results(folder: Path) -> xr.Dataset:
    """All that must not depend on how the sweep came to be: parameters and results of the finished points."""
    sweep = open_sweep(folder / "results" / "little.zarr").load()
    return sweep.drop_vars([name for name in POINT_PROVENANCE if name != "done"])
