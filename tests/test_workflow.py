"""The workflow from an empty folder to figures, run again, and run after a change; and what it plans beforehand."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import xarray as xr
import yaml
from sweep_stub import sweep_document

from hpcspike.errors import DataError, SpecError
from hpcspike.spec import load, validate_sweep
from hpcspike.sweep.grid import build_grid
from hpcspike.sweep.growth import ensure_store, planned
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import read_records
from hpcspike.workflow.sweeps import (
    check_settings,
    networks_beside,
    plan_jobs,
    plan_network,
    plan_networks,
    sweep_figures,
)

ROOT = Path(__file__).resolve().parent.parent


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


# ---- what is known before the first job ------------------------------------------------------------------------------


def test_jobs_are_those_the_planner_will_make_and_then_those_of_the_store(tmp_path: Path) -> None:
    config = write(tmp_path / "sweep.yaml", sweep_document())
    before = plan_jobs(config, results=tmp_path / "results")
    assert before.store == tmp_path / "results" / "little.zarr"
    assert [Path(receipt).name for receipt in before.receipts] == [f"batch-{k:04d}.json" for k in range(3)]
    sweep = validate_sweep(sweep_document())
    ensure_store(before.store, sweep)
    write(config, sweep_document(batching={"max_points": 2}))
    assert plan_jobs(config, results=tmp_path / "results").receipts == before.receipts
    assert before.batches == planned(build_grid(sweep)).batches


def test_jobs_ask_for_more_at_each_attempt(tmp_path: Path) -> None:
    jobs = plan_jobs(write(tmp_path / "sweep.yaml", sweep_document()))
    assert jobs.memory(0) > jobs.batches.memory_mib[0]
    more = 1.3 * 1.048576 * jobs.batches.memory_mib[0]
    assert jobs.memory(0, attempt=2) - jobs.memory(0) == pytest.approx(more, abs=1)
    assert jobs.minutes(0) == 10
    slow = replace(jobs, batches=replace(jobs.batches, seconds=[3600.0] * 3))
    assert [slow.minutes(0, attempt=attempt) for attempt in (1, 2)] == [180, 360]


def test_the_identity_changes_with_the_sweep(tmp_path: Path) -> None:
    config = write(tmp_path / "sweep.yaml", sweep_document())
    one = plan_jobs(config).identity
    assert plan_jobs(write(config, sweep_document(batching={"max_points": 2}))).identity == one
    assert plan_jobs(write(config, sweep_document(replicates=3))).identity != one


def test_sweeps_and_single_networks_are_told_apart(tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    sweep = write(tmp_path / "sweep.yaml", sweep_document())
    network = write(tmp_path / "network.yaml", tiny_document)
    assert plan_network(str(network)).name == "tiny"
    with pytest.raises(SpecError, match="is one experiment, not a sweep"):
        plan_jobs(network)
    with pytest.raises(SpecError, match="is no single experiment; give a sweep as 'sweep'"):
        plan_network(str(sweep))


def test_a_setting_that_does_not_exist_is_refused_in_one_line() -> None:
    schema = ROOT / "cluster" / "config" / "workflow.schema.json"
    check_settings({"sweep": "fig7.yaml", "size": "", "networks": [], "save_minutes": 5, "paper": True}, schema)
    with pytest.raises(SpecError, match=r"^--config siz: unknown setting; did you mean size\? Known settings: sweep, "):
        check_settings({"sweep": "fig7.yaml", "siz": "laptop"}, schema)
    with pytest.raises(SpecError, match=r"^--config paper=false: must be True or False; Also know the figures"):
        check_settings({"paper": "false"}, schema)


@pytest.mark.parametrize("text", ["-rf", "a{b}", "two\nlines", "nul\0"])
def test_settings_that_would_be_read_as_patterns_or_options_are_refused(text: str) -> None:
    schema = ROOT / "cluster" / "config" / "workflow.schema.json"
    for settings in ({"results": text}, {"sweep": text}, {"size": text}, {"keep_states": text}, {"networks": [text]}):
        with pytest.raises(SpecError, match=f"^--config {next(iter(settings))}=.*: must not begin with '-'"):
            check_settings(settings, schema)
    check_settings({"results": 'my results/it\'s $(here) "1" *', "networks": ["größe.yaml"]}, schema)
    with pytest.raises(SpecError, match="--config save_minutes=True: must be a number"):
        check_settings({"save_minutes": True}, schema)


def test_the_networks_of_the_paper_are_trained_beside_the_default_sweep_only() -> None:
    assert [Path(config).stem for config in networks_beside({})] == ["fig1_drive", "fig1_rate"]
    assert networks_beside({"size": "smoke"}) == networks_beside({})
    assert networks_beside({"sweep": "mine.yaml"}) == []
    assert networks_beside({"sweep": "mine.yaml", "networks": ["one.yaml"]}) == ["one.yaml"]
    assert networks_beside({"networks": []}) == []


@pytest.mark.parametrize("name", ["../../evil", "two words", "$(x)", "-rf", "{network}", "größe", "x" * 101, ".."])
def test_a_network_whose_name_is_none_of_a_file_is_refused(
    tmp_path: Path, tiny_document: dict[str, Any], name: str
) -> None:
    config = str(write(tmp_path / "network.yaml", {**tiny_document, "name": name}))
    with pytest.raises(SpecError, match=r"network\.yaml: name = .*: files are called by it here"):
        plan_networks([config], sweep="little")


def test_a_network_that_cannot_be_trained_is_refused_before_the_first_job(
    tmp_path: Path, tiny_document: dict[str, Any]
) -> None:
    targets = {"kind": "recorded", "path": "absent.csv"}
    document = {**tiny_document, "targets": targets, "training": {"variable": "rate"}, "network": {}}
    with pytest.raises(DataError, match=r"absent\.csv"):
        plan_network(str(write(tmp_path / "network.yaml", document)))


def test_the_points_of_a_store_that_is_there_are_not_worked_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "sweep.yaml", sweep_document())
    jobs = plan_jobs(config, results=tmp_path)
    figures = sweep_figures(jobs.sweep)
    ensure_store(jobs.store, jobs.sweep)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr("hpcspike.sweep.grid.build_grid", refuse)
    monkeypatch.setattr("hpcspike.sweep.growth.build_grid", refuse)
    assert plan_jobs(config, results=tmp_path).receipts == jobs.receipts
    assert sweep_figures(jobs.sweep, jobs.store) == figures
    assert ensure_store(jobs.store, jobs.sweep)[1] == 0


def test_two_results_of_one_name_are_refused(tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    one, other = (str(write(tmp_path / f"{name}.yaml", tiny_document)) for name in ("one", "other"))
    assert list(plan_networks([one], sweep="little")) == ["tiny"]
    with pytest.raises(SpecError, match=r"other\.yaml: name = 'tiny' is that of .*one\.yaml, too; choose another"):
        plan_networks([one, other], sweep="little")
    with pytest.raises(SpecError, match="is that of the sweep, too"):
        plan_networks([one], sweep="tiny")


@pytest.mark.parametrize(("name", "figures"), [("fig6", {"map", "inverted_u", "collapse"}), ("fig7", {"capacity"})])
def test_the_figures_of_the_named_sweeps_are_known_beforehand(name: str, figures: set[str]) -> None:
    sweep = load(ROOT / "cluster" / "config" / f"{name}.yaml")
    assert figures | {"training"} <= set(sweep_figures(sweep))


@pytest.mark.parametrize("name", ["fig6", "fig7"])
def test_named_sweeps_come_in_three_sizes_with_stores_of_their_own(name: str) -> None:
    path = ROOT / "cluster" / "config" / f"{name}.yaml"
    sweeps = [load(path, size=size) for size in ("smoke", "laptop", "paper")]
    assert len({sweep.name for sweep in sweeps}) == 3
    assert load(path).name not in {sweeps[0].name, sweeps[2].name}
    hours = [build_grid(sweep).seconds.sum() / 3600 for sweep in sweeps]
    assert hours[0] < 0.01 < hours[1] < 2.0 < hours[2]


# ---- snakemake -------------------------------------------------------------------------------------------------------


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the workflow ran a sweep of 6 points in two batches and one single network."""
    folder = tmp_path_factory.mktemp("workflow")
    document = sweep_document(replicates=1, batching={"max_points": 3})
    write(folder / "sweep.yaml", document)
    write(folder / "network.yaml", {"name": "single", **document["experiment"]})
    run = snakemake(folder, *CONFIG)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


