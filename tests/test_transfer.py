"""The two transfer functions, the slope, and the kernel that evaluates them in rate training."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.engine.training_kernels import rate_error
from hpcspike.model.rate_law import packed
from hpcspike.model.rate_law_kinds import PHI_2
from hpcspike.model.transfer import rate_of_constant_input, rate_of_noisy_input, slope_of_noisy_input

NO_CURVE = np.zeros(1)
INPUTS = np.concatenate([np.linspace(-3, 3, 601), [-1e4, -100.0, -8.0, 8.0, 100.0, 1e4]])


def test_rate_of_constant_input_is_a_rectified_root() -> None:
    np.testing.assert_allclose(
        rate_of_constant_input(np.array([-1e9, -1.0, 0.0, 0.25, 1.0, 4.0])), np.array([0, 0, 0, 0.5, 1, 2]) / np.pi
    )
    assert 100 * rate_of_constant_input(np.array(1.0)) == pytest.approx(31.83, abs=0.01)  # Hz


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 1.0])
def test_rate_of_noisy_input_is_equation_14(smoothing: float) -> None:
    x = np.linspace(-5, 5, 101) * smoothing
    expected = np.sqrt(smoothing * np.log(1 + np.exp(x / smoothing))) / np.pi
    np.testing.assert_allclose(rate_of_noisy_input(x, smoothing), expected, rtol=1e-13)
    far = np.array([50.0, 1000.0])
    np.testing.assert_allclose(rate_of_noisy_input(far, smoothing), rate_of_constant_input(far), rtol=1e-12)
    below = rate_of_noisy_input(np.array([-1e4, -1e3]) * smoothing, smoothing)
    assert ((below >= 0) & (below < 1e-100)).all()


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 1.0])
def test_slope_is_the_derivative(smoothing: float) -> None:
    x = np.linspace(-8, 8, 161) * smoothing
    h = 1e-4 * smoothing
    numeric = (rate_of_noisy_input(x + h, smoothing) - rate_of_noisy_input(x - h, smoothing)) / (2 * h)
    np.testing.assert_allclose(slope_of_noisy_input(x, smoothing), numeric, rtol=1e-7)


def test_slope_vanishes_far_below_threshold_as_it_should() -> None:
    x = np.array([-60.0, -50.0, -10.0])
    np.testing.assert_allclose(slope_of_noisy_input(x, 0.1), np.exp(x / 0.2) / (2 * np.pi * np.sqrt(0.1)), rtol=1e-10)
    assert slope_of_noisy_input(np.array(-1e6), 0.1) == 0.0
    np.testing.assert_allclose(slope_of_noisy_input(np.array(1e6), 0.1), 1 / (2 * np.pi * 1e3), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 1.0])
def test_kernel_of_rate_training_agrees_with_the_transfer_functions(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    drive, external = INPUTS - 0.3, np.full(len(INPUTS), 0.3)
    target, error, gain = rng.random(len(INPUTS)), np.empty(len(INPUTS)), np.empty(len(INPUTS))
    rate_error(drive, external, target, packed(PHI_2, NO_CURVE, [], smoothing=smoothing), error, gain)
    total = drive + external
    np.testing.assert_allclose(error, target - rate_of_noisy_input(total, smoothing), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gain, slope_of_noisy_input(total, smoothing), rtol=1e-11, atol=1e-140)
    assert (gain[total > 0] > 1e-4).all()


def test_kernel_leaves_neurons_that_are_not_numbers_alone() -> None:
    error, gain = np.empty(1), np.empty(1)
    rate_error(np.array([np.nan]), np.zeros(1), np.zeros(1), packed(PHI_2, NO_CURVE, []), error, gain)
    assert np.isnan(error[0])
    assert gain[0] == 0.0
