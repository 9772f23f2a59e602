"""Performance of each neuron in test trials, by every quantity that can be held against its target (paper 4.1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, number, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Spikes
from hpcspike.engine.trained import Trained
from hpcspike.measures.bins import binned_duration, binned_mean
from hpcspike.measures.rates import binned_rates
from hpcspike.shown import short_repr


class Performance(NamedTuple):
    """Pearson correlation with the target of each neuron of the block, (n,) each.

    response: of single trials, their mean: u after drive training, filtered spikes r after rate training;
    trial_mean: of the response averaged over trials; rate_of_drive: of phi(u + I) in single trials, their mean;
    binned: of the trial-averaged spike count in bins and the target's mean in them. The last two are held against rate
    targets and NaN after drive training. rate (n,): mean rate in the trained window in Hz.
    """

    response: np.ndarray
    trial_mean: np.ndarray
    rate_of_drive: np.ndarray
    binned: np.ndarray
    rate: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


MEASURES = ("response", "trial_mean", "rate_of_drive", "binned")
"""The correlations of `Performance`."""


def measure_performance(
    trained: Trained, *, target_set: int = 0, trials: int = 20, bin_ms: float = 50.0
) -> Performance:
    """Correlation of each neuron's evoked response with its target, rho_i = corr_t(x_i(t), f_i(t)).

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`; a block on several ranks, all of which must call this.
    target_set
        Which cue to give and which targets to compare with.
    trials
        Number of test trials; the same initial phases whenever it is asked for, whatever the weights.
    bin_ms
        Length of the bins of the spike count in ms, a multiple of the targets' grid; NaN if none fits the window.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("trials", trials, least=1)
    number("bin_ms", bin_ms, above=0.0, unit="ms")
    problem, rate = trained.problem, trained.training.variable == "rate"
    target = problem.targets[target_set]
    total, single, phi = np.zeros_like(target), np.zeros(len(target)), np.zeros(len(target))
    spikes: list[Spikes] = []
    for trial in range(trials):
        evoked = trained.evoke(target_set, 1, first_trial=trial)
        response = (evoked.filtered if rate else evoked.drive)[0]
        total += response
        single += pearson(response, target)
        spikes += evoked.spikes
        if rate:
            phi += pearson(trained.rate_of_drive(evoked.drive[0]), target)
    unmeasured = np.full(len(target), np.nan)
    binned = unmeasured
    whole_ms = binned_duration(problem.duration_ms, bin_ms, unit_ms=problem.grid_ms) if rate else 0.0
    if whole_ms > 0:
        counts = binned_rates(
            spikes, problem.neurons, step_ms=problem.neuron.step_ms, duration_ms=whole_ms, bin_ms=bin_ms
        )
        binned = pearson(counts.rate, binned_mean(target, grid_ms=problem.grid_ms, bin_ms=bin_ms))
    return Performance(
        response=single / trials,
        trial_mean=pearson(total, target),
        rate_of_drive=phi / trials if rate else unmeasured,
        binned=binned,
        rate=_mean_rates(spikes, trained) / trials,
    )


def _mean_rates(spikes: list[Spikes], trained: Trained) -> np.ndarray:
    problem = trained.problem
    counts = np.zeros(problem.n_rows)
    for trial in spikes:
        counts += np.bincount(trial.neuron[trial.step >= 0] - problem.first, minlength=problem.n_rows)
    return counts * (1000.0 / problem.duration_ms)
