"""A balanced network in time against a plain program in the order of Kim, Finkelstein, Chow, Svoboda & Darshan 2023."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike.engine.simulation import Simulation
from hpcspike.model.build import build_problem
from hpcspike.model.connectivity import build_static_rows
from hpcspike.model.problem import Problem
from hpcspike.spec.connectivity import BalancedConnectivity
from hpcspike.spec.experiment import Experiment
from tests.small_networks import experiment

K = 20


def balanced(n: int = 80, k: int = K, **changes: Any) -> Experiment:
    """An excitatory-inhibitory network in the balanced regime, weights by the formulas of the 2023 paper.

    Of a small one the external input is larger, without which it would not begin to spike.
    """
    je, drive = 2.0 / np.sqrt(k), max(0.12 * np.sqrt(k), 1.2)
    sections: dict[str, Any] = {
        "network": {"n_neurons": n},
        "neuron": {"model": "lif", "step_ms": 0.1, "refractory_ms": 0.1},
        "synapse": {
            "tau_syn_ms": 150.0, "static_tau_syn_ms": 3.0, "static_tau_inhibitory_ms": 3.0, "decay": "euler",
            "weight_acts": "at_spikes",
        },
        "connectivity": {
            "kind": "balanced", "static_in_degree": k, "static_degree": "out", "static_ee": 0.15 * je, "static_ie": je,
            "static_ei": -0.75 * je, "static_ii": -je, "plastic_in_degree": 3, "input_excitatory": 1.5 * drive,
            "input_inhibitory": drive,
        },
        "targets": {"kind": "sine", "duration_ms": 20.0},
        "training": {"update_interval_ms": 20.0, "n_loops": 0},
    }  # fmt: skip
    for key, values in changes.items():
        sections[key] = {**sections.get(key, {}), **values}
    return experiment(**sections)


def program(
    made: Problem, n_steps: int, taus: tuple[float, float], plastic_tau: float, delays: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """Spikes (spikes, 2) as (step, neuron): charges and ms, x before v, spikes of step n in x of step n + 1.

    delays: in how many steps fixed and plastic synapses are reached instead.
    """
    n, dt, tau = made.n_neurons, 0.1, 10.0
    parts = []
    for rows in (made.static, made.plastic):
        dense = np.zeros((n, n))
        np.add.at(dense, (np.repeat(np.arange(n), np.diff(rows.start)), rows.presynaptic), tau * rows.weight)
        parts.append(dense)
    inhibitory = np.arange(n) >= made.first_inhibitory
    groups = [(parts[0] * ~inhibitory, taus[0]), (parts[0] * inhibitory, taus[1]), (parts[1], plastic_tau)]
    lags = (delays[0], delays[0], delays[1])
    x, v, blocked = np.zeros((3, n)), made.phase / (2 * np.pi), np.zeros(n, int)
    entering = np.zeros((n_steps + max(lags), 3, n))
    found = []
    for step in range(n_steps):
        for i, (_, decay) in enumerate(groups):
            x[i] += (-dt * x[i] + entering[step, i]) / decay
        free = blocked == 0
        v[free] += (dt / tau * (made.input + x.sum(axis=0) - v))[free]
        blocked[~free] -= 1
        spiked = np.flatnonzero(v > 1.0)
        v[spiked], blocked[spiked] = 0.0, 1
        for i, (weights, _) in enumerate(groups):
            entering[step + lags[i], i] += weights[:, spiked].sum(axis=1)
        found += [(step, neuron) for neuron in spiked]
    return np.array(found)


@pytest.mark.parametrize("inhibitory_ms", [3.0, 6.0])
def test_spikes_are_those_of_the_program(inhibitory_ms: float) -> None:
    taus = {"static_tau_inhibitory_ms": inhibitory_ms, "tau_syn_ms": 50.0}
    weights = {"plastic_excitatory": 0.05, "plastic_inhibitory": -0.03}
    made = build_problem(balanced(synapse=taus, connectivity=weights))
    spikes = Simulation(made).run_interval(3000, made.input)
    expected = program(made, 3000, (3.0, inhibitory_ms), 50.0)
    assert len(expected) > 300
    np.testing.assert_array_equal(np.stack([spikes.step, spikes.neuron], axis=1), expected)


@pytest.mark.parametrize(
    "changes", [{"decay": "rk4"}, {"static_tau_inhibitory_ms": 6.0}, {"static_tau_syn_ms": 6.0}], ids=str
)
def test_decay_and_its_constants_change_the_network(changes: dict[str, Any]) -> None:
    made, other = build_problem(balanced()), build_problem(balanced(synapse=changes))
    first, second = (Simulation(one).run_interval(2000, one.input) for one in (made, other))
    assert first.step.tolist() != second.step.tolist()


def test_drives_of_the_two_populations_are_told_apart() -> None:
    one, two = balanced(), balanced(synapse={"static_tau_inhibitory_ms": None})
    simulations = [Simulation(build_problem(settings)) for settings in (one, two)]
    for simulation in simulations:
        simulation.run_interval(500, simulation.problem.input)
    split, whole = simulations
    assert split.static_drive.min() >= 0.0 >= split.inhibitory_drive.max()
    assert split.inhibitory_drive.min() < 0.0
    assert not len(whole.inhibitory_drive)
    np.testing.assert_allclose(split.drive, whole.drive, atol=1e-12)


@pytest.mark.parametrize("n", [60, 61])
def test_every_neuron_sends_the_same_number_of_synapses(n: int) -> None:
    network = BalancedConnectivity(
        kind="balanced", static_in_degree=10, static_degree="out", static_ee=1, static_ei=-2, static_ie=3, static_ii=-4
    )
    rows = build_static_rows(network, n, range(n), seed=1, replicate=0)
    post = np.repeat(np.arange(n), np.diff(rows.start))
    assert (np.bincount(rows.presynaptic, minlength=n) == 20).all()
    assert len(set(zip(post.tolist(), rows.presynaptic.tolist(), strict=True))) == 20 * n
    assert (post != rows.presynaptic).all()
    assert np.diff(rows.start).std() > 1.0
    assert all((np.diff(part) > 0).all() for part in np.split(rows.presynaptic, rows.start[1:-1]))
    border = n // 2
    expected = np.where(post < border, np.where(rows.presynaptic < border, 1, -2), 3)
    expected[(post >= border) & (rows.presynaptic >= border)] = -4
    np.testing.assert_array_equal(rows.weight, expected)


def test_rows_do_not_depend_on_the_block_they_are_built_in() -> None:
    network = BalancedConnectivity(kind="balanced", static_in_degree=10, static_degree="out", static_ee=1)
    whole = build_static_rows(network, 50, range(50), seed=1, replicate=0)
    for first, last in ((0, 17), (17, 40), (40, 50), (50, 50)):
        part = build_static_rows(network, 50, range(first, last), seed=1, replicate=0)
        low, high = whole.start[first], whole.start[last]
        np.testing.assert_array_equal(part.presynaptic, whole.presynaptic[low:high])
        np.testing.assert_array_equal(part.weight, whole.weight[low:high])
        np.testing.assert_array_equal(part.start, whole.start[first : last + 1] - low)


def intervals_of(steps: np.ndarray, neurons: np.ndarray, n: int) -> list[np.ndarray]:
    """Steps between the spikes of each of n neurons."""
    order = np.lexsort((steps, neurons))
    trains = np.split(steps[order], np.cumsum(np.bincount(neurons, minlength=n))[:-1])
    return [np.diff(train) for train in trains]


def measured(n: int, k: int, seconds: int, seed: int) -> dict[str, float]:
    """Of fixed synapses: rates (Hz), variation of E neurons' intervals, their total input and its s.d. in time."""
    made = build_problem(balanced(n, k, connectivity={"static_in_degree": k}).changed({"seed": seed}))
    simulation, half = Simulation(made), n // 2
    simulation.run_interval(10_000, made.input)
    total, squares = np.zeros((2, n))
    steps, neurons = [], []
    for stretch in range(seconds * 100):
        record = np.empty((100, n))
        spikes = simulation.run_interval(100, made.input, record=record)
        steps.append(spikes.step + 100 * stretch)
        neurons.append(spikes.neuron)
        total += record.sum(axis=0)
        squares += (record**2).sum(axis=0)
    mean = total / (seconds * 10_000)
    every = np.concatenate(neurons)
    counts = np.bincount(every, minlength=n) / seconds
    intervals = [some for some in intervals_of(np.concatenate(steps), every, n)[:half] if len(some) > 1]
    found = {
        "excitatory": counts[:half].mean(),
        "inhibitory": counts[half:].mean(),
        "variation": np.mean([some.std() / some.mean() for some in intervals]),
        "input": (made.input + mean)[:half].mean(),
        "spread": np.sqrt(squares / (seconds * 10_000) - mean**2)[:half].mean(),
    }
    return {name: float(value) for name, value in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "k", "seeds", "published"),
    [
        (
            1000, 100, (1, 2, 3, 4),
            {"excitatory": (5.4, 0.3), "inhibitory": (9.8, 0.4), "variation": (0.88, 0.05), "input": (0.49, 0.04),
             "spread": (0.585, 0.02)},
        ),
        (5000, 500, (3,), {"excitatory": (6.61, 0.1), "inhibitory": (11.97, 0.15)}),
    ],
)  # fmt: skip
def test_rates_and_currents_are_the_published_ones(
    n: int, k: int, seeds: tuple[int, ...], published: dict[str, tuple[float, float]]
) -> None:
    for seed in seeds:
        found = measured(n, k, 10, seed)
        print(n, seed, found)
        for name, (value, within) in published.items():
            assert found[name] == pytest.approx(value, abs=within), name
