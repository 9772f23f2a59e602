"""The command line: every bad input gives one clear message, exit code 2, no traceback, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pytest
import xarray as xr
import yaml
from sweep_stub import stub_point, sweep_document

from hpcspike.cli import build_parser, main
from hpcspike.commands.common import counted, states_in_words
from hpcspike.runs import point
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.reading import open_sweep


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no training in earnest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(point, "run_point", stub_point)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # commands set thread limits for their process
    return tmp_path


@pytest.fixture
def hpcspike(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process: exit code, output, errors."""

    def run(*arguments: Any) -> SimpleNamespace:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


Run = Callable[..., SimpleNamespace]


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.fixture
def sweep(here: Path) -> Path:
    return write(here / "sweep.yaml", sweep_document())


@pytest.fixture
def network(here: Path, tiny_document: dict[str, Any]) -> Path:
    return write(here / "network.yaml", tiny_document)


def files(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def refused(result: SimpleNamespace, message: str) -> None:
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err + result.out


# ---- bad input -------------------------------------------------------------------------------------------------------

BAD_CHANGES = [
    ("synapse.tau_sin_ms=5", "did you mean 'tau_syn_ms'"),
    ("synapse.tau_syn_ms=0", "synapse.tau_syn_ms = 0: must be greater than 0 ms"),
    ("synapse.tau_syn_ms=0.5", "neuron.step_ms = 1 ms is larger than synapse.tau_syn_ms = 0.5 ms"),
    ("training.update_interval_ms=2.5", "is not a multiple of neuron.step_ms"),
    ("network.n_neurons=1", "network.n_neurons = 1: must be greater than or equal to 2"),
    ("connectivity.probability=0", "connectivity.probability = 0: must be greater than 0"),
    ("connectivity.probability=1.5", "connectivity.probability = 1.5: must be less than or equal to 1"),
    ("targets.duration_ms=1", "targets.duration_ms = 1 ms is shorter than one update interval"),
    ("network.n_neurons=3000000", "network.n_neurons = 3,000,000 needs about"),
    ("synapse.tau_syn_ms", "must be KEY=VALUE"),
    ("synapse.tau_syn_ms=[", "--set synapse.tau_syn_ms=[: not valid YAML"),
    ("synapse.tau_syn_ms=020", "synapse.tau_syn_ms=020: 020: a number that begins with 0"),
    ("seed=010", "--set seed=010: 010: a number that begins with 0 is octal to some; write 10"),
]


@pytest.mark.parametrize(("change", "message"), BAD_CHANGES)
def test_train_refuses_a_wrong_experiment(hpcspike: Run, network: Path, here: Path, change: str, message: str) -> None:
    before = files(here)
    refused(hpcspike("train", network, "--out", "out.zarr", "--set", change), message)
    assert files(here) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("experiment.training.ridge=0", "training.ridge = 0: must be greater than 0"),
        ("axes={synapse.tau_syn_ms: []}", "so the sweep has zero points"),
        ("axes={synapse.tau_syn_ms: 5}", "must be a list of values, {linspace:"),
        ("axes={synapse.tau_syn_ms: [20.0, 0.5]}", "point synapse.tau_syn_ms = 0.5"),
        ("replicates=0", "replicates = 0: must be greater than or equal to 1"),
        ("experiment.network.n_neurons=3000000", "network.n_neurons = 3,000,000 needs about"),
    ],
)
def test_plan_refuses_a_wrong_sweep(hpcspike: Run, sweep: Path, here: Path, change: str, message: str) -> None:
    before = files(here)
    refused(hpcspike("plan", sweep, "--set", change, "--create"), message)
    assert files(here) == before


def test_a_config_that_is_not_there_is_refused(hpcspike: Run, here: Path) -> None:
    refused(hpcspike("train", "nothing.yaml", "--out", "out.zarr"), "nothing.yaml: no such file")
    refused(hpcspike("plan", "nothing.yaml"), "nothing.yaml: no such file")


def test_a_sweep_is_not_trained_and_an_experiment_has_no_store(hpcspike: Run, sweep: Path, network: Path) -> None:
    refused(hpcspike("train", sweep, "--out", "out.zarr"), "is a sweep; see 'hpcspike plan'")
    refused(hpcspike("plan", network, "--create"), "is one experiment, it has no store")


