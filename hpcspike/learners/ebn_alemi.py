"""Balanced networks that learn slow weights from nonlinear units, by an error current.

Alemi, Machens, Deneve & Slotine 2018, "Learning nonlinear dynamics in efficient, balanced spiking networks using local
plasticity rules", AAAI 32 (arXiv 1705.08026). The rule follows its abstract and programs that cite it; lengths of
decoding vectors, steps and numbers of passes (`hpcspike.spec.learners`) are chosen here.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from hpcspike.learners.ebn import BASIS, DECODER, OFFSET, USUAL_RATE_HZ, EbnLearner
from hpcspike.model.random_streams import stream
from hpcspike.spec.learners import AlemiLearner as AlemiSettings


class AlemiLearner(EbnLearner):
    """Slow weights from nonlinear units, dW_s/dt = eta (D' e) Psi'; D, M, theta and the fast weights are given.

    Psi = r, or tanh(B x_hat + theta), that is M = B D: a basis of the decoded state.
    """

    for_free: ClassVar[tuple[str, ...]] = (
        "error current from the teacher while learning", "input weights and decoder", "fast weights",
        "readouts instead of drives",
    )  # fmt: skip

    def __init__(self, settings: Any = None) -> None:
        super().__init__(AlemiSettings.model_validate(settings or {"kind": "ebn_alemi"}))

    def _build_weights(self, n: int) -> None:
        settings = self.settings
        scale = settings.decoder_scale or settings.decay_per_s * math.sqrt(self.n_states) / (n * USUAL_RATE_HZ)
        square = scale**2 * self.n_states
        mu, nu = settings.cost * square, settings.linear_cost * square
        self.F = scale * self._normal(DECODER, (n, self.n_states))
        if settings.decoder == "equal":
            self.F *= scale * math.sqrt(self.n_states) / np.sqrt((self.F**2).sum(axis=1, keepdims=True))
        self.threshold = ((self.F**2).sum(axis=1) + mu + nu) / 2.0
        self.W = -(self.F @ self.F.T + mu * np.eye(n))
        self.leak_per_s = settings.leak_per_s
        self.basis, self.basis_offset = np.zeros((0, self.n_states)), np.zeros(0)
        if settings.basis == "tanh":
            self.basis = settings.basis_scale * self._normal(BASIS, (n, self.n_states))
            self.basis_offset = stream(*self.key, "learner_weights", OFFSET).uniform(-1.0, 1.0, n)

    def advance(self, number: int) -> dict[str, float]:
        """One trial with error current and slow rule."""
        return self._slow_pass(number, fraction=number / max(self.settings.passes - 1, 1))

    def n_trained(self) -> int:
        """All slow weights."""
        return self.n_neurons**2
