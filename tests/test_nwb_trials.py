"""Trials of NWB files: times that make no sense are refused, trials that cannot be averaged are counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.spec.recorded import RecordedTargets

pynwb = pytest.importorskip("pynwb")

STARTS = 3.0 * np.arange(8) + 1.0
SIDES = ["left", "right", "catch", "left"] * 2
RATES_HZ = (40.0, 25.0, 60.0)


def regular(rate_hz: float, until: float = 26.0) -> np.ndarray:
    """Spikes at equal intervals, none on the edge of a bin."""
    return (np.arange(int(until * rate_hz)) + 0.5) / rate_hz


def session(
    path: Path,
    *,
    starts: np.ndarray = STARTS,
    stops: np.ndarray | None = None,
    go: Any = None,
    table: str = "trials",
    invalid: tuple[float, float] | None = None,
    spikes: Callable[[float], np.ndarray] = regular,
    area: bool = False,
) -> Path:
    """Trials of 2 s every 3 s, and three units that fire all the time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = pynwb.NWBFile("session", "made up", datetime(2020, 1, 1, tzinfo=UTC))
        rows = pynwb.epoch.TimeIntervals(name=table, description="made up")
        rows.add_column("go_time", "s")
        rows.add_column("side", "s")
        ends = starts + 2.0 if stops is None else stops
        times = starts + 0.5 if go is None else go
        for k, start in enumerate(starts):
            rows.add_interval(start_time=start, stop_time=ends[k], go_time=times[k], side=SIDES[k % len(SIDES)])
        if table == "trials":
            file.trials = rows
        else:
            file.add_time_intervals(rows)
        if invalid is not None:
            file.add_invalid_time_interval(start_time=invalid[0], stop_time=invalid[1])
        electrodes = {}
        if area:
            group = file.create_electrode_group("g", "d", "l", file.create_device("d"))
            for k in range(4):
                file.add_electrode(group=group, location="ALM" if k < 2 else "M2")
            electrodes = {0: [0, 1], 1: [2], 2: [1, 2]}
        file.add_unit_column("quality", "q")
        file.add_unit_column("depth", "um")
        for k, rate in enumerate(RATES_HZ):
            more = {"electrodes": electrodes[k]} if electrodes else {}
            file.add_unit(
                id=20 + k, spike_times=spikes(rate), quality=("good", "mua", "good")[k], depth=100.0 * k, **more
            )
        with pynwb.NWBHDF5IO(str(path), mode="w") as stream:
            stream.write(file)
    return path


def read(path: Path, **keys: Any) -> Recording:
    document = {"kind": "recorded", "path": str(path), "align": "go_time", "window_ms": [-200, 800], "bin_ms": 200.0}
    return read_recording(RecordedTargets.model_validate({**document, **keys}))


def trials_of(recording: Recording) -> tuple[int, int, dict[str, int]]:
    assert recording.table is not None
    assert recording.table.trials is not None
    trials = recording.table.trials
    assert sum(trials.dropped.values()) == trials.of - trials.used
    return trials.used, trials.of, dict(trials.dropped)


