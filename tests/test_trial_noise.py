"""Noise that is new in every trial and loop: its statistics, its key, and the bits of what it shakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import hpcspike
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import Interrupted, StoreError
from hpcspike.identity import canonical, experiment_hash
from hpcspike.measures.clamped import can_be_clamped
from hpcspike.measures.perturbation import begin_trial, copy_state, record_trial
from hpcspike.model.build import build_problem
from hpcspike.model.neurons import step_size
from hpcspike.model.random_streams import stream, uniform_by_neuron
from hpcspike.model.trial_noise import BLOCK_STEPS, NoisePath
from hpcspike.spec.experiment import (
    IzhikevichNeuron,
    LifNeuron,
    Measures,
    Neuron,
    TanhNeuron,
    ThetaNeuron,
    Training,
    TrialNoise,
    UserNeuron,
)
from hpcspike.sweep.cost import predict
from tests.checkpoint_cases import LOOP_STEPS, N, changed, outcome
from tests.small_networks import experiment
from tests.test_stretch import assert_equal_bits, by_single_intervals, in_one_piece

NOISE = TrialNoise(standard_deviation=0.7, tau_corr_ms=5.0)
DRAWN_ANYWHERE = TrialNoise(standard_deviation=0.7, tau_corr_ms=0.0, generator="splitmix")
KINDS = [NOISE, NOISE.changed(generator="splitmix"), DRAWN_ANYWHERE]
"""Made in blocks of draws, in blocks of steps that follow from each other, and each step alone."""
HALF = ThetaNeuron(step_ms=0.5)


def path(
    first: int = 0,
    last: int = N,
    *,
    noise: TrialNoise = NOISE,
    purpose: str = "test_noise",
    trial: int = 4,
    neuron: Neuron = HALF,
) -> NoisePath:
    return NoisePath(noise, neuron, range(first, last), (3, 1), purpose, trial)


def by_hand(neuron: int, n_steps: int, *, a: float, trial: int = 4) -> np.ndarray:
    """The path of one neuron, step by step."""
    blocks = range(-(-n_steps // BLOCK_STEPS))
    draws = [stream(3, 1, "test_noise", neuron, trial, block).standard_normal(BLOCK_STEPS) for block in blocks]
    values, x = [], 0.0
    for t, xi in enumerate(np.concatenate(draws)[:n_steps]):
        x = xi if t == 0 else a * x + np.sqrt(1 - a * a) * xi
        values.append(0.7 * x)
    return np.array(values)


@pytest.mark.parametrize(("tau_corr_ms", "a"), [(5.0, np.exp(-0.1)), (0.0, 0.0)])
def test_every_neuron_follows_its_own_process(tau_corr_ms: float, a: float) -> None:
    found = path(noise=TrialNoise(standard_deviation=0.7, tau_corr_ms=tau_corr_ms)).rows(0, 2 * BLOCK_STEPS + 40)
    for neuron in (0, 11):
        np.testing.assert_allclose(found[:, neuron], by_hand(neuron, len(found), a=a), rtol=1e-12, atol=1e-13)
    assert np.abs(found[:, 0] - found[:, 11]).max() > 0.7


@pytest.mark.parametrize("generator", ["philox", "splitmix"])
def test_mean_spread_and_correlation_time_are_those_asked_for(generator: str) -> None:
    found = path(0, 400, noise=NOISE.changed(generator=generator)).rows(0, 2000)
    assert abs(found.mean()) < 0.01
    for part in (found[:5], found[BLOCK_STEPS - 5 : BLOCK_STEPS + 5], found):  # stationary from the first step on
        assert part.std() == pytest.approx(0.7, rel=0.06)
    lagged = np.mean(found[10:] * found[:-10]) / found.var()
    assert lagged == pytest.approx(np.exp(-1.0), abs=0.02)


@pytest.mark.parametrize("where", ["input", "voltage"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_stretch_in_any_order_of_any_block_is_the_same(kind: TrialNoise, where: str) -> None:
    noise = kind.changed(where=where)
    whole = path(noise=noise).rows(0, 4 * BLOCK_STEPS)
    asked = path(5, 9, noise=noise)
    for first, length in ((700, 3), (BLOCK_STEPS - 1, 2), (3 * BLOCK_STEPS, 17), (0, 1), (10, 1500), (1509, 1)):
        np.testing.assert_array_equal(asked.rows(first, length), whole[first : first + length, 5:9])
    assert path(5, 5, noise=noise).rows(3, 10).shape == (10, 0)


def test_every_neuron_may_have_a_size_of_its_own() -> None:
    factors = tuple(np.linspace(0.0, 2.0, N))
    unequal = TrialNoise(standard_deviation=0.7, tau_corr_ms=5.0, neuron_factors=factors)
    np.testing.assert_allclose(path(noise=unequal).rows(0, 600), path().rows(0, 600) * factors, rtol=1e-14)
    np.testing.assert_array_equal(path(5, 9, noise=unequal).rows(510, 20), path(noise=unequal).rows(510, 20)[:, 5:9])


@pytest.mark.parametrize(
    "neuron", [HALF, LifNeuron(model="lif", step_ms=0.5), IzhikevichNeuron(model="izhikevich", step_ms=0.5)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_the_voltage_moves_it_by_its_changes(neuron: Neuron, kind: TrialNoise) -> None:
    found = path(noise=kind.changed(where="voltage"), neuron=neuron)
    moved = found.rows(0, 3 * BLOCK_STEPS) * step_size(neuron)
    np.testing.assert_allclose(np.cumsum(moved, axis=0), path(noise=kind).rows(0, 3 * BLOCK_STEPS), atol=1e-12)
    # any stretch, in any order
    np.testing.assert_array_equal(found.rows(BLOCK_STEPS - 2, 4) * step_size(neuron), moved[BLOCK_STEPS - 2 :][:4])


@pytest.mark.parametrize(
    ("neuron", "voltage"),
    [
        (ThetaNeuron(step_ms=0.1), lambda state: np.tan(0.5 * state[0])),
        (LifNeuron(model="lif", step_ms=0.1, threshold=50.0), lambda state: state[0]),
        (IzhikevichNeuron(model="izhikevich", step_ms=0.1), lambda state: state[0]),
    ],
    ids=["theta", "lif", "izhikevich"],
)
def test_the_voltage_of_a_neuron_moves_by_that_much(neuron: Neuron, voltage: Any) -> None:
    """In one step, beside what it does without noise."""
    after = {}
    for size in (0.0, 0.01):
        shaken = TrialNoise(standard_deviation=size, tau_corr_ms=0.0, where="voltage")
        one = changed(neuron=neuron, trial_noise=shaken, grid_ms=1.0)
        simulation = hpcspike.train(one, Training(n_loops=0)).copy_simulation()
        simulation.set_state(np.linspace(0.5, 2.0, N), np.zeros(N))
        simulation.begin_noise("test_noise", 0)
        simulation.run_interval(1, one.input)
        after[size] = voltage(simulation.state)
    values = np.array([stream(1, 0, "test_noise", i, 0, 0).standard_normal(BLOCK_STEPS)[0] for i in range(N)])
    np.testing.assert_allclose(after[0.01] - after[0.0], 0.01 * values, rtol=0.06, atol=1e-5)


def test_every_part_of_the_key_matters() -> None:
    for noise in KINDS:
        purposes = [path(noise=noise, purpose=purpose) for purpose in ("training_noise", "training_test_noise")]
        others = [path(noise=noise), path(noise=noise, trial=5), *purposes]
        assert len({other.rows(0, 1)[0, 3] for other in others}) == 4


# ---- what it shakes --------------------------------------------------------------------------------------------------

USER = UserNeuron(model="user", source="tests.adaptive_neurons:adaptive", bias=1.0, step_ms=0.5)
NEURONS: list[Neuron] = [
    ThetaNeuron(bias=0.3),
    LifNeuron(model="lif", bias=1.2),
    IzhikevichNeuron(model="izhikevich", bias=8.0),
    TanhNeuron(model="tanh"),
    USER,
]


@pytest.mark.parametrize("neuron", NEURONS, ids=[neuron.model for neuron in NEURONS])
def test_a_test_trial_receives_its_own_noise_from_the_free_run_on(neuron: Neuron) -> None:
    trained = hpcspike.train(changed(neuron=neuron, trial_noise=NOISE), Training(n_loops=0))
    evoked = trained.evoke(0, 2, beyond_ms=10.0)
    made, step_ms = trained.problem, neuron.step_ms
    free, cue, rest = (round(ms / step_ms) for ms in (30.0, 20.0, 110.0))
    for trial in range(2):
        shaking = NoisePath(NOISE, neuron, range(N), (1, 0), "test_noise", trial).rows(0, free + cue + rest)
        simulation = hpcspike.train(changed(neuron=neuron), Training(n_loops=0)).copy_simulation()
        phase = uniform_by_neuron(1, 0, "test_phase", range(N), trial, 0.0, 2.0 * np.pi)
        simulation.set_state(phase, np.zeros(N))
        simulation.run_interval(free, made.input, noise=shaking[:free])
        simulation.run_interval(cue, made.input + made.stimuli[0], noise=shaking[free : free + cue])
        record = np.empty((110, N))
        simulation.run_interval(rest, made.input, noise=shaking[free + cue :], record=record)
        np.testing.assert_array_equal(evoked.drive[trial], record.T)
    quiet = hpcspike.train(changed(neuron=neuron), Training(n_loops=0)).evoke(0, 1)
    assert (quiet.drive[0] != evoked.drive[0][:, :100]).any()


@pytest.mark.parametrize("variable", ["drive", "rate"])
@pytest.mark.parametrize("frozen", [None, 0.3])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("drawn", [{"tau_corr_ms": 3.0}, {"tau_corr_ms": 0.0, "generator": "splitmix"}])
def test_training_in_pieces_of_any_length_and_threads_gives_the_same_bits(
    variable: str, frozen: float | None, threads: int, drawn: dict[str, Any]
) -> None:
    tiny = experiment(
        trial_noise={"standard_deviation": 0.4, **drawn},
        frozen_noise={"standard_deviation": frozen or 0.0},
        protocol={"free_run_ms": 70.0, "start": "random"},
        training={"n_loops": 2, "update_interval_ms": 2.0, "variable": variable},
    )

    def by_sevens() -> Trainer:
        trainer = Trainer(build_problem(tiny), tiny.training)
        while not trainer.finished:
            trainer.advance(7)
        return trainer

    assert_equal_bits(by_single_intervals(build_problem(tiny), tiny.training, threads), by_sevens())
    assert_equal_bits(in_one_piece(build_problem(tiny), tiny.training, threads), by_sevens())


def test_every_loop_has_noise_of_its_own_and_tests_only_if_so_asked() -> None:
    outcomes = {
        phase: outcome(hpcspike.train(changed(trial_noise=noise), Training(n_loops=2)))
        for phase, noise in {
            "none": None,
            "test": TrialNoise(standard_deviation=0.7, phase="test_only"),
            "both": TrialNoise(standard_deviation=0.7),
        }.items()
    }
    assert outcomes["test"] == outcomes["none"] != outcomes["both"]
    trainer = Trainer(changed(trial_noise=NOISE), Training(n_loops=2))
    seen = []
    while not trainer.finished:
        trainer.advance()
        assert trainer.simulation.noise is not None
        seen.append(trainer.simulation.noise.numbers())
    assert {numbers["trial"] for numbers in seen} == {0, 1}
    assert seen[-1] == {"purpose": "training_noise", "trial": 1, "step": LOOP_STEPS}


def test_the_rule_for_rates_sees_the_noise_of_the_step_before_an_update() -> None:
    made = changed(trial_noise=NOISE)
    trainer = Trainer(made, Training(n_loops=1, variable="rate"), on_update=lambda one: seen.append(one._input_now()))
    seen: list[np.ndarray] = []
    while not trainer.finished:
        trainer.advance()
    shaking = NoisePath(NOISE, ThetaNeuron(), range(N), (1, 0), "training_noise", 0).rows(0, LOOP_STEPS)
    np.testing.assert_array_equal(np.array(seen), made.input + shaking[51::2])


@pytest.mark.parametrize("kind", [NOISE, DRAWN_ANYWHERE])
@pytest.mark.parametrize("steps", [13, 41, 77, LOOP_STEPS + 90])
def test_a_training_cut_anywhere_goes_on_bit_for_bit(steps: int, kind: TrialNoise, tmp_path: Path) -> None:
    def train(**options: Any) -> list[bytes]:
        made = changed(trial_noise=kind)
        return outcome(hpcspike.train(made, Training(n_loops=2), measures=Measures(test_every_loops=1), **options))

    with pytest.raises(Interrupted):
        train(checkpoints=Checkpoints(tmp_path, stop_after_steps=steps))
    assert train(checkpoints=Checkpoints(tmp_path)) == train()


def test_other_noise_is_another_training(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        hpcspike.train(changed(trial_noise=NOISE), Training(), checkpoints=Checkpoints(tmp_path, stop_after_steps=40))
    with pytest.raises(StoreError, match=r"trial_noise\.tau_corr_ms is 5\.0 there and absent here"):
        hpcspike.train(changed(), Training(), checkpoints=Checkpoints(tmp_path))


def test_a_copied_trial_goes_on_with_the_same_noise() -> None:
    trained = hpcspike.train(changed(trial_noise=NOISE), Training(n_loops=1))
    drive = trained.evoke(0, 2).drive
    np.testing.assert_array_equal(trained.evoke(0, 1, first_trial=1).drive[0], drive[1])
    np.testing.assert_allclose(record_trial(trained, trial=1).drive, drive[1], atol=1e-9)
    one, other = trained.copy_simulation(), trained.copy_simulation()
    begin_trial(trained, one, 0, 1)
    copy_state(one, other)
    for simulation in (one, other):
        simulation.run_interval(60, trained.problem.input)
    np.testing.assert_array_equal(one.state, other.state)
    assert not can_be_clamped(trained)


def test_an_experiment_without_it_is_the_one_it_was() -> None:
    silent, noisy = experiment(), experiment(trial_noise={"standard_deviation": 0.2})
    assert "trial_noise" not in canonical(silent)
    assert experiment_hash(silent) == experiment_hash(experiment(trial_noise={"standard_deviation": 0.0}))
    assert experiment_hash(silent) != experiment_hash(noisy)
    assert build_problem(noisy).trial_noise == noisy.trial_noise
    sizes = {"standard_deviation": 0.2}
    drawn = [experiment(trial_noise={**sizes, "generator": name}) for name in ("philox", "splitmix")]
    assert experiment_hash(drawn[0]) == experiment_hash(noisy) != experiment_hash(drawn[1])


def test_drawing_noise_is_in_the_predicted_time() -> None:
    """In every loop, or in test trials alone."""
    quiet = predict(experiment(training={"n_loops": 1000})).seconds
    always, in_tests = (
        predict(experiment(training={"n_loops": 1000}, trial_noise={"standard_deviation": 0.1, "phase": phase})).seconds
        for phase in ("training_and_test", "test_only")
    )
    assert quiet < in_tests < 0.1 * (always - quiet) + quiet
    faster = {"standard_deviation": 0.1, "generator": "splitmix"}
    filtered, white = (
        predict(experiment(training={"n_loops": 1000}, trial_noise={**faster, "tau_corr_ms": tau})).seconds
        for tau in (5.0, 0.0)
    )
    assert quiet < white < quiet + 0.2 * (always - quiet) < filtered < always


def test_the_blocks_of_noise_are_in_the_predicted_memory() -> None:
    quiet, noisy = (predict(experiment(trial_noise={"standard_deviation": sd})).memory_mib for sd in (0.0, 0.2))
    assert noisy - quiet == pytest.approx(20 * 3 * 8 * BLOCK_STEPS / 2**20)
    drawn_anywhere = {"standard_deviation": 0.2, "tau_corr_ms": 0.0, "generator": "splitmix"}
    assert predict(experiment(trial_noise=drawn_anywhere)).memory_mib == quiet


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trial_noise": {"standard_deviation": -1.0}}, "greater than or equal to 0"),
        (
            {"trial_noise": {"standard_deviation": 0.1, "neuron_factors": [1.0, 2.0]}},
            r"neuron_factors has 2 numbers: must be one for each of the 20 neurons",
        ),
        (
            {"trial_noise": {"standard_deviation": 0.1, "neuron_factors": [-1.0] * 20}},
            "must be one number of 0 or more for each neuron",
        ),
        (
            {"trial_noise": {"standard_deviation": 0.1, "where": "voltage"}, "neuron": USER},
            "voltage of neuron.model = user is not known",
        ),
        ({"trial_noise": {"standard_deviation": 0.1, "phase": "training"}}, "'training_and_test' or 'test_only'"),
        ({"trial_noise": {"standard_deviation": 0.1, "generator": "pcg64"}}, "'philox' or 'splitmix'"),
        (
            {"trial_noise": {"standard_deviation": 0.1}, "learner": {"kind": "lsnn"}},
            r"trial_noise\.standard_deviation = 0\.1 has no effect with learner\.kind = lsnn",
        ),
    ],
)
def test_noise_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        experiment(**changes)
