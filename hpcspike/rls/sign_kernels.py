"""Taking back what a weight update must not do under Dale's law, and taking inputs out of P."""

from __future__ import annotations

import math

import numpy as np

from hpcspike.accelerate import kernel


@kernel
def keep_signs(  # type: ignore[no-untyped-def]
    start, presynaptic, sign, exclude, zero_flips, withhold, update, excluded_at, weight_before, readout_before,
    weight, readout, filtered, rejected,
):  # fmt: skip
    """Undo the changes of excluded synapses and those that would flip a sign.

    start (n + 1,), presynaptic (synapses,): compressed rows; sign (synapses,): -1, 1, or 0 where any weight will do.
    exclude: such synapses are excluded, by writing the number ``update`` into excluded_at (synapses,), which is -1
    until then; zero_flips: a weight that becomes 0 counts as flipped; withhold: rows with a flip do not change at all.
    weight_before (synapses,), readout_before (n,): from before the update; weight, readout: after it, corrected here;
    filtered (N,): r; rejected (n,): number of flips of each row.
    """
    for i in range(rejected.shape[0]):
        count = 0
        taken_back = 0.0
        for a in range(start[i], start[i + 1]):
            after = weight[a]
            side = after * sign[a]
            flips = excluded_at[a] < 0 and (side < 0.0 or (zero_flips and after == 0.0 and sign[a] != 0))
            if flips:
                count += 1
                if exclude:
                    excluded_at[a] = update
            if flips or excluded_at[a] >= 0:
                before = weight_before[a]
                taken_back += (np.float64(after) - np.float64(before)) * filtered[presynaptic[a]]
                weight[a] = before
        rejected[i] = count
        if withhold and count > 0:
            for a in range(start[i], start[i + 1]):
                weight[a] = weight_before[a]
            readout[i] = readout_before[i]
        elif taken_back != 0.0:
            readout[i] -= taken_back


@kernel
def take_in(matrix, k, width, vectors, shrinks, kept):  # type: ignore[no-untyped-def]
    """P -= sum_j shrinks[j] v_j v_j^T over the kept vectors, symmetric to the bit, and forget them.

    matrix (rows * width,): P in k rows of ``width``; vectors (capacity * width,); shrinks (capacity,).
    """
    for a in range(k):
        for b in range(a + 1):
            total = 0.0
            for j in range(kept):
                total += shrinks[j] * (np.float64(vectors[j * width + a]) * np.float64(vectors[j * width + b]))
            value = matrix[a * width + b] - total
            matrix[a * width + b] = value
            matrix[b * width + a] = matrix[a * width + b]
    vectors[:] = 0
    shrinks[:] = 0.0


@kernel
def remove_inputs(matrix, k, width, inputs, condition, work):  # type: ignore[no-untyped-def]
    """Set rows and columns of P to zero, one input after the other.

    condition: before, P -= P_x P_x^T / P_xx for each input x, which leaves the inverse of what remains of the inverse
    of P. Arguments as `take_in`; inputs (m,): positions in the row; work (k,) float64.
    """
    for x in inputs:
        pivot = np.float64(matrix[x * width + x])
        if condition and pivot > 0.0:
            scale = 1.0 / math.sqrt(pivot)
            for a in range(k):
                work[a] = scale * np.float64(matrix[x * width + a])
            for a in range(k):
                for b in range(k):
                    matrix[a * width + b] -= work[a] * work[b]
        for a in range(k):
            matrix[x * width + a] = 0
            matrix[a * width + x] = 0
