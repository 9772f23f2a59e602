"""Decay times of plastic synapses: those of all neurons, and those that single neurons have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from hpcspike.model.problem import Problem


class DecayClasses(NamedTuple):
    """taus_ms (classes,): the different decay times, that of all neurons first; of_row (n,): which a neuron has.

    The decay time belongs to the neuron behind the synapse, so that its drive is w.r with r of the same decay: r is
    kept once for each class.
    """

    taus_ms: np.ndarray
    of_row: np.ndarray


def decay_classes(problem: Problem) -> DecayClasses:
    """The decay times of a block of neurons; all blocks have the same classes in the same order."""
    shared, own = problem.synapse.tau_syn_ms, problem.synapse.by_neuron.tau_syn_ms
    if own is None:
        return DecayClasses(np.array([shared]), np.zeros(problem.n_rows, dtype=np.int64))
    assert isinstance(own, tuple)
    taus = [shared, *sorted(set(own) - {shared})]
    place = {tau: number for number, tau in enumerate(taus)}
    return DecayClasses(np.array(taus), np.array([place[own[i]] for i in problem.neurons], dtype=np.int64))


def regressors(problem: Problem, classes: DecayClasses) -> np.ndarray:
    """Where the r of each plastic synapse is in that of all classes, (classes * sources,), one after another."""
    presynaptic = problem.plastic.presynaptic
    if len(classes.taus_ms) == 1:
        return presynaptic
    offsets = np.repeat(problem.n_sources * classes.of_row, problem.in_degree)
    return (presynaptic + offsets).astype(presynaptic.dtype)
