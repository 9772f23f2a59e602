"""The step loop: advance neurons, exchange spikes, keep the synaptic drives up to date."""

from __future__ import annotations

from hpcspike.accelerate import inline_kernel, kernel
from hpcspike.engine.delay_kernels import exchange_steps, spikes_that_arrive, wait_to_leave
from hpcspike.engine.delivery_kernels import deliver_fixed, deliver_plastic, list_events
from hpcspike.engine.exchange_kernels import exchange_spikes
from hpcspike.model.neuron_kernels import advance


@inline_kernel
def fade(drive, factor):  # type: ignore[no-untyped-def]
    """drive (n,) *= factor, in the precision of drive."""
    factor = drive.dtype.type(factor)
    for i in range(drive.shape[0]):
        drive[i] *= factor


@kernel
def run_steps(  # type: ignore[no-untyped-def]
    n_steps, steps_left, first, model, step, decay, jump, static_decay, static_jump,
    border, inhibitory_decay, inhibitory_jump,
    state, parameters, entering, drive, static_drive, inhibitory_drive, readout, external, noise, clamp, trace,
    increment, received, forced, spikes, feed_start, feed,
    everyone, address, kind, world, send, receive, seconds,
    plastic_start, plastic_row, plastic_synapse, weight,
    static_start, static_row, static_weight,
    collect, row_start, events, n_events,
    record_every, record, spike_step, spike_neuron, transit,
):  # fmt: skip
    """Run ``n_steps`` steps; the interval they belong to ends after ``steps_left`` steps.

    Order within a step, that of the paper's program: neurons move with the drive of the previous step, then the
    drives decay and receive the spikes. Spikes are delivered in ascending order of the presynaptic neuron.

    first: first neuron of the block; step: dt / tau; decay: factor of r and u per step; jump (m,): tau / tau_s times
    decay^m, what a spike adds to r when m more steps of the interval follow; static_decay, static_jump: the same of the
    fixed synapses. inhibitory_drive (n,): u of the fixed synapses from neuron ``border`` on, which has a decay and a
    jump of its own; empty: they are no exception.
    model, state (v, n), parameters: see `hpcspike.model.neuron_kernels.advance`.
    drive, static_drive (n,): u of the plastic and of the fixed synapses; readout (n,): w.r with the weights of the
    moment where that is not the drive, else empty. external (n,): constant input I; noise (n_steps, n): added to it
    step by step; empty: nothing. trace (N,): what the spikes of this interval add to r by its end.
    entering (n,): the drive that moves the neurons in the first step (after a weight update still the one before it).
    clamp (n_steps, n): what the neurons receive in place of the drives, step by step; empty: the drives themselves.
    feed_start (n_steps + 1,), feed (spikes,): sources beside the neurons that spike in each step, ascending and from N
    on; empty: there are none. They act after the neurons.
    everyone (N + sources,), address, kind, world, send, receive, seconds: see
    `hpcspike.engine.exchange_kernels.exchange_spikes`.
    plastic_*: synapses by presynaptic neuron, start (N + 1,), postsynaptic row and index into weight (synapses,).
    static_*: the same for fixed weights. collect: list for every row which of its inputs spiked for the first time in
    the interval, in events (synapses,) from row_start[row], as position in the row; n_events (n,).
    record (records, n): drive after every record_every-th step (0: never). spike_step, spike_neuron: spikes of the
    block, step counted from 0, as many as fit (they must fit). transit: a `hpcspike.engine.transit.Transit`; with
    delays beyond one step, each kind of synapse receives the spikes of an earlier step.
    Returns the number of spikes of the block, or -1 if the exchange failed.
    """
    n = drive.shape[0]
    size = jump[0]
    recorded = 0
    clamped = clamp.shape[0] > 0
    noisy = noise.shape[0] > 0
    forcing = external
    separate = readout.shape[0] > 0
    static = static_row.shape[0] > 0
    split = inhibitory_drive.shape[0] > 0
    fed = feed_start.shape[0] > 0
    delayed = transit.flight.shape[0] > 0
    total, waiting, held = 0, 0, 0
    for t in range(n_steps):
        moving = entering if t == 0 else drive
        if clamped:
            moving = clamp[t]
        elif static:
            for i in range(n):
                received[i] = moving[i] + static_drive[i]
            if split:
                for i in range(n):
                    received[i] += inhibitory_drive[i]
            moving = received
        if noisy:
            for i in range(n):
                forced[i] = external[i] + noise[t, i]
            forcing = forced
        count = advance(model, state, parameters, moving, forcing, step, increment, spikes)
        for s in range(count):
            spike_step[recorded] = t
            spike_neuron[recorded] = first + spikes[s]
            recorded += 1
        if delayed:
            waiting = wait_to_leave(transit.waiting, waiting, held, transit.n_neurons, first, spikes, count)
            held += 1
            transit.passed[0] += 1
            if held == transit.together or t == n_steps - 1:
                total = exchange_steps(
                    transit.waiting, waiting, held, transit.n_neurons, transit.arrived, transit.flight,
                    transit.n_flight, transit.passed, address, kind, world, send, receive, seconds,
                )  # fmt: skip
                waiting, held = 0, 0
        else:
            total = exchange_spikes(first, spikes, count, everyone, address, kind, world, send, receive, seconds)
        if total < 0:
            return -1
        if delayed:
            total = spikes_that_arrive(transit.late_static, transit.flight, transit.n_flight, transit.passed, everyone)
        fade(drive, decay)  # Eq 6: u decays
        if static:
            fade(static_drive, static_decay)
            below = total
            if split:
                below = 0
                while below < total and everyone[below] < border:
                    below += 1
                fade(inhibitory_drive, inhibitory_decay)
                deliver_fixed(
                    everyone, below, total, static_start, static_row, static_weight, inhibitory_jump, inhibitory_drive
                )
            deliver_fixed(everyone, 0, below, static_start, static_row, static_weight, static_jump, static_drive)
        if delayed:
            total = spikes_that_arrive(transit.late_plastic, transit.flight, transit.n_flight, transit.passed, everyone)
        if fed:
            for s in range(feed_start[t], feed_start[t + 1]):
                everyone[total] = feed[s]
                total += 1
        if separate:
            fade(readout, decay)
        deliver_plastic(everyone, total, plastic_start, plastic_row, plastic_synapse, weight, size, drive, readout)
        if collect:
            list_events(
                everyone, total, plastic_start, plastic_row, plastic_synapse, trace, row_start, events, n_events
            )
        weight_in_trace = jump[steps_left - 1 - t]
        for s in range(total):
            trace[everyone[s]] += weight_in_trace
        if record_every > 0 and (t + 1) % record_every == 0:
            line = (t + 1) // record_every - 1
            for i in range(n):
                record[line, i] = drive[i] + static_drive[i]
            if split:
                for i in range(n):
                    record[line, i] += inhibitory_drive[i]
    return recorded
