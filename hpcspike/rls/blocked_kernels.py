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

import numba

from hpcspike.accelerate import kernel, parallel_kernel
from hpcspike.rls.vector_kernels import TILE_ROWS, combine, prefetch_lines, subtract_outer


@kernel
def update_row(  # type: ignore[no-untyped-def]
    i, first, k, width, p_at, v_at, kept, capacity, fresh, decay, presynaptic, weight, covariance, vectors,
    shrinks, scalars, filtered, trace, events, n_events, error, c, drive, sources, factors, values,
):  # fmt: skip
    """One update of row i. ``kept`` vectors wait; the new one goes to slot ``kept``.

    width: padded K, stride of P and of the kept vectors; p_at, v_at: where P and the kept vectors of the row start.
    fresh: r is known only as a whole (start of a window). scalars (2,): beta and q.k of the last update.
    sources, factors, values: work arrays of this thread.
    """
    slot = v_at + kept * width
    if fresh:
        for b in range(width):
            vectors[slot + b] = 0
        for a in range(k):
            sources[a] = p_at + a * width
            factors[a] = filtered[presynaptic[first + a]]
        combine(vectors, slot, width, covariance, sources, factors, k)
        for j in range(kept):
            total = 0.0
            for a in range(k):
                total += vectors[v_at + j * width + a] * filtered[presynaptic[first + a]]
            sources[j] = v_at + j * width
            factors[j] = -shrinks[j] * total
        combine(vectors, slot, width, vectors, sources, factors, kept)
        product = 0.0
        for a in range(k):
            product += vectors[slot + a] * filtered[presynaptic[first + a]]
    else:
        n = n_events[i]
        last = v_at + (kept - 1 if kept > 0 else capacity - 1) * width
        carry = decay * scalars[0]
        along = 0.0
        for e in range(n):
            a = events[first + e]
            s = trace[presynaptic[first + a]]
            values[e] = s
            along += vectors[last + a] * s
            sources[e] = p_at + a * width
            factors[e] = s
        product = decay * (carry * scalars[1] + scalars[0] * along)
        # a one-vector buffer overwrites the last vector in place, element by element
        for b in range(width):
            vectors[slot + b] = carry * vectors[last + b]
        combine(vectors, slot, width, covariance, sources, factors, n)
        if n > 0:
            for j in range(kept):
                total = 0.0
                for e in range(n):
                    total += vectors[v_at + j * width + events[first + e]] * values[e]
                sources[j] = v_at + j * width
                factors[j] = -shrinks[j] * total
            combine(vectors, slot, width, vectors, sources, factors, kept)
        for e in range(n):
            product += vectors[slot + events[first + e]] * values[e]
    beta = 1.0 / (1.0 + c * c * product)
    shrinks[kept] = c * c * beta
    scalars[0] = beta
    scalars[1] = product
    change = error * c * beta
    for a in range(k):
        weight[first + a] += change * vectors[slot + a]
    drive[i] += change * product


@kernel
def flush_row(k, width, p_at, v_at, kept, covariance, vectors, shrinks, scaled):  # type: ignore[no-untyped-def]
    """P_B <- P_B - sum_j den_j k_j k_j^T over the kept vectors of one row; scaled: work array of this thread."""
    for j in range(kept):
        for b in range(width):
            scaled[j * width + b] = shrinks[j] * vectors[v_at + j * width + b]
    for r in range(0, k, TILE_ROWS):
        subtract_outer(covariance, p_at + r * width, width, width, scaled, r, vectors, v_at, width, kept)


def _update_rows(
    bounds, start, widths, p_start, v_start, kept, capacity, fresh, flush, decay, presynaptic, weight, covariance,
    vectors, shrinks, scalars, filtered, trace, events, n_events, error, gain, drive, sources, factors, values, scaled,
):  # fmt: skip
    # thread t has rows bounds[t]:bounds[t + 1] and its own line of the work arrays
    for t in numba.prange(bounds.shape[0] - 1):
        for i in range(bounds[t], bounds[t + 1]):
            k = start[i + 1] - start[i]
            if i + 1 < bounds[t + 1]:
                following = i + 1
                for e in range(n_events[following]):
                    a = events[start[following] + e]
                    prefetch_lines(covariance, p_start[following] + a * widths[following], widths[following])
            if k > 0:
                update_row(
                    i, start[i], k, widths[i], p_start[i], v_start[i], kept, capacity, fresh, decay, presynaptic,
                    weight, covariance, vectors, shrinks[i], scalars[i], filtered, trace, events, n_events, error[i],
                    gain[i], drive, sources[t], factors[t], values[t],
                )  # fmt: skip
                if flush:
                    flush_row(
                        k, widths[i], p_start[i], v_start[i], kept + 1, covariance, vectors, shrinks[i], scaled[t]
                    )


update_rows = kernel(_update_rows)
update_rows_parallel = parallel_kernel(_update_rows)
