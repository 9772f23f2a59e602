"""A feed-forward population: Poisson neurons with frozen rates, whose spikes are new in every trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hpcspike.model.connectivity import Rows
from hpcspike.model.random_streams import stream
from hpcspike.shown import short_repr
from hpcspike.spec.trial import FeedForward

FEED_OF = {"test_phase": "test_feed", "training_test_phase": "training_test_feed"}
"""Purpose of the phases that a test trial starts from -> purpose of its feed-forward spikes."""


@dataclass(frozen=True, repr=False)
class FeedForwardPopulation:
    """Sources of plastic synapses from N on, silent but in the window.

    chance (n_sets, F, steps): probability of a spike in each step of the window; per_condition: whether every target
    set has weights of its own for the same sources N to N + F - 1; joint: whether it has sources of its own instead,
    those of set s from N + s F on.
    """

    chance: np.ndarray
    per_condition: bool
    joint: bool = False

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def n_sources(self) -> int:
        """Number of sources: F, or n_sets F if every target set has its own."""
        return int(self.chance.shape[1]) * (len(self.chance) if self.joint else 1)

    def first_source(self, target_set: int) -> int:
        """The first source of a target set, counted from N."""
        return int(self.chance.shape[1]) * target_set if self.joint else 0


def feed_forward_population(
    section: FeedForward, *, n_sets: int, n_steps: int, step_ms: float, key: tuple[int, int]
) -> FeedForwardPopulation | None:
    """The population of an experiment for windows of ``n_steps`` steps, the same on every rank; None: there is none."""
    if section.n_neurons == 0:
        return None
    chance = np.empty((n_sets, section.n_neurons, n_steps), dtype=np.float32)
    for target_set in range(n_sets):
        for neuron in range(section.n_neurons):
            rng = stream(*key, "feed_forward_rate", neuron, target_set)
            chance[target_set, neuron] = rate_path(section, n_steps, step_ms, rng) * (step_ms / 1000.0)
    return FeedForwardPopulation(chance, section.sets_share_inputs, section.covariance == "joint")


def rate_path(section: FeedForward, n_steps: int, step_ms: float, rng: np.random.Generator) -> np.ndarray:
    """Rate of one neuron in Hz, (n_steps,): Ornstein-Uhlenbeck from its mean, smoothed, negative values set to 0.

    y(n + 1) = y(n) + (mean - y(n)) dt / tau_corr + noise sqrt(dt) xi, dt in ms; then the mean over all steps not more
    than ``smoothing_ms`` away, cut at the ends of the window.
    """
    path = section.mean_hz + path_from_rest(section.noise, section.tau_corr_ms, n_steps, step_ms, rng)
    reach, place = round(section.smoothing_ms / step_ms), np.arange(n_steps)
    sums = np.concatenate([[0.0], np.cumsum(path)])
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, n_steps)
    return np.asarray(np.maximum((sums[high] - sums[low]) / (high - low), 0.0))


def path_from_rest(
    noise: float, tau_corr_ms: float, n_steps: int, step_ms: float, rng: np.random.Generator
) -> np.ndarray:
    """Ornstein-Uhlenbeck path by forward Euler, (n_steps,), from y(1) = 0.

    y(n + 1) = y(n) - y(n) dt / tau_corr + noise sqrt(dt) xi, dt in ms.
    """
    from scipy.signal import lfilter

    kicks = noise * math.sqrt(step_ms) * rng.standard_normal(n_steps)
    kicks[0] = 0.0
    return np.asarray(lfilter([1.0], [1.0, step_ms / tau_corr_ms - 1.0], kicks))


def with_feed_forward(rows: Rows, n_neurons: int, n_sources: int, weight: float) -> Rows:
    """Rows in which every neuron that has plastic inputs has those from sources N to N + F - 1 too, behind the others.

    n_neurons: N; n_sources: F; weight: initial weight of the new synapses.
    """
    degree = np.diff(rows.start)
    trained = degree > 0
    start = np.zeros_like(rows.start)
    np.cumsum(degree + n_sources * trained, out=start[1:])
    presynaptic, weights = np.empty(start[-1], dtype=np.int32), np.full(start[-1], weight)
    kept = np.repeat(start[:-1] - rows.start[:-1], degree) + np.arange(len(rows.presynaptic))
    presynaptic[kept], weights[kept] = rows.presynaptic, rows.weight
    new = (start[1:][trained, None] - n_sources) + np.arange(n_sources)
    presynaptic[new] = np.arange(n_neurons, n_neurons + n_sources)
    return Rows(start, presynaptic, weights)


class FeedPath:
    """The spikes of a feed-forward population in one trial: any stretch of them, in any order, to the bit.

    Every neuron draws from a stream of its own for each trial, so that its spikes depend on nothing else.

    Attributes
    ----------
    step
        Where in the trial a simulation stands, counted from its start.
    target_set
        Whose rates they are.
    """

    KEY: ClassVar[tuple[str, ...]] = ("purpose", "trial", "target_set", "silent")
    """Names of the numbers that say which path it is, in the order of `Simulation.begin_feed`."""

    def __init__(
        self,
        population: FeedForwardPopulation,
        n_neurons: int,
        key: tuple[int, int],
        purpose: str,
        trial: int,
        target_set: int,
        silent: int,
        *,
        step: int = 0,
    ) -> None:
        self.purpose, self.trial, self.target_set, self.silent, self.step = purpose, trial, target_set, silent, step
        chance = population.chance[target_set]
        steps, neurons = [], []
        for neuron, row in enumerate(chance):
            found = np.flatnonzero(stream(*key, purpose, neuron, trial).random(len(row)) < row)
            steps.append(found)
            source = n_neurons + population.first_source(target_set) + neuron
            neurons.append(np.full(len(found), source, dtype=np.int32))
        when, who = np.concatenate(steps), np.concatenate(neurons)
        order = np.argsort(when, kind="stable")  # neurons of a step stay ascending
        self._when, self._who = when[order] + silent, who[order]

    def numbers(self) -> dict[str, Any]:
        """Which path it is and where it stands, as plain data."""
        return {name: getattr(self, name) for name in (*self.KEY, "step")}

    def spikes(self, first: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of ``n_steps`` steps from step ``first`` of the trial on.

        Returns the bounds of every step's spikes (n_steps + 1,) and the sources that spike, ascending in each step.
        """
        bounds = np.searchsorted(self._when, np.arange(first, first + n_steps + 1))
        return bounds - bounds[0], self._who[bounds[0] : bounds[-1]]
