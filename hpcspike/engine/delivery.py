"""Layout of synapses for the delivery of spikes: by presynaptic neuron, and by the thread that has the row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.engine.delivery_kernels import order_by_presynaptic, part_by_rows
from hpcspike.model.connectivity import Rows
from hpcspike.model.problem import Problem
from hpcspike.partition import balanced_bounds

_SYNAPSES_OF_A_MOVE = 500.0


class Delivery(NamedTuple):
    """Synapses by presynaptic neuron: postsynaptic row, and index into the row-wise arrays.

    Those of neuron j on the rows of thread p are ``begin[p, j]`` to ``begin[p + 1, j]``; begin (threads + 1, N).
    """

    begin: np.ndarray
    row: np.ndarray
    synapse: np.ndarray


def delivery_layout(rows: Rows, n_neurons: int, bounds: np.ndarray | None = None) -> Delivery:
    """The synapses of compressed rows, ordered by presynaptic neuron and then by row.

    bounds (threads + 1,): rows of each thread; None: there is one.
    """
    synapses = len(rows.presynaptic)
    bounds = np.array([0, len(rows.start) - 1]) if bounds is None else bounds
    start, row, synapse = np.zeros(n_neurons + 1, np.int64), np.empty(synapses, np.uint32), np.empty(synapses, np.int64)
    order_by_presynaptic(rows.start, rows.presynaptic, start, row, synapse)
    begin = np.empty((len(bounds), n_neurons), np.int64)
    part_by_rows(start, row, bounds, begin)
    return Delivery(begin, row, synapse)


def rows_of_threads(problem: Problem, threads: int) -> np.ndarray:
    """Bounds (threads + 1,) of the rows that each thread moves and delivers spikes to."""
    synapses = np.diff(problem.plastic.start) + np.diff(problem.static.start)
    # moving a neuron costs about as much as delivering the spikes of some hundred synapses
    return balanced_bounds(_SYNAPSES_OF_A_MOVE + synapses.astype(np.float64), threads)
