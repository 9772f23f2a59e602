"""One kernel for networks of leaky integrate-and-fire neurons that spike when this lowers the error of a decoded state.

Slow weights are kept as W_s = F G: the slow rules only ever add multiples of columns of F, so this loses nothing and a
step costs N J instead of N^2.
"""

# n neurons, j components of the decoded state, t steps; s seconds.
# F (n, j) input weights and decoder (x_hat = F' r); G (j, n) slow weights seen from the decoded state;
# W (k, n) fast weights, row k: what a spike of neuron k adds to all voltages.

from __future__ import annotations

from typing import Any

import numpy as np

from hpcspike.accelerate import kernel


@kernel
def run_ebn(
    volt: Any,
    trace: Any,
    estimate: Any,
    F: Any,
    W: Any,
    G: Any,
    threshold: Any,
    alive: Any,
    basis: Any,
    basis_offset: Any,
    command: Any,
    wanted: Any,
    noise: Any,
    feedback: Any,
    numbers: Any,
    deleted: Any,
    record: Any,
    fed: Any,
    spike_step: Any,
    spike_neuron: Any,
) -> Any:
    """Advance the network by the steps of ``command``; returns the number of spikes.

    Parameters
    ----------
    volt, trace, estimate
        (n,) V, (n,) r, (j,) x_hat: the state, changed in place.
    F, W, G
        (n, j), (n, n), (j, n) weights; W and G change in place where their rate is not 0.
    threshold, alive
        (n,) T, (n,) bool.
    basis, basis_offset
        (n, j) B and (n,) theta of Psi = tanh(B x_hat + theta); (0, j) and (0,): Psi = r.
    command, wanted
        (t, j) c and x; ``wanted`` (0, j): there is no error current and no slow learning, whatever the rates are.
    noise
        (t, n) added to V, or (0, n).
    feedback
        (t,) K of the error current K F e, or (0,).
    numbers
        dt (s), leak of V (/s), decay of r (/s), eps, beta, mu of the fast rule, eta of the slow rule (/s), and
        the time (s) before which the slow rule is off.
    deleted
        Number of the spike (from 0) that is listed but reaches nobody: its neuron alone is reset; -1: none.
    record, fed
        (t, j) x_hat after every step, and G Psi in it.
    spike_step, spike_neuron
        (t,) int32 buffers of the spikes.
    """
    n, j = F.shape
    dt, leak, decay, eps = numbers[0], numbers[1], numbers[2], numbers[3]
    beta, mu, eta, settle = numbers[4], numbers[5], numbers[6], numbers[7]
    keep_volt, keep_trace = 1.0 - leak * dt, 1.0 - decay * dt
    psi = np.empty(n)
    error, total = np.zeros(j), np.empty(j)
    helped, noisy, curved = wanted.shape[0] > 0, noise.shape[0] > 0, basis.shape[0] > 0
    spikes = 0
    for t in range(command.shape[0]):
        if curved:
            for i in range(n):
                inside = basis_offset[i]
                for a in range(j):
                    inside += basis[i, a] * estimate[a]
                psi[i] = np.tanh(inside)
        else:
            psi[:] = trace
        for a in range(j):
            slow = 0.0
            for i in range(n):
                slow += G[a, i] * psi[i]
            fed[t, a] = slow
            total[a] = command[t, a] + slow
            if helped:
                error[a] = wanted[t, a] - estimate[a]
                total[a] += feedback[t] * error[a]
        if helped and eta != 0.0 and t * dt >= settle:
            for a in range(j):
                step = eta * dt * error[a]
                for i in range(n):
                    G[a, i] += step * psi[i]
        best, most = -1, 0.0
        for i in range(n):
            current = 0.0
            for a in range(j):
                current += F[i, a] * total[a]
            volt[i] = keep_volt * volt[i] + dt * current
            if noisy:
                volt[i] += noise[t, i]
            trace[i] *= keep_trace
            above = volt[i] - threshold[i]
            if above > most and alive[i]:
                best, most = i, above
        for a in range(j):
            estimate[a] *= keep_trace
        if best >= 0:
            spike_step[spikes] = t
            spike_neuron[spikes] = best
            if spikes == deleted:
                volt[best] += W[best, best]
            else:
                for i in range(n):  # the rule sees the voltages before the spike's effect
                    effect = W[best, i]
                    if eps != 0.0:
                        W[best, i] -= eps * (beta * (volt[i] + mu * trace[i]) + effect)
                    volt[i] += effect
                if eps != 0.0:
                    W[best, best] -= eps * mu
                trace[best] += 1.0
                for a in range(j):
                    estimate[a] += F[best, a]
            spikes += 1
        for a in range(j):
            record[t, a] = estimate[a]
    return spikes
