"""Kernels of networks of adaptive neurons: a block of trials forward, and its adjoint backward.

Spikes are rare, and so are synapses of one delay: forward, and in the gradient of weights, work is done per spike; the
adjoint of a neuron's spike is a sum over the list of its synapses, of which each knows its delay. Products of matrices,
one for every delay, would do the same in as many times the operations as there are delays.

Sums are taken in a fixed order within a block, whatever thread has it; see `hpcspike.learners.lsnn_model.simulate` for
the equations.
"""

# t steps, i senders, j neurons, s synapses, b trials of the block side by side in the LANES of a vector.
# Currents on their way are (d, j, b), adjoints (t, j, b), all flat: a synapse with delay d to neuron j is at
# offset (d N + j) LANES.

from __future__ import annotations

from typing import Any

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.rls.capacity import VECTOR_BYTES
from hpcspike.rls.vector_kernels import combine

LANES = VECTOR_BYTES // 4
"""Trials in a block; the rest of a last block is empty."""


@kernel
def run_block(
    inputs: Any,
    first: Any,
    count: Any,
    start: Any,
    begin_in: Any,
    offset_in: Any,
    weight_in: Any,
    begin_rec: Any,
    offset_rec: Any,
    weight_rec: Any,
    bias: Any,
    noise: Any,
    alive: Any,
    sent: Any,
    beta: Any,
    numbers: Any,
    n_refractory: Any,
    n_slots: Any,
    spikes: Any,
    traces: Any,
    slope: Any,
    ratio: Any,
    bound: Any,
) -> None:
    """Run trials first .. first + count - 1.

    Parameters
    ----------
    inputs, start
        (t, B, n_in) bool or float32, and (B, N) potentials before the first step.
    begin_in, offset_in, weight_in, begin_rec, offset_rec, weight_rec
        Synapses by sender: of sender i they are begin[i] .. begin[i + 1] - 1; offsets and weights.
    bias, noise, alive, sent, beta
        (N,), (t, B, N) or (0, 0, N), (N,), (t, N) or (0, N), (N,), all float32.
    numbers
        (5,) float32 alpha, rho, kappa, threshold, damping.
    n_refractory, n_slots
        Steps of silence after a spike; delays are less than n_slots steps.
    spikes, traces
        (t, B, N), filled.
    slope, ratio, bound
        (t, N LANES), filled for `adjoint_block`: dz/dv, v / B and B of every step; slope (0, N LANES): not wanted.
    """
    zero, one = np.float32(0.0), np.float32(1.0)
    alpha, rho, kappa, threshold, damping = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    n_steps, _, n_in = inputs.shape
    n = beta.shape[0]
    width = n * LANES
    v, b = np.zeros(width, np.float32), np.zeros(width, np.float32)
    z, trace = np.zeros(width, np.float32), np.zeros(width, np.float32)
    silent = np.zeros(width, np.int32)
    coming = np.zeros(n_slots * width, np.float32)
    fired = np.empty(width, np.int64)  # neuron LANES + trial of the spikes of the step before
    n_fired = 0
    for j in range(n):
        for k in range(count):
            v[j * LANES + k] = start[first + k, j]
    slot = 0
    end = n_slots * width
    for t in range(n_steps):
        here = slot * width
        for k in range(count):
            for i in range(n_in):
                if inputs[t, first + k, i]:
                    x = np.float32(inputs[t, first + k, i])
                    for s in range(begin_in[i], begin_in[i + 1]):
                        place = here + offset_in[s]
                        place = place - end if place >= end else place
                        coming[place + k] += weight_in[s] * x
        for event in range(n_fired):
            i, k = fired[event] // LANES, fired[event] % LANES
            x = sent[t - 1, i] if sent.shape[0] else one
            if x == zero:
                continue
            for s in range(begin_rec[i], begin_rec[i + 1]):
                place = here + offset_rec[s]
                place = place - end if place >= end else place
                coming[place + k] += weight_rec[s] * x
        n_fired = 0
        for j in range(n):
            shown = sent[t, j] if sent.shape[0] else one
            for k in range(count):
                m = j * LANES + k
                current = coming[here + m] + bias[j]
                coming[here + m] = zero
                b[m] = rho * b[m] + (one - rho) * z[m]
                limit = threshold + beta[j] * b[m]
                before = v[m]
                after = alpha * before + (one - alpha) * current - z[m] * limit
                if noise.shape[0]:
                    after += noise[t, first + k, j]
                v[m] = after
                scaled = (before - limit) / limit
                free = silent[m] == 0
                z[m] = alive[j] if free and scaled > zero else zero
                if z[m] > zero:
                    silent[m] = n_refractory
                    fired[n_fired] = m
                    n_fired += 1
                elif not free:
                    silent[m] -= 1
                trace[m] = kappa * trace[m] + (one - kappa) * z[m] * shown
                spikes[t, first + k, j] = z[m]
                traces[t, first + k, j] = trace[m]
                if slope.shape[0]:
                    slope[t, m] = damping * max(zero, one - abs(scaled)) / limit if free else zero
                    ratio[t, m] = scaled + one
                    bound[t, m] = limit
        slot = 0 if slot + 1 == n_slots else slot + 1


