"""A sweep grows: new points follow, old ones keep their rows and results; what is no growth is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.errors import ResourceError, StoreError
from hpcspike.identity import experiment_hash
from hpcspike.runs import point
from hpcspike.spec import Experiment, Sweep, validate_sweep
from hpcspike.sweep import growth, layout
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.grid import PLANNED, Coordinate, build_grid
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.records import planning_lock
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS, Variable

TAU_SYN, TAU_CORR = "synapse.tau_syn_ms", "targets.tau_corr_ms"
AXES = {TAU_SYN: [5.0, 20.0, 100.0], TAU_CORR: [50.0, 100.0]}


def sweep_of(**changes: Any) -> Sweep:
    return validate_sweep(sweep_document(**changes))


def run_all(path: Path) -> None:
    for batch in range(len(open_store(path).batches)):
        run_batch(path, batch)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    asked: list[Experiment] = []

    def run_point(experiment: Experiment, **keywords: Any) -> SimpleNamespace:
        asked.append(experiment)
        return stub_point(experiment, **keywords)

    monkeypatch.setattr(point, "run_point", run_point)
    return asked


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep of 12 points."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point, "run_point", stub_point)
        ensure_store(folder / "little.zarr", sweep_of())
        run_all(folder / "little.zarr")
        finalize(folder / "little.zarr")
    return folder


@pytest.fixture
def path(finished: Path, tmp_path: Path, calls: list[Experiment]) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(finished, tmp_path, dirs_exist_ok=True)) / "little.zarr"


def assert_holds(path: Path, sweep: Sweep) -> None:
    """Every point of a sweep is there once, with its own parameters and results."""
    grid = build_grid(sweep)
    found = open_sweep(path).load().set_index(point="experiment_hash").sel(point=grid.hashes)
    assert found.sizes["point"] == open_store(path).n_points == grid.n_points
    for name, coordinate in grid.coordinates.items():
        assert found[name].values.tolist() == coordinate.values.tolist(), name
    values = {name: found[name].values for name in POINT_RESULTS}
    for index in range(grid.n_points):
        expected = stub_point(sweep.point(sweep.parameters_at(index)))
        assert {name: values[name][index] for name in expected.scalars} == expected.scalars
        for name, curve in expected.curves.items():
            assert values[name][index][: len(curve)].tolist() == curve.tolist()
            assert np.isnan(values[name][index][len(curve) :]).all()


GROWTHS = {
    "more replicates": ({"replicates": 3}, 6),
    "values on one axis": ({"axes": {**AXES, TAU_SYN: [5.0, 10.0, 20.0, 100.0]}}, 4),
    "values on two axes": ({"axes": {TAU_SYN: [1.0, 5.0, 20.0, 100.0], TAU_CORR: [25.0, 50.0, 100.0]}}, 12),
    "a new axis": ({"axes": {**AXES, "training.ridge": [1.0, 2.0]}}, 12),
    "an axis of text": ({"axes": {**AXES, "training.dtype": ["float64", "float32"]}}, 12),
    "longer trainings beside": ({"axes": {**AXES, "training.n_loops": [2, 5]}}, 12),
    "many batches": ({"replicates": 4, "batching": {"max_points": 3}}, 12),
    "large batches": ({"replicates": 5, "batching": {"max_points": 50}}, 18),
}


@pytest.mark.parametrize(("changes", "added"), GROWTHS.values(), ids=GROWTHS)
def test_only_new_points_are_computed_and_old_ones_stay(
    path: Path, calls: list[Experiment], changes: dict[str, Any], added: int
) -> None:
    sweep = sweep_of(**changes)
    before = open_sweep(path).load()
    store, count = ensure_store(path, sweep)
    assert count == added
    assert store.n_points == 12 + added == sweep.n_points
    grown = open_sweep(path).load()
    assert grown.sizes["point"] == 12
    names = [*POINT_PARAMETERS, *PLANNED, *POINT_RESULTS, *POINT_PROVENANCE]
    assert grown.isel(loop=slice(2)).reset_coords()[names].equals(before.reset_coords()[names])
    assert not sweep_status(path).finalized
    run_all(path)
    assert len(calls) == added
    assert finalize(path)["points"] == 12 + added
    assert_holds(path, sweep)


def test_a_sweep_grows_again_and_again(path: Path, calls: list[Experiment]) -> None:
    for replicates in (3, 4, 6):
        _, added = ensure_store(path, sweep_of(replicates=replicates))
        assert added == 6 * (replicates - len(calls) // 6 - 2)
        run_all(path)
    assert len(calls) == 24
    store = open_store(path)
    assert [s.replicates for s in store.sweeps] == [2, 3, 4, 6]
    rows = np.flatnonzero(store.planned).tolist()
    assert sorted(map(experiment_hash, store.experiments(rows).values())) == sorted(build_grid(store.sweep).hashes)
    with xr.open_zarr(path) as dataset:
        assert dataset["generation"].values[rows].tolist() == [0] * 12 + [1] * 6 + [2] * 6 + [3] * 12
    assert_holds(path, sweep_of(replicates=6))


def test_coordinates_grow_over_the_end_of_their_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path.with_name("chunked.zarr")
    monkeypatch.setattr(layout, "COORDINATE_ROWS", 5)
    ensure_store(path, sweep_of())
    for replicates in (3, 5):
        ensure_store(path, sweep_of(replicates=replicates))
    store = open_store(path)
    rows = np.flatnonzero(store.planned).tolist()
    assert len(store.experiments(rows)) == 30


def test_a_sweep_that_has_not_finished_can_grow(tmp_path: Path, calls: list[Experiment]) -> None:
    path = tmp_path / "little.zarr"
    ensure_store(path, sweep_of())
    run_batch(path, 1)
    ensure_store(path, sweep_of(replicates=3))
    run_all(path)
    assert len(calls) == 18
    assert_holds(path, sweep_of(replicates=3))


def test_the_same_points_in_another_order_are_no_growth(path: Path) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    _, added = ensure_store(path, sweep_of(axes=dict(reversed(AXES.items()))))
    assert added == 0
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "difference", "gone"),
    [
        ({"replicates": 1}, "replicates = 2 in the store, 1 now", 6),
        (
            {"axes": {**AXES, TAU_SYN: [5.0, 20.0]}},
            "axes.synapse.tau_syn_ms = [5.0, 20.0, 100.0] in the store, [5.0, 20.0] now",
            4,
        ),
        ({"replicates": 3, "axes": {**AXES, TAU_CORR: [50.0, 200.0]}}, "axes.targets.tau_corr_ms", 6),
    ],
)
def test_shrinking_and_changing_is_refused_with_the_difference(
    path: Path, changes: dict[str, Any], difference: str, gone: int
) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(StoreError, match=f"{gone} of the 12 points in the store are not among") as caught:
        ensure_store(path, sweep_of(**changes))
    assert difference in str(caught.value)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_coordinate_that_would_change_its_type_is_refused() -> None:
    old, new = np.array([3]), Coordinate(np.array([1.0]), Variable(("point",), "float64", "1", "number of units"))
    with pytest.raises(StoreError, match="number of units: in the store its values are int64, .* be float64"):
        growth._joined(old, new, 0, old)


def test_too_little_disk_is_said_and_nothing_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    monkeypatch.setattr(layout.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(ResourceError, match="the disk has 1 MB free"):
        ensure_store(path, sweep_of(replicates=3))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


# ---- interrupted -----------------------------------------------------------------------------------------------------


def _grow_and_die(path: Path, replaced: int) -> None:
    """Grow a store and be killed when so many files have been put in place."""
    count = 0
    replace = os.replace

    def counted(source: Path, target: Path) -> None:
        nonlocal count
        if Path(target).is_relative_to(path) or Path(target).name == "plan.zip":
            if count == replaced:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        replace(source, target)

    os.replace = counted  # type: ignore[assignment]
    ensure_store(path, sweep_of(replicates=3))


def _coordinates() -> int:
    return len(POINT_PARAMETERS) + len(PLANNED) + 1


# the copy of the plan, the coordinates, the metadata of the store, and those of each array
@pytest.mark.parametrize("replaced", [0, 1, *(_coordinates() + k for k in (0, 1, 2, 10))])
def test_a_growth_killed_at_any_moment_is_seen_whole_or_not_at_all(
    path: Path, calls: list[Experiment], replaced: int
) -> None:
    before = open_sweep(path, complete_only=False).load()
    process = multiprocessing.get_context("fork").Process(target=_grow_and_die, args=(path, replaced))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    committed = replaced > _coordinates() + 1
    seen = open_sweep(path, complete_only=False).load()
    assert seen.sizes["point"] == (18 if committed else 12)
    if not committed:
        assert seen.identical(before)
        run_all(path)  # the old sweep is as usable as before
        assert calls == []
    _, added = ensure_store(path, sweep_of(replicates=3))
    assert added == (0 if committed else 6)
    assert [file.name for file in path.parent.iterdir() if "creating" in file.name] == []
    group = zarr.open_group(path, use_consolidated=False)
    assert {array.shape[0] for name, array in group.arrays() if name != "loop"} == {open_store(path).n_rows}
    run_all(path)
    assert len(calls) == 6
    assert_holds(path, sweep_of(replicates=3))


def test_what_was_left_behind_is_put_right_when_no_other_planner_is_at_work(path: Path) -> None:
    own = path / "correlation" / "zarr.json"
    right = json.loads(own.read_text())
    own.write_text("{}")
    planner = threading.Thread(target=ensure_store, args=(path, sweep_of()))
    with planning_lock(path):
        planner.start()
        planner.join(1.0)
        assert own.read_text() == "{}"
    planner.join(60.0)
    assert json.loads(own.read_text()) == right


def test_readers_see_the_old_sweep_or_the_new_one_while_it_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    put = growth._replace

    def watched(source: Path, target: Path) -> None:
        put(source, target)
        seen.append(open_sweep(path, complete_only=False).sizes["point"])

    monkeypatch.setattr(growth, "_replace", watched)
    ensure_store(path, sweep_of(replicates=3))
    assert sorted(set(seen)) == [12, 18]
    assert seen == sorted(seen)


def test_a_batch_that_runs_while_the_sweep_grows_loses_nothing(
    tmp_path: Path, calls: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "little.zarr"
    ensure_store(path, sweep_of())

    def grow_meanwhile(experiment: Experiment, **_: Any) -> SimpleNamespace:
        ensure_store(path, sweep_of(replicates=3))
        return stub_point(experiment)

    with monkeypatch.context() as patch:
        patch.setattr(point, "run_point", grow_meanwhile)
        run_batch(path, 2)
    run_all(path)
    finalize(path)
    assert_holds(path, sweep_of(replicates=3))


def test_the_store_says_which_sweeps_it_grew_from(path: Path) -> None:
    store, _ = ensure_store(path, sweep_of(replicates=3))
    assert isinstance(store, SweepStore)
    assert [json.loads(text)["replicates"] for text in store.attributes["earlier_sweeps"]] == [2]
    assert store.sweep.replicates == 3
