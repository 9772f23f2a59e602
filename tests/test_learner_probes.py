"""Probes of networks on their own: noise, the system that they run, and what Poisson spikes would cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.errors import SpecError
from hpcspike.figures.study_balanced import balance, noise_curves, rate_code, systems_learned
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.balance import input_currents, measure_balance, repeated
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
        ({"learner": {"kind": "huh"}}, "cancellation", "is for learner.kind = huh with fast synapses"),
        ({"learner": {"kind": "huh", "tau_fast_ms": 1.0}}, "cancellation", "is for targets.kind = autoencoder"),
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


# ---- balance ---------------------------------------------------------------------------------------------------------

NOISY = {"kind": "ebn_bourdoukan", "passes": 2, "fast_passes": 2, "fast_pass_ms": 100.0}


@pytest.mark.parametrize("section", [NOISY, {"kind": "ebn_alemi", "passes": 3, "basis": "tanh", "slow_rate": 300.0}])
def test_excitation_minus_inhibition_and_own_resets_are_the_voltage(section: dict[str, Any]) -> None:
    """Without noise: whoever spiked was above threshold, by more than all others, and nobody was in other steps."""
    learner: Any = learner_of(_study({}, learner=section).experiment_of(StudyRun("one", 0)))
    learner.train()
    stimulus = repeated(learner.task.sample("test", 0).stimulus, 1)
    rollout = learner.rollout(stimulus)
    found = input_currents(learner, stimulus, rollout)
    assert (found.excitation >= 0).all()
    assert (found.inhibition >= -1e-12).all()
    keep = 1.0 - learner.leak_per_s * learner.step_ms / 1000.0
    step = np.rint(rollout.spike_time_ms / learner.step_ms).astype(int) - 1
    assert len(step) > 10
    fired = dict(zip(step.tolist(), rollout.spike_neuron.tolist(), strict=True))
    own, net = rollout.start * keep, found.excitation - found.inhibition
    above = 0
    for t in range(len(net)):
        k = fired.get(t)
        brought = np.zeros(learner.n_neurons)
        if k is not None:  # of the current of this step, what its spike brought to the others
            brought = learner.W[k].copy()
            brought[k] = 0.0
        before_spike = net[t] - brought + own - learner.threshold
        assert (before_spike.argmax() == k and before_spike[k] > 0) if k is not None else before_spike.max() <= 1e-9
        above += k is not None
        if k is not None:
            own[k] += learner.W[k, k]
        own = own * keep
    assert above == len(step)


def test_repeated_trials_have_one_input_and_noise_and_start_of_their_own() -> None:
    learner: Any = learner_of(_study().experiment_of(StudyRun("one", 0)))
    stimulus = learner.task.sample("test", 0).stimulus
    asked = [repeated(stimulus, number) for number in (0, 1)]
    assert all(np.array_equal(one.input, stimulus.input) for one in asked)
    first, second, again = (learner.rollout(one, noise=1.0) for one in (*asked, asked[0]))
    assert np.array_equal(first.spike_time_ms, again.spike_time_ms)
    assert not np.array_equal(first.start, second.start)
    assert not np.array_equal(first.spike_neuron, second.spike_neuron)
    assert not np.array_equal(first.start, learner.rollout(stimulus, noise=1.0).start)


def test_balance_is_measured_before_and_after_training_and_drawn() -> None:
    study = _study({"balance": {"trials": 3, "noise": 1.0, "bin_ms": 50.0}, "poisson": {}}, learner=NOISY)
    found = run_of_study(study, StudyRun("one", 0))
    learner: Any = learner_of(study.experiment_of(StudyRun("one", 0)))
    stimulus = learner.task.sample("test", 0).stimulus
    for when in ("before", "after"):
        expected, _ = measure_balance(learner, stimulus, trials=3, noise=1.0, bin_ms=50.0)
        names = ("ei_correlation", "cv_isi", "cv2_isi", "fano_factor")
        np.testing.assert_array_equal([float(found[f"{name}_{when}"]) for name in names], expected)
        learner.train()
    assert found["excitation"].shape == (2, 200)
    tree = xr.DataTree.from_dict({"/one/0": found})
    tree.attrs |= {"study": study.name, "document": study.model_dump_json()}
    for draw in (balance, rate_code):
        assert_inside_and_apart(drawn(draw(tree)))
    assert "excitation" not in table_of(tree)


def test_bins_that_do_not_divide_the_trial_are_refused_first() -> None:
    with pytest.raises(SpecError, match="probes.balance has bin_ms = 70 ms, which does not divide"):
        check_study(_study({"balance": {"bin_ms": 70.0}}))
