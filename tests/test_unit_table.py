"""Each recorded unit beside its data: bins, ceilings, cross-condition correlation, table, CSV, page and figure."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hpcspike
from hpcspike.analysis import recorded_units
from hpcspike.cli import main
from hpcspike.errors import DataError
from hpcspike.figures import figures_for
from hpcspike.measures.recorded_units import ceiling
from hpcspike.model.recordings import read_recording
from hpcspike.report.network import page_of_network
from tests.drawn import title_of
from tests.test_recorded_conditions import made_up

TARGETS = {
    "kind": "recorded", "path": "generated", "conditions": ["go", "stay"], "n_units": 3, "auxiliary_ratio": 1.0,
    "duration_ms": 552.0,
}  # fmt: skip


@functools.cache
def network() -> xr.Dataset:
    return hpcspike.run(
        made_up(targets=TARGETS, neuron={"bias": 1.0}, measures={"n_test_trials": 4, "n_clamped_trials": 1})
    )


def in_bins(trained: xr.Dataset, target_set: int, unit: int, trials: Any, bin_ms: float) -> np.ndarray:
    """Spikes of a unit in bins over some trials, counted from the spike times."""
    chosen = (trained["spike_set"] == target_set) & (trained["spike_neuron"] == unit)
    chosen &= trained["spike_trial"].isin(list(trials)) & (trained["spike_time"] > 0)
    times = trained["spike_time"].values[chosen.values]
    counts, _ = np.histogram(times - 1e-6, bins=np.arange(0.0, 500.0 + bin_ms, bin_ms))
    return counts


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return 0.0 if np.ptp(one) == 0 else float(np.corrcoef(one, other)[0, 1])


def test_correlations_in_bins_are_those_of_the_spike_times_and_of_the_condition() -> None:
    trained, table = network(), recorded_units(network())
    assert dict(table.sizes) == {"target_set": 2, "neuron": 3}
    for bin_ms in (50.0, 100.0):
        targets = trained["target"].values[:, :, :500].reshape(2, 6, -1, int(bin_ms)).mean(axis=-1)
        for s in range(2):
            for unit in range(3):
                model = in_bins(trained, s, unit, range(4), bin_ms)
                halves = [in_bins(trained, s, unit, part, bin_ms) for part in ((0, 2), (1, 3))]
                expected = correlation(model, targets[s, unit])
                np.testing.assert_allclose(table[f"correlation_{bin_ms:g}ms"][s, unit], expected, atol=1e-12)
                limit = ceiling(*(half[None].astype(float) for half in halves))[0]
                np.testing.assert_allclose(table[f"ceiling_{bin_ms:g}ms"][s, unit], limit, atol=1e-12)
                if bin_ms == 100.0:
                    other = correlation(model, targets[1 - s, unit])
                    np.testing.assert_allclose(table["other_condition_100ms"][s, unit], other, atol=1e-12)
    np.testing.assert_allclose(
        trained["correlation_100ms_recorded"], table["correlation_100ms"].mean(), rtol=0, atol=1e-12
    )
    assert table["rms_error"].attrs["units"] == table["model_rate"].attrs["units"] == "Hz"


def test_the_ceiling_is_that_of_spearman_and_brown() -> None:
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((200, 400))
    halves = truth + rng.standard_normal((2, 200, 400))  # reliability of a half 1/2, of both together 2/3
    np.testing.assert_allclose(ceiling(halves[0], halves[1]).mean(), np.sqrt(2 / 3), atol=0.01)
    np.testing.assert_array_equal(ceiling(np.array([[1.0, 2.0, 3.0]]), np.array([[3.0, 2.0, 1.0]])), [0.0])


def test_a_window_too_short_for_the_bins_has_none() -> None:
    short = hpcspike.run(made_up())
    assert "correlation_50ms" not in recorded_units(short)
    assert "psth" not in figures_for(short)
    drives = network().drop_vars("neuron_target_rate")
    with pytest.raises(DataError, match="was trained on drives"):
        recorded_units(drives)
    with pytest.raises(DataError, match="no neuron of this Dataset follows a recorded unit"):
        recorded_units(network().drop_vars("recorded"))


def test_single_trials_of_a_recording_give_its_own_ceiling(tmp_path: Path) -> None:
    from tests.test_nwb_recordings import asked, write

    path = write(tmp_path / "r.nwb")
    recording = read_recording(asked(path))
    assert recording.halves is not None
    np.testing.assert_allclose(recording.halves.mean(axis=0), recording.values, atol=1e-15)  # two trials in each half
    targets = {**asked(path).model_dump(exclude_unset=True), "auxiliary_ratio": 1.0}
    trained = hpcspike.run(made_up(targets=targets, protocol={}, measures={"n_test_trials": 1, "n_clamped_trials": 1}))
    table = recorded_units(trained)
    assert "ceiling_50ms" not in table  # one test trial has no halves
    assert table["data_ceiling_50ms"].shape == (1, 3)
    assert float(table["data_ceiling_50ms"].max()) == 1.0  # a unit that fires alike in every trial


def test_the_table_is_exported_shown_on_the_page_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.nc"
    network().to_netcdf(path, engine="h5netcdf")
    assert main(["export", str(path), str(tmp_path / "units.csv")]) == 0
    assert "6 rows, one per recorded unit and condition" in capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "units.csv")
    assert list(frame["condition"]) == ["go", "stay"] * 3
    np.testing.assert_allclose(frame["model_rate_hz"], recorded_units(network())["model_rate"].values.T.ravel())
    page = page_of_network(network(), [])
    assert "Recorded units" in page
    assert page.count("stand-in 1<") >= 2
    figure = figures_for(network())["psth"]()
    titles = [axes.get_title() + title_of(axes) for axes in figure.axes]
    for words in ("go: data", "go: model", "stay: data", "stay: model", "best: ", "median: ", "worst: "):
        assert any(words in title for title in titles), words


def test_the_table_does_not_take_the_place_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "e.nc", tmp_path / "units.csv"
    network().to_netcdf(path, engine="h5netcdf")
    for _ in range(2):
        assert main(["export", str(path), str(out)]) == 0
    edited = out.read_text().replace("go", "lick")
    out.write_text(edited)
    assert main(["export", str(path), str(out)]) == 2
    assert f"{out} exists and holds something else" in capsys.readouterr().err
    assert out.read_text() == edited


@pytest.mark.parametrize(("duration_ms", "has"), [(496.0, False), (500.0, True)])
def test_few_bins_have_no_correlation(duration_ms: float, has: bool) -> None:
    targets = {**TARGETS, "duration_ms": duration_ms}
    trained = hpcspike.run(made_up(targets=targets, measures={"n_test_trials": 2, "n_clamped_trials": 1}))
    found = recorded_units(trained)
    assert {"rms_error", "model_rate"} <= set(found.data_vars)
    in_bins = [name for name in found.data_vars if str(name).endswith("ms")]
    assert len(in_bins) == (5 if has else 0)
    assert ("psth" in figures_for(trained)) is has
    page = page_of_network(trained, [])
    assert "Numbers that do not name recorded units are over all neurons with targets" in page
    assert "2 test trials of each of 2 target sets" in page


def with_constant_unit() -> xr.Dataset:
    """The network, as if the first unit never fired in the data of the first condition."""
    trained = network().copy(deep=True)
    trained["target"].loc[{"target_set": 0, "neuron": 0}] = 0.0
    return trained


def test_a_unit_with_constant_data_has_no_correlation_and_no_ceiling(tmp_path: Path) -> None:
    table, before = recorded_units(with_constant_unit()), recorded_units(network())
    for name in ("correlation_50ms", "correlation_100ms", "ceiling_50ms", "ceiling_100ms"):
        assert np.isnan(table[name][0, 0])
        assert table[name].isnull().sum() == 1
        assert table[name].attrs == before[name].attrs
    assert np.isnan(table["other_condition_100ms"][1, 0])  # the other condition's data are those that do not vary
    assert np.isfinite(table["other_condition_100ms"][0, 0])
    np.testing.assert_array_equal(table["rms_error"], before["rms_error"])
    with_constant_unit().to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "units.csv")]) == 0
    rows = [line.split(",") for line in (tmp_path / "units.csv").read_text().splitlines()]
    column = rows[0].index("correlation_100ms")
    assert sum(row[column] == "" for row in rows) == 1
    page = page_of_network(with_constant_unit(), [])
    assert "A dash: the data do not vary there (1 of 6 rows)" in page


def test_figures_leave_units_with_constant_data_out_and_say_how_many() -> None:
    drawn = figures_for(with_constant_unit())
    for name, place in (("recorded", "correlation with data"), ("psth", "correlation of the trial average with data")):
        figure = drawn[name]()
        titles = [title_of(axes) for axes in figure.axes if axes.get_xlabel() == place]
        assert "without 1 of 3 units: constant data" in titles[0]
