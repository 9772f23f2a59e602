"""NPY, NPZ and MATLAB files: the order of dimensions is said by key or time axis, never assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hpcspike.errors import DataError, SpecError
from hpcspike.identity import experiment_hash
from hpcspike.model.recording_table import AmbiguousRecording
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.spec.load import validate_experiment
from hpcspike.spec.recorded import RecordedTargets

RATES_HZ = 6.5 + np.arange(15.0).reshape(3, 5) ** 1.5
TIMES_MS = np.array([10.0, 30.0, 50.0, 70.0, 90.0])


def read(path: Path, **keys: Any) -> Recording:
    document = {"kind": "recorded", "path": str(path), "unit": "Hz", "min_rate_hz": 0.0, **keys}
    return read_recording(RecordedTargets.model_validate(document))


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def mat_5(path: Path, **arrays: Any) -> Path:
    savemat(path, arrays)
    return path


def mat_7_3(path: Path, **arrays: Any) -> Path:
    """What MATLAB's save -v7.3 writes of arrays and texts: HDF5 with reversed dimensions behind 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if isinstance(value, str):
                item = file.create_dataset(name, data=np.array([[ord(letter)] for letter in value], dtype=np.uint16))
                item.attrs["MATLAB_class"] = np.bytes_("char")
            else:
                item = file.create_dataset(name, data=np.atleast_2d(value).T)
                item.attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


MAKERS = {"r.npz": npz, "r5.mat": mat_5, "r73.mat": mat_7_3}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("transposed", [False, True])
def test_the_time_axis_of_the_file_tells_which_dimension_is_time(tmp_path: Path, name: str, transposed: bool) -> None:
    array = RATES_HZ.T if transposed else RATES_HZ
    recording = read(MAKERS[name](tmp_path / name, rates=array, time_ms=TIMES_MS, depth=np.array([7.0, 8.0, 9.5])))
    np.testing.assert_array_equal(recording.values, RATES_HZ * 0.01)
    np.testing.assert_array_equal(recording.times_ms, TIMES_MS)
    np.testing.assert_array_equal(recording.attributes["depth"], [7.0, 8.0, 9.5])
    layout = "time_by_unit" if transposed else "unit_by_time"
    assert any(f"read as 3 units x 5 samples (layout {layout})" in remark for remark in recording.remarks)
    with pytest.raises(DataError, match="but its time axis has 5"):
        read(tmp_path / name, layout="unit_by_time" if transposed else "time_by_unit")


@pytest.mark.parametrize("name", [*MAKERS, "r.npy"])
def test_without_a_time_axis_the_layout_must_be_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "r.npy":
        np.save(path, RATES_HZ)
    else:
        MAKERS[name](path, rates=RATES_HZ)
    with pytest.raises(
        AmbiguousRecording, match="unit_by_time: 3 units x 5 samples; time_by_unit: 5 units x 3"
    ) as caught:
        read(path, sample_ms=20.0)
    assert caught.value.readings == [{"layout": "unit_by_time"}, {"layout": "time_by_unit"}]
    np.testing.assert_array_equal(read(path, sample_ms=20.0, layout="unit_by_time").values, RATES_HZ * 0.01)
    np.testing.assert_array_equal(read(path, sample_ms=20.0, layout="time_by_unit").values, RATES_HZ.T * 0.01)


@pytest.mark.parametrize(("key", "value"), [("n_units", 4), ("duration_ms", 80.0)])
def test_keys_that_leave_one_order_decide_and_it_is_said(tmp_path: Path, key: str, value: Any) -> None:
    np.save(tmp_path / "r.npy", RATES_HZ)
    recording = read(tmp_path / "r.npy", sample_ms=20.0, **{key: value})
    expected = RATES_HZ.T[:4] if key == "n_units" else RATES_HZ
    np.testing.assert_array_equal(recording.values, expected * 0.01)
    assert any("would be" in remark for remark in recording.remarks)


