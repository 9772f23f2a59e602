"""Rates of noisy integrate-and-fire neurons and their inverse."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfcx

from hpcspike.errors import DataError
from hpcspike.model.ricciardi import NoisyLif, drive_of_rates
from hpcspike.spec.neurons import LifNeuron
from hpcspike.spec.recorded import InputOfRate

RATES = np.array([0.1, 1.0, 5.0, 20.0, 50.0, 100.0])
TABLE = {
    (0.3, 0.0): (0.19298, 0.35330, 0.50993, 0.73675, 1.04598, 1.53261),
    (0.65, 0.0): (-0.74940, -0.40637, -0.08403, 0.33175, 0.79046, 1.38026),
    (1.0, 0.0): (-1.69462, -1.17445, -0.69792, -0.11632, 0.47204, 1.16303),
    (0.65, 0.1): (-0.74940, -0.40635, -0.08391, 0.33252, 0.79373, 1.39142),
}


def lif(**changes: float) -> LifNeuron:
    return LifNeuron(model="lif", step_ms=0.1, **changes)


@pytest.mark.parametrize(("sigma", "refractory"), TABLE)
def test_inputs_of_rates_are_those_of_the_published_program(sigma: float, refractory: float) -> None:
    found = NoisyLif(10.0, 1.0, 0.0, refractory, sigma).input_of(RATES)
    np.testing.assert_allclose(found, TABLE[sigma, refractory], atol=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 0.65, 1.0])
def test_the_rate_is_the_integral(sigma: float) -> None:
    cell = NoisyLif(10.0, 1.0, 0.0, 2.0, sigma)
    for mu in (-0.5, 0.2, 0.9, 1.5, 4.0):
        integral = quad(lambda x: erfcx(-x), -mu / sigma, (1 - mu) / sigma, epsabs=0.0, epsrel=1e-12)[0]
        expected = np.log(1000.0 / (2.0 + 10.0 * np.sqrt(np.pi) * integral))
        assert cell.log_rate(np.array(mu)) == pytest.approx(expected, abs=1e-11)
        slope = (cell.log_rate(np.array(mu + 1e-5)) - cell.log_rate(np.array(mu - 1e-5))) / 2e-5
        assert cell.slope(np.array(mu), cell.log_rate(np.array(mu))) == pytest.approx(slope, rel=1e-6)


def test_far_below_and_above_threshold_nothing_overflows() -> None:
    cell = NoisyLif(10.0, 1.0, 0.0, 0.0, 0.05)
    logs = cell.log_rate(np.array([-3.0, 0.0, 0.99, 1.5, 20.0]))
    assert np.isfinite(logs).all()
    assert (np.diff(logs) > 0).all()
    # sigma -> 0: the neuron without noise
    assert np.exp(logs[-1]) == pytest.approx(100.0 / np.log(20.0 / 19.0), rel=1e-3)


@pytest.mark.parametrize("sigma", [0.3, 0.65, 1.0])
def test_there_and_back(sigma: float) -> None:
    cell, rates = NoisyLif(10.0, 1.0, 0.0, 0.1, sigma), np.geomspace(1e-6, 300.0, 500)
    mu = cell.input_of(rates)
    np.testing.assert_allclose(np.exp(cell.log_rate(mu)), rates, rtol=1e-10)
    assert (np.diff(mu) > 0).all()


@pytest.mark.parametrize("sigma", [0.3, 0.65])
def test_a_simulated_neuron_has_the_rate_that_was_asked_for(sigma: float) -> None:
    settings, rates = InputOfRate(sigma=sigma, step_correction=True), np.array([5.0, 20.0, 50.0, 100.0])
    mu = drive_of_rates(np.repeat(rates, 200), settings, lif(), path="x")
    rng, h, counts = np.random.default_rng(1), 0.01, np.zeros(len(mu))
    v = np.zeros(len(mu))
    for step in range(20_000):
        v += h * (mu - v) + sigma * np.sqrt(h) * rng.standard_normal(len(mu))
        spiked = v > 1.0
        v[spiked] = 0.0
        if step >= 1000:
            counts += spiked
    np.testing.assert_allclose(counts.reshape(4, 200).mean(axis=1) / 1.9, rates, rtol=0.05)


def test_the_floor_is_for_all_or_for_zero_alone() -> None:
    rates = np.array([[0.0, 0.05, 1.0]])
    every = drive_of_rates(rates, InputOfRate(), lif(), path="x")[0]
    zero = drive_of_rates(rates, InputOfRate(floor="only_zero"), lif(), path="x")[0]
    assert every[0] == every[1] < every[2]
    assert zero[1] < zero[0] == every[0]


def test_rates_beyond_the_refractory_time_are_refused() -> None:
    with pytest.raises(DataError, match="allows less than 100 Hz"):
        drive_of_rates(np.array([[120.0]]), InputOfRate(), lif(refractory_ms=10.0), path="x")


@pytest.mark.parametrize("floor", ["all", "only_zero"])
def test_a_floor_above_all_rates_is_refused(floor: Literal["all", "only_zero"]) -> None:
    rates = np.array([[0.0, 12.0]])
    with pytest.raises(DataError, match="lowest_rate_hz = 20000 Hz is above all rates of targets.path = x, .* 12 Hz"):
        drive_of_rates(rates, InputOfRate(lowest_rate_hz=2e4, floor=floor), lif(refractory_ms=0.1), path="x")
    with pytest.raises(DataError, match="choose one below 12 Hz"):
        drive_of_rates(rates, InputOfRate(lowest_rate_hz=12.5), lif(), path="x")


def test_published_targets_come_out_of_the_published_rates() -> None:
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "alm_two_conditions.nc"
    if not path.exists():
        pytest.skip("the published recording is not here")
    import xarray as xr

    with xr.open_dataset(path) as data:
        rates, published = (data[name].values[:, ::8].astype(float) for name in ("rate", "total_input"))
    found = drive_of_rates(rates, InputOfRate(sigma=0.309), lif(), path="x")
    above = rates > 0.3
    difference = (found - published)[above]
    assert np.sqrt(np.mean(difference**2)) < 0.0014
    assert np.abs(difference).max() < 0.0051
