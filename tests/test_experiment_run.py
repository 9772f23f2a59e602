"""From an experiment to numbers and to a Dataset: names, dimensions, units, and values that agree with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.identity import experiment_hash
from hpcspike.runs.point import run_point
from hpcspike.runs.run import RECORDED_TRIALS
from hpcspike.spec.experiment import Experiment
from hpcspike.variables import POINT_RESULTS, RECORDED_RESULTS, STATUS, TRAINED
from tests.small_networks import experiment

SCALARS = {name for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)}
CURVES = {name for name, variable in POINT_RESULTS.items() if variable.dims == ("point", "loop")}
IN_BINS = {name for name in TRAINED if name.startswith("neuron_") and name.endswith("ms")}
OF_RECORDINGS = {"recorded", "unit_name", "recording_time", "condition", *IN_BINS, *RECORDED_RESULTS}
OF_SEVERAL_SETS = {"loop_target_set"}
UNASKED = {"matched_unit", "spontaneous_rate", "curve_test_correlation_by_set"}
FED = {name for name in TRAINED if name.startswith("feed_forward_")}
OF_RATES = {"neuron_target_rate", "neuron_unreachable_share"}
BY_NEURON = {name for name in TRAINED if name.startswith("neuron_")} - {"neuron_correlation"}
EVOKED = {
    "trial",
    "initial_state",
    "drive",
    "response",
    "spike_time",
    "spike_neuron",
    "spike_trial",
    "spike_set",
}
DIVERGING = {
    "targets": {"kind": "sine", "duration_ms": 100.0, "amplitude": (1e9, 1e9)},
    "training": {"n_loops": 3, "ridge": 1e-12},
}


@pytest.fixture(scope="module", params=["drive", "rate"])
def exp(request: pytest.FixtureRequest) -> Experiment:
    return experiment(
        targets={"kind": "sine", "duration_ms": 200.0, "n_sets": 2},
        training={"variable": request.param, "n_loops": 2},
        neuron={"bias": 0.1},
    )


@pytest.fixture(scope="module")
def dataset(exp: Experiment) -> xr.Dataset:
    return hpcspike.run(exp)


# ---- one point of a sweep ---------------------------------------------------------------------------------------


def test_a_point_has_every_registered_name_and_no_other(exp: Experiment) -> None:
    result = run_point(exp)
    assert result.scalars.keys() == SCALARS
    assert result.curves.keys() == CURVES
    for curve in result.curves.values():
        assert curve.shape == (4,)
        assert np.isfinite(curve).all()


def test_a_diverged_point_is_a_result_whose_curve_ends_early() -> None:
    result = run_point(experiment(**DIVERGING))
    assert STATUS[int(result.scalars["status"])] == "diverged"
    assert result.scalars["diverged_loop"] == 0
    assert result.scalars.keys() == SCALARS
    for curve in result.curves.values():
        assert curve.shape == (3,)
        assert np.isnan(curve[1:]).all()


def test_an_untrained_point_has_measures_and_no_curve() -> None:
    result = run_point(experiment(training={"n_loops": 0}))
    assert np.isfinite(result.scalars["correlation"])
    assert all(curve.shape == (0,) for curve in result.curves.values())


def test_a_path_is_told_how_it_becomes_an_experiment() -> None:
    with pytest.raises(TypeError, match=r"not 'net.yaml': give what hpcspike.load\('net.yaml'\) returns"):
        hpcspike.run("net.yaml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes one experiment, not a dict: give what hpcspike.load\(PATH\) returns"):
        hpcspike.run({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes a problem, not 'net.yaml': give what build_problem\(load\(PATH\)\)"):
        hpcspike.train("net.yaml")  # type: ignore[arg-type]


def test_loops_are_reported_as_they_end() -> None:
    seen: list[int] = []
    result = run_point(experiment(), on_loop=lambda loop, row: seen.append(loop))
    assert seen == [0, 1]
    assert len(result.curves["curve_rate"]) == 2


def test_a_point_is_the_same_every_time_and_on_two_threads() -> None:
    first, again, threaded = run_point(experiment()), run_point(experiment()), run_point(experiment(), threads=2)
    for other in (again, threaded):
        np.testing.assert_equal(other.scalars, first.scalars)
        np.testing.assert_equal(other.curves, first.curves)


def test_correlation_time_of_the_targets_reaches_the_theory() -> None:
    result = run_point(experiment(targets={"kind": "ou", "duration_ms": 100.0, "tau_corr_ms": 50.0}))
    assert result.scalars["tracking_theory"] == pytest.approx(20.0 / (4 * np.pi * 50.0))


def test_an_interval_of_a_thousand_steps_with_fast_synapses_is_no_problem() -> None:
    # inputs that spike twice, so far apart that the first spike has decayed to nothing in between
    result = run_point(
        experiment(
            synapse={"tau_syn_ms": 1.0},
            neuron={"bias": 3.0},
            targets={"kind": "sine", "duration_ms": 2000.0},
            training={"n_loops": 1, "update_interval_ms": 1000.0},
        )
    )
    assert result.scalars["population_rate"] > 10.0
    assert result.scalars["sampling_error"] < 100.0


# ---- the Dataset ------------------------------------------------------------------------------------------------


def test_dataset_holds_what_is_registered_with_its_dims_dtype_and_unit(dataset: xr.Dataset, exp: Experiment) -> None:
    absent = OF_RECORDINGS | UNASKED | FED | (OF_RATES if exp.training.variable == "drive" else set())
    assert set(dataset.variables) == (set(TRAINED) | SCALARS) - absent
    for name, variable in {**POINT_RESULTS, **TRAINED}.items():
        if name not in dataset:
            continue
        found = dataset[name]
        assert found.dims == (() if name in SCALARS else variable.dims), name
        assert found.dtype == variable.dtype, name
        assert found.attrs["long_name"], name
        hertz = exp.training.variable == "rate" and name in ("target", "response", "neuron_rms_error")
        assert found.attrs["units"] == ("Hz" if hertz else variable.units), name
    assert set(dataset.coords) == {"neuron", "time", "trial", "target_set", "loop"}


def test_dataset_survives_a_zarr_store(dataset: xr.Dataset, tmp_path: Path) -> None:
    dataset.to_zarr(tmp_path / "one.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "one.zarr", consolidated=False) as found:
        xr.testing.assert_identical(found.compute(), dataset)


def test_dataset_says_what_was_run(dataset: xr.Dataset, exp: Experiment) -> None:
    assert Experiment.model_validate(json.loads(dataset.attrs["experiment"])) == exp
    assert dataset.attrs["experiment_hash"] == experiment_hash(exp)
    assert dataset.attrs["name"] == "tiny"
    assert dataset.attrs["trained_variable"] == exp.training.variable
    expected = "filtered spikes" if exp.training.variable == "rate" else "synaptic drive"
    assert dataset["response"].attrs["quantity"] == expected


def test_times_and_sizes_are_those_of_the_experiment(dataset: xr.Dataset) -> None:
    assert dict(dataset.sizes) | {"spike": 0, "synapse": 0} == {
        "neuron": 20, "time": 200, "target_set": 2, "trial": 2, "loop": 4, "row_bound": 21,
        "state_variable": 1, "spike": 0, "synapse": 0,
    }  # fmt: skip
    np.testing.assert_array_equal(dataset["time"], np.arange(1.0, 201.0))


def test_responses_correlate_as_the_measures_say(dataset: xr.Dataset) -> None:
    by_trial = pearson(dataset["response"].values, dataset["target"].values[:, None])
    np.testing.assert_allclose(dataset["neuron_correlation"], by_trial.mean(axis=1), atol=1e-12)
    assert float(dataset["correlation"]) == pytest.approx(by_trial.mean(), abs=1e-12)


def test_rates_leave_in_hertz(dataset: xr.Dataset, exp: Experiment) -> None:
    problem = hpcspike.build_problem(exp)
    trained = hpcspike.train(problem, exp.training)
    evoked = trained.evoke(1, 2)
    if exp.training.variable == "drive":
        np.testing.assert_array_equal(dataset["response"][1], evoked.drive)
        np.testing.assert_array_equal(dataset["target"], problem.targets)
    else:
        np.testing.assert_allclose(dataset["response"][1], 100.0 * evoked.filtered, rtol=1e-15)
        np.testing.assert_allclose(dataset["target"], 100.0 * problem.targets, rtol=1e-15)
        # over a window that is long beside the synapse, filtered spikes are the firing rate
        assert float(dataset["response"].mean()) == pytest.approx(float(dataset["population_rate"]), rel=0.25)
    np.testing.assert_array_equal(dataset["drive"][1], evoked.drive)


def test_spikes_are_those_of_cue_and_window(dataset: xr.Dataset) -> None:
    time = dataset["spike_time"].values
    assert -20 < time.min() <= 0 < time.max() <= 200
    in_window = np.count_nonzero(time > 0)
    assert float(dataset["population_rate"]) == pytest.approx(in_window / (4 * 20 * 0.2), rel=1e-12)
    for name, size in (("spike_neuron", 20), ("spike_trial", 2), ("spike_set", 2)):
        assert set(dataset[name].values) <= set(range(size))
    # rebuild one neuron's filtered train from its spikes in the window: what is left is the decay of earlier ones
    assert {(s, k) for s, k in zip(dataset["spike_set"].values, dataset["spike_trial"].values, strict=True)} == {
        (0, 0), (0, 1), (1, 0), (1, 1),
    }  # fmt: skip


def test_spike_times_fit_the_drive(dataset: xr.Dataset) -> None:
    # u(t) - a u(t - dt) is what the spikes of the step bring: sum over them of W / tau_s, in units of tau
    weights = np.zeros((20, 20))
    row = np.repeat(np.arange(20), np.diff(dataset["row_start"]))
    weights[row, dataset["presynaptic"].values] = dataset["weight"].values
    chosen = (dataset["spike_set"].values == 1) & (dataset["spike_trial"].values == 0) & (dataset["spike_time"] > 1.0)
    spikes = np.zeros((20, 200))
    spikes[dataset["spike_neuron"].values[chosen], dataset["spike_time"].values[chosen].astype(int) - 1] = 1.0
    drive = dataset["drive"].values[1, 0]
    h = 1.0 / 20.0
    decay = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24
    brought = drive[:, 1:] - decay * drive[:, :-1]
    np.testing.assert_allclose(brought, 0.5 * (weights @ spikes)[:, 1:], atol=1e-12)
    assert spikes.sum() > 5


def test_weights_before_training_are_those_of_the_problem(dataset: xr.Dataset, exp: Experiment) -> None:
    problem = hpcspike.build_problem(exp)
    np.testing.assert_array_equal(dataset["weight_initial"], problem.plastic.weight)
    np.testing.assert_array_equal(dataset["stimulus"], problem.stimuli)
    assert (dataset["weight"] != dataset["weight_initial"]).mean() > 0.9


def test_curve_of_the_dataset_is_that_of_the_point(dataset: xr.Dataset, exp: Experiment) -> None:
    result = run_point(exp)
    for name in CURVES:
        np.testing.assert_array_equal(dataset[name], result.curves[name])
    for name in SCALARS - OF_RECORDINGS:
        value = result.scalars[name]
        np.testing.assert_equal(float(dataset[name]), float(value))


def test_a_diverged_network_makes_a_dataset_without_responses(tmp_path: Path) -> None:
    found = hpcspike.run(experiment(**DIVERGING))
    absent = EVOKED | BY_NEURON | OF_RECORDINGS | OF_SEVERAL_SETS | UNASKED | FED
    assert set(found.variables) == set(TRAINED) - absent | SCALARS - OF_RECORDINGS - OF_SEVERAL_SETS - FED
    assert STATUS[int(found["status"])] == "diverged"
    assert found.sizes["loop"] == 1
    found.to_zarr(tmp_path / "diverged.zarr", consolidated=False)


def test_float32_weights_are_written_as_registered() -> None:
    found = hpcspike.run(experiment(training={"n_loops": 1, "dtype": "float32"}))
    assert found["weight"].dtype == np.float64
    np.testing.assert_array_equal(found["weight"], found["weight"].values.astype(np.float32))


def test_no_more_trials_are_kept_than_one_can_look_at() -> None:
    measures = {"n_test_trials": RECORDED_TRIALS + 2, "n_clamped_trials": 1}
    found = hpcspike.run(
        experiment(targets={"kind": "sine", "duration_ms": 20.0}, training={"n_loops": 0}, measures=measures)
    )
    assert found.sizes["trial"] == RECORDED_TRIALS


def test_progress_is_shown_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    hpcspike.run(experiment())
    assert capsys.readouterr() == ("", "")
    hpcspike.run(experiment(), progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("loop 1/2  correlation ")


def test_recorded_rates_come_out_beside_the_model(tmp_path: Path) -> None:
    hertz = np.random.default_rng(0).uniform(6, 30, (4, 21))
    np.save(tmp_path / "rates.npy", hertz)
    family: dict[str, Any] = {"kind": "recorded", "path": str(tmp_path / "rates.npy"), "unit": "Hz", "sample_ms": 10.0}
    found = hpcspike.run(
        experiment(
            network={},
            targets={**family, "layout": "unit_by_time", "auxiliary_ratio": 1.5},
            training={"variable": "rate", "n_loops": 1},
        )
    )
    assert found["recorded"].values.tolist() == [True] * 4 + [False] * 6
    assert "recorded" in found.coords
    np.testing.assert_allclose(found["target"][0, :4, 9::10], hertz[:, 1:], rtol=1e-12)


def test_what_is_odd_about_a_recording_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "rates.npy", np.arange(84.0).reshape(21, 4).T % 17)
    family = {"kind": "recorded", "path": str(tmp_path / "rates.npy"), "unit": "Hz", "sample_ms": 10.0}
    targets = {**family, "layout": "unit_by_time"}
    hpcspike.run(experiment(network={}, targets=targets, training={"variable": "rate", "n_loops": 0}))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned
    assert warned[0].startswith("rates.npy: all values are whole numbers")
