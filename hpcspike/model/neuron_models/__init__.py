"""The built-in neuron models: one file each, named as in ``neuron.model``.

A file ``M.py`` has `parameters` and `initial_state` of model M, and its step as the kernel ``advance_M`` (rate units
have none: `hpcspike.engine.rate_simulation` moves them). That is all: `hpcspike.model.neuron_kernels.advance` finds the
kernel here, and the section of the model in `hpcspike.spec.neurons` says what else is known of it. The three are called
with

``parameters(neuron, neurons)``
    The section, and the numbers of the neurons of a block: (p, n), or (p, 1) if all neurons share them.
``initial_state(neuron, phase, neurons)``
    Phases (n,) in radians, of any turn: the state (v, n). It must depend on a neuron's own phase and number only.
``advance_M(state, parameters, received, external, step, increment, spikes)``
    Moves the neurons by one step and returns how many spiked. state (v, n) is changed in place; received, external
    (n,): synaptic drive u and external input I, frozen during the step; step: dt in the unit of time of the section
    (``facts.unit_of_time``); increment (n,): work array; spikes (n,) int32: local indices of those that spiked,
    ascending.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

MODELS: dict[str, Any] = {
    found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
}
"""Name -> module, in alphabetical order. Compiled code depends on all of them (`hpcspike.kernel_cache`)."""

KERNELS: dict[str, Any] = {
    name: getattr(module, f"advance_{name}") for name, module in MODELS.items() if hasattr(module, f"advance_{name}")
}
"""Name -> kernel of the models that spike."""