def make_file(path: Path) -> None:
    path.write_text("thesis")


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("text")


def make_other_store(path: Path) -> None:
    xr.Dataset({"x": ("t", np.arange(3))}).to_zarr(path, zarr_format=3, consolidated=False)


@pytest.mark.parametrize("make", [make_file, make_folder, make_other_store])
@pytest.mark.parametrize("command", ["train", "plan"])
def test_an_output_path_that_exists_as_something_else_is_refused(
    hpcspike: Run, here: Path, sweep: Path, network: Path, make: Callable[[Path], None], command: str
) -> None:
    make(here / "out.zarr")
    before = files(here)
    if command == "train":
        refused(hpcspike("train", network, "--out", "out.zarr"), "out.zarr exists and holds")
    else:
        refused(hpcspike("plan", sweep, "--store", "out.zarr", "--create"), "out.zarr is")
    assert files(here) == before


@pytest.mark.parametrize("command", ["analyse", "plot"])
def test_an_output_folder_that_is_something_else_is_refused(
    hpcspike: Run, here: Path, sweep: Path, command: str
) -> None:
    hpcspike("plan", sweep, "--store", "a.zarr", "--create")
    (here / "file").write_text("thesis")
    before = files(here)
    refused(hpcspike(command, "a.zarr", "--out", "file"), "exists and is not a folder")
    refused(hpcspike(command, "a.zarr", "--out", "file/below"), "is a file, not a folder")
    refused(hpcspike(command, "a.zarr", "--out", "a.zarr"), "is a zarr store")
    refused(hpcspike(command, "a.zarr", "--out", "new"), "has no finished points yet")
    assert files(here) == before


@pytest.mark.parametrize(
    "command", [["run-batch", "--batch", "0"], ["finalize"], ["status"], ["analyse", "--out", "d"]]
)
def test_a_store_that_is_not_one_is_refused(hpcspike: Run, here: Path, command: list[str]) -> None:
    make_other_store(here / "other.zarr")
    before = files(here)
    refused(hpcspike(command[0], "other.zarr", *command[1:]), "not the store of a sweep")
    refused(hpcspike(command[0], "nothing.zarr", *command[1:]), "no such store")
    assert files(here) == before