def test_all_trials_of_a_sound_session_are_averaged(tmp_path: Path) -> None:
    recording = read(session(tmp_path / "s.nwb"))
    assert trials_of(recording) == (8, 8, {})
    assert recording.remarks == ()
    np.testing.assert_allclose(recording.values, np.repeat(np.array(RATES_HZ)[:, None] * 0.01, 5, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(recording.times_ms, [-100.0, 100.0, 300.0, 500.0, 700.0])
    assert recording.unit_ids == ("20", "21", "22")
    assert list(recording.attributes) == ["id", "quality", "depth", "n_trials"]
    assert recording.table is not None
    assert recording.table.alignment == "go_time"


def test_a_list_of_values_takes_trials_with_any_of_them(tmp_path: Path) -> None:
    path = session(tmp_path / "s.nwb")
    assert trials_of(read(path, condition={"side": ["left", "right"]})) == (6, 8, {"other conditions": 2})
    assert trials_of(read(path, condition={"side": "right"})) == (2, 8, {"other conditions": 6})
    with pytest.raises(DataError, match="no trial has side: up; the column holds 'catch', 'left', 'right'"):
        read(path, condition={"side": ["left", "up"]})
    with pytest.raises(DataError, match="no trial has side: up or down; the column holds 'catch', 'left', 'right'"):
        read(path, condition={"side": ["up", "down"]})


def test_units_are_chosen_by_quality_and_area(tmp_path: Path) -> None:
    path = session(tmp_path / "s.nwb", area=True)
    good = read(path, select_units={"quality": "good"})
    assert good.unit_ids == ("20", "22")
    np.testing.assert_array_equal(good.attributes["depth"], [0.0, 200.0])
    assert list(good.attributes["location"]) == ["ALM", "ALM, M2"]
    assert read(path, select_units={"location": ["M2", "ALM"]}).unit_ids == ("20", "21")


def test_another_table_of_intervals_can_be_the_trials(tmp_path: Path) -> None:
    path = session(tmp_path / "s.nwb", table="presentations")
    assert trials_of(read(path, intervals="presentations")) == (8, 8, {})
    with pytest.raises(DataError, match="has no trials; set targets.intervals to one of its tables: presentations"):
        read(path)
    with pytest.raises(DataError, match="no rows in a table .* called 'epochs' .*choose one of presentations"):
        read(path, intervals="epochs")


def test_trials_that_cannot_be_averaged_are_left_out_and_counted(tmp_path: Path) -> None:
    starts = 3.0 * np.arange(14) + 1.0  # the recording ends at 26 s, in the middle of the ninth
    go = starts + 0.5
    go[1], go[2] = np.nan, starts[2] + 2.5
    recording = read(session(tmp_path / "s.nwb", starts=starts, go=go, invalid=(10.0, 11.0)))
    used, of, dropped = trials_of(recording)
    assert (used, of) == (5, 14)
    assert dropped == {
        "no time in go_time": 1,
        "go_time outside of the trial": 1,
        "in invalid_times": 1,
        "beyond the recording": 6,
    }
    np.testing.assert_allclose(recording.mean_rates_hz, RATES_HZ, rtol=1e-12)


def test_a_pause_of_the_recording_is_not_silence(tmp_path: Path) -> None:
    def paused(rate: float) -> np.ndarray:
        times = regular(rate)
        return times[(times < 9.0) | (times > 12.5)]

    recording = read(session(tmp_path / "s.nwb", spikes=paused))
    assert trials_of(recording) == (7, 8, {"without a spike of any unit": 1})
    np.testing.assert_allclose(recording.mean_rates_hz, RATES_HZ, rtol=1e-12)


def test_few_spikes_may_leave_a_trial_empty_by_chance(tmp_path: Path) -> None:
    recording = read(session(tmp_path / "s.nwb", spikes=lambda rate: regular(rate / 100.0)), min_rate_hz=0.0)
    assert trials_of(recording)[0] == 8


def test_windows_that_reach_into_the_next_are_said(tmp_path: Path) -> None:
    recording = read(session(tmp_path / "s.nwb"), window_ms=[-200, 3400])
    assert any("reach into that of the next" in remark and "3000 ms" in remark for remark in recording.remarks)
    stops = STARTS + 2.0
    stops[3] = STARTS[4] + 0.5
    few = read(session(tmp_path / "t.nwb", stops=stops))
    assert any("1 of its 8 trials begin before the one before has ended" in remark for remark in few.remarks)


def twice(rate: float) -> np.ndarray:
    times = regular(rate)
    return np.concatenate([times[times < 13.0], times[times < 13.0]])


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "times from the start of the trial": (
        {"go": np.linspace(0.4, 0.7, 8)},
        r"'go_time': 8 of 8 times lie outside of their trials, the first is 0\.4 s in a trial from 1 to 3 s \(counted",
    ),
    "one time for all": (
        {"go": np.full(8, 12.0), "starts": np.zeros(8), "stops": np.array([13.0 + k for k in range(8)])},
        "begin before the one before has ended",
    ),
    "all times relative": (
        {"starts": np.zeros(8), "stops": np.full(8, 2.0), "go": np.linspace(0.4, 0.7, 8)},
        r"7 of its 8 trials begin before the one before has ended.*counted from the start of each trial",
    ),
    "no time at all": ({"go": np.full(8, np.nan)}, "not one of the 8 chosen trials has a time in the column 'go_time'"),
    "spikes that start again": (
        {"spikes": twice},
        r"spike times of unit 20 do not ascend: 12\.9875 s is followed by 0\.0125 s \(spike 520 of 1040; 1 such",
    ),
    "trials after the recording": ({"starts": STARTS + 100.0}, "not one of the 8 chosen trials lies in the recording"),
    "spike times in ms": (
        {"spikes": lambda rate: regular(rate) * 1e3},
        r"spikes go from 8\.33333 to 25991\.7 s \(0\.042 Hz per unit\), its trials from 1\.5 to 22\.5 s",
    ),
    "all invalid": ({"invalid": (0.0, 99.0)}, "no trial is left: all overlap its invalid_times"),
}


@pytest.mark.parametrize("case", BAD)
def test_times_that_make_no_sense_are_refused(tmp_path: Path, case: str) -> None:
    options, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        read(session(tmp_path / "s.nwb", **options))
    assert "\n" not in str(caught.value)


def test_units_observed_in_some_trials_are_said(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = pynwb.NWBFile("session", "made up", datetime(2020, 1, 1, tzinfo=UTC))
        for start in STARTS:
            file.add_trial(start_time=start, stop_time=start + 2.0)
        for k, until in enumerate((26.0, 10.0)):
            file.add_unit(id=k, spike_times=regular(30.0, until), obs_intervals=[[0.0, until]])
        with pynwb.NWBHDF5IO(str(tmp_path / "s.nwb"), mode="w") as stream:
            stream.write(file)
    recording = read(tmp_path / "s.nwb", align="start_time", window_ms=[0, 1000])
    np.testing.assert_array_equal(recording.attributes["n_trials"], [8, 3])
    np.testing.assert_allclose(recording.mean_rates_hz, [30.0, 30.0], rtol=1e-12)
    assert recording.remarks == ("1 of 2 units were not observed in all 8 trials",)
