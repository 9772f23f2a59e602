"""Exact recursive least squares with the matrix-vector product removed and the rank-1 updates deferred.

Notation of one row (neuron): K plastic inputs, q = r of the inputs, a = decay of r between updates, s = what the spikes
since the last update added to q (non-zero at the events only), k_n = P_{n-1} q_n, c = gain,
den = c^2 / (1 + c^2 q.k), P_n = P_B - sum_j den_j k_j k_j^T over the updates j that P_B does not contain yet.
Since q_{n+1} = a q_n + s and P_n q_n = k_n / (1 + c^2 q_n.k_n) =: beta_n k_n,

    k_{n+1} = a beta_n k_n + P_B s - sum_j den_j (k_j.s) k_j ,
    q_{n+1}.k_{n+1} = a (a beta_n q_n.k_n + beta_n k_n.s) + k_{n+1}.s ,

so only the rows of P_B that belong to spikes are read. Every `capacity` updates P_B takes the kept vectors in at once.
"""

from __future__ import annotations

import math

from hpcspike.accelerate import kernel, prefetch_l2
from hpcspike.rls.vector_kernels import combine, finish_streaming, pack, scale, subtract_square

_AHEAD = 2
"""Rows between the one whose rows of P are asked for and the one in work."""


@kernel
def update_part(  # type: ignore[no-untyped-def]
    t, bounds, start, widths, p_start, v_start, kept, capacity, fresh, flush, streaming, lanes, decays, presynaptic,
    weight, covariance, vectors, shrinks, scalars, filtered, trace, events, n_events, error, gain, drive, sources,
    factors, values, packed, prior,
):  # fmt: skip
    # One function without calls or slices: at a microsecond per row, handing arrays around would be half of it.
    # Thread t has rows bounds[t]:bounds[t + 1] and line t of the work arrays sources, factors, values and packed.
    # k plastic inputs of a row, width: k padded; p_at, v_at: where P and the kept vectors of the row start.
    # kept vectors wait, the new one goes to slot kept. fresh: r is known only as a whole (start of a window).
    # shrinks[i, j]: den of kept vector j; scalars[i]: beta and q.k of the last update. lanes: numbers in a vector.
    # decays (n,): decay of r between updates. streaming: see subtract_square. prior: weights change by the P before.
    line, packed_line = sources.shape[0] // (bounds.shape[0] - 1), packed.shape[0] // (bounds.shape[0] - 1)
    own = t * line
    for i in range(bounds[t], bounds[t + 1]):
        later = i + _AHEAD
        if later < bounds[t + 1] and not fresh:
            # into L2: a cold row of 1.2 kB costs 156 ns unasked, 140 ns through L1, 83 to 92 ns through L2
            for e in range(n_events[later]):
                asked = p_start[later] + events[start[later] + e] * widths[later]
                for b in range(0, widths[later], lanes):
                    prefetch_l2(covariance, asked + b)
        first = start[i]
        k = start[i + 1] - first
        if k == 0:
            continue
        width, p_at, v_at = widths[i], p_start[i], v_start[i]
        slot = v_at + kept * width
        n = n_events[i]
        if fresh:
            for b in range(width):
                vectors[slot + b] = 0
            for a in range(k):
                sources[own + a] = p_at + a * width
                factors[own + a] = filtered[presynaptic[first + a]]
            combine(vectors, slot, width, covariance, sources, factors, own, k)
            for j in range(kept):
                total = 0.0
                for a in range(k):
                    total += vectors[v_at + j * width + a] * filtered[presynaptic[first + a]]
                sources[own + j] = v_at + j * width
                factors[own + j] = -shrinks[i, j] * total
            combine(vectors, slot, width, vectors, sources, factors, own, kept)
            product = 0.0
            for a in range(k):
                product += vectors[slot + a] * filtered[presynaptic[first + a]]
        else:
            last = v_at + (kept - 1 if kept > 0 else capacity - 1) * width
            decay, beta = decays[i], scalars[i, 0]
            carry = decay * beta
            along = 0.0
            for e in range(n):
                a = events[first + e]
                s = trace[presynaptic[first + a]]
                values[own + e] = s
                along += vectors[last + a] * s
                sources[own + e] = p_at + a * width
                factors[own + e] = s
            product = decay * (carry * scalars[i, 1] + beta * along)
            # a one-vector buffer overwrites the last vector in place, element by element
            scale(vectors, slot, width, vectors, last, carry)
            combine(vectors, slot, width, covariance, sources, factors, own, n)
            if n > 0:
                for j in range(kept):
                    total = 0.0
                    for e in range(n):
                        total += vectors[v_at + j * width + events[first + e]] * values[own + e]
                    sources[own + j] = v_at + j * width
                    factors[own + j] = -shrinks[i, j] * total
                combine(vectors, slot, width, vectors, sources, factors, own, kept)
            for e in range(n):
                product += vectors[slot + events[first + e]] * values[own + e]
        c = gain[i]
        beta = 1.0 / (1.0 + c * c * product)
        shrinks[i, kept] = c * c * beta  # Eq 16: c r in place of r
        scalars[i, 0] = beta
        scalars[i, 1] = product
        change = error[i] * c * (1.0 if prior else beta)
        for a in range(k):
            weight[first + a] += change * vectors[slot + a]  # Eq 12, Eq 19
        drive[i] += change * product  # Eq 8: u = w.r of the new w
        if flush:
            # P_B <- P_B - sum_j (sqrt(den_j) k_j) (sqrt(den_j) k_j)^T: equal factors keep P symmetric to the bit
            work = t * packed_line
            for j in range(capacity):
                pack(
                    packed, work + j * lanes, capacity * lanes, width, vectors, v_at + j * width,
                    math.sqrt(shrinks[i, j]),
                )  # fmt: skip
            subtract_square(covariance, p_at, width, packed, work, capacity, streaming)  # Eq 11, Eq 18
    if flush and streaming:
        finish_streaming()
