"""Balanced networks of integrate-and-fire neurons against plain numpy, and the benchmark that ships as a config."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi_launch import launch

import hpcspike
from hpcspike.engine.offsets import mean_drive
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import SpecError
from hpcspike.measures.evaluation import evaluate
from hpcspike.model.connectivity import Rows
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Experiment, Training, n_steps
from hpcspike.spec.load import load, validate_experiment
from tests.small_networks import arrays, problem

N, FIXED, PLASTIC = 60, 12, 6
CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config" / "tsn_benchmark.yaml"
DTYPES = ("float64", "float32")


def document(**sections: Any) -> dict[str, Any]:
    """A balanced network that fires at about 10 Hz, with short times; sections given are laid over it."""
    root = math.sqrt(FIXED)
    base: dict[str, Any] = {
        "seed": 2,
        "network": {"n_neurons": N},
        "neuron": {"model": "lif", "step_ms": 0.5, "refractory_ms": 1.0},
        "synapse": {"tau_syn_ms": 50.0, "static_tau_syn_ms": 3.0, "weight_acts": "at_spikes"},
        "connectivity": {
            "kind": "balanced", "excitatory_fraction": 0.55, "static_in_degree": FIXED, "static_ee": 0.3 / root,
            "static_ie": 2.0 / root, "static_ei": -1.5 / root, "static_ii": -2.0 / root, "plastic_in_degree": PLASTIC,
            "plastic_excitatory": 0.2, "plastic_inhibitory": -0.2, "input_excitatory": 1.8, "input_inhibitory": 1.3,
        },
        "targets": {"kind": "sine", "duration_ms": 200.0, "grid_ms": 5.0},
        "stimulus": {"duration_ms": 20.0},
        "protocol": {"free_run_ms": 40.0, "test_free_run_ms": 40.0},
        "training": {"n_loops": 2, "update_interval_ms": 5.0, "ridge": 5.0},
        "measures": {"n_test_trials": 2},
    }  # fmt: skip
    return {name: {**base.get(name, {}), **sections.get(name, {})} if name != "seed" else 2 for name in base}


def balanced(**sections: Any) -> Experiment:
    return validate_experiment(document(**sections))


def dense(rows: Rows, n_neurons: int, weight: np.ndarray) -> np.ndarray:
    matrix = np.zeros((len(rows.start) - 1, n_neurons), dtype=weight.dtype)
    row = np.repeat(np.arange(len(matrix)), np.diff(rows.start))
    matrix[row, rows.presynaptic] = weight
    return matrix


def factor(step_ms: float, tau_ms: float) -> float:
    h = step_ms / tau_ms
    return 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24


class Network:
    """A balanced network in plain numpy, all of it in one precision, one step at a time.

    v_i moves by dt / tau (I_i + u_i + s_i - v_i) unless it is refractory; then u (plastic), s (fixed) and the readout
    decay, and every spike of j adds tau / tau_s W_ij to u and to the readout of i, and its fixed weight likewise to s.
    """

    def __init__(self, made: Problem, dtype: str) -> None:
        neuron, synapse, kind = made.neuron, made.synapse, np.dtype(dtype).type
        assert neuron.model == "lif"
        static_tau = synapse.static_tau_syn_ms or synapse.tau_syn_ms
        self.h, self.gain = kind(neuron.step_ms / neuron.tau_ms), kind(neuron.drive_gain)
        self.threshold, self.reset = kind(neuron.threshold), kind(neuron.reset)
        self.refractory = n_steps(neuron.refractory_ms, neuron.step_ms)
        self.decay = kind(factor(neuron.step_ms, synapse.tau_syn_ms))
        self.fixed_decay = kind(factor(neuron.step_ms, static_tau))
        self.size, self.fixed_size = kind(neuron.tau_ms / synapse.tau_syn_ms), kind(neuron.tau_ms / static_tau)
        self.fixed = dense(made.static, made.n_neurons, made.static.weight.astype(kind))
        self.weight = dense(made.plastic, made.n_neurons, made.plastic.weight.astype(kind))
        self.v = (made.phase / (2 * np.pi) * (neuron.threshold - neuron.reset) + neuron.reset).astype(kind)
        self.waiting = np.zeros(made.n_neurons, dtype=int)
        self.u, self.s, self.readout = (np.zeros(made.n_neurons, dtype=kind) for _ in range(3))
        self.r = np.zeros(made.n_neurons)
        self.kind = kind

    def step(self, external: np.ndarray) -> np.ndarray:
        """Advance by one step and return who spiked."""
        change = self.h * (external.astype(self.kind) + self.gain * (self.u + self.s) - self.v)
        self.v = np.where(self.waiting == 0, self.v + change, self.v)
        self.waiting = np.maximum(self.waiting - 1, 0)
        spikes = np.flatnonzero(self.v > self.threshold)
        self.v[spikes], self.waiting[spikes] = self.reset, self.refractory
        self.u *= self.decay
        self.s *= self.fixed_decay
        self.readout *= self.decay
        self.r *= float(self.decay)
        for j in spikes:
            self.s += self.fixed_size * self.fixed[:, j]
            self.u += self.size * self.weight[:, j]
            self.readout += self.size * self.weight[:, j]
            self.r[j] += float(self.size)
        return spikes


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_step_is_that_of_the_plain_network_to_the_bit(dtype: str) -> None:
    made = hpcspike.build_problem(balanced())
    simulation, network = Simulation(made, dtype=np.dtype(dtype)), Network(made, dtype)
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(30):
        n = int(rng.integers(1, 25))
        external = made.input + rng.uniform(-0.3, 0.3, N)
        spikes = simulation.run_interval(n, external)
        expected = [(t, j) for t in range(n) for j in network.step(external)]
        assert list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)) == expected
        total += len(expected)
        np.testing.assert_array_equal(simulation.state, [network.v, network.waiting])
        np.testing.assert_array_equal(simulation.plastic_drive, network.u)
        np.testing.assert_array_equal(simulation.static_drive, network.s)
        np.testing.assert_array_equal(simulation.readout, network.readout)
        # what a weight update does: new weights act on later spikes, and at once on the readout only
        change = rng.uniform(-0.05, 0.05, len(simulation.weight)).astype(dtype)
        simulation.weight += change
        network.weight += dense(made.plastic, N, change)
        jump = rng.uniform(-0.1, 0.1, N).astype(dtype)
        simulation.readout += jump
        network.readout += jump
    assert total > 60
    assert np.abs(network.readout - network.u).max() > 0.01
    for array in (simulation.state, simulation.drive, simulation.readout, simulation.weight):
        assert array.dtype == dtype
    assert simulation.filtered.dtype == np.float64


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
def test_training_is_recursive_least_squares_on_what_the_weights_make_of_r(algorithm: str) -> None:
    exp = balanced(training={"algorithm": algorithm, "n_loops": 2})
    made = hpcspike.build_problem(exp)
    network = Network(made, "float64")
    plastic = dense(made.plastic, N, np.ones(len(made.plastic.weight))) > 0
    covariances = [np.eye(2 * PLASTIC) / exp.training.ridge for _ in range(N)]
    phases = ((80, made.input), (40, made.input + made.stimuli[0]))
    sampled: list[list[np.ndarray]] = []
    n_spikes = 0
    for _ in range(2):
        for steps, external in phases:
            n_spikes += sum(len(network.step(external)) for _ in range(steps))
        sampled.append([])
        for update in range(40):
            n_spikes += sum(len(network.step(made.input)) for _ in range(10))
            sampled[-1].append(network.u + network.s)
            for i in range(N):
                r = network.r[plastic[i]]
                gained = covariances[i] @ r
                covariances[i] -= np.outer(gained, gained) / (1 + r @ gained)
                error = made.targets[0, i, update] - (network.readout[i] + network.s[i])
                network.weight[i, plastic[i]] += error * (covariances[i] @ r)
                network.readout[i] = network.weight[i, plastic[i]] @ r
    trained = hpcspike.train(made, exp.training)
    assert n_spikes > 150
    assert trained.curve["rate"].mean() > 1.0
    fixed = dense(made.static, N, made.static.weight)
    np.testing.assert_allclose(trained.weights.toarray() - fixed, network.weight, atol=1e-9)
    np.testing.assert_array_equal(trained.simulation.state[1], network.waiting)
    np.testing.assert_allclose(trained.simulation.state[0], network.v, atol=1e-9)
    np.testing.assert_allclose(trained.simulation.plastic_drive, network.u, atol=1e-9)
    np.testing.assert_allclose(trained.simulation.readout, network.readout, atol=1e-9)
    assert np.abs(network.readout - network.u).max() > 0.01
    goals = made.targets[0].T
    for loop, values in enumerate(sampled):
        by_neuron = [np.corrcoef(np.array(values)[:, i], goals[:, i])[0, 1] for i in range(N)]
        assert trained.curve["correlation"][loop] == pytest.approx(np.mean(by_neuron), abs=1e-9)


def test_the_readout_is_the_drive_if_weights_act_at_once() -> None:
    exp = balanced(synapse={"weight_acts": "at_once"})
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    live, made = trained.simulation, trained.problem
    assert live.readout is live.plastic_drive
    expected = dense(made.plastic, N, live.weight) @ live.filtered
    np.testing.assert_allclose(live.plastic_drive, expected, atol=1e-11)


def test_theta_neurons_stay_in_double_precision() -> None:
    theta = Simulation(problem(30, **arrays(30)), dtype=np.float32)
    assert theta.state.dtype == theta.drive.dtype == np.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_drive_is_that_of_the_second_half_without_plastic_synapses(dtype: str) -> None:
    exp = balanced(training={"dtype": dtype})
    made = hpcspike.build_problem(exp)
    network = Network(made, dtype)
    network.weight[:] = 0.0
    drives = []
    for _ in range(301):
        network.step(made.input)
        drives.append(network.s.astype(np.float64))
    found = mean_drive(made, 150.5, dtype=np.dtype(dtype))
    np.testing.assert_allclose(found, np.mean(drives[150:], axis=0), rtol=1e-13)
    assert found.std() > 0.05


def test_targets_are_placed_around_the_mean_drive_if_asked_for() -> None:
    targets = {"offset": "mean_drive", "offset_run_ms": 200.0}
    plain, shifted = hpcspike.build_problem(balanced()), hpcspike.build_problem(balanced(targets=targets))
    offset = shifted.targets - plain.targets
    np.testing.assert_allclose(offset, np.broadcast_to(mean_drive(plain, 200.0)[:, None], offset.shape), atol=1e-12)
    np.testing.assert_array_equal(shifted.plastic.weight, plain.plastic.weight)
    assert plain.plastic.weight.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"variable": "rate"}}, "transfer = phi_2 needs neuron.model = theta, not lif"),
        ({"neuron": {"refractory_ms": 0.7}}, "neuron.refractory_ms = 0.7 ms is not a multiple of neuron.step_ms"),
        ({"neuron": {"step_ms": 11.0}}, "neuron.step_ms = 11 ms is larger than neuron.tau_ms = 10 ms"),
        ({"neuron": {"reset": 1.5}}, "neuron.reset = 1.5 must be below neuron.threshold = 1"),
        ({"synapse": {"static_tau_syn_ms": 0.2}}, "larger than synapse.static_tau_syn_ms = 0.2 ms"),
        ({"connectivity": {"static_ei": 0.5}}, "connectivity.static_ei = 0.5: must be less than or equal to 0"),
        (
            {"connectivity": {"plastic_excitatory": -0.5}},
            "connectivity.plastic_excitatory = -0.5: must be greater than",
        ),
        ({"connectivity": {"static_in_degree": 40}}, "connectivity.static_in_degree = 40 does not fit"),
        ({"targets": {"offset": "mean"}}, "targets.offset = 'mean': must be 'none' or 'mean_drive'"),
        (
            {"targets": {"offset": "mean_drive", "offset_run_ms": 0.5}},
            "targets.offset_run_ms = 0.5 ms must be a multiple of neuron.step_ms = 0.5 ms, and two steps at least",
        ),
        (
            {"neuron": {"model": "theta", "refractory_ms": None}, "targets": {"offset": "mean_drive"}},
            "neuron.refractory_ms: unknown key",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        balanced(**changes)
    assert message in str(caught.value)


def test_settings_without_effect_are_refused() -> None:
    theta = document()
    theta["neuron"] = {"model": "theta", "step_ms": 0.5}
    theta["training"]["variable"] = "rate"
    theta["targets"]["offset"] = "mean_drive"
    with pytest.raises(SpecError, match=r"targets.offset = mean_drive adds a drive, but training.variable = rate"):
        validate_experiment(theta)
    theta["targets"]["offset"] = "none"
    validate_experiment(theta)
    sparse = {**theta, "connectivity": {"kind": "zero"}}
    with pytest.raises(SpecError, match=r"static_tau_syn_ms = 3 ms has no effect: connectivity.kind = zero"):
        validate_experiment(sparse)


def test_explicit_arrays_do_not_get_around_the_theta_neurons_theory() -> None:
    made = hpcspike.build_problem(balanced())
    with pytest.raises(SpecError, match="phi_2"):
        hpcspike.train(made, Training(variable="rate", update_interval_ms=5.0))


def test_rate_training_looks_at_what_the_weights_make_of_r() -> None:
    # the error must be that of the readout: the drive still holds what old weights made of their spikes
    given = document(synapse={"weight_acts": "at_spikes"}, training={"variable": "rate", "n_loops": 3})
    given["neuron"] = {"model": "theta", "step_ms": 0.5}
    exp = validate_experiment(given)
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    live, made = trained.simulation, trained.problem
    np.testing.assert_allclose(live.readout, dense(made.plastic, N, live.weight) @ live.filtered, atol=1e-10)
    assert np.abs(live.readout - live.plastic_drive).max() > 1e-3


@pytest.mark.parametrize("size", ["n10000", "n20000", "n50000", "smoke"])
def test_the_benchmark_has_the_published_parameters(size: str) -> None:
    exp = load(CONFIG, size=size)
    assert isinstance(exp, Experiment)
    k, f = exp.connectivity, exp.neuron
    assert k.kind == "balanced"
    assert f.model == "lif"
    n_fixed, n_plastic = (200, 28) if size == "smoke" else (512, 45)
    assert (k.static_in_degree, k.plastic_in_degree) == (n_fixed, n_plastic) == (n_fixed, round(2 * math.sqrt(n_fixed)))
    charge_per_ms = 1.0 / f.tau_ms  # their charges w, and W = w / tau
    je = 2.0 / math.sqrt(n_fixed) * 10.0
    expected = {
        "static_ee": 0.15 * je, "static_ie": je, "static_ei": -0.75 * je, "static_ii": -je,
        "plastic_excitatory": 2.0 * 10.0 / (2.0 * math.sqrt(n_plastic)),
        "plastic_inhibitory": -2.0 * 10.0 / (2.0 * math.sqrt(n_plastic)),
    }  # fmt: skip
    for name, charge in expected.items():
        assert getattr(k, name) == pytest.approx(charge * charge_per_ms, rel=1e-5), name
    assert k.input_inhibitory == pytest.approx(0.08 * math.sqrt(n_fixed), rel=1e-6)
    assert k.input_excitatory == pytest.approx(1.5 * k.input_inhibitory, rel=1e-6)
    assert exp.training.ridge == pytest.approx(0.8 / charge_per_ms**2)
    assert exp.stimulus.amplitude / math.sqrt(3) == pytest.approx(0.2 / math.sqrt(2 / 20), rel=1e-6)
    if size != "smoke":
        duration = exp.targets.duration_ms
        assert exp.network.n_neurons == int(size[1:])
        assert exp.protocol.free_run_ms + exp.stimulus.duration_ms + duration == 20_000 * f.step_ms
        assert duration == 100 * exp.training.update_interval_ms


def test_the_benchmark_learns_and_stays_balanced() -> None:
    changes = {"targets.duration_ms": 1000.0, "training.n_loops": 50}
    exp = load(CONFIG, size="smoke", changes=changes)
    trained = hpcspike.train(hpcspike.build_problem(exp), exp.training)
    correlation, rate = trained.curve["correlation"], trained.curve["rate"]
    assert abs(correlation[0]) < 0.05
    assert correlation[-5:].mean() > 0.3
    assert (rate > 3.0).all()
    assert (rate < 8.0).all()
    evaluation = evaluate(trained, exp.measures)
    assert evaluation.scalars["correlation"] > 0.15  # plasticity off, and momentary drives are noisy
    for name in ("sampling_error", "tracking_error", "quasi_static_residual"):
        assert math.isnan(evaluation.scalars[name])  # split by the theta neuron's transfer function


@pytest.mark.mpi
def test_the_benchmark_is_the_same_on_any_number_of_ranks(tmp_path: Path) -> None:
    import xarray

    found = []
    for ranks in (0, 2, 3):
        out = tmp_path / f"on_{ranks}.nc"
        short = ("--size", "smoke", "--set", "training.n_loops=2", "--out", out)
        job = launch(ranks, "-m", "hpcspike", "train", CONFIG, *short, folder=tmp_path)
        assert job.code == 0, job.err
        with xarray.open_dataset(out, engine="h5netcdf") as dataset:
            found.append(dataset[["target", "weight", "drive", "spike_time", "spike_neuron", "correlation"]].load())
    assert found[0].sizes["spike"] > 300
    for other in found[1:]:
        xarray.testing.assert_equal(other, found[0])
