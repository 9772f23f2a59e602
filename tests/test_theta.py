"""The theta neuron: its cosine, its step against plain numpy, the program's spike rule, its firing rate."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from hpcspike.model.neuron_models.theta import advance_theta, cosine
from hpcspike.model.transfer import rate_of_constant_input

STEP = 0.1  # dt / tau of the program: 1 ms


@numba.njit
def cosines(x):  # type: ignore[no-untyped-def]
    result = np.empty_like(x)
    for i in range(len(x)):
        result[i] = cosine(x[i])
    return result


def advance(theta: np.ndarray, drive: np.ndarray, external: np.ndarray, step: float) -> tuple[np.ndarray, list[int]]:
    """One step of the kernel; returns the new phases and who spiked."""
    state, spikes = theta[None].copy(), np.empty(len(theta), dtype=np.int32)
    count = advance_theta(state, np.empty((0, 1)), drive, external, step, np.empty(len(theta)), spikes)
    return state[0], spikes[:count].tolist()


def program_step(theta: np.ndarray, total: np.ndarray, step: float) -> tuple[np.ndarray, list[int]]:
    """The step and spike rule of the authors' program; theta is never wrapped."""

    def velocity(x: np.ndarray) -> np.ndarray:
        return 1 - np.cos(x) + total * (1 + np.cos(x))

    k1 = velocity(theta)
    k2 = velocity(theta + step / 2 * k1)
    k3 = velocity(theta + step / 2 * k2)
    k4 = velocity(theta + step * k3)
    change = step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    distance = np.mod(np.pi - np.mod(theta, 2 * np.pi), 2 * np.pi)
    return theta + change, np.flatnonzero((change > 0) & (change > distance)).tolist()


def wrapped(theta: np.ndarray) -> np.ndarray:
    return np.pi - np.mod(np.pi - theta, 2 * np.pi)


def test_cosine_agrees_with_numpy() -> None:
    rng = np.random.default_rng(0)
    quarter_turns = np.arange(-400, 401) * (np.pi / 2)
    x = np.concatenate(
        [
            rng.uniform(-1e4, 1e4, 200_000),
            rng.uniform(-7, 7, 200_000),
            quarter_turns,
            np.nextafter(quarter_turns, np.inf),
            np.nextafter(quarter_turns, -np.inf),
            [0.0, -0.0, 5e-324, 1e-9, -1e-9],
        ]
    )
    assert np.abs(cosines(x) - np.cos(x)).max() <= 4e-16


def test_cosine_of_what_is_not_finite_is_not_a_number() -> None:
    assert np.isnan(cosines(np.array([np.nan, np.inf, -np.inf]))).all()


@pytest.mark.parametrize(("size", "tolerance"), [(1.0, 1e-12), (30.0, 1e-9), (300.0, 1e-4)])
def test_one_step_is_the_programs(size: float, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    theta = rng.uniform(-300, 300, n)  # the program lets theta grow
    drive, external = size * rng.standard_normal(n), rng.uniform(-1, 1, n)
    expected, expected_spikes = program_step(theta, drive + external, STEP)
    found, spikes = advance(wrapped(theta), drive, external, STEP)
    assert spikes == expected_spikes
    assert 100 < len(spikes) < n
    assert ((found > -np.pi) & (found <= np.pi)).all()
    # each of the four stages multiplies a rounding of the phase by the size of the input
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=tolerance)


def test_a_thousand_steps_spike_like_the_program() -> None:
    rng = np.random.default_rng(2)
    n = 200
    program = rng.uniform(0, 2 * np.pi, n)
    kernel = wrapped(program)
    level, external = rng.uniform(-0.5, 3.0, n), np.zeros(n)
    n_spikes = 0
    for step in range(1000):
        drive = level + np.sin(step / 40 + np.arange(n))
        program, expected = program_step(program, drive, STEP)
        kernel, spikes = advance(kernel, drive, external, STEP)
        assert spikes == expected
        n_spikes += len(spikes)
    assert n_spikes > 2000
    assert program.max() > 100  # it was never wrapped there
    np.testing.assert_allclose(np.exp(1j * kernel), np.exp(1j * program), atol=1e-9)


