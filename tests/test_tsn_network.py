"""A network of TrainSpikingNet.jl's layout, made up, runs here from its own weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike import live_network
from hpcspike.cli import main
from hpcspike.errors import DataError
from hpcspike.exchange import network_of_tsn, weights_csr
from tests.conftest import ROOT
from tests.test_tsn_folder import put

N, NE, L, TAU = 20, 10, 3, 10.0
PARAMETERS: dict[str, float | int] = {
    "Ncells": N, "Ne": NE, "taue": 10, "taui": 10, "tauedecay": 3.0, "tauidecay": 5.0, "taudecay_plastic": 50.0,
    "dt": 0.1, "threshe": 1.0, "threshi": 1.0, "vre": 0.0, "refrac": 0.0, "stim_on": 20.0, "stim_off": 30.0,
    "train_time": 130.0, "learn_every": 10.0, "muemin": 1.5, "muemax": 1.5, "muimin": 1.2, "muimax": 1.2, "K": 2,
    "Lexc": L, "penlambda": 0.8, "Lffwd": 0,
}  # fmt: skip


def record(**changes: float | int) -> np.ndarray:
    values = {**PARAMETERS, **changes}
    return np.array(tuple(values.values()), dtype=[(f"{name}_", np.array(one).dtype) for name, one in values.items()])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fixed synapses from every neuron to four others, plastic ones onto the first six excitatory neurons."""
    rng, root = np.random.default_rng(1), tmp_path / "made_up"
    root.mkdir()
    put(root / "param.jld2", "p", record())
    onto = [np.sort(rng.choice(np.delete(np.arange(1, N + 1), i), 4, replace=False)) for i in range(N)]
    put(root / "w0Index.jld2", "w0Index", np.stack(onto, axis=1))
    size = np.where(np.arange(N) < NE, 2.0, -2.0)
    put(root / "w0Weights.jld2", "w0Weights", np.tile(size, (4, 1)) * rng.uniform(0.5, 1.5, (4, N)))
    index = np.zeros((N, L))
    weight = np.zeros((N, L))
    for post in range(6):
        index[post] = np.sort(rng.choice(np.delete(np.arange(1, N + 1), post), L, replace=False))
        weight[post] = rng.normal(0.0, 5.0, L)
    put(root / "wpIndexIn.jld2", "wpIndexIn", index)
    put(root / "wpWeightIn.jld2", "wpWeightIn", weight)
    put(root / "almOrd.jld2", "almOrd", np.array([3, 1, 2, 6, 5, 4]))
    put(root / "matchedCells.jld2", "matchedCells", np.array([2, 1, 4, 3, 6, 5]))
    put(root / "xtarg.jld2", "xtarg", [rng.normal(2.0, 1.0, (11, 6)) for _ in range(2)])
    put(root / "stim.jld2", "stim", [rng.uniform(-0.5, 0.5, N) for _ in range(2)])
    return root


def replace(folder: Path, name: str, content: Any, array: str | None = None) -> None:
    (folder / f"{name}.jld2").unlink()
    put(folder / f"{name}.jld2", array or name, content)


def run_as_there(folder: Path, v: np.ndarray, target_set: int) -> list[tuple[int, int]]:
    """Spikes (step, neuron) of a trial, in the order of a step of their programs; charges, rates per ms."""
    import h5py

    def read(name: str) -> np.ndarray:
        with h5py.File(folder / f"{name}.jld2") as file:
            return np.asarray(file[name][()]).T

    dt, p = 0.1, PARAMETERS
    with h5py.File(folder / "stim.jld2") as file:
        cue = file[file["stim"][target_set]][()]
    plastic, fixed = np.zeros((N, N)), np.zeros((N, N))
    for post, (sources, weights) in enumerate(zip(read("wpIndexIn"), read("wpWeightIn"), strict=True)):
        for source, weight in zip(sources.astype(int), weights, strict=True):
            if source:
                plastic[post, source - 1] = weight
    for pre, (ends, weights) in enumerate(zip(read("w0Index").T, read("w0Weights").T, strict=True)):
        fixed[ends.astype(int) - 1, pre] = weights
    taus = [p["tauedecay"], p["tauidecay"], p["taudecay_plastic"]]
    excitatory = np.arange(N) < NE
    matrices = [np.where(excitatory, fixed, 0.0), np.where(excitatory, 0.0, fixed), plastic]
    x, spiked, found = np.zeros((3, N)), np.zeros(N), []
    constant = np.where(excitatory, p["muemin"], p["muimin"])
    for step in range(1300):
        x = np.stack([one + (-dt * one + w @ spiked) / tau for one, w, tau in zip(x, matrices, taus, strict=True)])
        v = v + dt / TAU * (constant + (cue if 200 <= step < 300 else 0.0) + x.sum(axis=0) - v)
        spiked = (v > 1.0).astype(float)
        v = np.where(spiked > 0, 0.0, v)
        found += [(step, int(neuron)) for neuron in np.flatnonzero(spiked)]
    return found


def test_it_runs_as_the_equations_of_their_program_say(folder: Path) -> None:
    network = network_of_tsn(folder, includes_input=True, test_trials=2)
    for target_set, trial in ((0, 0), (1, 1)):
        found = run_as_there(folder, network["initial_state"][trial, 0].values, target_set)
        here = (network["spike_trial"].values == trial) & (network["spike_set"].values == target_set)
        steps = np.rint(network["spike_time"].values[here] / 0.1).astype(int) - 1 + 300
        ours = sorted(zip(steps.tolist(), network["spike_neuron"].values[here].tolist(), strict=True))
        assert [one for one in found if one[0] >= 200] == ours
        assert len(ours) > 50


