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
