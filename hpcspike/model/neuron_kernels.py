"""One step of every built-in neuron model behind one call, and the leaky integrate-and-fire neuron."""

from __future__ import annotations

from hpcspike.accelerate import kernel
from hpcspike.model.theta_kernels import advance_theta

THETA = 0
LIF = 1


@kernel
def advance_lif(state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Forward Euler of tau dv/dt = -v + I + gain u; arguments as `advance`.

    state (2, n): v and the steps of refractoriness left; parameters (4, n): threshold, reset, refractory steps, gain.
    """
    n = received.shape[0]
    v, waiting = state[0], state[1]
    threshold, reset, refractory, gain = parameters[0], parameters[1], parameters[2], parameters[3]
    for i in range(n):
        increment[i] = step * (external[i] + gain[i] * received[i] - v[i]) if waiting[i] <= 0.0 else 0.0
    count = 0
    for i in range(n):
        waiting[i] -= 1.0 if waiting[i] > 0.0 else 0.0
        v[i] += increment[i]
        if v[i] > threshold[i]:
            spikes[count] = i
            count += 1
            v[i] = reset[i]
            waiting[i] = refractory[i]
    return count


@kernel
def advance(model, state, parameters, received, external, step, increment, spikes):  # type: ignore[no-untyped-def]
    """Advance all neurons of a block by one step and list those that spiked; returns their number.

    model: which neuron; state (v, n), parameters (p, n): as the model has them; received, external (n,): synaptic drive
    u and external input I; step: dt / tau; increment (n,): work array; spikes (n,) int32: local indices, ascending.
    """
    if model == THETA:
        return advance_theta(state, received, external, step, increment, spikes)
    return advance_lif(state, parameters, received, external, step, increment, spikes)
