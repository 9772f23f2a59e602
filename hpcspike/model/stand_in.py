"""Generated rates for those who have no recordings: a stand-in, labelled as such wherever it appears.

A generic parametric family, made of nothing but random numbers: rates of a delayed-response task with the kinds of
profiles that cortical neurons are known for (ramps, transients, phasic responses). No recording was used to fit it.
"""

from __future__ import annotations

import math

import numpy as np

from hpcspike.model.random_streams import stream
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.targets import RecordedTargets
from hpcspike.variables import STAND_IN

DURATION_MS = 4600.0
"""Length if the experiment gives none: that of the paper's recordings."""
SAMPLE_MS = 20.0
UNITS = 227
"""Number of units if the experiment asks for all."""
MEAN_RATES_HZ = (5.0, 30.0)

# share of the window at which the stimulus, the delay and the response begin
_EVENTS = (0.15, 0.40, 0.70)
_KINDS = ("ramp", "transient", "phasic")
_SHARES = (0.4, 0.35, 0.25)
_SPREAD_HZ = 6.0  # decay constant of the mean rates above the lowest
_PEAK = 4.0  # no rate is higher than 1 + this times its mean
_RIPPLE = 0.15


def stand_in_attributes(experiment: Experiment) -> dict[str, str]:
    """What the attributes of everything computed from an experiment must say: nothing, unless its data are made up."""
    targets = experiment.targets
    return {"stand_in": STAND_IN} if isinstance(targets, RecordedTargets) and targets.is_stand_in else {}


def stand_in_rates(n_units: int, *, duration_ms: float, seed: int, condition: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times (samples,) in ms from 0 to at least ``duration_ms``, and rates (n_units, samples) in Hz.

    Unit i has a mean rate m between 5 and 30 Hz (exponentially distributed above the lowest, cut off) and

        rate(t) = m (1 + a (g(t) - mean g)),   g = s shape + ripple,   s = 1 or (3 in 10) -1,

    with a ramp that ends at or after the response, a Gaussian transient anywhere, or a phasic rise and decay after the
    stimulus, the delay's begin or the response; the ripple is a small sum of slow cosines. The factor a lets the rate
    fall by a random share of its mean at most and rise to five times its mean at most. Every unit has random numbers of
    its own, keyed by seed, unit and condition: the data are the same in all replicates. In further
    conditions a unit has another profile around the same mean rate.
    """
    samples = math.ceil(duration_ms / SAMPLE_MS - 1e-9) + 1
    times = SAMPLE_MS * np.arange(samples)
    return times, np.stack([_rate(times, seed, unit, condition) for unit in range(n_units)])


def _rate(times: np.ndarray, seed: int, unit: int, condition: int) -> np.ndarray:
    low, high = MEAN_RATES_HZ
    rng = stream(seed, 0, "stand_in", unit)
    mean = low - _SPREAD_HZ * math.log(1.0 - rng.random() * (1.0 - math.exp(-(high - low) / _SPREAD_HZ)))
    if condition:
        rng = stream(seed, 0, "stand_in", unit, condition)
    kind = rng.choice(_KINDS, p=_SHARES)
    sign = -1.0 if rng.random() < 0.3 else 1.0
    profile = sign * _shape(str(kind), times, rng) + _ripple(times, rng)
    depth = rng.uniform(0.4, 0.95)
    g: np.ndarray = profile - profile.mean()
    factor = min(depth / max(-float(g.min()), 1e-12), _PEAK / max(float(g.max()), 1e-12))
    return np.asarray(mean * (1.0 + factor * g))


def _shape(kind: str, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A profile between 0 and 1."""
    length = float(times[-1])
    stimulus, delay, response = (share * length for share in _EVENTS)
    if kind == "ramp":
        begin, end = rng.uniform(stimulus, delay), response + rng.uniform(0.0, 0.1) * length
        fall = rng.uniform(0.05, 0.5) * length
        rise = np.clip((times - begin) / (end - begin), 0.0, 1.0) ** rng.uniform(0.7, 2.0)
        return np.where(times <= end, rise, np.exp(-(times - end) / fall))
    if kind == "transient":
        middle, width = rng.uniform(0.05, 0.95) * length, rng.uniform(0.03, 0.1) * length
        return np.asarray(np.exp(-0.5 * ((times - middle) / width) ** 2))
    onset = rng.choice((stimulus, delay, response)) + rng.uniform(0.0, 0.05) * length
    attack, decay = rng.uniform(0.005, 0.02) * length, rng.uniform(0.03, 0.15) * length
    after = np.maximum(times - onset, 0.0)
    return np.asarray((1.0 - np.exp(-after / attack)) * np.exp(-after / decay))


def _ripple(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    periods, phases = rng.uniform(0.1, 0.5, 3) * times[-1], rng.uniform(0.0, 2.0 * math.pi, 3)
    waves = np.cos(2.0 * math.pi * times / periods[:, None] + phases[:, None])
    return np.asarray(_RIPPLE * waves.mean(axis=0))
