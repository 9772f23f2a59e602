"""Every command and every line of Python that the README and the guide show runs, in small where it takes minutes."""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from mpi_launch import environment, is_open_mpi

from hpcspike.cli import build_parser
from tests.small_networks import experiment

ROOT = Path(__file__).resolve().parent.parent
GUIDE = sorted((ROOT / "cluster" / "guide").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "cluster" / "README.md", *GUIDE]
SMALL = {
    # a line of a page -> what makes it small
    "hpcspike train fig1_drive --out results/fig1.zarr": "--set training.n_loops=1",
    "hpcspike plan fig6": "--store results/fig6.zarr --create",
    "hpcspike status results/fig6.zarr": "",
    "hpcspike train my_network.yaml --out my_network.nc": "--set training.n_loops=1",
    "hpcspike train cluster/config/kim2023.yaml --size smoke --out smoke.nc": "--set training.n_loops=1",
    "mpiexec -n 2 hpcspike train tsn_benchmark --out results/tsn.zarr "
    "--checkpoint results/tsn.checkpoint": "--set network.n_neurons=1100 --set training.n_loops=1 "
    "--set targets.duration_ms=20 --set targets.offset_run_ms=20 --set protocol.free_run_ms=10 "
    "--set protocol.test_free_run_ms=10 --set stimulus.duration_ms=10",
    "snakemake --cores all fig3 --config size=laptop": "--dry-run",
    "snakemake --cores all figures claims --config size=laptop": "--dry-run",
    "snakemake --cores all headlines --config size=laptop": "--dry-run",
    "snakemake --config sweep=cluster/config/kim2023_sweep.yaml size=smoke -c 2": "--dry-run",
    "snakemake --workflow-profile cluster/profiles/slurm "
    "--config sweep=cluster/config/fig7.yaml size=paper": "--dry-run",
}
ON_A_CLUSTER = {
    # lines that need other machines: what they ask of hpcspike is held against its parser below
    "dask scheduler &",
    "dask worker tcp://node7:8786 --nworkers 8 &",
    "hpcspike analyse results/fig7_paper.zarr --out tables --scheduler tcp://node7:8786",
}

ON_A_NETWORK = {
    # lines of cluster/guide/after_training.md, about a network that is there: run below, on a small one
    "hpcspike test net.zarr --trials 3": "equal to the stored trials bit for bit",
    "hpcspike test net.zarr --trials 5 --silence 0.1 --beyond 50 --out silent.nc": "silent.nc",
    "hpcspike train --from net.zarr --loops 5 --out longer.zarr": "longer.zarr",
    "hpcspike export net.zarr net_brian2.py": "3 trials to run with Brian2",
}
ELSEWHERE = {
    # tests/test_brian2.py runs what is exported, where Brian2 is
    "python net_brian2.py --check",
    # of LIF neurons: tests/test_nir.py runs it
    "hpcspike export net.zarr net.nir",
    # of LIF neurons with delays: tests/test_sonata.py runs it, and what it makes where NEST is
    "hpcspike export net.zarr sonata/",
    # tests/test_tsn_network.py makes a folder of TrainSpikingNet.jl and runs it
    "hpcspike import FOLDER --out net.zarr --targets total",
    # tests/test_balance.py computes it
    "hpcspike study cluster/config/kim2023_spread.yaml --size smoke --out spread",
}
AT_LENGTH = {
    # minutes to hours, cluster/guide/lab_network.md: what they ask of hpcspike is held against its parser below
    "hpcspike train cluster/config/kim2023.yaml --size small --out small.zarr",
    "hpcspike plan cluster/config/kim2023.yaml --size tutorial",
    "hpcspike train cluster/config/kim2023.yaml --size tutorial --checkpoint saved --out tutorial.zarr",
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def shown(page: Path, language: str) -> list[str]:
    """Lines of a page's blocks of a language, without remarks; the two one-liners that install are left out."""
    lines = "".join(blocks(page, language)).splitlines()
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
    lines = [line for page in PAGES for line in shown(page, "bash")]
    assert sorted(set(lines)) == sorted({*SMALL, *ON_A_NETWORK, *ELSEWHERE, *AT_LENGTH, *ON_A_CLUSTER})


@pytest.mark.parametrize("page", [*PAGES, ROOT / "cluster" / "MISTAKES.md"], ids=lambda page: page.stem)
def test_every_command_named_has_its_verb_and_options(page: Path) -> None:
    """Of all code on the page, between the lines too."""
    (verbs,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    code = [*re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))]
    code += [line for language in ("bash", "yaml") for line in shown(page, language)]
    for text in code:
        for verb, rest in re.findall(r"(?<!from )\bhpcspike ([a-z][a-z-]*)\b([^|']*)", text):
            assert verb in verbs.choices, text
            known = verbs.choices[verb]._option_string_actions
            unknown = [option for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest) if option not in known]
            assert unknown == [], text


