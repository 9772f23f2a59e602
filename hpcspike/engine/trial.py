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


def smoothed_drive(simulation: Simulation, purpose: str, trial: int, stimulus: int, smoothing_ms: float) -> np.ndarray:
    """Drive in a test trial as `run_trial` has it, averaged over ``smoothing_ms`` around each sample: (n, samples).

    What is averaged are values 1 ms apart, or as near to that as divides the sampling interval: at times t with
    T - smoothing_ms / 2 <= t < T + smoothing_ms / 2 for the sample at T, cut at the ends of the window.
    """
    problem = simulation.problem
    simulation.start_at_random(purpose, trial)
    simulation.begin_test_feed(purpose, trial, stimulus)
    every, free, cue = problem.steps_per_sample, problem.test_free_run_steps, problem.stimulus_steps
    fine = every // max(1, round(problem.grid_ms))
    fine = next(step for step in range(max(fine, 1), 0, -1) if every % step == 0)
    for begin, length, external in ((0, free, problem.input), (free, cue, problem.input + problem.stimuli[stimulus])):
        if length:
            noise = None if begin < free else problem.noise_of(begin - free, length)
            simulation.run_interval(length, external, noise=noise)
    per_sample = every // fine
    window = np.empty((problem.n_samples * per_sample, problem.n_rows))
    for sample in range(problem.n_samples):
        record = window[sample * per_sample : (sample + 1) * per_sample]
        noise = problem.noise_of(cue + sample * every, every)
        simulation.run_interval(every, problem.input, record=record, noise=noise)
    half = smoothing_ms / 2.0 / (fine * problem.neuron.step_ms)
    centre = per_sample * np.arange(1, problem.n_samples + 1)  # values are counted from 1
    low = np.clip(np.ceil(centre - half - 1e-9).astype(int) - 1, 0, len(window))
    high = np.clip(np.ceil(centre + half - 1e-9).astype(int) - 1, 0, len(window))
    return np.stack([window[a:b].mean(axis=0) for a, b in zip(low, high, strict=True)], axis=1)
