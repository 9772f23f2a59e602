"""Initial weights and the plastic mask, row by row from keyed streams (paper, Methods; spec of choices: README)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.model.random_streams import stream
from hpcspike.spec.experiment import Connectivity, GaussianConnectivity


class Rows(NamedTuple):
    """Incoming synapses of a block of neurons in compressed rows.

    start (rows + 1,) int64; presynaptic (synapses,) int32, ascending within a row; weight (synapses,) float64.
    """

    start: np.ndarray
    presynaptic: np.ndarray
    weight: np.ndarray


def build_rows(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> Rows:
    """The plastic synapses of ``neurons``; a neuron's row is the same whatever else is built, without autapses."""
    presynaptic, weights = [], []
    for neuron in neurons:
        sources = _sources(connectivity.probability, n_neurons, neuron, seed, replicate)
        presynaptic.append(sources)
        if isinstance(connectivity, GaussianConnectivity):
            weights.append(_gaussian_row(connectivity, n_neurons, len(sources), neuron, seed, replicate))
        else:
            weights.append(np.zeros(len(sources)))
    return rows_from_lists(presynaptic, weights)


def rows_from_lists(presynaptic: list[np.ndarray], weights: list[np.ndarray]) -> Rows:
    """Compressed rows of per-neuron lists."""
    start = np.zeros(len(presynaptic) + 1, dtype=np.int64)
    np.cumsum([len(sources) for sources in presynaptic], out=start[1:])
    if not presynaptic:
        return Rows(start, np.zeros(0, np.int32), np.zeros(0))
    return Rows(start, np.concatenate(presynaptic).astype(np.int32), np.concatenate(weights).astype(np.float64))


def rows_from_dense(weights: np.ndarray, mask: np.ndarray) -> Rows:
    """Compressed rows of the entries of ``weights`` (rows, n) where ``mask`` is true."""
    presynaptic = [np.flatnonzero(row) for row in mask]
    return rows_from_lists(presynaptic, [weights[i, sources] for i, sources in enumerate(presynaptic)])


def _sources(probability: float, n_neurons: int, neuron: int, seed: int, replicate: int) -> np.ndarray:
    connected = stream(seed, replicate, "mask", neuron).random(n_neurons) < probability
    connected[neuron] = False
    return np.flatnonzero(connected)


def _gaussian_row(
    connectivity: GaussianConnectivity, n_neurons: int, in_degree: int, neuron: int, seed: int, replicate: int
) -> np.ndarray:
    scale = connectivity.sigma / math.sqrt(n_neurons * connectivity.probability)
    row = scale * stream(seed, replicate, "weights", neuron).standard_normal(in_degree)
    if connectivity.zero_row_sum and in_degree > 0:
        row -= row.mean()
    return row
