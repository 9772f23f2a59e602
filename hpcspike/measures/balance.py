"""A trained subset in its network: the currents of a neuron, what the untrained do, and the sums of weights."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, neuron_numbers, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures.altered import with_problem
from hpcspike.measures.perturbation import begin_trial
from hpcspike.shown import short_repr

GROUPS = ("trained", "untrained_excitatory", "inhibitory")
"""Who is told apart: neurons with a target, and excitatory and inhibitory ones without."""
CURRENTS = ("excitatory", "inhibitory", "plastic", "total")
"""Kinds of current: of fixed excitatory synapses with the external input, of fixed inhibitory ones, of plastic ones."""


class Currents(NamedTuple):
    """Input of some neurons in a test trial, in units of the neuron's input: value (kinds of `CURRENTS`, n, times).

    time_ms (times,): from the end of the cue, 1 ms apart or as near to that as divides the sampling interval.
    """

    time_ms: np.ndarray
    value: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


class Spread(NamedTuple):
    """Activity of the groups of `GROUPS`, (groups,) each; NaN of a group without neurons.

    rate: mean rate in the window in Hz. first, second: absolute correlation over time of the group's first and second
    principal component with that of the trained neurons; share: the share of its variance that the first one has. All
    are of the drive averaged over trials.
    """

    rate: np.ndarray
    first: np.ndarray
    second: np.ndarray
    share: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def groups_of(trained: Trained) -> dict[str, np.ndarray]:
    """Which neurons of all ranks belong to each of `GROUPS`, (N,) bool each. All ranks must ask together."""
    problem = trained.problem
    with_target = np.asarray(problem.has_target.any(axis=0), dtype=np.uint8)
    taught = trained.world.concatenate(with_target) == 1
    excitatory = np.arange(problem.n_neurons) < problem.first_inhibitory
    return dict(zip(GROUPS, (taught, ~taught & excitatory, ~taught & ~excitatory), strict=True))


def record_currents(trained: Trained, neurons: np.ndarray, *, target_set: int = 0, trial: int = 0) -> Currents:
    """Currents that some neurons receive in a test trial; where they balance, the total is far smaller than its parts.

    Where excitatory and inhibitory synapses share one decay, their drives are kept apart for this, so that the trial
    is another one after a while: sums round otherwise.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`, on one rank.
    neurons
        (n,) numbers of the neurons.
    target_set, trial
        Which cue is given, and the number of the trial.

    Raises
    ------
    SpecError
        If the network is spread over ranks, has no populations or does not spike.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("trial", trial)
    problem = trained.problem
    if trained.world.size > 1:
        raise SpecError("currents are recorded on one rank; open the stored network there (hpcspike.live_network)")
    if problem.n_excitatory is None or not problem.neuron.facts.spikes:
        raise SpecError("currents: this network has no excitatory and inhibitory neurons; connectivity: balanced has")
    chosen = neuron_numbers("neurons", neurons, problem.n_neurons)
    synapse = problem.synapse
    if synapse.static_tau_inhibitory_ms is None:
        problem = copy.copy(problem)
        problem.synapse = synapse.changed(static_tau_inhibitory_ms=synapse.static_tau_syn_ms or synapse.tau_syn_ms)
        trained = with_problem(trained, problem)
    simulation = trained.copy_simulation()
    begin_trial(trained, simulation, target_set, trial)
    step_ms, per_sample = problem.neuron.step_ms, problem.steps_per_sample
    every = max(1, min(per_sample, round(1.0 / step_ms)))
    every = next(length for length in range(every, 0, -1) if per_sample % length == 0)
    n_times = problem.n_samples * per_sample // every
    value = np.empty((len(CURRENTS), len(chosen), n_times))
    for place in range(n_times):
        noise = problem.noise_of(problem.stimulus_steps + place * every, every)
        simulation.run_interval(every, problem.input, noise=noise)
        parts = (simulation.static_drive + problem.input, simulation.inhibitory_drive, simulation.plastic_drive)
        value[:3, :, place] = [part[chosen] for part in parts]
    value[3] = value[:3].sum(axis=0)
    return Currents(step_ms * every * np.arange(1, n_times + 1), value)


def measure_spread(trained: Trained, *, target_set: int = 0, trials: int = 10) -> Spread:
    """How the activity of trained neurons is found again in those that are not trained.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`, or `hpcspike.measures.altered.untrained` of it. On several ranks, all must call
        this.
    target_set
        Which cue is given.
    trials
        Test trials that are averaged.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("trials", trials, least=1)
    problem, world = trained.problem, trained.world
    total, counts = np.zeros((problem.n_rows, problem.n_samples)), np.zeros(problem.n_rows)
    for trial in range(trials):
        evoked = trained.evoke(target_set, 1, first_trial=trial)
        total += evoked.drive[0]
        inside = evoked.spikes[0].neuron[evoked.spikes[0].step >= 0]
        counts += np.bincount(inside - problem.first, minlength=problem.n_rows)
    drive, rate = world.concatenate(total / trials), world.concatenate(counts) * (1000.0 / problem.duration_ms / trials)
    groups = list(groups_of(trained).values())
    found = np.full((4, len(groups)), np.nan)
    reference, _ = _components(drive[groups[0]])
    for column, members in zip(found.T, groups, strict=True):
        if not members.any():
            continue
        components, share = _components(drive[members])
        alike = np.abs(pearson(components, reference))
        alike[~(components.any(axis=1) & reference.any(axis=1))] = np.nan  # there is no such component
        column[:] = rate[members].mean(), alike[0], alike[1], share
    return Spread(*found)


def _components(drive: np.ndarray) -> tuple[np.ndarray, float]:
    """First two principal components over time of drives (n, samples), (2, samples), and the first one's share."""
    centred = drive - drive.mean(axis=1, keepdims=True)
    _, size, courses = np.linalg.svd(centred, full_matrices=False)
    two = np.zeros((2, drive.shape[1]))
    two[: len(courses)] = courses[:2]
    power = float((size**2).sum())
    return two, float(size[0] ** 2) / power if power > 0 else np.nan


def weight_sums(trained: Trained) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of each trained neuron's plastic weights from excitatory and from inhibitory neurons, before and after.

    Returns
    -------
    neuron, before, after
        (n_T,) neurons of this block with plastic synapses, (2, n_T) and (2, n_T) sums: excitatory, inhibitory. Synapses
        from feed-forward neurons are in neither.
    """
    problem = trained.problem
    rows = np.repeat(np.arange(problem.n_rows), np.diff(problem.plastic.start))
    neuron = np.flatnonzero(problem.in_degree > 0)
    sides = (
        problem.plastic.presynaptic < problem.first_inhibitory,
        (problem.plastic.presynaptic >= problem.first_inhibitory) & (problem.plastic.presynaptic < problem.n_neurons),
    )
    before, after = (
        np.stack([np.bincount(rows[side], weight[side], minlength=problem.n_rows)[neuron] for side in sides])
        for weight in (problem.plastic.weight, trained.simulation.weight.astype(np.float64))
    )
    return problem.first + neuron, before, after
