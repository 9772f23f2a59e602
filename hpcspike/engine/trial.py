"""One test trial of a network: free run, cue and window, with plasticity off, as it is or under conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.engine.simulation import Simulation, Spikes
from hpcspike.engine.training_kernels import filter_spikes
from hpcspike.errors import SpecError
from hpcspike.model.connectivity import Rows
from hpcspike.spec.measures import averaged_steps

Event = tuple[int, int]
"""A spike: the step at whose end it is, counted from 1 at the start of the window, and the neuron."""


@dataclass(frozen=True)
class Conditions:
    """What is different in a test trial; nothing by default. All but ``cue`` are for a network on one rank.

    Attributes
    ----------
    cue
        (n,) external input during the cue, in place of that of the target set.
    external
        (steps of cue and window, n) further external input, step by step.
    clamp
        (steps of cue and window, n) drive that neurons receive in place of their own; NaN: their own.
    silent
        (n,) bool: their spikes are left out of the spikes and of r. Who must not be heard by others either has no
        outgoing weights; see `hpcspike.measures.without_neurons`.
    deleted, added
        Spikes that reach nobody, and spikes that are received although nobody had them: of either the neuron itself
        keeps its state. An added spike of a neuron that spikes in that step anyway is that spike.
    """

    cue: np.ndarray | None = None
    external: np.ndarray | None = None
    clamp: np.ndarray | None = None
    silent: np.ndarray | None = None
    deleted: Sequence[Event] = ()
    added: Sequence[Event] = ()

    @property
    def step_by_step(self) -> bool:
        """Whether the trial must be taken in single steps: the same bits, more slowly."""
        return self.clamp is not None or bool(self.deleted) or bool(self.added)


AS_TRAINED = Conditions()


def copy_of(live: Simulation, world: World) -> Simulation:
    """A simulation at the start of the same problem, with the weights that another one has now."""
    simulation = make_simulation(live.problem, dtype=live.weight.dtype, world=world, like=live)
    simulation.take_weights(live)
    return simulation


def run_trial(
    simulation: Simulation,
    purpose: str,
    trial: int,
    stimulus: int,
    drive: np.ndarray,
    filtered: np.ndarray,
    conditions: Conditions = AS_TRAINED,
) -> Spikes:
    """Run a trial from the random start that a purpose has in it, with the cue of target set ``stimulus``.

    drive, filtered: (n, samples), receive the drive and the filtered spike trains from the start of the window on.
    Returns the spikes of the trial, steps counted from the start of the window.

    Raises
    ------
    SpecError
        If a spike is to be deleted that is not there.
    """
    problem = simulation.problem
    simulation.start_at_random(purpose, trial)
    simulation.begin_test_feed(purpose, trial, stimulus)
    bias = problem.input
    free, cue, every = problem.test_free_run_steps, problem.stimulus_steps, problem.steps_per_sample
    record = np.empty(drive.shape[::-1])
    shown = problem.stimuli[stimulus] if conditions.cue is None else conditions.cue
    parts, begins = [], []
    for begin, length, external, target in (
        (0, free, bias, None),
        (free, cue, bias + shown, None),
        (free + cue, every * len(record), bias, record),
    ):
        if not length:
            continue
        noise = None if begin < free else _noise(simulation, begin - free, length, stimulus, conditions)
        if begin >= free and conditions.step_by_step:
            part = _single_steps(simulation, begin - free, length, external, noise, target, conditions)
        else:
            part = simulation.run_interval(length, external, record=target, noise=noise)
        parts.append(part)
        begins.append(begin)
    step = np.concatenate([part.step + begin for part, begin in zip(parts, begins, strict=True)])
    neuron = np.concatenate([part.neuron for part in parts])
    if conditions.silent is not None:
        heard = ~conditions.silent[neuron]
        step, neuron = step[heard], neuron[heard]
    drive[:] = record.T
    if simulation.graded:
        np.tanh(drive, out=filtered)
        if conditions.silent is not None:
            filtered[conditions.silent] = 0.0
        return Spikes(step, neuron)
    jump = problem.neuron.tau_ms / problem.synapse.tau_syn_ms
    filter_spikes(step, neuron, problem.first, simulation.decay, jump, free + cue, every, filtered)
    return Spikes(step - np.int32(free + cue), neuron)


def smoothed_drive(simulation: Simulation, purpose: str, trial: int, stimulus: int, smoothing_ms: float) -> np.ndarray:
    """Drive in a test trial as `run_trial` has it, averaged over ``smoothing_ms`` around each sample: (n, samples).

    What is averaged are values 1 ms apart, or as near to that as divides the sampling interval: at times t with
    T - smoothing_ms / 2 <= t < T + smoothing_ms / 2 for the sample at T, cut at the ends of the window.
    """
    problem = simulation.problem
    simulation.start_at_random(purpose, trial)
    simulation.begin_test_feed(purpose, trial, stimulus)
    every, free, cue = problem.steps_per_sample, problem.test_free_run_steps, problem.stimulus_steps
    fine = averaged_steps(every, problem.grid_ms)
    for begin, length, external in ((0, free, problem.input), (free, cue, problem.input + problem.stimuli[stimulus])):
        if length:
            noise = None if begin < free else problem.noise_of(begin - free, length, stimulus)
            simulation.run_interval(length, external, noise=noise)
    per_sample, half = every // fine, smoothing_ms / 2.0 / (fine * problem.neuron.step_ms)
    centre = per_sample * np.arange(1, problem.n_samples + 1)  # values are counted from 1
    low, high = (np.clip(np.ceil(centre + side - 1e-9).astype(int) - 1, 0, centre[-1]) for side in (-half, half))
    total, record = np.zeros((problem.n_samples, problem.n_rows)), np.empty((per_sample, problem.n_rows))
    for sample in range(problem.n_samples):
        noise = problem.noise_of(cue + sample * every, every)
        simulation.run_interval(every, problem.input, record=record, noise=noise)
        for at, values in enumerate(record, start=sample * per_sample):
            total[(low <= at) & (at < high)] += values
    return np.ascontiguousarray((total / (high - low)[:, None]).T)


def _noise(simulation: Simulation, first: int, length: int, stimulus: int, conditions: Conditions) -> np.ndarray | None:
    """External input beside the constant one, of steps from the start of the cue on."""
    frozen = simulation.problem.noise_of(first, length, stimulus if conditions.cue is None else None)
    if conditions.external is None:
        return frozen
    own = conditions.external[first : first + length]
    return own if frozen is None else frozen + own


def _single_steps(
    simulation: Simulation,
    first: int,
    length: int,
    external: np.ndarray,
    noise: np.ndarray | None,
    record: np.ndarray | None,
    conditions: Conditions,
) -> Spikes:
    """Run steps from step ``first`` of the cue on, each an interval of its own, under conditions that change drives."""
    problem = simulation.problem
    every, at_window = problem.steps_per_sample, first - problem.stimulus_steps + 1
    step, neuron = [], []
    for t in range(length):
        held = None
        if conditions.clamp is not None:
            wanted = conditions.clamp[first + t]
            held = np.where(np.isnan(wanted), simulation.drive, wanted)[None]
        part = simulation.run_interval(1, external, noise=None if noise is None else noise[t : t + 1], clamp=held)
        fired = part.neuron
        for _, who in (event for event in conditions.deleted if event[0] == at_window + t):
            if who not in fired:
                raise SpecError(f"there is no spike of neuron {who} to delete in step {at_window + t} of the window")
            take_spike_back(simulation, who)
            fired = fired[fired != who]
        for _, who in (event for event in conditions.added if event[0] == at_window + t):
            if who in fired:  # of its own: others receive one spike
                continue
            give_spike(simulation, who)
            fired = np.append(fired, np.int32(who))
        step.append(np.full(len(fired), t, dtype=np.int32))
        neuron.append(fired)
        if record is not None and (t + 1) % every == 0:
            record[(t + 1) // every - 1] = simulation.drive
    return Spikes(np.concatenate(step), np.concatenate(neuron))


def spiking(simulation: Simulation) -> np.ndarray:
    """The neurons of all ranks that spiked in the last interval, of one step, ascending."""
    if simulation.transit.together:
        return np.array(simulation.transit.in_flight()[-1], dtype=np.int64)
    return np.flatnonzero(simulation.trace[: simulation.problem.n_neurons])


def take_spike_back(simulation: Simulation, neuron: int) -> None:
    """Undo what the spike of ``neuron`` in the last interval, of one step, added to r and to the drives."""
    if simulation.transit.together:
        simulation.transit.change_last(neuron, there=False)
    if simulation.transit.late_plastic == 0:
        simulation.change_r(neuron, there=False)
    _change_drives(simulation, neuron, -1.0)


def give_spike(simulation: Simulation, neuron: int) -> None:
    """Add to r and to the drives what a spike of ``neuron`` at the end of the last interval, of one step, would."""
    if simulation.transit.together:
        simulation.transit.change_last(neuron, there=True)
    if simulation.transit.late_plastic == 0:
        simulation.change_r(neuron, there=True)
    _change_drives(simulation, neuron, 1.0)


def _change_drives(simulation: Simulation, neuron: int, sign: float) -> None:
    # of the synapses without delays, which the spike has reached
    problem, transit = simulation.problem, simulation.transit
    synapse, tau_ms = problem.synapse, problem.neuron.tau_ms
    if transit.late_plastic == 0:
        rows, weight = _outgoing(problem.plastic, simulation.weight, neuron)
        change = sign * simulation.jumps_at(rows) * weight
        simulation.plastic_drive[rows] += change
        if simulation.readout is not simulation.plastic_drive:
            simulation.readout[rows] += change
    if transit.late_static == 0:
        rows, weight = _outgoing(problem.static, problem.static.weight, neuron)
        drive, static_tau = simulation.static_drive, synapse.static_tau_syn_ms
        if len(simulation.inhibitory_drive) and neuron >= problem.first_inhibitory:
            drive, static_tau = simulation.inhibitory_drive, synapse.static_tau_inhibitory_ms
        drive[rows] += sign * tau_ms / (static_tau or synapse.tau_syn_ms) * weight


def _outgoing(rows: Rows, weight: np.ndarray, neuron: int) -> tuple[np.ndarray, np.ndarray]:
    """Postsynaptic rows and weights of a neuron's synapses in a block."""
    synapses = np.flatnonzero(rows.presynaptic == neuron)
    return np.searchsorted(rows.start, synapses, side="right") - 1, weight[synapses]
