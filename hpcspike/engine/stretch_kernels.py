"""Several update intervals of training in one compiled piece: in small networks Python took most of each."""

from __future__ import annotations

from types import FunctionType

from hpcspike.accelerate import kernel
from hpcspike.engine.exchange_kernels import clock
from hpcspike.engine.step_kernels import run_steps
from hpcspike.engine.training_kernels import accumulate_moments, end_interval, rate_error
from hpcspike.rls.blocked_kernels import update_rows, update_rows_parallel


def _train_intervals(  # type: ignore[no-untyped-def]
    live, rls, n_updates, n_steps, interval_decay, kept, fresh, rate, law, entering, external, noise, current,
    feed_start, feed, goals, moments, error, gain, spike_step, spike_neuron, seconds,
):  # fmt: skip
    # live, rls: `hpcspike.engine.simulation.Live` and `hpcspike.rls.blocked.Matrices`; kept, fresh as in update_rows.
    # rate: whether rates are trained, through law, a `hpcspike.model.rate_law.RateLaw`.
    # entering (n,): the drive that moves the neurons in the first step after an update; external (n,) and noise
    # (steps, n), empty if there is none: input in the precision of the neurons; current (updates, n): the input at each
    # update in float64. feed_start (steps + 1,), feed: see run_steps;
    # goals (updates, n). seconds (2,): grows by the time in steps and in updates.
    # Returns how many updates were made (fewer than asked for where P of a row has to be started anew) and how many
    # spikes the block sent, -1 if the exchange between ranks failed.
    n = live.plastic_drive.shape[0]
    drive, value = live.plastic_drive.copy(), live.plastic_drive.copy()
    own = live.filtered[live.first : live.first + n]
    split = live.inhibitory_drive.shape[0] > 0
    n_spikes = 0
    for update in range(n_updates):
        began = clock()
        live.trace[:] = 0.0
        live.n_events[:] = 0
        found = run_steps(
            n_steps, n_steps, live.first, live.model, live.step, live.decay, live.jumps,
            live.static_decay, live.static_jump, live.border, live.inhibitory_decay, live.inhibitory_jump,
            live.state, live.parameters, entering, live.plastic_drive, live.static_drive, live.inhibitory_drive,
            live.separate, external, noise[update * n_steps : (update + 1) * n_steps], live.no_clamp,
            live.trace, live.increment, live.received, live.forced, live.spikes,
            feed_start[update * n_steps : (update + 1) * n_steps + 1], feed, live.everyone,
            live.address, live.kind, live.world, live.send, live.receive, live.exchange_seconds,
            live.plastic_start, live.plastic_row, live.plastic_synapse, live.weight,
            live.static_start, live.static_row, live.static_weight,
            True, live.row_start, live.events, live.n_events, 0, live.no_record, spike_step, spike_neuron,
            live.transit,
        )  # fmt: skip
        if found < 0:
            return update, -1
        n_spikes += found
        end_interval(live.filtered, live.trace, interval_decay)
        stepped = clock()
        for i in range(n):
            drive[i] = live.plastic_drive[i] + live.static_drive[i]
            value[i] = live.readout[i] + live.static_drive[i]
        if split:
            for i in range(n):
                drive[i] += live.inhibitory_drive[i]
                value[i] += live.inhibitory_drive[i]
        if rate:
            accumulate_moments(own, goals[update], moments)
            rate_error(value, current[update], goals[update], law, error, gain)
        else:
            accumulate_moments(drive, goals[update], moments)
            for i in range(n):
                error[i] = goals[update, i] - value[i]  # Eq 10: f - w.r
        entering[:] = live.plastic_drive
        flush = kept + 1 == rls.capacity
        update_rows(
            rls.bounds, rls.start, rls.widths, rls.p_start, rls.v_start, kept, rls.capacity, fresh, flush,
            rls.streaming, rls.lanes, interval_decay, rls.presynaptic, live.weight, rls.covariance,
            rls.vectors, rls.shrinks, rls.scalars, live.filtered, live.trace, live.events, live.n_events, error, gain,
            live.readout, rls.sources, rls.factors, rls.values, rls.packed,
        )  # fmt: skip
        kept = 0 if flush else kept + 1
        fresh = False
        seconds[0] += stepped - began
        seconds[1] += clock() - stepped
        if rls.scalars[:, 1].min() < 0.0:
            return update + 1, n_spikes
    return n_updates, n_spikes


train_intervals = kernel(_train_intervals)
train_intervals_parallel = kernel(
    FunctionType(
        _train_intervals.__code__, {**globals(), "update_rows": update_rows_parallel}, "_train_intervals_parallel"
    )
)
