"""Efficient balanced networks that learn to run a dynamical system by local rules: what their learners share.

A network decodes a state x_hat = F' r and fires where that makes e = x - x_hat smaller, V = F e - mu r; its slow
weights learn from the error current F e. Targets that are not states of a system are embedded in one
(`hpcspike.learners.embedding`).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.ebn_kernels import run_ebn
from hpcspike.learners.embedding import Embedding, fourier_embedding
from hpcspike.learners.interface import Learner, Rollout, refuse_absent_spike, refuse_targets
from hpcspike.learners.tasks import PHASES, score
from hpcspike.learners.trials import Kind, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

DECODER, FAST, BASIS, OFFSET = range(4)
"""What is drawn from the stream "learner_weights": its index."""

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
        (N,) T.
    basis, basis_offset
        (N, J) B and (N,) theta of Psi = tanh(B x_hat + theta); (0, J) and (0,) if Psi = r.
    leak_per_s
        Leak of V (1/s).
    fast
        beta and mu of the fast rule.
    embedding
        How targets are expressed; None for tasks that are systems.
    step_ms
        Integration step (ms).
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
    step_ms: float

    # ---- building ----------------------------------------------------------------------------------------------------

    def build(self, task: Task, *, n_neurons: int, seed: int, replicate: int = 0) -> Self:
        """See `Learner.build`; J is the task's, or twice the number of rotations."""
        self.refuse_unsupported(task)
        self.step_ms = self.settings.step(n_neurons, task.grid_ms)
        steps = task.grid_ms / self.step_ms
        if abs(steps - round(steps)) > 1e-9 or steps < 1:
            raise SpecError(
                f"learner.step_ms = {self.step_ms:g} ms must divide the sampling interval of the task, "
                f"{task.grid_ms:g} ms"
            )
        self.task, self.n_neurons, self.key = task, n_neurons, (seed, replicate)
        self._every, self._dt = round(steps), self.step_ms / 1000.0
        self.embedding = None
        if task.kind == "system":
            if task.teacher is None:
                raise SpecError(f"task {task.name} has no teacher: this learner needs dx/dt = f(x) + c")
            if task.n_cue_samples:
                raise SpecError(f"task {task.name} has a cue: a driven system starts from x = 0; give it none")
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

    def commands(self, stimulus: Stimulus) -> np.ndarray:
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
        volt, trace = self._start(phase, index), np.zeros(n)
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
        phase, command = PHASES[stimulus.phase], self.commands(stimulus)
        deleted = -1
        if delete_spike is not None:
            before = self._alone(command, phase=phase, index=stimulus.index, kill=kill, noise=noise)[2]
            n_cue_spikes = int(np.count_nonzero(before < cue))
            refuse_absent_spike(delete_spike, len(before) - n_cue_spikes)
            deleted = n_cue_spikes + delete_spike
        record, _, step, neuron = self._alone(
            command, phase=phase, index=stimulus.index, kill=kill, noise=noise, deleted=deleted
        )
        sampled = record[cue:][self._every - 1 :: self._every]
        time_ms = (step.astype(np.int64) + 1 - cue) * self.step_ms
        prediction, start = sampled @ self.readout.T + self.offset, self._start(phase, stimulus.index)
        return Rollout(prediction, time_ms, neuron.copy(), self.n_neurons, start=start)

    def _start(self, phase: int, index: int) -> np.ndarray:
        """Voltages (N,) at the start of a trial."""
        rng = stream(*self.key, "learner_start", phase, index)
        return np.asarray(self.threshold * rng.uniform(-0.5, 0.5, self.n_neurons))

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
            record, fed, _, _ = self._alone(self.commands(stimulus), phase=PHASES["test"], index=index)
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
        command, wanted = self.commands(trial.stimulus), self._wanted(trial)
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