CONFIG = ("--config", "sweep=sweep.yaml", "networks=['network.yaml']")


@pytest.mark.workflow
def test_the_workflow_computes_analyses_and_draws(finished: Path) -> None:
    results = finished / "results"
    with open_sweep(results / "little.zarr") as sweep:
        assert sweep.sizes["point"] == 6
        assert (sweep["status"] >= 0).all()
    assert (results / "little" / "tables" / "performance.csv").exists()
    for figure in ("little/figures/map.png", "little/figures/inverted_u.png", "single/figures/training.png"):
        assert (results / figure).stat().st_size > 1000
    receipts = {path.name for path in (results / "little.zarr.receipts").iterdir()}
    assert receipts == {"plan.json", "batch-0000.json", "batch-0001.json", "finalized.json"}


@pytest.mark.workflow
def test_paths_stay_paths_whatever_a_shell_or_a_pattern_would_make_of_them(tmp_path: Path) -> None:
    odd = 'it\'s $(touch here) *[a] "b" %c ;'
    write(tmp_path / f"{odd}.yaml", sweep_document(replicates=1, axes={"synapse.tau_syn_ms": [10, 20]}))
    settings = (f"sweep={odd}.yaml", f"results={odd}", f"keep_states={odd}/kept")
    run = snakemake(tmp_path, "--until", "finalize", "--config", *settings)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / odd / "little.zarr.receipts" / "finalized.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {odd, f"{odd}.yaml", ".snakemake"}


