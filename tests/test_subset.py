"""A trained subset of a balanced network: who follows which unit, what its synapses are, and what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import hpcspike
from hpcspike.analysis.unit_table import recorded_units
from hpcspike.correlation import pearson
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.engine.distribute import find_subset
from hpcspike.engine.trial import copy_of, smoothed_drive
from hpcspike.errors import HpcspikeError, Interrupted
from hpcspike.figures.available import figures_for
from hpcspike.measures.verdict import remarks_of, verdict, verdict_of
from hpcspike.model.build import build_problem, recording_of
from hpcspike.model.ricciardi import drive_of_rates
from hpcspike.model.subset import matched_by_rate
from hpcspike.runs.facts import facts_of
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load
from hpcspike.spec.validation import validate_experiment
from hpcspike.sweep.cost import predict
from tests.mpi_launch import ROOT, launch
from tests.test_feed_forward import fed

CONFIG = ROOT / "cluster" / "config" / "kim2023.yaml"


def smoke(**changes: Any) -> Experiment:
    return load(CONFIG, size="smoke").changed({"training.n_loops": 1, **changes})


@pytest.fixture(scope="module")
def dataset() -> Any:
    return hpcspike.run(load(CONFIG, size="smoke"))


def test_units_take_the_nearest_neuron_in_descending_order() -> None:
    order, neuron = matched_by_rate(np.array([9.0, 1.0, 5.0, 5.0]), np.array([5.0, 8.0, 5.0]))
    assert order.tolist() == [1, 0, 2]
    assert neuron.tolist() == [0, 2, 3]


def test_neurons_and_their_units_have_like_rates(dataset: Any) -> None:
    unit, rate = dataset["matched_unit"].values, dataset["spontaneous_rate"].values
    trained = np.flatnonzero(unit >= 0)
    assert sorted(unit[trained].tolist()) == list(range(40))
    assert trained.max() < 150
    assert np.isnan(rate[150:]).all()
    recording = recording_of(smoke())
    assert recording is not None
    wanted = np.mean([one.mean_rates_hz for one in recording.conditions], axis=0)
    order, neurons = matched_by_rate(rate[:150], wanted)
    np.testing.assert_array_equal(unit[neurons], order)
    assert np.corrcoef(rate[trained], wanted[unit[trained]])[0, 1] > 0.8


def test_others_have_neither_plastic_synapses_nor_targets(dataset: Any) -> None:
    trained, degree = dataset["matched_unit"].values >= 0, np.diff(dataset["row_start"].values)
    assert (degree[trained] == 10).all()
    assert not degree[~trained].any()
    sources = dataset["presynaptic"].values.reshape(40, 10)
    assert np.isin(sources[:, :5], np.flatnonzero(trained)).all()
    assert (sources[:, 5:] >= 150).all()
    assert not (sources == np.flatnonzero(trained)[:, None]).any()
    assert all(len(set(row)) == 10 for row in sources.tolist())
    assert np.isnan(dataset["target"].values[:, ~trained]).all()
    assert np.isfinite(dataset["target"].values[:, trained]).all()
    assert np.isfinite(dataset["neuron_rate"].values).all()


def test_targets_are_the_inputs_of_the_rates_less_the_external_input() -> None:
    experiment = smoke()
    problem, recording = hpcspike.build_problem(experiment), recording_of(experiment)
    assert recording is not None
    assert problem.subset is not None
    for target_set, condition in enumerate(recording.conditions):
        settings = experiment.targets.input_of_rate  # type: ignore[union-attr]
        total = drive_of_rates(100.0 * condition.values, settings, experiment.neuron, path="x")  # type: ignore[arg-type]
        times = 20.0 * np.arange(1, 11)
        for unit, neuron in zip(problem.subset.unit[:5], problem.subset.neuron[:5], strict=True):
            expected = np.interp(times, condition.times_ms, total[unit]) - 1.5
            np.testing.assert_allclose(problem.targets[target_set, neuron], expected, atol=1e-12)


def test_targets_are_the_inputs_of_the_rates_where_all_are_trained_too() -> None:
    """In any block; the constant input of neurons is taken off."""
    config = ROOT / "cluster" / "config" / "tsn_neuropixels.yaml"
    experiment = load(config, size="smoke").changed({"connectivity.input_excitatory": 0.25})
    recording = recording_of(experiment)
    assert recording is not None
    settings = experiment.targets.input_of_rate
    total = drive_of_rates(100.0 * recording.values, settings, experiment.neuron, path="x")
    times = 20.0 * np.arange(1, 11)
    whole, part = build_problem(experiment), build_problem(experiment, block=(15, 30))
    for unit in range(40):
        expected = np.interp(times, recording.times_ms, total[unit]) - (0.25 if unit < 20 else 0.0)
        np.testing.assert_allclose(whole.targets[0, unit], expected, atol=1e-12)
    np.testing.assert_array_equal(part.targets, whole.targets[:, 15:30])


def test_the_curve_is_of_the_trained_neurons_alone() -> None:
    experiment = smoke(**{"measures.smoothing_ms": 0.0, "measures.test_every_loops": None, "training.dtype": "float64"})
    problem, seen = hpcspike.build_problem(experiment), []

    def keep(trainer: Any) -> None:
        if trainer.loop == 0:
            seen.append(trainer.simulation.drive.copy())

    trained = hpcspike.train(problem, on_update=keep)
    correlations = pearson(np.array(seen).T, problem.targets[0])[problem.has_target[0]]
    assert len(correlations) == 40
    assert trained.curve["correlation"][0] == pytest.approx(correlations.mean(), abs=1e-12)


def test_published_correlation_is_of_a_moving_mean(dataset: Any) -> None:
    problem = hpcspike.build_problem(smoke())
    trained = hpcspike.train(problem)
    found = smoothed_drive(copy_of(trained.simulation, World()), "training_test_phase", 0, 1, 100.0)
    fine = hpcspike.build_problem(smoke())
    fine.grid_ms, fine.targets = 1.0, np.repeat(fine.targets, 20, axis=2)
    simulation = copy_of(trained.simulation, World())
    simulation.problem = fine
    from hpcspike.engine.trial import run_trial

    drive, filtered = np.empty((2, 300, 200))
    run_trial(simulation, "training_test_phase", 0, 1, drive, filtered)
    time = np.arange(1, 201)
    for m in range(10):
        near = (time >= 20 * (m + 1) - 50) & (time < 20 * (m + 1) + 50)
        np.testing.assert_allclose(found[:, m], drive[:, near].mean(axis=1), atol=1e-5)
    rows = problem.has_target[1]
    value = pearson(found, problem.targets[1])[rows].mean()
    assert trained.curve["test_correlation_by_set"][1, 1] == pytest.approx(value, abs=1e-12)
    by_set, mean = dataset["curve_test_correlation_by_set"].values, dataset["curve_test_correlation"].values
    assert by_set.shape == (6, 2)
    np.testing.assert_allclose(by_set.mean(axis=1), mean, atol=1e-12)


def test_generated_targets_may_be_those_of_a_subset() -> None:
    settings = fed(training={"subset": {"match": "order", "n_trained": 9, "sources": "all"}, "n_loops": 1})
    problem = hpcspike.build_problem(settings)
    assert problem.in_degree.tolist() == [6 + 12] * 9 + [0] * 51
    assert problem.has_target[0].tolist() == [True] * 9 + [False] * 51
    assert (problem.plastic.presynaptic.reshape(9, -1)[:, :3] >= 9).any()
    trained = hpcspike.train(problem)
    assert np.isfinite(trained.curve["correlation"]).all()


def test_a_list_says_who_follows_whom() -> None:
    neurons = [int(i) for i in range(100, 60, -1)]
    found = find_subset(smoke(**{"training.subset": {"match": neurons}}), World())
    assert found is not None
    assert found.neuron.tolist() == neurons
    assert found.unit.tolist() == list(range(40))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.subset": {"match": [1, 2, 3]}}, "names 3 neurons for 40 units"),
        ({"training.subset": {"match": [1] * 40}}, "names neuron 1 twice: must be 40 different neurons"),
        (
            {"training.subset": {"match": [*range(38), 150, 2]}},
            "names neuron 150, which is not excitatory: .* 0 to 149",
        ),
        ({"targets.n_units": 151}, "151 units .* 150 of network.n_neurons = 300 are excitatory; choose at most 150"),
        ({"connectivity.plastic_in_degree": 45}, "of 40 trained neurons at most 39 others"),
        ({"training.subset": {"n_trained": 3}}, "recorded units say how many"),
        ({"training.variable": "rate"}, "training.variable = rate"),
        ({"targets.input_of_rate": None}, "train the quantity that the file holds"),
        ({"targets.includes_input": True}, "whose drives are total inputs"),
        ({"training.keep": "best"}, "keeps one set of weights"),
        ({"feed_forward.mean_hz": 50000.0}, "feed_forward.mean_hz = 50000 Hz: must be at most 10000 Hz"),
        ({"measures.test_every_loops": None}, "there are no tests while training"),
        ({"connectivity": {"kind": "zero"}}, "balanced|no fixed synapses"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HpcspikeError, match=message):
        hpcspike.build_problem(smoke(**changes))


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ({"n_trained": 31}, "n_trained = 31: .* 30 of network.n_neurons = 60 are excitatory; choose at most 30"),
        ({"n_trained": 61}, "choose at most 30"),
        ({"n_trained": 3}, "of 3 trained neurons at most 2 others"),
    ],
)
def test_drawn_targets_are_for_excitatory_neurons_alone(subset: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fed(training={"subset": {"match": "order", **subset}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connectivity.plastic_in_degree": 40}, "of 40 trained neurons at most 39 others"),
        ({"training.subset": {"match": [3, 1, 3]}}, "names 3 neurons for 40 units"),
        ({"targets.input_of_rate": {"lowest_rate_hz": 2e4}}, "lowest_rate_hz = 20000 Hz is above all rates"),
        ({"targets.input_of_rate": {"sigma": 0.003}}, "input_of_rate.sigma = 0.003: .* must be at least 0.02"),
    ],
)
def test_what_a_subset_forbids_is_said_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HpcspikeError, match=message):
        facts_of(smoke(**changes))


def test_recorded_drives_say_whether_they_hold_the_input(tmp_path: Path) -> None:
    np.save(tmp_path / "drives.npy", np.random.default_rng(1).standard_normal((40, 12)))
    document = smoke().model_dump(mode="json")
    kept = ("kind", "n_units", "duration_ms", "grid_ms")
    targets = {key: document["targets"][key] for key in kept} | {
        "path": str(tmp_path / "drives.npy"), "holds": "drive", "sample_ms": 20.0, "layout": "unit_by_time",
    }  # fmt: skip
    document |= {"targets": targets}
    document["training"]["subset"]["match"] = "order"
    with pytest.raises(HpcspikeError, match="includes_input is missing"):
        validate_experiment(document)
    total, alone = (
        hpcspike.build_problem(validate_experiment(document | {"targets": targets | {"includes_input": includes}}))
        for includes in (True, False)
    )
    np.testing.assert_allclose(alone.targets[:, :40] - total.targets[:, :40], 1.5, atol=1e-12)


def test_a_subset_is_priced_as_what_it_trains() -> None:
    small, large = (predict(smoke(**{"targets.n_units": n})) for n in (10, 100))
    assert small.seconds < large.seconds
    assert small.memory_mib < large.memory_mib


@pytest.mark.mpi
def test_ranks_give_the_same_files(tmp_path: Path) -> None:
    short = {"targets.duration_ms": 40.0, "training.subset": {"spontaneous_run_ms": 100.0}, "stimulus.duration_ms": 5.0}
    free = {"protocol.free_run_ms": 5.0, "protocol.test_free_run_ms": 5.0, "measures.smoothing_ms": 20.0}
    settings = smoke(**short, **free)
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    delays = {"synapse.delay_ms": 0.7, "synapse.static_delay_ms": 0.4, "synapse.feed_forward_delay_ms": 1.0}
    keys = " ".join(f"--set {key}={value}" for key, value in delays.items())
    lines = ("train short.yaml --out plain.zarr", f"train short.yaml {keys} --threads 2 --out delayed.zarr")
    done = launch(3, ROOT / "tests" / "mpi_train.py", 2000, *lines, folder=tmp_path, timeout=200.0)
    assert done.code == 0, done
    spikes = []
    for name, one in (("plain", settings), ("delayed", settings.changed(delays))):
        expected, found = hpcspike.run(one), hpcspike.open_network(tmp_path / f"{name}.zarr").load()
        assert found.keys() == expected.keys()
        for variable, values in expected.items():
            if variable != "curve_seconds":
                np.testing.assert_array_equal(found[variable], values, err_msg=str(variable))
        spikes.append(expected["spike_neuron"].values.tolist())
    assert spikes[0] != spikes[1]


def test_a_stored_network_runs_again_with_the_same_bits(dataset: Any) -> None:
    tested = hpcspike.live_network(dataset).test(trials=1)
    np.testing.assert_array_equal(tested["drive"].values, dataset["drive"].values[:, :1])
    assert (dataset["feed_forward_weight"].values != 0.0).any(axis=1).all()


def test_engines_agree_over_loops() -> None:
    """P(0) of groups with penalties, both conditions, three loops: blocked against the textbook."""
    settings = smoke(**{"training.n_loops": 3, "training.dtype": "float64"})
    problem = hpcspike.build_problem(settings)
    found = [
        hpcspike.train(problem, settings.training.changed(algorithm=algorithm)).simulation
        for algorithm in ("blocked", "textbook")
    ]
    for name in ("weight", "weight_sets"):
        blocked, textbook = (getattr(simulation, name) for simulation in found)
        assert np.abs(blocked - textbook).max() <= 1e-10 * np.abs(textbook).max()
        assert np.abs(blocked).max() > 0.0


def test_a_price_on_row_sums_keeps_them() -> None:
    changes = []
    for price in (800.0, 0.0):
        settings = smoke(**{"training.row_sum_penalty": price, "connectivity.plastic_in_degree": 15})
        problem = hpcspike.build_problem(settings)
        trained = hpcspike.train(problem)
        recurrent = problem.plastic.presynaptic < 300
        both = (trained.simulation.weight, problem.plastic.weight)
        weight, before = (w[recurrent].reshape(40, 2, 15).sum(axis=2) for w in both)
        changes.append(np.abs(weight / before - 1.0).mean())
    assert changes[0] < 0.01
    assert changes[1] > 10.0 * changes[0]


def test_training_of_a_subset_goes_on_bit_for_bit(tmp_path: Path) -> None:
    problem = hpcspike.build_problem(smoke())
    whole = hpcspike.train(problem)
    for steps in (1700, 2345, 1850):
        with pytest.raises(Interrupted):
            hpcspike.train(problem, checkpoints=Checkpoints(tmp_path, stop_after_steps=steps))
    cut = hpcspike.train(problem, checkpoints=Checkpoints(tmp_path))
    np.testing.assert_array_equal(cut.simulation.weight, whole.simulation.weight)
    np.testing.assert_array_equal(cut.simulation.weight_sets, whole.simulation.weight_sets)
    for name in ("correlation", "test_correlation", "test_correlation_by_set", "weight_change"):
        np.testing.assert_array_equal(cut.curve[name], whole.curve[name])


def test_a_verdict_is_over_the_trained_neurons_and_names_the_rates_of_the_others(dataset: Any) -> None:
    words = verdict_of(dataset)
    assert "over the 40 trained of 300 neurons" in words
    assert "Hz over all 300 neurons" in words
    known = dataset["neuron_correlation"].values
    assert np.isfinite(known).any(axis=0).sum() == 40
    rate, has = dataset["neuron_rate"].mean("target_set").values, np.isfinite(known).any(axis=0)
    (remark,) = remarks_of(dataset)
    assert f"of the 40 trained neurons: {rate[has].mean():.3g} Hz; of the 260 others" in remark
    assert f"{rate[~has].mean():.3g} Hz" in remark


def test_readouts_are_no_subset_of_the_neurons() -> None:
    known = {
        "neuron_correlation": (("target_set", "output"), [[0.5, np.nan]]),
        "neuron_rate": ("neuron", [1.0, 2.0, 3.0]),
    }
    assert remarks_of(xr.Dataset(known)) == []


def test_the_interval_of_a_subset_is_over_the_trained_neurons() -> None:
    scalars = {"status": 0, "correlation": 0.5, "correlation_sd": 0.1, "population_rate": 5.0}
    subset, whole = (verdict(scalars, n_neurons=300, n_with_targets=count) for count in (40, None))
    # 1.96 s / sqrt(n) by Student's t: 0.5 +- 2.0227 * 0.1 * sqrt(40/39) / sqrt(40)
    assert "95 % interval 0.468 to 0.532" in subset
    assert "over 300 neurons" in whole
    assert "over all" not in whole


def names_of(dataset: Any, recording: Any) -> list[str]:
    unit = dataset["matched_unit"].values
    return [recording.unit_ids[one] if one >= 0 else "" for one in unit]


def test_trained_neurons_have_the_names_of_the_units_that_they_follow(dataset: Any) -> None:
    recording = recording_of(smoke())
    assert recording is not None
    assert dataset["unit_name"].values.tolist() == names_of(dataset, recording)
    assert {"unit_name", "recording_time"} <= set(dataset.coords)
    np.testing.assert_array_equal(dataset["recording_time"], recording.begin_ms + dataset["time"].values)
    assert "recorded" not in dataset  # the others are not auxiliary: nothing is to be judged beside them
    with pytest.raises(HpcspikeError, match="trained on drives, which have no rates to compare"):
        recorded_units(dataset)
    assert not {"recorded", "psth"} & set(figures_for(dataset))


def test_what_a_file_says_of_a_unit_stands_at_the_neuron_that_follows_it(tmp_path: Path) -> None:
    n, rng = 40, np.random.default_rng(2)
    rate = xr.DataArray(
        rng.uniform(1.0, 20.0, (n, 12)), dims=("unit", "time"), attrs={"units": "Hz"},
        coords={
            "time": ("time", 20.0 * np.arange(12), {"units": "ms"}), "unit": [f"u{k}" for k in range(n)],
            "area": ("unit", [f"area {k % 3}" for k in range(n)]), "depth": ("unit", 10.0 * np.arange(n)),
        },
    )  # fmt: skip
    rate.to_dataset(name="rate").to_netcdf(tmp_path / "rates.nc", engine="h5netcdf")
    document = smoke().model_dump(mode="json")
    kept = ("kind", "n_units", "duration_ms", "grid_ms", "input_of_rate")
    document["targets"] = {key: document["targets"][key] for key in kept} | {"path": str(tmp_path / "rates.nc")}
    document["training"]["subset"] = {"match": [int(neuron) for neuron in rng.permutation(100)[:n]]}
    found = hpcspike.run(validate_experiment(document))
    neurons = np.array(document["training"]["subset"]["match"])
    others = np.setdiff1d(np.arange(300), neurons)
    assert found["unit_name"].values[neurons].tolist() == rate["unit"].values.tolist()
    assert found["area"].values[neurons].tolist() == rate["area"].values.tolist()
    assert found["depth"].values[neurons].tolist() == rate["depth"].values.tolist()
    assert not any(found["unit_name"].values[others])
    assert not any(found["area"].values[others])
    assert np.isnan(found["depth"].values[others]).all()


def test_a_network_that_runs_again_knows_who_was_trained(dataset: Any) -> None:
    live = hpcspike.live_network(dataset)
    again = live.dataset()
    for name in ("matched_unit", "spontaneous_rate", "unit_name", "recording_time"):
        xr.testing.assert_identical(again[name].variable, dataset[name].variable)
    first = str(dataset["unit_name"].values[dataset["matched_unit"].values == 0].item())
    silenced = live.test(1, silence=[first])["silenced"].values
    np.testing.assert_array_equal(np.flatnonzero(silenced), np.flatnonzero(dataset["matched_unit"].values == 0))