def test_weights_targets_and_cues_are_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    network = network_of_tsn(folder, includes_input=True)
    assert network.sizes["trial"] == 3
    np.testing.assert_array_equal(np.diff(network["row_start"]), [L] * 6 + [0] * (N - 6))
    assert network["target"].dims == ("target_set", "neuron", "time")
    assert network.sizes["time"] == 10
    np.testing.assert_array_equal(np.isnan(network["target"][0, :, 0]), np.arange(N) >= 6)
    without = network_of_tsn(folder, includes_input=False)
    np.testing.assert_allclose(
        without["target"] - network["target"],
        np.where(np.arange(N) < 6, 1.5, np.nan)[None, :, None] + 0 * network["target"],
    )
    assert json.loads(network.attrs["experiment"])["synapse"]["static_tau_inhibitory_ms"] == 5.0
    live = live_network(network)
    fixed = live.fixed_weights  # type: ignore[attr-defined]
    assert int((fixed != 0).sum()) == 4 * N
    np.testing.assert_array_equal(live.weights, weights_csr(network).toarray())  # type: ignore[attr-defined]
    longer = live.train(2)
    longer.save(tmp_path / "longer.nc")
    assert live_network(tmp_path / "longer.nc").test(1).sizes["neuron"] == N


def test_the_command_writes_it_and_lists_what_is_not_carried_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder / "ffwdRate.jld2", "ffwdRate", np.zeros((3, 2)))
    out = tmp_path / "net.zarr"
    assert main(["import", str(folder), "--out", str(out), "--targets", "total"]) == 0
    said = capsys.readouterr().out
    assert f"{out}: 20 lif neurons, 18 plastic and 80 fixed synapses, 2 target sets, 3 test trials" in said
    for words in (
        "rates of the feed-forward population: in ffwdRate.jld2, not read",
        "targets after the trained window: 1 row(s)",
        "matrices P: training that goes on begins with new ones",
    ):
        assert f"not carried over: {words}\n" in said
    assert "fixed synapses:" not in said
    assert main(["test", str(out), "--trials", "3"]) == 0
    assert "equal to the stored trials bit for bit (3 trials)" in capsys.readouterr().out
    assert main(["import", str(folder), "--out", str(out), "--targets", "total"]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"taui": 20}, "taue = 10 and taui = 20"),
        ({"muemax": 2.0}, "muemin = 1.5 and muemax = 2"),
        ({"Ncells": 21}, "Ncells = 21 in p, but wpIndexIn has 20 rows"),
        ({"train_time": 150.0}, "targets have 11 samples, but from stim_off = 30 to train_time = 150 ms there are 12"),
    ],
)
def test_parameters_that_cannot_be_said_are_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    replace(folder, "param", record(**changes), "p")
    with pytest.raises(DataError, match=words):
        network_of_tsn(folder, includes_input=True)


def test_penalties_are_carried_over_or_named(folder: Path) -> None:
    without = json.loads(network_of_tsn(folder, includes_input=True).attrs["experiment"])["training"]
    assert without["ridge"] == pytest.approx(80.0)
    assert without.get("row_sum_penalty", 0.0) == 0.0
    replace(folder, "param", record(penmu=8.0, penlamFF=1.0, Lffwd=30), "p")
    network = network_of_tsn(folder, includes_input=True)
    assert json.loads(network.attrs["experiment"])["training"]["row_sum_penalty"] == pytest.approx(800.0)
    assert "feed-forward population: penlamFF = 1" in network.attrs["not_carried_over"]


def test_whether_targets_hold_the_input_must_be_said(folder: Path) -> None:
    with pytest.raises(DataError, match="say whether the targets hold it"):
        network_of_tsn(folder)


def test_all_missing_parts_are_named_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("w0Index", "xtarg", "stim"):
        (folder / f"{name}.jld2").unlink()
    values = record()
    replace(folder, "param", values[[name for name in values.dtype.names if name != "dt_"]].copy(), "p")
    assert main(["import", str(folder), "--out", "net.zarr", "--targets", "total"]) == 2
    said = capsys.readouterr().err
    assert "step (ms) (dt in p); fixed synapses (w0Index); targets (utarg or xtarg); cues (stim, one num" in said
    assert "; nothing was carried over" in said
    assert not Path("net.zarr").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w0Index", np.zeros((4, 3)), "w0Index and w0Weights must have the same size"),
        ("w0Index", np.full((4, N), 21.0), "names neuron 21 of 20"),
        ("w0Index", np.zeros(4), "must be \\(output, neuron\\)"),
    ],
)
def test_fixed_synapses_that_do_not_fit_are_refused(folder: Path, name: str, content: np.ndarray, words: str) -> None:
    replace(folder, name, content)
    with pytest.raises(DataError, match=words):
        network_of_tsn(folder, includes_input=True)


def test_the_network_of_the_tutorial_lacks_what_is_said() -> None:
    data = ROOT.parent / "shared" / "data" / "tsn_tutorial"
    if not (data / "wpIndexIn.jld").exists():
        pytest.skip("the network of the tutorial is not in ../shared/data beside the checkout")
    with pytest.raises(
        DataError, match="fixed synapses \\(w0Index and w0Weights\\); targets \\(utarg or xtarg\\); noth"
    ):
        network_of_tsn(data)


def test_an_import_is_a_dataset_like_any_other(folder: Path) -> None:
    network = network_of_tsn(folder, includes_input=True)
    assert isinstance(network, xr.Dataset)
    assert network.attrs["source"] == "TrainSpikingNet.jl, folder made_up"
    assert "correlation" in network