def test_the_index_leads_to_every_page_of_the_guide() -> None:
    named = re.findall(r"`(cluster/guide/\w+\.md)`", (ROOT / "cluster" / "README.md").read_text())
    assert sorted(named) == [str(page.relative_to(ROOT)) for page in GUIDE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_and_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [name for name in targets if "://" not in name and not (page.parent / name).exists()] == []


@pytest.mark.parametrize("line", [line for line in SMALL if not line.startswith(("mpiexec", "snakemake"))])
def test_commands_run(checkout: Path, line: str) -> None:
    neurons = ROOT / "cluster" / "guide" / "neurons.md"
    (checkout / "my_neurons.py").write_text(*blocks(neurons, "python"))
    (checkout / "my_network.yaml").write_text(blocks(neurons, "yaml")[-1])
    assert run(checkout, f"{line} {SMALL[line]}")


def test_commands_on_a_trained_network_run(checkout: Path) -> None:
    document = experiment(neuron={"model": "theta", "bias": 0.3}, measures={"n_test_trials": 3}).model_dump(mode="json")
    (checkout / "net.yaml").write_text(yaml.safe_dump(document))
    run(checkout, "hpcspike train net.yaml --out net.zarr")
    for line, says in ON_A_NETWORK.items():
        assert says in run(checkout, line), line
    assert (checkout / "net_brian2.npz").exists()


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
    run(checkout, f"hpcspike plan fig6 {SMALL['hpcspike plan fig6']}")
    program = "\n".join(shown(ROOT / "README.md", "python")).replace(
        'load("fig1_drive"', 'load("fig1_drive", changes={"training.n_loops": 1}'
    )
    script = checkout / "readme.py"
    script.write_text(f"{program}\nassert dataset.sizes['neuron'] == 200\nassert 'correlation' in sweep\n")
    assert run(checkout, f"{sys.executable} {script} && echo done").endswith("done\n")


def test_python_of_the_guide_runs(checkout: Path) -> None:
    program = "\n".join(shown(ROOT / "cluster" / "guide" / "sweeps.md", "python")).replace(": 3}", ": 1}")
    script = checkout / "sweeps.py"
    script.write_text(f"{program}\nassert trained.diverged_loop < 0\nassert len(trained.curve['correlation']) == 1\n")
    assert run(checkout, f"{sys.executable} {script} && echo done").endswith("done\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_shown_compiles(page: Path) -> None:
    """Where it needs a cluster, too."""
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


def test_the_numbers_of_claims_are_those_of_the_reference() -> None:
    with (ROOT / "results" / "reference" / "claims.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    verdicts = Counter(row["verdict"] for row in found)
    holds, fails, undecided = (verdicts[verdict] for verdict in ("holds", "does not hold", "undecided"))
    bare = sum(not row["low"] for row in found)
    said = f"of {len(found)} rows {holds} hold, {fails} do not and {undecided} are undecided; {bare} have no interval"
    for page in (ROOT / "README.md", ROOT / "cluster" / "guide" / "paper.md"):
        assert said in " ".join(page.read_text().split()), page


def test_the_number_of_faults_is_that_of_their_table() -> None:
    table = (ROOT / "cluster" / "guide" / "faults.md").read_text().partition("| fault |")[2].partition("\n\n")[0]
    assert table.count("\n|") - 1 == 12  # without the ruler
    assert "twelve kinds of faults" in " ".join((ROOT / "README.md").read_text().split())
