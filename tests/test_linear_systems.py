"""Linear systems as targets: A as given or drawn, commands of known strength, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash
from hpcspike.learners.assignment import learner_of, task_of
from hpcspike.learners.linear_systems import LARGEST_CONDITION, command_strength, random_matrix
from hpcspike.learners.tasks import smooth_noise
from hpcspike.model.random_streams import stream
from hpcspike.spec.load import validate_experiment
from hpcspike.sweep.learner_cost import n_states

LINEAR: dict[str, Any] = {
    "network": {"n_neurons": 10}, "targets": {"kind": "driven", "system": "linear", "n_states": 3, "duration_ms": 50.0},
    "learner": {"kind": "ebn_alemi", "passes": 1}, "measures": {"n_test_trials": 1},
}  # fmt: skip
ROTATION = [[-2.0, -12.0], [12, -2]]


def _of(**targets: Any) -> dict[str, Any]:
    return {**LINEAR, "targets": {"kind": "driven", "system": "linear", "duration_ms": 50.0, **targets}}


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_random_systems_are_stable_and_their_eigenvalues_in_range(size: int) -> None:
    kinds = set()
    for number in range(30):
        a = random_matrix(size, (2.0, 15.0), stream(1, number, "task", 4))
        values = np.linalg.eigvals(a)
        assert values.real.max() < 0
        assert 2.0 <= np.abs(values).min()
        assert np.abs(values).max() <= 15.0
        kinds.add(bool(np.abs(values.imag).max() > 1e-9))
        assert np.linalg.norm(a, 2) <= 15.0 * LARGEST_CONDITION
    assert kinds == ({False} if size == 1 else {True, False})


def test_the_state_has_power_one_under_commands_of_the_strength_that_is_computed() -> None:
    """Against a long simulation in small steps, which knows nothing of covariances."""
    a, step = np.array(ROTATION), 5e-4
    c = command_strength(a) * smooth_noise(stream(1, 0, "task", 9), 400_000, step, 2, tau_s=0.05)
    x, total, keep = np.zeros(2), 0.0, np.eye(2) + step * a
    for t in range(len(c)):
        x = keep @ x + step * c[t]
        total += x @ x if t > 10_000 else 0.0
    assert total / 2 / (len(c) - 10_000) == pytest.approx(1.0, abs=0.15)


def test_a_matrix_in_the_file_is_the_system_and_a_drawn_one_is_another_in_every_replicate() -> None:
    given = task_of(validate_experiment(_of(matrix=ROTATION)))
    assert given.teacher is not None
    np.testing.assert_array_equal(given.teacher.matrix, ROTATION)
    drawn = [task_of(validate_experiment({**LINEAR, "replicate": number})).teacher for number in (0, 1, 0)]
    first, second, again = (one.matrix for one in drawn if one is not None)
    assert first.shape == (3, 3)
    assert np.array_equal(first, again)
    assert not np.allclose(first, second)
    trial = given.sample("test", 0)
    ahead = trial.target[:-1] + 1e-3 * (trial.target[:-1] @ np.array(ROTATION).T + trial.stimulus.input[1:])
    np.testing.assert_allclose(trial.target[1:], ahead, atol=2e-4)  # dx/dt = A x + c, to the error of Euler's step


def test_networks_and_costs_know_the_size_of_the_state() -> None:
    for document, size in ((LINEAR, 3), (_of(matrix=ROTATION), 2)):
        experiment = validate_experiment(document)
        assert n_states(experiment) == size
        learner: Any = learner_of(experiment)
        assert learner.n_states == size
        learner.train()
        assert learner.decoded_matrix(trials=1).shape == (size, size)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({}, "takes either targets.matrix .* or targets.n_states"),
        ({"n_states": 2, "matrix": ROTATION}, "takes either"),
        ({"matrix": [[-1.0, 0.0]]}, "has 1 rows of 2 numbers: must be square"),
        ({"matrix": []}, "has 0 rows of none numbers"),
        ({"matrix": [[1.0]]}, "real part 1 per s: all must be below 0"),
        ({"matrix": [[-300.0]]}, "modulus 300 per s: must be at most 200"),
        ({"n_states": 2, "modulus_per_s": [5.0, 2.0]}, "0 < low <= high <= 200 per s"),
        ({"system": "pendulum", "n_states": 2}, "targets.n_states is for targets.system = linear"),
    ],
)
def test_systems_that_cannot_be_are_refused(targets: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate_experiment(_of(**targets))


def test_experiments_of_other_systems_are_the_ones_they_were() -> None:
    """The hash of a driven system as it was before there were linear ones."""
    document = {**LINEAR, "targets": {"kind": "driven", "system": "oscillator", "duration_ms": 50.0}}
    assert (
        experiment_hash(validate_experiment(document))
        == "c1f69bfa4becf07d43cba52cf738a51ea90fdd4a030188809a8f5ba2829328a5"
    )
