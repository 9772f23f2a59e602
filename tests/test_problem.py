"""Explicit arrays are checked in words, and an experiment's arrays do not depend on the block they are built in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array

import hpcspike
from hpcspike.errors import DataError, SpecError
from hpcspike.measures import (
    clamped_split,
    evaluate,
    measure_heterogeneity,
    measure_lesions,
    measure_performance,
    recall,
)
from hpcspike.model.build import build_problem
from hpcspike.model.connectivity import Rows
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Protocol, Synapse, ThetaNeuron, Training
from tests.small_networks import arrays, experiment, problem

SHORT = Protocol(free_run_ms=30.0, test_free_run_ms=30.0)


def spoilt(name: str, value: float) -> np.ndarray:
    result = np.array(arrays(5)[name], dtype=float)
    result.flat[3] = value
    return result


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "weights not square": ({"weights": np.zeros((5, 4))}, r"weights has shape \(5, 4\): must be \(N, N\)"),
    "weights one-dimensional": ({"weights": np.zeros(25)}, "weights has shape"),
    "plastic of another size": ({"plastic": np.ones((4, 4), bool)}, r"plastic has shape \(4, 4\).*\(5, 5\)"),
    "targets of another size": ({"targets": np.zeros((4, 100))}, r"targets has shape \(1, 4, 100\).*5"),
    "targets without samples": ({"targets": np.zeros((5, 0))}, "targets has shape"),
    "stimuli of another size": ({"stimuli": np.zeros(4)}, r"stimuli has shape \(1, 4\): must be \(1, 5\)"),
    "one stimulus for two sets": ({"targets": np.zeros((2, 5, 100))}, r"stimuli has shape \(1, 5\): must be \(2, 5\)"),
    "phase of another size": ({"phase": np.zeros(4)}, r"phase has shape \(4,\): must be \(5,\)"),
    "filtered of another size": ({"filtered": np.zeros(6)}, r"filtered has shape \(6,\): must be \(5,\)"),
    "NaN in targets": ({"targets": spoilt("targets", np.nan)}, "targets holds NaN or infinite"),
    "infinite stimulus": ({"stimuli": spoilt("stimuli", np.inf)}, "stimuli holds NaN or infinite"),
    "NaN in phase": ({"phase": spoilt("phase", np.nan)}, "phase holds NaN or infinite"),
    "NaN in filtered": ({"filtered": spoilt("filtered", np.nan)}, "filtered holds NaN or infinite"),
    "NaN in weights": ({"weights": spoilt("weights", np.nan), "plastic": None}, "weights holds NaN or infinite"),
    "NaN in fixed weights": (
        {"weights": spoilt("weights", np.nan), "plastic": np.zeros((5, 5), bool)},
        "weights holds NaN or infinite",
    ),
    "grid between steps": ({"grid_ms": 1.5}, r"grid_ms = 1\.5 ms is not a multiple of the step of 1 ms"),
    "grid of zero": ({"grid_ms": 0.0}, "grid_ms = 0 ms: must be a positive multiple"),
    "cue between steps": ({"stimulus_ms": 0.25}, r"stimulus_ms = 0\.25 ms is not a multiple"),
    "negative cue": ({"stimulus_ms": -10.0}, "stimulus_ms = -10 ms is not a multiple"),
    "free run between steps": (
        {"protocol": Protocol(free_run_ms=10.5, test_free_run_ms=10.0)},
        r"free_run_ms = 10\.5 ms is not a multiple of the step of 1 ms",
    ),
    "free run of tests between steps": (
        {"protocol": Protocol(free_run_ms=10.0, test_free_run_ms=10.5)},
        r"test_free_run_ms = 10\.5 ms",
    ),
    "step longer than the synapse": (
        {"synapse": Synapse(tau_syn_ms=0.5)},
        r"step of 1 ms is larger than tau_syn_ms = 0\.5 ms",
    ),
    "step longer than a fixed synapse": (
        {"synapse": Synapse(tau_syn_ms=20.0, static_tau_syn_ms=0.5)},
        r"step of 1 ms is larger than static_tau_syn_ms = 0\.5 ms",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_arrays_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        problem(5, **changes)


def test_non_zero_weights_are_plastic_unless_said_otherwise() -> None:
    given_arrays = arrays(12)
    found = problem(12, **{**given_arrays, "plastic": None})
    assert len(found.plastic.weight) == np.count_nonzero(given_arrays["weights"])
    assert len(found.static.weight) == 0


def test_weights_are_split_into_plastic_and_fixed_ones() -> None:
    given_arrays = arrays(12, fixed=0.5)
    mask, weights = given_arrays["plastic"].copy(), given_arrays["weights"]
    found = problem(12, **given_arrays)
    assert found.in_degree.tolist() == mask.sum(axis=1).tolist()
    assert len(found.static.weight) == np.count_nonzero(weights[~mask]) > 10
    assert len(found.plastic.weight) + len(found.static.weight) == np.count_nonzero(weights)


def test_a_pair_may_have_a_fixed_synapse_beside_its_plastic_one() -> None:
    given_arrays = arrays(12)
    weights, mask = given_arrays["weights"], given_arrays["plastic"]
    fixed, start = weights * 2.0, np.where(np.roll(mask, 1, axis=1), 0.25, 0.0)
    found = Problem(**{**given_arrays, "weights": start, "plastic": None, "fixed": fixed})
    assert found.plastic.weight.tolist() == [0.25] * int(mask.sum())
    assert found.static.weight.tolist() == fixed[fixed != 0].tolist()
    assert ((start != 0) & (fixed != 0)).sum() > 10
    trained = hpcspike.train(found, Training(n_loops=0))
    np.testing.assert_allclose(trained.weights.toarray(), start + fixed)


def test_weights_of_some_plastic_synapses_only_are_refused_unless_it_is_said_what_they_are() -> None:
    given_arrays = arrays(12)
    weights, mask = given_arrays["weights"], given_arrays["plastic"].copy()
    mask[0, 5], weights[0, 5] = True, 0.0
    with pytest.raises(DataError, match=r"of the \d+ synapses in plastic have a weight, the others have none: it is"):
        Problem(**{**given_arrays, "plastic": mask})
    found = Problem(**{**given_arrays, "plastic": mask, "fixed": np.zeros((12, 12))})
    assert found.plastic.weight.tolist() == weights[mask].tolist()  # a plastic synapse may start at zero
    outside = weights.copy()
    outside[1, 1] = 2.0
    with pytest.raises(DataError, match="weights has 1 non-zero entries outside of plastic, but fixed is given"):
        Problem(**{**given_arrays, "weights": outside, "plastic": mask, "fixed": np.zeros((12, 12))})


def without_targets(*neurons: int, none: bool = False) -> dict[str, Any]:
    """Arguments of a problem in which some neurons are not trained and have no target."""
    given_arrays = arrays(12, n_sets=2)
    plastic, targets = given_arrays["plastic"], given_arrays["targets"]
    plastic[list(neurons)], targets[:, list(neurons)] = False, np.nan
    if none:
        targets = [[None if k in neurons else list(row) for k, row in enumerate(part)] for part in targets][0]
        return {**given_arrays, "targets": targets, "stimuli": given_arrays["stimuli"][0]}
    return given_arrays


def test_neurons_without_a_target_are_left_out_of_every_number_about_targets() -> None:
    lacking = (2, 7)
    made = Problem(**without_targets(*lacking), protocol=SHORT, stimulus_ms=20.0)
    full = Problem(
        **{**without_targets(*lacking), "targets": np.nan_to_num(made.targets, nan=0.5)},
        protocol=SHORT,
        stimulus_ms=20.0,
    )
    assert np.flatnonzero(~made.has_target[1]).tolist() == [2, 7]
    assert "2 neurons without a target" in repr(made)
    trained, other = hpcspike.train(made, Training(n_loops=2)), hpcspike.train(full, Training(n_loops=2))
    np.testing.assert_array_equal(trained.simulation.weight, other.simulation.weight)  # they change nothing else
    # with a constant target they count as correlation 0 among the twelve
    np.testing.assert_allclose(trained.curve["correlation"], other.curve["correlation"] * 12 / 10)
    found, counted = evaluate(trained), evaluate(other)
    assert np.isnan(found.correlation[:, list(lacking)]).all()
    assert found.scalars["correlation"] == pytest.approx(counted.scalars["correlation"] * 12 / 10)
    assert found.scalars["population_rate"] == counted.scalars["population_rate"]
    assert np.isnan(found.scalars["tracking_error"])  # clamping needs all targets
    assert all(np.isfinite(found.scalars[name]) for name in ("correlation_trial_mean", "trial_sd", "spectral_index"))
    np.testing.assert_allclose(recall(trained, trials=1).cued, recall(other, trials=1).cued * 12 / 10)
    lesion, alone = (
        measure_lesions(trained, fractions=(0.0,), draws=1, trials=1),
        measure_performance(trained, trials=1),
    )
    assert lesion.response[0, 0] == pytest.approx(np.nanmean(alone.response))
    assert lesion.rate[0, 0] == pytest.approx(alone.rate.mean())  # these fire, too
    for refuses in (clamped_split, measure_heterogeneity):
        with pytest.raises(SpecError, match=r"needs the targets of all neurons, but 2 have none \(NaN\)"):
            refuses(trained)


def test_every_target_set_has_neurons_without_a_target_of_its_own() -> None:
    given_arrays = arrays(12, n_sets=2)
    given_arrays["plastic"][[2, 7]] = False
    given_arrays["targets"][0, 2] = given_arrays["targets"][1, [2, 7]] = np.nan
    trained = hpcspike.train(Problem(**given_arrays, protocol=SHORT, stimulus_ms=20.0), Training(n_loops=1))
    assert np.flatnonzero(~trained.judged(0)).tolist() == [2]
    assert np.flatnonzero(~trained.judged(1)).tolist() == [2, 7]
    numbers = np.arange(12.0)  # sum 66
    assert trained.mean_over_targets(numbers, 0) == 64.0 / 11
    assert trained.mean_over_targets(numbers, 1) == 57.0 / 10


def test_none_stands_for_the_target_of_a_neuron_without_one() -> None:
    assert np.flatnonzero(~Problem(**without_targets(3, none=True)).has_target[0]).tolist() == [3]
    rows: list[Any] = [None, *np.zeros((11, 100))]
    given_arrays = {**without_targets(0), "targets": rows, "stimuli": np.zeros(12)}
    assert Problem(**given_arrays).has_target.sum() == 11


def test_a_trained_neuron_needs_a_target_and_a_target_is_whole() -> None:
    plastic = arrays(12)["plastic"]
    with pytest.raises(
        DataError, match="targets of neuron 4 are NaN, but it has plastic synapses, which need a target"
    ):
        Problem(**{**without_targets(4), "plastic": plastic})
    half = without_targets(4)
    half["targets"][0, 4, 10:] = 0.0
    with pytest.raises(DataError, match=r"targets holds NaN or infinite values \(neuron 4\)"):
        Problem(**half)
    with pytest.raises(DataError, match="targets are NaN for all neurons"):
        Problem(**without_targets(*range(12)))


def test_training_takes_the_rule_of_the_experiment_unless_another_is_given() -> None:
    exp = experiment(training={"n_loops": 1, "ridge": 0.25}, measures={"diverged_drive": 0.5})
    made = build_problem(exp)
    trained = hpcspike.train(made)
    assert trained.training == exp.training
    assert trained.diverged_loop == 0
    other = hpcspike.train(made, Training(n_loops=2), diverged_drive=1e6)
    assert (len(other.curve["rate"]), other.training.ridge) == (2, 1.0)
    assert hpcspike.train(Problem(**arrays(5), training=Training(n_loops=0))).training.n_loops == 0


def test_experiments_of_other_learners_are_no_problem_of_rls() -> None:
    exp = experiment(learner={"kind": "ebn_alemi"})
    with pytest.raises(SpecError, match="learner.kind = ebn_alemi: hpcspike.train trains by rls only"):
        hpcspike.build_problem(exp)


@pytest.mark.parametrize("form", [csr_array, coo_array])
def test_sparse_matrices_are_taken_as_dense_ones(form: Any) -> None:
    given_arrays = arrays(12, fixed=0.5)
    dense = problem(12, **given_arrays)
    sparse = problem(
        12, **{**given_arrays, "weights": form(given_arrays["weights"]), "plastic": form(given_arrays["plastic"])}
    )
    for mine, theirs in zip((*dense.plastic, *dense.static), (*sparse.plastic, *sparse.static), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_target_set_needs_no_leading_axis() -> None:
    found = problem(5, targets=np.zeros((5, 40)), stimuli=np.zeros(5))
    assert found.targets.shape == (1, 5, 40)
    assert found.stimuli.shape == (1, 5)
    assert (found.n_sets, found.n_samples, found.duration_ms) == (1, 40, 40.0)


def test_times_are_counted_in_steps() -> None:
    found = problem(
        5,
        neuron=ThetaNeuron(step_ms=0.5),
        protocol=Protocol(free_run_ms=30.0, test_free_run_ms=7.5),
        stimulus_ms=20.0,
        grid_ms=2.0,
    )
    steps = (found.free_run_steps, found.test_free_run_steps, found.stimulus_steps, found.steps_per_sample)
    assert steps == (60, 15, 40, 4)
    assert found.duration_ms == 200.0


def assert_same_rows(block: Rows, whole: Rows, first: int, last: int) -> None:
    a, b = whole.start[first], whole.start[last]
    np.testing.assert_array_equal(block.start, whole.start[first : last + 1] - a)
    np.testing.assert_array_equal(block.presynaptic, whole.presynaptic[a:b])
    np.testing.assert_array_equal(block.weight, whole.weight[a:b])


@given(first=st.integers(0, 20), last=st.integers(0, 20), n_sets=st.integers(1, 3))
def test_a_neurons_arrays_are_the_same_in_every_block(first: int, last: int, n_sets: int) -> None:
    first, last = min(first, last), max(first, last)
    exp = experiment(targets={"kind": "ou", "duration_ms": 20.0, "n_sets": n_sets})
    whole, block = build_problem(exp), build_problem(exp, block=(first, last))
    assert block.neurons == range(first, last)
    assert (block.n_rows, block.n_neurons, block.n_sets) == (last - first, 20, n_sets)
    assert_same_rows(block.plastic, whole.plastic, first, last)
    np.testing.assert_array_equal(block.targets, whole.targets[:, first:last])
    np.testing.assert_array_equal(block.stimuli, whole.stimuli[:, first:last])
    np.testing.assert_array_equal(block.phase, whole.phase[first:last])
    np.testing.assert_array_equal(block.filtered, np.zeros(20))


def test_cues_and_phases_are_uniform_in_their_ranges() -> None:
    exp = experiment(
        network={"n_neurons": 400},
        connectivity={"kind": "zero", "probability": 0.01},
        stimulus={"amplitude": 2.0, "duration_ms": 20.0},
        targets={"kind": "sine", "duration_ms": 20.0, "n_sets": 2},
    )
    found = build_problem(exp)
    for values, low, high in ((found.stimuli, -2.0, 2.0), (found.phase, 0.0, 2 * np.pi)):
        assert ((values >= low) & (values < high)).all()
        assert np.abs(np.quantile(values, [0.25, 0.5, 0.75]) - np.linspace(low, high, 5)[1:4]).max() < 0.1 * (
            high - low
        )
    assert (found.stimuli[0] != found.stimuli[1]).all()


def test_an_experiments_sections_reach_the_problem() -> None:
    exp = experiment(
        seed=9,
        replicate=2,
        neuron={"step_ms": 0.5, "bias": 0.25},
        synapse={"tau_syn_ms": 7.0},
        stimulus={"duration_ms": 15.0},
        targets={"kind": "sine", "duration_ms": 40.0, "grid_ms": 2.0},
    )
    found = build_problem(exp)
    assert (found.neuron, found.synapse, found.protocol) == (exp.neuron, exp.synapse, exp.protocol)
    assert (found.seed, found.replicate, found.stimulus_ms, found.grid_ms) == (9, 2, 15.0, 2.0)
    assert isinstance(found, Problem)


def test_a_number_of_neurons_that_contradicts_the_recording_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rates.npy", np.full((4, 41), 10.0))
    family = {
        "kind": "recorded",
        "path": str(tmp_path / "rates.npy"),
        "unit": "Hz",
        "sample_ms": 5.0,
        "layout": "unit_by_time",
    }
    exp = experiment(targets=family, training={"variable": "rate"}, network={"n_neurons": 20})
    with pytest.raises(SpecError, match=r"network\.n_neurons = 20, but 4 recorded units.*make 12"):
        build_problem(exp)
    assert build_problem(exp.model_copy(update={"network": type(exp.network)()})).n_neurons == 12
