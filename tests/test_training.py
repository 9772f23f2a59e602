"""Training loop by loop, and what a trained network does when it is cued."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import SpecError
from hpcspike.model.problem import Problem
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.transfer import rate_of_constant_input, rate_of_noisy_input, slope_of_noisy_input
from hpcspike.rls import reference
from hpcspike.spec.experiment import Protocol, ThetaNeuron, Training
from tests.program_order import Program
from tests.small_networks import TAU_MS, arrays, experiment, problem

N = 30
TAU_SYN_MS = 20.0
RATE_SMOOTHING = 0.1


def rate_arrays(n: int = N, **recipe: Any) -> dict[str, Any]:
    given_arrays = arrays(n, **recipe)
    given_arrays["targets"] = rate_of_constant_input(given_arrays["targets"])
    return given_arrays


def by_the_definition(
    given_arrays: dict[str, Any], *, variable: str, interval: int, loops: int, bias: float = 0.0
) -> dict[str, np.ndarray]:
    """Learning curve and weights from the transcribed program, every number recomputed from dense recordings."""
    program = Program(
        given_arrays["weights"], given_arrays["plastic"], given_arrays["phase"], given_arrays["filtered"],
        step=0.1, tau_over_tau_syn=TAU_MS / TAU_SYN_MS, ridge=1.0,
    )  # fmt: skip
    targets, cues = given_arrays["targets"], given_arrays["stimuli"]
    duration = targets.shape[2]
    n = len(program.phase)
    rest = np.full(n, bias)
    curve: dict[str, list[float]] = {"correlation": [], "rate": [], "weight_change": []}
    norm = np.linalg.norm(program.weights[given_arrays["plastic"]])
    for loop in range(loops):
        which = loop % len(targets)
        before = program.weights.copy()
        for _ in range(30):
            program.advance(rest)
        for _ in range(20):
            program.advance(rest + cues[which])
        recorded, goals, spikes = [], [], 0
        for t in range(1, duration + 1):
            spikes += len(program.advance(rest))
            if t % interval:
                continue
            goal = targets[which][:, t - 1]
            goals.append(goal)
            recorded.append(program.drive.copy() if variable == "drive" else program.filtered.copy())
            if variable == "drive":
                program.learn(goal)
            else:
                learn_rate(program, goal, bias)
        curve["correlation"].append(float(np.mean(pearson(np.array(recorded).T, np.array(goals).T))))
        curve["rate"].append(1000.0 * spikes / n / duration)
        curve["weight_change"].append(float(np.linalg.norm(program.weights - before) / norm))
    return {name: np.array(column) for name, column in curve.items()} | {"weights": program.weights}


def learn_rate(program: Program, goal: np.ndarray, bias: float) -> None:
    """One update of every row for the rate (paper Eqs 16-19)."""
    total = program.drive + bias
    error = goal - rate_of_noisy_input(total, RATE_SMOOTHING)
    gain = slope_of_noisy_input(total, RATE_SMOOTHING)
    for i, sources in enumerate(program.inputs):
        program.weights[i, sources], program.covariances[i] = reference.update(
            program.weights[i, sources], program.covariances[i], program.filtered[sources], error[i], gain[i]
        )


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
@pytest.mark.parametrize("variable", ["drive", "rate"])
@pytest.mark.parametrize(("interval", "n_sets", "fixed"), [(2, 1, 0.0), (5, 2, 0.3)])
def test_curve_and_weights_are_those_of_the_definition(
    algorithm: str, variable: str, interval: int, n_sets: int, fixed: float
) -> None:
    make = arrays if variable == "drive" else rate_arrays
    given_arrays = make(N, n_sets=n_sets, fixed=fixed)
    expected = by_the_definition(given_arrays, variable=variable, interval=interval, loops=2, bias=0.1)
    trained = hpcspike.train(
        problem(N, **given_arrays, neuron=ThetaNeuron(bias=0.1)),
        Training(variable=variable, update_interval_ms=interval, n_loops=2 // n_sets, algorithm=algorithm),
    )
    for name in ("correlation", "rate", "weight_change"):
        np.testing.assert_allclose(trained.curve[name], expected[name], rtol=1e-8, err_msg=name)
    np.testing.assert_allclose(trained.weights.toarray(), expected["weights"], atol=1e-9)
    assert (trained.curve["weight_change"] > 0.01).all()
    assert (trained.curve["seconds"] > 0).all()


@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_correlation_rises(variable: str) -> None:
    exp = experiment(
        network={"n_neurons": 60},
        targets={"kind": "sine", "duration_ms": 300.0},
        training={"n_loops": 15, "variable": variable},
    )
    correlation = hpcspike.train(hpcspike.build_problem(exp), exp.training).curve["correlation"]
    # the very first loop of drive training is good already: the weights follow the target as it moves
    early, late = correlation[1], correlation[-3:].mean()
    assert late > early + 0.15
    assert late > (0.8 if variable == "drive" else 0.25)


def test_loops_of_several_sets_alternate() -> None:
    one = arrays(N)
    two = one | {name: np.repeat(one[name], 2, axis=0) for name in ("targets", "stimuli")}
    single = hpcspike.train(problem(N, **one), Training(n_loops=4))
    double = hpcspike.train(problem(N, **two), Training(n_loops=2))
    np.testing.assert_array_equal(double.curve["correlation"], single.curve["correlation"])
    np.testing.assert_array_equal(double.simulation.weight, single.simulation.weight)
    other = {**two, "targets": two["targets"] * np.array([1.0, -1.0])[:, None, None]}
    alternating = hpcspike.train(problem(N, **other), Training(n_loops=2)).curve["correlation"]
    assert alternating[0] == single.curve["correlation"][0]
    assert alternating[1] != single.curve["correlation"][1]


def test_both_target_sets_are_recalled_by_their_cues() -> None:
    exp = experiment(
        network={"n_neurons": 60},
        connectivity={"kind": "gaussian", "probability": 0.9, "sigma": 2.0},
        targets={"kind": "sine", "duration_ms": 200.0, "n_sets": 2},
        stimulus={"duration_ms": 50.0, "amplitude": 2.0},
        training={"n_loops": 60},
    )
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    first, second = trained.problem.targets
    for cue, own, other in ((0, first, second), (1, second, first)):
        drive = trained.evoke(cue, 3).drive
        assert pearson(drive, own).mean() > 0.6
        assert abs(pearson(drive, other).mean()) < 0.3


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
def test_threads_do_not_change_a_bit(algorithm: str) -> None:
    results = []
    for threads in (1, 2):
        trained = hpcspike.train(problem(N), Training(n_loops=2, algorithm=algorithm), threads=threads)
        results.append((trained.simulation.weight, trained.state["phase"], trained.curve["correlation"]))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(threads: int) -> None:
    with pytest.raises(SpecError, match=f"threads = {threads}: must be a whole number of at least 1"):
        hpcspike.train(problem(N), Training(n_loops=1), threads=threads)


@pytest.mark.parametrize("most_steps", [1, 3, 1000])
def test_how_far_training_advances_at_a_time_does_not_change_a_bit(most_steps: int) -> None:
    training = Training(n_loops=2, update_interval_ms=5.0)
    expected = hpcspike.train(problem(N), training)
    trainer = Trainer(problem(N), training)
    steps = 0
    while not trainer.finished:
        taken = trainer.advance(most_steps)
        assert 0 <= taken <= most_steps
        steps += taken
    assert steps == 2 * (30 + 20 + 100)
    np.testing.assert_array_equal(trainer.simulation.weight, expected.simulation.weight)
    np.testing.assert_array_equal(trainer.simulation.state, expected.simulation.state)
    for name in ("correlation", "rate", "weight_change"):
        assert trainer.curve[name] == expected.curve[name].tolist()


def test_training_leaves_the_problem_as_it_was() -> None:
    made = problem(N)
    before = [made.plastic.weight.copy(), made.phase.copy(), made.filtered.copy(), made.targets.copy()]
    first = hpcspike.train(made, Training(n_loops=1))
    for now, then in zip((made.plastic.weight, made.phase, made.filtered, made.targets), before, strict=True):
        np.testing.assert_array_equal(now, then)
    again = hpcspike.train(made, Training(n_loops=1))
    np.testing.assert_array_equal(again.simulation.weight, first.simulation.weight)


def test_weights_that_are_not_plastic_stay_and_act() -> None:
    given_arrays = arrays(N, fixed=0.5)
    fixed = ~given_arrays["plastic"]
    trained = hpcspike.train(problem(N, **given_arrays), Training(n_loops=2))
    weights = trained.weights.toarray()
    np.testing.assert_array_equal(weights[fixed], given_arrays["weights"][fixed])
    assert (weights[~fixed] != given_arrays["weights"][~fixed]).mean() > 0.9
    without = {**given_arrays, "weights": np.where(fixed, 0.0, given_arrays["weights"])}
    other = hpcspike.train(problem(N, **without), Training(n_loops=2))
    assert np.abs(other.weights.toarray()[~fixed] - weights[~fixed]).max() > 1e-3


def test_synapses_that_start_at_zero_are_trained_where_the_mask_says() -> None:
    mask = np.random.default_rng(0).random((N, N)) < 0.5
    trained = hpcspike.train(problem(N, weights=np.zeros((N, N)), plastic=mask), Training(n_loops=2))
    weights = trained.weights.toarray()
    assert not weights[~mask].any()
    assert (weights[mask] != 0).mean() > 0.9
    # there is no initial norm: the first change is the whole matrix
    assert trained.curve["weight_change"][0] == pytest.approx(1.0)
    assert 0 < trained.curve["weight_change"][1] < 1.0


def test_no_loops_leave_the_network_untrained() -> None:
    made = problem(N)
    trained = hpcspike.train(made, Training(n_loops=0))
    np.testing.assert_array_equal(trained.simulation.weight, made.plastic.weight)
    assert all(len(column) == 0 for column in trained.curve.values())
    assert trained.diverged_loop == -1
    assert np.isfinite(trained.evoke(0, 1).drive).all()


DIVERGING: dict[str, dict[str, Any]] = {
    "huge target": {"scale": 1e9, "ridge": 1e-12, "dtype": "float64"},
    "overflow of float32": {"scale": 1e100, "ridge": 1e-12, "dtype": "float32"},
    "overflow of float64": {"scale": 1e200, "ridge": 1e-12, "dtype": "float64"},
}


@pytest.mark.parametrize("variable", ["drive", "rate"])
@pytest.mark.parametrize("case", DIVERGING.values(), ids=DIVERGING)
def test_a_network_that_diverges_is_reported_and_stops(case: dict[str, Any], variable: str) -> None:
    given_arrays = arrays(N)
    given_arrays["targets"] *= case["scale"]
    trained = hpcspike.train(
        problem(N, **given_arrays), Training(n_loops=5, ridge=case["ridge"], dtype=case["dtype"], variable=variable)
    )
    assert trained.diverged_loop == 0
    assert all(len(column) == 1 for column in trained.curve.values())


def test_how_large_a_drive_may_become_is_a_parameter() -> None:
    made = problem(N)
    assert hpcspike.train(made, Training(n_loops=3)).diverged_loop == -1
    assert hpcspike.train(made, Training(n_loops=3), diverged_drive=0.5).diverged_loop == 0


def test_float32_training_keeps_its_precision_and_comes_close() -> None:
    double = hpcspike.train(problem(N), Training(n_loops=1))
    single = hpcspike.train(problem(N), Training(n_loops=1, dtype="float32"))
    assert single.simulation.weight.dtype == np.float32
    assert single.curve["correlation"][0] == pytest.approx(double.curve["correlation"][0], abs=0.02)


@pytest.mark.parametrize(
    ("training", "changes", "message"),
    [
        ({"update_interval_ms": 3.0}, {"grid_ms": 2.0}, "update_interval_ms = 3 ms is not a multiple of the grid of 2"),
        ({"update_interval_ms": 3.0}, {}, "targets last 100 ms: must be a multiple of update_interval_ms = 3 ms"),
        ({"update_interval_ms": 200.0}, {}, "targets last 100 ms: must be a multiple of update_interval_ms = 200 ms"),
    ],
)
def test_updates_that_do_not_fit_the_window_are_refused(
    training: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        hpcspike.train(problem(N, **changes), Training(**training))


def test_targets_on_a_grid_are_read_at_the_end_of_each_update_interval() -> None:
    fine = arrays(N)
    coarse = {**fine, "targets": fine["targets"][:, :, 4::5]}
    training = Training(n_loops=1, update_interval_ms=10.0)
    first = hpcspike.train(problem(N, **fine), training)
    second = hpcspike.train(problem(N, **coarse, grid_ms=5.0), training)
    np.testing.assert_array_equal(second.simulation.weight, first.simulation.weight)


def test_every_loop_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    trained = hpcspike.train(
        problem(N, n_sets=2), Training(n_loops=2), progress=True, on_loop=lambda loop, row: seen.append((loop, row))
    )
    assert [loop for loop, _ in seen] == [0, 1, 2, 3]
    for name, column in trained.curve.items():
        assert [row[name] for _, row in seen] == column.tolist()
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.split()[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert f"correlation {trained.curve['correlation'][0]:.3f}" in lines[0]


# ---- evoked responses -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> hpcspike.Trained:
    given_arrays = arrays(N, n_sets=2, fixed=0.3)
    return hpcspike.train(problem(N, **given_arrays), Training(n_loops=2))


def test_a_trial_is_the_same_however_trials_are_grouped(trained: hpcspike.Trained) -> None:
    together = trained.evoke(0, 4)
    alone = trained.evoke(0, 1, first_trial=2)
    pair = trained.evoke(0, 2, first_trial=1)
    for response, place in ((alone, 0), (pair, 1)):
        np.testing.assert_array_equal(response.drive[place], together.drive[2])
        np.testing.assert_array_equal(response.filtered[place], together.filtered[2])
        np.testing.assert_array_equal(response.spikes[place].step, together.spikes[2].step)
        np.testing.assert_array_equal(response.spikes[place].neuron, together.spikes[2].neuron)
    assert (together.drive[0] != together.drive[1]).any()


def test_evoking_changes_nothing_in_the_trained_network(trained: hpcspike.Trained) -> None:
    weights, state = trained.simulation.weight.copy(), trained.state
    trained.evoke(1, 2)
    np.testing.assert_array_equal(trained.simulation.weight, weights)
    for name, values in trained.state.items():
        np.testing.assert_array_equal(values, state[name])


def test_evoked_drive_is_weights_times_evoked_filtered_trains(trained: hpcspike.Trained) -> None:
    response = trained.evoke(0, 2)
    assert response.drive.shape == response.filtered.shape == (2, N, 100)
    for drive, filtered in zip(response.drive, response.filtered, strict=True):
        assert filtered.max() > 0.2
        np.testing.assert_allclose(drive, trained.weights @ filtered, atol=1e-11)


def test_each_cue_evokes_its_own_response(trained: hpcspike.Trained) -> None:
    first, second = trained.evoke(0, 1), trained.evoke(1, 1)
    assert np.abs(first.drive - second.drive).max() > 0.1
    # up to the cue the trials are one and the same
    free = trained.problem.test_free_run_steps
    before = [(r.spikes[0].step, r.spikes[0].neuron) for r in (first, second)]
    early = [set(zip(step[step < -20].tolist(), neuron[step < -20].tolist(), strict=True)) for step, neuron in before]
    assert early[0] == early[1]
    assert early[0]
    assert min(step for step, _ in early[0]) >= -20 - free


def test_longer_recording_continues_the_window(trained: hpcspike.Trained) -> None:
    window, longer = trained.evoke(0, 1), trained.evoke(0, 1, beyond_ms=50.0)
    assert longer.drive.shape == (1, N, 150)
    np.testing.assert_array_equal(longer.drive[:, :, :100], window.drive)
    np.testing.assert_array_equal(longer.filtered[:, :, :100], window.filtered)
    assert longer.spikes[0].step.max() >= 100 > window.spikes[0].step.max()


def test_trials_start_from_random_phases_and_silence(trained: hpcspike.Trained) -> None:
    # a network without synapses shows where it started: each neuron's first spike follows from its phase alone
    made = problem(
        N, weights=np.zeros((N, N)), stimulus_ms=0.0, protocol=Protocol(free_run_ms=0.0, test_free_run_ms=0.0), seed=1
    )
    lone = hpcspike.train(made, Training(n_loops=0))
    response = lone.evoke(0, 3)
    assert not response.drive.any()
    for trial in range(3):
        phase = uniform_by_neuron(1, 0, "test_phase", range(N), trial, 0.0, 2 * np.pi)
        spiked = set(response.spikes[trial].neuron.tolist())
        # at rest, v = tan(theta / 2) grows as v / (1 - v t / tau): only v > 0 ever spikes, within t = tau / v
        voltage = np.tan(phase / 2)
        expected = set(np.flatnonzero(voltage > 0.15).tolist())
        assert expected <= spiked <= set(np.flatnonzero(voltage > 0).tolist())
        assert expected


def test_weights_are_assembled_from_plastic_and_fixed_ones() -> None:
    given_arrays = arrays(N, fixed=0.4)
    untrained = hpcspike.train(problem(N, **given_arrays), Training(n_loops=0))
    np.testing.assert_array_equal(untrained.weights.toarray(), given_arrays["weights"])


def test_finer_steps_are_recorded_on_the_grid_of_the_targets() -> None:
    made: Problem = problem(N, neuron=ThetaNeuron(step_ms=0.5), grid_ms=2.0, targets=arrays(N)["targets"][:, :, 1::2])
    response = hpcspike.train(made, Training(n_loops=1, update_interval_ms=2.0)).evoke(0, 1)
    assert response.drive.shape == (1, N, 50)
    assert response.spikes[0].step.max() >= 150  # 100 ms are 200 steps
