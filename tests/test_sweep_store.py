"""The store on disk: made whole or not at all, refused when it is another's, written by one batch per chunk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.errors import ResourceError, StoreError
from hpcspike.files import unfinished_beside
from hpcspike.identity import experiment_hash
from hpcspike.spec import Sweep, validate_sweep
from hpcspike.sweep import layout
from hpcspike.sweep.grid import PLANNED, build_grid
from hpcspike.sweep.growth import ensure_store, planned
from hpcspike.sweep.integrity import sealed_metadata
from hpcspike.sweep.layout import create_store
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.sweep.writer import BatchWriter
from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS

WRITTEN = {**POINT_RESULTS, **POINT_PROVENANCE}
"""What batches write to a new store."""


def sweep_of(**changes: Any) -> Sweep:
    return validate_sweep(sweep_document(**changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "little.zarr"


@pytest.fixture
def store(path: Path) -> SweepStore:
    ensure_store(path, sweep_of())
    return open_store(path, writable=True)


def values_of(store: SweepStore, row: int) -> dict[str, Any]:
    result = stub_point(store.experiments([row])[row])
    provenance = {"wall_seconds": 1.5, "peak_memory": 300.0, "n_ranks": 1, "n_threads": 1, "run": 0}
    return {**result.scalars, **result.curves, **provenance}


def write(store: SweepStore, row: int, values: dict[str, Any] | None = None) -> None:
    """Put one point on disk."""
    writer = BatchWriter(store, int(store.batch_of_row[row]))
    writer.add(row, values_of(store, row) if values is None else values)
    writer.flush()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# ---- making it -------------------------------------------------------------------------------------------------------


def test_a_new_store_holds_all_points_and_no_results(store: SweepStore) -> None:
    with xr.open_zarr(store.path) as dataset:
        assert dict(dataset.sizes) == {"point": 12, "loop": 2}
        assert set(dataset.data_vars) == set(WRITTEN)
        assert set(dataset.coords) == {*POINT_PARAMETERS, *PLANNED, "loop"}
        for name, variable in WRITTEN.items():
            assert np.array_equal(dataset[name].values, np.full(dataset[name].shape, variable.fill), equal_nan=True), (
                name
            )
            assert dataset[name].dtype == np.dtype(variable.dtype)
    assert not store.done().any()
    assert (store.n_points, len(store.batches), store.chunk) == (12, 3, 4)


def test_every_array_has_units_and_a_meaning(path: Path) -> None:
    ensure_store(path, sweep_of(axes={"training.ridge": [1.0, 2.0], "training.dtype": ["float32", "float64"]}))
    group = zarr.open_group(path, mode="r")
    for name, array in group.arrays():
        assert array.attrs["units"], name
        assert len(array.attrs["long_name"]) > 4, name
        assert array.metadata.dimension_names in (("point",), ("point", "loop"), ("loop",))


def test_rows_are_the_experiments_that_were_planned(store: SweepStore) -> None:
    experiments = store.experiments(list(range(12)))
    grid = build_grid(sweep_of())
    assert sorted(experiment_hash(experiment) for experiment in experiments.values()) == sorted(grid.hashes)
    with xr.open_zarr(store.path) as dataset:
        for row, experiment in experiments.items():
            assert dataset["tau_syn_ms"].values[row] == experiment.synapse.tau_syn_ms
            assert dataset["tau_corr_ms"].values[row] == experiment.targets.tau_corr_ms
            assert dataset["replicate"].values[row] == experiment.replicate
            assert dataset["experiment_hash"].values[row] == experiment_hash(experiment)
            assert dataset["batch"].values[row] == row // 4


def test_swept_text_and_truth_values_survive(path: Path) -> None:
    experiment = {**sweep_document()["experiment"], "connectivity": {"kind": "gaussian"}}
    axes = {"training.dtype": ["float32", "float64"], "connectivity.zero_row_sum": [True, False]}
    ensure_store(path, sweep_of(experiment=experiment, axes=axes))
    with xr.open_zarr(path) as dataset:
        pairs = set(zip(dataset["dtype"].values.tolist(), dataset["zero_row_sum"].values.tolist(), strict=True))
    assert pairs == {("float32", True), ("float32", False), ("float64", True), ("float64", False)}


def test_a_store_that_could_not_be_made_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr, "consolidate_metadata", full)
    with pytest.raises(StoreError, match="cannot be created .No space left on device."):
        ensure_store(path, sweep_of())
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_planner_left_is_removed(path: Path) -> None:
    dead, other = unfinished_beside(path), unfinished_beside(path.with_name("other.zarr"))
    for folder in (dead, other):
        folder.mkdir()
        (folder / "zarr.json").write_text("{}")
    ensure_store(path, sweep_of())
    assert not dead.exists()
    assert other.exists()


def test_a_planner_that_was_overtaken_does_not_touch_the_winner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*_: Any, **__: Any) -> None:
        path.mkdir()
        (path / "winner").write_text("here")

    monkeypatch.setattr(zarr, "consolidate_metadata", overtaken)
    with pytest.raises(StoreError, match="was made by another process meanwhile"):
        create_store(path, planned(build_grid(sweep_of())))
    assert snapshot(path.parent) == {f"{path.name}/winner": b"here"}


def test_too_little_disk_is_said_before_anything_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(layout.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(ResourceError, match="the disk has 1 MB free"):
        ensure_store(path, sweep_of())
    assert list(path.parent.iterdir()) == []


def test_the_predicted_size_bounds_the_real_one(store: SweepStore) -> None:
    table = planned(build_grid(sweep_of()))
    for batch in range(len(store.batches)):
        writer = BatchWriter(store, batch)
        for row in writer.points:
            writer.add(row, values_of(store, row))
        writer.flush()
    files = [file for file in store.path.rglob("*") if file.is_file()]
    arrays = [file for file in files if file.name != "zarr.json"]
    assert sum(file.stat().st_size for file in arrays) < 4 * table.predicted_bytes()  # tiny chunks carry headers
    assert len(files) == pytest.approx(table.predicted_files(), rel=0.3)


# ---- opening it ------------------------------------------------------------------------------------------------------


def test_the_same_sweep_finds_its_store_again(store: SweepStore, path: Path) -> None:
    before = snapshot(path)
    _, added = ensure_store(path, sweep_of(name="renamed", batching={"max_points": 2}))
    assert added == 0
    assert snapshot(path) == before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"replicates": 1}, "replicates = 2 in the store, 1 now"),
        (
            {"axes": {"synapse.tau_syn_ms": [5.0, 20.0], "targets.tau_corr_ms": [50.0, 100.0]}},
            "axes.synapse.tau_syn_ms = [5.0, 20.0, 100.0] in the store, [5.0, 20.0] now",
        ),
        (
            {"axes": {"targets.tau_corr_ms": [50.0, 100.0]}},
            "axes.synapse.tau_syn_ms = [5.0, 20.0, 100.0] in the store, absent",
        ),
        (
            {"experiment": {**sweep_document()["experiment"], "seed": 7}},
            "experiment.seed = absent in the store, 7 now",
        ),
    ],
)
def test_a_store_of_another_sweep_is_refused_with_the_difference(
    store: SweepStore, path: Path, changes: dict[str, Any], difference: str
) -> None:
    before = snapshot(path)
    with pytest.raises(StoreError, match="belongs to another sweep") as caught:
        ensure_store(path, sweep_of(**changes))
    assert difference in str(caught.value)
    assert "give this sweep another name" in str(caught.value)
    assert snapshot(path) == before


def test_a_changed_file_of_targets_makes_another_sweep(path: Path, tmp_path: Path) -> None:
    rates = tmp_path / "rates.npy"
    np.save(rates, np.full((3, 50), 10.0))
    experiment = {
        "targets": {
            "kind": "recorded",
            "path": str(rates),
            "sample_ms": 2.0,
            "unit": "Hz",
            "n_units": 3,
            "layout": "unit_by_time",
        },  # fmt: skip
        "training": {"variable": "rate"},
    }
    sweep = sweep_of(experiment=experiment, axes={"training.ridge": [0.1, 1.0]})
    store, _ = ensure_store(path, sweep)
    np.save(rates, np.full((3, 50), 11.0))
    with pytest.raises(StoreError, match="the sweep reads the same, but its points differ: a file of targets"):
        ensure_store(path, sweep)
    with pytest.raises(StoreError, match="point 0 is no longer the experiment that was planned"):
        store.experiments([0])


def make_file(path: Path) -> None:
    path.write_text("text")


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("text")


def make_other_store(path: Path) -> None:
    xr.Dataset({"x": ("t", np.arange(3))}).to_zarr(path, zarr_format=3, consolidated=False)


def make_broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("make", [make_file, make_folder, make_other_store, make_broken_link])
def test_a_path_that_is_something_else_is_refused_and_left_alone(path: Path, make: Any) -> None:
    make(path)
    before = snapshot(path.parent)
    with pytest.raises(StoreError, match=str(path)):
        ensure_store(path, sweep_of())
    assert snapshot(path.parent) == before


def test_a_store_of_another_layout_is_refused(store: SweepStore, path: Path) -> None:
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["hpcspike_schema"] = 99
    (path / "zarr.json").write_text(json.dumps(sealed_metadata(metadata)))
    with pytest.raises(StoreError, match="has layout version 99, this hpcspike .* reads version 4"):
        open_store(path)


def test_a_missing_store_says_how_to_make_it(path: Path) -> None:
    with pytest.raises(StoreError, match="no such store; make it with 'hpcspike plan CONFIG --create'"):
        open_store(path)


# ---- writing it ------------------------------------------------------------------------------------------------------


def test_a_written_row_is_read_back_and_no_other_row_changes(store: SweepStore) -> None:
    writer = BatchWriter(store, 1)
    values = values_of(store, 6)
    writer.add(6, values)
    assert not store.done().any()
    writer.flush()
    with xr.open_zarr(store.path) as dataset:
        dataset.load()
        for name in (*POINT_RESULTS, *POINT_PROVENANCE):
            expected = 1 if name == "done" else values[name]
            assert np.array_equal(dataset[name].values[6], expected), name
            others = np.delete(dataset[name].values, 6, axis=0)
            assert np.array_equal(others, np.full(others.shape, WRITTEN[name].fill), equal_nan=True), name
    assert np.flatnonzero(store.done()).tolist() == [6]
    assert BatchWriter(store, 1).missing() == [4, 5, 7]


def test_done_is_written_after_everything_else(store: SweepStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    put = zarr.Array.__setitem__
    monkeypatch.setattr(
        zarr.Array, "__setitem__", lambda self, *args: (written.append(self.basename), put(self, *args))
    )
    write(store, 0)
    assert set(written) == set(WRITTEN)
    assert written.index("done") == len(written) - 1


def test_batches_write_files_of_their_own(store: SweepStore) -> None:
    def chunk_files() -> dict[str, bytes]:
        return {name: data for name, data in snapshot(store.path).items() if "/c/" in name}

    write(store, 0)
    before = chunk_files()
    write(store, 8)
    after = chunk_files()
    assert {name: after[name] for name in before} == before
    assert {name.split("/c/")[1].split("/")[0] for name in after.keys() - before.keys()} == {"2"}


def test_a_shorter_curve_is_padded(store: SweepStore) -> None:
    values = values_of(store, 0)
    values["curve_rate"] = values["curve_rate"][:1]
    write(store, 0, values)
    stored = np.asarray(store.group["curve_rate"][0])
    assert stored[0] == values["curve_rate"][0]
    assert np.isnan(stored[1])


def test_a_point_with_missing_or_unknown_results_is_not_written(store: SweepStore) -> None:
    values = values_of(store, 0)
    writer = BatchWriter(store, 0)
    with pytest.raises(ValueError, match="correlation"):
        writer.add(0, {name: value for name, value in values.items() if name != "correlation"})
    with pytest.raises(ValueError, match="surprise"):
        writer.add(0, {**values, "surprise": 1.0})
    writer.flush()
    assert not store.done().any()


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")
def test_rows_that_share_a_chunk_with_another_batch_are_refused(store: SweepStore, consolidated: bool) -> None:
    group = zarr.open_group(store.path, mode="r+", use_consolidated=False)
    attributes = dict(group["status"].attrs)
    del group["status"]
    group.create_array(
        "status", shape=(12,), chunks=(6,), dtype="int8", attributes=attributes, dimension_names=("point",)
    )
    if consolidated:
        zarr.consolidate_metadata(group.store)
        metadata = store.path / "zarr.json"
        metadata.write_text(json.dumps(sealed_metadata(json.loads(metadata.read_text()))))
    with pytest.raises(StoreError, match="share a chunk of status"):
        BatchWriter(open_store(store.path, writable=True), 1)


def test_no_two_batches_write_one_chunk_of_any_variable(path: Path) -> None:
    batching = {"max_points": 5, "minutes": 1e-5, "mpi_minutes": 3e-4, "mpi_ranks": 3}
    axes = {"network.n_neurons": [5, 6, 7, 8, 40], "synapse.tau_syn_ms": [5.0, 20.0, 100.0]}
    store, _ = ensure_store(path, sweep_of(axes=axes, batching=batching))
    store, _ = ensure_store(path, sweep_of(axes=axes, batching={"max_points": 3}, replicates=3))
    store = open_store(path, writable=True)
    owner: dict[tuple[str, int], int] = {}
    for batch in range(len(store.batches)):
        rows = store.batches.rows(batch)
        BatchWriter(store, batch)
        for name in WRITTEN:
            length = store.group[name].chunks[0]
            for chunk in {row // length for row in rows}:
                assert owner.setdefault((name, chunk), batch) == batch


def test_half_written_files_of_this_batch_only_are_removed(store: SweepStore) -> None:
    leftovers = {}
    for batch in (0, 1):
        leftovers[batch] = [
            store.path / "status" / "c" / f"{batch}.0123abcd.partial",
            store.path / "curve_rate" / "c" / str(batch) / "0.0123abcd.partial",
        ]
        for file in leftovers[batch]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"half")
    BatchWriter(store, 1)
    assert all(file.exists() for file in leftovers[0])
    assert not any(file.exists() for file in leftovers[1])
