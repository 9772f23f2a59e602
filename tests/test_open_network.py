"""What 'hpcspike train' leaves, opened and looked at: its Dataset, and its saved states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from checkpoint_cases import LOOP_STEPS, cut_at
from sweep_stub import sweep_document

import hpcspike
from hpcspike.cli import main
from hpcspike.commands.status import _progress
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted, StoreError
from hpcspike.runs.run import train_to_store
from hpcspike.spec import validate_experiment, validate_sweep
from hpcspike.sweep.growth import ensure_store


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("name", ["net.zarr", "net.nc"])
def test_a_trained_network_is_opened_as_it_was_returned(here: Path, name: str, tiny_document: dict[str, Any]) -> None:
    experiment = validate_experiment(tiny_document)
    train_to_store(experiment, here / name)
    network, returned = hpcspike.open_network(here / name), hpcspike.run(experiment)
    assert network.attrs["experiment_hash"] == returned.attrs["experiment_hash"]
    for key in ("response", "weight", "spike_time", "correlation"):
        assert np.array_equal(network[key].values, returned[key].values), key
        assert network[key].attrs == returned[key].attrs
    assert set(network.coords) == set(returned.coords)


def test_a_copy_that_was_written_without_consolidated_metadata_opens_in_silence(here: Path) -> None:
    copy = xr.Dataset({"target": ("neuron", np.zeros(3))}, attrs={"experiment_hash": "0"})
    copy.to_zarr(here / "copy.zarr", zarr_format=3, consolidated=False)
    assert hpcspike.open_network(str(here / "copy.zarr"))["target"].values.tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.zarr", "no such file or store; make it with 'hpcspike train CONFIG --out .*nothing.zarr'"),
        ("text.nc", "is a file, not the trained network that 'hpcspike train' writes"),
        ("folder", "is an empty folder, not the trained network"),
        ("little.zarr", r"is a sweep \(see hpcspike.open_sweep\), not the trained network"),
        ("study.nc", "is a study, not the trained network"),
        ("other.zarr", "is another zarr store, not the trained network"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.nc").write_text("thesis")
    (tmp_path / "folder").mkdir()
    ensure_store(tmp_path / "little.zarr", validate_sweep(sweep_document()))
    xr.Dataset(attrs={"study": "fig1"}).to_netcdf(tmp_path / "study.nc", engine="h5netcdf")
    xr.Dataset({"x": ("t", np.arange(3.0))}).to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match=message):
        hpcspike.open_network(tmp_path / name)


# ---- saved states ----------------------------------------------------------------------------------------------------


def test_the_status_of_a_subset_is_over_the_trained_neurons() -> None:
    curve = {"correlation": [0.5]}
    identity = {"training": {"n_loops": 2, "subset": {"match": "order"}}, "targets": {}}
    rows = _progress({"identity": identity, "numbers": {"cursor": {"loop": 1}, "diverged_loop": -1, "curve": curve}})
    assert rows[-1] == ("last loop", "correlation 0.500 over the trained neurons, plasticity on")


def test_the_status_of_saved_states_says_how_far_the_training_is(
    tmp_path: Path, tiny_document: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = validate_experiment({**tiny_document, "targets": {**tiny_document["targets"], "n_sets": 2}})
    with pytest.raises(Interrupted):
        train_to_store(
            experiment,
            tmp_path / "net.nc",
            checkpoints=Checkpoints(tmp_path / "states", every_loops=1, stop_after_steps=300),
        )
    assert main(["status", str(tmp_path / "states")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["training   20 neurons, seed 3", "loops      2 of 4 done"]
    assert lines[2].startswith("last loop  correlation ")
    assert lines[2].endswith(" over all neurons, plasticity on")
    assert lines[3].startswith("saved      checkpoint-000000000300, ")
    assert lines[4].startswith("saved      checkpoint-000000000280, ")
    (tmp_path / "states" / "checkpoint-000000000300" / "manifest.json").write_text("{}")
    assert main(["status", str(tmp_path / "states")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "loops      2 of 4 done"
    assert lines[3] == "damaged    checkpoint-000000000300: manifest.json is not as it was written"
    assert main(["status", str(tmp_path / "states"), "--watch"]) == 2
    assert "holds the saved states of one training; leave the option out" in capsys.readouterr().err


def test_the_status_of_states_of_explicit_arrays_names_no_total(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_at(tmp_path / "states", LOOP_STEPS + 40)
    assert main(["status", str(tmp_path / "states")]) == 0
    assert "loops      1 done\n" in capsys.readouterr().out
