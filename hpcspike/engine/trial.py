"""One test trial of a network: free run, cue and window, with plasticity off."""

from __future__ import annotations

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.engine.simulation import Simulation, Spikes
from hpcspike.engine.training_kernels import filter_spikes


def copy_of(live: Simulation, world: World) -> Simulation:
    """A simulation at the start of the same problem, with the weights that another one has now."""
    simulation = make_simulation(live.problem, dtype=live.weight.dtype, world=world, like=live)
    simulation.take_weights(live)
    return simulation


def run_trial(
    simulation: Simulation, purpose: str, trial: int, stimulus: int, drive: np.ndarray, filtered: np.ndarray
) -> Spikes:
    """Run a trial from the random start that a purpose has in it, with the cue of target set ``stimulus``.

    drive, filtered: (n, samples), receive the drive and the filtered spike trains from the start of the window on.
    Returns the spikes of the trial, steps counted from the start of the window.
    """
    problem = simulation.problem
    simulation.start_at_random(purpose, trial)
    simulation.begin_test_feed(purpose, trial, stimulus)
    bias = problem.input
    free, cue, every = problem.test_free_run_steps, problem.stimulus_steps, problem.steps_per_sample
    record = np.empty(drive.shape[::-1])
    parts, begins = [], []
    for begin, length, external, target in (
        (0, free, bias, None),
        (free, cue, bias + problem.stimuli[stimulus], None),
        (free + cue, every * len(record), bias, record),
    ):
        if length:
            noise = None if begin < free else problem.noise_of(begin - free, length)
            parts.append(simulation.run_interval(length, external, record=target, noise=noise))
            begins.append(begin)
    step = np.concatenate([part.step + begin for part, begin in zip(parts, begins, strict=True)])
    neuron = np.concatenate([part.neuron for part in parts])
    drive[:] = record.T
    if simulation.graded:
        np.tanh(drive, out=filtered)
        return Spikes(step, neuron)
    jump = problem.neuron.tau_ms / problem.synapse.tau_syn_ms
    filter_spikes(step, neuron, problem.first, simulation.decay, jump, free + cue, every, filtered)
    return Spikes(step - np.int32(free + cue), neuron)
