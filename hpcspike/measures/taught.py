"""Failure of recall apart from failure to follow: the response of a network that was brought onto its path."""

from __future__ import annotations

import numpy as np

from hpcspike.checks import instance, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.model.decay_classes import decay_classes

LEAD_TAU_SYN = 5.0
"""The teacher drives the network for at least so many synaptic decay times before the window."""


def taught_correlation(trained: Trained, *, target_set: int = 0, trials: int = 3) -> np.ndarray:
    """Correlation of each neuron's drive with its target where a teacher, and no cue, has started the response.

    Every trial starts from random phases of its own and r = 0. Then all neurons receive the first value of their
    targets in place of their synaptic drive, until synapses have forgotten the start; from the begin of the window on
    they are left alone, with the noise that trials have.

    Parameters
    ----------
    trained
        A network of neurons that spike, trained for its drive.
    target_set
        Which targets.
    trials
        Number of random initial conditions.

    Returns
    -------
    ndarray
        (n,) Pearson correlations of the neurons of the block, means over trials.

    Raises
    ------
    SpecError
        If there is no such target set, a neuron has no target, or the network was not trained for its drive.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("trials", trials, least=1)
    if not can_be_taught(trained):
        raise SpecError(
            "a response is started by a teacher only where all neurons spike, have a target and were trained for their "
            "drive (training.variable: drive), without feed-forward neurons"
        )
    problem = trained.problem
    target = problem.targets[target_set]
    plastic = float(decay_classes(problem).taus_ms.max())
    slowest = max(plastic, problem.synapse.static_tau_syn_ms or 0.0)
    lead = max(problem.stimulus_steps, int(np.ceil(LEAD_TAU_SYN * slowest / problem.neuron.step_ms)))
    window = problem.steps_per_sample * problem.n_samples
    frozen = problem.noise_of(problem.stimulus_steps, window)
    simulation, found = trained.copy_simulation(), np.zeros(problem.n_rows)
    for trial in range(trials):
        simulation.start_at_random("taught_phase", trial)
        simulation.run_interval(lead, problem.input, clamp=target[:, :1].T)
        record = np.empty((problem.n_samples, problem.n_rows))
        simulation.run_interval(window, problem.input, record=record, noise=frozen)
        found += pearson(np.ascontiguousarray(record.T), target)
    return found / trials


def can_be_taught(trained: Trained) -> bool:
    """Whether a teacher can start the response; all ranks must ask together."""
    problem = trained.problem
    if trained.training.variable != "drive" or not problem.neuron.facts.spikes or problem.feed_forward is not None:
        return False
    return not trained.world.any(not problem.has_target.all())
