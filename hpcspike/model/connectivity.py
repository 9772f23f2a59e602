"""Initial weights and the plastic mask, row by row from keyed streams (paper, Methods; spec of choices: README)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.model.random_streams import stream
from hpcspike.spec.experiment import BalancedConnectivity, Connectivity, Experiment, GaussianConnectivity


class Rows(NamedTuple):
    """Incoming synapses of a block of neurons in compressed rows.

    start (rows + 1,) int64; presynaptic (synapses,) int32, ascending within a row; weight (synapses,) float64.
    """

    start: np.ndarray
    presynaptic: np.ndarray
    weight: np.ndarray


def build_rows(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> Rows:
    """The plastic synapses of ``neurons``; a neuron's row is the same whatever else is built, without autapses."""
    key = (seed, replicate)
    presynaptic, weights = [], []
    for neuron in neurons:
        if isinstance(connectivity, BalancedConnectivity):
            sources, row = _plastic_pair(connectivity, n_neurons, neuron, key)
        else:
            sources = _sources(connectivity.probability, n_neurons, neuron, seed, replicate)
            if isinstance(connectivity, GaussianConnectivity):
                row = _gaussian_row(connectivity, n_neurons, len(sources), neuron, seed, replicate)
            else:
                row = np.zeros(len(sources))
        presynaptic.append(sources)
        weights.append(row)
    return rows_from_lists(presynaptic, weights)


def in_degrees(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> np.ndarray:
    """Number of plastic synapses of ``neurons``, (n,), without drawing their weights."""
    if isinstance(connectivity, BalancedConnectivity):
        return np.full(len(neurons), 2 * connectivity.plastic_in_degree)
    probability = connectivity.probability
    return np.array([len(_sources(probability, n_neurons, neuron, seed, replicate)) for neuron in neurons])


def build_static_rows(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> Rows:
    """The fixed synapses of ``neurons``: the background of a balanced network, none in the others."""
    if not isinstance(connectivity, BalancedConnectivity):
        return rows_from_lists([np.zeros(0, np.int32)] * len(neurons), [np.zeros(0)] * len(neurons))
    n_excitatory, k = n_excitatory_of(connectivity, n_neurons), connectivity.static_in_degree
    presynaptic, weights = [], []
    for neuron in neurons:
        rng = stream(seed, replicate, "static_sources", neuron)
        presynaptic.append(_draw_from_populations(rng, n_neurons, n_excitatory, k, neuron))
        excitatory = neuron < n_excitatory
        pair = (
            (connectivity.static_ee, connectivity.static_ei)
            if excitatory
            else (connectivity.static_ie, connectivity.static_ii)
        )
        weights.append(np.repeat(pair, k))
    return rows_from_lists(presynaptic, weights)


def constant_input(experiment: Experiment, n_neurons: int, neurons: range) -> np.ndarray:
    """Constant external input of ``neurons``, (n,)."""
    connectivity = experiment.connectivity
    values = np.full(len(neurons), experiment.neuron.bias)
    if isinstance(connectivity, BalancedConnectivity):
        excitatory = np.arange(neurons.start, neurons.stop) < n_excitatory_of(connectivity, n_neurons)
        values += np.where(excitatory, connectivity.input_excitatory, connectivity.input_inhibitory)
    return values


def n_excitatory_of(connectivity: BalancedConnectivity, n_neurons: int) -> int:
    """Number of excitatory neurons; they come first."""
    return math.floor(connectivity.excitatory_fraction * n_neurons)


def _plastic_pair(
    connectivity: BalancedConnectivity, n_neurons: int, neuron: int, key: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    k = connectivity.plastic_in_degree
    rng = stream(*key, "mask", neuron)
    sources = _draw_from_populations(rng, n_neurons, n_excitatory_of(connectivity, n_neurons), k, neuron)
    return sources, np.repeat((connectivity.plastic_excitatory, connectivity.plastic_inhibitory), k)


def _draw_from_populations(
    rng: np.random.Generator, n_neurons: int, n_excitatory: int, k: int, neuron: int
) -> np.ndarray:
    """k excitatory and then k inhibitory neurons other than ``neuron``, each ascending, without repeats."""
    parts = []
    for low, high in ((0, n_excitatory), (n_excitatory, n_neurons)):
        inside = low <= neuron < high
        drawn = low + rng.choice(high - low - inside, k, replace=False, shuffle=False)
        if inside:
            drawn += drawn >= neuron  # skip the neuron itself
        parts.append(np.sort(drawn))
    return np.concatenate(parts)


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
