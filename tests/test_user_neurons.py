"""A user's own neuron model: against plain numpy, in training, YAML, checkpoints, sweeps and on MPI ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import Interrupted, SpecError, StoreError
from hpcspike.identity import experiment_hash
from hpcspike.model.problem import Problem
from hpcspike.neurons import NeuronModel, find_model, n_states
from hpcspike.spec.experiment import Experiment, Training, UserNeuron
from hpcspike.spec.load import load
from tests.checkpoint_cases import outcome
from tests.mpi_launch import ROOT, launch
from tests.small_networks import problem

N = 30
FILE = ROOT / "tests" / "adaptive_neurons.py"
MODULE = "tests.adaptive_neurons"
UNCOMPILABLE = FILE.read_text().splitlines().index('    return {"spiked": open("file")}') + 1
PLAIN = """
from hpcspike.neurons import NeuronModel

def step(state, parameters, drive, external, step_ms):
    state[0] += step_ms / 10.0 * (parameters[0] * external + drive - state[0])
    if state[0] > 1.0:
        state[0] = 0.0
        return True
    return False

leaky = NeuronModel(step=step, parameters={"gain": 1.0}, initial_state=lambda phase, p: phase[None, :] / 7.0)
"""


def user(name: str = "adaptive", place: str = MODULE, **changes: Any) -> UserNeuron:
    return UserNeuron(model="user", source=f"{place}:{name}", **{"bias": 1.0, "step_ms": 0.5, **changes})


class Network:
    """Adaptive exponential integrate-and-fire neurons in plain numpy, u = W r recomputed in every step."""

    def __init__(self, made: Problem, *, tau_w: float) -> None:
        assert made.neuron.step_ms == 0.5
        self.tau_w, self.jump = tau_w, 0.05 * (np.arange(made.n_neurons) % 3)
        self.v, self.w = made.phase / (2 * np.pi), np.zeros(made.n_neurons)
        h = 0.5 / made.synapse.tau_syn_ms
        self.decay, self.size = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24, 10.0 / made.synapse.tau_syn_ms
        self.weights = np.zeros((made.n_neurons, made.n_neurons))
        rows = np.repeat(np.arange(made.n_neurons), np.diff(made.plastic.start))
        self.weights[rows, made.plastic.presynaptic] = made.plastic.weight
        self.r = made.filtered.copy()

    def step(self, external: np.ndarray) -> np.ndarray:
        slope = -self.v + 0.2 * np.exp(np.minimum((self.v - 1) / 0.2, 20)) + external + self.weights @ self.r - self.w
        self.v = self.v + 0.05 * slope
        self.w = self.w - 0.5 / self.tau_w * self.w
        spikes = np.flatnonzero(self.v > 2)
        self.v[spikes] = 0.0
        self.w[spikes] += self.jump[spikes]
        self.r *= self.decay
        self.r[spikes] += self.size
        return spikes


@pytest.mark.parametrize("kind", [f"{FILE}:adaptive", f"{MODULE}:compiled"])
def test_every_spike_is_that_of_the_plain_network(kind: str) -> None:
    place, _, name = kind.rpartition(":")
    made = problem(N, neuron=user(name, place, parameters={"tau_w": 60}))
    simulation, network = Simulation(made), Network(made, tau_w=60.0)
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(10):
        external = made.input + rng.uniform(-0.3, 0.3, N)
        spikes = simulation.run_interval(30, external)
        expected = [(t, j) for t in range(30) for j in network.step(external)]
        assert list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)) == expected
        np.testing.assert_allclose(simulation.state, [network.v, network.w], atol=1e-9)
        total += len(expected)
    assert total > 50
    assert network.w.any()


def test_a_built_in_model_written_by_a_user_gives_the_same_network(tmp_path: Path) -> None:
    # LIF with threshold 1, reset 0: in the same order of operations
    (tmp_path / "own.py").write_text(PLAIN)
    lif = hpcspike.Experiment.model_validate(
        {"network": {"n_neurons": 9}, "targets": {"kind": "sine"}, "neuron": {"model": "lif", "bias": 1.2}}
    ).neuron
    own = UserNeuron(model="user", source=f"{tmp_path / 'own.py'}:leaky", bias=1.2)
    first, second = problem(N, neuron=lif), problem(N, neuron=own)
    trained = []
    for made in (first, second):
        made.phase[:] = 0.0
        trained.append(hpcspike.train(made, Training(n_loops=2)))
    assert trained[0].curve["rate"].min() > 5.0
    np.testing.assert_allclose(trained[1].simulation.weight, trained[0].simulation.weight, rtol=1e-6)


def test_it_is_trained_to_follow_targets() -> None:
    exp = Experiment.model_validate(
        {
            "network": {"n_neurons": 150},
            "neuron": user(step_ms=1.0),
            "synapse": {"tau_syn_ms": 30.0},
            "connectivity": {"kind": "gaussian", "probability": 0.3, "sigma": 1.0},
            "targets": {"kind": "sine", "amplitude": [0.5, 1.0]},
            "protocol": {"free_run_ms": 200.0},
            "training": {"n_loops": 15},
        }
    )
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    evoked = trained.evoke(0, 2)
    assert np.mean([pearson(drive, trained.problem.targets[0]).mean() for drive in evoked.drive]) > 0.8


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        ({"place": "no.such.module"}, "neuron.source = no.such.module:adaptive: no module 'no' is found; install it"),
        ({"place": "nowhere/own.py"}, "neuron.source = nowhere/own.py:adaptive: no such file"),
        ({"name": "other"}, f"neuron.source = {MODULE}:other: {MODULE} has no 'other'"),
        ({"name": "no_model"}, "no_model is a int, but must be a hpcspike.neurons.NeuronModel"),
        ({"name": "no_function"}, "step must be a Python function, not a float"),
        ({"name": "too_few"}, "(state, drive), but is called with (state, parameters, drive, external, step_ms)"),
        ({"parameters": {"tau_m": 3.0}}, "neuron.parameters.tau_m"),
        ({"name": "uncompilable"}, f"the step function (line {UNCOMPILABLE} of adaptive_neurons.py): "),
        ({"name": "importing"}, "of adaptive_neurons.py): Use of unsupported opcode (IMPORT_NAME) found; write it"),
        ({"name": "misread"}, "signature: getitem(array(float64, 1d, A), Literal[str](gain)); write it"),
        ({"name": "typed"}, "cannot compile the step function: it is compiled for other types already; leave the"),
        ({"name": "speechless"}, "the step function returns none, but must return True or False"),
        ({"name": "shapeless"}, "initial_state returns shape (30,), but must return (state variables, 30)"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(neuron: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Simulation(problem(N, neuron=user(**neuron)))
    assert message in str(caught.value)


def test_a_file_that_fails_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(SpecError, match=r"running .*broken.py fails: ZeroDivisionError"):
        problem(N, neuron=user(place=str(tmp_path / "broken.py")))


@pytest.mark.parametrize("kind", ["adaptive", ":adaptive", "place:", "place:no name"])
def test_a_kind_must_name_a_place_and_an_object(kind: str) -> None:
    with pytest.raises(ValueError, match=r"package\.module:name"):
        UserNeuron(model="user", source=kind)


def written(folder: Path, source: str = PLAIN, **sections: Any) -> Path:
    """A YAML file in ``folder`` that names a model in the file beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text(source)
    document = {
        "network": {"n_neurons": 20},
        "neuron": {"model": "user", "source": "own.py:leaky", "parameters": {"gain": 1.5}, "bias": 1.0},
        "connectivity": {"kind": "gaussian", "probability": 0.5},
        "targets": {"kind": "sine", "duration_ms": 40.0},
        "stimulus": {"duration_ms": 10.0},
        "protocol": {"free_run_ms": 10.0, "test_free_run_ms": 10.0},
        "training": {"n_loops": 2},
        **sections,
    }
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_files_are_found_from_the_yaml_file_and_known_by_content(tmp_path: Path) -> None:
    exp = load(written(tmp_path / "a"))
    assert isinstance(exp, Experiment)
    assert exp.neuron.model == "user"
    assert exp.neuron.source == f"{tmp_path / 'a' / 'own.py'}:leaky"
    moved, changed = load(written(tmp_path / "b")), load(written(tmp_path / "c", PLAIN.replace("10.0", "11.0")))
    assert isinstance(moved, Experiment)
    assert isinstance(changed, Experiment)
    assert experiment_hash(moved) == experiment_hash(exp) != experiment_hash(changed)
    assert float(hpcspike.run(exp)["population_rate"]) > 10.0


