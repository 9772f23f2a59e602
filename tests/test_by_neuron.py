"""Thresholds, resets and time constants of single neurons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import SpecError
from hpcspike.model.build import build_problem
from hpcspike.model.neurons import parameters
from hpcspike.model.own_values import with_numbers
from hpcspike.model.ricciardi import drive_of_rates
from hpcspike.model.trial_noise import NoisePath
from hpcspike.spec.experiment import LifNeuron, TrialNoise
from hpcspike.spec.recorded import InputOfRate
from hpcspike.spec.validation import validate_experiment
from tests.test_balanced_program import balanced

N = 60
NORMAL = {"mean": 1.0, "standard_deviation": 0.1}
POPULATIONS = {"excitatory": 12.0, "inhibitory": 7.0}


def differing(**own: Any) -> Any:
    """A balanced network with values of single neurons, and plastic synapses that learn."""
    return balanced(
        N, 10, neuron={"by_neuron": own}, targets={"duration_ms": 60.0, "grid_ms": 20.0},
        protocol={"free_run_ms": 20.0, "test_free_run_ms": 20.0, "start": "random"}, training={"n_loops": 2},
    )  # fmt: skip


def program(made: Any, n_steps: int) -> np.ndarray:
    """(spikes, 2) as (step, neuron) of neurons that do not hear each other, in plain NumPy."""
    own, n = made.neuron.by_neuron, made.n_neurons
    threshold = np.array(own.threshold or [made.neuron.threshold] * n)
    reset, tau = np.array(own.reset or [made.neuron.reset] * n), np.array(own.tau_ms or [made.neuron.tau_ms] * n)
    v = reset + made.phase / (2 * np.pi) * (threshold - reset)
    blocked, found = np.zeros(n, int), []
    for step in range(n_steps):
        free = blocked == 0
        v = np.where(free, v + 0.1 / tau * (made.input - v), v)
        blocked = np.maximum(blocked - 1, 0)
        for neuron in np.flatnonzero(v > threshold):
            v[neuron], blocked[neuron] = reset[neuron], made.neuron.refractory_steps
            found.append((step, neuron))
    return np.array(found)


def test_neurons_have_the_values_that_they_are_given() -> None:
    made = build_problem(differing(threshold=NORMAL, reset=list(np.linspace(-0.2, 0.2, N)), tau_ms=POPULATIONS))
    made.static.weight[:] = 0.0
    made.plastic.weight[:] = 0.0
    own = made.neuron.by_neuron
    assert own.tau_ms == (12.0,) * 30 + (7.0,) * 30
    live = Simulation(made)
    spikes = live.run_interval(4000, made.input)
    expected = program(made, 4000)
    assert len(expected) > 500
    np.testing.assert_array_equal(np.stack([spikes.step, spikes.neuron], axis=1), expected)


def test_equal_values_are_those_of_all() -> None:
    own = build_problem(differing(threshold=[1.0] * N, reset=[0.0] * N, tau_ms=[10.0] * N))
    shared = build_problem(differing())
    one, other = (hpcspike.train(problem).simulation.weight for problem in (own, shared))
    np.testing.assert_array_equal(one, other)
    assert parameters(shared.neuron, range(N)).shape == (4, 1)
    assert "by_neuron" not in differing().model_dump()["neuron"]


def test_draws_depend_on_the_neuron_alone() -> None:
    made = LifNeuron(model="lif", by_neuron={"threshold": NORMAL, "tau_ms": {"mean": 10.0, "standard_deviation": 1.0}})
    few, many = (
        with_numbers(made, "neuron", n_neurons=n, n_excitatory=None, key=(1, 0)).by_neuron for n in (500, 2000)
    )
    assert few.threshold == many.threshold[:500]  # type: ignore[index]
    drawn = np.array(many.threshold)
    assert np.abs(drawn - 1.0).max() <= 0.2
    assert drawn.mean() == pytest.approx(1.0, abs=0.01)
    assert drawn.std() == pytest.approx(0.088, abs=0.005)  # 0.88 of the s.d. before the cut at two of them
    assert abs(np.corrcoef(drawn, np.array(many.tau_ms))[0, 1]) < 0.1
    other = with_numbers(made, "neuron", n_neurons=500, n_excitatory=None, key=(1, 1)).by_neuron
    assert other.threshold != few.threshold


def test_blocks_and_threads_give_the_same_bits() -> None:
    experiment = differing(threshold=NORMAL, tau_ms=POPULATIONS)
    whole = build_problem(experiment)
    part = build_problem(experiment, block=(13, 40))
    np.testing.assert_array_equal(
        parameters(part.neuron, part.neurons), parameters(whole.neuron, whole.neurons)[:, 13:40]
    )
    one, two = (hpcspike.train(whole, threads=threads).simulation.weight for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, hpcspike.train(build_problem(differing())).simulation.weight)


def test_a_stored_network_has_its_neurons_again() -> None:
    network = hpcspike.run(differing(threshold=NORMAL))
    tested = hpcspike.live_network(network).test(trials=1)
    np.testing.assert_array_equal(tested["response"].values, network["response"].values[:, :1])


def test_noise_of_the_voltage_is_that_of_every_neuron() -> None:
    noise = TrialNoise(standard_deviation=0.3, where="voltage", tau_corr_ms=0.0)
    slow = LifNeuron(model="lif", step_ms=0.1, by_neuron={"tau_ms": [20.0, 10.0]})
    paths = [
        NoisePath(noise, neuron, range(2), (1, 0), "test_noise", 0).rows(0, 50)
        for neuron in (slow, LifNeuron(model="lif", step_ms=0.1))
    ]
    np.testing.assert_allclose(paths[0], paths[1] * [2.0, 1.0], rtol=1e-12)


def test_rates_need_the_input_of_the_neuron_that_follows_them() -> None:
    neuron = LifNeuron(model="lif", step_ms=0.1, by_neuron={"threshold": [1.0, 2.0, 1.0], "tau_ms": [10.0, 10.0, 20.0]})
    rates = np.full((3, 4), 5.0)
    settings = InputOfRate(sigma=0.3)
    found = drive_of_rates(rates, settings, neuron, path="x", neurons=[1, 0, 2])
    for row, changes in enumerate(({"threshold": 2.0}, {}, {"tau_ms": 20.0})):
        alone = LifNeuron(model="lif", step_ms=0.1, **changes)
        np.testing.assert_array_equal(found[row], drive_of_rates(rates[:1], settings, alone, path="x")[0])
    assert found[0, 0] > found[1, 0]
    assert not math.isclose(found[2, 0], found[1, 0])


@pytest.mark.parametrize(
    ("own", "message"),
    {
        "length": ({"threshold": [1.0, 2.0]}, r"by_neuron\.threshold has 2 numbers: must be one for each of the 60"),
        "reset": ({"reset": {"mean": 0.0, "standard_deviation": 0.5}}, "highest reset of a neuron is 1, the lowest"),
        "tau": ({"tau_ms": {"excitatory": 0.05, "inhibitory": 10.0}}, r"shortest of a neuron is 0\.05 ms"),
        "empty": ({"threshold": []}, "must be one for each of the 60 neurons"),
        "word": ({"threshold": "high"}, r"threshold = high: must be N numbers, {excitatory: NUMBER, inhibitory"),
        "key": ({"threshold": {"mean": 1.0}}, "must be N numbers, {excitatory: NUMBER, inhibitory: NUMBER} or {mean:"),
        "item": ({"reset": [0.0, "low"]}, "holds 'low': must be finite numbers"),
        "spread": ({"reset": {"mean": 0.0, "standard_deviation": -1.0}}, "standard_deviation must be 0 or more"),
    }.values(),
)
def test_values_that_cannot_be_are_refused(own: dict[str, Any], message: str) -> None:
    document = differing().model_dump(mode="json")
    document["neuron"]["by_neuron"] = own
    with pytest.raises(SpecError, match=message):
        validate_experiment(document)


def test_populations_must_be_there() -> None:
    document = differing(threshold=POPULATIONS | {"excitatory": 1.0}).model_dump(mode="json")
    document |= {"connectivity": {"kind": "zero"}}
    document["synapse"] = {"tau_syn_ms": 150.0}
    with pytest.raises(SpecError, match="choose connectivity.kind: balanced or dale, or give N numbers"):
        validate_experiment(document)
