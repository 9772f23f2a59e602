"""One deleted spike: identical copies before, the right difference at it, and phases compared as defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trial import take_spike_back
from hpcspike.errors import SpecError
from hpcspike.measures import perturbation
from hpcspike.measures.perturbation import begin_trial, copy_state, delete_spike, record_trial
from hpcspike.spec.experiment import LifNeuron, Synapse, ThetaNeuron, Training
from tests.small_networks import problem

ACTIVE = ThetaNeuron(bias=0.5)


def network(n_loops: int = 1, **changes: Any) -> hpcspike.Trained:
    made = problem(25, **{"neuron": ACTIVE, "fixed": 0.3, "n_sets": 2, **changes})
    return hpcspike.train(made, Training(n_loops=n_loops))


def state_of(simulation: Simulation) -> dict[str, np.ndarray]:
    n = simulation.problem.n_rows
    found = {array.name: array.take(0, n).copy() for array in simulation.state_arrays()}
    return {**found, "r": simulation.filtered.copy(), "traces": simulation.trace.copy()}


def dense(trained: hpcspike.Trained) -> np.ndarray:
    return trained.weights.toarray()


@pytest.mark.parametrize("n_loops", [0, 1])
def test_recorded_drives_are_those_of_evoke(n_loops: int) -> None:
    trained = network(n_loops)
    evoked = trained.evoke(1, 1, first_trial=3, beyond_ms=20.0)
    found = record_trial(trained, stimulus=1, trial=3, beyond_ms=20.0)
    np.testing.assert_array_equal(found.drive, evoked.drive[0])
    np.testing.assert_array_equal(found.time_ms, np.arange(1.0, 121.0))
    assert np.abs(found.phase).max() <= np.pi
    assert np.ptp(found.phase) > 5


def test_frozen_noise_is_felt_as_in_evoke() -> None:
    noise = np.random.default_rng(0).standard_normal((20 + 100, 25))
    trained = network(noise=noise)
    np.testing.assert_array_equal(record_trial(trained, trial=1).drive, trained.evoke(0, 1, first_trial=1).drive[0])


@pytest.mark.parametrize("late", [False, True])
def test_copies_are_the_same_to_the_bit_and_stay_so_if_no_spike_is_deleted(late: bool) -> None:
    trained = network(synapse=Synapse(tau_syn_ms=20.0, weight_acts="at_spikes" if late else "at_once"))
    one, other = trained.copy_simulation(), trained.copy_simulation()
    begin_trial(trained, one, 0, 0)
    one.run_interval(13, trained.problem.input)
    copy_state(one, other)
    for _ in range(3):
        for name, values in state_of(one).items():
            np.testing.assert_array_equal(state_of(other)[name], values, err_msg=name)
        for simulation in (one, other):
            simulation.run_interval(30, trained.problem.input)
    one.run_interval(1, trained.problem.input)
    assert (state_of(one)["state"] != state_of(other)["state"]).any()  # nothing is shared


def test_without_a_deletion_the_measure_is_exactly_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "take_spike_back", lambda simulation, neuron: None)
    found = delete_spike(network(), delay_ms=20.0, repeats=3, beyond_ms=50.0)
    np.testing.assert_array_equal(found.deviation, np.zeros((3, 150)))
    np.testing.assert_array_equal(found.drive_deviation, np.zeros((3, 150)))
    assert (found.neuron >= 0).all()


@pytest.mark.parametrize("static_tau_ms", [None, 5.0])
@pytest.mark.parametrize("late", [False, True])
def test_a_deleted_spike_takes_its_jumps_out_of_r_and_of_every_drive(late: bool, static_tau_ms: float | None) -> None:
    synapse = Synapse(tau_syn_ms=20.0, static_tau_syn_ms=static_tau_ms, weight_acts="at_spikes" if late else "at_once")
    trained = network(synapse=synapse)
    made = trained.problem
    one, other = trained.copy_simulation(), trained.copy_simulation()
    begin_trial(trained, one, 0, 0)
    one.run_interval(1, made.input)
    while not one.trace.any():
        one.run_interval(1, made.input)
    copy_state(one, other)
    neuron = int(np.flatnonzero(one.trace)[-1])
    take_spike_back(other, neuron)
    plastic = np.zeros(25)
    row = np.repeat(np.arange(25), made.in_degree)
    mine = made.plastic.presynaptic == neuron
    plastic[row[mine]] = one.weight[mine]
    fixed = dense(trained)[:, neuron] - plastic
    assert plastic.any()
    assert fixed.any()
    np.testing.assert_allclose(one.plastic_drive - other.plastic_drive, 10.0 / 20.0 * plastic, atol=1e-14)
    np.testing.assert_allclose(
        one.static_drive - other.static_drive, 10.0 / (static_tau_ms or 20.0) * fixed, atol=1e-14
    )
    np.testing.assert_allclose(one.readout - other.readout, 10.0 / 20.0 * plastic, atol=1e-14)
    np.testing.assert_allclose(one.filtered - other.filtered, 0.5 * (np.arange(25) == neuron), atol=1e-14)
    np.testing.assert_array_equal(one.state, other.state)
    if static_tau_ms is None:  # u = W r in the copy, too
        np.testing.assert_allclose(other.drive, dense(trained) @ other.filtered, atol=1e-12)


def test_deviations_start_at_the_deletion_and_are_means_over_neurons() -> None:
    trained = network()
    found = delete_spike(trained, delay_ms=20.0, repeats=4, beyond_ms=30.0, first_trial=2)
    assert found.deviation.shape == found.drive_deviation.shape == (4, 130)
    assert len(np.unique(found.neuron)) > 1
    for repeat in range(4):
        at = round(found.deleted_ms[repeat])
        assert at > 20
        assert not found.deviation[repeat, :at].any()  # the phases feel it one step later
        assert not found.drive_deviation[repeat, : at - 1].any()
        column = 0.5 * np.abs(dense(trained)[:, found.neuron[repeat]])
        np.testing.assert_allclose(found.drive_deviation[repeat, at - 1], column.mean(), rtol=1e-9)
        assert (found.deviation[repeat, at + 10 :] > 0).all()
        spikes = trained.evoke(0, 1, first_trial=2 + repeat).spikes[0]
        there = spikes.step == at - 1
        assert found.neuron[repeat] in spikes.neuron[there]
        assert not ((spikes.step >= 20) & (spikes.step < at - 1)).any()
    again = delete_spike(trained, delay_ms=20.0, repeats=1, beyond_ms=30.0, first_trial=4)
    np.testing.assert_array_equal(again.deviation[0], found.deviation[2])


def test_the_spike_of_a_chosen_neuron_is_its_next_one() -> None:
    trained = network()
    spikes = trained.evoke(1, 1).spikes[0]
    neuron = int(np.bincount(spikes.neuron[spikes.step >= 0]).argmax())
    first = spikes.step[(spikes.neuron == neuron) & (spikes.step >= 10)].min()
    found = delete_spike(trained, stimulus=1, delay_ms=10.0, repeats=1, neuron=neuron)
    assert (found.neuron[0], found.deleted_ms[0]) == (neuron, first + 1)
    from_onset = delete_spike(trained, stimulus=1, delay_ms=30.0, counted_from="cue", repeats=1, neuron=neuron)
    np.testing.assert_array_equal(from_onset.deviation, found.deviation)


def test_phases_are_compared_on_the_circle() -> None:
    difference = np.array([0.0, 0.1, -0.1, np.pi, 2 * np.pi - 0.3, -2 * np.pi + 0.3, 1.5 * np.pi])
    expected = [0.0, 0.1, 0.1, np.pi, 0.3, 0.3, 0.5 * np.pi]
    np.testing.assert_allclose(perturbation._wrapped(difference), expected, atol=1e-14)
    assert perturbation._wrapped(np.zeros(1))[0] == 0.0
    np.testing.assert_allclose(perturbation._cosine(difference), 1 - np.cos(difference))
    wrapped, cosine = (
        delete_spike(network(), delay_ms=20.0, repeats=1, formula=formula).deviation[0]
        for formula in ("wrapped", "cosine")
    )
    np.testing.assert_array_equal(wrapped > 0, cosine > 0)
    assert (cosine <= 2.0).all()
    assert not np.allclose(wrapped, cosine)


def test_a_coarse_grid_is_met_after_the_deletion() -> None:
    fine = network(0)
    made = fine.problem
    made.grid_ms, made.targets = 4.0, made.targets[:, :, 3::4]
    coarse = hpcspike.train(made, Training(n_loops=0, update_interval_ms=4.0))
    found = delete_spike(coarse, delay_ms=21.0, repeats=2)
    expected = delete_spike(network(0), delay_ms=21.0, repeats=2)
    np.testing.assert_array_equal(found.deviation, expected.deviation[:, 3::4])
    np.testing.assert_array_equal(found.deleted_ms, expected.deleted_ms)


def test_where_nobody_spikes_there_is_nothing_to_compare() -> None:
    silent = hpcspike.train(problem(25, neuron=ThetaNeuron(bias=-50.0)), Training(n_loops=0))
    found = delete_spike(silent, delay_ms=50.0, repeats=2)
    assert (found.neuron == -1).all()
    assert np.isnan(found.deviation).all()
    assert np.isnan(found.deleted_ms).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay_ms": 150.0, "beyond_ms": 50.0}, "puts the deletion 150 ms after the end of the cue"),
        ({"delay_ms": 10.0, "counted_from": "cue"}, "puts the deletion -10 ms after the end of the cue"),
        ({"delay_ms": 10.5}, "must be a multiple of the step of 1 ms"),
        ({"neuron": 25}, "neuron = 25: must be a whole number, 0 to 24"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        delete_spike(network(0), **options)


def test_neurons_without_a_phase_are_refused() -> None:
    with pytest.raises(SpecError, match=r"not of neuron.model = lif"):
        delete_spike(network(0, neuron=LifNeuron(model="lif")))
