"""One step of every neuron model behind one call."""

from __future__ import annotations

from typing import Any

from hpcspike.accelerate import chained, kernel
from hpcspike.model.neuron_models import KERNELS

MODELS = tuple(KERNELS)
"""Names of the models that spike; `advance` knows them by their place."""


PLACE = -1
CHOSEN: Any = None
OTHERWISE: Any = None
"""Names that `chained` fills in each of its copies."""


def _advance(model, state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Advance all neurons of a block by one step and list those that spiked; returns their number.

    model: its place in `MODELS`; the others: see `hpcspike.model.neuron_models`.
    """
    if model == PLACE:
        return CHOSEN(state, parameters, received, external, step, increment, spikes)
    return OTHERWISE(model, state, parameters, received, external, step, increment, spikes)


@kernel
def _unknown(model, state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """The end of the chain, which no model comes to: nothing moves."""
    return 0


advance = chained(_advance, tuple(KERNELS.values()), _unknown)


@kernel
def step_one(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    """One neuron of `advance_user` by one step: the place that a user's function takes; returns whether it spiked."""
    return False


@kernel
def advance_user(model, state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """`advance` for a user's neuron model; step: dt in ms, parameters (p, n)."""
    count = 0
    for i in range(received.shape[0]):
        if step_one(state[:, i], parameters[:, i], received[i], external[i], step):
            spikes[count] = i
            count += 1
    return count
