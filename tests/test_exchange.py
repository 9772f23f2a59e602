"""A trained network in the formats of others and back: every spike and every weight."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import DataError, ResourceError
from hpcspike.exchange import to_neo, weight_matrix, weights_csr, write_nwb
from hpcspike.model.recordings import read_recording
from hpcspike.spec.targets import RecordedTargets
from tests.small_networks import experiment

CUE_MS, WINDOW_MS = 20.0, 200.0


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    targets = {"kind": "sine", "duration_ms": WINDOW_MS, "n_sets": 2}
    return hpcspike.run(experiment(targets=targets))


@pytest.fixture(scope="module")
def file(network: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pynwb")
    path = tmp_path_factory.mktemp("nwb") / "network.nwb"
    write_nwb(network, path)
    return path


def spikes(network: xr.Dataset, target_set: int, trial: int, neuron: int) -> np.ndarray:
    """Spike times in ms from the end of the cue."""
    columns = (network[f"spike_{name}"].values for name in ("set", "trial", "neuron"))
    here = np.all([column == k for column, k in zip(columns, (target_set, trial, neuron), strict=True)], axis=0)
    return np.sort(network["spike_time"].values[here])


def every_train(network: xr.Dataset) -> list[tuple[int, int, int]]:
    sizes = (network.sizes[name] for name in ("target_set", "trial", "neuron"))
    return list(np.ndindex(*sizes))


# ---- Neo -------------------------------------------------------------------------------------------------------------


def test_every_spike_is_in_the_neo_block_with_its_unit(network: xr.Dataset) -> None:
    pytest.importorskip("neo")
    block = to_neo(network)
    assert [segment.annotations for segment in block.segments] == [
        {"target_set": s, "trial": k} for s in range(2) for k in range(2)
    ]
    for s, k, n in every_train(network):
        train = block.segments[2 * s + k].spiketrains[n]
        assert train.annotations == {"target_set": s, "trial": k, "neuron": n}
        assert str(train.dimensionality) == "ms"
        np.testing.assert_array_equal(train.magnitude, spikes(network, s, k, n))
        assert (float(train.t_start), float(train.t_stop)) == (-CUE_MS, WINDOW_MS)
        assert len(train) == float(train.rescale("s").size)
    assert sum(len(train) for segment in block.segments for train in segment.spiketrains) == network.sizes["spike"]
    assert [len(group.spiketrains) for group in block.groups] == [4] * 20
    assert block.groups[3].spiketrains[1].annotations["trial"] == 1
    (periods,) = block.segments[0].epochs
    assert (periods.labels.tolist(), periods.durations.magnitude.tolist()) == (["cue", "window"], [CUE_MS, WINDOW_MS])


def test_only_some_neurons_can_be_taken(network: xr.Dataset) -> None:
    pytest.importorskip("neo")
    block = to_neo(network, neurons=[7, 3])
    assert [train.annotations["neuron"] for train in block.segments[0].spiketrains] == [7, 3]
    with pytest.raises(DataError, match="neurons = 20: the network has the neurons 0 to 19"):
        to_neo(network, neurons=[3, 20])


def test_elephant_takes_the_spike_trains(network: xr.Dataset) -> None:
    pytest.importorskip("neo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistics = pytest.importorskip("elephant.statistics")
        train = to_neo(network).segments[0].spiketrains[3]
        rate = statistics.mean_firing_rate(train, t_start=0 * train.units, t_stop=train.t_stop)
    times = spikes(network, 0, 0, 3)
    assert float(rate.rescale("Hz")) == pytest.approx((times > 0).sum() / WINDOW_MS * 1000.0)


# ---- NWB -------------------------------------------------------------------------------------------------------------


def test_the_nwb_file_is_valid_and_holds_units_and_trials(network: xr.Dataset, file: Path) -> None:
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(pynwb.validate(path=str(file))) == []
        with pynwb.NWBHDF5IO(str(file), mode="r") as stream:
            content = stream.read()
            assert content.identifier == network.attrs["experiment_hash"]
            assert content.notes == network.attrs["experiment"]
            trials = content.trials.to_dataframe()
            units = content.units.to_dataframe()
    assert trials[["target_set", "test_trial"]].values.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_allclose(trials["window_time"] - trials["start_time"], CUE_MS / 1000.0)
    np.testing.assert_allclose(trials["stop_time"] - trials["window_time"], WINDOW_MS / 1000.0)
    assert (trials["start_time"].values[1:] > trials["stop_time"].values[:-1]).all()
    np.testing.assert_allclose(units["correlation"], network["neuron_correlation"].mean("target_set"))
    for s, k, n in every_train(network):
        trial = trials.iloc[2 * s + k]
        times = units["spike_times"][n]
        inside = times[(times >= trial.start_time) & (times <= trial.stop_time + 1e-9)]
        np.testing.assert_allclose((inside - trial.window_time) * 1000.0, spikes(network, s, k, n), atol=1e-6)
    assert sum(len(times) for times in units["spike_times"]) == network.sizes["spike"]
    np.testing.assert_array_equal(units["obs_intervals"][4], [[0.0, trials["stop_time"].values[-1]]])


def test_a_file_that_cannot_be_written_to_its_end_leaves_the_one_before(
    network: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pynwb = pytest.importorskip("pynwb")
    (tmp_path / "net.nwb").write_text("the one before")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", full)
    with pytest.raises(ResourceError, match=r"net.nwb: cannot be written \(No space left on device\)"):
        write_nwb(network, tmp_path / "net.nwb")
    assert [path.name for path in tmp_path.iterdir()] == ["net.nwb"]
    assert (tmp_path / "net.nwb").read_text() == "the one before"


def test_spikes_come_back_as_targets_of_another_network(network: xr.Dataset, file: Path) -> None:
    asked = {
        "kind": "recorded", "path": str(file), "align": "window_time", "window_ms": [-20, 200], "bin_ms": 20.0,
        "n_units": None, "min_rate_hz": 0.0, "condition": {"target_set": 1},
    }  # fmt: skip
    recording = read_recording(RecordedTargets.model_validate(asked), tau_ms=10.0)
    edges = np.arange(-20.0, 201.0, 20.0)
    kept = [int(name) for name in recording.unit_ids]
    assert len(kept) > 10
    for row, n in enumerate(kept):
        times = np.concatenate([spikes(network, 1, k, n) for k in range(2)])
        counts = [((times >= low) & (times < high)).sum() for low, high in zip(edges[:-1], edges[1:], strict=True)]
        np.testing.assert_allclose(recording.values[row], np.array(counts) / 2 / 20.0 * 10.0, atol=1e-12)


def test_neo_reads_the_nwb_file(network: xr.Dataset, file: Path) -> None:
    neo_io = pytest.importorskip("neo.io")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = neo_io.NWBIO(str(file), mode="r").read_all_blocks()[0]
    counts = [len(train) for segment in block.segments for train in segment.spiketrains]
    assert sum(counts) == network.sizes["spike"]


# ---- what cannot be exported -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"measures": {"diverged_drive": 1e-6}}, "it has no 'spike_time'"),
        ({"neuron": {"model": "tanh"}}, "units of neuron.model = tanh do not spike"),
    ],
)
def test_networks_without_spikes_are_refused(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    silent = hpcspike.run(experiment(**sections))
    with pytest.raises(DataError, match=message):
        to_neo(silent)
    with pytest.raises(DataError, match=message):
        write_nwb(silent, tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("package", "extra"), [("neo", "neo"), ("pynwb", "nwb")])
def test_without_the_package_its_extra_is_named(
    network: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ResourceError, match=rf"pip install 'hpcspike\[{extra}\]'"):
        to_neo(network) if package == "neo" else write_nwb(network, tmp_path / "a.nwb")


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("initial", [False, True])
def test_rows_of_the_weights_are_postsynaptic_and_nothing_is_lost(network: xr.Dataset, initial: bool) -> None:
    matrix = weights_csr(network, initial=initial)
    assert matrix.shape == (20, 20)
    stored = network["weight_initial" if initial else "weight"].values
    starts = network["row_start"].values
    for post in range(20):
        own = slice(starts[post], starts[post + 1])
        expected = dict(zip(network["presynaptic"].values[own].tolist(), stored[own].tolist(), strict=True))
        row = matrix[[post], :].tocoo()
        assert dict(zip(row.col.tolist(), row.data.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(matrix.data, stored)
    np.testing.assert_array_equal(matrix.indices, network["presynaptic"].values)
    np.testing.assert_array_equal(matrix.indptr, starts)


def test_the_labelled_matrix_says_which_side_is_which(network: xr.Dataset) -> None:
    matrix = weight_matrix(network)
    assert matrix.dims == ("postsynaptic", "presynaptic")
    post = 5
    pre = int(network["presynaptic"].values[network["row_start"].values[post]])
    expected = network["weight"].values[network["row_start"].values[post]]
    assert float(matrix.sel(postsynaptic=post, presynaptic=pre)) == expected
    assert set(matrix.attrs) == {"units", "long_name"}
    np.testing.assert_array_equal(weights_csr(network).toarray(), matrix.values)


def test_fixed_weights_are_made_again_from_the_experiment() -> None:
    from hpcspike.runs.point import fit_and_evaluate

    connectivity = {"kind": "balanced", "static_in_degree": 4, "static_ie": 0.5, "static_ei": -0.5}
    connectivity |= {"plastic_in_degree": 3, "plastic_excitatory": 0.1, "plastic_inhibitory": -0.1}
    asked = experiment(connectivity=connectivity)
    trained = fit_and_evaluate(asked)[0].trained
    dataset = hpcspike.run(asked)
    both, plastic = weights_csr(dataset, fixed=True), weights_csr(dataset)
    assert both.nnz > plastic.nnz
    np.testing.assert_array_equal(both.toarray(), trained.weights.toarray())
    np.testing.assert_array_equal(weight_matrix(dataset, fixed=True).values, trained.weights.toarray())
    with pytest.raises(DataError, match="does not carry its experiment"):
        weights_csr(dataset.drop_attrs(), fixed=True)


def test_weights_of_something_else_or_too_large_are_refused(network: xr.Dataset) -> None:
    with pytest.raises(DataError, match="no 'weight'"):
        weights_csr(network.drop_vars("weight"))
    with pytest.raises(ResourceError, match=r"the weights of 10,000,000 neurons .* use weights_csr"):
        weight_matrix(xr.Dataset({"x": ("neuron", np.zeros(10**7, dtype=np.int8))}))


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_exports_a_network(network: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pynwb")
    network.to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "new" / "net.nwb")]) == 0
    assert f"{network.sizes['spike']:,} spikes of 20 neurons in 4 trials" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.nwb"]
    assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "net.zip")]) == 2
    assert "must end in .nwb (spikes and trials)" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nothing.zarr"), str(tmp_path / "net.nwb")]) == 2
    assert "spikes are those of one network: see 'hpcspike show'" in capsys.readouterr().err
