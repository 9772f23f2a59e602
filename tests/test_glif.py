"""Generalised integrate-and-fire neurons: spikes of an independent program, and their keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import SpecError
from hpcspike.spec.experiment import Training
from hpcspike.spec.neurons import GlifNeuron
from hpcspike.spec.validation import validate_experiment
from tests.small_networks import arrays, experiment, problem

VOLTAGE = {
    "voltage_factor": 0.2, "voltage_jump": 0.1, "spike_threshold_decay": 0.02, "spike_threshold_jump": 0.1,
}  # fmt: skip
CURRENTS = {"current_tau_ms": (20.0, 100.0), "current_factors": (1.0, 1.0), "current_jumps": (-0.2, 0.05)}
# the threshold moves by 0.0005 V in a step of 0.1 ms
FOLLOWING = {"voltage_threshold_gain": 0.005, "voltage_threshold_decay": 0.01}
LEVELS: dict[int, dict[str, Any]] = {
    1: {}, 2: VOLTAGE, 3: CURRENTS, 4: {**VOLTAGE, **CURRENTS}, 5: {**VOLTAGE, **CURRENTS, **FOLLOWING},
}  # fmt: skip
# spikes in 1000 ms at I = 1.5, steps of the first three, steps between the last two
KNOWN = {
    1: (90, [110, 221, 332], 111),
    2: (60, [110, 231, 366], 169),
    3: (97, [110, 235, 366], 98),
    4: (64, [110, 247, 404], 155),
    5: (6, [117, 279, 487], 341),
}


def glif(level: int, **changes: Any) -> GlifNeuron:
    return GlifNeuron(
        model="glif", **{"level": level, "step_ms": 0.1, "refractory_ms": 0.1, "bias": 1.5, **LEVELS[level], **changes}
    )


@pytest.mark.parametrize("level", KNOWN)
def test_spikes_of_a_neuron_alone(level: int) -> None:
    given = arrays(3)
    made = problem(3, **{**given, "weights": 0 * given["weights"], "phase": np.zeros(3)}, neuron=glif(level))
    spikes = Simulation(made).run_interval(10_000, made.input)
    steps = spikes.step[spikes.neuron == 1] + 1
    count, first, last = KNOWN[level]
    assert len(steps) == count
    assert steps[:3].tolist() == first
    assert steps[-1] - steps[-2] == last
    assert (spikes.neuron == 0).sum() == (spikes.neuron == 2).sum() == count


def plain(neuron: GlifNeuron, v: np.ndarray, inputs: np.ndarray) -> list[tuple[int, int]]:
    """Spikes (step, neuron) of neurons that receive inputs (steps, n), array by array."""
    rest, h = neuron.resting_potential, neuron.step_ms
    spiked, followed, waiting = np.zeros((3, len(v)))
    currents = np.zeros((len(neuron.current_tau_ms), len(v)))
    tau, kept, jumps = (
        np.array(values)[:, None] for values in (neuron.current_tau_ms, neuron.current_factors, neuron.current_jumps)
    )
    found = []
    for t, current in enumerate(inputs):
        free = waiting <= 0
        waiting -= ~free
        new_currents = currents - h * currents / tau
        new_v = v + h / neuron.capacitance * (current + new_currents.sum(axis=0) - (v - rest) / neuron.resistance)
        new_spiked = spiked - h * neuron.spike_threshold_decay * spiked
        follow = neuron.voltage_threshold_gain * (new_v - rest) - neuron.voltage_threshold_decay * followed
        v, spiked, followed = (
            np.where(free, new, old)
            for new, old in ((new_v, v), (new_spiked, spiked), (followed + h * follow, followed))
        )
        currents = np.where(free, new_currents, currents)
        over = free & (v > neuron.threshold + spiked + followed)
        after = rest + neuron.voltage_factor * (v - rest) - neuron.voltage_jump
        v = np.where(over, after, v)
        spiked, waiting = spiked + over * neuron.spike_threshold_jump, np.where(over, neuron.refractory_steps, waiting)
        currents = np.where(over, kept * currents + jumps, currents)
        found += [(t, int(i)) for i in np.flatnonzero(over)]
    return found


def test_rest_and_units_are_free() -> None:
    neuron = GlifNeuron(
        model="glif", level=5, step_ms=0.1, resting_potential=-70.0, threshold=-50.0, capacitance=50.0, resistance=0.4,
        spike_threshold_jump=2.0, spike_threshold_decay=0.02, voltage_factor=0.2, voltage_jump=1.0, refractory_ms=0.5,
        **CURRENTS, **FOLLOWING,
    )  # fmt: skip
    given = arrays(12)
    made = problem(12, **{**given, "weights": 0 * given["weights"]}, neuron=neuron)
    live, noise = Simulation(made), np.random.default_rng(1).uniform(40.0, 120.0, (3000, 12))
    start = live.state[0].copy()
    assert ((start >= -70.0) & (start < -50.0)).all()
    spikes = live.run_interval(3000, made.input, noise=noise)
    expected = plain(neuron, start, noise)
    assert len(expected) > 50
    assert list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)) == expected


def test_a_network_of_level_5_is_trained() -> None:
    trained = hpcspike.train(problem(20, neuron=glif(5, step_ms=1.0, refractory_ms=1.0)), Training(n_loops=2))
    assert trained.diverged_loop == -1
    assert trained.curve["rate"].min() > 0.5
    assert trained.curve["weight_change"][-1] > 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": 1, "voltage_factor": 0.2}, "neuron.voltage_factor has no effect at neuron.level = 1"),
        ({"level": 4, "reset": 0.5}, "neuron.reset has no effect at neuron.level = 4"),
        ({"level": 3, "current_tau_ms": [5.0]}, "must be one of each for every after-spike current"),
        ({"level": 3, **{k: [1.0] for k in CURRENTS}, "current_tau_ms": [0.5]}, "at least neuron.step_ms = 1 ms each"),
        ({"level": 6}, "neuron.level"),
        ({"capacitance": 0.5}, "is larger than capacitance x resistance = 0.5 ms"),
        ({"refractory_ms": 0.5}, "is not a multiple of neuron.step_ms"),
        ({"level": 2, "spike_threshold_decay": 100.0}, "spike_threshold_decay = 100 per ms must be at most"),
        ({"level": 5, "step_ms": 0.1, "voltage_threshold_decay": 99.0}, "at most 1 / neuron.step_ms = 10 per ms"),
        ({"threshold": -1.0}, "must be below neuron.threshold = -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    document = experiment().model_dump(mode="json") | {"neuron": {"model": "glif", **changes}}
    with pytest.raises(SpecError) as refused:
        validate_experiment(document)
    assert message in str(refused.value)
