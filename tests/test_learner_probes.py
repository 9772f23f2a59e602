"""Probes of networks on their own: noise, the system that they run, and what Poisson spikes would cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.errors import SpecError
from hpcspike.figures.study_balanced import noise_curves, systems_learned
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.interface import Rollout
from hpcspike.learners.rate_code import poisson_error
from hpcspike.learners.tasks import assess
from hpcspike.spec.load import validate_study
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.feasible import check_study
from hpcspike.studies.results import table_of
from hpcspike.studies.run import run_of_study
from tests.test_figures import assert_inside_and_apart, drawn

DRIVEN: dict[str, Any] = {
    "network": {"n_neurons": 16}, "targets": {"kind": "driven", "system": "oscillator", "duration_ms": 200.0},
    "learner": {"kind": "ebn_alemi", "passes": 5}, "measures": {"n_test_trials": 2},
}  # fmt: skip
PROBES = {"noise": {"levels": [0.0, 3.0], "trials": 2}, "system": {"trials": 2}, "poisson": {}}


def _study(probes: dict[str, Any] = PROBES, **changes: Any) -> Study:
    return validate_study({"experiment": {**DRIVEN, **changes}, "variants": {"one": None}, "probes": probes})


@pytest.fixture(scope="module")
def probed() -> xr.Dataset:
    return run_of_study(_study(), StudyRun("one", 0))


def test_scores_with_noise_are_those_of_tests_with_noise(probed: xr.Dataset) -> None:
    learner = learner_of(_study().experiment_of(StudyRun("one", 0)))
    learner.train()
    assert np.array_equal(probed["noise_score"][0], probed["test_score"]), "without noise it is the test"
    assert np.array_equal(probed["noise_score"][1], assess(learner, learner.task, trials=2, noise=3.0).score)
    assert (probed["noise_score"][1] != probed["noise_score"][0]).all()
    assert probed["noise_level"].values.tolist() == [0.0, 3.0]


def test_the_decoded_system_stands_beside_the_wanted_one(probed: xr.Dataset) -> None:
    wanted, found = probed["system_matrix"].values, probed["decoded_matrix"].values
    assert wanted.tolist() == [[-2.0, -12.0], [12.0, -2.0]]
    assert float(probed["matrix_error"]) == pytest.approx(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_a_decoded_system_is_that_of_the_slow_weights() -> None:
    """With W_s = F (B + lambda I) F' of any B, B is what is decoded: x_hat is all that G sees."""
    learner: Any = learner_of(_study().experiment_of(StudyRun("one", 0)))
    other = np.array([[-3.0, 5.0], [-7.0, -1.0]])
    learner.G = (other + learner.settings.decay_per_s * np.eye(2)) @ learner.F.T
    # the current was read before the step in which the state decays: equal to 1 / (1 - dt lambda)
    np.testing.assert_allclose(learner.decoded_matrix(trials=2), other, atol=0.02)


def test_the_error_of_poisson_spikes_is_the_one_they_have() -> None:
    learner: Any = learner_of(_study().experiment_of(StudyRun("one", 0)))
    rng, n, seconds, rate = np.random.default_rng(5), 16, 0.2, 400.0
    target = np.ones((200, 2))
    decay, decoder = learner.settings.decay_per_s, learner.F @ learner.readout.T
    times = (np.arange(200) + 1) / 1000.0
    expected = rate * decoder.sum(axis=0) * (-np.expm1(-decay * times)[:, None]) / decay
    found, errors = [], []
    for _ in range(200):
        count = rng.poisson(n * rate * seconds)
        spike, neuron = np.sort(rng.uniform(0, seconds, count)), rng.integers(0, n, count)
        rollout = Rollout(np.zeros((200, 2)), 1000.0 * spike, neuron, n)
        found.append(poisson_error(learner, rollout, target))
        kernel = np.where(times[:, None] >= spike, np.exp(-decay * np.maximum(times[:, None] - spike, 0.0)), 0.0)
        errors.append(((kernel @ decoder[neuron] - expected) ** 2).sum(axis=1).mean() / 2.0)
    assert np.mean(found) == pytest.approx(np.mean(errors), rel=0.1)


@pytest.mark.parametrize(
    ("changes", "probe", "message"),
    [
        ({"learner": {"kind": "lsnn"}}, "poisson", "is for efficient balanced networks"),
        (
            {"targets": {"kind": "ou", "duration_ms": 100.0}, "learner": {"kind": "ebn_alemi"}},
            "system",
            "is for targets.kind = driven, not for ou",
        ),
        ({"targets": {**DRIVEN["targets"], "system": "pendulum"}}, "system", "is for systems with a matrix"),
        (
            {"targets": {"kind": "store_recall"}, "learner": {"kind": "lsnn"}},
            "noise",
            "answers of this variant are right or wrong",
        ),
    ],
)
def test_who_cannot_be_asked_is_said_before_any_work(changes: dict[str, Any], probe: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        check_study(_study({probe: {}}, **changes))
    assert "name the variants it is for, without 'one'" in str(caught.value)


def test_tables_hold_systems_of_several_sizes_and_figures_draw_them(probed: xr.Dataset) -> None:
    linear = {"kind": "driven", "system": "linear", "n_states": 3, "duration_ms": 100.0}
    document = {
        "experiment": DRIVEN, "variants": {"two": None, "three": {"targets": linear}}, "replicates": 2,
        "probes": PROBES, "shown": {"before": False, "raster_neurons": 0},
    }  # fmt: skip
    study = validate_study(document)
    nodes = {f"/{run.variant}/{run.replicate}": run_of_study(study, run) for run in study.runs}
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs |= {"study": study.name, "document": study.model_dump_json()}
    table = table_of(tree)
    assert table["system_matrix"].shape == (2, 2, 3, 3)
    assert np.isnan(table["system_matrix"].sel(variant="two")[0, 2]).all()
    for draw in (systems_learned, noise_curves):
        assert_inside_and_apart(drawn(draw(tree)))
    left = systems_learned(tree).axes[0]
    wanted = [line for line in left.lines if line.get_markerfacecolor() == "white"]
    assert len(wanted) == 4
    np.testing.assert_allclose(np.sort(wanted[0].get_ydata()), [-12.0, 12.0])
