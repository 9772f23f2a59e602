"""Tasks that learners share: recall of trajectories, driven systems, and what damage does.

All samplers are keyed by seed, replicate, phase and trial number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.errors import SpecError
from hpcspike.learners.interface import Learner, Rollout
from hpcspike.learners.trials import Phase, Stimulus, Task, Teacher, Trial
from hpcspike.model.random_streams import stream
from hpcspike.model.targets import build_targets, ou_paths
from hpcspike.spec.experiment import Experiment, n_steps

PHASES: dict[Phase, int] = {"train": 0, "tune": 1, "test": 2, "repeat": 5}
"""Numbers by which phases enter the keys."""


# ---- judging ---------------------------------------------------------------------------------------------------------


def score(task: Task, trial: Trial, prediction: np.ndarray) -> float:
    """The task's score of a prediction (samples, d).

    correlation: Pearson, mean over components. nmse: squared error over the power of the target. error: share of
    stretches of scored samples in which the largest mean component is not the target's. goals: how many are reached per
    second.
    """
    target, use = trial.target, trial.scored
    if task.arena is not None:
        return float(task.arena.reached(prediction, target).sum()) * 1000.0 / task.duration_ms
    if task.score == "error":
        return _error_share(trial, prediction)
    wanted, got = target[use], prediction[use]
    if task.score == "nmse":
        return float(((got - wanted) ** 2).sum() / (wanted**2).sum())
    return float(pearson(got.T, wanted.T).mean())


def _error_share(trial: Trial, prediction: np.ndarray) -> float:
    wrong = [
        trial.target[first:end].mean(axis=0).argmax() != prediction[first:end].mean(axis=0).argmax()
        for first, end in trial.answers()
    ]
    return float(np.mean(wrong)) if wrong else math.nan


class Tested(NamedTuple):
    """What tests gave: score (trials,), rate_hz (trials,), and the rollouts."""

    score: np.ndarray
    rate_hz: np.ndarray
    rollouts: list[Rollout]


def assess(
    learner: Learner,
    task: Task,
    *,
    trials: int = 10,
    phase: Phase = "test",
    kill: np.ndarray | None = None,
    noise: float = 0.0,
) -> Tested:
    """Run a trained learner on its own in new trials and judge it."""
    rollouts, scores, rates = [], [], []
    for index in range(trials):
        trial = task.sample(phase, index)
        rollout = learner.rollout(trial.stimulus, kill=kill, noise=noise)
        rollouts.append(rollout)
        scores.append(score(task, trial, rollout.prediction))
        rates.append(rollout.rate_hz(task.duration_ms))
    return Tested(np.array(scores), np.array(rates), rollouts)


# ---- T1: recall of trajectories --------------------------------------------------------------------------------------


def recall_task(experiment: Experiment, *, kind: str = "drive", n_readouts: int | None = None) -> Task:
    """T1: after a short cue the targets of an experiment are to be produced without any input.

    Parameters
    ----------
    experiment
        Its targets (one set), stimulus and size are used.
    kind
        "drive" (or "rate"): every neuron's own target. "readout": the first ``n_readouts`` of them.
    n_readouts
        d; default: N.
    """
    n = experiment.network.n_neurons
    family = experiment.targets
    if n is None or family.duration_ms is None:
        raise SpecError(f"targets.kind = {family.kind} cannot be a recall task: give targets that are drawn (kind: ou)")
    if family.n_sets != 1:
        raise SpecError(f"targets.n_sets = {family.n_sets}: this learner recalls one target set; choose n_sets: 1")
    if kind not in ("drive", "rate", "readout"):
        raise SpecError(f"recall task of kind {kind!r}: must be drive, rate or readout")
    count = n if n_readouts is None or kind != "readout" else n_readouts
    if count > n:
        raise SpecError(f"learner.n_readouts = {count}: must be at most network.n_neurons = {n}")
    target = build_targets(experiment, range(count), n_neurons=n, duration_ms=family.duration_ms)[0].T.copy()
    cue = n_steps(experiment.stimulus.duration_ms, family.grid_ms)
    everything = np.ones(len(target), dtype=bool)

    def sample(phase: Phase, index: int) -> Trial:
        return Trial(Stimulus(index, np.ones((cue, 1)), np.zeros((len(target), 1)), phase), target, everything)

    def background(size: int) -> np.ndarray:
        deviation = getattr(family, "standard_deviation", float(target.std()))
        paths = ou_paths(
            getattr(family, "tau_corr_ms", 100.0), deviation, family.grid_ms, len(target), range(count, size),
            "auxiliary_targets", 0, (experiment.seed, experiment.replicate),
        )  # fmt: skip
        return paths.T

    return Task(
        name="recall", kind=kind, score="correlation", grid_ms=family.grid_ms, n_samples=len(target),  # type: ignore[arg-type]
        n_cue_samples=cue, n_outputs=count, n_inputs=1, sample=sample, n_trials=1,
        background=background if count < n else None,
    )  # fmt: skip


# ---- T2: driven systems ----------------------------------------------------------------------------------------------

Command = Callable[[np.random.Generator, int, float], np.ndarray]
"""(generator, samples, grid in s) -> c (samples, J) per second."""


def driven_task(
    name: str,
    *,
    velocity: Callable[[np.ndarray], np.ndarray],
    command: Command,
    n_states: int,
    duration_ms: float,
    grid_ms: float = 1.0,
    matrix: np.ndarray | None = None,
    bound: tuple[float, float] = (0.0, math.inf),
    free_ms: float | None = None,
    seed: int = 1,
    replicate: int = 0,
) -> Task:
    """T2: the state of dx/dt = f(x) + c(t) from x = 0, for commands c that are new in every trial.

    Parameters
    ----------
    velocity
        f, (J,) -> (J,) per second.
    command
        Draws c.
    n_states, matrix
        J, and A where f is linear.
    duration_ms, grid_ms
        Length of a trial and its sampling interval, which is the step of integration too (Heun, c held over it).
    bound
        Trials in which the largest |x_i| is outside these are drawn again.
    free_ms
        Score only what comes so long after the end of the command, where the network has nothing but its own
        dynamics; default: everything.
    seed, replicate
        Key.
    """
    samples, h = n_steps(duration_ms, grid_ms), grid_ms / 1000.0

    def scored(c: np.ndarray) -> np.ndarray:
        if free_ms is None:
            return np.ones(samples, dtype=bool)
        last = int(np.flatnonzero(c.any(axis=1)).max(initial=0))
        return np.arange(samples) > last + n_steps(free_ms, grid_ms)

    def sample(phase: Phase, index: int) -> Trial:
        for attempt in range(1000):
            rng = stream(seed, replicate, "task", PHASES[phase], index, attempt)
            c = command(rng, samples, h)
            x = _heun(velocity, c, h)
            if bound[0] <= float(np.abs(x).max()) <= bound[1]:
                return Trial(Stimulus(index, np.zeros((0, n_states)), c, phase), x, scored(c))
        raise SpecError(f"task {name}: no command brings the largest |x_i| between {bound[0]:g} and {bound[1]:g}")

    teacher = Teacher(n_states, velocity, matrix, np.eye(n_states), np.zeros(n_states), np.ones(n_states))
    return Task(
        name=name, kind="system", score="nmse", grid_ms=grid_ms, n_samples=samples, n_cue_samples=0,
        n_outputs=n_states, n_inputs=n_states, sample=sample, teacher=teacher,
    )  # fmt: skip


def oscillator_task(
    matrix: np.ndarray | None = None, *, duration_ms: float = 2000.0, strength: float = 12.0, seed: int = 1,
    replicate: int = 0,
) -> Task:  # fmt: skip
    """A damped oscillator dx/dt = A x + c in the plane, driven by smooth noise in both components.

    matrix: A (2, 2) per second; default [-2 -12; 12 -2]. strength: s.d. of c per second.
    """
    a = np.array([[-2.0, -12.0], [12.0, -2.0]]) if matrix is None else np.asarray(matrix, dtype=np.float64)
    return driven_task(
        "oscillator", velocity=lambda x: a @ x, matrix=a, n_states=2, duration_ms=duration_ms, seed=seed,
        replicate=replicate, command=lambda rng, samples, h: strength * smooth_noise(rng, samples, h, 2, tau_s=0.05),
    )  # fmt: skip


def pushed_oscillator_task(
    *, duration_ms: float = 1500.0, free_ms: float | None = None, seed: int = 1, replicate: int = 0
) -> Task:
    """The damped oscillator dx/dt = 3 (-8 x_2 - x_1, x_1) + c, pushed in x_1 for 3 to 10 % of a trial, then free."""
    a = np.array([[-3.0, -24.0], [3.0, 0.0]])

    def command(rng: np.random.Generator, samples: int, h: float) -> np.ndarray:
        c = np.zeros((samples, 2))
        length = round(rng.uniform(0.03, 0.1) * samples)
        begin = int(rng.integers(0, samples // 10))
        c[:, 0] = 60.0 * smooth_noise(rng, samples, h, 1, tau_s=0.02)[:, 0]
        c[:begin] = c[begin + length :] = 0.0
        return c

    return driven_task(
        "pushed_oscillator", velocity=lambda x: a @ x, matrix=a, n_states=2, duration_ms=duration_ms, command=command,
        bound=(1.0, 4.0), free_ms=free_ms, seed=seed, replicate=replicate,
    )  # fmt: skip


def bistable_task(*, duration_ms: float = 10000.0, speed: float = 16.0, seed: int = 1, replicate: int = 0) -> Task:
    """dx/dt = speed x (1/2 - x)(1/2 + x) + c: two resting states, between which pulses of c choose."""

    def command(rng: np.random.Generator, samples: int, h: float) -> np.ndarray:
        c = np.zeros((samples, 1))
        begin = 0  # at once: the start x = 0 is where no network can stay
        while begin < samples:
            end = begin + round(rng.uniform(0.05, 0.06) / h)
            c[begin:end] = speed * rng.uniform(1.2, 1.4) * (1.0 if rng.random() < 0.5 else -1.0)
            begin = end + round(rng.uniform(2.0, 4.0) / h)
        return c

    return driven_task(
        "bistable", velocity=lambda x: speed * x * (0.5 - x) * (0.5 + x), n_states=1, duration_ms=duration_ms,
        command=command, bound=(0.0, 1.2), seed=seed, replicate=replicate,
    )  # fmt: skip


def pendulum_task(*, duration_ms: float = 3000.0, seed: int = 1, replicate: int = 0) -> Task:
    """A damped pendulum, angle'' = -25 sin(angle) - 2 angle' + torque, as (angle, angle' / 5), within 1.6 rad."""

    def velocity(x: np.ndarray) -> np.ndarray:
        return np.array([5.0 * x[1], -5.0 * math.sin(x[0]) - 2.0 * x[1]])

    def command(rng: np.random.Generator, samples: int, h: float) -> np.ndarray:
        c = np.zeros((samples, 2))
        c[:, 1] = 4.0 * smooth_noise(rng, samples, h, 1, tau_s=0.1)[:, 0]
        return c

    return driven_task(
        "pendulum", velocity=velocity, n_states=2, duration_ms=duration_ms, command=command, bound=(0.3, 1.6),
        seed=seed, replicate=replicate,
    )  # fmt: skip


def smooth_noise(rng: np.random.Generator, samples: int, h: float, components: int, *, tau_s: float) -> np.ndarray:
    """Gaussian noise (samples, components) of s.d. 1 once settled, twice low-passed with tau, from 0."""
    from scipy.signal import lfilter

    a = math.exp(-h / tau_s)
    white = rng.standard_normal((samples, components))
    once = lfilter([1.0 - a], [1.0, -a], white, axis=0)
    twice = lfilter([1.0 - a], [1.0, -a], once, axis=0)
    return np.asarray(twice / math.sqrt((1.0 - a) ** 4 * (1.0 + a * a) / (1.0 - a * a) ** 3))


def _heun(velocity: Callable[[np.ndarray], np.ndarray], c: np.ndarray, h: float) -> np.ndarray:
    x = np.zeros(c.shape[1])
    path = np.empty_like(c)
    for t in range(len(c)):
        slope = velocity(x)
        ahead = velocity(x + h * (slope + c[t]))
        x = x + h * (0.5 * (slope + ahead) + c[t])
        path[t] = x
    return path


# ---- T3: damage ------------------------------------------------------------------------------------------------------


class Robustness(NamedTuple):
    """fraction (f,): share of neurons removed; score (f, trials); deleted (trials,): score with one spike deleted.

    Where a trial has no spike, none is deleted.
    """

    fraction: np.ndarray
    score: np.ndarray
    deleted: np.ndarray


def robustness(
    learner: Learner,
    task: Task,
    *,
    n_neurons: int,
    fractions: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4),
    trials: int = 3,
    seed: int = 1,
    replicate: int = 0,
) -> Robustness:
    """T3: the score when neurons are removed at test, the larger sets holding the smaller, or one spike is deleted."""
    order = stream(seed, replicate, "task", 3).permutation(n_neurons)
    scores = []
    for fraction in fractions:
        kill = np.zeros(n_neurons, dtype=bool)
        kill[order[: round(fraction * n_neurons)]] = True
        scores.append(assess(learner, task, trials=trials, kill=kill).score)
    whole = assess(learner, task, trials=trials).rollouts
    counts = [int(np.count_nonzero(rollout.spike_time_ms > 0)) for rollout in whole]
    deleted = []
    for index, count in enumerate(counts):  # the middle spike of the first trial, or the last there is
        number = min(counts[0] // 2, count - 1) if count else None
        trial = task.sample("test", index)
        rollout = learner.rollout(trial.stimulus, delete_spike=number)
        deleted.append(score(task, trial, rollout.prediction))
    return Robustness(np.array(fractions), np.stack(scores), np.array(deleted))
