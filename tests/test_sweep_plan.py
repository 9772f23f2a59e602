"""Batches own whole chunks, hold every point once, and take about equally long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_stub import sweep_document

from hpcspike.errors import StoreError
from hpcspike.spec import validate_sweep
from hpcspike.sweep.grid import build_grid
from hpcspike.sweep.plan import MAX_BATCHES, Batches, Plan, plan_batches


def plan_of(seconds: Any, *, chunk: int | None = None, most: int = MAX_BATCHES, **batching: Any) -> Plan:
    """The plan of a sweep whose points take ``seconds``."""
    values = np.asarray(seconds, dtype=float)
    sweep = validate_sweep(sweep_document(batching=batching))
    return plan_batches(values, 100.0 + values, sweep.batching, chunk=chunk, most=most)


def members(plan: Plan) -> list[np.ndarray]:
    rows = [plan.batches.rows(k) for k in range(len(plan.batches))]
    points = [plan.order[part.start : part.stop] for part in rows]
    return [part[part >= 0] for part in points]


@given(
    seconds=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200),
    minutes=st.floats(0.01, 100.0),
    max_points=st.integers(1, 50),
    mpi_minutes=st.none() | st.floats(0.1, 200.0),
    chunk=st.none() | st.integers(1, 60),
)
def test_every_point_is_in_one_batch_and_batches_own_whole_chunks(
    seconds: list[float], minutes: float, max_points: int, mpi_minutes: float | None, chunk: int | None
) -> None:
    plan = plan_of(seconds, minutes=minutes, max_points=max_points, mpi_minutes=mpi_minutes, mpi_ranks=3, chunk=chunk)
    assert sorted(plan.order[plan.order >= 0].tolist()) == list(range(len(seconds)))
    assert chunk is None or plan.chunk == chunk
    assert plan.batches.start[-1] == len(plan.order)
    assert all(first % plan.chunk == 0 for first in plan.batches.start[:-1])
    assert plan.order[-1] >= 0
    sizes = [len(points) for points in members(plan)]
    assert 1 <= min(sizes) <= max(sizes) <= max_points
    totals = [np.asarray(seconds)[points].sum() for points in members(plan)]
    assert plan.batches.seconds == pytest.approx(totals)
    assert plan.batches.memory_mib == pytest.approx([100.0 + np.asarray(seconds)[p].max() for p in members(plan)])
    for points, ranks in zip(members(plan), plan.batches.ranks, strict=True):
        assert all((mpi_minutes is not None and seconds[k] > 60 * mpi_minutes) == (ranks == 3) for k in points)
    assert Batches.from_json(plan.batches.to_json()).start == plan.batches.start


def test_points_of_equal_cost_fill_their_chunks() -> None:
    plan = plan_of(np.full(103, 60.0), minutes=10.0)
    assert [len(points) for points in members(plan)] == [10] * 10 + [3]
    assert plan.chunk == 10
    assert len(plan.order) == 103


def test_a_point_as_long_as_a_batch_is_alone_in_one() -> None:
    plan = plan_of([10.0] * 60 + [400.0, 3000.0], minutes=5.0)
    assert [points.tolist() for points in members(plan)[-2:]] in ([[60], [61]], [[61], [60]])
    assert plan.batches.ranks == [1] * len(plan.batches)
    assert max(len(points) for points in members(plan)) == plan.chunk == 30


def test_points_above_a_size_are_for_mpi_one_at_a_time() -> None:
    plan = plan_of([10.0] * 60 + [400.0, 3000.0, 4000.0], minutes=5.0, mpi_minutes=30.0, mpi_ranks=8)
    assert plan.batches.ranks == [1, 1, 1, 8, 8]
    assert sorted(points.tolist() for points in members(plan)[-2:]) == [[61], [62]]


def test_batches_that_follow_begin_with_a_chunk_of_their_own() -> None:
    first, second = plan_of(np.full(10, 60.0), minutes=4.0), plan_of([1.0, 2.0, 3.0], minutes=4.0, chunk=4)
    assert first.batches.start == [0, 4, 8, 10]
    both = first.batches.followed_by(second.batches, chunk=4)
    assert both.start == [0, 4, 8, 12, 15]
    assert both.seconds == [240.0, 240.0, 120.0, 6.0]


def test_points_of_very_different_cost_make_batches_of_equal_time() -> None:
    random = np.random.default_rng(1)
    plan = plan_of(np.exp(random.normal(3.0, 1.0, size=960)), minutes=20.0)
    together = np.array([total for total in plan.batches.seconds if total < 1500.0])
    assert len(together) > 10
    assert together.max() / together.min() < 1.05


def test_the_number_of_batches_follows_the_minutes_wanted() -> None:
    assert len(plan_of(np.full(100, 60.0), minutes=10.0).batches) == 10
    assert len(plan_of(np.full(100, 60.0), minutes=1000.0).batches) == 1
    assert len(plan_of(np.full(100, 6000.0), minutes=1.0).batches) == 100


def test_a_batch_lists_its_points_in_the_order_of_the_grid() -> None:
    for points in members(plan_of(np.arange(1.0, 51.0), max_points=7)):
        assert (np.diff(points) > 0).all()


@pytest.mark.parametrize("mpi_minutes", [None, 1.0])
@pytest.mark.parametrize("most", [MAX_BATCHES, 100])
def test_even_a_sweep_of_expensive_points_has_a_bounded_number_of_jobs(mpi_minutes: float | None, most: int) -> None:
    seconds = np.concatenate([np.full(5_000, 3600.0), np.full(100, 1e6), np.full(5_000, 0.1)])
    plan = plan_of(seconds, minutes=1.0, mpi_minutes=mpi_minutes, most=most)
    assert len(plan.batches) <= most
    equal = plan_of(np.full(100_000, 3600.0), minutes=1.0).batches.seconds
    assert max(equal) / min(equal[:-1]) < 1.1


def test_planning_is_deterministic() -> None:
    grid = build_grid(validate_sweep(sweep_document()))
    plans = [plan_batches(grid.seconds, grid.memory_mib, grid.sweep.batching) for _ in range(2)]
    assert plans[0].order.tolist() == plans[1].order.tolist()


@pytest.mark.parametrize("batch", [-1, 3, 10**9])
def test_a_batch_that_does_not_exist_is_refused(batch: int) -> None:
    with pytest.raises(StoreError, match="the sweep has the batches 0 to 2"):
        plan_of(np.full(10, 60.0), minutes=4.0).batches.rows(batch)
