"""Whether a cue recalls its target set whatever the network did before (paper, Fig 2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trained import Trained
from hpcspike.engine.training_kernels import filter_spikes
from hpcspike.shown import short_repr


class Recall(NamedTuple):
    """Pearson correlations, mean over neurons and trials, of the response to the cue of a set after that of another.

    cued (sets, preceding sets): with the cued set; confused (sets, preceding sets): with the set evoked before.
    """

    cued: np.ndarray
    confused: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def recall(trained: Trained, *, trials: int = 3) -> Recall:
    """Evoke every target set right after every one of them.

    A trial is: random phases and r = 0, free run, cue of the preceding set, its window, and at once the cue of the set
    that is judged, and its window.

    Parameters
    ----------
    trained
        A trained network.
    trials
        Number of random initial conditions.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    whole_number("trials", trials, least=1)
    problem = trained.problem
    sets = problem.n_sets
    cued, confused = np.zeros((2, sets, sets))
    simulation = trained.copy_simulation()
    for judged in range(sets):
        for preceding in range(sets):
            for trial in range(trials):
                simulation.start_at_random("recall_phase", trial)
                response = _second_response(trained, simulation, (preceding, judged))
                for result, target_set in ((cued, judged), (confused, preceding)):
                    per_neuron = pearson(response, problem.targets[target_set])
                    result[judged, preceding] += trained.mean_over_targets(per_neuron, target_set) / trials
    return Recall(cued, confused)


def _second_response(trained: Trained, simulation: Simulation, target_sets: tuple[int, int]) -> np.ndarray:
    """Drive, or filtered spikes if the rate is trained, in the window of the second of two cues; (n, samples)."""
    problem = trained.problem
    if problem.test_free_run_steps:
        simulation.run_interval(problem.test_free_run_steps, problem.input)
    window = problem.n_samples * problem.steps_per_sample
    record = np.empty((problem.n_samples, problem.n_rows))
    step, neuron, passed = [], [], 0
    for target_set in target_sets:
        for begin, length, external, into in (
            (0, problem.stimulus_steps, problem.input + problem.stimuli[target_set], None),
            (problem.stimulus_steps, window, problem.input, record),
        ):
            if length:
                noise = problem.noise_of(begin, length, target_set)
                spikes = simulation.run_interval(length, external, record=into, noise=noise)
                step.append(spikes.step + passed)
                neuron.append(spikes.neuron)
            passed += length
    if trained.training.variable == "drive":
        return record.T
    filtered = np.empty((problem.n_rows, problem.n_samples))
    jump = problem.neuron.tau_ms / problem.synapse.tau_syn_ms
    filter_spikes(
        np.concatenate(step), np.concatenate(neuron), problem.first, simulation.decay, jump, passed - window,
        problem.steps_per_sample, filtered,
    )  # fmt: skip
    return filtered
