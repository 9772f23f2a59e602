"""Initial weights and the plastic mask, row by row from keyed streams (paper, Methods; spec of choices: README)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcspike.model.random_streams import stream
from hpcspike.shown import short_repr
from hpcspike.spec.connectivity import BalancedConnectivity, Connectivity, DaleConnectivity, GaussianConnectivity
from hpcspike.spec.experiment import Experiment


class Rows(NamedTuple):
    """Incoming synapses of a block of neurons in compressed rows.

    start (rows + 1,) int64; presynaptic (synapses,) int32, ascending within a row; weight (synapses,) float64.
    """

    start: np.ndarray
    presynaptic: np.ndarray
    weight: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def build_rows(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> Rows:
    """The plastic synapses of ``neurons``; a neuron's row is the same whatever else is built, without autapses."""
    if isinstance(connectivity, BalancedConnectivity):
        k = connectivity.plastic_in_degree
        pair = (connectivity.plastic_excitatory, connectivity.plastic_inhibitory)
        border, _ = connectivity.populations(n_neurons)
        sources = _from_both_populations(border, n_neurons, neurons, (k, k), "mask", (seed, replicate))
        return _even_rows(sources, np.broadcast_to(np.repeat(pair, k), sources.shape))
    if isinstance(connectivity, DaleConnectivity):
        border, _ = connectivity.populations(n_neurons)
        inputs = connectivity.in_degrees(n_neurons)
        sources = _from_both_populations(border, n_neurons, neurons, inputs, "mask", (seed, replicate))
        return _even_rows(sources, np.broadcast_to(np.repeat(connectivity.weights(n_neurons), inputs), sources.shape))
    presynaptic, weights = [], []
    for neuron in neurons:
        sources = _sources(connectivity.probability, n_neurons, neuron, seed, replicate)
        if isinstance(connectivity, GaussianConnectivity):
            row = _gaussian_row(connectivity, n_neurons, len(sources), neuron, seed, replicate)
        else:
            row = np.zeros(len(sources))
        presynaptic.append(sources)
        weights.append(row)
    return rows_from_lists(presynaptic, weights)


def build_subset_rows(
    connectivity: BalancedConnectivity, n_neurons: int, neurons: range, trained: np.ndarray, *, all_sources: bool,
    seed: int, replicate: int,
) -> Rows:  # fmt: skip
    """The plastic synapses of those of ``neurons`` that are in ``trained``, and none of the others.

    Excitatory sources are other trained neurons, or with ``all_sources`` any other excitatory ones.
    """
    k, border = connectivity.plastic_in_degree, connectivity.populations(n_neurons)[0]
    pool = np.arange(border) if all_sources else np.sort(trained)
    chosen, presynaptic, weights = set(trained.tolist()), [], []
    for neuron in neurons:
        if neuron not in chosen:
            presynaptic.append(np.zeros(0, dtype=np.int32))
            weights.append(np.zeros(0))
            continue
        rng = stream(seed, replicate, "mask", neuron)
        others = pool[pool != neuron]
        excitatory = np.sort(rng.choice(others, k, replace=False, shuffle=False))
        inhibitory = np.sort(border + rng.choice(n_neurons - border, k, replace=False, shuffle=False))
        presynaptic.append(np.concatenate([excitatory, inhibitory]))
        weights.append(np.repeat([connectivity.plastic_excitatory, connectivity.plastic_inhibitory], k))
    return rows_from_lists(presynaptic, weights)


