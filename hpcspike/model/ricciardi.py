"""Rates of leaky integrate-and-fire neurons with white noise, and the input that has a given rate (Ricciardi 1977).

For tau dV/dt = mu - V + sigma sqrt(tau) xi with threshold V_t, reset V_r and refractory time tau_ref,

    1 / nu = tau_ref + tau sqrt(pi) J,   J = integral of exp(x^2) (1 + erf x) from a to b,
    a = (V_r - mu) / sigma,   b = (V_t - mu) / sigma.

exp(b^2) overflows from b = 26.6, so it is never formed: with erfcx(-x) = exp(x^2) (1 + erf x), its integral G and
Dawson's function D, J = exp(max(b, 0)^2) j has a j that is of ordinary size, and everything goes on in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError
from hpcspike.model.own_values import values_of
from hpcspike.spec.neurons import LifNeuron
from hpcspike.spec.recorded import InputOfRate

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_TABLE = 4096
STEP_SHIFT = 0.5826
"""Crossings between steps are missed as if the threshold were higher by this times sigma sqrt(dt / tau)."""


@dataclass(frozen=True)
class NoisyLif:
    """A leaky integrate-and-fire neuron with white noise of strength sigma; times in ms, rates in Hz."""

    tau_ms: float
    threshold: float
    reset: float
    refractory_ms: float
    sigma: float

    def log_rate(self, mu: Array) -> Array:
        """ln nu in Hz at inputs mu, elementwise."""
        a, b = (self.reset - mu) / self.sigma, (self.threshold - mu) / self.sigma
        size = np.maximum(b, 0.0) ** 2
        log_membrane = size + np.log(self.tau_ms * math.sqrt(math.pi) * _scaled_integral(a, b))
        log_refractory = math.log(self.refractory_ms) if self.refractory_ms > 0 else -np.inf
        return np.asarray(math.log(1000.0) - np.logaddexp(log_refractory, log_membrane))

    def slope(self, mu: Array, log_rate: Array) -> Array:
        """d ln nu / d mu where ln nu is ``log_rate``, elementwise."""
        from scipy.special import erfcx

        # erfcx(-z) = exp(z^2) (1 + erf z), here over exp(max(b, 0)^2)
        a, b = (self.reset - mu) / self.sigma, (self.threshold - mu) / self.sigma
        size = np.maximum(b, 0.0) ** 2
        up = np.where(b > 0, 2.0 - np.exp(-(np.maximum(b, 0.0) ** 2)) * erfcx(np.abs(b)), erfcx(np.abs(b)))
        rise = np.exp(np.maximum(a, 0.0) ** 2 - size)
        down = np.where(a > 0, 2.0 * rise - np.exp(-size) * erfcx(np.abs(a)), np.exp(-size) * erfcx(np.abs(a)))
        log_scale = log_rate - math.log(1000.0) + size + math.log(self.tau_ms * math.sqrt(math.pi))
        return np.asarray(np.exp(log_scale) * (up - down) / self.sigma)

    def input_of(self, rate_hz: Array) -> Array:
        """mu at which the neuron has these rates, elementwise; they must be above 0 and below 1 / tau_ref.

        A table of mu over ln nu, cubic between its entries, and one of Newton's steps: exact to rounding.
        """
        from scipy.interpolate import CubicHermiteSpline

        wanted = np.log(np.asarray(rate_hz, dtype=np.float64))
        low, high = -6.0 * self.sigma, 3.0
        while self.log_rate(np.array(low)) > wanted.min(initial=0.0):
            low *= 1.5
        while self.log_rate(np.array(high)) < wanted.max(initial=0.0):
            high *= 2.0
        table = np.linspace(low, high, _TABLE)
        of_table = self.log_rate(table)
        mu = CubicHermiteSpline(of_table, table, 1.0 / self.slope(table, of_table))(wanted)
        found = self.log_rate(mu)
        return np.asarray(mu - (found - wanted) / self.slope(mu, found))


def _scaled_integral(a: Array, b: Array) -> Array:
    # J / exp(max(b, 0)^2) for a < b
    from scipy.special import dawsn

    falling = _integral(np.abs(a)) - _integral(np.abs(b))
    rise = 2.0 * dawsn(b)
    return np.where(
        b <= 0,
        falling,
        np.where(
            a <= 0,
            rise + np.exp(-(b**2)) * falling,
            rise - 2.0 * np.exp(np.minimum(a**2 - b**2, 0.0)) * dawsn(a) + np.exp(-(b**2)) * falling,
        ),
    )


def _integral(z: Array) -> Array:
    # of erfcx from 0 to z >= 0, by Gauss-Legendre in s with y = e^s - 1
    from scipy.special import erfcx

    end = np.log1p(z)
    total = np.zeros_like(end)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        s = 0.5 * (node + 1.0) * end
        total += weight * erfcx(np.expm1(s)) * np.exp(s)
    return 0.5 * end * total


def refuse_rates(rate_hz: Array, settings: InputOfRate, neuron: LifNeuron, *, path: str) -> None:
    """Refuse rates (units, samples) as fast as the refractory time allows, and a floor above all of them."""
    fastest = 1000.0 / neuron.refractory_ms if neuron.refractory_ms > 0 else math.inf
    highest, lowest = rate_hz.max(initial=0.0), settings.lowest_rate_hz
    if highest >= fastest:
        raise DataError(
            f"targets.path = {path}: rates reach {highest:g} Hz, but neuron.refractory_ms = "
            f"{neuron.refractory_ms:g} ms allows less than {fastest:g} Hz; choose a shorter refractory time"
        )
    if lowest >= fastest or (settings.floor == "all" and lowest > highest):
        raise DataError(
            f"targets.input_of_rate.lowest_rate_hz = {lowest:g} Hz is above all rates of targets.path = {path}, which "
            f"reach {highest:g} Hz: every target would be the same number; choose one below {highest:g} Hz"
        )


def drive_of_rates(
    rate_hz: Array, settings: InputOfRate, neuron: LifNeuron, *, path: str, neurons: Sequence[int] | None = None
) -> Array:
    """Total input at which neurons have these rates (units, samples), in units of v.

    neurons (units,): who has which rates, where neurons differ; N numbers say how, see `with_numbers`.

    Raises
    ------
    DataError
        If there are rates that have no such input, see `refuse_rates`.
    """
    refuse_rates(rate_hz, settings, neuron, path=path)
    lowest = settings.lowest_rate_hz
    rates = np.where(rate_hz == 0.0, lowest, rate_hz) if settings.floor == "only_zero" else np.maximum(rate_hz, lowest)
    who, own = range(len(rates)) if neurons is None else neurons, neuron.by_neuron
    columns = ((own.tau_ms, neuron.tau_ms), (own.threshold, neuron.threshold), (own.reset, neuron.reset))
    cells, which = np.unique(np.stack([values_of(*column, who) for column in columns]), axis=1, return_inverse=True)
    drives = np.empty(rates.shape)
    for number, (tau_ms, threshold, reset) in enumerate(cells.T.tolist()):
        shift = STEP_SHIFT * settings.sigma * math.sqrt(neuron.step_ms / tau_ms) if settings.step_correction else 0.0
        cell = NoisyLif(tau_ms, threshold + shift, reset, neuron.refractory_ms, settings.sigma)
        rows = which.reshape(-1) == number
        drives[rows] = cell.input_of(rates[rows])
    return drives
