"""Recorded targets: four formats read alike, units and selection are right, and every bad file is refused in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import hpcspike
from hpcspike.analysis import neuron_correlation
from hpcspike.errors import DataError
from hpcspike.model.recordings import Recording, auxiliary_rates, interpolated, read_recording
from hpcspike.model.stand_in import stand_in_rates
from hpcspike.spec import load
from hpcspike.spec.targets import RecordedTargets

RATES_HZ = np.array([[8.0, 6.0, 10.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [20.0, 30.0, 40.0]])
TIMES_MS = np.array([0.0, 20.0, 50.0])


def asked(path: Path, **changes: Any) -> RecordedTargets:
    return RecordedTargets.model_validate(
        {"kind": "recorded", "path": str(path), "n_units": None, "min_rate_hz": 5.0, **changes}
    )


def dataset(values: Any = RATES_HZ, times: Any = TIMES_MS, *, unit: Any = "Hz", time_unit: Any = "ms") -> xr.Dataset:
    """A file's content; a unit of None leaves the attribute out."""
    attrs = {} if unit is None else {"units": unit}
    time_attrs = {} if time_unit is None else {"units": time_unit}
    return xr.Dataset(
        {"rate": (("neuron", "time"), np.asarray(values), attrs)},
        coords={"time": ("time", np.asarray(times), time_attrs)},
    )


def netcdf(path: Path, content: xr.Dataset | None = None) -> Path:
    (dataset() if content is None else content).to_netcdf(path, engine="h5netcdf")
    return path


def csv_file(path: Path, text: str | None = None) -> Path:
    if text is None:
        rows = [",".join(str(x) for x in (t, *column)) for t, column in zip(TIMES_MS, RATES_HZ.T, strict=True)]
        text = "time_ms,a,b,c,d\n" + "\n".join(rows) + "\n"
    path.write_text(text)
    return path


def npy_file(path: Path, values: Any = RATES_HZ) -> Path:
    np.save(path, np.asarray(values))
    return path


# ---- what is read ----------------------------------------------------------------------------------------------------


def test_rates_become_spikes_per_tau_and_slow_units_are_left_out(tmp_path: Path) -> None:
    recording = read_recording(asked(netcdf(tmp_path / "r.nc")), tau_ms=20.0)
    np.testing.assert_array_equal(recording.values, RATES_HZ[[0, 3]] * (20.0 / 1000.0))
    np.testing.assert_array_equal(recording.mean_rates_hz, [8.0, 30.0])
    np.testing.assert_array_equal(recording.rows, [0, 3])  # row 2 fires at 5 Hz, not above it
    assert recording.values.dtype == np.float64
    assert recording.unit_ids == ("0", "3")


def test_the_first_units_above_the_threshold_are_kept_in_file_order(tmp_path: Path) -> None:
    recording = read_recording(asked(netcdf(tmp_path / "r.nc"), n_units=2, min_rate_hz=4.0))
    np.testing.assert_array_equal(recording.rows, [0, 2])


def _netcdf3(folder: Path) -> RecordedTargets:
    dataset().to_netcdf(folder / "r.nc", engine="scipy")
    return asked(folder / "r.nc")


def _zarr(folder: Path) -> RecordedTargets:
    dataset().to_zarr(folder / "r.zarr", zarr_format=3, consolidated=False)
    return asked(folder / "r.zarr")


def _transposed(folder: Path) -> RecordedTargets:
    return asked(netcdf(folder / "r.nc", dataset().transpose("time", "neuron")))


def _in_seconds(folder: Path) -> RecordedTargets:
    return asked(netcdf(folder / "r.nc", dataset(times=TIMES_MS / 1000.0, time_unit="s")))


def _csv_in_seconds(folder: Path) -> RecordedTargets:
    text = csv_file(folder / "x.csv").read_text().replace("time_ms", "Time_s")
    for t in TIMES_MS[1:]:
        text = text.replace(f"\n{t},", f"\n{t / 1000.0},")
    return asked(csv_file(folder / "r.csv", text), unit="Hz")


def _csv_with_the_unit_in_brackets(folder: Path) -> RecordedTargets:
    return asked(
        csv_file(folder / "r.csv", csv_file(folder / "x.csv").read_text().replace("time_ms", "Time (ms)")), unit="Hz"
    )


def _time_told_by_its_unit(folder: Path) -> RecordedTargets:
    return asked(netcdf(folder / "r.nc", dataset().rename(time="sample")))


