"""Designs: which combinations of the axes' values a sweep takes, that they are always the same, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_stub import stub_point, sweep_document

from hpcspike.errors import SpecError
from hpcspike.spec import Sweep, validate_sweep
from hpcspike.spec.axes import LinearRange, LogRange, is_logarithmic
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep

TAU_S, TAU_C = "synapse.tau_syn_ms", "targets.tau_corr_ms"
FIRST_POINTS = [[(1.0, 32.0), (1.58489319246, 60.0)], [(1.25892541179, 98.0), (39.8107170553, 54.0)]]
RANGES = {TAU_S: {"log": [1.0, 100.0], "resolution": 0.05}, TAU_C: {"linear": [10.0, 100.0], "resolution": 2.0}}


def designed(sampling: dict[str, Any], **changes: Any) -> Sweep:
    return validate_sweep(sweep_document(**{"axes": RANGES, "replicates": 1, "sampling": sampling, **changes}))


def pairs(sweep: Sweep) -> list[tuple[float, float]]:
    return [(point[TAU_S], point[TAU_C]) for point in sweep.parameters()]


def test_random_points_are_distinct_and_more_of_them_keep_those_there_are() -> None:
    few, many = (pairs(designed({"kind": "random", "points": count})) for count in (10, 30))
    assert many[:10] == few
    assert len(set(many)) == 30
    assert pairs(designed({"kind": "random", "points": 10, "seed": 1})) != few


def test_a_design_draws_the_same_points_everywhere() -> None:
    """Numbers that were once planned: another choice would be another sweep."""
    random = pairs(designed({"kind": "random", "points": 2}))
    hypercube = pairs(designed({"kind": "latin_hypercube", "points": 2}))
    assert [random, hypercube] == FIRST_POINTS


def test_a_latin_hypercube_meets_every_part_of_every_axis_once() -> None:
    axes = {TAU_S: [float(k) for k in range(1, 41)], TAU_C: [float(k) for k in range(10, 70)]}
    sweep = designed({"kind": "latin_hypercube", "points": 20}, axes=axes)
    for axis, values in enumerate(sweep.columns()[key] for key in (TAU_S, TAU_C)):
        part = sweep.design[:, axis] * 20 // len(values)
        assert sorted(part.tolist()) == list(range(20))


def test_zipped_axes_go_together() -> None:
    sweep = designed({"kind": "zipped"}, axes={TAU_S: [5.0, 20.0], TAU_C: [50.0, 100.0]}, replicates=2)
    assert [tuple(point.values()) for point in sweep.parameters()] == [
        (5.0, 50.0, 0),
        (5.0, 50.0, 1),
        (20.0, 100.0, 0),
        (20.0, 100.0, 1),
    ]


def test_one_axis_at_a_time_leaves_the_others_at_the_base_point() -> None:
    axes = {TAU_S: [5.0, 20.0, 80.0], TAU_C: [50.0, 100.0]}
    sweep = designed({"kind": "one_at_a_time", "base": {TAU_S: 20.0, TAU_C: 50.0}}, axes=axes)
    assert pairs(sweep) == [(20.0, 50.0), (5.0, 50.0), (80.0, 50.0), (20.0, 100.0)]
    assert [sweep.parameters_at(index) for index in range(4)] == list(sweep.parameters())


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"kind": "random", "points": 10_000}, "points = 10,000: the axes have 1,886 combinations only"),
        ({"kind": "latin_hypercube", "points": 1900}, "combinations would be drawn twice; take fewer"),
        ({"kind": "zipped"}, "zipped axes need equally many values, but have 41, 46"),
        (
            {"kind": "one_at_a_time", "base": {TAU_S: 1.0}},
            "base must give a value for each of synapse.tau_syn_ms, targ",
        ),
        ({"kind": "one_at_a_time", "base": {TAU_S: 1.0, TAU_C: 7.0}}, "must be one of the axis's values"),
        ({"kind": "sobol", "points": 8}, r"sampling\.kind = 'sobol': must be one of random, latin_hypercube, zipped"),
    ],
)
def test_designs_that_the_axes_do_not_allow_are_refused(sampling: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        designed(sampling)


@pytest.mark.parametrize(
    "sampling", [{"kind": "zipped"}, {"kind": "latin_hypercube", "points": 3}, {"kind": "random", "points": 1}]
)
def test_a_design_without_axes_is_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="a design needs at least one axis"):
        designed(sampling, axes={})


def test_a_range_shorter_than_its_resolution_has_its_ends() -> None:
    assert LinearRange(linear=(1.0, 2.0), resolution=1e10).values() == [1.0, 2.0]
    assert LogRange(log=(1.0, 1.5), resolution=1e10).values() == [1.0, 1.5]


def test_rounded_values_stay_in_their_range() -> None:
    assert LogRange(log=(1.0, 11.0), resolution=0.1, round_to=3.0).values() == [3.0, 6.0, 9.0]
    assert LinearRange(linear=(0.4, 2.6), resolution=0.5, round_to=1.0).values() == [1.0, 2.0]
    for axis in (
        {"log": [1, 5], "resolution": 0.1, "round_to": 100},
        {"linear": [1, 5], "resolution": 1, "round_to": 4},
    ):
        with pytest.raises(SpecError, match=r"round_to = \d+ leaves \d values in the range; give a smaller one"):
            designed({"kind": "random", "points": 1}, axes={TAU_S: axis})


def test_a_design_is_computed_like_any_sweep_and_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcspike.runs.point.run_point", stub_point)
    for count in (6, 9):
        sweep = designed({"kind": "random", "points": count})
        store, added = ensure_store(tmp_path / "design.zarr", sweep)
        assert added == (6 if count == 6 else 3)
        for batch in range(len(store.batches)):
            run_batch(store.path, batch)
    found = open_sweep(store.path)
    assert sorted(zip(found.tau_syn_ms.values, found.tau_corr_ms.values, strict=True)) == sorted(pairs(sweep))
    assert ensure_store(store.path, sweep)[1] == 0


def test_lists_are_logarithmic_if_their_values_are_spaced_so() -> None:
    assert is_logarithmic([1.0, 10.0, 100.0, 1000.0])
    assert not is_logarithmic([0.0, 1.0, 2.0])
    assert not is_logarithmic(np.linspace(5, 10, 6).tolist())
