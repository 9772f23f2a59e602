"""Spikes between a neuron and the synapses they have not reached yet, where delays are longer than a step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.model.problem import Problem

_LARGEST = 2**31 - 1


class Transit(NamedTuple):
    """What the step loop knows of spikes in flight; see `hpcspike.engine.delay_kernels`.

    late_plastic, late_static: steps that spikes take beyond the first, for each kind of synapse; together: steps whose
    spikes are exchanged at once; n_neurons: N. Without delays, `flight` has no slots and nothing else counts.
    """

    late_plastic: int
    late_static: int
    together: int
    n_neurons: int
    waiting: np.ndarray
    arrived: np.ndarray
    flight: np.ndarray
    n_flight: np.ndarray
    passed: np.ndarray

    def in_flight(self) -> list[list[int]]:
        """Who spiked in each of the last steps that count, the oldest step first; the same on all ranks."""
        slots = len(self.flight)
        order = [(int(self.passed[0]) - age) % slots for age in range(slots)][::-1]
        return [self.flight[slot, : self.n_flight[slot]].tolist() for slot in order]

    def put_in_flight(self, spikes: list[list[int]]) -> None:
        """Take over `in_flight`, of which every rank gets the whole."""
        self.passed[0] = max(0, len(self.flight) - 1)
        for slot, neurons in enumerate(spikes):
            self.n_flight[slot] = len(neurons)
            self.flight[slot, : len(neurons)] = neurons

    def change_last(self, neuron: int, *, there: bool) -> None:
        """Let a spike of a neuron in the last step be in flight, or not."""
        slot = int(self.passed[0]) % len(self.flight)
        now = [spike for spike in self.flight[slot, : self.n_flight[slot]].tolist() if spike != neuron]
        now = sorted([*now, neuron]) if there else now
        self.n_flight[slot], self.flight[slot, : len(now)] = len(now), now

    def land(self) -> None:
        """Nothing is in flight."""
        self.n_flight[:] = 0


def transit_of(problem: Problem) -> Transit:
    """A place for the spikes of a problem in flight: it begins empty."""
    plastic, static, _ = problem.synapse.delay_steps(problem.neuron.step_ms)
    longest, shortest = max(plastic, static), min(plastic, static)
    size = problem.n_neurons
    slots = longest if longest > 1 else 0
    together = max(1, min(shortest, _LARGEST // size)) if slots else 0
    return Transit(
        plastic - 1, static - 1, together, size,
        np.empty(together * problem.n_rows, np.int32), np.empty(together * size, np.int32),
        np.empty((slots, size), np.int32), np.zeros(slots, np.int64), np.zeros(1, np.int64),
    )  # fmt: skip