def test_it_can_be_swept(tmp_path: Path) -> None:
    path = written(tmp_path)
    document = {"name": "gains", "experiment": yaml.safe_load(path.read_text())}
    document["axes"] = {"neuron.parameters.gain": [1.2, 3.0], "neuron.source": ["own.py:leaky"]}
    path.write_text(yaml.safe_dump(document))
    sweep = load(path)
    assert isinstance(sweep, hpcspike.Sweep)
    rates = [float(hpcspike.run(sweep.point(point))["population_rate"]) for point in sweep.parameters()]
    assert rates[0] < rates[1]


def test_a_training_goes_on_from_a_checkpoint_but_not_with_other_parameters(tmp_path: Path) -> None:
    exp = load(written(tmp_path / "a"))
    assert isinstance(exp, Experiment)
    whole = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    folder = tmp_path / "saved"
    made = hpcspike.build_problem(exp)
    for steps in (35, 35):
        with pytest.raises(Interrupted):
            hpcspike.train(made, exp.training, checkpoints=Checkpoints(folder, stop_after_steps=steps))
    other = UserNeuron(model="user", source=f"{tmp_path / 'a' / 'own.py'}:leaky", parameters={"gain": 2.0}, bias=1.0)
    changed = hpcspike.build_problem(exp.model_copy(update={"neuron": other}))
    with pytest.raises(StoreError, match=r"neuron.parameters.gain is 1.5 there and 2.0 here"):
        hpcspike.train(changed, exp.training, checkpoints=Checkpoints(folder))
    resumed = hpcspike.train(hpcspike.build_problem(exp), exp.training, checkpoints=Checkpoints(folder))
    assert outcome(resumed) == outcome(whole)
    assert resumed.simulation.state.shape == (1, 20)


