"""Efficient balanced networks that learn to run a dynamical system by local rules.

Bourdoukan & Deneve (NIPS 2015, pp. 982-990) learn fast and slow weights; Alemi, Machens, Deneve & Slotine (AAAI 2018,
arXiv 1705.08026) learn slow weights from nonlinear units. What is not in the part of these papers that could be read,
or was chosen here, is named in the docs. Targets that are not states of a system are embedded in one
(`hpcspike.learners.embedding`).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.ebn_kernels import run_ebn
from hpcspike.learners.embedding import Embedding, fourier_embedding
from hpcspike.learners.interface import Kind, Learner, Rollout, Stimulus, Task, Trial, refuse_targets
from hpcspike.learners.tasks import PHASES, score, smooth_noise
from hpcspike.model.random_streams import stream
from hpcspike.spec.learners import AlemiLearner as AlemiSettings
from hpcspike.spec.learners import BourdoukanLearner as BourdoukanSettings

_F, _W, _BASIS, _OFFSET = range(4)  # indices of the stream "learner_weights"

USUAL_RATE_HZ = 20.0
"""Rate that the default lengths of decoding vectors aim at, for a state whose components are about 1."""


class EbnLearner(Learner):
    """What both rules share: the network, its trials, and how targets become states.

    Attributes
    ----------
    F
        (N, J) input weights and decoder, x_hat = F' r.
    W
        (N, N) fast weights, row k: what a spike of neuron k adds to all voltages.
    G
        (J, N) slow weights W_s = F G as the decoded state sees them.
    threshold
        (N,).
    embedding
        How targets are expressed; None for tasks that are systems.
    """

    supports: ClassVar[frozenset[Kind]] = frozenset({"drive", "readout", "system"})
    local: ClassVar[bool] = True
    online: ClassVar[bool] = True
    needs_error_current: ClassVar[bool] = True
    settings: Any

    task: Task
    embedding: Embedding | None
    F: np.ndarray
    W: np.ndarray
    G: np.ndarray
    threshold: np.ndarray
    basis: np.ndarray
    basis_offset: np.ndarray
    leak_per_s: float
    fast: tuple[float, float] = (0.0, 0.0)

    # ---- building ----------------------------------------------------------------------------------------------------

    def build(self, task: Task, *, n_neurons: int, seed: int, replicate: int = 0) -> Self:
        """See `Learner.build`; J is the task's, or twice the number of rotations."""
        self.refuse_unsupported(task)
        self._step_ms = self.settings.step(n_neurons, task.grid_ms)
        steps = task.grid_ms / self._step_ms
        if abs(steps - round(steps)) > 1e-9 or steps < 1:
            raise SpecError(
                f"learner.step_ms = {self._step_ms:g} ms must divide the sampling interval of the task, "
                f"{task.grid_ms:g} ms"
            )
        self.task, self.n_neurons, self.key = task, n_neurons, (seed, replicate)
        self._every, self._dt = round(steps), self._step_ms / 1000.0
        self.embedding = None
        if task.kind == "system":
            if task.teacher is None:
                raise SpecError(f"task {task.name} has no teacher: this learner needs dx/dt = f(x) + c")
            self.n_states, self.readout, self.offset = (
                task.teacher.n_states, task.teacher.readout, task.teacher.offset,
            )  # fmt: skip
        else:
            if task.n_trials != 1 or task.n_cue_samples == 0:
                raise SpecError(
                    f"task {task.name} cannot be embedded: this learner recalls one trajectory after a cue "
                    "(stimulus.duration_ms > 0)"
                )
            target = task.sample("train", 0).target
            self.embedding = fourier_embedding(target, grid_ms=task.grid_ms, bandwidth_hz=self.settings.bandwidth_hz)
            teacher = self.embedding.teacher
            self.n_states, self.readout, self.offset = teacher.n_states, teacher.readout, teacher.offset
        self._cached: tuple[np.ndarray, np.ndarray] | None = None
        self._build_weights(n_neurons)
        self.G = np.zeros((self.n_states, n_neurons))
        self._size = float((self.F**2).sum() / n_neurons)  # mean square length of a row of F
        return self

    def _build_weights(self, n: int) -> None:
        raise NotImplementedError

    def _normal(self, purpose: int, shape: tuple[int, ...]) -> np.ndarray:
        return stream(*self.key, "learner_weights", purpose).standard_normal(shape)

    # ---- running -----------------------------------------------------------------------------------------------------

    def _inputs(self, stimulus: Stimulus) -> np.ndarray:
        """c on the network's own steps, cue included, (steps, J)."""
        if self.embedding is None:
            return np.repeat(np.concatenate([stimulus.cue, stimulus.input]), self._every, axis=0)
        return self._embedded()[0]

    def _embedded(self) -> tuple[np.ndarray, np.ndarray]:
        if self._cached is None:
            assert self.embedding is not None
            cue, window = self.task.n_cue_samples * self._every, self.task.n_samples * self._every
            c, x = self.embedding.cue(self._dt * np.arange(cue), cue * self._dt)
            ahead = self.embedding.path(self._dt * np.arange(window))
            self._cached = np.concatenate([c, np.zeros_like(ahead)]), np.concatenate([x, ahead])
        return self._cached

    def _wanted(self, trial: Trial) -> np.ndarray:
        """x on the network's own steps, cue included, (steps, J): for training only."""
        if self.embedding is not None:
            return self._embedded()[1]
        samples = np.concatenate([np.zeros((1, self.n_states)), trial.target])
        at = np.arange(len(trial.target) * self._every) / self._every
        grid = np.arange(len(samples))
        return np.stack([np.interp(at, grid, samples[:, j]) for j in range(self.n_states)], axis=1)

    def _run(
        self,
        command: np.ndarray,
        *,
        phase: int,
        index: int,
        wanted: np.ndarray | None = None,
        feedback: float = 0.0,
        fast_rate: float = 0.0,
        slow_rate: float = 0.0,
        settle: float = 0.0,
        kill: np.ndarray | None = None,
        noise: float = 0.0,
        deleted: int = -1,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """x_hat (steps, J), G Psi (steps, J), and steps and neurons of the spikes."""
        steps, n = len(command), self.n_neurons
        start = stream(*self.key, "learner_start", phase, index)
        volt, trace = self.threshold * start.uniform(-0.5, 0.5, n), np.zeros(n)
        wiggle = np.zeros((0, n))
        level = math.hypot(noise, self.settings.voltage_noise) * float(self.threshold.mean()) * math.sqrt(self._dt)
        if level > 0:
            wiggle = level * stream(*self.key, "learner_noise", phase, index).standard_normal((steps, n))
        rate = np.full(steps, feedback)
        teacher = np.zeros((0, self.n_states)) if wanted is None else np.ascontiguousarray(wanted)
        settings = self.settings
        numbers = np.array([self._dt, self.leak_per_s, settings.decay_per_s, fast_rate, *self.fast, slow_rate, settle])
        record, fed = np.empty((steps, self.n_states)), np.empty((steps, self.n_states))
        spike_step, spike_neuron = np.empty(steps, dtype=np.int32), np.empty(steps, dtype=np.int32)
        alive = np.ones(n, dtype=bool) if kill is None else ~np.asarray(kill, dtype=bool)
        estimate = np.zeros(self.n_states)
        count = run_ebn(
            volt, trace, estimate, self.F, self.W, self.G, self.threshold, alive, self.basis, self.basis_offset,
            np.ascontiguousarray(command), teacher, wiggle, rate, numbers, deleted, record, fed, spike_step,
            spike_neuron,
        )  # fmt: skip
        return record, fed, spike_step[:count], spike_neuron[:count]

    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None = None, noise: float = 0.0, delete_spike: int | None = None
    ) -> Rollout:
        """See `Learner.rollout`: K = 0, eta = 0, eps = 0, and no wanted state is in reach."""
        refuse_targets(stimulus)
        cue = len(stimulus.cue) * self._every
        phase, command = PHASES[stimulus.phase], self._inputs(stimulus)
        deleted = -1
        if delete_spike is not None:
            before = self._alone(command, phase=phase, index=stimulus.index, kill=kill, noise=noise)[2]
            deleted = int(np.count_nonzero(before < cue)) + delete_spike
        record, _, step, neuron = self._alone(
            command, phase=phase, index=stimulus.index, kill=kill, noise=noise, deleted=deleted
        )
        sampled = record[cue:][self._every - 1 :: self._every]
        time_ms = (step.astype(np.int64) + 1 - cue) * self._step_ms
        return Rollout(sampled @ self.readout.T + self.offset, time_ms, neuron.copy(), self.n_neurons)

    def _alone(self, command: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        help_given = {"wanted", "feedback", "fast_rate", "slow_rate"} & options.keys()
        assert not help_given, f"a network that runs alone was given {help_given}"
        fast, slow = self.W.copy(), self.G.copy()
        result = self._run(command, **options)
        assert np.array_equal(fast, self.W), "fast weights changed in a test"
        assert np.array_equal(slow, self.G), "slow weights changed in a test"
        return result

    def decoded_matrix(self, *, trials: int = 5) -> np.ndarray:
        """A (J, J) per second of dx_hat/dt = A x_hat that the network runs, by least squares over test trials."""
        estimates, slows = [], []
        for index in range(trials):
            stimulus = self.task.sample("test", index).stimulus
            record, fed, _, _ = self._alone(self._inputs(stimulus), phase=PHASES["test"], index=index)
            estimates.append(record[:-1])
            slows.append(fed[1:])
        x, y = np.concatenate(estimates), np.concatenate(slows)
        return np.linalg.lstsq(x, y, rcond=None)[0].T - self.settings.decay_per_s * np.eye(self.n_states)

    # ---- learning ----------------------------------------------------------------------------------------------------

    def _slow_pass(self, number: int, *, fraction: float) -> dict[str, float]:
        """One trial with error current and slow rule; fraction: how far the feedback has gone to its last value."""
        settings, task = self.settings, self.task
        trial = task.sample("train", number)
        feedback = settings.feedback_per_s + fraction * (settings.feedback_last_per_s - settings.feedback_per_s)
        command, wanted = self._inputs(trial.stimulus), self._wanted(trial)
        record, _, step, _ = self._run(
            command, phase=PHASES["train"], index=number, wanted=wanted, feedback=feedback,
            slow_rate=self._slow_step(), settle=settings.settle_ms / 1000.0,
        )  # fmt: skip
        cue = len(trial.stimulus.cue) * self._every
        prediction = record[cue:][self._every - 1 :: self._every] @ self.readout.T + self.offset
        seconds = len(command) * self._dt
        return {
            "score_helped": score(task, trial, prediction),
            "rate_hz": len(step) / self.n_neurons / seconds,
            "simulated_seconds": seconds,
        }

    def _slow_step(self) -> float:
        """eta of dG/dt = eta e Psi' such that eta_0 is the step seen by the decoded state."""
        scale = self.n_neurons if len(self.basis) else self.n_states / (self.n_neurons * self._size)
        return float(self.settings.slow_rate / scale)

    def diverged(self) -> bool:
        """Whether weights have left what can be computed."""
        return not (np.isfinite(self.G).all() and np.isfinite(self.W).all())

    def weights(self) -> dict[str, np.ndarray]:
        """fast (N, N) and slow (N, N) recurrent weights [post, pre], input and decoder (N, J), readout (d, J)."""
        return {
            "fast": self.W.T.copy(), "slow": self.F @ self.G, "input": self.F.copy(), "readout": self.readout.copy(),
        }  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """Fast and slow weights: every trial starts anew."""
        return {"fast": self.W, "slow": self.G}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        self.W, self.G = state["fast"].copy(), state["slow"].copy()


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
        direction = self._normal(_F, (n, self.n_states))
        norm = settings.weight_norm or settings.decay_per_s * self.n_states / (n * USUAL_RATE_HZ)
        self.cost = settings.cost * norm**2
        self.F = norm * direction / np.sqrt((direction**2).sum(axis=1, keepdims=True))
        self.threshold = ((self.F**2).sum(axis=1) + self.cost) / 2.0
        self.basis, self.basis_offset = np.zeros((0, self.n_states)), np.zeros(0)
        self.leak_per_s, self.fast = settings.decay_per_s, (settings.fast_scale, self.cost)
        random = stream(*self.key, "learner_weights", _W).uniform(0.0, 1.0, (n, n))
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
        steps = round(settings.fast_pass_ms / self._step_ms)
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
        self.F = scale * self._normal(_F, (n, self.n_states))
        if settings.decoder == "equal":
            self.F *= scale * math.sqrt(self.n_states) / np.sqrt((self.F**2).sum(axis=1, keepdims=True))
        self.threshold = ((self.F**2).sum(axis=1) + mu + nu) / 2.0
        self.W = -(self.F @ self.F.T + mu * np.eye(n))
        self.leak_per_s = settings.leak_per_s
        self.basis, self.basis_offset = np.zeros((0, self.n_states)), np.zeros(0)
        if settings.basis == "tanh":
            self.basis = settings.basis_scale * self._normal(_BASIS, (n, self.n_states))
            self.basis_offset = stream(*self.key, "learner_weights", _OFFSET).uniform(-1.0, 1.0, n)

    def advance(self, number: int) -> dict[str, float]:
        """One trial with error current and slow rule."""
        return self._slow_pass(number, fraction=number / max(self.settings.passes - 1, 1))

    def n_trained(self) -> int:
        """All slow weights."""
        return self.n_neurons**2