def _one_of_several(folder: Path) -> RecordedTargets:
    content = dataset().assign(other=(("neuron", "time"), RATES_HZ * 2), flag=("neuron", np.ones(4)))
    return asked(netcdf(folder / "r.nc", content), variable="rate")


def _spikes_per_tau(folder: Path) -> RecordedTargets:
    return asked(netcdf(folder / "r.nc", dataset(RATES_HZ / 100.0, unit="a.u.")), unit="per_tau", min_rate_hz=5.5)


def _whole_numbers(folder: Path) -> RecordedTargets:
    return asked(netcdf(folder / "r.nc", dataset(RATES_HZ.astype(np.int16), TIMES_MS.astype(np.int32))))


SAME_RECORDING: list[Callable[[Path], RecordedTargets]] = [
    _netcdf3,
    _zarr,
    lambda folder: asked(csv_file(folder / "r.CSV"), unit="Hz"),
    _transposed,
    _in_seconds,
    _csv_in_seconds,
    _csv_with_the_unit_in_brackets,
    _time_told_by_its_unit,
    _one_of_several,
    _spikes_per_tau,
    _whole_numbers,
]


@pytest.mark.parametrize("make", SAME_RECORDING)
def test_every_way_to_write_the_same_rates_reads_the_same(
    tmp_path: Path, make: Callable[[Path], RecordedTargets]
) -> None:
    expected = read_recording(asked(netcdf(tmp_path / "expected.nc")))
    recording = read_recording(make(tmp_path))
    np.testing.assert_allclose(recording.values, expected.values, rtol=1e-14)
    np.testing.assert_allclose(recording.times_ms, TIMES_MS, rtol=1e-14)
    np.testing.assert_allclose(recording.mean_rates_hz, [8.0, 30.0], rtol=1e-14)
    np.testing.assert_array_equal(recording.rows, [0, 3])


def test_npy_takes_its_time_axis_from_the_sampling_interval(tmp_path: Path) -> None:
    recording = read_recording(asked(npy_file(tmp_path / "r.npy"), unit="Hz", sample_ms=25.0, layout="unit_by_time"))
    np.testing.assert_array_equal(recording.times_ms, [0.0, 25.0, 50.0])
    np.testing.assert_array_equal(recording.values, RATES_HZ[[0, 3]] * 0.01)


def test_units_keep_their_names(tmp_path: Path) -> None:
    content = dataset().assign_coords(neuron=("neuron", np.array([11, 12, 13, 14])))
    assert read_recording(asked(netcdf(tmp_path / "r.nc", content))).unit_ids == ("11", "14")
    assert read_recording(asked(csv_file(tmp_path / "r.csv"), unit="Hz")).unit_ids == ("a", "d")


def test_drives_may_be_negative_and_are_not_selected_by_rate(tmp_path: Path) -> None:
    drives = np.array([[-1.0, 0.5], [0.0, 0.0], [2.0, -3.0]])
    path = npy_file(tmp_path / "u.npy", drives)
    recording = read_recording(asked(path, holds="drive", sample_ms=10.0, n_units=2, layout="unit_by_time"))
    np.testing.assert_array_equal(recording.values, drives[:2])
    assert recording.mean_rates_hz is None


# ---- interpolation ---------------------------------------------------------------------------------------------------


def recording_of(values: Any, times: Any) -> Recording:
    values = np.asarray(values, dtype=np.float64)
    names = tuple(str(k) for k in range(len(values)))
    return Recording(values, np.asarray(times, dtype=np.float64), names, np.arange(len(values)), None)


def test_interpolation_is_linear_between_samples() -> None:
    recording = recording_of([[0.0, 2.0, 8.0]], [100.0, 120.0, 150.0])
    found = interpolated(recording, np.array([100.0, 105.0, 110.0, 130.0, 140.0, 150.0]))
    np.testing.assert_allclose(found, [[0.0, 0.5, 1.0, 4.0, 6.0, 8.0]], rtol=1e-14)