def test_the_state_is_counted_without_the_compiler() -> None:
    assert n_states(user()) == 2
    model = NeuronModel(step=lambda a, b, c, d, e: False, parameters={}, initial_state=lambda phase, p: phase[None, :])
    np.testing.assert_array_equal(model.initial_state(np.arange(3.0), {}), [[0.0, 1.0, 2.0]])


@pytest.mark.mpi
def test_ranks_give_the_same_bits(tmp_path: Path) -> None:
    written(tmp_path)
    stores = {}
    for ranks in (0, 2):
        ended = launch(ranks, "-m", "hpcspike", "train", "own.yaml", "--out", f"{ranks}.nc", folder=tmp_path)
        assert ended.code == 0, ended.err
        import xarray as xr

        with xr.open_dataset(tmp_path / f"{ranks}.nc") as dataset:
            stores[ranks] = {name: dataset[name].values for name in ("weight", "spike_time", "drive")}
    for name in stores[0]:
        np.testing.assert_array_equal(stores[0][name], stores[2][name])
    assert len(stores[0]["spike_time"]) > 10


WITH_CLASS = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Constants:
    reset: float = 0.0
"""


def test_a_file_may_hold_what_any_module_may(tmp_path: Path) -> None:
    for folder, gain in (("a", 2.0), ("b", 3.0)):  # two files of one name
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(WITH_CLASS + PLAIN.replace('"gain": 1.0', f'"gain": {gain}'))
    models = [find_model(user("leaky", str(tmp_path / folder / "own.py"))) for folder in "ab"]
    assert [model.parameters["gain"] for model in models] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.0}", "lambda neurons: [1.0, 2.0]}", r"parameter 'gain' .*is \[1.0, 2.0\] for 30 neurons, but must be a"),
        ("1.0}", "lambda neurons: 'high'}", "parameter 'gain' .*is 'high' for 30 neurons, but must be a number"),
        ("1.0}", "'high'}", "parameter 'gain' .*is 'high' for 30 neurons, but must be a number"),
        ("phase[None, :] / 7.0", "[phase, 0.0]", "initial_state does not return one array of numbers"),
    ],
)
def test_functions_that_return_something_else_are_refused_by_name(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (tmp_path / "own.py").write_text(PLAIN.replace(old, new))
    with pytest.raises(SpecError, match=message):
        Simulation(problem(N, neuron=user("leaky", str(tmp_path / "own.py"))))
