"""A network of tanh rate units, trained by the engines that train spiking ones; paper, Fig 1 supplement 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.rate_simulation import RateSimulation, make_simulation
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import Interrupted, SpecError
from hpcspike.model.problem import Problem
from hpcspike.rls import reference
from hpcspike.spec.experiment import Synapse, TanhNeuron, Training
from hpcspike.spec.load import validate_experiment
from tests.checkpoint_cases import outcome
from tests.mpi_launch import launch
from tests.small_networks import problem
from tests.test_checkpoint import attributes, in_state

N = 40
UNIT = TanhNeuron(model="tanh", bias=0.1)


class Network:
    """Rate units in plain numpy: x = W z + y, with z and y filtered over dt while r = tanh(x) is held."""

    def __init__(self, made: Problem) -> None:
        h = made.neuron.step_ms / made.neuron.tau_ms
        self.a = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24
        self.weights, self.fixed = np.zeros((2, made.n_neurons, made.n_neurons))
        for matrix, rows in ((self.weights, made.plastic), (self.fixed, made.static)):
            matrix[np.repeat(np.arange(made.n_neurons), np.diff(rows.start)), rows.presynaptic] = rows.weight
        self.z = made.filtered.copy()
        self.y = self.fixed @ self.z + made.phase / np.pi - 1.0
        self.x = self.weights @ self.z + self.y
        self.sources = np.split(made.plastic.presynaptic, made.plastic.start[1:-1])
        self.covariances = [np.eye(len(sources)) for sources in self.sources]

    def step(self, external: np.ndarray) -> None:
        r = np.tanh(self.x)
        self.z = self.a * self.z + (1 - self.a) * r
        self.y = self.a * self.y + (1 - self.a) * (self.fixed @ r + external)
        self.x = self.weights @ self.z + self.y

    def learn(self, target: np.ndarray) -> None:
        for i, sources in enumerate(self.sources):
            self.weights[i, sources], self.covariances[i] = reference.update(
                self.weights[i, sources], self.covariances[i], self.z[sources], target[i] - self.x[i]
            )  # x itself is not recomputed: new weights act one step later


def made_problem(**changes: Any) -> Problem:
    return problem(N, **{"neuron": UNIT, "fixed": 0.3, "seed": 2, **changes})


def test_the_network_is_that_of_plain_numpy_and_solves_its_equation() -> None:
    made = made_problem()
    simulation, network = make_simulation(made), Network(made)
    assert isinstance(simulation, RateSimulation)
    record = np.empty((20, N))
    for _ in range(5):
        assert simulation.run_interval(100, made.input, record=record).step.size == 0
        for line in record:
            for _ in range(5):
                network.step(made.input)
            np.testing.assert_allclose(line, network.x, atol=1e-9)
    np.testing.assert_allclose(simulation.filtered, network.z, atol=1e-9)
    assert network.x.std() > 0.3
    # Euler with tiny steps of the equation itself
    fine = make_simulation(made_problem(neuron=TanhNeuron(model="tanh", bias=0.1, step_ms=0.01)))
    x, matrix = fine.drive.copy(), network.fixed + Network(made).weights
    fine.run_interval(1000, made.input)
    for _ in range(10_000):
        x += 0.0001 * (-x + matrix @ np.tanh(x) + made.input)
    np.testing.assert_allclose(fine.drive, x, atol=5e-3)


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
@pytest.mark.parametrize("interval", [2, 5])
def test_training_is_recursive_least_squares_on_filtered_rates(algorithm: str, interval: int) -> None:
    made = made_problem()
    network, goals = Network(made), made.targets[0]
    sampled: list[np.ndarray] = []
    for _ in range(2):
        for t in range(50 + goals.shape[1]):
            network.step(made.input + made.stimuli[0] if 30 <= t < 50 else made.input)
            n = t - 49
            if n > 0 and n % interval == 0:
                sampled.append(network.x.copy())
                network.learn(goals[:, n - 1])
    trained = hpcspike.train(made, Training(n_loops=2, update_interval_ms=float(interval), algorithm=algorithm))
    np.testing.assert_allclose(trained.weights.toarray(), network.weights + network.fixed, atol=1e-8)
    np.testing.assert_allclose(trained.rls.covariance(3), network.covariances[3], atol=1e-9)
    live = trained.simulation
    np.testing.assert_allclose(live.drive, network.weights @ network.z + network.y, atol=1e-8)
    second = np.array(sampled[len(sampled) // 2 :]).T
    expected = pearson(second, goals[:, interval - 1 :: interval]).mean()
    assert trained.curve["correlation"][1] == pytest.approx(expected, abs=1e-8)
    assert trained.curve["rate"].max() == 0.0
    assert np.abs(live.weight - made.plastic.weight).max() > 0.1


def test_it_follows_products_of_sines_after_training() -> None:
    exp = validate_experiment(
        {
            "network": {"n_neurons": 150},
            "neuron": {"model": "tanh"},
            "connectivity": {"kind": "gaussian", "probability": 0.3, "sigma": 2.0},
            "targets": {"kind": "sine_product"},
            "stimulus": {"amplitude": 5.0},
            "protocol": {"free_run_ms": 100.0},
            "training": {"n_loops": 25},
        }
    )
    made = hpcspike.build_problem(exp)
    silent = hpcspike.train(made, exp.training.model_copy(update={"n_loops": 0}))
    trained = hpcspike.train(made, exp.training)
    target = made.targets[0]
    before, after = silent.evoke(0, 1), trained.evoke(0, 2)
    assert before.drive[0, :, -300:].std() > 0.5  # active without any input, and not along the targets
    assert abs(pearson(before.drive[0], target).mean()) < 0.2
    assert np.mean([pearson(x, target).mean() for x in after.drive]) > 0.9
    np.testing.assert_array_equal(after.filtered, np.tanh(after.drive))
    assert not any(len(trial.step) for trial in after.spikes)


def test_a_whole_experiment_has_no_firing_rate(tiny_document: dict[str, Any]) -> None:
    dataset = hpcspike.run(validate_experiment({**tiny_document, "neuron": {"model": "tanh"}}))
    assert np.isnan(dataset["population_rate"])
    assert np.isfinite(dataset["correlation"])
    assert "silent" not in str(dataset["status"].values)
    assert dataset.sizes["spike"] == 0


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"synapse": {"weight_acts": "at_spikes"}}, "units of neuron.model = tanh do not spike; choose at_once"),
        ({"synapse": {"static_tau_syn_ms": 5.0}}, "have no synaptic filter; leave it out"),
        ({"training": {"variable": "rate"}}, "training.variable = rate needs neurons that spike"),
        ({"neuron": {"model": "tanh", "step_ms": 11.0}}, "neuron.step_ms = 11 ms is larger than neuron.tau_ms"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(sections: dict[str, Any], message: str) -> None:
    base = {"network": {"n_neurons": 9}, "targets": {"kind": "sine"}, "neuron": {"model": "tanh"}}
    with pytest.raises(SpecError) as caught:
        validate_experiment({**base, **sections})
    assert message in str(caught.value)


def test_explicit_arrays_do_not_get_around_it() -> None:
    with pytest.raises(SpecError, match="choose at_once"):
        hpcspike.train(made_problem(synapse=Synapse(weight_acts="at_spikes")), Training())


def test_spiking_neurons_keep_their_simulation() -> None:
    assert type(make_simulation(problem(N))) is Simulation


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
def test_a_training_goes_on_from_a_checkpoint_bit_for_bit(algorithm: str, tmp_path: Path) -> None:
    training = Training(n_loops=2, algorithm=algorithm)
    whole = hpcspike.train(made_problem(), training)
    for steps in (41, 20, 55, 77):
        with pytest.raises(Interrupted):
            hpcspike.train(made_problem(), training, checkpoints=Checkpoints(tmp_path, stop_after_steps=steps))
    assert outcome(hpcspike.train(made_problem(), training, checkpoints=Checkpoints(tmp_path))) == outcome(whole)


def test_every_attribute_is_saved_or_on_the_list_of_those_that_need_not_be() -> None:
    trainer = Trainer(made_problem(), Training())
    while trainer.steps < 52:
        trainer.advance(1)
    thing = trainer.simulation
    assert set(attributes(thing)) - thing.REBUILT - thing.SCRATCH - {"readout"} == in_state(thing)


@pytest.mark.mpi
def test_ranks_give_the_same_bits(tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    import xarray as xr

    (tmp_path / "units.yaml").write_text(yaml.safe_dump({**tiny_document, "neuron": {"model": "tanh"}}))
    stores = {}
    for ranks in (0, 3):
        ended = launch(ranks, "-m", "hpcspike", "train", "units.yaml", "--out", f"{ranks}.nc", folder=tmp_path)
        assert ended.code == 0, ended.err
        with xr.open_dataset(tmp_path / f"{ranks}.nc") as dataset:
            stores[ranks] = {name: dataset[name].values for name in ("weight", "curve_correlation", "drive")}
    for name, values in stores[0].items():
        np.testing.assert_array_equal(values, stores[3][name])
    assert stores[0]["drive"].std() > 0.1
