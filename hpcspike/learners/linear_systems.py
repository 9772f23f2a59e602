"""Linear systems dx/dt = A x + c that networks are to be: A as given or drawn, driven by filtered noise."""

from __future__ import annotations

import math

import numpy as np

from hpcspike.learners.tasks import driven_task, smooth_noise
from hpcspike.learners.trials import Task
from hpcspike.model.random_streams import stream
from hpcspike.spec.targets import DrivenTargets

TAU_INPUT_S = 0.05
"""Time constant by which the noise is low-passed twice (s)."""

LARGEST_ANGLE = math.radians(80.0)
"""Complex eigenvalues lie within this angle of the negative real axis, so that rotations decay."""

LARGEST_CONDITION = 3.0
"""Condition number of the eigenvectors up to which a draw is kept."""

MATRIX = 4
"""What is drawn from the stream "task": its index, beside those of `hpcspike.learners.tasks.PHASES` and of damage."""


def linear_task(targets: DrivenTargets, *, seed: int = 1, replicate: int = 0) -> Task:
    """T2 of `targets.system: linear`: the state x of dx/dt = A x + c, c filtered noise that is new in every trial.

    All components of c have the s.d. with which the components of x have the mean power 1 (`command_strength`).
    """
    a = matrix_of(targets, seed=seed, replicate=replicate)
    strength = command_strength(a)

    def command(rng: np.random.Generator, samples: int, h: float) -> np.ndarray:
        return strength * smooth_noise(rng, samples, h, len(a), tau_s=TAU_INPUT_S)

    return driven_task(
        "linear", velocity=lambda x: a @ x, matrix=a, n_states=len(a), duration_ms=targets.duration_ms,
        command=command, seed=seed, replicate=replicate,
    )  # fmt: skip


def matrix_of(targets: DrivenTargets, *, seed: int, replicate: int) -> np.ndarray:
    """A (J, J) per second: the one that is given, or one drawn by seed and replicate."""
    if targets.matrix is not None:
        return np.array(targets.matrix, dtype=np.float64)
    assert targets.n_states is not None
    return random_matrix(targets.n_states, targets.modulus_per_s, stream(seed, replicate, "task", MATRIX))


def random_matrix(n_states: int, modulus_per_s: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A stable A = S B S^-1 (J, J) per second that need not be normal.

    B has pairs of eigenvalues m exp(+-i angle) or two real ones, with equal chances, and a real one if J is odd; moduli
    m are uniform in a range. S is Gaussian, drawn until its condition number is small.
    """
    blocks = np.zeros((n_states, n_states))
    for at in range(0, n_states - 1, 2):
        first, second = -rng.uniform(*modulus_per_s, size=2)
        angle, rotates = rng.uniform(0.0, LARGEST_ANGLE), rng.random() < 0.5
        real, imaginary = first * math.cos(angle), first * math.sin(angle)
        blocks[at : at + 2, at : at + 2] = (
            [[real, -imaginary], [imaginary, real]] if rotates else [[first, 0.0], [0.0, second]]
        )
    if n_states % 2:
        blocks[-1, -1] = -rng.uniform(*modulus_per_s)
    while True:
        vectors = rng.standard_normal((n_states, n_states))
        # larger Gaussian matrices are never so well conditioned: their nearest rotation always is
        if n_states > 4:
            left, _, right = np.linalg.svd(vectors)
            vectors = left @ right
        if np.linalg.cond(vectors) <= LARGEST_CONDITION:
            return np.asarray(vectors @ blocks @ np.linalg.inv(vectors))


def command_strength(a: np.ndarray) -> float:
    """S.d. (per second) of every component of c for which those of x have the mean power 1 once settled.

    c is white noise twice low-passed: with it the system is linear, and its covariance solves a Lyapunov equation.
    """
    from scipy.linalg import solve_continuous_lyapunov

    n, rate = len(a), 1.0 / TAU_INPUT_S
    one, none = np.eye(n), np.zeros((n, n))
    whole = np.block([[a, one, none], [none, -rate * one, rate * one], [none, none, -rate * one]])
    noise = np.zeros((3 * n, 3 * n))
    noise[2 * n :, 2 * n :] = rate**2 * one
    covariance = solve_continuous_lyapunov(whole, -noise)
    state, command = covariance[:n, :n].diagonal().mean(), covariance[n, n]
    return math.sqrt(command / state)
