"""P in float32 with weights in float64: half the memory, nearly the weights."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.commands.plan import _print_matrices
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash
from hpcspike.spec.experiment import Experiment, Training
from hpcspike.sweep.cost import matrices_mib, predict
from tests.small_networks import experiment, problem

N = 23
KEPT = {"update_interval_ms": 2.0, "n_loops": 2}


def trained(**training: object) -> Trainer:
    trainer = Trainer(problem(N), Training(**{**KEPT, **training}))  # type: ignore[arg-type]
    while not trainer.finished:
        trainer.advance_far()
    return trainer


def test_weights_are_float64_and_nearly_those_of_float64_matrices() -> None:
    exact, mixed = trained(), trained(matrix_dtype="float32")
    assert mixed.simulation.weight.dtype == np.float64
    arrays = {array.name: array for array in mixed.rls.state_arrays()}
    assert (arrays["covariance"].dtype, arrays["vectors"].dtype) == (np.float32, np.float32)
    assert arrays["scalars"].dtype == np.float64
    change = np.abs(exact.simulation.weight - exact.problem.plastic.weight).max()
    difference = np.abs(mixed.simulation.weight - exact.simulation.weight).max()
    assert 0.0 < difference < 1e-3 * change
    # rounded weights are no part of it: sums of float32 numbers are seldom float32 numbers
    assert (mixed.simulation.weight != mixed.simulation.weight.astype(np.float32)).mean() > 0.9


def test_it_is_refused_where_it_means_nothing() -> None:
    for other, message in (
        ({"algorithm": "textbook"}, "training.matrix_dtype = float32 needs training.algorithm = blocked, not textbook"),
        ({"dtype": "float32"}, "training.matrix_dtype = float32 has no effect with training.dtype = float32"),
    ):
        with pytest.raises(ValueError, match=message):
            experiment(training={**KEPT, "matrix_dtype": "float32", **other})
        with pytest.raises(SpecError, match=message):
            Trainer(problem(N), Training(**{**KEPT, "matrix_dtype": "float32", **other}))


def with_matrices(**training: object) -> Experiment:
    return experiment(network={"n_neurons": 900}, training={**KEPT, **training})


def test_plan_states_the_memory_of_either_choice(capsys: pytest.CaptureFixture[str]) -> None:
    plain, mixed, single = with_matrices(), with_matrices(matrix_dtype="float32"), with_matrices(dtype="float32")
    double_mib, single_mib = (matrices_mib(plain, name) for name in ("float64", "float32"))
    assert 0.5 * double_mib < single_mib < 0.55 * double_mib  # rows are padded
    assert matrices_mib(mixed, "float64") == double_mib
    assert predict(plain).memory_mib - predict(mixed).memory_mib == pytest.approx(double_mib - single_mib)
    for one in (plain, mixed, single):
        _print_matrices(one)
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("in float32 763 MiB (training.matrix_dtype: float32 or training.dtype: float32)")
    assert said[0].startswith("matrices   1.5 GiB of it for P in float64; ")
    assert said[1].endswith("763 MiB of it for P in float32; in float64 1.5 GiB (without that key)")
    assert said[2].endswith("in float64 1.5 GiB (training.dtype: float64)")


def test_the_default_leaves_the_identity_of_experiments_alone() -> None:
    assert "matrix_dtype" not in Training().model_dump()
    assert experiment_hash(with_matrices()) == experiment_hash(with_matrices(matrix_dtype=None))
    assert experiment_hash(with_matrices()) != experiment_hash(with_matrices(matrix_dtype="float32"))
