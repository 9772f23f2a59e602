"""Folders of TrainSpikingNet.jl: one of its layout that is made up, and that of the tutorial where it is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcspike.errors import DataError
from hpcspike.exchange import read_tsn, weights_csr
from tests.conftest import ROOT

INDEX = [[2, 4], [], [1, 2], [3]]
INDEX_OF_FIVE = [[2, 5], [0, 0], [1, 2], [3, 0]]
WEIGHT = [[1.0, -2.0], [], [0.5, 3.0], [-4.0]]
PARAMETERS = np.array((10.0, 4, 3, 150.0), dtype=[("taue_", "f8"), ("Ncells_", "i8"), ("Lffwd_", "i8"), ("tau_", "f8")])


def put(path: Path, name: str, values: Any) -> None:
    """As Julia writes: dimensions reversed, lists as references."""
    with h5py.File(path, "w") as file:
        if isinstance(values, list):
            parts = [
                file.create_dataset(f"_refs/{k:08d}", data=np.asarray(part, float).T) for k, part in enumerate(values)
            ]
            references = np.array([part.ref for part in parts], dtype=h5py.ref_dtype)
            file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
        else:
            file[name] = values if values.dtype.names else values.T
        file.create_group("_types")


@pytest.fixture(params=["jld", "jld2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """With matrices padded by zeros, as the older programs have it, or with vectors of vectors."""
    kind = str(request.param)
    put(tmp_path / f"p.{kind}", "p", PARAMETERS)
    for name, rows in (("wpIndexIn", INDEX), ("wpWeightIn", WEIGHT)):
        padded = np.array([row + [0.0] * (2 - len(row)) for row in rows])
        put(tmp_path / f"{name}.{kind}", name, padded if kind == "jld" else rows)
    put(tmp_path / f"almOrd.{kind}", "almOrd", np.array([2, 1]))
    put(tmp_path / f"matchedCells.{kind}", "matchedCells", np.array([1, 3]))
    put(tmp_path / f"xtarg.{kind}", "xtarg", [np.arange(10.0).reshape(5, 2), -np.arange(10.0).reshape(5, 2)])
    put(tmp_path / f"stim.{kind}", "stim", [np.arange(4.0), -np.arange(4.0)])
    put(tmp_path / f"ns_100.{kind}", "ns", np.zeros(4, int))
    put(tmp_path / f"ns_200.{kind}", "ns", np.array([3, 0, 5, 1]))
    put(tmp_path / f"ffwdRate.{kind}", "ffwdRate", np.zeros((3, 2)))
    put(tmp_path / f"more.{kind}", "more", np.zeros(3))
    return tmp_path


def test_weights_order_targets_and_cues_are_read(folder: Path) -> None:
    found = read_tsn(folder)
    expected = np.zeros((4, 4))
    for post, (sources, weights) in enumerate(zip(INDEX, WEIGHT, strict=True)):
        for source, weight in zip(sources, weights, strict=True):
            expected[post, source - 1] = weight / 10.0
    np.testing.assert_allclose(weights_csr(found).toarray(), expected, rtol=1e-15)
    np.testing.assert_array_equal(found["matched_unit"], [1, -1, 0, -1])
    assert found["target"].dims == ("target_set", "neuron", "sample")
    np.testing.assert_array_equal(found["target"][0, 0], [1, 3, 5, 7, 9])  # neuron 1 follows unit 2
    np.testing.assert_array_equal(found["target"][1, 2], [0, -2, -4, -6, -8])
    assert bool(found["target"][:, 1].isnull().all())
    np.testing.assert_array_equal(found["stimulus"], [[0, 1, 2, 3], [0, -1, -2, -3]])
    np.testing.assert_array_equal(found["n_spikes"], [3, 0, 5, 1])
    assert json.loads(found.attrs["parameters"]) == {"taue": 10.0, "Ncells": 4, "Lffwd": 3, "tau": 150.0}


def test_what_is_not_carried_over_is_listed(folder: Path) -> None:
    kind = next(folder.iterdir()).suffix
    assert set(read_tsn(folder).attrs["not_carried_over"].splitlines()) == {
        f"rates of the feed-forward population: in ffwdRate{kind}, not read",
        "fixed synapses: not in the folder; they were drawn from the state of Julia's random numbers",
        "feed-forward population of 3 neurons: not in the folder",
        f"more{kind}: not known",
    }


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("wpWeightIn", np.zeros((4, 3)), "wpIndexIn and wpWeightIn do not have the same size"),
        ("wpIndexIn", np.zeros(4), "must be \\(neuron, input\\)"),
        ("matchedCells", np.array([1, 9]), "must name one of 4 neurons"),
        ("matchedCells", np.zeros(0), "it holds 0"),
        ("matchedCells", np.array([1, 1]), "none of them twice"),
        ("almOrd", np.array([2, 2]), "almOrd.*: names unit 2 2 times: must name every unit once"),
        ("almOrd", np.array([2, 7]), "almOrd.*: names unit 7, but xtarg.* holds the targets of 2 units"),
        ("p", np.zeros(3), "no record of parameters"),
        ("stim", [np.zeros(4)] * 3, "3 condition\\(s\\), but the targets have 2"),
        ("stim", [np.zeros(4), np.zeros(5)], "cues have the sizes \\(4,\\), \\(5,\\): must be equal"),
        ("stim", np.zeros((4, 6)), "must be \\(4 neurons\\), \\(time, 4 neurons\\)"),
        ("xtarg", [np.zeros((5, 2)), np.zeros((6, 2))], "of equal size"),
        ("xtarg", np.zeros(5), "must be \\(time, unit\\)"),
        ("ns_200", np.zeros(3), "must be one for each of 4 neurons"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(folder: Path, name: str, content: Any, words: str) -> None:
    (path,) = folder.glob(f"{name}.*")
    path.unlink()
    put(path, name.partition("_")[0], content)
    with pytest.raises(DataError, match=words):
        read_tsn(folder)


def test_of_a_cue_over_time_the_mean_is_taken_and_that_is_said(folder: Path) -> None:
    (path,) = folder.glob("stim.*")
    path.unlink()
    put(path, "stim", np.stack([np.arange(12.0).reshape(3, 4), np.zeros((3, 4))], axis=-1))
    found = read_tsn(folder)
    np.testing.assert_array_equal(found["stimulus"], [[4, 5, 6, 7], [0, 0, 0, 0]])
    assert f"time course of the cues: their means over it ({path.name})" in found.attrs["not_carried_over"]


def test_targets_may_have_other_rows_than_the_last_test_has(folder: Path) -> None:
    kind = next(folder.iterdir()).suffix
    put(folder / f"xtotal_200{kind}", "xtotal", np.arange(12.0).reshape(3, 4))
    found = read_tsn(folder)
    assert (found["target"].sizes["sample"], found["total_input"].sizes["test_sample"]) == (5, 3)


def test_a_synapse_from_a_neuron_that_is_not_there_is_refused(folder: Path) -> None:
    (path,) = folder.glob("wpIndexIn.*")
    path.unlink()
    put(path, "wpIndexIn", [[2, 5], [], [1, 2], [3]] if path.suffix == ".jld2" else np.array(INDEX_OF_FIVE))
    with pytest.raises(DataError, match="names neuron 5, but has 4 rows"):
        read_tsn(folder)


def test_a_missing_or_damaged_file_is_named(folder: Path) -> None:
    (path,) = folder.glob("wpWeightIn.*")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"{path.name}: cannot be read"):
        read_tsn(folder)
    path.unlink()
    with pytest.raises(DataError, match="has no wpWeightIn.jld or wpWeightIn.jld2"):
        read_tsn(folder)
    with pytest.raises(DataError, match="is no folder"):
        read_tsn(folder / "nothing")


def test_the_network_of_the_tutorial_follows_its_targets_as_published() -> None:
    data = ROOT.parent / "shared" / "data"
    if not (data / "tsn_tutorial" / "wpIndexIn.jld").exists():
        pytest.skip("the network of the tutorial is not in ../shared/data beside the checkout")
    found = read_tsn(data / "tsn_tutorial")
    matched = found["matched_unit"].values
    assert (matched >= 0).sum() == 1824
    # 40 plastic synapses from other neurons of the network to each trained neuron, none to others
    np.testing.assert_array_equal(np.diff(found["row_start"]), np.where(matched >= 0, 40, 0))
    with h5py.File(data / "alm_two_conditions.nc") as file:
        right = list(file["condition"].asstr()).index("lick_right")
        target = file["total_input"][right, :, :100].astype(float)
    ours = found["total_input"].values[matched >= 0]
    theirs = target[matched[matched >= 0]]
    correlations = [np.corrcoef(*pair)[0, 1] for pair in zip(ours, theirs, strict=True)]
    assert np.mean(correlations) == pytest.approx(0.194427, abs=1e-6)
