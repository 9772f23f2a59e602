"""Every command and every line of Python that the README shows runs, in small where it would take minutes."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from mpi_launch import environment, is_open_mpi

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SMALL = {
    # a line of the README -> what makes it small
    "hpcspike train cluster/config/fig1_drive.yaml --out results/fig1.zarr": "--set training.n_loops=1",
    "hpcspike plan cluster/config/fig6.yaml": "--store results/fig6.zarr --create",
    "hpcspike status results/fig6.zarr": "",
    "mpiexec -n 2 hpcspike train cluster/config/tsn_benchmark.yaml --out results/tsn.zarr "
    "--checkpoint results/tsn.checkpoint": "--set network.n_neurons=1100 --set training.n_loops=1 "
    "--set targets.duration_ms=20 --set targets.offset_run_ms=20 --set protocol.free_run_ms=10 "
    "--set protocol.test_free_run_ms=10 --set stimulus.duration_ms=10",
    "snakemake --cores all fig3 --config size=laptop": "--dry-run",
    "snakemake --cores all figures claims --config size=laptop": "--dry-run",
}


def shown(language: str) -> list[str]:
    """Lines of the README's blocks of a language, without remarks; the two one-liners that install are left out."""
    lines = "".join(re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and "pip install" not in line]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout, whose results are its own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "cluster", "hpcspike", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "results").mkdir()
    return folder


def run(folder: Path, line: str) -> str:
    beside = Path(sys.prefix) / "bin"
    if line.startswith("mpiexec") and is_open_mpi():
        line = line.replace("mpiexec", "mpiexec --oversubscribe", 1)  # the tests may run on a single core
    line = re.sub(r"^(mpiexec .*?-n \d+ )?hpcspike ", rf"\1{sys.executable} -m hpcspike ", line)
    line = re.sub(r"^snakemake ", f"{sys.executable} -m snakemake ", line)
    own = environment(PATH=os.pathsep.join([str(beside), os.environ["PATH"]]))
    ended = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=own, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


def test_every_command_shown_is_run_here() -> None:
    assert sorted(shown("bash")) == sorted(SMALL)


@pytest.mark.parametrize("line", [line for line in SMALL if not line.startswith(("mpiexec", "snakemake"))])
def test_commands_run(checkout: Path, line: str) -> None:
    assert run(checkout, f"{line} {SMALL[line]}")


@pytest.mark.mpi
@pytest.mark.parametrize("line", [line for line in SMALL if line.startswith("mpiexec")])
def test_commands_on_ranks_run(checkout: Path, line: str) -> None:
    assert run(checkout, f"{line} {SMALL[line]}")


@pytest.mark.workflow
@pytest.mark.parametrize("line", [line for line in SMALL if line.startswith("snakemake")])
def test_workflows_are_planned(checkout: Path, line: str) -> None:
    printed = run(checkout, f"{line} {SMALL[line]}")
    assert "This was a dry-run" in printed or "Nothing to be done" in printed


def test_python_runs(checkout: Path) -> None:
    """After the commands above: it opens the sweep that one of them planned."""
    run(checkout, f"hpcspike plan cluster/config/fig6.yaml {SMALL['hpcspike plan cluster/config/fig6.yaml']}")
    program = "\n".join(shown("python")).replace(
        'fig1_drive.yaml"', 'fig1_drive.yaml", changes={"training.n_loops": 1}'
    )
    script = checkout / "readme.py"
    script.write_text(f"{program}\nassert dataset.sizes['neuron'] == 200\nassert 'correlation' in sweep\n")
    assert run(checkout, f"{sys.executable} {script} && echo done").endswith("done\n")


def test_the_numbers_of_claims_are_those_of_the_reference() -> None:
    with (ROOT / "results" / "reference" / "claims.csv").open(encoding="utf-8") as file:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
    holds, fails, undecided = (verdicts[verdict] for verdict in ("holds", "does not hold", "undecided"))
    said = f"of {verdicts.total()} rows {holds} hold, {fails} do not and {undecided} are undecided"
    assert said in " ".join(README.split())
