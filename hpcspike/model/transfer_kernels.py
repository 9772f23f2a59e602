"""Kernels of transfer functions: spikes of uncoupled neurons at given drives, and a tabulated curve with its slope."""

from __future__ import annotations

import math

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.model.neuron_kernels import advance


@kernel
def count_spikes(  # type: ignore[no-untyped-def]
    model, state, parameters, drive, external, noise, step, counts
):
    """Spikes of n uncoupled neurons in some steps, added to ``counts`` (n,).

    model, state (v, n), parameters: see `hpcspike.model.neuron_kernels.advance`; drive (n,): constant synaptic drive u;
    external: constant input I of all; noise (steps, m): input beside it, of neuron i in column i mod m; step: dt / tau.
    """
    n, m = drive.shape[0], noise.shape[1]
    forced, increment = np.empty(n), np.empty(n)
    spikes = np.empty(n, dtype=np.int32)
    for t in range(noise.shape[0]):
        for i in range(n):
            forced[i] = external + noise[t, i % m]
        for s in range(advance(model, state, parameters, drive, forced, step, increment, spikes)):
            counts[spikes[s]] += 1


@kernel
def on_curve(x, knots, rate, slope, tail):  # type: ignore[no-untyped-def]
    """A tabulated transfer function and its derivative at x.

    knots, rate, slope (k,): ascending inputs, rates there and derivatives, cubic between them; below the first knot the
    rate falls as an exponential of length ``tail``, above the last it goes on straight.
    """
    last = knots.shape[0] - 1
    if x <= knots[0]:
        small = math.exp((x - knots[0]) / tail)
        return rate[0] * small, rate[0] / tail * small
    if x >= knots[last]:
        return rate[last] + slope[last] * (x - knots[last]), slope[last]
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if x < knots[middle]:
            high = middle
        else:
            low = middle
    h = knots[high] - knots[low]
    t = (x - knots[low]) / h
    rise = (rate[high] - rate[low]) / h
    # the cubic of given values and slopes at both ends
    quadratic = 3.0 * rise - 2.0 * slope[low] - slope[high]
    cubic = slope[low] + slope[high] - 2.0 * rise
    value = rate[low] + h * t * (slope[low] + t * (quadratic + t * cubic))
    return value, slope[low] + t * (2.0 * quadratic + 3.0 * t * cubic)


@kernel
def on_curves(x, curve, start, knots, rate, slope, tail, value, derivative):  # type: ignore[no-untyped-def]
    """`on_curve` of neurons i at x[i, :], each on its own curve: x, value, derivative (n, samples), curve (n,).

    start (curves + 1,): where each curve begins in knots, rate and slope; tail (curves,).
    """
    for i in range(x.shape[0]):
        c = curve[i]
        begin, end = start[c], start[c + 1]
        for m in range(x.shape[1]):
            found = on_curve(x[i, m], knots[begin:end], rate[begin:end], slope[begin:end], tail[c])
            value[i, m], derivative[i, m] = found
