"""The step loop: advance neurons, exchange spikes, keep the synaptic drives up to date."""

from __future__ import annotations

import numpy as np

from hpcspike.accelerate import inline_kernel, kernel
from hpcspike.engine.delay_kernels import exchange_steps, spikes_that_arrive, wait_to_leave
from hpcspike.engine.delivery_kernels import deliver_fixed, deliver_plastic, list_events
from hpcspike.engine.exchange_kernels import exchange_spikes
from hpcspike.engine.team_kernels import COUNT_STRIDE, COUNTS, TOLD, meet, part_of
from hpcspike.model.neuron_kernels import advance


@inline_kernel
def fade(drive, factor):  # type: ignore[no-untyped-def]
    """drive (n,) *= factor, in the precision of drive."""
    factor = drive.dtype.type(factor)
    for i in range(drive.shape[0]):
        drive[i] *= factor


@inline_kernel
def fade_rows(drive, factors, low, high):  # type: ignore[no-untyped-def]
    """drive (n,) of rows low to high - 1 *= factors, one (1,) for all or one for each of all rows."""
    if factors.shape[0] == 1:
        fade(drive, factors[0])
    else:
        for i in range(low, high):
            drive[i - low] *= drive.dtype.type(factors[i])


@inline_kernel
def keep_trace(trace, everyone, total, amounts):  # type: ignore[no-untyped-def]
    """trace (classes * N,) += amounts (classes,) at the ``total`` neurons of everyone."""
    size = trace.shape[0] // amounts.shape[0]
    for one in range(amounts.shape[0]):
        amount = amounts[one]
        for s in range(total):
            trace[one * size + everyone[s]] += amount


