"""Several update intervals of training in one compiled piece: in small networks Python took most of each."""

from __future__ import annotations

import numpy as np

from hpcspike.accelerate import kernel
from hpcspike.engine.exchange_kernels import clock
from hpcspike.engine.step_kernels import run_own_steps
from hpcspike.engine.team_kernels import meet
from hpcspike.engine.training_kernels import accumulate_moments, end_interval, rate_error
from hpcspike.rls.blocked_kernels import update_part


@kernel
def train_own_intervals(  # type: ignore[no-untyped-def]
    member, members, team, live, rls, law, n_updates, n_steps, interval_decays, row_decays, kept, fresh, rate, entering,
    external, noise, current, feed_start, feed, goals, moments, error, gain, value, spike_step, spike_neuron, seconds,
):  # fmt: skip
    """Updates with the steps between them, on the rows of one thread.

    live, rls: `hpcspike.engine.live_arrays.Live` and `hpcspike.rls.blocked.Matrices`; kept, fresh: where the latter
    stands, see `hpcspike.rls.blocked_kernels`. interval_decays (classes,), row_decays (n,): factor of r over an
    interval, of each decay time and of each row. rate: whether rates are trained, through law, a
    `hpcspike.model.rate_law.RateLaw`. member, members, team: see `hpcspike.engine.team_kernels`.
    entering (n,): the drive that moves the neurons in the first step after an update; external (n,) and noise
    (steps, n), empty if there is none: input in the precision of the neurons; current (updates, n): the input at each
    update in float64. feed_start (steps + 1,), feed: see `hpcspike.engine.step_kernels.run_own_steps`;
    goals (updates, n). value (2, n): work array. seconds (2,): grows by the time in steps and in updates.
    Returns how many updates were made (fewer than asked for where P of a row has to be started anew), and how many
    spikes the block sent to member 0; -1 if the exchange between ranks failed.
    """
    n = live.plastic_drive.shape[0]
    drive, readout = value[0], value[1]
    own = live.filtered[live.first : live.first + n]
    split = live.inhibitory_drive.shape[0] > 0
    n_spikes = 0
    began = stepped = clock()
    # literals would be types of their own, and the step loop compiled twice
    collect, record_every = np.bool_(True), np.int64(0)
    for update in range(n_updates):
        if member == 0:
            began = clock()
            live.trace[:] = 0.0
            live.n_events[:] = 0
        meet(team, members)
        found = run_own_steps(
            member, members, team, live.bounds, n_steps, n_steps, live.first, live.model, live.step, live.decays,
            live.jumps, live.sizes, live.static_decay, live.static_jump, live.border, live.inhibitory_decay,
            live.inhibitory_jump,
            live.state, live.parameters, entering, live.plastic_drive, live.static_drive, live.inhibitory_drive,
            live.separate, external, noise[update * n_steps : (update + 1) * n_steps], live.no_clamp,
            live.trace, live.increment, live.received, live.forced, live.spikes,
            feed_start[update * n_steps : (update + 1) * n_steps + 1], feed, live.everyone,
            live.address, live.kind, live.world, live.send, live.receive, live.exchange_seconds,
            live.plastic_begin, live.plastic_row, live.plastic_synapse, live.weight,
            live.static_begin, live.static_row, live.static_weight,
            collect, live.row_start, live.events, live.n_events, record_every, live.no_record, spike_step, spike_neuron,
            live.late_plastic, live.late_static, live.together, live.n_neurons, live.waiting, live.arrived, live.flight,
            live.n_flight, live.passed,
        )  # fmt: skip
        if found < 0:
            return update, -1
        n_spikes += found
        if member == 0:
            end_interval(live.filtered, live.trace, interval_decays)
            stepped = clock()
            for i in range(n):
                drive[i] = live.plastic_drive[i] + live.static_drive[i]
                readout[i] = live.readout[i] + live.static_drive[i]
            if split:
                for i in range(n):
                    drive[i] += live.inhibitory_drive[i]
                    readout[i] += live.inhibitory_drive[i]
            if rate:
                accumulate_moments(own, goals[update], moments)
                rate_error(readout, current[update], goals[update], law, error, gain)
            else:
                accumulate_moments(drive, goals[update], moments)
                for i in range(n):
                    error[i] = goals[update, i] - readout[i]  # Eq 10: f - w.r
            for i in range(n):
                entering[i] = live.plastic_drive[i]
        meet(team, members)
        flush = kept + 1 == rls.capacity
        for part in range(member, rls.bounds.shape[0] - 1, members):
            update_part(
                part, rls.bounds, rls.start, rls.widths, rls.p_start, rls.v_start, kept, rls.capacity, fresh, flush,
                rls.streaming, rls.lanes, row_decays, rls.presynaptic, live.weight, rls.covariance,
                rls.vectors, rls.shrinks, rls.scalars, live.filtered, live.trace, live.events, live.n_events, error,
                gain, live.readout, rls.sources, rls.factors, rls.values, rls.packed, rls.prior,
            )  # fmt: skip
        meet(team, members)
        kept = 0 if flush else kept + 1
        fresh = False
        if member == 0:
            seconds[0] += stepped - began
            seconds[1] += clock() - stepped
        if rls.scalars[:, 1].min() < 0.0:
            return update + 1, n_spikes
    return n_updates, n_spikes
