"""The synapses of a network by what a program for another simulator must be told apart: decay time and delay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.engine.simulation import decay_per_step
from hpcspike.engine.trained import Trained
from hpcspike.model.connectivity import Rows


class SynapseGroup(NamedTuple):
    """Synapses of one decay time: pre, post, weight (synapses,), in the order in which spikes are delivered.

    name: plastic, fixed or inhibitory; tau_ms: its decay time; late: steps that spikes take beyond the first; decay:
    factor of its drive in a step; jump: tau / tau_s, a spike adds this times the weight.
    """

    name: str
    tau_ms: float
    late: int
    decay: float
    jump: float
    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray


def synapse_groups(network: Trained) -> list[SynapseGroup]:
    """The plastic synapses of a network, then the fixed ones, those of inhibitory neurons apart if they decay apart."""
    problem, weight = network.problem, network.simulation.weight
    synapse, fixed = problem.synapse, problem.static
    fixed_tau = synapse.static_tau_syn_ms or synapse.tau_syn_ms
    delays = synapse.delay_steps(problem.neuron.step_ms)
    plastic = _synapses(problem.plastic, weight)
    found = [_group(network, "plastic", synapse.tau_syn_ms, delays.plastic, plastic)]
    inhibitory_tau = synapse.static_tau_inhibitory_ms
    border = problem.n_neurons if inhibitory_tau is None else problem.first_inhibitory
    pre, post, fixed_weight = _synapses(fixed, fixed.weight.astype(weight.dtype))
    for name, tau_ms, which in (
        ("fixed", fixed_tau, pre < border),
        ("inhibitory", inhibitory_tau or fixed_tau, pre >= border),
    ):
        if which.any():
            part = pre[which], post[which], fixed_weight[which]
            found.append(_group(network, name, tau_ms, delays.static, part))
    return found


def _synapses(rows: Rows, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pre, post and weight, in ascending order of pre, then of post."""
    post = np.repeat(np.arange(len(rows.start) - 1, dtype=np.int32), np.diff(rows.start))
    order = np.lexsort((post, rows.presynaptic))
    return rows.presynaptic[order], post[order], weight[order].astype(np.float64)


def _group(
    network: Trained, name: str, tau_ms: float, delay: int, synapses: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> SynapseGroup:
    neuron, scheme = network.problem.neuron, network.problem.synapse.decay
    decay = decay_per_step(neuron.step_ms, tau_ms, scheme)
    return SynapseGroup(name, tau_ms, delay - 1, decay, neuron.tau_ms / tau_ms, *synapses)