@kernel
def adjoint_block(
    inputs: Any,
    first: Any,
    count: Any,
    begin_rec: Any,
    offset_rec: Any,
    weight_rec: Any,
    all_in: Any,
    all_rec: Any,
    beta: Any,
    numbers: Any,
    n_slots: Any,
    through_network: Any,
    spikes: Any,
    slope: Any,
    ratio: Any,
    bound: Any,
    d_spikes: Any,
    d_traces: Any,
    d_in: Any,
    d_rec: Any,
    d_bias: Any,
) -> None:
    """Gradients of a block's weights from those of its spikes and traces.

    With A the adjoint of v after step t and lambda = (1 - alpha) A, the adjoint of the current of that step,

        dL/dw_ij = sum_t x_i(t) lambda_j(t + d_ij),   dL/dz_i(t) = ... + sum_j w_ij lambda_j(t + d_ij)

    Parameters
    ----------
    inputs, first, count, begin_rec, offset_rec, weight_rec, beta, numbers, n_slots, spikes, slope, ratio, bound
        As for `run_block`.
    all_in, all_rec
        (n_in, N) and (N, N) offsets of all weights, of those that are 0 too.
    through_network
        False: the last sum is left out, and with it what a spike does to other neurons (e-prop).
    d_spikes, d_traces
        (t, B, N) gradients of the loss.
    d_in, d_rec, d_bias
        (n_in, N), (N, N), (N,), zeros on entry; gradients of this block.
    """
    zero, one = np.float32(0.0), np.float32(1.0)
    alpha, rho, kappa = numbers[0], numbers[1], numbers[2]
    n_steps, _, n_in = inputs.shape
    n = beta.shape[0]
    width = n * LANES
    adjoint_v, adjoint_b = np.zeros(width, np.float32), np.zeros(width, np.float32)
    adjoint_z, adjoint_trace = np.zeros(width, np.float32), np.zeros(width, np.float32)
    received = np.zeros((n_steps + n_slots) * width, np.float32)  # lambda
    for t in range(n_steps - 1, -1, -1):
        now = received[t * width :]
        for j in range(n):
            for k in range(count):
                m = j * LANES + k
                z = spikes[t - 1, first + k, j] if t > 0 else zero
                now[m] = (one - alpha) * adjoint_v[m]
                d_bias[j] += now[m]
                on_trace = adjoint_trace[m] + d_traces[t, first + k, j]
                on_spike = d_spikes[t, first + k, j] + adjoint_z[m] + (one - kappa) * on_trace
                adjoint_trace[m] = kappa * on_trace
                on_v = slope[t, m] * on_spike
                on_b = adjoint_b[m] - beta[j] * (on_v * ratio[t, m] + z * adjoint_v[m])
                adjoint_z[m] = (one - rho) * on_b - bound[t, m] * adjoint_v[m]
                adjoint_b[m] = rho * on_b
                adjoint_v[m] = alpha * adjoint_v[m] + on_v
        for i in range(n):
            if t == 0:
                break
            can_fire = False
            for k in range(count):
                m = i * LANES + k
                if slope[t - 1, m] != zero:
                    can_fire = True
                if spikes[t - 1, first + k, i] != zero:
                    for j in range(n):
                        d_rec[i, j] += now[all_rec[i, j] + k]
            if through_network and can_fire:  # elsewhere the adjoint of z is not asked for
                combine(
                    adjoint_z, i * LANES, LANES, now, offset_rec, weight_rec,
                    begin_rec[i], begin_rec[i + 1] - begin_rec[i],
                )  # fmt: skip
        for k in range(count):
            for i in range(n_in):
                if inputs[t, first + k, i]:
                    x = np.float32(inputs[t, first + k, i])
                    for j in range(n):
                        d_in[i, j] += x * now[all_in[i, j] + k]
