"""A sweep grows: new points follow, old ones keep their rows and results; what is no growth is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from sweep_stub import stub_point, sweep_document

from hpcspike.engine import point
from hpcspike.errors import ResourceError, StoreError
from hpcspike.spec import Experiment, Sweep, experiment_hash, validate_sweep
from hpcspike.sweep import growth, layout
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.grid import PLANNED, Coordinate, build_grid
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep, sweep_status
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


@pytest.fixture
def path(tmp_path: Path, calls: list[Experiment]) -> Path:
    """A finished sweep of 12 points; ``calls`` is empty."""
    path = tmp_path / "little.zarr"
    ensure_store(path, sweep_of())
    run_all(path)
    finalize(path)
    calls.clear()
    return path


def by_identity(sweep: xr.Dataset) -> xr.Dataset:
    """Everything that must not depend on when a point was planned, in an order of its own."""
    books = [*POINT_PROVENANCE, *(set(PLANNED) - {"experiment_hash"})]
    return sweep.drop_vars(books).sortby("experiment_hash").drop_attrs()


def assert_equals_a_sweep_made_at_once(path: Path, sweep: Sweep) -> None:
    fresh = path.with_name("fresh.zarr")
    ensure_store(fresh, sweep)
    run_all(fresh)
    xr.testing.assert_identical(by_identity(open_sweep(path).load()), by_identity(open_sweep(fresh).load()))


GROWTHS = {
    "more replicates": ({"replicates": 3}, 6),
    "values on one axis": ({"axes": {**AXES, TAU_SYN: [5.0, 10.0, 20.0, 100.0]}}, 4),
    "values on two axes": ({"axes": {TAU_SYN: [1.0, 5.0, 20.0, 100.0], TAU_CORR: [25.0, 50.0, 100.0]}}, 12),
    "a new axis": ({"axes": {**AXES, "training.ridge": [1.0, 2.0]}}, 12),
    "an axis of text": ({"axes": {**AXES, "training.dtype": ["float64", "float32"]}}, 12),
    "longer trainings beside": ({"axes": {**AXES, "training.n_loops": [2, 5]}}, 12),
    "many batches": ({"replicates": 12, "batching": {"max_points": 3}}, 60),
    "large batches": ({"replicates": 12, "batching": {"max_points": 50}}, 60),
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
    names = [*POINT_PARAMETERS, *PLANNED, *(name for name in (*POINT_RESULTS, *POINT_PROVENANCE))]
    assert grown.isel(loop=slice(2))[names].equals(before[names])
    assert not sweep_status(path).finalized
    run_all(path)
    assert len(calls) == added
    assert finalize(path)["points"] == 12 + added
    assert_equals_a_sweep_made_at_once(path, sweep)


def test_a_sweep_grows_again_and_again(path: Path, calls: list[Experiment]) -> None:
    for replicates in (3, 4, 7):
        _, added = ensure_store(path, sweep_of(replicates=replicates))
        assert added == 6 * (replicates - len(calls) // 6 - 2)
        run_all(path)
    assert len(calls) == 30
    store = open_store(path)
    assert [s.replicates for s in store.sweeps] == [2, 3, 4, 7]
    rows = np.flatnonzero(store.planned).tolist()
    assert sorted(map(experiment_hash, store.experiments(rows).values())) == sorted(build_grid(store.sweep).hashes)
    with xr.open_zarr(path) as dataset:
        assert dataset["generation"].values[rows].tolist() == [0] * 12 + [1] * 6 + [2] * 6 + [3] * 18
    assert_equals_a_sweep_made_at_once(path, sweep_of(replicates=7))


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
    assert_equals_a_sweep_made_at_once(path, sweep_of(replicates=3))


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
    with pytest.raises(
        StoreError, match="number of units: in the store its values are int64, .* they would be float64"
    ):
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
    put = growth._replace

    def counted(source: Path, target: Path) -> None:
        nonlocal count
        if count == replaced:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        put(source, target)

    growth._replace = counted
    ensure_store(path, sweep_of(replicates=3))


def _coordinates() -> int:
    return len(POINT_PARAMETERS) + len(PLANNED) + 1


@pytest.mark.parametrize("replaced", [0, 1, _coordinates() - 1, _coordinates(), _coordinates() + 1, _coordinates() + 9])
def test_a_growth_killed_at_any_moment_is_seen_whole_or_not_at_all(
    path: Path, calls: list[Experiment], replaced: int
) -> None:
    before = open_sweep(path, complete_only=False).load()
    process = multiprocessing.get_context("fork").Process(target=_grow_and_die, args=(path, replaced))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    committed = replaced > _coordinates()
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
    assert_equals_a_sweep_made_at_once(path, sweep_of(replicates=3))


def test_readers_see_the_old_sweep_or_the_new_one_while_it_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    put = growth._replace

    def watched(source: Path, target: Path) -> None:
        put(source, target)
        seen.append(open_sweep(path, complete_only=False).load().sizes["point"])

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
    assert_equals_a_sweep_made_at_once(path, sweep_of(replicates=3))


def test_the_store_says_which_sweeps_it_grew_from(path: Path) -> None:
    store, _ = ensure_store(path, sweep_of(replicates=3))
    assert isinstance(store, SweepStore)
    assert [json.loads(text)["replicates"] for text in store.attributes["earlier_sweeps"]] == [2]
    assert store.sweep.replicates == 3