def test_a_folder_that_cannot_be_written_is_refused_before_work_starts(
    hpcspike: Run, here: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(hpcspike("train", network, "--out", "new/out.zarr"), "cannot be written")
    assert not (here / "new").exists()


def test_train_knows_two_formats(hpcspike: Run, network: Path) -> None:
    refused(hpcspike("train", network, "--out", "out.csv"), "must end in .zarr (a zarr store) or .nc (a netCDF file)")


def test_a_store_of_another_sweep_is_refused_with_the_difference(hpcspike: Run, sweep: Path, here: Path) -> None:
    assert hpcspike("plan", sweep, "--create").code == 0
    before = files(here)
    result = hpcspike("plan", sweep, "--create", "--set", "replicates=1")
    refused(result, "results/little.zarr belongs to another sweep: replicates = 2 in the store, 1 now")
    assert files(here) == before


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["train"], ["run-batch", "a.zarr", "--batch", "x"], ["train", "a", "--threads", "0"]]
)
def test_wrong_usage_exits_with_2(hpcspike: Run, arguments: list[str]) -> None:
    result = hpcspike(*arguments)
    assert result.code == 2
    assert "usage: hpcspike" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "a.yaml", "--memory", "nan"], "must be a number of MiB above 0, not 'nan'"),
        (["plan", "a.yaml", "--memory", "-5"], "must be a number of MiB above 0, not '-5'"),
        (
            ["run-batch", "a.zarr", "--batch", "0", "--save-minutes", "-1"],
            "must be a number of minutes, or 0, not '-1'",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(hpcspike: Run, arguments: list[str], message: str) -> None:
    result = hpcspike(*arguments)
    assert result.code == 2
    assert message in result.err


def test_zero_minutes_may_be_written_as_any_number() -> None:
    for text in ("0", "0.0", "0e0"):
        arguments = build_parser().parse_args(["run-batch", "a.zarr", "--batch", "0", "--save-minutes", text])
        assert arguments.save_minutes == 0.0


# ---- what it does ----------------------------------------------------------------------------------------------------


def test_plan_says_what_a_sweep_costs_and_writes_nothing(hpcspike: Run, sweep: Path, here: Path) -> None:
    before = files(here)
    result = hpcspike("plan", sweep)
    assert result.code == 0
    assert "points     12 = 3 synapse.tau_syn_ms x 2 targets.tau_corr_ms x 2 replicate" in result.out
    assert "batches    3 of up to 4 points" in result.out
    assert "MiB per process" in result.out
    assert "not made yet" in result.out
    assert files(here) == before


def test_plan_says_what_an_experiment_costs(hpcspike: Run, network: Path) -> None:
    result = hpcspike("plan", network)
    assert result.code == 0
    assert "experiment tiny" in result.out
    document = yaml.safe_load(network.read_text())
    network.write_text(yaml.safe_dump({key: value for key, value in document.items() if key != "name"}))
    unnamed = hpcspike("plan", network).out
    assert "experiment (its file gives no name)" in unnamed
    assert " 0 MiB" not in unnamed


def test_help_names_an_example_of_the_kind_that_the_command_reads(hpcspike: Run) -> None:
    kinds = {"train": (Experiment, "fig1_drive"), "study": (Study, "fig1"), "plan": (Sweep, "fig6")}
    for command, (kind, example) in kinds.items():
        words = " ".join(hpcspike(command, "--help").out.split())
        assert f"such as {example} " in words
        assert isinstance(load(example), kind)


def test_what_became_of_networks_is_called_as_in_their_verdicts() -> None:
    counts = {"learned": 3, "sampling": 8, "tracking": 0, "silent": 1}
    assert states_in_words(counts) == "3 learned, 8 limited by sampling error, 1 silent"


def test_plan_names_the_size_and_the_others(hpcspike: Run, here: Path) -> None:
    sizes = {"little": {}, "large": {"replicates": 3}}
    write(here / "sized.yaml", {**sweep_document(), "sizes": sizes})
    assert "size       little (others: large; choose with --size)" in hpcspike("plan", "sized.yaml").out.splitlines()
    asked = hpcspike("plan", "sized.yaml", "--size", "large").out.splitlines()
    assert "size       large (others: little; choose with --size)" in asked


def test_one_of_a_kind_is_not_spoken_of_as_many() -> None:
    assert [counted(n, "batch", "batches") for n in (0, 1, 2000)] == ["0 batches", "1 batch", "2,000 batches"]
    assert [counted(n, "core") for n in (1, 2)] == ["1 core", "2 cores"]


def test_plan_shows_what_does_not_fit_and_takes_another_machines_memory(hpcspike: Run, sweep: Path) -> None:
    assert "DOES NOT FIT" in hpcspike("plan", sweep, "--memory", "10").out
    refused(hpcspike("plan", sweep, "--memory", "10", "--create"), "10 MiB are available")
    large = ("--set", "experiment.network.n_neurons=100000")
    refused(hpcspike("plan", sweep, *large, "--create"), "state their memory with --memory MIB")
    assert hpcspike("plan", sweep, *large, "--create", "--memory", "1e10").code == 0


def test_a_small_point_of_one_process_may_be_what_does_not_fit(hpcspike: Run, here: Path) -> None:
    batching = {"mpi_minutes": 0.1, "mpi_ranks": 100}
    document = sweep_document(axes={"network.n_neurons": [20, 3000]}, replicates=1, batching=batching)
    sweep = write(here / "sweep.yaml", document)
    assert "on 100 MPI ranks" in hpcspike("plan", sweep).out
    refused(hpcspike("plan", sweep, "--create", "--memory", "200"), "network.n_neurons = 20 needs about")
    assert not (here / "results").exists()


def test_plan_predicts_ranks_for_the_learner_that_runs_on_them(hpcspike: Run, network: Path) -> None:
    of_tiny = hpcspike("plan", network, "--ranks", "2").out
    assert "ranks      2: about 0.0 s per loop, about" in of_tiny
    larger = hpcspike("plan", network, "--ranks", "2", "--set", "network.n_neurons=2000").out
    assert "checkpoint up to" in larger
    assert "update " in larger
    refused(hpcspike("plan", network, "--ranks", "1000"), "is less than the 1000 MPI ranks; start at most")
    refused(
        hpcspike("plan", network, "--ranks", "2", "--set", "learner={kind: huh}"),
        "--ranks 2: learner.kind = huh runs on one rank",
    )


def test_a_receipt_that_cannot_be_written_is_said(hpcspike: Run, sweep: Path, here: Path) -> None:
    (here / "file").touch()
    refused(hpcspike("plan", sweep, "--create", "--receipt", "file/plan.json"), "is a file, not a folder")
    assert not (here / "results").exists()
    hpcspike("plan", sweep, "--create")
    for batch in range(3):
        hpcspike("run-batch", "results/little.zarr", "--batch", batch)
    (here / "results" / "little.zarr.receipts").rename(here / "moved")
    (here / "results" / "little.zarr.receipts").touch()
    refused(hpcspike("finalize", "results/little.zarr"), "the receipt cannot be written")


def test_a_sweep_from_plan_to_summary(hpcspike: Run, sweep: Path, here: Path) -> None:
    store = here / "results" / "little.zarr"
    planned = hpcspike("plan", sweep, "--create", "--receipt", "plan.json")
    assert planned.code == 0
    assert "(made)" in planned.out
    assert json.loads((here / "plan.json").read_text())["points"] == 12
    first = hpcspike("run-batch", store, "--batch", "0")
    assert first.code == 0
    assert "batch 0: 4 points computed, 0 done before" in first.out
    assert first.err.splitlines()[0].startswith("batch 0: point 1/4 learned, correlation 0.")
    assert "points     4 of 12 done (4 learned)" in hpcspike("status", store).out
    refused(hpcspike("finalize", store), "8 of 12 points are missing (batches 1, 2)")
    for batch in (1, 2):
        assert hpcspike("run-batch", store, "--batch", batch).code == 0
    assert "0 points computed, 4 done before" in hpcspike("run-batch", store, "--batch", "0").out
    assert "all 12 points done (12 learned)" in hpcspike("finalize", store).out
    assert "(finalized)" in hpcspike("status", store).out
    assert "was there, 12 points done" in hpcspike("plan", sweep, "--create").out
    assert open_sweep(store).sizes["point"] == 12


def test_failed_points_are_listed_by_status(hpcspike: Run, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no luck")

    hpcspike("plan", sweep, "--create")
    monkeypatch.setattr(point, "run_point", fail)
    refused(hpcspike("run-batch", "results/little.zarr", "--batch", "1"), "4 of 4 points failed")
    assert "failed     point 4: RuntimeError: no luck" in hpcspike("status", "results/little.zarr").out


def test_analyse_and_plot_write_tables_and_figures(hpcspike: Run, sweep: Path, here: Path) -> None:
    hpcspike("plan", sweep, "--create")
    for batch in range(3):
        hpcspike("run-batch", "results/little.zarr", "--batch", batch)
    assert hpcspike("analyse", "results/little.zarr", "--out", "tables").code == 0
    with xr.open_dataset(here / "tables" / "performance.nc", engine="h5netcdf") as table:
        assert dict(table.sizes) == {"tau_syn_ms": 3, "tau_corr_ms": 2}
    assert len((here / "tables" / "performance.csv").read_text().splitlines()) == 7
    assert hpcspike("plot", "results/little.zarr", "--out", "figures", "--dpi", "40").code == 0
    assert (here / "figures" / "map.png").stat().st_size > 1000
    assert not [name for name in files(here) if "writing" in name]


@pytest.mark.parametrize("name", ["out.zarr", "out.nc"])
def test_train_writes_one_dataset_with_units_and_provenance(
    hpcspike: Run, network: Path, here: Path, name: str
) -> None:
    result = hpcspike("train", network, "--out", f"new/{name}")
    assert result.code == 0
    assert result.err.splitlines()[-1].startswith("loop 2/2  correlation")
    path = here / "new" / name
    with xr.open_zarr(path) if name.endswith("zarr") else xr.open_dataset(path, engine="h5netcdf") as dataset:
        for variable in dataset.variables.values():
            assert "units" in variable.attrs or "units" in variable.encoding
        assert json.loads(dataset.attrs["provenance"])["n_threads"] == 1
        assert json.loads(dataset.attrs["experiment"])["name"] == "tiny"
    assert [file.name for file in path.parent.iterdir()] == [name]
    again = hpcspike("train", network, "--out", f"new/{name}")
    assert again.code == 0
    assert "nothing to do" in again.out
    refused(hpcspike("train", network, "--out", f"new/{name}", "--set", "seed=9"), "the result of another experiment")
    assert hpcspike("plot", path, "--out", "figures", "--dpi", "40").code == 0
    assert (here / "figures" / "training.png").exists()


def test_a_result_that_cannot_be_written_leaves_nothing(
    hpcspike: Run, network: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: xr.Dataset, file: IO[bytes], **_: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    refused(hpcspike("train", network, "--out", "new/out.nc"), "No space left on device")
    assert not (here / "new").exists()


def test_schema_prints_json_or_a_table(hpcspike: Run) -> None:
    assert json.loads(hpcspike("schema").out)["properties"]["axes"]
    assert json.loads(hpcspike("schema", "experiment").out)["properties"]["synapse"]
    assert "synapse.tau_syn_ms" in hpcspike("schema", "--table").out


def test_help_of_train_states_units_and_defaults_of_every_field(hpcspike: Run) -> None:
    lines = hpcspike("train", "--help").out.splitlines()
    assert lines[lines.index("synapse.tau_syn_ms") + 1] == "    (in ms; default 20; > 0)"
    assert any("--threads" in line for line in lines)
    assert any("(default: 1)" in line for line in lines)


def test_the_version_is_printed(hpcspike: Run) -> None:
    from hpcspike import __version__

    assert hpcspike("--version").out == f"hpcspike {__version__}\n"


def test_an_interrupt_ends_without_a_traceback(hpcspike: Run, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    hpcspike("plan", sweep, "--create")
    monkeypatch.setattr(point, "run_point", interrupt)
    result = hpcspike("run-batch", "results/little.zarr", "--batch", "0")
    assert result.code == 130
    assert result.err == "hpcspike: interrupted; finished points are kept, the same command computes the others\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["trian"], "did you mean 'train'?"),
        (["run_batch"], "did you mean 'run-batch'?"),
        (["schema", "experimnet"], "did you mean 'experiment'?"),
        (["train", "network.yaml", "--out", "net.nc", "--set", "seed", "=", "20"], "no spaces around ="),
        (["train", "network.yaml", "--out", "net.nc", "--set", "seed", "=20"], "no spaces around ="),
    ],
)
def test_a_slip_on_the_command_line_is_told_what_is_meant(hpcspike: Run, arguments: list[str], hint: str) -> None:
    refused(hpcspike(*arguments), hint)


def test_what_resembles_nothing_is_given_no_hint(hpcspike: Run) -> None:
    result = hpcspike("xyzzy")
    refused(result, "choose from 'init', 'train', 'plan'")
    assert "did you mean" not in result.err


@pytest.mark.parametrize(
    "command",
    [["run-batch", "nothing.zarr", "--batch", "0"], ["study", "nothing.yaml"]],
    ids=lambda command: command[0],
)
def test_what_trains_keeps_libraries_to_one_thread(command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    code = (
        "import os, sys\n"
        "from hpcspike.cli import main\n"
        f"main({command!r})\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "1 1\n"


def test_the_module_is_a_program() -> None:
    run = [sys.executable, "-m", "hpcspike", "status", "nothing.zarr"]
    program = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (program.returncode, program.stdout) == (2, "")
    assert program.stderr.startswith("hpcspike: error: nothing.zarr: no such store")


def test_a_missing_file_is_no_missing_store(hpcspike: Run) -> None:
    refused(
        hpcspike("plot", "nothing.nc", "--out", "figures"), "nothing.nc: no such file; make it with 'hpcspike train"
    )
