"""The step loop: advance neurons, hand on spikes, keep the synaptic drive up to date."""

from __future__ import annotations

from hpcspike.accelerate import kernel
from hpcspike.model.theta_kernels import advance_theta as advance


@kernel
def run_steps(  # type: ignore[no-untyped-def]
    n_steps, steps_left, first, step, decay, jump,
    state, entering, drive, external, clamp, trace, increment, spikes,
    plastic_start, plastic_row, plastic_synapse, weight,
    static_start, static_row, static_weight,
    collect, row_start, events, n_events,
    record_every, record, spike_step, spike_neuron,
):  # fmt: skip
    """Run ``n_steps`` steps; the interval they belong to ends after ``steps_left`` steps.

    Order within a step, that of the paper's program: neurons move with the drive of the previous step, then the
    drive decays and receives the spikes. Spikes are delivered in ascending order of the presynaptic neuron.

    first: first neuron of the block; step: dt / tau; decay: factor of r and u per step; jump (m,): tau / tau_s times
    decay^m, what a spike adds to r when m more steps of the interval follow.
    state (v, n), drive (n,), external (n,), trace (N,): spikes of this interval, decayed to its end.
    entering (n,): the drive that moves the neurons in the first step (after a weight update still the one before it).
    clamp (n_steps, n): what the neurons receive in place of the drive, step by step; empty: the drive itself.
    plastic_*: synapses by presynaptic neuron, start (N + 1,), postsynaptic row and index into weight (synapses,).
    static_*: the same for fixed weights. collect: list for every row which of its inputs spiked for the first time in
    the interval, in events (synapses,) from row_start[row], as position in the row; n_events (n,).
    record (records, n): drive after every record_every-th step (0: never). spike_step, spike_neuron: spikes of the
    block, step counted from 0, as many as fit (they must fit).
    Returns the number of spikes of the block.
    """
    n = drive.shape[0]
    size = jump[0]
    recorded = 0
    clamped = clamp.shape[0] > 0
    for t in range(n_steps):
        received = clamp[t] if clamped else (entering if t == 0 else drive)
        count = advance(state, received, external, step, increment, spikes)
        for i in range(n):
            drive[i] *= decay
        weight_in_trace = jump[steps_left - 1 - t]
        for s in range(count):
            j = first + spikes[s]
            spike_step[recorded] = t
            spike_neuron[recorded] = j
            recorded += 1
            for q in range(static_start[j], static_start[j + 1]):
                drive[static_row[q]] += size * static_weight[q]
            for q in range(plastic_start[j], plastic_start[j + 1]):
                drive[plastic_row[q]] += size * weight[plastic_synapse[q]]
            if collect and trace[j] == 0.0:
                for q in range(plastic_start[j], plastic_start[j + 1]):
                    row = plastic_row[q]
                    events[row_start[row] + n_events[row]] = plastic_synapse[q] - row_start[row]
                    n_events[row] += 1
            trace[j] += weight_in_trace
        if record_every > 0 and (t + 1) % record_every == 0:
            record[(t + 1) // record_every - 1, :] = drive
    return recorded
