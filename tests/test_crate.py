"""A sweep as a Workflow Run RO-Crate: its files, what it says of them, and from whom."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_runs import planned
from sweep_stub import stub_point, sweep_document

from hpcspike.cli import main
from hpcspike.spec import load, validate_sweep
from hpcspike.sweep.batch import run_batch

pytest.importorskip("rocrate", reason="needs the extra crate")

CITATION = {
    "authors": [{"family-names": "Doe", "given-names": "Ann", "orcid": "https://orcid.org/0000-0001-2345-6789"}],
    "license": "CC-BY-4.0",
    "preferred-citation": {
        "title": "A paper",
        "doi": "10.1/x",
        "authors": [{"family-names": "Roe", "given-names": "Bo"}],
    },
}


@pytest.fixture
def crate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zipfile.ZipFile:
    """Of a sweep whose last batch is missing, exported where there is a CITATION.cff of the user's own."""
    monkeypatch.setattr("hpcspike.runs.point.run_point", stub_point)
    monkeypatch.chdir(tmp_path)
    store = planned(tmp_path, sweep_document())
    for batch in (0, 1):
        run_batch(store, batch)
    (tmp_path / "CITATION.cff").write_text(yaml.safe_dump(CITATION))
    assert main(["export", str(store), "little.crate.zip"]) == 0
    return zipfile.ZipFile("little.crate.zip")


def graph(crate: zipfile.ZipFile) -> dict[str, dict[str, Any]]:
    document = json.loads(crate.read("ro-crate-metadata.json"))
    return {item["@id"]: item for item in document["@graph"]}


def test_every_file_is_described_and_every_described_file_is_there(crate: zipfile.ZipFile, tmp_path: Path) -> None:
    items, names = graph(crate), set(crate.namelist())
    described = {key for key, item in items.items() if "File" in item["@type"]}
    assert names - described == {"ro-crate-metadata.json"}
    assert described <= names
    assert all(items[name]["name"] for name in described)
    assert {path.name for path in tmp_path.iterdir()} == {"CITATION.cff", "little.crate.zip", "results"}


def test_the_run_names_inputs_results_code_and_people(crate: zipfile.ZipFile) -> None:
    items = graph(crate)
    assert {item["@id"] for item in items["./"]["conformsTo"]} >= {"https://w3id.org/ro/wfrun/workflow/0.5"}
    assert items["./"]["mainEntity"] == {"@id": "Snakefile"}
    run = items["#run"]
    assert run["@type"] == "CreateAction"
    assert run["instrument"] == {"@id": "Snakefile"}
    assert run["object"] == {"@id": "sweep.json"}
    assert {"@id": "little.nc"} in run["result"]
    assert run["startTime"] <= run["endTime"]
    assert (run["actionStatus"]["@id"], run["error"]) == (
        "http://schema.org/FailedActionStatus", "4 points were not finished",
    )  # fmt: skip
    ann = items["https://orcid.org/0000-0001-2345-6789"]
    assert (ann["@type"], ann["name"]) == ("Person", "Ann Doe")
    assert run["agent"] == items["./"]["author"] == {"@id": ann["@id"]}
    (record, *_) = json.loads(crate.read("provenance.json")).values()
    assert record["revision"] in str(items["#hpcspike"]["identifier"])
    assert f"numpy=={record['versions']['numpy']}\n" in crate.read("environment.txt").decode()


def test_the_sweep_in_the_crate_is_the_one_that_was_run(crate: zipfile.ZipFile, tmp_path: Path) -> None:
    crate.extract("sweep.json", tmp_path)
    assert load(tmp_path / "sweep.json") == validate_sweep(sweep_document())


def test_zenodo_is_told_who_made_it_and_under_which_licence(crate: zipfile.ZipFile) -> None:
    document = json.loads(crate.read(".zenodo.json"))
    assert document["creators"] == [{"name": "Doe, Ann", "orcid": "0000-0001-2345-6789"}]
    assert (document["upload_type"], document["license"]) == ("dataset", "cc-by-4.0")
    assert document["related_identifiers"] == [{"identifier": "10.1/x", "relation": "cites", "scheme": "doi"}]


@pytest.mark.parametrize("text", ["", "authors: []", "- a list", "authors: ["])
def test_a_citation_that_names_nobody_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpcspike.runs.point.run_point", stub_point)
    monkeypatch.chdir(tmp_path)
    store = planned(tmp_path, sweep_document(axes={"network.n_neurons": [20]}, replicates=1))
    run_batch(store, 0)
    Path("CITATION.cff").write_text(text)
    assert main(["export", str(store), "a.crate.zip"]) == 2
    assert "must be a CITATION.cff with 'authors'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*crate*"))
