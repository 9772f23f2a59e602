"""Weight updates of a whole network by every variant, on the same spikes, dtype and thread.

The network is not simulated: Poisson spikes feed it, so that rate and in-degree are exactly those stated. Variants take
turns in blocks of whole flush windows, because one that runs between two updates of another would push P out of its
cache; each sees every spike, and in the end their weights must agree.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.benchmark.roofline import peak_fma_rate, streaming_bandwidth
from hpcspike.engine.delivery import delivery_layout
from hpcspike.engine.simulation import decay_per_step
from hpcspike.model.connectivity import Rows, rows_from_lists
from hpcspike.rls.blocked import BlockedRls
from hpcspike.rls.capacity import best_capacity
from hpcspike.rls.textbook import TextbookBlasRls, TextbookRls

VARIANTS = ("textbook_blas", "textbook", "blocked")
TAU_MS, TAU_SYN_MS, STEP_MS = 10.0, 30.0, 1.0
RIDGE = 1.0
SHORTEST_BLOCK = 0.1
"""Seconds the slowest variant must be busy before the next one has its turn."""
_SEED = 1


@dataclass(frozen=True)
class Case:
    """One row of the table.

    ``n_rows`` of the N neurons are updated (rows are independent of each other), ``seconds`` is how long the slowest
    variant may be measured, at least in ``fewest_rounds``.
    """

    n_neurons: int
    in_degree: int
    interval_ms: float
    dtype: str
    rate_hz: float
    n_rows: int
    seconds: float
    fewest_rounds: int

    def matrix_bytes(self) -> float:
        """Memory of all matrices P of one variant; rows are padded to whole vectors in the fast one."""
        return self.n_rows * self.in_degree * (self.in_degree + 16.0) * np.dtype(self.dtype).itemsize


def measure(case: Case) -> dict[str, Any]:
    """Milliseconds per update of the network for every variant, and what they are made of."""
    rows = _random_rows(case)
    dtype = np.dtype(case.dtype)
    capacity = best_capacity(case.in_degree)
    engines: dict[str, Any] = {
        "textbook_blas": TextbookBlasRls(rows.start, rows.presynaptic, ridge=RIDGE, dtype=dtype),
        "textbook": TextbookRls(rows.start, rows.presynaptic, ridge=RIDGE, dtype=dtype),
        "blocked": BlockedRls(rows.start, rows.presynaptic, ridge=RIDGE, dtype=dtype, capacity=capacity),
    }
    networks = {name: OpenLoop(rows, case) for name in VARIANTS}
    spikes = _poisson_spikes(case)
    window = [next(spikes) for _ in range(capacity)]
    for name in VARIANTS:  # the first window compiles, the second says how long a block takes
        _seconds(engines[name], networks[name], window)
    window = [next(spikes) for _ in range(capacity)]
    slowest = max(_seconds(engines[name], networks[name], window) for name in VARIANTS)
    n_windows = min(64, max(2, math.ceil(SHORTEST_BLOCK / slowest)))
    n_rounds = min(9, max(case.fewest_rounds, math.floor(case.seconds / (n_windows * slowest))))
    samples: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(n_rounds):
        block = [next(spikes) for _ in range(n_windows * capacity)]
        for name in VARIANTS[:: 1 if turn % 2 == 0 else -1]:
            seconds = _seconds(engines[name], networks[name], block)
            samples[name].append(1e3 * seconds / len(block) * case.n_neurons / case.n_rows)
    oracle = networks["textbook"].weight.astype(np.float64)
    difference = np.abs(networks["blocked"].weight - oracle).max() / np.abs(oracle).max()
    events = networks["blocked"].seen_events / networks["blocked"].seen_updates / case.n_rows
    del engines, networks  # the roofline needs the memory
    gc.collect()
    medians = {name: float(np.median(values)) for name, values in samples.items()}
    bandwidth = streaming_bandwidth(dtype, int(case.matrix_bytes()))
    best = _roofline_ms(case, capacity, events, bandwidth, peak_fma_rate(dtype))
    return {
        "milliseconds": medians,
        "fastest": {name: float(np.min(values)) for name, values in samples.items()},
        "slowest": {name: float(np.max(values)) for name, values in samples.items()},
        "ratio_to_blas": medians["textbook_blas"] / medians["blocked"],
        "ratio_to_textbook": medians["textbook"] / medians["blocked"],
        "roofline": {name: {**best[name], "share": best[name]["milliseconds"] / medians[name]} for name in VARIANTS},
        "bandwidth": bandwidth,
        "capacity": capacity,
        "rounds": n_rounds,
        "updates_per_round": n_windows * capacity,
        "events_per_row": events,
        "weight_difference": float(difference),
    }


class OpenLoop:
    """What an RLS engine sees of a simulation, moved by given spikes."""

    def __init__(self, rows: Rows, case: Case) -> None:
        self._rows, self._layout = rows, delivery_layout(rows, case.n_neurons)
        self.weight = rows.weight.astype(case.dtype)
        self.readout = np.zeros(case.n_rows)
        self.filtered = np.zeros(case.n_neurons)
        self.trace = np.zeros(case.n_neurons)
        self.events = np.empty(len(rows.presynaptic), dtype=np.int32)
        self.n_events = np.zeros(case.n_rows, dtype=np.int32)
        self.interval_decay = decay_per_step(STEP_MS, TAU_SYN_MS) ** round(case.interval_ms / STEP_MS)
        self.gain = np.ones(case.n_rows)
        self.seen_updates = self.seen_events = 0
        self._phase = np.linspace(0.0, 40.0, case.n_rows)
        self._turn = 2.0 * np.pi * case.interval_ms / 200.0

    def pass_interval(self, neurons: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        """One update interval in which ``neurons`` added ``amounts`` to r; returns the error f - u of every row."""
        _deliver(
            neurons, amounts, self.interval_decay, self.filtered, self.trace, *self._layout, self._rows.start,
            self.weight, self.readout, self.events, self.n_events,
        )  # fmt: skip
        self.seen_updates += 1
        self.seen_events += int(self.n_events.sum())
        return 0.5 * np.sin(self._phase + self._turn * self.seen_updates) - self.readout


@kernel
def _deliver(  # type: ignore[no-untyped-def]
    neurons, amounts, decay, filtered, trace, begin, row, synapse, start, weight, readout, events, n_events
):  # fmt: skip
    # begin, row, synapse: see hpcspike.engine.delivery.Delivery; neurons ascend, each once
    for j in range(filtered.shape[0]):
        filtered[j] *= decay
        trace[j] = 0.0
    for i in range(readout.shape[0]):
        readout[i] *= decay
        n_events[i] = 0
    for s in range(neurons.shape[0]):
        j = neurons[s]
        trace[j] = amounts[s]
        filtered[j] += amounts[s]
        for k in range(begin[0, j], begin[1, j]):
            i = row[k]
            readout[i] += weight[synapse[k]] * amounts[s]
            events[start[i] + n_events[i]] = synapse[k] - start[i]
            n_events[i] += 1


def _seconds(engine: Any, network: OpenLoop, spikes: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Seconds spent in the updates alone."""
    total = 0.0
    for neurons, amounts in spikes:
        error = network.pass_interval(neurons, amounts)
        began = time.perf_counter()
        engine.update(network, error, network.gain)
        total += time.perf_counter() - began
    return total