def in_degrees(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> np.ndarray:
    """Number of plastic synapses of ``neurons``, (n,), without drawing their weights."""
    if isinstance(connectivity, BalancedConnectivity):
        return np.full(len(neurons), 2 * connectivity.plastic_in_degree)
    if isinstance(connectivity, DaleConnectivity):
        return np.full(len(neurons), sum(connectivity.in_degrees(n_neurons)))
    probability = connectivity.probability
    return np.array([len(_sources(probability, n_neurons, neuron, seed, replicate)) for neuron in neurons])


def build_static_rows(connectivity: Connectivity, n_neurons: int, neurons: range, *, seed: int, replicate: int) -> Rows:
    """The fixed synapses of ``neurons``: the background of a balanced network, none in the others."""
    if not isinstance(connectivity, BalancedConnectivity):
        return rows_from_lists([np.zeros(0, np.int32)] * len(neurons), [np.zeros(0)] * len(neurons))
    if connectivity.static_degree == "out":
        return _static_rows_by_sender(connectivity, n_neurons, neurons, (seed, replicate))
    k = connectivity.static_in_degree
    border, _ = connectivity.populations(n_neurons)
    sources = _from_both_populations(border, n_neurons, neurons, (k, k), "static_sources", (seed, replicate))
    excitatory = _excitatory(connectivity, n_neurons, neurons)[:, None]
    weights = np.empty(sources.shape)
    weights[:, :k] = np.where(excitatory, connectivity.static_ee, connectivity.static_ie)
    weights[:, k:] = np.where(excitatory, connectivity.static_ei, connectivity.static_ii)
    return _even_rows(sources, weights)


def _static_rows_by_sender(
    connectivity: BalancedConnectivity, n_neurons: int, neurons: range, key: tuple[int, int]
) -> Rows:
    # every block walks through the synapses of all senders: 0.1 s for a million of them
    border, k = connectivity.populations(n_neurons)[0], 2 * connectivity.static_in_degree
    receivers, counts = [], np.zeros(n_neurons, dtype=np.int64)
    for sender in range(n_neurons):
        rng = stream(*key, "static_targets", sender)
        chosen = rng.choice(n_neurons - 1, k, replace=False, shuffle=False)
        chosen += chosen >= sender  # skip the neuron itself
        own = np.sort(chosen[(chosen >= neurons.start) & (chosen < neurons.stop)] - neurons.start)
        receivers.append(own.astype(np.int32))
        counts[sender] = len(own)
    receiver, sender_of = np.concatenate(receivers), np.repeat(np.arange(n_neurons, dtype=np.int32), counts)
    order = np.argsort(receiver, kind="stable")  # senders of a row stay ascending
    start = np.zeros(len(neurons) + 1, dtype=np.int64)
    np.cumsum(np.bincount(receiver, minlength=len(neurons)), out=start[1:])
    presynaptic, row = sender_of[order], receiver[order]
    table = np.array(
        [[connectivity.static_ii, connectivity.static_ie], [connectivity.static_ei, connectivity.static_ee]]
    )
    onto_excitatory = _excitatory(connectivity, n_neurons, neurons).astype(np.intp)
    return Rows(start, presynaptic, table[onto_excitatory[row], (presynaptic < border).astype(np.intp)])


def n_excitatory(connectivity: Connectivity, n_neurons: int) -> int | None:
    """Number of excitatory neurons, which come first; None where there are no populations."""
    if isinstance(connectivity, (BalancedConnectivity, DaleConnectivity)):
        return connectivity.populations(n_neurons)[0]
    return None


def constant_input(experiment: Experiment, n_neurons: int, neurons: range) -> np.ndarray:
    """Constant external input of ``neurons``, (n,)."""
    connectivity = experiment.connectivity
    values = np.full(len(neurons), experiment.neuron.bias)
    if isinstance(connectivity, BalancedConnectivity):
        excitatory = _excitatory(connectivity, n_neurons, neurons)
        values += np.where(excitatory, connectivity.input_excitatory, connectivity.input_inhibitory)
    return values


def _excitatory(connectivity: BalancedConnectivity, n_neurons: int, neurons: range) -> np.ndarray:
    # excitatory neurons come first
    return np.arange(neurons.start, neurons.stop) < connectivity.populations(n_neurons)[0]


def _from_both_populations(
    n_excitatory: int, n_neurons: int, neurons: range, inputs: tuple[int, int], purpose: str, key: tuple[int, int]
) -> np.ndarray:
    """For each neuron so many excitatory and then inhibitory others, (n, sum of inputs) int32.

    Each population's are ascending and without repeats; neurons 0 to n_excitatory - 1 are excitatory.
    """
    k = inputs[0]
    result = np.empty((len(neurons), sum(inputs)), dtype=np.int32)
    for neuron, row in zip(neurons, result, strict=True):
        rng = stream(*key, purpose, neuron)
        for part, low, high in ((row[:k], 0, n_excitatory), (row[k:], n_excitatory, n_neurons)):
            inside = low <= neuron < high
            part[:] = rng.choice(high - low - inside, len(part), replace=False, shuffle=False)
            part += low
            if inside:
                part += part >= neuron  # skip the neuron itself
            part.sort()
    return result


def _even_rows(presynaptic: np.ndarray, weights: np.ndarray) -> Rows:
    """Compressed rows of equal length from two (n, k) arrays."""
    rows, k = presynaptic.shape
    return Rows(k * np.arange(rows + 1, dtype=np.int64), presynaptic.reshape(-1), weights.reshape(-1))


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