@given(st.data())
def test_interpolation_is_exact_at_samples_and_bounded_between(data: st.DataObject) -> None:
    n_samples = data.draw(st.integers(2, 8))
    steps = data.draw(st.lists(st.integers(1, 50), min_size=n_samples - 1, max_size=n_samples - 1))
    times = np.concatenate([[0.0], np.cumsum(steps)]) + data.draw(st.integers(-100, 100))
    values = np.array([data.draw(st.lists(st.floats(0, 1e3), min_size=n_samples, max_size=n_samples))])
    recording = recording_of(values, times)
    np.testing.assert_array_equal(interpolated(recording, times), values)
    between = interpolated(recording, 0.5 * (times[:-1] + times[1:]))
    low, high = np.minimum(values[:, :-1], values[:, 1:]), np.maximum(values[:, :-1], values[:, 1:])
    assert (between >= low * (1 - 1e-12)).all()
    assert (between <= high * (1 + 1e-12)).all()


def test_a_constant_unit_stays_constant() -> None:
    levels = [[7.3], [11.1], [9.9], [13.7]]
    recording = recording_of(np.hstack([levels] * 11), 20.0 * np.arange(11))
    found = interpolated(recording, np.arange(200.0))
    np.testing.assert_array_equal(found, np.hstack([levels] * 200))
    assert found.flags.c_contiguous


def test_nothing_is_extrapolated() -> None:
    recording = recording_of([[0.0, 1.0]], [0.0, 10.0])
    for times in ([-0.1, 5.0], [5.0, 10.1]):
        with pytest.raises(DataError, match=r"covers 0 to 10 ms; shorten targets\.duration_ms"):
            interpolated(recording, np.array(times))
    # a grid of rounded steps may end a rounding error beyond the last sample
    np.testing.assert_array_equal(interpolated(recording, np.array([np.nextafter(10.0, 11.0)])), [[1.0]])


# ---- auxiliary targets -----------------------------------------------------------------------------------------------


def test_auxiliary_rates_are_the_filtered_transfer_function_of_the_paths() -> None:
    paths = np.random.default_rng(0).normal(size=(3, 40))
    before = paths.copy()
    found = auxiliary_rates(paths, grid_ms=5.0, tau_syn_ms=50.0)
    phi = np.sqrt(np.clip(paths, 0.0, None)) / np.pi
    a = np.exp(-0.1)
    expected = np.empty_like(phi)
    for k in range(phi.shape[1]):
        ages = np.arange(k, 0, -1) - 1
        expected[:, k] = a**k * phi[:, 0] + (1 - a) * (phi[:, 1 : k + 1] * a**ages).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(paths, before)


def test_a_constant_path_gives_a_constant_rate_and_an_inhibited_one_none() -> None:
    found = auxiliary_rates(np.array([[0.25] * 5, [-1.0] * 5]), grid_ms=1.0, tau_syn_ms=20.0)
    np.testing.assert_allclose(found, [[0.5 / np.pi] * 5, [0.0] * 5], rtol=1e-14)


def test_an_auxiliary_rate_does_not_depend_on_the_other_rows() -> None:
    paths = np.random.default_rng(1).normal(size=(7, 50))
    whole = auxiliary_rates(paths, grid_ms=1.0, tau_syn_ms=50.0)
    np.testing.assert_array_equal(auxiliary_rates(paths[4:6], grid_ms=1.0, tau_syn_ms=50.0), whole[4:6])


# ---- what is refused -------------------------------------------------------------------------------------------------


def _replaced(row: int, sample: int, value: float) -> np.ndarray:
    values = RATES_HZ.copy()
    values[row, sample] = value
    return values


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _truncated(path: Path) -> Path:
    return _bytes(path, netcdf(path.with_name("whole.nc")).read_bytes()[:3000])


def _two_arrays(path: Path) -> Path:
    return netcdf(path, dataset().assign(other=(("neuron", "time"), RATES_HZ)))


def _cube(path: Path) -> Path:
    return netcdf(path, xr.Dataset({"rate": (("trial", "neuron", "time"), np.ones((2, 3, 4)))}))


def _unnamed_time(path: Path) -> Path:
    return netcdf(path, xr.Dataset({"rate": (("a", "b"), RATES_HZ, {"units": "Hz"})}))


def _no_time_axis(path: Path) -> Path:
    return netcdf(path, dataset().drop_vars("time"))


def _words(path: Path) -> Path:
    content = dataset().assign(rate=(("neuron", "time"), np.array([["x", "y", "z"]]), {"units": "Hz"}))
    content.to_zarr(path, zarr_format=2, consolidated=False)
    return path


