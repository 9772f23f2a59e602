"""External noise that is new in every trial and every training loop: any stretch of it, in any order, to the bit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from hpcspike.model.neurons import faster, step_size
from hpcspike.model.normal_kernels import draw_normals, own_streams
from hpcspike.model.random_streams import go_to, stream
from hpcspike.spec.neurons import Neuron
from hpcspike.spec.trial import TrialNoise
from hpcspike.threads import at_once

BLOCK_STEPS = 500
"""Steps that are drawn from one random stream; part of what the numbers are, so that it is never changed."""

NOISE_OF = {
    "test_phase": "test_noise",
    "training_test_phase": "training_test_noise",
    "recall_phase": "recall_noise",
    "taught_phase": "taught_noise",
}
"""Purpose of the phases that a test trial starts from -> purpose of its noise."""


class NoisePath:
    """The noise of some neurons in one trial, Ornstein-Uhlenbeck from its stationary distribution, or white.

    It comes as external input: the noise itself, or where it is the voltage's, the input that moves v in a step by as
    much as the noise changes, from 0 before the trial.

    Every neuron draws from streams of its own; what neurons have in a step depends on nothing else. Where steps follow
    from each other or from blocks of draws (`TrialNoise.in_blocks`), blocks of steps are made in order, the last two
    are kept, and an earlier step begins anew; elsewhere any step is drawn alone, on ``threads`` threads.

    Attributes
    ----------
    step
        Where in the trial a simulation stands, counted from its start.
    """

    def __init__(
        self,
        noise: TrialNoise,
        neuron: Neuron,
        neurons: range,
        key: tuple[int, int],
        purpose: str,
        trial: int,
        *,
        step: int = 0,
        threads: int = 1,
    ) -> None:
        self.purpose, self.trial, self.step = purpose, trial, step
        self._noise, self._neurons, self._key = noise, neurons, key
        self._decay = math.exp(-neuron.step_ms / noise.tau_corr_ms) if noise.tau_corr_ms else 0.0
        factors = noise.neuron_factors
        own = 1.0 if factors is None else np.array(factors[neurons.start : neurons.stop], dtype=np.float64)
        self._size = np.full(len(neurons), noise.standard_deviation) * own
        # dv = I dt in the unit of time of the model
        self._per_voltage = 1.0 / (step_size(neuron) * faster(neuron, neurons))
        self._last = np.zeros(len(neurons))
        self._blocks: dict[int, np.ndarray] = {}
        self._carried = np.zeros((len(neurons), 1))
        self._threads = threads
        self._streams = np.empty((2, len(neurons)), dtype=np.uint64)
        if noise.generator == "splitmix":
            keys = stream(*key, purpose, trial).integers(2**64, size=2, dtype=np.uint64)
            own_streams(keys, neurons.start, *self._streams)

    def numbers(self) -> dict[str, Any]:
        """Which path it is and where it stands, as plain data."""
        return {"purpose": self.purpose, "trial": self.trial, "step": self.step}

    def rows(self, first: int, n_steps: int) -> np.ndarray:
        """Noise of ``n_steps`` steps from step ``first`` of the trial on, (n_steps, n)."""
        if not self._noise.in_blocks:
            ahead = int(first > 0 and self._noise.where == "voltage")
            found = self._normals(first - ahead, n_steps + ahead, self._size)
            return self._as_input(found[ahead:], found[0] if ahead else np.zeros(len(self._neurons)))
        found = np.empty((n_steps, len(self._neurons)))
        done = 0
        while done < n_steps:
            number, offset = divmod(first + done, BLOCK_STEPS)
            part = self._block(number)[offset : offset + n_steps - done]
            found[done : done + len(part)] = part
            done += len(part)
        return found

    def _block(self, number: int) -> np.ndarray:
        if self._blocks and number < min(self._blocks):
            self._blocks.clear()
        while number not in self._blocks:
            following = max(self._blocks, default=-1) + 1
            self._blocks[following] = self._made(following)
            self._blocks.pop(following - 2, None)
        return self._blocks[number]

    def _made(self, number: int) -> np.ndarray:
        from scipy.signal import lfilter

        n, a = len(self._neurons), self._decay
        draws = self._block_of_normals(number)
        if number == 0:
            self._carried = np.zeros((n, 1))
        if a and n:  # white noise is what was drawn; there may be more ranks than neurons
            draws[:, int(number == 0) :] *= math.sqrt(1.0 - a * a)
            draws, self._carried = lfilter([1.0], [1.0, -a], draws, axis=1, zi=self._carried)
        found = np.ascontiguousarray(self._size * draws.T)
        before, self._last = np.zeros(n) if number == 0 else self._last, found[-1].copy()
        return self._as_input(found, before)

    def _block_of_normals(self, number: int) -> np.ndarray:
        """The standard normal numbers (n, BLOCK_STEPS) that a block is made of."""
        if self._noise.generator == "splitmix":
            ones = np.ones(len(self._neurons))
            return np.ascontiguousarray(self._normals(number * BLOCK_STEPS, BLOCK_STEPS, ones).T)
        draws, rng = np.empty((len(self._neurons), BLOCK_STEPS)), stream(*self._key, self.purpose)
        for row, neuron in enumerate(self._neurons):
            go_to(rng, neuron, self.trial, number).standard_normal(out=draws[row])
        return draws

    def _normals(self, first: int, n_steps: int, size: np.ndarray) -> np.ndarray:
        """Normal numbers of the s.d. size (n,) of some steps, (n_steps, n)."""
        found = np.empty((n_steps, len(size)))
        ends = np.linspace(0, n_steps, self._threads + 1).astype(int).tolist()
        parts = [(first + low, found[low:high]) for low, high in itertools.pairwise(ends)]
        at_once(draw_normals, [(*self._streams, size, *part) for part in parts])
        return found

    def _as_input(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Input that stands for the noise (steps, n) of some steps, after ``before`` (n,) in the step before them."""
        if self._noise.where == "input":
            return values
        return np.diff(values, axis=0, prepend=before[None]) * self._per_voltage
