"""Balanced networks that learn fast weights from voltages, then slow ones from an error current.

Bourdoukan & Deneve 2015, "Enforcing balance allows local supervised learning in spiking recurrent networks", Neural
Information Processing Systems 28. The rules follow its abstract and texts that cite it; lengths of decoding vectors,
steps and numbers of passes (`hpcspike.spec.learners`) are chosen here.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hpcspike.learners.ebn import DECODER, FAST, USUAL_RATE_HZ, EbnLearner
from hpcspike.learners.tasks import PHASES, smooth_noise
from hpcspike.model.random_streams import stream
from hpcspike.spec.learners import BourdoukanLearner as BourdoukanSettings


class BourdoukanLearner(EbnLearner):
    """Fast weights from the voltages at each spike, then slow weights from the error current; Psi = r.

    At a spike of k: dW_f[n, k] = -eps (beta (V_n + mu r_n) + W_f[n, k] + mu delta_nk), V before the spike's effect.
    Afterwards dW_s/dt = eta (F e) r'. Best weights: W_f = -(F F' + mu I), W_s = F (A + lambda I) F'.
    """

    for_free: ClassVar[tuple[str, ...]] = (
        "error current from the teacher while learning", "input weights and decoder", "readouts instead of drives",
    )  # fmt: skip

    def __init__(self, settings: Any = None) -> None:
        super().__init__(BourdoukanSettings.model_validate(settings or {"kind": "ebn_bourdoukan"}))

    def _build_weights(self, n: int) -> None:
        settings = self.settings
        direction = self._normal(DECODER, (n, self.n_states))
        norm = settings.weight_norm or settings.decay_per_s * self.n_states / (n * USUAL_RATE_HZ)
        self.cost = settings.cost * norm**2
        self.F = norm * direction / np.sqrt((direction**2).sum(axis=1, keepdims=True))
        self.threshold = ((self.F**2).sum(axis=1) + self.cost) / 2.0
        self.basis, self.basis_offset = np.zeros((0, self.n_states)), np.zeros(0)
        self.leak_per_s, self.fast = settings.decay_per_s, (settings.fast_scale, self.cost)
        random = stream(*self.key, "learner_weights", FAST).uniform(0.0, 1.0, (n, n))
        self.W = -(norm**2) * (0.2 * random + 0.5 * np.eye(n))

    @property
    def best_fast(self) -> np.ndarray:
        """W_f* (N, N)."""
        return -(self.F @ self.F.T + self.cost * np.eye(self.n_neurons))

    def fast_distance(self) -> float:
        """Frobenius norm of W_f - W_f* over that of W_f*."""
        return float(np.linalg.norm(self.W - self.best_fast) / np.linalg.norm(self.best_fast))

    def follow(self, *, phase: int, index: int, fast_rate: float = 0.0) -> dict[str, float]:
        """The network without slow weights follows x of dx/dt = -lambda x + c for random c; NMSE and rate."""
        settings = self.settings
        steps = round(settings.fast_pass_ms / self.step_ms)
        rng = stream(*self.key, "task", 10 + phase, index)
        x = settings.fast_input * smooth_noise(rng, steps + 1, self._dt, self.n_states, tau_s=0.02)
        command = np.diff(x, axis=0) / self._dt + settings.decay_per_s * x[:-1]
        slow, self.G = self.G, np.zeros_like(self.G)
        record, _, step, _ = self._run(command, phase=10 + phase, index=index, fast_rate=fast_rate)
        self.G = slow
        seconds = steps * self._dt
        error = float(((record - x[1:]) ** 2).sum() / (x[1:] ** 2).sum())
        return {
            "score_helped": error, "rate_hz": len(step) / self.n_neurons / seconds, "simulated_seconds": seconds,
        }  # fmt: skip

    def advance(self, number: int) -> dict[str, float]:
        """A pass of the fast rule, or, when these are done, of the slow one."""
        settings = self.settings
        if number < settings.fast_passes:
            late = 2 * number >= settings.fast_passes
            rate = settings.fast_rate_last if late else settings.fast_rate
            row = self.follow(phase=PHASES["train"], index=number, fast_rate=rate)
            # how well noise is followed is not the task's score
            return {name: value for name, value in row.items() if name != "score_helped"}
        number -= settings.fast_passes
        return self._slow_pass(number, fraction=number / max(settings.passes - 1, 1))

    def passes(self) -> int:
        """Fast and slow ones."""
        return int(self.settings.fast_passes + self.settings.passes)

    def n_trained(self) -> int:
        """All fast and slow weights."""
        return 2 * self.n_neurons**2