BAD: dict[str, tuple[str, Callable[[Path], Any], dict[str, Any], str, str]] = {
    # what is wrong: file name, how it is made, keys of targets, what the message says was found, what it says to do
    "missing": ("r.nc", lambda p: None, {}, "no such file", "--set targets.path=generated"),
    "unknown suffix": ("r.xls", lambda p: _bytes(p, b"x"), {}, "'.xls' are not known", ".nc, .nc4, .zarr, .csv, .tsv"),
    "no suffix": ("rates", lambda p: _bytes(p, b"x"), {}, "'' are not known", "netCDF, zarr, CSV, TSV, NPY"),
    "not netCDF": ("r.nc", lambda p: _bytes(p, b"hello"), {}, "cannot be read as netCDF", "check the file"),
    "empty netCDF": ("r.nc", lambda p: _bytes(p, b""), {}, "cannot be read as netCDF", "check the file"),
    "damaged netCDF 3": ("r.nc", lambda p: _bytes(p, b"CDF\x01abc"), {}, "cannot be read as netCDF", "check the file"),
    "truncated netCDF": ("r.nc", _truncated, {}, "cannot be read as netCDF", "check the file"),
    "folder as netCDF": ("r.nc", _folder, {}, "is a folder", "give a netCDF file"),
    "not zarr": ("r.zarr", _folder, {}, "cannot be read as zarr", "check the file"),
    "not NPY": ("r.npy", lambda p: _bytes(p, b"1,2"), {}, "cannot be read as NPY", "check the file"),
    "folder as NPY": ("r.npy", _folder, {}, "cannot be read as NPY", "check the file"),
    "objects in NPY": ("r.npy", lambda p: npy_file(p, np.array([[None]])), {}, "cannot be read as NPY", "check"),
    "vector in NPY": ("r.npy", lambda p: npy_file(p, [1.0, 2.0]), {}, "shape (2,)", "2-D array of units over time"),
    "words": ("r.zarr", _words, {}, "values are of type", "store numbers"),
    "CSV without header": ("r.csv", lambda p: csv_file(p, "0,1\n1,2\n"), {}, "first column is '0'", "time_ms,unit_1"),
    "CSV with an unknown separator": (
        "r.csv",
        lambda p: csv_file(p, "time_ms:" + ":".join(f"unit_{k}" for k in range(100)) + "\n0:1\n"),
        {},
        "its first column is 'time_ms:unit_0:unit_1:unit_2:u...', not the time",
        "by commas",
    ),
    "CSV with semicolons below": (
        "r.csv",
        lambda p: csv_file(p, "time_ms,a\n0;1\n"),
        {},
        "(separated by ';'?)",
        "by c",
    ),
    "CSV with times of no unit": (
        "r.csv",
        lambda p: csv_file(p, "Time,a\n0,1\n0.02,1\n"),
        {},
        "its first column 'Time' does not say in which unit",
        "call it 'time_ms' if they are in milliseconds, 'time_s' if they are in seconds",
    ),
    "CSV with times of another unit": (
        "r.csv",
        lambda p: csv_file(p, "time_min,a\n0,1\n"),
        {},
        "'time_min'",
        "time_ms",
    ),
    "CSV with a word": (
        "r.csv",
        lambda p: csv_file(p, "time_ms,a\n0,1\n1,abc\n"),
        {},
        "'abc'",
        "one row per sample",
    ),
    "CSV with a gap": (
        "r.csv",
        lambda p: csv_file(p, "time_ms,a,b\n0,1,\n1,2,3\n"),
        {},
        "column 'b' is empty",
        "nothing is made up",
    ),
    "CSV with a short row": ("r.csv", lambda p: csv_file(p, "time_ms,a,b\n0,1,2\n1,2\n"), {}, "row 3 has 2", "row"),
    "CSV with a short header": ("r.csv", lambda p: csv_file(p, "time_ms,a\n0,1,2\n1,2,3\n"), {}, "names 2", "header"),
    "CSV without rows": ("r.csv", lambda p: csv_file(p, "time_ms,a\n"), {}, "1 units and 0 samples", "one row"),
    "CSV without units": ("r.csv", lambda p: csv_file(p, "time_ms\n0\n1\n"), {}, "0 units", "header"),
    "empty CSV": ("r.csv", lambda p: csv_file(p, ""), {}, "is empty", "header"),
    "binary CSV": (
        "r.csv",
        lambda p: _bytes(p, b"\xff\xfe\x00\x80"),
        {},
        "is not text in UTF-8",
        "save it as plain text in UTF-8",
    ),
    "several arrays": ("r.nc", _two_arrays, {}, "several 2-D arrays", "targets.variable to one of ['rate', 'other']"),
    "unknown array": ("r.nc", netcdf, {"variable": "rates"}, "targets.variable = 'rates' is not in it", "choose one"),
    "three dimensions": ("r.nc", _cube, {}, "rate (trial: 2, neuron: 3, time: 4)", "unit x time"),
    "named array with three dimensions": ("r.nc", _cube, {"variable": "rate"}, "no 2-D array", "unit x time"),
    "no time dimension": ("r.nc", _unnamed_time, {}, "(a: 4, b: 3)", "name one of them 'time'"),
    "no time axis": ("r.nc", _no_time_axis, {}, "has no time axis", "set targets.sample_ms"),
    "NPY without interval": (
        "r.npy",
        npy_file,
        {"unit": "Hz", "layout": "unit_by_time"},
        "has no time axis",
        "set targets.sample_ms",
    ),
    "NPY without interval and unit": (
        "r.npy",
        npy_file,
        {"layout": "unit_by_time"},
        "has no time axis, and the unit of its rates is not given",
        "set targets.sample_ms, the interval between samples in ms, and targets.unit, Hz, kHz or per_tau",
    ),
    "two time axes": ("r.nc", netcdf, {"sample_ms": 5.0}, "targets.sample_ms = 5 ms", "remove targets.sample_ms"),
    "no time unit": ("r.nc", lambda p: netcdf(p, dataset(time_unit=None)), {}, "no units attribute", "'ms' or 's'"),
    "unknown time unit": ("r.nc", lambda p: netcdf(p, dataset(time_unit="min")), {}, "units = 'min'", "'ms' or 's'"),
    "time runs back": (
        "r.nc",
        lambda p: netcdf(p, dataset(times=[0.0, 20.0, 10.0])),
        {},
        "does not increase: 20 ms is followed by 10 ms (sample 2)",
        "sort the samples",
    ),
    "time stands still": ("r.nc", lambda p: netcdf(p, dataset(times=[0.0, 20.0, 20.0])), {}, "not increase", "sort"),
    "time not finite": ("r.nc", lambda p: netcdf(p, dataset(times=[0, np.nan, 9.0])), {}, "not finite", "a time"),
    "one sample": (
        "r.npy",
        lambda p: npy_file(p, [[1.0], [2.0]]),
        {"sample_ms": 1.0, "layout": "unit_by_time"},
        "1 samples",
        "at least 2",
    ),
    "too short": (
        "r.nc",
        netcdf,
        {"duration_ms": 60.0},
        "covers 50 ms, but targets.duration_ms = 60 ms",
        "at most 50 ms",
    ),
    "NaN": (
        "r.nc",
        lambda p: netcdf(p, dataset(_replaced(1, 2, np.nan))),
        {},
        "1 values are not finite, the first is nan of unit 1 at 50 ms",
        "fill the gaps",
    ),
    "infinite": ("r.nc", lambda p: netcdf(p, dataset(_replaced(3, 0, np.inf))), {}, "the first is inf", "remove these"),
    "negative rate": (
        "r.nc",
        lambda p: netcdf(p, dataset(_replaced(2, 1, -0.5))),
        {},
        "1 rates are negative, the first is -0.5 of unit 2",
        "rates must be >= 0",
    ),
    "no unit": (
        "r.nc",
        lambda p: netcdf(p, dataset(unit=None)),
        {},
        "rates is not given",
        "allowed: Hz, kHz or per_tau",
    ),
    "unknown unit": ("r.nc", lambda p: netcdf(p, dataset(unit="mV")), {}, "rates is 'mV'", "convert the values"),
    "rate in units of a drive": (
        "r.nc",
        netcdf,
        {"unit": "1"},
        "rates is 'Hz' as the file says, but targets.unit = 1",
        "leave targets.unit out",
    ),
    "drive in units of a rate": ("r.nc", netcdf, {"holds": "drive"}, "drives is 'Hz'", "allowed: 1;"),
    "too few units": (
        "r.nc",
        netcdf,
        {"n_units": 3},
        "2 of its 4 units have a mean rate above 5 Hz, but targets.n_units = 3",
        "set targets.n_units to null for all 2, which with targets.auxiliary_ratio = 2 make 6 neurons (leave "
        "network.n_neurons out), or lower targets.min_rate_hz",
    ),
    "no unit fast enough": (
        "r.nc",
        netcdf,
        {"min_rate_hz": 99.0},
        "none of its 4 units have",
        "lower targets.min_rate_hz",
    ),
    "too few drives": (
        "r.npy",
        npy_file,
        {"holds": "drive", "sample_ms": 1.0, "n_units": 5, "layout": "unit_by_time"},
        "it holds 4 units",
        "more units",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_path_finding_and_remedy(tmp_path: Path, case: str) -> None:
    name, make, changes, found, remedy = BAD[case]
    path = tmp_path / name
    make(path)
    with pytest.raises(DataError) as caught:
        read_recording(asked(path, **changes))
    message = str(caught.value)
    assert message.startswith(f"targets.path = {path}: ")
    assert found in message
    assert remedy in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


# ---- one's own recordings --------------------------------------------------------------------------------------------


def test_all_units_of_a_file_are_kept_by_default(tmp_path: Path) -> None:
    targets = {"kind": "recorded", "path": str(csv_file(tmp_path / "r.csv")), "unit": "Hz", "min_rate_hz": 0.0}
    recording = read_recording(RecordedTargets.model_validate(targets))
    assert recording.unit_ids == ("a", "b", "c", "d")
    # and committed files say how many they mean
    for path in (Path(__file__).parent.parent / "cluster" / "config").glob("*.yaml"):
        text = path.read_text()
        assert "kind: recorded" not in text or re.search(r"^ +n_units: \d+", text, re.MULTILINE), path


def test_the_recipe_for_ones_own_csv_trains_it(root: Path, tmp_path: Path) -> None:
    recipe = (root / "cluster" / "guide" / "recordings.md").read_text().partition("## Your own CSV\n")[2]
    text = recipe.partition("```yaml\n")[2].partition("```")[0]
    assert 4 <= len(text.splitlines()) <= 8
    (tmp_path / "mine.yaml").write_text(text)
    times, rates = stand_in_rates(30, duration_ms=600.0, seed=3)
    rows = [",".join(f"{x:g}" for x in (t, *column)) for t, column in zip(times, rates.T, strict=True)]
    csv_file(tmp_path / "my_rates.csv", ",".join(["time_ms", *map(str, range(30))]) + "\n" + "\n".join(rows))
    asked_for = load(tmp_path / "mine.yaml")
    assert (asked_for.targets.n_units, asked_for.training.variable) == (None, "rate")
    small = load(tmp_path / "mine.yaml", changes={"training.n_loops": 5, "measures.n_test_trials": 3})
    trained = hpcspike.run(small)
    assert int(trained["recorded"].sum()) == 30
    assert trained.sizes["neuron"] == 90
    units = neuron_correlation(trained.isel(neuron=slice(30)))
    assert float(units["correlation_trial_averaged"].mean()) > 0.2


# ---- the recordings of the paper -------------------------------------------------------------------------------------


def test_alm_experiment_holds_what_the_paper_states(root: Path) -> None:
    experiment = load(root / "cluster" / "config" / "alm.yaml", size="paper")
    targets = experiment.targets
    assert (targets.n_units, targets.min_rate_hz, targets.auxiliary_ratio) == (227, 5.0, 2.0)
    assert (experiment.connectivity.probability, experiment.connectivity.sigma) == (0.3, 1.0)
    assert experiment.synapse.tau_syn_ms == 50.0
    assert targets.auxiliary_tau_corr_ms == 800.0
    assert experiment.training.variable == "rate"
    assert Path(targets.path) == (root.parent / "shared" / "data" / "alm_lick_left.nc").resolve()


def test_alm_recording_gives_the_first_227_units_above_5_hz(root: Path, alm_path: Path) -> None:
    recording = read_recording(load(root / "cluster" / "config" / "alm.yaml").targets)
    assert recording.values.shape == (227, 101)
    np.testing.assert_array_equal(recording.times_ms, 20.0 * np.arange(101))
    assert recording.mean_rates_hz is not None
    assert recording.mean_rates_hz.min() > 5.0
    with xr.open_dataset(alm_path, engine="h5netcdf", decode_times=False) as content:
        rates = content["rate"].values.astype(np.float64)
    np.testing.assert_array_equal(recording.values, rates[recording.rows] * 0.01)
    left_out = np.setdiff1d(np.arange(recording.rows[-1] + 1), recording.rows)
    assert rates[left_out].mean(axis=1).max() <= 5.0
    # the mean rate an independent reading of the same file reported
    assert recording.mean_rates_hz.mean() == pytest.approx(10.3, abs=0.05)
