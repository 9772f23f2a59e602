"""Neuron models behind one call: their starting states, parameters, and the leaky integrate-and-fire step."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

import hpcspike
from hpcspike.model.neuron_kernels import advance
from hpcspike.model.neuron_models import KERNELS, MODELS
from hpcspike.model.neuron_models.theta import advance_theta
from hpcspike.model.neurons import initial_state, model_code, parameters
from hpcspike.spec.experiment import LifNeuron, Neuron, ThetaNeuron, Training
from hpcspike.spec.neurons import NEURONS
from tests.small_networks import arrays, problem

PHASES = np.linspace(-7.0, 14.0, 40)


def lif(**changes: Any) -> LifNeuron:
    return LifNeuron(model="lif", **changes)


def step_once(
    neuron: Neuron, state: np.ndarray, drive: np.ndarray, external: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    n = state.shape[1]
    after, spikes = state.copy(), np.empty(n, dtype=np.int32)
    count = advance(
        model_code(neuron), after, parameters(neuron, range(n)), drive, external, neuron.step_ms / neuron.tau_ms,
        np.empty(n), spikes,
    )  # fmt: skip
    return after, spikes[:count].tolist()


def test_every_model_has_a_section_and_a_file_that_agree() -> None:
    sections = {get_args(section.model_fields["model"].annotation)[0]: section for section in NEURONS}
    assert set(MODELS) == set(sections) - {"user"}
    assert set(KERNELS) == {name for name in MODELS if sections[name].facts.spikes}
    for name in MODELS:
        neuron = sections[name](model=name)
        assert initial_state(neuron, PHASES, range(40)).shape == (neuron.facts.n_states, 40)
        assert parameters(neuron, range(40)).shape[1] in (1, 40)


def test_every_model_is_moved_by_its_own_kernel() -> None:
    assert {model_code(neuron) for neuron in (ThetaNeuron(), lif())} == {
        list(KERNELS).index("theta"),
        list(KERNELS).index("lif"),
    }
    rng = np.random.default_rng(3)
    drive, external = rng.standard_normal(40), np.full(40, 5.0)
    for place, (name, kernel) in enumerate(KERNELS.items()):
        section = next(s for s in NEURONS if get_args(s.model_fields["model"].annotation)[0] == name)
        neuron = section(model=name)
        start, held = initial_state(neuron, PHASES, range(40)), parameters(neuron, range(40))
        found, expected = start.copy(), start.copy()
        spikes = np.zeros((2, 40), dtype=np.int32)
        counts = (
            advance(place, found, held, drive, external, 0.5, np.empty(40), spikes[0]),
            kernel(expected, held, drive, external, 0.5, np.empty(40), spikes[1]),
        )
        np.testing.assert_array_equal(found, expected)
        assert (found != start).any()
        assert counts[0] == counts[1]
        np.testing.assert_array_equal(spikes[0], spikes[1])


def test_theta_neurons_go_through_their_own_kernel() -> None:
    rng = np.random.default_rng(0)
    state, drive, external = (
        initial_state(ThetaNeuron(), PHASES, range(40)),
        rng.standard_normal(40),
        rng.standard_normal(40),
    )
    expected, spikes = state.copy(), np.empty(40, dtype=np.int32)
    count = advance_theta(expected, np.empty((0, 1)), drive, external, 0.1, np.empty(40), spikes)
    found, who = step_once(ThetaNeuron(), state, drive, external)
    np.testing.assert_array_equal(found, expected)
    assert who == spikes[:count].tolist()


def test_phases_become_states() -> None:
    theta = initial_state(ThetaNeuron(), PHASES, range(40))
    assert theta.shape == (1, 40)
    assert ((theta > -np.pi) & (theta <= np.pi)).all()
    np.testing.assert_allclose(np.exp(1j * theta[0]), np.exp(1j * PHASES), atol=1e-14)
    v, waiting = initial_state(
        lif(threshold=-50.0, reset=-65.0), np.array([0.0, np.pi, 3 * np.pi, 2 * np.pi - 1e-9]), range(4)
    )
    np.testing.assert_allclose(v, [-65.0, -57.5, -57.5, -50.0], atol=1e-6)
    assert (v < -50.0).all()
    assert not waiting.any()


def test_integrate_and_fire_follows_its_equation() -> None:
    neuron = lif(threshold=2.0, reset=-1.0, drive_gain=3.0)
    v = np.array([0.5, 1.9, 2.0, -3.0])
    drive, external = np.array([0.1, 0.2, 0.0, 1.0]), np.array([0.0, 2.5, 2.0, -5.0])
    after, spikes = step_once(neuron, np.stack([v, np.zeros(4)]), drive, external)
    expected = v + 0.1 * (external + 3.0 * drive - v)
    assert expected[1] > 2.0
    assert expected[2] == 2.0  # at the threshold is not beyond it
    assert spikes == [1]
    expected[1] = -1.0
    np.testing.assert_allclose(after[0], expected, rtol=1e-15)


@pytest.mark.parametrize("refractory_ms", [0.0, 1.0, 3.0])
def test_a_neuron_stays_at_reset_for_its_refractory_time(refractory_ms: float) -> None:
    neuron = lif(refractory_ms=refractory_ms)
    state, drive, external = np.array([[0.99], [0.0]]), np.zeros(1), np.full(1, 5.0)
    voltages = []
    for _ in range(8):
        state, spikes = step_once(neuron, state, drive, external)
        voltages.append(0.0 if spikes else state[0, 0])
        if len(voltages) > 1 and spikes:
            break
    at_reset = int(refractory_ms)
    assert voltages[: 1 + at_reset] == [0.0] * (1 + at_reset)
    assert voltages[1 + at_reset] == pytest.approx(0.5)


def test_rate_of_a_driven_integrate_and_fire_neuron() -> None:
    # tau dv/dt = -v + I from 0 to 1 takes tau ln(I / (I - 1)); Euler steps of 0.05 ms come close
    neuron = lif(step_ms=0.05, refractory_ms=2.0)
    inputs = np.array([0.5, 0.99, 1.1, 1.5, 3.0])
    state, counts = initial_state(neuron, np.zeros(5), range(5)), np.zeros(5)
    steps = 40_000
    for _ in range(steps):
        state, spikes = step_once(neuron, state, np.zeros(5), inputs)
        counts[spikes] += 1
    firing = inputs > 1
    period = np.full(5, np.inf)
    period[firing] = 2.0 + 10.0 * np.log(inputs[firing] / (inputs[firing] - 1.0))
    np.testing.assert_allclose(counts / (steps * 0.05), 1.0 / period, rtol=0.02, atol=1 / (steps * 0.05))


def test_an_integrate_and_fire_network_is_trained() -> None:
    made = problem(30, **arrays(30), neuron=lif(bias=1.2))
    trained = hpcspike.train(made, Training(n_loops=2))
    assert trained.diverged_loop == -1
    assert trained.curve["rate"].min() > 1.0
    assert trained.curve["correlation"][0] > 0.2
    response = trained.evoke(0, 1)
    np.testing.assert_allclose(response.drive[0], trained.weights @ response.filtered[0], atol=1e-11)
