"""One command that makes the reference results again: it says the cost, goes on, and mixes no revisions."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
import yaml

from cluster import remake
from hpcspike import provenance

REVISION = "a" * 40
EXPERIMENT = {
    "network": {"n_neurons": 12},
    "targets": {"kind": "ou", "duration_ms": 50.0},
    "stimulus": {"duration_ms": 10.0},
    "protocol": {"free_run_ms": 10.0, "test_free_run_ms": 10.0},
    "training": {"n_loops": 1},
    "measures": {"n_test_trials": 1, "n_clamped_trials": 1},
}


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two tables of reference results, the study and the sweep that they are of, and a clean revision."""
    documents = {
        "one": {"name": "one", "replicates": 2, "experiment": EXPERIMENT, "variants": {"drive": {}},
                "shown": {"neurons": 2, "raster_neurons": 0, "trials": 1}},
        "two": {"name": "two", "replicates": 1, "experiment": EXPERIMENT, "axes": {"synapse.tau_syn_ms": [10.0, 20.0]}},
    }  # fmt: skip
    for folder in ("configs", "reference"):
        (tmp_path / folder).mkdir()
    for name, document in documents.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(document))
        xr.Dataset().to_netcdf(tmp_path / "reference" / f"{name}.nc", engine="h5netcdf")
    monkeypatch.setattr(provenance, "code_revision", lambda: REVISION)
    folders = (("--out", "out"), ("--reference", "reference"), ("--configs", "configs"))
    return [text for option, name in folders for text in (option, str(tmp_path / name))]


def test_the_cost_is_said_and_nothing_is_started(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remake.main(given) == 0
    told = capsys.readouterr().out
    assert "one" in told
    assert "4 networks" in told
    assert "nothing was started" in told
    assert not (tmp_path / "out").exists()


def test_what_needs_recordings_that_are_not_here_is_left_as_it_is(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = {"kind": "recorded", "path": str(tmp_path / "missing.nc"), "n_units": 3, "duration_ms": 50.0}
    document = {
        "name": "three",
        "experiment": {**EXPERIMENT, "targets": recorded},
        "variants": {"rate": {"training": {"variable": "rate"}}},
    }
    (tmp_path / "configs" / "three.yaml").write_text(yaml.safe_dump(document))
    xr.Dataset().to_netcdf(tmp_path / "reference" / "three.nc", engine="h5netcdf")
    assert remake.main(given) == 0
    told = capsys.readouterr().out
    assert "missing.nc is not here, so its table stays as it is" in told
    assert "4 networks" in told


def test_it_makes_everything_once_and_goes_on(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remake.main([*given, "--start"]) == 0
    out = tmp_path / "out"
    assert {"one.nc", "two.nc", "claims.md"} <= {file.name for file in (out / "claims").iterdir()}
    (out / "one" / "runs" / "drive_1.nc").unlink()
    kept = (out / "one" / "runs" / "drive_0.nc").stat().st_mtime_ns
    capsys.readouterr()
    assert remake.main([*given, "--start"]) == 0
    assert "drive_0.nc is there already" in capsys.readouterr().out
    assert (out / "one" / "runs" / "drive_0.nc").stat().st_mtime_ns == kept
    assert (out / "one" / "runs" / "drive_1.nc").exists()


def test_several_at_a_time_make_the_same(given: list[str], tmp_path: Path) -> None:
    assert remake.main([*given, "--start"]) == 0
    (tmp_path / "out").rename(tmp_path / "alone")
    assert remake.main([*given, "--start", "--workers", "2"]) == 0
    for name in ("one.nc", "two.nc"):
        alone, together = (xr.load_dataset(tmp_path / out / "claims" / name)["correlation"] for out in ("alone", "out"))
        xr.testing.assert_equal(alone, together)


def test_some_are_made_and_the_others_are_as_they_were(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remake.main([*given, "--start"]) == 0
    made, reference = tmp_path / "out" / "claims", tmp_path / "reference"
    for name in ("one.nc", "two.nc"):
        (made / name).replace(reference / name)
    (tmp_path / "out").rename(tmp_path / "before")
    assert remake.main([*given, "--start", "--only", "two"]) == 0
    assert not (tmp_path / "out" / "one").exists()
    for name in ("one.nc", "two.nc"):
        xr.testing.assert_equal(*(xr.load_dataset(folder / name)["correlation"] for folder in (made, reference)))
    capsys.readouterr()
    assert remake.main([*given, "--only", "three"]) == 2
    assert "--only three: there is no such table; the names are one, two" in capsys.readouterr().err


def test_results_of_two_revisions_or_of_none_are_not_mixed(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remake.hold_revision(tmp_path / "out", REVISION)
    for other, said in (("b" * 40, f"was begun at revision {REVISION}"), (f"{REVISION}+changes", "commit what was")):
        monkeypatch.setattr(provenance, "code_revision", lambda other=other: other)
        assert remake.main([*given, "--start"]) == 2
        assert said in capsys.readouterr().err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["revision.json"]