def test_a_phase_of_exactly_pi_spikes_when_it_moves_on() -> None:
    # at pi the velocity is 2 whatever the input, and the distance to the spike is zero
    theta = np.full(3, math.pi)
    phases, spikes = advance(theta, np.array([-5.0, 0.0, 5.0]), np.zeros(3), STEP)
    assert spikes == [0, 1, 2] == program_step(theta, np.array([-5.0, 0.0, 5.0]), STEP)[1]
    assert (phases < -2.5).all()
    _, again = advance(phases, np.zeros(3), np.zeros(3), STEP)
    assert again == []


def test_a_step_that_ends_exactly_at_pi_has_not_spiked_yet() -> None:
    # with an input of 1 the velocity is exactly 2, so the increment is 2 dt
    start = math.pi - 0.25
    increment = math.pi - start
    phases, spikes = advance(np.array([start]), np.ones(1), np.zeros(1), increment / 2)
    assert spikes == []
    assert phases[0] == math.pi
    assert advance(phases, np.ones(1), np.zeros(1), increment / 2)[1] == [0]


def test_moving_backward_through_pi_is_no_spike() -> None:
    # only a step that is too long for its input does that: at pi itself the velocity is 2
    theta, drive = np.linspace(-3.14, -2.0, 200), np.full(200, -1e3)
    phases, spikes = advance(theta, drive, np.zeros(200), STEP)
    moved = program_step(theta, drive, STEP)[0]
    through = np.flatnonzero((moved < -np.pi) & (moved > -3 * np.pi))
    assert len(through) > 5
    assert not set(through) & set(spikes)
    np.testing.assert_allclose(phases[through], moved[through] + 2 * np.pi, atol=1e-6)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_huge_inputs_give_at_most_one_spike_per_step_and_keep_the_phase_in_range(size: float) -> None:
    rng = np.random.default_rng(3)
    theta = rng.uniform(-np.pi, np.pi, 1000)
    drive = size * rng.choice([-1.0, 1.0], 1000)
    for _ in range(20):
        theta, spikes = advance(theta, drive, np.zeros(1000), STEP)
        assert len(set(spikes)) == len(spikes)
        assert np.isfinite(theta).all()
        assert np.abs(theta).max() <= np.pi * (1 + 1e-6)


def test_external_input_and_drive_add_up() -> None:
    rng = np.random.default_rng(4)
    theta, drive, external = rng.uniform(-np.pi, np.pi, 500), rng.standard_normal(500), rng.standard_normal(500)
    both = advance(theta, drive, external, STEP)
    swapped = advance(theta, external, drive, STEP)
    np.testing.assert_array_equal(both[0], swapped[0])
    assert both[1] == swapped[1]


def test_voltage_follows_the_solution_of_the_quadratic_neuron() -> None:
    # tau dv/dt = v^2 + I from v = 0: v = sqrt(I) tan(sqrt(I) t / tau) (paper Eq 4 with v = tan(theta / 2))
    total = np.array([0.05, 0.3, 1.0, 2.0])
    theta = np.zeros(4)
    for _ in range(8):
        theta, spikes = advance(theta, total, np.zeros(4), STEP)
        assert spikes == []
    root = np.sqrt(total)
    np.testing.assert_allclose(np.tan(theta / 2), root * np.tan(root * 8 * STEP), rtol=1e-5)


def test_errors_shrink_with_the_fourth_power_of_the_step() -> None:
    def error(steps: int) -> float:
        theta = np.zeros(1)
        for _ in range(steps):
            theta, _ = advance(theta, np.array([0.3]), np.zeros(1), 2.0 / steps)
        root = math.sqrt(0.3)
        return abs(math.tan(theta[0] / 2) - root * math.tan(root * 2.0))

    assert 12 < error(8) / error(16) < 20


def test_a_constantly_driven_neuron_fires_at_the_transfer_functions_rate() -> None:
    total = np.array([-1.0, -0.01, 0.02, 0.1, 0.5, 1.0, 2.0, 4.0])
    theta, counts = np.zeros(len(total)), np.zeros(len(total))
    steps = 10_000
    for _ in range(steps):
        theta, spikes = advance(theta, total, np.zeros(len(total)), STEP)
        counts[spikes] += 1
    rate = counts / (steps * STEP)
    np.testing.assert_allclose(rate, rate_of_constant_input(total), rtol=2e-3, atol=1.0 / (steps * STEP))
