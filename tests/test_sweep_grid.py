"""From axes to points, coordinates and identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sweep_stub import sweep_document

from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash
from hpcspike.spec import validate_sweep
from hpcspike.sweep.cost import predict
from hpcspike.sweep.grid import Grid, build_grid, coordinate_names
from hpcspike.variables import POINT_PARAMETERS


def grid_of(**changes: Any) -> Grid:
    return build_grid(validate_sweep(sweep_document(**changes)))


def test_points_carry_their_parameters_identity_and_cost() -> None:
    grid = grid_of()
    experiments = [grid.sweep.point(parameters) for parameters in grid.sweep.parameters()]
    assert grid.n_points == 12
    assert grid.hashes == [experiment_hash(experiment) for experiment in experiments]
    assert grid.coordinates["tau_syn_ms"].values.tolist() == [e.synapse.tau_syn_ms for e in experiments]
    assert grid.coordinates["replicate"].values.tolist() == [0, 1] * 6
    assert grid.seconds.tolist() == [predict(experiment).seconds for experiment in experiments]
    assert grid.memory_mib.tolist() == [predict(experiment).memory_mib for experiment in experiments]
    assert grid.n_loops == 2


def test_every_standard_parameter_is_there_in_its_registered_type() -> None:
    grid = grid_of(axes={"seed": [1, 2]})
    assert set(POINT_PARAMETERS) <= set(grid.coordinates)
    for name, variable in POINT_PARAMETERS.items():
        assert grid.coordinates[name].values.dtype == np.dtype(variable.dtype)


def test_a_parameter_that_an_experiment_does_not_have_is_nan_or_zero() -> None:
    experiment = {
        "targets": {"kind": "sine", "duration_ms": 100.0},
        "network": {"n_neurons": 20},
        "training": {"n_loops": 0},
    }
    grid = grid_of(experiment=experiment, axes={})
    assert np.isnan(grid.coordinates["tau_corr_ms"].values).all()
    assert grid.coordinates["duration_ms"].values.tolist() == [100.0, 100.0]


def test_names_are_the_last_part_where_that_is_unambiguous() -> None:
    names = coordinate_names(
        [
            "synapse.tau_syn_ms", "targets.duration_ms", "stimulus.duration_ms", "connectivity.probability",
            "targets.probability", "training.ridge", "a.status", "seed", "b.point",
        ]
    )  # fmt: skip
    assert names == {
        "synapse.tau_syn_ms": "tau_syn_ms",
        "targets.duration_ms": "duration_ms",
        "stimulus.duration_ms": "stimulus_duration_ms",
        "connectivity.probability": "connectivity_probability",
        "targets.probability": "targets_probability",
        "training.ridge": "ridge",
        "a.status": "a_status",
        "seed": "seed",
        "b.point": "b_point",
    }


@pytest.mark.parametrize(
    ("axes", "name", "dtype", "values", "units"),
    [
        ({"training.ridge": [1, 0.5]}, "ridge", "float64", [1.0, 0.5], "1"),
        ({"stimulus.duration_ms": [10, 20]}, "stimulus_duration_ms", "float64", [10.0, 20.0], "ms"),
        ({"training.n_loops": [1, 3]}, "n_loops", "int64", [1, 3], "1"),
        ({"training.dtype": ["float32", "float64"]}, "dtype", "str", ["float32", "float64"], "1"),
        (
            {"targets": [{"kind": "ou", "duration_ms": 50.0}, {"kind": "sine", "amplitude": [1, 2]}]},
            "targets",
            "str",
            None,
            "1",
        ),
    ],
)
def test_any_other_field_becomes_a_coordinate_with_its_unit_and_meaning(
    axes: dict[str, Any], name: str, dtype: str, values: list[Any] | None, units: str
) -> None:
    coordinate = grid_of(axes=axes, replicates=1).coordinates[name]
    assert (coordinate.variable.dtype, coordinate.variable.units) == (dtype, units)
    assert len(coordinate.variable.long_name) > 5
    if values is not None:
        assert coordinate.values.tolist() == values
    else:
        assert [text[:2] for text in coordinate.values] == ['{"', '{"']
        assert len(set(coordinate.values)) == 2


def test_boolean_fields_stay_boolean() -> None:
    experiment = {**sweep_document()["experiment"], "connectivity": {"kind": "gaussian"}}
    grid = grid_of(experiment=experiment, axes={"connectivity.zero_row_sum": [False, True]}, replicates=1)
    assert grid.coordinates["zero_row_sum"].values.tolist() == [False, True]
    assert grid.coordinates["zero_row_sum"].variable.dtype == "bool"


def test_learning_curves_are_as_long_as_the_longest() -> None:
    assert grid_of(axes={"training.n_loops": [1, 5], "targets.n_sets": [1, 3]}).n_loops == 15


def test_the_first_impossible_point_is_named() -> None:
    with pytest.raises(SpecError, match=r"point synapse\.tau_syn_ms = 0\.5, .* is larger than synapse\.tau_syn_ms"):
        grid_of(axes={"synapse.tau_syn_ms": [20.0, 0.5], "targets.tau_corr_ms": [50.0]})
    with pytest.raises(SpecError, match="n_neurons = 100.5: must be a whole number"):
        grid_of(axes={"network.n_neurons": {"linspace": [100, 101, 3]}})


def test_two_points_that_are_the_same_experiment_are_refused() -> None:
    axes = {"targets": [{"kind": "ou"}, {"kind": "ou", "tau_corr_ms": 100.0}]}
    with pytest.raises(SpecError, match="are the same experiment"):
        grid_of(axes=axes)


def test_identity_follows_the_points_not_the_text() -> None:
    same = grid_of(axes={"synapse.tau_syn_ms": [5, 20, 100], "targets.tau_corr_ms": {"linspace": [50, 100, 2]}})
    assert grid_of().identity == same.identity
    assert grid_of().identity != grid_of(replicates=1).identity
