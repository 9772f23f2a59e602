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
from hpcspike.sweep.grid import Grid, build_grid
from hpcspike.sweep.plan import MAX_BATCHES, Plan, plan_batches, rows_of_batch


def plan_of(seconds: Any, **batching: Any) -> Plan:
    """The plan of a sweep whose points take ``seconds``."""
    values = np.asarray(seconds, dtype=float)
    sweep = validate_sweep(sweep_document(batching=batching))
    return plan_batches(Grid(sweep, [str(k) for k in range(len(values))], {}, values, 100.0 + values, 2))


def members(plan: Plan) -> list[np.ndarray]:
    rows = [rows_of_batch(k, plan.points_per_batch, plan.n_points) for k in range(plan.n_batches)]
    return [plan.order[part.start : part.stop] for part in rows]


@given(
    seconds=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200),
    minutes=st.floats(0.01, 100.0),
    max_points=st.integers(1, 50),
)
def test_every_point_is_in_one_batch_and_batches_fill_whole_chunks(
    seconds: list[float], minutes: float, max_points: int
) -> None:
    plan = plan_of(seconds, minutes=minutes, max_points=max_points)
    assert sorted(plan.order.tolist()) == list(range(len(seconds)))
    assert plan.points_per_batch <= max_points
    sizes = [len(points) for points in members(plan)]
    assert sizes[:-1] == [plan.points_per_batch] * (plan.n_batches - 1)
    assert 1 <= sizes[-1] <= plan.points_per_batch
    assert plan.batch_of_row().tolist() == [k for k, size in enumerate(sizes) for _ in range(size)]
    totals = [np.asarray(seconds)[points].sum() for points in members(plan)]
    assert plan.seconds.tolist() == pytest.approx(totals)
    assert plan.memory_mib.tolist() == pytest.approx([100.0 + np.asarray(seconds)[p].max() for p in members(plan)])


def test_points_of_very_different_cost_make_batches_of_equal_time() -> None:
    random = np.random.default_rng(1)
    plan = plan_of(np.exp(random.normal(3.0, 1.0, size=960)), minutes=20.0)
    assert plan.n_batches > 10
    assert plan.seconds.max() / plan.seconds.min() < 1.05


def test_the_number_of_batches_follows_the_minutes_wanted() -> None:
    assert plan_of(np.full(100, 60.0), minutes=10.0).n_batches == 10
    assert plan_of(np.full(100, 60.0), minutes=1000.0).n_batches == 1
    assert plan_of(np.full(100, 6000.0), minutes=1.0).n_batches == 100


def test_a_batch_lists_its_points_in_the_order_of_the_grid() -> None:
    for points in members(plan_of(np.arange(1.0, 51.0), max_points=7)):
        assert (np.diff(points) > 0).all()


def test_even_a_sweep_of_expensive_points_has_a_bounded_number_of_jobs() -> None:
    plan = plan_of(np.full(100_000, 3600.0), minutes=1.0)
    assert plan.n_batches <= MAX_BATCHES
    assert plan.seconds.max() / plan.seconds.min() < 1.1 or plan.n_points % plan.points_per_batch


def test_planning_is_deterministic() -> None:
    grid = build_grid(validate_sweep(sweep_document()))
    assert plan_batches(grid).order.tolist() == plan_batches(grid).order.tolist()


@pytest.mark.parametrize("batch", [-1, 3, 10**9])
def test_a_batch_that_does_not_exist_is_refused(batch: int) -> None:
    with pytest.raises(StoreError, match="the sweep has the batches 0 to 2"):
        rows_of_batch(batch, 4, 10)
