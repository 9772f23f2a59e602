"""External noise that is the same in every loop and trial; paper, Fig 3 supplement 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import DataError, Interrupted, StoreError
from hpcspike.measures.clamped import can_be_clamped
from hpcspike.model.build import build_problem, frozen_noise
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import LifNeuron, Neuron, TanhNeuron, ThetaNeuron, Training
from tests.checkpoint_cases import LOOP_STEPS, changed, outcome
from tests.program_order import Program
from tests.small_networks import TAU_MS, arrays, experiment
from tests.test_training import learn_rate, rate_arrays

N = 30
CUE, WINDOW = 20, 100
NOISE = np.random.default_rng(5).normal(0, 1, (CUE + WINDOW, N))


def noisy(**changes: Any) -> Problem:
    return changed(N, noise=NOISE, fixed=0.0, **changes)


@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_every_loop_receives_the_noise_of_cue_and_window(variable: str) -> None:
    given = (rate_arrays if variable == "rate" else arrays)(N)
    program = Program(
        given["weights"], given["plastic"], given["phase"], given["filtered"],
        step=0.1, tau_over_tau_syn=TAU_MS / 20.0, ridge=1.0,
    )  # fmt: skip
    bias, cue, goals = np.full(N, 0.3), given["stimuli"][0], given["targets"][0]
    for _ in range(2):
        for _ in range(30):
            program.advance(bias)
        for t in range(CUE + WINDOW):
            external = bias + NOISE[t] + (cue if t < CUE else 0.0)
            program.advance(external)
            n = t - CUE + 1
            if n > 0 and n % 2 == 0:
                if variable == "rate":
                    learn_rate(program, goals[:, n - 1], external)
                else:
                    program.learn(goals[:, n - 1])
    trained = hpcspike.train(noisy(**given), Training(n_loops=2, variable=variable))
    np.testing.assert_allclose(trained.weights.toarray(), program.weights, atol=1e-9)
    assert trained.curve["rate"].min() > 10.0


@pytest.mark.parametrize("neuron", [ThetaNeuron(bias=0.3), LifNeuron(model="lif", bias=1.2), TanhNeuron(model="tanh")])
def test_test_trials_receive_it_too_and_nothing_after_the_window(neuron: Neuron) -> None:
    trained = hpcspike.train(noisy(neuron=neuron), Training(n_loops=0))
    evoked = trained.evoke(0, 2, beyond_ms=30.0)
    made = trained.problem
    for trial, found in enumerate(evoked.drive):
        simulation = trained.copy_simulation()
        phase = hpcspike.model.random_streams.uniform_by_neuron(1, 0, "test_phase", range(N), trial, 0.0, 2.0 * np.pi)
        simulation.set_state(phase, np.zeros(N))
        simulation.run_interval(30, made.input)
        drives = []
        for t in range(CUE + WINDOW + 30):
            external = made.input + (made.stimuli[0] if t < CUE else 0.0) + (NOISE[t] if t < CUE + WINDOW else 0.0)
            simulation.run_interval(1, external)
            drives.append(simulation.drive)
        np.testing.assert_allclose(found, np.array(drives[CUE:]).T, atol=1e-9)


def test_noise_in_parts_of_an_interval_is_that_of_the_whole() -> None:
    made = noisy()
    whole, cut = Simulation(made), Simulation(made)
    whole.run_interval(60, made.input, noise=NOISE[:60])
    for begin, stop in ((0, 7), (7, 8), (8, 60)):
        cut.run_interval(60, made.input, begin=begin, stop=stop, noise=NOISE[:60])
    np.testing.assert_array_equal(cut.state, whole.state)
    quiet = Simulation(made)
    quiet.run_interval(60, made.input)
    assert (quiet.state != whole.state).any()


def test_a_training_goes_on_from_a_checkpoint_but_not_with_other_noise(tmp_path: Path) -> None:
    training = Training(n_loops=2, update_interval_ms=4.0)
    whole = hpcspike.train(noisy(), training)
    for steps in (33, 30, LOOP_STEPS - 20):
        with pytest.raises(Interrupted):
            hpcspike.train(noisy(), training, checkpoints=Checkpoints(tmp_path, stop_after_steps=steps))
    other = changed(N, noise=2.0 * NOISE, fixed=0.0)
    with pytest.raises(StoreError, match="noise differs"):
        hpcspike.train(other, training, checkpoints=Checkpoints(tmp_path))
    assert outcome(hpcspike.train(noisy(), training, checkpoints=Checkpoints(tmp_path))) == outcome(whole)


def asked(**noise: float) -> hpcspike.Experiment:
    return experiment(
        frozen_noise={"standard_deviation": 0.7, "tau_corr_ms": 15.0, **noise},
        targets={"kind": "sine", "duration_ms": 4000.0, "grid_ms": 2.0},
    )


def test_paths_are_stationary_keyed_by_neuron_and_independent() -> None:
    exp = asked()
    paths = frozen_noise(exp, range(20), 4000.0)
    assert paths is not None
    assert paths.shape == (20 + 4000, 20)
    assert paths.std() == pytest.approx(0.7, rel=0.05)
    lagged = (paths[15:] * paths[:-15]).mean() / (paths**2).mean()
    assert lagged == pytest.approx(np.exp(-1), abs=0.06)
    assert np.abs(np.corrcoef(paths.T) - np.eye(20)).max() < 0.4
    part = build_problem(exp, block=(4, 9))
    np.testing.assert_array_equal(part.noise, paths[:, 4:9])
    for change in ({"seed": 9}, {"replicate": 2}):
        other = frozen_noise(exp.model_copy(update=change), range(20), 4000.0)
        assert other is not None
        assert (other != paths).any(axis=0).all()
    assert build_problem(asked(standard_deviation=0.0)).noise is None


def test_the_input_at_samples_is_that_of_the_steps_that_lead_to_them() -> None:
    made = build_problem(asked())
    assert made.noise is not None
    np.testing.assert_array_equal(made.input_at_samples()[3, :3], made.noise[[21, 23, 25], 3])
    assert made.input_at_samples().shape == (20, 2000)


@pytest.mark.parametrize(("noise", "message"), [(NOISE[1:], "noise has shape"), (np.nan * NOISE, "NaN or infinite")])
def test_noise_must_fit(noise: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        changed(N, noise=noise)


def test_identical_targets_are_learned_with_strong_noise_only() -> None:
    found = []
    for strength in (0.0, 1.0):
        exp = experiment(
            network={"n_neurons": 200},
            connectivity={"kind": "gaussian", "probability": 0.3, "sigma": 1.0},
            targets={"kind": "sine", "random_fraction": 0.0, "amplitude": [1, 1], "period_ms": [500, 500],
                     "phase_ms": [0, 0], "duration_ms": 500.0},
            stimulus={"duration_ms": 100.0},
            frozen_noise={"standard_deviation": strength, "tau_corr_ms": 20.0},
            training={"n_loops": 10},
        )  # fmt: skip
        trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
        target = trained.problem.targets[0]
        assert (target == target[0]).all()
        found.append(np.mean([pearson(drive, target).mean() for drive in trained.evoke(0, 2).drive]))
        assert can_be_clamped(trained) == (strength == 0.0)
    assert found[0] < 0.5
    assert found[1] > 0.8
