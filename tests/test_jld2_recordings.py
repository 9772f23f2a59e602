"""JLD2 files: arrays come in as Julia wrote them, whatever order their dimensions have in HDF5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcspike.errors import DataError, SpecError
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.spec.load import validate_experiment
from hpcspike.spec.targets import RecordedTargets

TIME, UNITS, TASKS = 5, 3, 2
# as Julia would print utarg[t, i, k]
UTARG = np.arange(TIME)[:, None, None] + 10.0 * np.arange(UNITS)[None, :, None] + 100.0 * np.arange(TASKS)


def julia_file(path: Path, *, groups: bool = False, **variables: np.ndarray) -> Path:
    """What JLD2 writes of plain arrays: a header of 512 bytes, then HDF5 with column-major arrays."""
    with h5py.File(path, "w", userblock_size=512, libver=("v108", "v108")) as file:
        types = file.create_group("_types")
        types.create_dataset("00000001", data=np.zeros((4, 4)))  # what names its Julia types is no variable
        for name, values in variables.items():
            key = f"group/{name}" if groups else name
            file.create_dataset(key, data=np.ascontiguousarray(np.asarray(values).T))
    header = b"HDF5-based Julia Data Format, version 0.1.1\x00 (Julia 1.9.0 64-bit LE)\x00"
    with path.open("r+b") as file:
        file.write(header)
    return path


def list_of_matrices(path: Path) -> Path:
    """What JLD wrote of a vector of matrices, one per task."""
    with h5py.File(path, "w", userblock_size=512) as file:
        parts = [file.create_dataset(f"_refs/{k:08d}", data=UTARG[:, :, k].T) for k in range(TASKS)]
        file.create_dataset("xtarg", data=[part.ref for part in parts], dtype=h5py.ref_dtype)
    return path


def read(path: Path, **changes: Any) -> Recording:
    document = {
        "kind": "recorded", "path": str(path), "holds": "drive", "sample_ms": 10.0, "n_units": None,
        "layout": "time_by_unit", **changes,
    }  # fmt: skip
    return read_recording(RecordedTargets.model_validate(document))


def test_the_file_of_these_tests_begins_as_jld2_files_do(tmp_path: Path) -> None:
    content = julia_file(tmp_path / "u.jld2", utarg=UTARG).read_bytes()
    assert content.startswith(b"HDF5-based Julia Data Format")
    assert content[512:521] == b"\x89HDF\r\n\x1a\n\x02"  # superblock of version 2, which is what JLD2 writes


@pytest.mark.parametrize("suffix", [".jld2", ".jld", ".JLD2"])
def test_targets_of_trainspikingnet_are_unit_by_time_here(tmp_path: Path, suffix: str) -> None:
    recording = read(julia_file(tmp_path / f"u{suffix}", utarg=UTARG[:, :, 0]))
    np.testing.assert_array_equal(recording.values, UTARG[:, :, 0].T)
    np.testing.assert_array_equal(recording.times_ms, [0.0, 10.0, 20.0, 30.0, 40.0])
    assert recording.unit_ids == ("1", "2", "3")


def test_the_other_order_can_be_said(tmp_path: Path) -> None:
    path = julia_file(tmp_path / "u.jld2", rates=UTARG[:, :, 0].T)
    np.testing.assert_array_equal(read(path, layout="unit_by_time").values, UTARG[:, :, 0].T)
    np.testing.assert_array_equal(read(path, layout="time_by_unit").values, UTARG[:, :, 0])


@pytest.mark.parametrize("make", [lambda path: julia_file(path, utarg=UTARG), list_of_matrices])
def test_one_of_several_tasks_is_read_by_its_number_in_julia(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "u.jld2")
    for task in (1, 2):
        np.testing.assert_array_equal(read(path, task=task).values, UTARG[:, :, task - 1].T)


def test_a_single_task_needs_no_number(tmp_path: Path) -> None:
    path = julia_file(tmp_path / "u.jld2", utarg=UTARG[:, :, :1].astype(np.float32))
    np.testing.assert_array_equal(read(path).values, UTARG[:, :, 0].T)
    np.testing.assert_array_equal(read(path, task=1).values, UTARG[:, :, 0].T)


def test_rates_become_spikes_per_tau_and_slow_units_are_left_out(tmp_path: Path) -> None:
    path = julia_file(tmp_path / "r.jld2", psth=UTARG[:, :, 0], extra=np.ones(4), groups=True)
    recording = read(path, holds="rate", unit="Hz", variable="group/psth")
    np.testing.assert_array_equal(recording.values, UTARG[:, 1:, 0].T * 0.01)
    assert recording.unit_ids == ("2", "3")


def test_a_network_is_built_for_targets_of_julia(tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    from hpcspike.engine.distribute import build_problem

    path = julia_file(tmp_path / "u.jld2", utarg=UTARG[:, :, 0] / 10.0)
    targets = {
        "kind": "recorded", "path": str(path), "holds": "drive", "sample_ms": 10.0, "n_units": None,
        "auxiliary_ratio": 1.0, "layout": "time_by_unit",
    }  # fmt: skip
    problem = build_problem(validate_experiment({**tiny_document, "network": {}, "targets": targets}))
    assert problem.n_neurons == 2 * UNITS
    np.testing.assert_allclose(problem.targets[0, :UNITS, 9::10], UTARG[1:, :, 0].T / 10.0)


BAD: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str, str]] = {
    # how it is made, keys of targets, what the message says was found, what it says to do
    "not HDF5": (lambda p: p.write_bytes(b"HDF5-based Julia"), {}, "cannot be read as JLD2", "check the file"),
    "folder": (lambda p: p.mkdir(), {}, "is a folder", "give a JLD2 file"),
    "several tasks": (lambda p: julia_file(p, utarg=UTARG), {}, "holds 2 tasks", "targets.task to 1 to 2"),
    "no such task": (lambda p: julia_file(p, utarg=UTARG), {"task": 3}, "targets.task = 3, but it holds 2", "1 to 2"),
    "no tasks": (lambda p: julia_file(p, u=UTARG[:, :, 0]), {"task": 1}, "its array has no tasks", "leave it out"),
    "several arrays": (
        lambda p: julia_file(p, a=UTARG[:, :, 0], b=UTARG[:, :, 1]),
        {},
        "several arrays (a (5, 3), b (5, 3))",
        "targets.variable to one of ['a', 'b']",
    ),
    "no such array": (lambda p: julia_file(p, a=UTARG), {"variable": "u"}, "'u' is not in it (it holds a", "choose"),
    "vector": (lambda p: julia_file(p, a=np.ones(4)), {}, "holds no array of numbers over time and unit", "(time, un"),
    "named vector": (lambda p: julia_file(p, a=np.ones(4)), {"variable": "a"}, "a (4) is no array", "(time, unit)"),
    "nothing": (lambda p: julia_file(p), {}, "it holds no arrays", "give an array"),
    "no interval": (lambda p: julia_file(p, a=UTARG[:, :, 0]), {"sample_ms": None}, "no time axis", "sample_ms"),
    "no unit": (lambda p: julia_file(p, a=UTARG[:, :, 0]), {"holds": "rate"}, "is not given", "Hz, kHz or per_tau"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_path_finding_and_remedy(tmp_path: Path, case: str) -> None:
    make, changes, found, remedy = BAD[case]
    path = tmp_path / "u.jld2"
    make(path)
    with pytest.raises(DataError) as caught:
        read(path, **changes)
    message = str(caught.value)
    assert message.startswith(f"targets.path = {path}: ")
    assert found in message
    assert remedy in message


@pytest.mark.parametrize(("key", "value"), [("task", 1), ("layout", "unit_by_time")])
def test_keys_of_julia_files_are_refused_elsewhere(tiny_document: dict[str, Any], key: str, value: Any) -> None:
    targets = {"kind": "recorded", "path": "r.csv", key: value}
    with pytest.raises(SpecError, match=rf"targets.{key} has no effect: targets.path = r.csv is a CSV file; leave"):
        validate_experiment({**tiny_document, "network": {}, "targets": targets})
