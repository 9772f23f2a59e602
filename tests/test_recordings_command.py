"""hpcspike recordings: what is understood of a file of any format, and a YAML that reads it just so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import yaml
from scipy.io import savemat

from hpcspike.cli import main
from hpcspike.model.build import recording_of
from hpcspike.model.recording_words import understood
from hpcspike.model.targets import build_targets
from hpcspike.spec import load

RATES_HZ = np.array([[8.25, 6.5, 10.0, 9.0], [1.25, 2.5, 1.0, 0.5], [20.0, 21.5, 19.0, 6.5]])
TIMES_MS = np.array([0.0, 20.0, 40.0, 60.0])
WITHOUT_TIMES = ["layout=unit_by_time", "sample_ms=20", "unit=Hz"]


def _text(path: Path) -> None:
    rows = [["time_ms", "a", "b", "c"], *np.column_stack([TIMES_MS, RATES_HZ.T]).tolist()]
    mark = "\t" if path.suffix == ".tsv" else ","
    path.write_text("\n".join(mark.join(map(str, row)) for row in rows))


def _dataset() -> xr.Dataset:
    times = ("time", TIMES_MS, {"units": "ms"})
    return xr.Dataset({"rate": (("unit", "time"), RATES_HZ, {"units": "Hz"})}, {"time": times})


def _julia(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("psth", data=RATES_HZ.T)


FILES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "r.csv": (_text, ["unit=Hz"]),
    "r.tsv": (_text, ["targets.unit=Hz"]),
    "r.nc": (lambda path: _dataset().to_netcdf(path, engine="h5netcdf"), []),
    "r.zarr": (lambda path: _dataset().to_zarr(path, zarr_format=3, consolidated=False), []),
    "r.npy": (lambda path: np.save(path, RATES_HZ), WITHOUT_TIMES),
    "r.npz": (lambda path: np.savez(path, rates=RATES_HZ, time_ms=TIMES_MS), ["unit=Hz"]),
    "r.mat": (lambda path: savemat(path, {"rates": RATES_HZ, "time_ms": TIMES_MS}), ["unit=Hz"]),
    "r.jld2": (_julia, WITHOUT_TIMES),
}


def options(keys: list[str]) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


@pytest.mark.parametrize("name", FILES)
def test_the_yaml_it_prints_reads_the_file(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, keys = FILES[name]
    make(tmp_path / name)
    assert main(["recordings", str(tmp_path / name), *options(keys)]) == 0
    text = capsys.readouterr().out
    comments = [line for line in text.splitlines() if line.startswith("# ")]
    assert comments[0].startswith(f"# {name} (")
    assert "3 units x 4 samples, 0 to 60 ms (60 ms, every 20 ms)" in comments[0]
    assert comments[1].startswith("# kept: 2 of 3 units (mean rate above 5 Hz): ")
    assert comments[2] == "# their rates: mean 12.6 Hz (8.44 to 16.8 Hz over units), 6.5 to 21.5 Hz over time"
    assert comments[3] == "# trained: 0 to 60 ms of 2 units, and 4 auxiliary neurons beside them"
    (tmp_path / "mine.yaml").write_text(text)
    experiment = load(tmp_path / "mine.yaml")
    recording = recording_of(experiment)
    assert recording is not None
    np.testing.assert_array_equal(recording.values, RATES_HZ[[0, 2]] * 0.01)
    assert main(["plan", str(tmp_path / "mine.yaml")]) == 0
    assert comments[0].removeprefix("# ") in capsys.readouterr().out


def test_a_file_that_can_be_read_in_several_ways_shows_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.npy"
    np.save(path, RATES_HZ)
    assert main(["recordings", str(path), *options(WITHOUT_TIMES[1:])]) == 2
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "# r.npy can be read in 2 ways; say which with one of"
    assert lines[1].startswith("#   --set layout=unit_by_time: 3 units x 4 samples, 0 to 60 ms")
    assert lines[2].startswith("#   --set layout=time_by_unit: 4 units x 3 samples, 0 to 40 ms")
    assert err.startswith(f"hpcspike: error: targets.path = {path}: its array has the shape 3 x 4")
    assert yaml.safe_load(out) is None


def test_a_threshold_that_no_unit_passes_is_named_after_what_was_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _text(tmp_path / "r.csv")
    assert main(["recordings", str(tmp_path / "r.csv"), *options(["unit=Hz", "min_rate_hz=50"])]) == 2
    out, err = capsys.readouterr()
    assert "# kept: 3 of 3 units (mean rate above 0 Hz): a, b, c" in out
    assert "lower targets.min_rate_hz below 16.8 Hz" in err


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("none.nc", [], "no such file"),
        ("none.nwb", [], "no such file"),
        ("r.txt", [], "files ending in '.txt' are not known"),
        ("r.nc", [], "cannot be read as netCDF"),
        ("r.csv", ["layout=unit_by_time"], "targets.layout has no effect"),
        ("r.csv", ["unit=parsec"], "targets.unit = 'parsec'"),
        ("r.csv", ["synapse.tau_syn_ms=3"], "must be a key of targets"),
        ("r.csv", ["path=other.csv"], "must be a key of targets"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    tmp_path: Path, name: str, keys: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not name.startswith("none"):
        (tmp_path / name).write_text("hello")
    assert main(["recordings", str(tmp_path / name), *options(keys)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_nwb_files_get_a_proposal_for_the_keys_they_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pynwb")
    from test_nwb_trials import session

    path = session(tmp_path / "s.nwb")
    assert main(["recordings", str(path), *options(["condition={side: [left, right]}", "bin_ms=100"])]) == 0
    text = capsys.readouterr().out
    assert "# side: left or right, 6 of 8 trials (left out: 2 other conditions), 0 ms is start_time" in text
    assert "# proposed, since not given: align: start_time, window_ms: [0.0, 2000.0]" in text
    assert "# align may be: start_time, stop_time, go_time" in text
    assert "# condition may choose by: side (catch, left, right)" in text
    assert "quality (good, mua)" in text
    (tmp_path / "mine.yaml").write_text(text)
    assert main(["plan", str(tmp_path / "mine.yaml")]) == 0
    capsys.readouterr()
    assert main(["recordings", str(path), *options(["align=go_time", "bin_ms=100"])]) == 0
    assert "window_ms: [-500.0, 1500.0]" in capsys.readouterr().out
    for key, message in (
        ("align=side", "'side' is not a column of times"),
        ("intervals=epochs", "called 'epochs'"),
        ("intervals=[a]", "targets.intervals = ['a']: must be a valid string"),
        ("bin_ms=none", "targets.bin_ms = 'none': must be a number in ms"),
    ):
        assert main(["recordings", str(path), "--set", key]) == 2
        assert message in capsys.readouterr().err


def test_the_stand_in_is_understood_as_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordings", "generated", *options(["n_units=4", "duration_ms=200"])]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# generated (made up, no file): 4 units x 11 samples, 0 to 200 ms")
    assert yaml.safe_load(text)["targets"]["path"] == "generated"


def test_the_window_can_be_cut_at_both_ends(tmp_path: Path) -> None:
    _text(tmp_path / "r.csv")
    document = {
        "targets": {
            "kind": "recorded", "path": "r.csv", "unit": "Hz", "start_ms": 10.0, "duration_ms": 40.0,
            "auxiliary_ratio": 0.0, "grid_ms": 10.0,
        },
        "training": {"variable": "rate", "update_interval_ms": 10.0},
    }  # fmt: skip
    (tmp_path / "cut.yaml").write_text(yaml.safe_dump(document))
    experiment = load(tmp_path / "cut.yaml")
    recording = recording_of(experiment)
    assert recording is not None
    assert understood(experiment, recording)[-1] == "trained: 10 to 50 ms of 2 units"
    targets = build_targets(experiment, range(2), n_neurons=2, duration_ms=40.0, recording=recording)
    expected = np.array([[6.5, 8.25, 10.0, 9.5], [21.5, 20.25, 19.0, 12.75]]) * 0.01  # at 20, 30, 40 and 50 ms
    np.testing.assert_allclose(targets[0], expected, rtol=1e-14)


@pytest.mark.parametrize("start", [-1.0, 60.0])
def test_a_begin_outside_of_the_recording_is_refused(
    tmp_path: Path, start: float, capsys: pytest.CaptureFixture[str]
) -> None:
    _text(tmp_path / "r.csv")
    assert main(["recordings", str(tmp_path / "r.csv"), *options(["unit=Hz", f"start_ms={start}"])]) == 2
    assert f"covers 0 to 60 ms, but targets.start_ms = {start:g} ms" in capsys.readouterr().err
    assert main(["recordings", str(tmp_path / "r.csv"), *options(["unit=Hz", "start_ms=30", "duration_ms=40"])]) == 2
    assert "covers 30 ms from targets.start_ms = 30 ms on, but targets.duration_ms = 40 ms" in capsys.readouterr().err