@kernel
def run_own_steps(  # type: ignore[no-untyped-def]
    member, members, team, bounds, n_steps, steps_left, first, model, step, decays, jump, sizes,
    static_decay, static_jump, border, inhibitory_decay, inhibitory_jump,
    state, parameters, entering, drive, static_drive, inhibitory_drive, readout, external, noise, clamp, trace,
    increment, received, forced, spikes, feed_start, feed,
    everyone, address, kind, world, send, receive, seconds,
    plastic_begin, plastic_row, plastic_synapse, weight,
    static_begin, static_row, static_weight,
    collect, row_start, events, n_events,
    record_every, record, spike_step, spike_neuron,
    late_plastic, late_static, together, n_neurons, waiting, arrived, flight, n_flight, passed,
):  # fmt: skip
    """Run ``n_steps`` steps of the rows of one thread; the interval they belong to ends after ``steps_left`` steps.

    Order within a step, that of the paper's program: neurons move with the drive of the previous step, then the
    drives decay and receive the spikes. Spikes are delivered in ascending order of the presynaptic neuron.

    member, members, team: which of how many threads, see `hpcspike.engine.team_kernels`; bounds (threads + 1,): rows of
    each. All arrays are those of the whole block.
    first: first neuron of the block; step: dt / tau; decays: factor of r and u per step, (1,) or one for each row (n,);
    jump (m, classes): tau / tau_s times decay^m, what a spike adds to r of each decay time when m more steps of the
    interval follow; sizes: tau / tau_s of each row (n,), empty if all have one; static_decay, static_jump: the same of
    the fixed synapses. inhibitory_drive (n,): u of the fixed synapses from neuron ``border`` on, which has a decay and
    a jump of its own; empty: they are no exception.
    model, state (v, n), parameters: see `hpcspike.model.neuron_kernels.advance`.
    drive, static_drive (n,): u of the plastic and of the fixed synapses; readout (n,): w.r with the weights of the
    moment where that is not the drive, else empty. external (n,): constant input I; noise (n_steps, n): added to it
    step by step; empty: nothing. trace (classes * N,): what the spikes of this interval add to r by its end.
    entering (n,): the drive that moves the neurons in the first step (after a weight update still the one before it).
    clamp (n_steps, n): what the neurons receive in place of the drives, step by step; empty: the drives themselves.
    feed_start (n_steps + 1,), feed (spikes,): sources beside the neurons that spike in each step, ascending and from N
    on; empty: there are none. They act after the neurons.
    everyone (N + sources,), address, kind, world, send, receive, seconds: see
    `hpcspike.engine.exchange_kernels.exchange_spikes`.
    plastic_*: synapses by presynaptic neuron, begin (threads + 1, N), postsynaptic row and index into weight
    (synapses,), see `hpcspike.engine.delivery.Delivery`.
    static_*: the same for fixed weights. collect: list for every row which of its inputs spiked for the first time in
    the interval, in events (synapses,) from row_start[row], as position in the row; n_events (n,).
    record (records, n): drive after every record_every-th step (0: never). spike_step, spike_neuron: spikes of the
    block, step counted from 0, as many as fit (they must fit). late_plastic to passed: the
    parts of a `hpcspike.engine.transit.Transit`, one by one, for threads take no tuples of arrays; with delays beyond
    one step, each kind of synapse receives the spikes of an earlier step.
    Returns the number of spikes of the block to member 0 and 0 to the others, or -1 to all if the exchange failed.
    """
    low, high, part, next_part = part_of(bounds, member, members)
    n = high - low
    size = jump[0, 0]
    recorded = 0
    clamped = clamp.shape[0] > 0
    noisy = noise.shape[0] > 0
    separate = readout.shape[0] > 0
    static = static_row.shape[0] > 0
    split = inhibitory_drive.shape[0] > 0
    fed = feed_start.shape[0] > 0
    plastic, plastic_end = plastic_begin[part], plastic_begin[next_part]
    fixed, fixed_end = static_begin[part], static_begin[next_part]
    # a thread's part of a table by columns is not contiguous: its columns are taken out, and put back at the end
    own_state = state if members == 1 else state[:, low:high].copy()
    own_parameters = parameters if members == 1 or parameters.shape[1] == 1 else parameters[:, low:high].copy()
    own_drive, own_static, own_inhibitory = drive[low:high], static_drive[low:high], inhibitory_drive[low:high]
    own_external, own_received, own_forced = external[low:high], received[low:high], forced[low:high]
    own_spikes, own_increment = spikes[low:high], increment[low:high]
    forcing = own_external
    delayed = flight.shape[0] > 0
    total, n_waiting, held = 0, 0, 0
    for t in range(n_steps):
        moving = entering[low:high] if t == 0 else own_drive
        if clamped:
            moving = clamp[t][low:high]
        elif static:
            for i in range(n):
                own_received[i] = moving[i] + own_static[i]
            if split:
                for i in range(n):
                    own_received[i] += own_inhibitory[i]
            moving = own_received
        if noisy:
            shaking = noise[t][low:high]
            for i in range(n):
                own_forced[i] = own_external[i] + shaking[i]
            forcing = own_forced
        count = advance(model, own_state, own_parameters, moving, forcing, step, own_increment, own_spikes)
        team[COUNTS + member * COUNT_STRIDE] = count
        meet(team, members)
        if member == 0:
            count = np.int64(0)  # a literal would be a type of its own, and the exchange compiled twice
            for one in range(members):
                begin = bounds[one]
                for s in range(team[COUNTS + one * COUNT_STRIDE]):
                    spikes[count] = begin + spikes[begin + s]
                    spike_step[recorded] = t
                    spike_neuron[recorded] = first + spikes[count]
                    count += 1
                    recorded += 1
            if t > 0:  # now that every thread has listed the events of the last step
                keep_trace(trace, everyone, total, jump[steps_left - t])
            if delayed:
                n_waiting = wait_to_leave(waiting, n_waiting, held, n_neurons, first, spikes, count)
                held += 1
                passed[0] += 1
                if held == together or t == n_steps - 1:
                    total = exchange_steps(
                        waiting, n_waiting, held, n_neurons, arrived, flight, n_flight, passed, address, kind, world,
                        send, receive, seconds,
                    )  # fmt: skip
                    n_waiting, held = 0, 0
                if total >= 0:
                    total = spikes_that_arrive(late_plastic, flight, n_flight, passed, everyone)
            else:
                total = exchange_spikes(first, spikes, count, everyone, address, kind, world, send, receive, seconds)
            if fed and total >= 0:
                for s in range(feed_start[t], feed_start[t + 1]):
                    everyone[total] = feed[s]
                    total += 1
            team[TOLD] = total
        meet(team, members)
        total = team[TOLD]
        if total < 0:
            return -1
        n_fed = feed_start[t + 1] - feed_start[t] if fed else 0
        fade_rows(own_drive, decays, low, high)  # Eq 6: u decays
        if static:
            fade(own_static, static_decay)
            heard, above = everyone, total - n_fed
            if delayed:  # of another step than what plastic synapses receive
                slot = (passed[0] - late_static) % flight.shape[0]
                heard, above = flight[slot], n_flight[slot]
            below = above
            if split:
                below = 0
                while below < above and heard[below] < border:
                    below += 1
                fade(own_inhibitory, inhibitory_decay)
                deliver_fixed(
                    heard, below, above, fixed, fixed_end, static_row, static_weight, inhibitory_jump, inhibitory_drive
                )  # fmt: skip
            deliver_fixed(
                heard, 0, below, fixed, fixed_end, static_row, static_weight, static_jump, static_drive
            )  # fmt: skip
        if separate:
            fade_rows(readout[low:high], decays, low, high)
        deliver_plastic(
            everyone, total, plastic, plastic_end, plastic_row, plastic_synapse, weight, size, sizes, drive, readout
        )  # fmt: skip
        if collect:
            list_events(
                everyone, total, plastic, plastic_end, plastic_row, plastic_synapse, trace, row_start, events, n_events
            )
        if record_every > 0 and (t + 1) % record_every == 0:
            line = record[(t + 1) // record_every - 1][low:high]
            for i in range(n):
                line[i] = own_drive[i] + own_static[i]
            if split:
                for i in range(n):
                    line[i] += own_inhibitory[i]
    if members > 1:
        for v in range(state.shape[0]):
            for i in range(n):
                state[v, low + i] = own_state[v, i]
    meet(team, members)
    if member == 0 and n_steps > 0:
        keep_trace(trace, everyone, total, jump[steps_left - n_steps])
    return recorded
