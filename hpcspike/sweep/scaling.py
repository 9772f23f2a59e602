"""What one large network costs on many ranks: a model on paper with constants measured on one node.

Per loop, with n = N / R neurons on each of R ranks, S steps, U weight updates, K plastic and K_0 fixed inputs, and m
spikes per step and rank,

    neurons   S n (c_neuron + c_noise)                    (c_noise: of noise that is new in every trial, if any)
    deliver   S m R (K + K_0) / R c_synapse            (every rank delivers to its own rows only)
    exchange  S ceil(m / B) (L ceil(log2 R) + 256 bytes R / bandwidth),  B = 63 spikes in the first message
    replicate U N c_trace                                 (r is kept whole on every rank: the part that does not scale)
    update    U n c(K)                                    (`hpcspike.sweep.cost.seconds_of_update`)

What it leaves out: imbalance (blocks are balanced by K^2, spikes are not), contention of ranks for the memory of a
node, noise of the operating system, which a collective per step amplifies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpcspike.engine.communication import SPIKE_BUFFER
from hpcspike.runs.facts import facts_of
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.cost import (
    FIRING_RATE_HZ,
    SECONDS_PER_DELIVERY,
    in_degrees,
    seconds_of_noise,
    seconds_of_update,
)

SECONDS_PER_TRACE = 1.5e-9
"""Bringing r of one neuron up to date, once per update."""
LATENCY_SECONDS = {"node": 2.5e-6, "network": 2.0e-6}
"""One stage of an allgather: measured between two processes of a node (MPICH), assumed for a fast network."""
BYTES_PER_SECOND = 1.0e10
"""Bandwidth of a rank's link, assumed."""
RANKS_PER_NODE = 64


@dataclass(frozen=True)
class LoopTime:
    """Seconds of one training loop by phase, on every rank."""

    neurons: float
    deliver: float
    exchange: float
    replicate: float
    update: float

    @property
    def total(self) -> float:
        """Seconds of the whole loop."""
        return self.neurons + self.deliver + self.exchange + self.replicate + self.update


def loop_time(experiment: Experiment, ranks: int, *, rate_hz: float = FIRING_RATE_HZ) -> LoopTime:
    """Predicted seconds of one training loop on ``ranks`` ranks with one thread each."""
    facts = facts_of(experiment)
    n, duration = facts.n_neurons, facts.duration_ms
    k, fixed = in_degrees(experiment, n)
    training, step_ms = experiment.training, experiment.neuron.step_ms
    steps = (experiment.protocol.free_run_ms + experiment.stimulus.duration_ms + duration) / step_ms
    updates = duration / training.update_interval_ms
    own, spikes = n / ranks, n * rate_hz * step_ms / 1000.0
    messages = max(1, math.ceil(spikes / ranks / SPIKE_BUFFER))
    latency = LATENCY_SECONDS["node" if ranks <= RANKS_PER_NODE else "network"]
    stage = latency * math.ceil(math.log2(ranks)) if ranks > 1 else 0.0
    volume = 4.0 * (1 + SPIKE_BUFFER) * ranks / BYTES_PER_SECOND if ranks > 1 else 0.0
    return LoopTime(
        neurons=steps * own * (experiment.neuron.facts.seconds_per_step + seconds_of_noise(experiment, training=True)),
        deliver=steps * spikes * (k + fixed) / ranks * SECONDS_PER_DELIVERY,
        exchange=steps * messages * (stage + volume),
        replicate=updates * n * SECONDS_PER_TRACE,
        update=updates * own * seconds_of_update(experiment, k, own),
    )
