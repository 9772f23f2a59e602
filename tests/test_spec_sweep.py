"""Axes, their values, and the order of points."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_stub import sweep_document

from hpcspike.identity import experiment_hash, sweep_hash
from hpcspike.spec import validate_sweep
from hpcspike.spec.axes import Linspace, Logspace, axis_values, first_repeated


def test_linspace_and_logspace_hold_both_ends() -> None:
    assert Linspace(linspace=(0.0, 1.0, 5)).values() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert Logspace(logspace=(1.0, 1000.0, 4)).values() == [1.0, 10.0, 100.0, 1000.0]
    assert Linspace(linspace=(3.0, 9.0, 1)).values() == [3.0]


def test_values_carry_no_rounding_noise() -> None:
    assert Linspace(linspace=(0.0, 0.3, 4)).values() == [0.0, 0.1, 0.2, 0.3]


def test_rounded_values_are_listed_once() -> None:
    assert Logspace(logspace=(0.2, 4.0, 6), round_to=1.0).values() == [1.0, 2.0, 4.0]
    assert Linspace(linspace=(-1.0, 1.0, 9), round_to=1.0).values() == [-1.0, 0.0, 1.0]


@given(first=st.floats(0.1, 1e3), ratio=st.floats(1.01, 100.0), count=st.integers(2, 40))
def test_logspace_grows_by_a_constant_factor(first: float, ratio: float, count: int) -> None:
    values = Logspace(logspace=(first, first * ratio, count)).values()
    assert len(values) == count
    factors = [b / a for a, b in zip(values, values[1:], strict=False)]
    assert factors == pytest.approx([ratio ** (1 / (count - 1))] * (count - 1), rel=1e-9)


def test_points_are_every_combination_with_replicates_innermost() -> None:
    sweep = validate_sweep(sweep_document())
    points = list(sweep.parameters())
    assert len(points) == sweep.n_points == 12
    assert points[:3] == [
        {"synapse.tau_syn_ms": 5.0, "targets.tau_corr_ms": 50.0, "replicate": 0},
        {"synapse.tau_syn_ms": 5.0, "targets.tau_corr_ms": 50.0, "replicate": 1},
        {"synapse.tau_syn_ms": 5.0, "targets.tau_corr_ms": 100.0, "replicate": 0},
    ]
    assert [sweep.parameters_at(index) for index in range(12)] == points
    assert list(points[0]) == list(sweep.parameters_at(0))


def test_a_sweep_without_axes_is_its_replicates() -> None:
    sweep = validate_sweep(sweep_document(axes={}, replicates=3))
    assert list(sweep.parameters()) == [{"replicate": k} for k in range(3)]


def test_a_point_has_the_swept_values_and_the_rest_of_the_experiment() -> None:
    sweep = validate_sweep(sweep_document())
    experiment = sweep.point(sweep.parameters_at(11))
    assert (experiment.synapse.tau_syn_ms, experiment.targets.tau_corr_ms, experiment.replicate) == (100.0, 100.0, 1)
    assert (experiment.network.n_neurons, experiment.name) == (20, "little")
    assert "synapse" not in sweep.experiment


@pytest.mark.parametrize(
    ("values", "repeated"),
    [([1, 2.0, 1.0], 1.0), ([1, True], None), (["a", "b", "a"], "a"), ([[1, 2], [1, 2]], [1, 2]), ([None, 0], None)],
)
def test_repeated_values_are_found(values: list[Any], repeated: Any) -> None:
    assert first_repeated(values) == repeated


def test_the_hash_of_a_sweep_ignores_its_name_and_batching() -> None:
    one = validate_sweep(sweep_document())
    other = validate_sweep(sweep_document(name="other", batching={"minutes": 1.0}))
    assert sweep_hash(one) == sweep_hash(other)
    assert sweep_hash(one) != sweep_hash(validate_sweep(sweep_document(replicates=3)))


def test_replicates_and_seeds_are_different_experiments() -> None:
    sweep = validate_sweep(sweep_document(axes={"seed": [1, 2]}))
    assert len({experiment_hash(sweep.point(parameters)) for parameters in sweep.parameters()}) == 4


def test_axis_values_of_a_list_are_a_copy() -> None:
    axis = [1, 2]
    axis_values(axis).append(3)
    assert axis == [1, 2]