def test_names_texts_and_the_unit_come_from_the_file(tmp_path: Path) -> None:
    path = npz(
        tmp_path / "r.npz", rates=RATES_HZ / 1000, time_s=TIMES_MS / 1000, names=np.array(["x", "y", "z"]), units="kHz"
    )
    recording = read(path, unit=None, select_units={"names": ["x", "z"]})
    np.testing.assert_allclose(recording.values, RATES_HZ[[0, 2]] * 0.01, rtol=1e-14)
    np.testing.assert_allclose(recording.times_ms, TIMES_MS)
    assert recording.unit_ids == ("x", "z")
    cells = np.empty((1, 3), dtype=object)
    cells[0] = ["p", "q", "r"]
    path = mat_5(tmp_path / "r.mat", rates=RATES_HZ, time_ms=TIMES_MS, unit_names=cells, units="Hz")
    assert read(path, unit=None).unit_ids == ("p", "q", "r")
    path = mat_7_3(tmp_path / "n.mat", rates=RATES_HZ, time_ms=TIMES_MS, units="kHz")
    with pytest.raises(DataError, match="is 'kHz' as the file says, but targets.unit = Hz"):
        read(path)


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "several arrays": (
        {"a": RATES_HZ, "b": RATES_HZ},
        {},
        r"several 2-D arrays \(a 3 x 5, b 3 x 5\); set",
    ),
    "no such array": ({"a": RATES_HZ}, {"variable": "b"}, "targets.variable = 'b' is not in it"),
    "four dimensions": ({"a": np.ones((2, 3, 4, 5))}, {}, "no 2-D array of numbers to use .it holds a 2 x 3 x 4 x 5"),
    "conditions": ({"a": np.ones((2, 3, 4))}, {}, "2 x 3 x 4 as Python shows it, of which the first .* 2 conditions"),
    "a named vector": ({"a": np.ones(4), "b": RATES_HZ}, {"variable": "a"}, "a is no 2-D array of numbers"),
    "times of no unit": ({"a": RATES_HZ, "t": TIMES_MS}, {}, "'t' does not say in which unit the times are"),
    "no times": ({"a": RATES_HZ}, {"time_unit": "ms"}, "has no time axis .*, but targets.time_unit = ms"),
    "two axes": ({"a": RATES_HZ, "time_ms": TIMES_MS}, {"sample_ms": 20.0}, "has a time axis, but targets.sample_ms"),
    "one sample": (
        {"a": np.ones((3, 2))[:, :1]},
        {"variable": "a", "layout": "unit_by_time", "sample_ms": 1.0},
        "1 samples",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_decided_is_refused(tmp_path: Path, case: str) -> None:
    arrays, keys, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read(npz(tmp_path / "r.npz", **arrays), **keys)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and nothing", b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"])
@pytest.mark.parametrize("name", ["r.npz", "r.mat"])
def test_damaged_files_are_unreadable_in_words(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as (NPZ|MATLAB) .*; check the file"):
        read(tmp_path / name)


def test_saying_the_former_order_of_an_npy_file_is_the_same_experiment(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", RATES_HZ)

    def identity(**keys: Any) -> str:
        targets = {"kind": "recorded", "path": str(tmp_path / "r.npy"), "unit": "Hz", "sample_ms": 20.0, **keys}
        return experiment_hash(validate_experiment({"targets": targets, "training": {"variable": "rate"}}))

    assert identity(layout="unit_by_time") == identity() != identity(layout="time_by_unit")
    assert identity(start_ms=None, select_units={}, time_unit=None) == identity() != identity(start_ms=20.0)


@pytest.mark.parametrize("wanted", [[], [["x"]], {"a": 1}, None])
def test_a_choice_of_units_is_a_value_or_a_list(wanted: Any) -> None:
    targets = {"kind": "recorded", "path": "r.npz", "select_units": {"area": wanted}}
    with pytest.raises(
        SpecError, match=r"targets\.select_units\.area = .*: must be a text, a number, true or false, or a list"
    ) as caught:
        validate_experiment({"targets": targets, "training": {"variable": "rate"}})
    assert "\n" not in str(caught.value)
