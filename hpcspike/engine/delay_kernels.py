"""Spikes in flight: those of the last steps, on every rank, until their delay is over.

Ranks tell each other their spikes once per smallest delay, not in every step: nobody needs a spike of step t before
step t + delay - 1 ends. ``flight`` (slots, N) int32 holds the spikes of step t, ascending, in slot t mod slots, and
``n_flight`` (slots,) how many; ``passed`` (1,) is the number of steps taken.
"""

from __future__ import annotations

import numpy as np

from hpcspike.accelerate import inline_kernel, kernel
from hpcspike.engine.exchange_kernels import exchange_spikes


@inline_kernel
def wait_to_leave(waiting, n_waiting, age, n_neurons, first, spikes, count):  # type: ignore[no-untyped-def]
    """Append spikes (count,), local indices, of the step ``age`` after the last exchange; returns how many wait now.

    waiting: age times N plus the neuron, so that one number says who spiked and when.
    """
    for s in range(count):
        waiting[n_waiting + s] = age * n_neurons + first + spikes[s]
    return n_waiting + count


@kernel
def exchange_steps(  # type: ignore[no-untyped-def]
    waiting, n_waiting, n_steps, n_neurons, arrived, flight, n_flight, passed, address, kind, world, send, receive,
    seconds,
):  # fmt: skip
    """Make the spikes of the last ``n_steps`` steps, up to step ``passed``, known to all; returns -1 on failure.

    arrived: work array for the spikes of all ranks. Blocks are in the order of ranks and spikes of a block in that of
    steps, so that those of a step come to lie in ascending order of neurons.
    """
    # a literal 0 would be a type of its own, and the exchange compiled twice
    total = exchange_spikes(np.int64(0), waiting, n_waiting, arrived, address, kind, world, send, receive, seconds)
    slots = flight.shape[0]
    begin = passed[0] - n_steps + 1
    for age in range(n_steps):
        n_flight[(begin + age) % slots] = 0
    for s in range(total):
        age = arrived[s] // n_neurons
        slot = (begin + age) % slots
        flight[slot, n_flight[slot]] = arrived[s] - age * n_neurons
        n_flight[slot] += 1
    return total


@inline_kernel
def spikes_that_arrive(late, flight, n_flight, passed, everyone):  # type: ignore[no-untyped-def]
    """Copy to ``everyone`` the spikes that were ``late`` steps before step ``passed``; returns how many they are."""
    slot = (passed[0] - late) % flight.shape[0]
    for s in range(n_flight[slot]):
        everyone[s] = flight[slot, s]
    return n_flight[slot]
