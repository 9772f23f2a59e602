"""Learning to learn: functions of random small networks, to be found out from examples within one trial."""

from __future__ import annotations

import numpy as np

from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Phase, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

N_INPUTS = 3
"""Two numbers in [-1, 1], and the value that was right in the example before (0 in the first)."""


def learn_functions(
    *, seed: int, replicate: int = 0, n_examples: int = 100, example_ms: int = 10, n_hidden: int = 10
) -> Task:
    """In every trial another function f(x_1, x_2), of which examples are shown one after another.

    f is a random network: sum_k a_k tanh(w_k . x + b_k) / sqrt(n_hidden), all of a, w and b Gaussian. An example lasts
    ``example_ms`` and shows x, uniform in [-1, 1], and the value of f in the example before; the value of f at x is
    wanted in its last half.
    """

    def sample(phase: Phase, index: int) -> Trial:
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        w, b, a = rng.standard_normal((n_hidden, 2)), rng.standard_normal(n_hidden), rng.standard_normal(n_hidden)
        x = rng.uniform(-1.0, 1.0, (n_examples, 2))
        value = np.tanh(x @ w.T + b) @ a / np.sqrt(n_hidden)
        shown = np.column_stack([x, np.concatenate([[0.0], value[:-1]])])
        scored = np.tile(np.arange(example_ms) >= example_ms // 2, n_examples)
        given = np.repeat(shown, example_ms, axis=0)
        target = np.repeat(value, example_ms)[:, None]
        return Trial(Stimulus(index, np.zeros((0, N_INPUTS)), given, phase), target, scored)

    return Task(
        name="functions", kind="readout", score="nmse", grid_ms=1.0, n_samples=n_examples * example_ms,
        n_cue_samples=0, n_outputs=1, n_inputs=N_INPUTS, sample=sample,
    )  # fmt: skip


N_PARTS = 10
"""Parts of a trial over which errors are summed."""


def episode_errors(trials: list[Trial], answers: list[np.ndarray]) -> np.ndarray:
    """(N_PARTS,) squared error over the power of the target, over the scored samples of each part of all trials."""
    power, missed = np.zeros(N_PARTS), np.zeros(N_PARTS)
    for trial, answer in zip(trials, answers, strict=True):
        part = np.arange(len(trial.target)) * N_PARTS // len(trial.target)
        used = trial.scored.astype(np.float64)
        power += np.bincount(part, used * (trial.target**2).sum(axis=1), N_PARTS)
        missed += np.bincount(part, used * ((answer - trial.target) ** 2).sum(axis=1), N_PARTS)
    return missed / power


def regression(trial: Trial, *, ridge: float = 1.0) -> np.ndarray:
    """(samples, 1) what linear regression of f on (1, x_1, x_2) answers, by the examples before each, 0 to the first.

    ridge: penalty lambda of the squared coefficients. Examples are told apart by the scored samples that end them.
    """
    ends = [end for _, end in trial.answers()]
    length = len(trial.target) // len(ends)
    x = np.column_stack([np.ones(len(ends)), trial.stimulus.input[::length, :2]])
    value = trial.target[::length, 0]
    moments, sums = ridge * np.eye(3), np.zeros(3)
    found = np.zeros(len(ends))
    for k in range(len(ends)):
        found[k] = x[k] @ np.linalg.solve(moments, sums)
        moments += np.outer(x[k], x[k])
        sums += value[k] * x[k]
    return np.repeat(found, length)[:, None]
