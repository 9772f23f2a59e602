"""Small kernels around a weight update: the rate error, the learning curve, filtered spikes at the samples."""

from __future__ import annotations

import math

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.model.rate_law_kinds import LEAST_INPUT, MEASURED, PHI_1
from hpcspike.model.transfer_kernels import on_curve


@kernel
def rate_error(drive, external, target, law, error, gain):  # type: ignore[no-untyped-def]
    """error = f - phi(u + I) and gain = phi'(u + I) of every neuron (paper Eqs 13, 14, 17, 19); all arrays (n,).

    law: a `hpcspike.model.rate_law.RateLaw`.
    """
    smoothing = law.smoothing
    for i in range(drive.shape[0]):
        if law.kind == MEASURED:
            c = law.curve[i]
            begin, end = law.start[c], law.start[c + 1]
            rate, gain[i] = on_curve(
                drive[i] + law.external_gain * external[i], law.knots[begin:end], law.rate[begin:end],
                law.slope[begin:end], law.tail[c],
            )  # fmt: skip
            error[i] = target[i] - rate
            continue
        if law.kind == PHI_1:
            x = drive[i] + external[i]
            error[i] = target[i] - math.sqrt(max(x, 0.0)) / math.pi
            gain[i] = 1.0 / (2.0 * math.pi * math.sqrt(max(x, LEAST_INPUT))) if x > 0.0 else 0.0
            continue
        x = (drive[i] + external[i]) / smoothing
        if x > 0.0:
            small = math.exp(-x)
            log_term = x + math.log1p(small)
            sigmoid = 1.0 / (1.0 + small)
        else:
            small = math.exp(x)
            log_term = math.log1p(small)
            sigmoid = small / (1.0 + small)
        root = math.sqrt(smoothing * log_term)
        error[i] = target[i] - root / math.pi  # Eq 14, Eq 17: f - phi_2(u + I)
        gain[i] = sigmoid / (2.0 * math.pi * root) if root > 0.0 else 0.0  # Eq 16: phi_2'(u + I)


@kernel
def end_interval(filtered, trace, decays):  # type: ignore[no-untyped-def]
    """r at the end of an interval: what it was at its start, decayed, and what the spikes add.

    decays (classes,): factor of each decay time; filtered, trace (classes * N,).
    """
    size = filtered.shape[0] // decays.shape[0]
    for one in range(decays.shape[0]):
        decay = decays[one]
        for j in range(one * size, (one + 1) * size):
            filtered[j] = decay * filtered[j] + trace[j]  # Eq 7


@kernel
def accumulate_moments(value, target, moments):  # type: ignore[no-untyped-def]
    """Add one sample to the sums of x, x^2 and x f per neuron; value, target (n,), moments (3, n)."""
    for i in range(value.shape[0]):
        x = value[i]
        moments[0, i] += x
        moments[1, i] += x * x
        moments[2, i] += x * target[i]


@kernel
def goal_statistics(goals, mean, variation):  # type: ignore[no-untyped-def]
    """Mean and summed squared deviations of each neuron's goals (updates, n), into mean and variation (n,).

    The variation is exactly 0 where a goal is constant. Sums are over updates in turn, whatever n.
    """
    updates, n = goals.shape
    mean[:] = 0.0
    for m in range(updates):
        for i in range(n):
            mean[i] += goals[m, i]
    varies = np.zeros(n, dtype=np.bool_)
    for i in range(n):
        mean[i] /= updates
        variation[i] = 0.0
    for m in range(updates):
        for i in range(n):
            deviation = goals[m, i] - mean[i]
            variation[i] += deviation * deviation
            varies[i] |= goals[m, i] != goals[0, i]
    for i in range(n):
        if not varies[i]:
            variation[i] = 0.0


@kernel
def squared_changes(start, now, before, result):  # type: ignore[no-untyped-def]
    """Sum of (now - before)^2 over each compressed row, in the order of its entries, into result (n,)."""
    for i in range(result.shape[0]):
        total = 0.0
        for q in range(start[i], start[i + 1]):
            change = np.float64(now[q]) - np.float64(before[q])
            total += change * change
        result[i] = total


@kernel
def filter_spikes(step, neuron, first, decay, jump, begin, every, result):  # type: ignore[no-untyped-def]
    """Filtered spike trains of a block at its samples (paper Eq 7), from rest at step 0.

    step, neuron (spikes,): in order of time; decay per step; jump: what a spike adds to r;
    result (n, samples): r after step begin + (m + 1) every - 1 for sample m.
    """
    n, samples = result.shape
    for i in range(n):
        for m in range(samples):
            result[i, m] = 0.0
    for s in range(step.shape[0]):
        i = neuron[s] - first
        m = (step[s] - begin) // every if step[s] >= begin else 0
        if m < samples:
            last = begin + (m + 1) * every - 1
            result[i, m] += jump * decay ** (last - step[s])  # Eq 7: what a spike adds to r
    carry = decay**every
    for i in range(n):
        for m in range(1, samples):
            result[i, m] += carry * result[i, m - 1]