def _random_rows(case: Case) -> Rows:
    rng = np.random.default_rng(_SEED)
    sources = [
        np.sort(rng.choice(case.n_neurons, case.in_degree, replace=False, shuffle=False)) for _ in range(case.n_rows)
    ]
    return rows_from_lists(sources, [np.zeros(case.in_degree) for _ in sources])


def _poisson_spikes(case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Neurons that spiked in each interval, and what their spikes add to r by its end."""
    rng = np.random.default_rng(_SEED + 1)
    steps = round(case.interval_ms / STEP_MS)
    decay = decay_per_step(STEP_MS, TAU_SYN_MS) ** np.arange(steps)
    while True:
        spiked = rng.random((steps, case.n_neurons)) < case.rate_hz * STEP_MS / 1000.0
        trace = TAU_MS / TAU_SYN_MS * decay @ spiked
        neurons = np.flatnonzero(trace)
        yield neurons, trace[neurons]


def _roofline_ms(case: Case, capacity: int, events: float, bandwidth: float, fma_rate: float) -> dict[str, Any]:
    """Least milliseconds per update of the network by the bytes each variant has to move and its multiply-adds.

    Entries of P and of the kept vectors are counted: the textbook reads P twice and writes it once (BLAS one triangle
    of it); the blocked engine reads one row of P per event and, in rows with events, (capacity - 1) / 2 kept vectors,
    reads and writes one vector, and reads and writes P once per window.
    """
    k, kept, size = case.in_degree, (capacity - 1) / 2, np.dtype(case.dtype).itemsize
    work = {  # entries moved, multiply-adds
        "textbook_blas": (1.5 * k * k, 1.5 * k * k),
        "textbook": (3.0 * k * k, 2.0 * k * k),
        "blocked": (
            2.0 * k * k / capacity + events * k + (1.0 - math.exp(-events)) * kept * k + 2.0 * k,
            k * k + events * k + kept * (k + events),
        ),
    }
    result = {}
    for name, (entries, operations) in work.items():
        memory = 1e3 * case.n_neurons * entries * size / bandwidth
        arithmetic = 1e3 * case.n_neurons * operations / fma_rate
        result[name] = {
            "milliseconds": max(memory, arithmetic),
            "bound": "memory" if memory > arithmetic else "arithmetic",
        }
    return result
