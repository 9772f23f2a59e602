"""Eigenvalues of the recurrent weights before and after training (paper, Fig 4h)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, number
from hpcspike.engine.trained import Trained
from hpcspike.errors import ResourceError
from hpcspike.shown import short_repr
from hpcspike.spec.connectivity import DaleConnectivity

LARGEST = 5000
"""Networks beyond this many neurons are refused: eigenvalues take N^3 operations and N^2 numbers."""


class Eigenvalues(NamedTuple):
    """Complex eigenvalues of W over the divisor, (N,) each, largest modulus first."""

    before: np.ndarray
    after: np.ndarray
    divisor: float

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def radii(self) -> tuple[float, float]:
        """Spectral radius before and after."""
        return float(np.abs(self.before[0])), float(np.abs(self.after[0]))


def eigenvalues(trained: Trained, *, divisor: float = 1.0) -> Eigenvalues:
    """Spectrum of the initial and of the trained W, fixed synapses included.

    All ranks must ask together, and every one receives the whole.

    Parameters
    ----------
    trained
        A trained network of N neurons.
    divisor
        What W is divided by, see `dale_divisor`.

    Raises
    ------
    ResourceError
        If there are more than `LARGEST` neurons.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    number("divisor", divisor, above=0.0)
    problem, world = trained.problem, trained.world
    size = problem.n_neurons
    if size > LARGEST:
        raise ResourceError(f"eigenvalues of {size:,} neurons need {size**2 * 8e-9:.3g} GB; at most {LARGEST:,}")
    after = world.concatenate(trained.weights.toarray())
    initial = np.zeros((problem.n_rows, size))
    for rows in (problem.plastic, problem.static):
        # a synapse may be plastic and fixed at once
        np.add.at(initial, (np.repeat(np.arange(problem.n_rows), np.diff(rows.start)), rows.presynaptic), rows.weight)
    before = world.concatenate(initial)
    return Eigenvalues(_sorted(before / divisor), _sorted(after / divisor), divisor)


def dale_divisor(connectivity: DaleConnectivity) -> float:
    """sqrt([(1 - f) J^2 + f (g J)^2] (1 - p)), which makes the initial spectral radius about 1 (paper 4.10).

    It does so if the weights are scaled by 1 / sqrt(N p); of raw ones the radius is then about sqrt(N p).
    """
    f, j, g, p = (
        connectivity.inhibitory_fraction,
        connectivity.coupling,
        connectivity.inhibition,
        connectivity.probability,
    )
    return math.sqrt(((1.0 - f) * j**2 + f * (g * j) ** 2) * (1.0 - p))


def _sorted(matrix: np.ndarray) -> np.ndarray:
    values = np.linalg.eigvals(matrix).astype(np.complex128)
    return values[np.argsort(-np.abs(values), kind="stable")]
