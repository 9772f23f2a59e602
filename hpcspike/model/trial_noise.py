"""External noise that is new in every trial and every training loop: any stretch of it, in any order, to the bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hpcspike.model.neurons import faster, step_size
from hpcspike.model.random_streams import go_to, stream
from hpcspike.spec.neurons import Neuron
from hpcspike.spec.trial import TrialNoise

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

    Every neuron draws from a stream of its own for each block of steps; what neurons have in a step depends on nothing
    else. Blocks are made in order, the last two are kept, and an earlier step begins anew.

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
    ) -> None:
        self.purpose, self.trial, self.step = purpose, trial, step
        self._noise, self._neurons, self._key = noise, neurons, key
        self._decay = math.exp(-neuron.step_ms / noise.tau_corr_ms) if noise.tau_corr_ms else 0.0
        factors = noise.neuron_factors
        own = 1.0 if factors is None else np.array(factors[neurons.start : neurons.stop], dtype=np.float64)
        self._size = noise.standard_deviation * own
        # dv = I dt in the unit of time of the model
        self._per_voltage = 1.0 / (step_size(neuron) * faster(neuron, neurons))
        self._last = np.zeros(len(neurons))
        self._blocks: dict[int, np.ndarray] = {}
        self._carried = np.zeros((len(neurons), 1))

    def numbers(self) -> dict[str, Any]:
        """Which path it is and where it stands, as plain data."""
        return {"purpose": self.purpose, "trial": self.trial, "step": self.step}

    def rows(self, first: int, n_steps: int) -> np.ndarray:
        """Noise of ``n_steps`` steps from step ``first`` of the trial on, (n_steps, n)."""
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

        neurons, a = self._neurons, self._decay
        draws = np.empty((len(neurons), BLOCK_STEPS))
        rng = stream(*self._key, self.purpose)
        for row, neuron in enumerate(neurons):
            go_to(rng, neuron, self.trial, number).standard_normal(out=draws[row])
        if number == 0:
            self._carried = np.zeros((len(neurons), 1))
        if a and len(neurons):  # white noise is what was drawn; there may be more ranks than neurons
            draws[:, int(number == 0) :] *= math.sqrt(1.0 - a * a)
            draws, self._carried = lfilter([1.0], [1.0, -a], draws, axis=1, zi=self._carried)
        found = np.ascontiguousarray(self._size * draws.T)
        if self._noise.where == "input":
            return found
        before = np.zeros(len(neurons)) if number == 0 else self._last
        self._last = found[-1].copy()
        return np.diff(found, axis=0, prepend=before[None]) * self._per_voltage
