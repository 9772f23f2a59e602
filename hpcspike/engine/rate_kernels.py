"""One step of a network of rate units."""

from __future__ import annotations

from hpcspike.accelerate import kernel


@kernel
def follow_rates(  # type: ignore[no-untyped-def]
    decay, rate, external, noise, start, presynaptic, weight, static_start, static_presynaptic, static_weight,
    drive, static_drive, filtered,
):  # fmt: skip
    """The low-pass filters of a block take in the rates of all units, which hold for one step.

    decay: factor of the filters per step, a; rate (N,): r = tanh(x); external, noise (n,): input I.
    drive (n,) <- a drive + (1 - a) W r; static_drive likewise with the fixed weights, and I; filtered (N,), z, likewise
    with r. Each row is summed in the order of its synapses, whatever the blocks.
    """
    share = 1.0 - decay
    for i in range(drive.shape[0]):
        total = 0.0
        for q in range(start[i], start[i + 1]):
            total += weight[q] * rate[presynaptic[q]]
        drive[i] = decay * drive[i] + share * total
        total = external[i] + noise[i]
        for q in range(static_start[i], static_start[i + 1]):
            total += static_weight[q] * rate[static_presynaptic[q]]
        static_drive[i] = decay * static_drive[i] + share * total
    for j in range(filtered.shape[0]):
        filtered[j] = decay * filtered[j] + share * rate[j]
