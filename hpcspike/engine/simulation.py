"""One block of neurons in time: state, spike delivery layout, and intervals of steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.engine.step_kernels import run_steps
from hpcspike.model.connectivity import Rows
from hpcspike.model.problem import Problem

_BUFFER_SPIKES = 1 << 20


class Spikes(NamedTuple):
    """Spikes of a stretch of time: step (spikes,) int32 counted from its start, neuron (spikes,) int32."""

    step: np.ndarray
    neuron: np.ndarray


class Delivery(NamedTuple):
    """Synapses by presynaptic neuron: start (N + 1,), postsynaptic row, and index into the row-wise arrays."""

    start: np.ndarray
    row: np.ndarray
    synapse: np.ndarray


def delivery_layout(rows: Rows, n_neurons: int) -> Delivery:
    """The synapses of compressed rows, ordered by presynaptic neuron and then by row."""
    order = np.argsort(rows.presynaptic, kind="stable").astype(np.int64)
    start = np.zeros(n_neurons + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows.presynaptic, minlength=n_neurons), out=start[1:])
    row = np.repeat(np.arange(len(rows.start) - 1, dtype=np.int32), np.diff(rows.start))
    return Delivery(start, row[order], order)


def decay_per_step(step_ms: float, tau_syn_ms: float) -> float:
    """Factor of r and u in one step: Runge-Kutta 4 of dr/dt = -r / tau_s."""
    h = step_ms / tau_syn_ms
    return 1.0 - h + h * h / 2.0 - h**3 / 6.0 + h**4 / 24.0


class Simulation:
    """The live state of a block and how it moves.

    Attributes
    ----------
    state
        (1, n) phases theta.
    drive
        (n,) synaptic drive u.
    filtered
        (N,) filtered spike trains r in spikes per tau, at the end of the last interval.
    weight
        (synapses,) plastic weights, row by row.
    events, n_events
        Which inputs of each row spiked in the last interval that collected them.
    trace
        (N,) what the last interval's spikes added to r.
    interval_decay
        Factor by which r decayed over the last interval.
    """

    def __init__(self, problem: Problem, *, dtype: np.dtype | type = np.float64) -> None:
        self.problem = problem
        self._plastic = delivery_layout(problem.plastic, problem.n_neurons)
        self._static = delivery_layout(problem.static, problem.n_neurons)
        self._static_weight = problem.static.weight[self._static.synapse]
        self.weight = problem.plastic.weight.astype(dtype)
        self._step = problem.neuron.step_ms / problem.neuron.tau_ms
        self.decay = decay_per_step(problem.neuron.step_ms, problem.synapse.tau_syn_ms)
        self._jump_now = problem.neuron.tau_ms / problem.synapse.tau_syn_ms
        self._jumps = np.array([self._jump_now])
        rows = problem.n_rows
        self._increment = np.empty(rows)
        self._spikes = np.empty(rows, dtype=np.int32)
        self.events = np.empty(len(problem.plastic.presynaptic), dtype=np.int32)
        self.n_events = np.zeros(rows, dtype=np.int32)
        self.trace = np.zeros(problem.n_neurons)
        self.interval_decay = 1.0
        self._nothing = np.empty((0, rows))
        self.set_state(problem.phase, problem.filtered)

    def set_state(self, phase: np.ndarray, filtered: np.ndarray) -> None:
        """Start from phases (n,) in radians and filtered spike trains (N,), with the current weights."""
        self.state = (np.pi - np.mod(np.pi - phase, 2.0 * np.pi))[None, :].copy()
        self.filtered = filtered.astype(np.float64).copy()
        self._held: np.ndarray | None = None
        self.drive = np.zeros(self.problem.n_rows)
        for rows, weight in ((self.problem.plastic, self.weight), (self.problem.static, self.problem.static.weight)):
            row = np.repeat(np.arange(self.problem.n_rows), np.diff(rows.start))
            # bincount adds in the order of the synapses, so a row's sum is the same in every block
            self.drive += np.bincount(row, weight * self.filtered[rows.presynaptic], minlength=self.problem.n_rows)

    def hold_drive(self) -> None:
        """Let the next step still move the neurons with the drive as it is now.

        Called before a weight update: the program does not recompute u after it, so that new weights act on theta one
        step later.
        """
        self._held = self.drive.copy()

    def run_interval(
        self,
        n_steps: int,
        external: np.ndarray,
        *,
        collect: bool = False,
        record: np.ndarray | None = None,
        clamp: np.ndarray | None = None,
    ) -> Spikes:
        """Run ``n_steps`` steps with constant external input (n,), then bring r up to date.

        Parameters
        ----------
        collect
            Note which plastic inputs of each row spiked (`events`, `n_events`).
        record
            (records, n) array that receives the drive after every ``n_steps / records`` steps.
        clamp
            (n_steps, n) drive that the neurons receive in place of their own.
        """
        if len(self._jumps) < n_steps:
            jumps = self._jump_now * self.decay ** np.arange(n_steps)
            # never zero: the step loop sees from the trace which neurons spiked before
            self._jumps = np.maximum(jumps, np.finfo(np.float64).tiny)
        self.trace[:] = 0.0
        self.n_events[:] = 0
        every = 0 if record is None else n_steps // len(record)
        chunk = max(1, min(n_steps, _BUFFER_SPIKES // max(self.problem.n_rows, 1)))
        if every:
            chunk = max(every, chunk // every * every)
        parts = []
        for begin in range(0, n_steps, chunk):
            length = min(chunk, n_steps - begin)
            part = self._nothing if record is None else record[begin // every :]
            received = self._nothing if clamp is None else clamp[begin : begin + length]
            parts.append(self._run(begin, length, n_steps, external, received, collect, every, part))
        self.interval_decay = self.decay**n_steps
        self.filtered *= self.interval_decay
        self.filtered += self.trace
        if len(parts) == 1:
            return parts[0]
        return Spikes(np.concatenate([p.step for p in parts]), np.concatenate([p.neuron for p in parts]))

    def _run(
        self,
        begin: int,
        length: int,
        n_steps: int,
        external: np.ndarray,
        clamp: np.ndarray,
        collect: bool,
        every: int,
        record: np.ndarray,
    ) -> Spikes:
        capacity = length * self.problem.n_rows
        entering = self.drive if self._held is None else self._held
        self._held = None
        step, neuron = np.empty(capacity, dtype=np.int32), np.empty(capacity, dtype=np.int32)
        count = run_steps(
            length, n_steps - begin, self.problem.first, self._step, self.decay, self._jumps,
            self.state, entering, self.drive, external, clamp, self.trace, self._increment, self._spikes,
            self._plastic.start, self._plastic.row, self._plastic.synapse, self.weight,
            self._static.start, self._static.row, self._static_weight,
            collect, self.problem.plastic.start, self.events, self.n_events,
            every, record, step, neuron,
        )  # fmt: skip
        return Spikes(step[:count] + np.int32(begin), neuron[:count].copy())
