"""NWB files: spike times and trials become trial-averaged rates, and what is missing is named."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError, ResourceError, SpecError
from hpcspike.model.nwb_recordings import trial_averaged_rate
from hpcspike.model.recordings import read_recording
from hpcspike.spec.load import validate_experiment
from hpcspike.spec.targets import RecordedTargets

GO = np.array([2.0, 5.0, 9.0, 14.0])
SIDE = ["left", "right", "left", "left"]
CORRECT = [True, True, False, True]


def asked(path: Path, **changes: Any) -> RecordedTargets:
    document = {
        "kind": "recorded", "path": str(path), "align": "go_time", "window_ms": [-500, 500], "n_units": None,
        "min_rate_hz": 0.0, **changes,
    }  # fmt: skip
    return RecordedTargets.model_validate({key: value for key, value in document.items() if value is not ...})


def spikes_at(offsets: list[float], trials: np.ndarray = GO) -> np.ndarray:
    """Spikes at the same times (s) around the go cue of every trial."""
    return np.sort((trials[:, None] + np.array(offsets)).ravel())


UNITS = {"a": spikes_at([-0.49, 0.01, 0.02]), "b": spikes_at([0.3], GO[[0]]), "c": spikes_at([0.1, 0.7], GO[[1, 3]])}


def write(
    path: Path,
    units: dict[str, Any] | None = UNITS,
    *,
    columns: dict[str, Any] | None = None,
    trials: bool = True,
    spike_times: bool = True,
    observed: dict[str, Any] | None = None,
) -> Path:
    pynwb = pytest.importorskip("pynwb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = pynwb.NWBFile("session", "made up", datetime(2020, 1, 1, tzinfo=UTC))
        if trials:
            given = {"go_time": GO, "side": SIDE, "correct": CORRECT} if columns is None else columns
            for name in given:
                file.add_trial_column(name, name)
            for k in range(len(GO)):
                row = {name: values[k] for name, values in given.items()}
                file.add_trial(start_time=GO[k] - 1.0, stop_time=GO[k] + 1.0, **row)
        for number, (name, times) in enumerate((units or {}).items()):
            options: dict[str, Any] = {"spike_times": times} if spike_times else {}
            if observed is not None:
                options["obs_intervals"] = observed[name]
            file.add_unit(id=10 + number, **options)
        with pynwb.NWBHDF5IO(str(path), mode="w") as stream:
            stream.write(file)
    return path


# ---- rates -----------------------------------------------------------------------------------------------------------


def test_spikes_become_trial_averaged_rates_in_bins_around_the_aligned_time(tmp_path: Path) -> None:
    recording = read_recording(asked(write(tmp_path / "r.nwb")), tau_ms=20.0)
    np.testing.assert_allclose(recording.times_ms, np.arange(-490.0, 500.0, 20.0))
    assert recording.unit_ids == ("10", "11", "12")
    hz = recording.values / 0.02
    expected = np.zeros((3, 50))
    expected[0, [0, 25, 26]] = 50.0  # one spike per trial in a bin of 20 ms
    expected[1, 40] = 50.0 / 4
    expected[2, 30] = 50.0 / 2
    np.testing.assert_allclose(hz, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("condition", "rate_of_b", "rate_of_c"),
    [
        ({"side": "left"}, 50.0 / 3, 50.0 / 3),
        ({"side": "right"}, 0.0, 50.0),
        ({"correct": True}, 50.0 / 3, 100.0 / 3),
        ({"correct": False}, 0.0, 0.0),
        ({"side": "left", "correct": True}, 25.0, 25.0),
    ],
)
def test_conditions_choose_trials(
    tmp_path: Path, condition: dict[str, Any], rate_of_b: float, rate_of_c: float
) -> None:
    # unit a fires alike in all trials and is always kept; silent units are not
    recording = read_recording(asked(write(tmp_path / "r.nwb"), condition=condition))
    highest = {name: values.max() / 0.01 for name, values in zip(recording.unit_ids, recording.values, strict=True)}
    assert highest["10"] == pytest.approx(50.0)
    assert highest.get("11", 0.0) == pytest.approx(rate_of_b)
    assert highest.get("12", 0.0) == pytest.approx(rate_of_c)


def test_slow_units_are_left_out_and_unaligned_trials_do_not_count(tmp_path: Path) -> None:
    columns = {"go_time": [*GO[:3], np.nan], "side": SIDE}
    path = write(tmp_path / "r.nwb", columns=columns)
    recording = read_recording(asked(path, min_rate_hz=0.5))
    assert recording.unit_ids == ("10",)
    assert recording.mean_rates_hz == pytest.approx([3.0])
    everyone = read_recording(asked(path))
    assert everyone.values[1].max() / 0.01 == pytest.approx(50.0 / 3)


def test_only_trials_in_which_a_unit_was_observed_count_for_it(tmp_path: Path) -> None:
    observed = {"a": [[0.0, 20.0]], "b": [[0.0, 6.0]], "c": [[100.0, 200.0]]}
    recording = read_recording(asked(write(tmp_path / "r.nwb", observed=observed)))
    assert recording.unit_ids == ("10", "11")  # c was never observed
    assert recording.values[1].max() / 0.01 == pytest.approx(25.0)  # b in two trials, in one of which it fired


def test_a_rate_is_smoothed_without_loss_and_its_ends_are_not_bent() -> None:
    constant = np.arange(0.0, 20.0, 0.005)
    flat = trial_averaged_rate(constant, np.array([10.0]), window_ms=(-300.0, 400.0), bin_ms=10.0, smoothing_ms=50.0)
    np.testing.assert_allclose(flat, 200.0, rtol=1e-9)
    one = trial_averaged_rate(
        np.array([10.0051]), np.array([10.0]), window_ms=(-500.0, 500.0), bin_ms=10.0, smoothing_ms=40.0
    )
    time = np.arange(-495.0, 500.0, 10.0)
    assert one.sum() * 0.01 == pytest.approx(1.0, rel=1e-6)
    gauss = np.exp(-0.5 * ((time - 5.0) / 40.0) ** 2) / (40e-3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(one, gauss, atol=0.01)


def test_a_spike_on_the_edge_belongs_to_the_later_bin() -> None:
    rate = trial_averaged_rate(np.array([1.1, 1.3]), np.array([1.0]), window_ms=(0.0, 300.0), bin_ms=100.0)
    np.testing.assert_allclose(rate, [0.0, 10.0, 0.0])


# ---- what is refused -------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str, str]] = {
    "missing": (lambda p: None, {}, "no such file", "give the path of a recording"),
    "folder": (lambda p: p.mkdir(), {}, "is a folder", "NWB file in HDF5"),
    "not HDF5": (lambda p: p.write_bytes(b"hello"), {}, "cannot be read as NWB", "check the file"),
    "truncated": (lambda p: p.write_bytes(write(p).read_bytes()[:4000]), {}, "cannot be read as NWB", "check"),
    "no trials": (lambda p: write(p, trials=False), {}, "has no trials", "table of trials"),
    "no units": (lambda p: write(p, units={}), {}, "has no units", "sorted units"),
    "no spikes": (lambda p: write(p, spike_times=False), {}, "no spike_times", "spike times"),
    "unknown column": (write, {"align": "cue"}, "targets.align = 'cue' is not a column", "go_time, side, correct"),
    "column of words": (write, {"align": "side"}, "'side' is not a column of times", "choose one of"),
    "unknown condition": (write, {"condition": {"hand": "left"}}, "targets.condition = 'hand'", "choose one of"),
    "no such trial": (write, {"condition": {"side": "up"}}, "no trial has side = 'up'", "holds 'left', 'right'"),
    "no common trial": (
        write,
        {"condition": {"side": "right", "correct": False}},
        "no trial meets all",
        "leave one of its columns out",
    ),
    "no time": (
        lambda p: write(p, columns={"go_time": [np.nan] * 4}),
        {},
        "not one of the 4 chosen trials has a time",
        "choose another",
    ),
    "bad spike": (lambda p: write(p, units={"a": [1.0, np.nan]}), {}, "unit 10 is not finite", "remove it"),
    "silent": (
        lambda p: write(p, units={"a": [100.0]}),
        {},
        "none of its 1 unit",
        "all rates are 0: choose another",
    ),
    "too short": (write, {"duration_ms": 1000.0}, "covers 980 ms", "at most 980 ms"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_path_finding_and_remedy(tmp_path: Path, case: str) -> None:
    pytest.importorskip("pynwb")
    make, changes, found, remedy = BAD[case]
    path = tmp_path / "r.nwb"
    make(path)
    with pytest.raises(DataError) as caught:
        read_recording(asked(path, **changes))
    message = str(caught.value)
    assert message.startswith(f"targets.path = {path}: ")
    assert found in message
    assert remedy in message
    assert "\n" not in message


def test_without_pynwb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.nwb"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ResourceError, match=r"pip install 'hpcspike\[nwb\]'"):
        read_recording(asked(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"align": ...}, "targets.align is missing, which NWB files need"),
        ({"window_ms": ...}, "targets.window_ms is missing"),
        ({"window_ms": [500, -500]}, "must be a whole number, at least 2, of bins of 20 ms"),
        ({"window_ms": [0, 90]}, "of bins of 20 ms"),
        ({"bin_ms": 30.0}, "of bins of 30 ms"),
        ({"unit": "Hz"}, "targets.unit has no effect: targets.path = r.nwb is an NWB file"),
        ({"sample_ms": 1.0}, "targets.sample_ms has no effect"),
        ({"holds": "drive"}, "gives rates; choose holds: rate"),
        (
            {"path": "r.csv"},
            "targets.align, targets.window_ms have no effect: targets.path = r.csv is a CSV file; leave them out",
        ),
        ({"path": "r.npy", "align": ..., "window_ms": ..., "condition": {"a": 1}}, "targets.condition has no effect"),
    ],
)
def test_keys_that_do_not_fit_the_source_are_refused(changes: dict[str, Any], message: str) -> None:
    targets = {"kind": "recorded", "path": "r.nwb", "align": "go_time", "window_ms": [-500, 500], **changes}
    document = {
        "targets": {key: value for key, value in targets.items() if value is not ...},
        "training": {"variable": "drive" if targets.get("holds") == "drive" else "rate"},
    }
    with pytest.raises(SpecError) as caught:
        validate_experiment(document)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