@pytest.mark.workflow
def test_the_report_holds_every_page_and_figure_and_needs_nothing_from_outside(finished: Path) -> None:
    run = snakemake(finished, *CONFIG, "--report", "results/report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    text = (finished / "results" / "report.html").read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?https?:", text)
    items = json.loads(re.search(r"var results = (\{.*?\});\n", text)[1])  # type: ignore[index]
    pages = {"results/little/little.html", "results/single/single.html"}
    # which of these a network has hangs on its spikes, so that the workflow cannot promise them: they are in its page
    unforeseen = {"variability.png"}
    drawn = {path for path in (finished / "results").glob("*/figures/*.png") if path.name not in unforeseen}
    figures = {str(path.relative_to(finished)) for path in drawn}
    assert set(items) == pages | figures
    for path, item in items.items():
        kind, _, content = item["data_uri"].partition(";base64,")
        data = base64.b64decode(content) if content else unquote_to_bytes(item["data_uri"].partition(",")[2])
        assert data == (finished / path).read_bytes()
        assert item["mime_type"] == ("text/html" if path in pages else "image/png")
        assert item["caption"]
        assert kind
    labels = sorted(item["labels"]["result"] for path, item in items.items() if "little" in path)
    assert labels[0].startswith("01 Everything on one page")
    assert labels[1] == "02 Where the network learns"
    landing = json.loads(re.search(r"var workflow_desc = (\".*?\");?\n", text)[1])  # type: ignore[index]
    assert [landing.count(f"<b>{name}</b>") for name in ("Sweep little", "Trained network single")] == [1, 1]
    page = (finished / "results" / "little" / "little.html").read_text()
    assert page.count("hpcspike show results/little.zarr --point") == 6 + 3  # every network, and three examples
    n_figures = len(list((finished / "results" / "little" / "figures").glob("*.png")))
    # and the learning curves of the three, and what of them was trained again: all, unless the machine is very busy
    assert n_figures + 1 <= page.count("<img ") <= n_figures + 4


@pytest.mark.workflow
def test_a_second_run_does_nothing_even_if_the_config_is_newer(finished: Path) -> None:
    (finished / "sweep.yaml").touch()
    before = {path: path.stat().st_mtime_ns for path in (finished / "results").rglob("*")}
    run = snakemake(finished, *CONFIG)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Nothing to be done" in run.stdout + run.stderr
    assert {path: path.stat().st_mtime_ns for path in (finished / "results").rglob("*")} == before


@pytest.mark.workflow
def test_a_sweep_that_has_grown_computes_only_what_is_new(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "grown"))
    before = open_sweep(finished / "results" / "little.zarr").load()
    write(folder / "sweep.yaml", sweep_document(replicates=2, batching={"max_points": 3}))
    run = snakemake(folder, "--config", "sweep=sweep.yaml", "networks=[]")
    assert run.returncode == 0, run.stdout + run.stderr
    grown = open_sweep(folder / "results" / "little.zarr").load()
    assert grown.sizes["point"] == 12
    assert grown.isel(point=slice(6)).equals(before)
    records = read_records(folder / "results" / "little.zarr").values()
    # batches run side by side, so the order of their records is not fixed
    assert sorted((record["batch"], record["computed"]) for record in records) == [(0, 3), (1, 3), (2, 3), (3, 3)]
    with xr.open_dataset(folder / "results" / "little" / "tables" / "performance.nc", engine="h5netcdf") as table:
        assert (table["n_networks"] == 2).all()


@pytest.mark.workflow
def test_a_changed_sweep_is_refused_before_any_job_and_never_overwrites_the_old_one(finished: Path) -> None:
    store = finished / "results" / "little.zarr"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    axes = {"synapse.tau_syn_ms": [5.0, 20.0], "targets.tau_corr_ms": [50.0, 100.0]}
    write(finished / "changed.yaml", sweep_document(replicates=1, axes=axes))
    run = snakemake(finished, "--config", "sweep=changed.yaml", "networks=[]")
    assert run.returncode != 0
    assert "axes.synapse.tau_syn_ms = [5.0, 20.0, 100.0] in the store, [5.0, 20.0] now" in run.stdout + run.stderr
    assert "rule " not in run.stdout + run.stderr
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("sweep=wrong.yaml",), "synapse.tau_sin_ms: unknown key; did you mean 'tau_syn_ms'?"),
        (("sweep=nothing.yaml",), "nothing.yaml: no such file"),
        (("swep=sweep.yaml",), "--config swep: unknown setting; did you mean sweep?"),
    ],
)
def test_wrong_settings_are_refused_before_any_job(tmp_path: Path, settings: tuple[str, ...], message: str) -> None:
    write(tmp_path / "wrong.yaml", sweep_document(axes={"synapse.tau_sin_ms": [1.0]}))
    run = snakemake(tmp_path, "--config", *settings)
    assert run.returncode != 0
    assert message in run.stdout + run.stderr
    assert not (tmp_path / "results").exists()
