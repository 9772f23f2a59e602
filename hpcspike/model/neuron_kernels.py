"""One step of every neuron model behind one call, and the leaky integrate-and-fire neuron."""

from __future__ import annotations

from hpcspike.accelerate import kernel
from hpcspike.model.izhikevich_kernels import advance_izhikevich
from hpcspike.model.theta_kernels import advance_theta

THETA = 0
LIF = 1
IZHIKEVICH = 2
USER = 3
TANH = 4


@kernel
def advance_lif(state, parameters, received, external, step, spikes):  # type: ignore[no-untyped-def]
    """Forward Euler of tau dv/dt = -v + I + gain u; arguments as `advance`.

    state (2, n): v and the steps of refractoriness left; parameters (4, 1): threshold, reset, refractory steps, gain.
    """
    n = received.shape[0]
    v, waiting = state[0], state[1]
    threshold, reset, refractory, gain = parameters[0, 0], parameters[1, 0], parameters[2, 0], parameters[3, 0]
    kind = v.dtype.type
    step, none, one = kind(step), kind(0.0), kind(1.0)
    # apart from the search for spikes, which few neurons pass, so that this loop vectorises
    for i in range(n):
        left = waiting[i]
        change = step * (external[i] + gain * received[i] - v[i])
        v[i] += change if left <= none else none
        waiting[i] = left - one if left > none else none
    count = 0
    for i in range(n):
        if v[i] > threshold:
            spikes[count] = i
            count += 1
            v[i] = reset
            waiting[i] = refractory
    return count


@kernel
def advance(model, state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Advance all neurons of a block by one step and list those that spiked; returns their number.

    model: which neuron; state (v, n), parameters (p, n), or (p, 1) if all neurons share them: as the model has them;
    received, external (n,): synaptic drive u and external input I; step: dt / tau, of Izhikevich neurons dt in ms;
    increment (n,): work array; spikes (n,) int32: local indices, ascending.
    """
    if model == THETA:
        return advance_theta(state, received, external, step, increment, spikes)
    if model == IZHIKEVICH:
        return advance_izhikevich(state, parameters, received, external, step, spikes)
    return advance_lif(state, parameters, received, external, step, spikes)


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
