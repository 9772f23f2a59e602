"""Recursive least squares as in the textbook: one matrix-vector product and one rank-1 update per neuron."""

from __future__ import annotations

from hpcspike.accelerate import kernel


@kernel
def update_rows(  # type: ignore[no-untyped-def]
    t, bounds, start, presynaptic, weight, block_start, covariance, filtered, error, gain, drive, work, prior
):
    # thread t has rows bounds[t]:bounds[t + 1] and work[t]; k plastic inputs of a row;
    # P of row i is covariance[block_start[i]:block_start[i + 1]] as (k, k); prior: weights change by the P before
    for i in range(bounds[t], bounds[t + 1]):
        first = start[i]
        k = start[i + 1] - first
        c = gain[i]
        if k == 0 or c == 0.0:
            continue
        p = covariance[block_start[i] : block_start[i + 1]].reshape((k, k))
        q = work[t, 0, :k]
        h = work[t, 1, :k]
        scaled = work[t, 2, :k]
        for a in range(k):
            q[a] = filtered[presynaptic[first + a]]
            h[a] = 0
        for a in range(k):  # h = P q by rows of the symmetric P: contiguous, and the order of the sum is fixed
            x = q[a]
            for b in range(k):
                h[b] += x * p[a, b]
        product = 0.0
        for a in range(k):
            product += h[a] * q[a]
        shrink = c * c / (1.0 + c * c * product)  # Eq 16: c r in place of r
        change = error[i] * c if prior else error[i] * c / (1.0 + c * c * product)
        for a in range(k):
            scaled[a] = shrink * h[a]
            weight[first + a] += change * h[a]  # Eq 12, Eq 19
        for a in range(k):
            x = scaled[a]
            for b in range(k):
                p[a, b] -= x * h[b]  # Eq 11, Eq 18
        drive[i] += change * product  # Eq 8: u = w.r of the new w
