"""Izhikevich neurons against plain numpy, alone and trained in a network; paper, Fig 3 supplement 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import SpecError
from hpcspike.model.neuron_models.izhikevich import IZHIKEVICH_TYPES
from hpcspike.model.neurons import initial_state, parameters
from hpcspike.model.problem import Problem
from hpcspike.rls import reference
from hpcspike.spec.experiment import IzhikevichNeuron, Training
from hpcspike.spec.load import validate_experiment
from tests.small_networks import arrays, problem

N = 40


def izhikevich(**changes: Any) -> IzhikevichNeuron:
    return IzhikevichNeuron(model="izhikevich", **{"bias": 4.0, "drive_gain": 8.0, **changes})


class Network:
    """Izhikevich neurons in plain numpy, u = W r recomputed in every step."""

    def __init__(self, made: Problem) -> None:
        neuron = made.neuron
        assert isinstance(neuron, IzhikevichNeuron)
        self.gain, self.half, self.step_ms = neuron.drive_gain, neuron.step_ms / 2, neuron.step_ms
        kinds = [IZHIKEVICH_TYPES[("RS", "IB", "CH", "FS", "LTS")[i % 5]] for i in range(made.n_neurons)]
        self.a, self.b, self.c, self.d = np.array(kinds).T
        self.v = -65.0 + 15.0 * made.phase / (2 * np.pi)
        self.w = self.b * self.v
        h = neuron.step_ms / made.synapse.tau_syn_ms
        self.decay, self.size = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24, neuron.tau_ms / made.synapse.tau_syn_ms
        self.r = made.filtered.copy()
        self.weights = np.zeros((made.n_neurons, made.n_neurons))
        rows = np.repeat(np.arange(made.n_neurons), np.diff(made.plastic.start))
        self.weights[rows, made.plastic.presynaptic] = made.plastic.weight
        self.u = self.weights @ self.r

    def step(self, external: np.ndarray) -> np.ndarray:
        current = external + self.gain * self.u

        def moved(v: np.ndarray) -> np.ndarray:
            return v + self.half * (0.04 * v**2 + 5 * v + 140 - self.w + current)

        first = moved(self.v)
        self.v = np.where(first > 30, first, moved(first))
        self.w = self.w + self.step_ms * self.a * (self.b * np.minimum(self.v, 30) - self.w)
        spikes = np.flatnonzero(self.v > 30)
        self.v[spikes] = self.c[spikes]
        self.w[spikes] += self.d[spikes]
        self.r *= self.decay
        self.r[spikes] += self.size
        self.u = self.weights @ self.r
        return spikes


@pytest.mark.parametrize("step_ms", [1.0, 0.25])
def test_every_spike_is_that_of_the_plain_network(step_ms: float) -> None:
    made = problem(N, neuron=izhikevich(step_ms=step_ms))
    simulation, network = Simulation(made), Network(made)
    rng = np.random.default_rng(0)
    total = np.zeros(N)
    for _ in range(20):
        external = made.input + rng.uniform(-2, 2, N)
        spikes = simulation.run_interval(23, external)
        expected = [(t, j) for t in range(23) for j in network.step(external)]
        assert list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)) == expected
        np.testing.assert_allclose(simulation.state, [network.v, network.w], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(simulation.drive, network.u, atol=1e-9)
        total += np.bincount(spikes.neuron, minlength=N)
    assert all(total[kind::5].sum() > 3 for kind in range(5))


def test_training_is_that_of_the_plain_network() -> None:
    made, interval = problem(N, neuron=izhikevich()), 2
    network = Network(made)
    covariances = [np.eye(k) for k in made.in_degree]
    goals = made.targets[0]
    for _ in range(2):
        for t in range(30 + 20 + goals.shape[1]):
            network.step(made.input + made.stimuli[0] if 30 <= t < 50 else made.input)
            n = t - 49
            if n > 0 and n % interval == 0:
                for i in range(N):
                    sources = made.plastic.presynaptic[made.plastic.start[i] : made.plastic.start[i + 1]]
                    network.weights[i, sources], covariances[i] = reference.update(
                        network.weights[i, sources], covariances[i], network.r[sources], goals[i, n - 1] - network.u[i]
                    )
    trained = hpcspike.train(made, Training(n_loops=2))
    np.testing.assert_allclose(trained.weights.toarray(), network.weights, atol=1e-7)
    assert trained.curve["rate"].min() > 5.0


def test_types_take_turns_whatever_the_block() -> None:
    neuron = izhikevich(drive_gain=3.0)
    whole = parameters(neuron, range(203))
    np.testing.assert_array_equal(parameters(neuron, range(17, 60)), whole[:, 17:60])
    np.testing.assert_array_equal(whole[:, 3], [0.1, 0.2, -65.0, 2.0, 3.0])
    assert parameters(neuron, range(5, 5)).shape == (5, 0)
    counts = [int((whole[:4].T == IZHIKEVICH_TYPES[name]).all(axis=1).sum()) for name in IZHIKEVICH_TYPES]
    assert counts == [41, 41, 41, 40, 40]
    only = parameters(izhikevich(cell_types=("FS", "LTS")), range(2))
    np.testing.assert_array_equal(only[:2], [[0.1, 0.02], [0.2, 0.25]])
    phase = np.linspace(0, 6, 203)
    np.testing.assert_array_equal(
        initial_state(neuron, phase[17:60], range(17, 60)), initial_state(neuron, phase, range(203))[:, 17:60]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell_types": ["RS", "XY"]}, "neuron.cell_types.1 = 'XY': must be 'RS', 'IB', 'CH', 'FS' or 'LTS'"),
        ({"cell_types": []}, "neuron.cell_types"),
        ({"step_ms": 2.0}, "neuron.step_ms = 2.0: must be less than or equal to 1 ms"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate_experiment(
            {"network": {"n_neurons": 9}, "targets": {"kind": "sine"}, "neuron": {"model": "izhikevich", **changes}}
        )
    assert message in str(caught.value)


def test_lif_in_volts_is_the_papers_equation() -> None:
    # dv/dt = -(v - I) / tau + u with u not divided by tau: the gain is tau in ms
    neuron = hpcspike.Experiment.model_validate(
        {
            "network": {"n_neurons": 9},
            "targets": {"kind": "sine"},
            "neuron": {"model": "lif", "threshold": -50.0, "reset": -65.0, "drive_gain": 10.0, "bias": -52.0},
        }
    ).neuron
    made = problem(N, **arrays(N), neuron=neuron)
    simulation = Simulation(made)
    v, u = simulation.state[0].copy(), simulation.drive.copy()
    external = np.linspace(-60, 20, N)
    spikes = simulation.run_interval(1, external).neuron
    expected = v + 1.0 * (-(v - external) / 10.0 + u)
    np.testing.assert_array_equal(spikes, np.flatnonzero(expected > -50.0))
    expected[spikes] = -65.0
    assert len(spikes) > 0
    np.testing.assert_allclose(simulation.state[0], expected, rtol=1e-13)


SUPPLEMENT = {
    "seed": 1,
    "network": {"n_neurons": 150},
    "synapse": {"tau_syn_ms": 30.0},
    "connectivity": {"kind": "gaussian", "probability": 0.3, "sigma": 1.0},
    "targets": {"kind": "sine_product", "period_ms": [500, 1000], "period_fast_ms": [500, 1000]},
    "protocol": {"free_run_ms": 200.0},
    "training": {"n_loops": 15},
}
NEURONS = {
    "lif": {
        "model": "lif", "threshold": -50.0, "reset": -65.0, "drive_gain": 10.0, "bias": -52.0, "refractory_ms": 2.0
    },
    "izhikevich": {"model": "izhikevich", "drive_gain": 20.0, "bias": 2.0},
}  # fmt: skip


@pytest.mark.parametrize("model", NEURONS)
def test_networks_of_the_supplement_learn(model: str) -> None:
    cue = {"amplitude": NEURONS[model]["drive_gain"]}
    exp = validate_experiment({**SUPPLEMENT, "neuron": NEURONS[model], "stimulus": cue})
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    evoked = trained.evoke(0, 2)
    found = np.mean([pearson(drive, trained.problem.targets[0]).mean() for drive in evoked.drive])
    assert found > 0.8
