"""Recorded units keep their names from file to figure, and verdicts are over them, with what a correlation hides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import hpcspike
from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.units import called, said_of, unit_coordinates
from hpcspike.cli import main
from hpcspike.exchange import weight_matrix
from hpcspike.figures import point_overview, target_against_response
from hpcspike.figures.recorded import data_beside_model
from hpcspike.learners.interface import Rollout
from hpcspike.measures.evaluation import judged_by
from hpcspike.measures.recorded import recorded_scalars
from hpcspike.measures.status import silent_share
from hpcspike.measures.verdict import judged, judged_points, remarks, remarks_of, verdict, verdict_of
from hpcspike.model.reach import reach_of, remark_on_reach
from hpcspike.model.recording_table import RecordingTable
from hpcspike.model.recordings import Recording
from hpcspike.model.unit_labels import recording_time, unit_labels
from hpcspike.report.network import page_of_network
from hpcspike.spec import Experiment
from hpcspike.spec.experiment import Measures
from hpcspike.studies.claims_in_studies import cortex
from hpcspike.variables import RECORDED_RESULTS, STATUS
from tests.drawn import heading_of, title_of

NAMES = ("A1", "C3", "D4")


def rates_file(folder: Path, *, low: float = 0.0, begin: float = 0.0) -> Path:
    """Units A1, B2, C3, D4 with sines around 20, 0.1, 30 and 15 Hz (less ``low``) in 11 samples of 20 ms."""
    time = begin + 20.0 * np.arange(11)
    columns = [base - low + 4.0 * np.sin(time / 30.0 + k) for k, base in enumerate((20.0, 0.0, 30.0, 15.0))]
    columns[1] = np.full(11, 0.1)
    rows = [",".join(f"{value:.6g}" for value in row) for row in zip(time, *columns, strict=True)]
    path = folder / "rates.csv"
    path.write_text("\n".join(["time_ms,A1,B2,C3,D4", *rows]) + "\n")
    return path


def recorded_experiment(path: Path, **changes: Any) -> Experiment:
    document: dict[str, Any] = {
        "targets": {"kind": "recorded", "path": str(path), "unit": "Hz", "auxiliary_ratio": 2.0},
        "synapse": {"tau_syn_ms": 50.0},
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 1.0},
        "protocol": {"free_run_ms": 50.0, "test_free_run_ms": 50.0},
        "training": {"variable": "rate", "n_loops": 2, "update_interval_ms": 10.0},
        "measures": {"n_test_trials": 2},
    }
    return Experiment.model_validate(
        {key: {**document.get(key, {}), **changes.get(key, {})} for key in {**document, **changes}}
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return recorded_experiment(rates_file(tmp_path_factory.mktemp("rates"), begin=100.0))


@pytest.fixture(scope="module")
def network(experiment: Experiment) -> xr.Dataset:
    return hpcspike.run(experiment)


# ---- rates that a neuron can hold ------------------------------------------------------------------------------------


def test_a_neuron_holds_no_rate_between_zero_and_that_of_threshold_and_none_above_one_spike_per_step() -> None:
    reach = reach_of(smoothing=0.1, tau_ms=10.0, step_ms=0.5)
    assert reach.lowest == pytest.approx(np.sqrt(0.1 * np.log(2.0)) / np.pi, rel=1e-15)
    assert reach.highest == 20.0
    rates = np.array([[0.0, 1e-9, 0.0838], [0.0839, 20.0, 20.1]])
    assert reach.excludes(rates).tolist() == [[False, True, True], [False, False, True]]


def test_before_training_it_is_said_when_much_of_the_target_time_is_out_of_reach(tmp_path: Path) -> None:
    assert remark_on_reach(recorded_experiment(rates_file(tmp_path))) is None
    low = recorded_experiment(rates_file(tmp_path, low=9.0))
    assert 0.3 < hpcspike.run(low)["unreachable_share_recorded"] < 0.4
    remark = remark_on_reach(low)
    assert remark is not None
    assert remark.startswith("32% of the time of the recorded targets asks for rates that a theta neuron without noise")
    assert "(1 of 3 units: most of the time): above 0 and below 8.38 Hz" in remark
    assert "training.smoothing = 0.1" in remark
    assert "(0.01: 2.65 Hz)" in remark
    drives = SimpleNamespace(targets=SimpleNamespace(), training=low.training)
    assert remark_on_reach(drives) is None  # type: ignore[arg-type]


# ---- measures over the recorded units --------------------------------------------------------------------------------


def of_neurons() -> dict[str, np.ndarray]:
    """Three recorded units and two auxiliary neurons, one target set."""
    return {
        "correlation": np.array([[0.2, 0.5, 0.8, 0.9, 1.0]]),
        "mean_correlation": np.array([[0.3, 0.6, 0.9, 1.0, 1.0]]),
        "phi": np.array([[0.5, 0.7, 0.9, 1.0, 1.0]]),
        "fast": np.array([[1.0, 2.0, 3.0, 100.0, 100.0]]),
        "power": np.array([[10.0, 10.0, 10.0, 100.0, 100.0]]),
        "target_fast": np.array([[1.0, 1.0, 1.0, 0.0, 0.0]]),
        "target_power": np.array([[20.0, 10.0, 10.0, 10.0, 10.0]]),
        "rate_hz": np.array([[0.5, 0.9, 10.0, 0.0, 0.0]]),
        "target_rate_hz": np.array([[4.0, 6.0, 14.0, 50.0, 50.0]]),
        "rms_error": np.array([[3.0, 5.0, 4.0, 70.0, 70.0]]),
        "unreachable": np.array([[0.0, 0.25, 0.5, 1.0, 1.0]]),
    }


def test_measures_of_recorded_units_leave_auxiliary_neurons_out() -> None:
    found = recorded_scalars(of_neurons(), 3, rate_targets=True)
    assert set(found) == set(RECORDED_RESULTS)
    assert found["n_recorded"] == 3
    expected = {
        "correlation_recorded": 0.5, "correlation_recorded_sd": np.sqrt(0.06), "correlation_auxiliary": 0.95,
        "correlation_trial_mean_recorded": 0.6, "correlation_phi_recorded": 0.7,
        "spectral_index_recorded": np.log((6 / 30) / (3 / 40)), "rate_recorded": 11.4 / 3,
        "target_rate_recorded": 8.0, "rms_error_recorded": np.sqrt(50 / 3), "n_silent_recorded": 1.0,
        "unreachable_share_recorded": 0.25,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


def test_of_drives_and_of_units_without_auxiliary_neurons_only_what_there_is_is_measured() -> None:
    drives = recorded_scalars(of_neurons(), 5, rate_targets=False)
    assert np.isnan(drives["correlation_auxiliary"])
    assert not {"target_rate_recorded", "rms_error_recorded", "n_silent_recorded", "correlation_phi_recorded"} & set(
        drives
    )
    assert recorded_scalars(of_neurons(), 0, rate_targets=True) == {"n_recorded": 0}


def test_a_neuron_is_silent_below_the_rate_that_the_experiment_says() -> None:
    rates = np.array([0.0, 0.09, 0.1, 7.0])
    assert silent_share(rates, Measures()) == 0.5
    assert silent_share(rates, Measures(silent_rate_hz=0.05)) == 0.25
    assert np.isnan(silent_share(np.full(4, np.nan), Measures()))


def test_rates_of_a_learner_are_those_of_its_neurons_inside_the_window() -> None:
    rollout = Rollout(np.zeros((4, 1)), np.array([-1.0, 0.5, 2.0, 4.0, 4.5]), np.array([0, 2, 2, 1, 1], np.int32), 4)
    assert rollout.rates_hz(4.0).tolist() == [0.0, 250.0, 500.0, 0.0]
    assert rollout.rate_hz(4.0) == 187.5


def test_what_a_network_of_recorded_targets_became_is_what_its_recorded_units_became() -> None:
    scalars = {"correlation": 0.9, "population_rate": 9.0, "spectral_index": 1.0, "n_recorded": 3,
               "correlation_recorded": 0.4, "rate_recorded": 2.0, "spectral_index_recorded": -1.0}  # fmt: skip
    scalars = {**scalars, "correlation_taught": 0.6}
    assert judged_by(scalars) == {
        "correlation": 0.4, "population_rate_hz": 2.0, "spectral_index": -1.0, "taught": 0.6
    }  # fmt: skip
    assert judged_by({**scalars, "n_recorded": 0}) == {
        "correlation": 0.9, "population_rate_hz": 9.0, "spectral_index": 1.0, "taught": 0.6,
    }  # fmt: skip


def test_the_numbers_of_a_network_are_those_of_its_neurons(network: xr.Dataset) -> None:
    assert network["recorded"].values.tolist() == [True] * 3 + [False] * 6
    assert int(network["n_recorded"]) == 3
    recorded, auxiliary = network.isel(neuron=slice(3)), network.isel(neuron=slice(3, None))
    assert float(network["correlation_recorded"]) == float(recorded["neuron_correlation"].mean())
    assert float(network["correlation_auxiliary"]) == float(auxiliary["neuron_correlation"].mean())
    assert float(network["correlation_recorded"]) != float(network["correlation"])
    error = network["response"].mean("trial") - network["target"]
    rms = np.sqrt((error**2).mean("time"))
    np.testing.assert_allclose(network["neuron_rms_error"], rms, rtol=1e-10)
    assert network["neuron_rms_error"].attrs["units"] == "Hz"
    np.testing.assert_allclose(network["rms_error_recorded"], np.sqrt((rms[:, :3] ** 2).mean()), rtol=1e-10)
    target = network["target"].mean("time")
    np.testing.assert_allclose(network["neuron_target_rate"], target, rtol=1e-10)
    np.testing.assert_allclose(network["target_rate_recorded"], target[:, :3].mean(), rtol=1e-10)
    inside = network["spike_neuron"].values[network["spike_time"].values > 0]
    rate = np.bincount(inside, minlength=9) / (2 * 0.2)
    np.testing.assert_allclose(network["neuron_rate"].values[0], rate, rtol=1e-10)
    np.testing.assert_allclose(network["rate_recorded"], rate[:3].mean(), rtol=1e-10)
    assert float(network["silent_share"]) == (rate < 0.1).mean()
    asked = (network["target"] > 0) & (network["target"] < 100 * np.sqrt(0.1 * np.log(2)) / np.pi)
    np.testing.assert_allclose(network["neuron_unreachable_share"], asked.mean("time"), rtol=1e-10)


# ---- verdicts in words -----------------------------------------------------------------------------------------------

RECORDED = {
    "status": 0, "correlation": 0.72, "correlation_sd": 0.1, "population_rate": 12.34, "silent_share": 0.0,
    "n_recorded": 227, "correlation_recorded": 0.5503, "correlation_recorded_sd": 0.2, "correlation_auxiliary": 0.8101,
    "rate_recorded": 6.65, "target_rate_recorded": 10.31, "rms_error_recorded": 5.2, "n_silent_recorded": 71.0,
    "unreachable_share_recorded": 0.23,
}  # fmt: skip


def test_a_verdict_on_recorded_targets_is_over_the_recorded_units_with_the_auxiliary_ones_beside() -> None:
    said = verdict(RECORDED, n_neurons=681, measures=Measures(n_test_trials=5))
    assert said == (
        "learned, correlation 0.55 over 227 recorded units (0.81 over 454 auxiliary ones), plasticity off, 5 test "
        "trials, 95 % interval 0.524 to 0.577 over units, population rate 12.3 Hz"
    )
    assert remarks(RECORDED) == [
        "rates of the recorded units: 6.65 Hz in the model, 10.3 Hz in the data, rms error of the average over test "
        "trials 5.2 Hz",
        "silent: 71 of 227 recorded units (below 1 Hz in the model, above 5 Hz in the data); 23 % of the target time "
        "asks for rates that a neuron without noise cannot hold",
    ]
    alone = {**RECORDED, "correlation_auxiliary": np.nan}
    assert "over 227 recorded units, plasticity" in verdict(alone, n_neurons=227)


def test_constant_targets_of_recorded_units_are_counted_alone(tmp_path: Path) -> None:
    """A flat unit at any level, and as many auxiliary neurons, whose targets are no recorded ones."""
    path = rates_file(tmp_path)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join(",".join([*line[:3], "9.9" if k else "C3", line[4]]) for k, line in enumerate(lines)))
    trained = hpcspike.run(recorded_experiment(path))
    said = (
        "1 of 3 recorded targets is constant: a correlation with a constant has no value, and counts as 0 in the mean"
    )
    assert said in remarks_of(trained)
    assert trained["neuron_correlation"].values[0, 1] == 0.0


def test_a_verdict_names_neurons_trials_and_plasticity_and_is_qualified_by_silent_neurons() -> None:
    scalars = {"status": 0, "correlation": 0.95, "correlation_sd": 0.02, "population_rate": 8.0, "n_recorded": 0}
    said = verdict({**scalars, "silent_share": 0.0}, n_neurons=200, measures=Measures(n_test_trials=1))
    assert said == (
        "learned, correlation 0.95 over 200 neurons, plasticity off, 1 test trial, 95 % interval 0.947 to 0.953 over "
        "neurons, population rate 8 Hz"
    )
    said = verdict({**scalars, "silent_share": 0.045}, n_neurons=200)
    assert said.startswith("learned (9 of 200 neurons silent, 4.5 %, below 0.1 Hz), correlation 0.95 over 200 neurons")
    assert remarks(scalars) == []
    two_sets = verdict({**scalars, "silent_share": 0.0}, n_neurons=50, n_sets=4, measures=Measures(n_test_trials=1))
    assert "95 % interval 0.947 to 0.953" in two_sets


def test_a_verdict_without_numbers_is_the_status_alone() -> None:
    assert verdict({"status": STATUS.index("diverged"), "correlation": np.nan}, n_neurons=20) == "diverged"
    unjudged = {"status": STATUS.index("unjudged"), "correlation": np.nan, "population_rate": 3.0}
    assert verdict(unjudged, n_neurons=20) == "unjudged, population rate 3 Hz"


def test_a_point_of_a_batch_says_what_its_correlation_is_over() -> None:
    assert judged(RECORDED) == "correlation 0.550 over recorded units"
    assert judged({"correlation": 0.5, "n_recorded": 0, "silent_share": 0.25}) == (
        "correlation 0.500, 25 % of the neurons silent"
    )


def test_the_points_of_a_sweep_are_judged_over_named_neurons() -> None:
    columns = {"status": np.array([0, 0, 1]), "silent_share": np.array([0.0, 0.5, 0.5]), "n_recorded": np.zeros(3)}
    assert judged_points(columns, n_test_trials=3) == (
        "over all neurons, plasticity off, 3 test trials; 1 of 2 learned networks with silent neurons"
    )
    assert judged_points({"status": np.array([1])}, n_test_trials=None) == "over all neurons, plasticity off"
    recorded = {
        name: np.array([value, np.nan]) for name, value in RECORDED.items() if name not in ("status", "n_recorded")
    }
    recorded |= {"status": np.array([0, 3]), "n_recorded": np.array([227, 227])}
    assert judged_points(recorded, n_test_trials=5) == (
        "over recorded units: correlation 0.55 (auxiliary neurons 0.81), plasticity off, 5 test trials, means of 2 "
        "networks; rates 6.65 Hz in the model, 10.3 Hz in the data, 71 of 227 units silent"
    )


def test_results_of_recorded_units_take_the_place_of_those_of_all_neurons_where_there_are_any() -> None:
    sweep = xr.Dataset(
        {
            "correlation": ("point", [0.9, 0.8], {"units": "1", "long_name": "mean correlation"}),
            "population_rate": ("point", [5.0, 6.0], {"units": "Hz", "long_name": "rate"}),
            "correlation_recorded": ("point", [np.nan, 0.3]),
            "rate_recorded": ("point", [np.nan, 2.0]),
            "n_recorded": ("point", [0, 7]),
        },
        attrs={"name": "s"},
    )
    found = over_recorded(sweep)
    assert found["correlation"].values.tolist() == [0.9, 0.3]
    assert found["population_rate"].values.tolist() == [5.0, 2.0]
    assert found["correlation"].attrs == {"units": "1", "long_name": "mean correlation, recorded units"}
    assert found.attrs == {"name": "s", "judged": "recorded units"}
    assert over_recorded(sweep.isel(point=[0])).identical(sweep.isel(point=[0]))
    assert sweep["correlation"].values.tolist() == [0.9, 0.8]


def test_the_page_of_a_network_gives_its_verdict_with_what_the_correlation_hides(network: xr.Dataset) -> None:
    page = page_of_network(network, [])
    assert f"In single test trials: {verdict_of(network)}." in page
    assert "Rates of the recorded units: " in page
    assert "over 3 recorded units (" in page


def test_claims_of_recorded_rates_are_over_recorded_units_with_rates_beside() -> None:
    dims, ones = ("variant", "replicate"), np.ones((2, 3))
    numbers = {
        "correlation_trial_mean": 0.9 * ones,
        "correlation_trial_mean_recorded": np.array([[0.3, 0.31, 0.32], [0.5, 0.52, 0.54]]),
        "correlation_phi_recorded": 0.8 * ones + [0.0, 0.01, 0.02],
        "correlation_auxiliary": 0.81 * ones, "rate_recorded": 6.65 * ones, "target_rate_recorded": 10.3 * ones,
        "rms_error_recorded": 5.2 * ones, "diverged_loop": -ones,
    }  # fmt: skip
    coordinates = {"variant": ["ratio-0", "ratio-2"], "replicate": [0, 1, 2]}
    table = xr.Dataset({name: (dims, values) for name, values in numbers.items()}, coords=coordinates)
    gain, phi, spikes = cortex({"fig5": table})
    assert gain.found.value == pytest.approx(0.21)
    assert (gain.verdict, phi.verdict, spikes.verdict) == ("holds", "holds", "does not hold")
    assert spikes.found.value == pytest.approx(0.52)
    assert spikes.measure == (
        "correlation of trial-averaged filtered spikes and data, recorded units, recorded rates (single "
        "trials of auxiliary neurons 0.81; rates 6.65 Hz in the model, 10.3 Hz in the data, rms error 5.2 Hz)"
    )
    assert not list(cortex({"fig5": table[["correlation_trial_mean", "diverged_loop"]]}))


# ---- units keep their identity ---------------------------------------------------------------------------------------


def recording() -> Recording:
    """Two units kept of three, with what files say of units."""
    attributes = {
        "id": np.array([11, 12, 13]), "area": np.array(["ALM", "V1", "M1"]), "depth": np.array([0.5, 1.0, np.nan]),
        "good": np.array([True, False, True]), "time": np.array([1.0, 2.0, 3.0]), "a/b c": np.array([b"x", b"y", b"z"]),
    }  # fmt: skip
    table = RecordingTable(
        np.ones((3, 2)),
        np.array([-50.0, 10.0]),
        ("a", "b", "c"),
        "Hz",
        "NWB",
        attributes=attributes,
        alignment="go_time",
    )
    return Recording(np.ones((2, 2)), table.times_ms, ("a", "c"), np.array([0, 2]), None, table=table)  # type: ignore[arg-type]


def test_all_that_a_file_says_of_its_units_becomes_a_coordinate_of_the_neurons() -> None:
    labels = {name: values.tolist() for name, (_, values) in unit_labels(recording(), 4).items()}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert labels == {
        "unit_name": ["a", "c", "", ""],
        "unit_id": [11.0, 13.0, nan, nan],
        "area": ["ALM", "M1", "", ""],
        "depth": [0.5, nan, nan, nan],
        "good": ["True", "True", "", ""],
        "unit_time": [1.0, 3.0, nan, nan],
        "a_b_c": ["x", "z", "", ""],
    }
    variable, times = recording_time(recording(), np.array([5.0, 10.0]))
    assert times.tolist() == [-45.0, -40.0]
    assert variable.attrs["alignment"] == "go_time"


def test_the_result_knows_its_units_and_the_time_axis_of_the_recording(network: xr.Dataset) -> None:
    assert network["unit_name"].values.tolist() == [*NAMES, *[""] * 6]
    assert network["unit_name"].dims == ("neuron",)
    np.testing.assert_array_equal(network["recording_time"], 100.0 + network["time"].values)
    assert network["recording_time"].attrs["units"] == "ms"
    assert {"unit_name", "recording_time"} <= set(network.coords)
    assert said_of(unit_coordinates(network), 1) == {"unit_name": "C3"}
    assert said_of(unit_coordinates(network), 5) == {}


@pytest.mark.parametrize("name", ["net.zarr", "net.nc"])
def test_units_are_known_in_every_kind_of_file(experiment: Experiment, name: str, tmp_path: Path) -> None:
    from hpcspike.runs.run import train_to_store

    train_to_store(experiment, tmp_path / name)
    with hpcspike.open_network(tmp_path / name) as found:
        assert found["unit_name"].dtype.kind == "U"
        assert found["unit_name"].values.tolist() == [*NAMES, *[""] * 6]
        assert {"unit_name", "recording_time", "recorded"} <= set(found.coords)


def test_figures_name_the_unit(network: xr.Dataset) -> None:
    for draw in (target_against_response, point_overview, data_beside_model):
        figure = draw(network)
        titles = {words for axes in figure.axes for words in (title_of(axes), axes.get_title())}
        for number, name in enumerate(NAMES):
            value = float(network["neuron_correlation"][0, number])
            wanted = f"unit {name} (neuron {number}), correlation "
            assert any(wanted in title for title in titles), (draw.__name__, titles)
            if draw is not data_beside_model:
                assert any(title.endswith(f"{wanted}{value:.2f}") for title in titles)
        plt.close(figure)
    assert called(network.isel(neuron=7), 7) == "neuron 7"


def test_rates_of_model_and_data_stand_beside_the_correlations(network: xr.Dataset) -> None:
    figure = data_beside_model(network)
    (axes,) = (axes for axes in figure.axes if axes.get_xlabel() == "mean rate in the data (Hz)")
    identity, units = axes.get_lines()
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    np.testing.assert_array_equal(units.get_xdata(), network["neuron_target_rate"][0, :3])
    np.testing.assert_array_equal(units.get_ydata(), network["neuron_rate"][0, :3])
    data, model = (float(network[name]) for name in ("target_rate_recorded", "rate_recorded"))
    title = f"means {data:.3g} and {model:.3g} Hz rms error {float(network['rms_error_recorded']):.3g} Hz "
    assert title_of(axes).endswith(f"{title}{int(network['n_silent_recorded'])} of 3 units silent")
    plt.close(figure)


def test_the_page_of_one_point_says_over_which_neurons_it_is_judged(network: xr.Dataset) -> None:
    figure = point_overview(network)
    value, other = float(network["correlation_recorded"]), float(network["correlation_auxiliary"])
    assert f"correlation {value:.3g} over 3 recorded units ({other:.3g} over 6 auxiliary ones)" in heading_of(figure)
    titles = [title_of(axes) for axes in figure.axes]
    index = f"spectral index {float(network['spectral_index_recorded']):+.2f}, recorded units"
    assert any(title.endswith(index) for title in titles)
    plt.close(figure)


def test_units_are_named_in_weights_for_other_programs(network: xr.Dataset) -> None:
    matrix = weight_matrix(network)
    for axis in ("postsynaptic", "presynaptic"):
        assert matrix[f"{axis}_unit_name"].dims == (axis,)
        assert matrix[f"{axis}_unit_name"].values.tolist() == [*NAMES, *[""] * 6]
    unit = matrix.swap_dims(postsynaptic="postsynaptic_unit_name").sel(postsynaptic_unit_name="D4")
    np.testing.assert_array_equal(unit, matrix[2])


def test_units_are_named_in_nwb_files_beside_columns_that_nwb_has_itself(network: xr.Dataset, tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    about = {"long_name": "from the file", "about": "recorded unit"}
    whole = network.assign_coords(electrodes=("neuron", np.arange(9.0), about), area=("neuron", ["ALM"] * 9, about))
    hpcspike.exchange.write_nwb(whole, tmp_path / "net.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "net.nwb"), mode="r") as stream:
        units = stream.read().units
        assert list(units["unit_name"][:]) == [*NAMES, *[""] * 6]
        assert list(units["area"][:]) == ["ALM"] * 9
        assert list(units["unit_electrodes"][:]) == list(range(9))


def test_units_are_named_in_annotations_of_neo(network: xr.Dataset) -> None:
    pytest.importorskip("neo")
    block = hpcspike.exchange.to_neo(network, neurons=[1, 4])
    named, auxiliary = block.segments[0].spiketrains
    assert named.annotations["unit_name"] == "C3"
    assert "unit_name" not in auxiliary.annotations
    assert block.groups[0].annotations["unit_name"] == "C3"


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_train_says_its_verdict_over_recorded_units_after_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    low = recorded_experiment(rates_file(tmp_path, low=9.0), training={"n_loops": 1})
    (tmp_path / "a.yaml").write_text(json.dumps(low.model_dump(mode="json", exclude_unset=True)))
    assert main(["train", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "a.nc")]) == 0
    said = capsys.readouterr()
    warning = said.err.index("hpcspike: 32% of the time of the recorded targets asks for rates")
    assert warning < said.err.index("loop 1/1")
    with hpcspike.open_network(tmp_path / "a.nc") as found:
        value = float(found["correlation_recorded"])
        assert f"\n{tmp_path / 'a.nc'}: {verdict_of(found)}\n" in said.out
    assert re.search(r"correlation (\S+) over 3 recorded units \(", said.out)[1] == f"{value:.3g}"  # type: ignore[index]
    assert "\nrates of the recorded units: " in said.out
    assert "\nsilent: " in said.out
