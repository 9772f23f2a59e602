"""What is left after neurons are lost (paper, Fig 3d)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from hpcspike.checks import array, choice, instance, neuron_numbers, number, whole_number
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures.altered import with_weights
from hpcspike.measures.balance import groups_of
from hpcspike.measures.performance import MEASURES, measure_performance
from hpcspike.model.connectivity import Rows
from hpcspike.model.random_streams import stream
from hpcspike.shown import short_repr
from hpcspike.spec.study import Among

Removed = Literal["all", "outgoing"]
"""Which synapses a lost neuron loses."""


FOLLOWED = 0.7
"""Correlation from which the eye sees a neuron follow its target."""


class Lesion(NamedTuple):
    """Performance of the surviving neurons.

    fractions (f,): share of neurons lost; n_lost (f,): their number. Mean over the survivors of what `Performance`
    holds, (f, draws) each: response, trial_mean, rate_of_drive, binned (correlations), rate (Hz). Of the response also
    worst_decile, the correlation below which the worst tenth of the survivors lies, and share_followed, the share of
    them from `FOLLOWED` on.
    """

    fractions: np.ndarray
    n_lost: np.ndarray
    response: np.ndarray
    trial_mean: np.ndarray
    rate_of_drive: np.ndarray
    binned: np.ndarray
    rate: np.ndarray
    worst_decile: np.ndarray
    share_followed: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def measure_lesions(
    trained: Trained,
    *,
    fractions: Sequence[float] = (0.05, 0.1, 0.4),
    draws: int = 5,
    trials: int = 3,
    target_set: int = 0,
    removed: Removed = "all",
    among: Among = "all",
    bin_ms: float = 50.0,
) -> Lesion:
    """Remove all synapses of a random share of the neurons after training, and test the others.

    With S the neurons lost, W_ij -> 0 wherever j in S (outgoing) or i in S (incoming); the performance is
    mean_{i not in S} corr_t(x_i, f_i). Within a draw, a larger share loses the neurons of a smaller one and more.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`; it is left alone. On several ranks, all must call this.
    fractions
        Shares of the neurons that may be lost, each rounded to a whole number of neurons.
    draws
        Random choices of the neurons lost.
    trials, target_set, bin_ms
        As for `hpcspike.measures.measure_performance`.
    removed
        ``all``: incoming and outgoing synapses, as the paper says; ``outgoing``: only what others receive. Survivors do
        the same in both cases, as the lost neurons reach nobody.
    among
        Who may be lost: all neurons, those with (``trained``) or without a target (``untrained``), a population, or
        the excitatory neurons without a target.

    Raises
    ------
    SpecError
        If there are no such neurons, or nobody would be left. Where no survivor has a target, results are NaN.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("draws", draws, least=1)
    choice("removed", removed, get_args(Removed))
    array("fractions", fractions, shape=(None,), axes="one or more shares of the neurons")
    choice("among", among, get_args(Among))
    candidates = _candidates(trained, among)
    counts = np.array([lost_count(trained.problem.n_neurons, fraction, among=candidates) for fraction in fractions])
    means = {name: np.empty((len(fractions), draws)) for name in (*MEASURES, "rate")}
    worst, followed = np.empty((2, len(fractions), draws))
    judged = trained.judged(target_set)
    for draw in range(draws):
        for row, count in enumerate(counts):
            lost = lost_neurons(trained, int(count), draw=draw, among=candidates)
            measured = measure_performance(
                without_neurons(trained, lost, removed=removed), target_set=target_set, trials=trials, bin_ms=bin_ms
            )
            kept = np.ones(trained.problem.n_neurons, dtype=bool)
            kept[lost] = False
            for name, values in means.items():
                counted = kept if name == "rate" else kept & judged
                values[row, draw] = _mean(trained.world.concatenate(getattr(measured, name))[counted])
            response = trained.world.concatenate(measured.response)[kept & judged]
            worst[row, draw] = np.quantile(response, 0.1) if len(response) else np.nan
            followed[row, draw] = _mean((response >= FOLLOWED).astype(np.float64))
    return Lesion(np.asarray(fractions, dtype=np.float64), counts, **means, worst_decile=worst, share_followed=followed)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")  # no survivor has a target


def _candidates(trained: Trained, among: Among) -> np.ndarray | None:
    """Who may be lost, (N,) bool; None: all."""
    if among == "all":
        return None
    problem = trained.problem
    if problem.n_excitatory is None and among not in ("trained", "untrained"):
        raise SpecError(f"among = {among}: this network has no excitatory and inhibitory neurons; choose among: all")
    groups = groups_of(trained)
    excitatory = np.arange(problem.n_neurons) < problem.first_inhibitory
    found = {**groups, "untrained": ~groups["trained"], "excitatory": excitatory, "inhibitory": ~excitatory}[among]
    if not found.any():
        raise SpecError(f"among = {among}: this network has no such neurons; choose among: all")
    return found


def lost_count(n_neurons: int, fraction: float, *, among: np.ndarray | None = None) -> int:
    """Number of neurons that are a share of all, or of those ``among`` (N,) bool.

    Raises
    ------
    SpecError
        If the share is none, or nobody would survive.
    """
    fraction = number("fraction", fraction)
    candidates = n_neurons if among is None else int(among.sum())
    count = round(fraction * candidates) if fraction >= 0 else -1
    if not 0 <= count < n_neurons or count > candidates:
        raise SpecError(f"fraction = {fraction:g} of neurons lost: must be at least 0, and leave one of {n_neurons}")
    return count


def lost_neurons(trained: Trained, count: int, *, draw: int, among: np.ndarray | None = None) -> np.ndarray:
    """The neurons lost in a draw, ascending; keyed by the problem's seed and replicate, and the draw.

    among: (N,) who may be lost; default: all.
    """
    problem = trained.problem
    order = stream(problem.seed, problem.replicate, "lesion", draw).permutation(problem.n_neurons)
    return np.sort((order if among is None else order[among[order]])[:count])


def without_neurons(trained: Trained, neurons: np.ndarray, *, removed: Removed = "all") -> Trained:
    """A copy of a network in which the synapses of some neurons have weight 0, plastic and fixed ones alike.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`.
    neurons
        (lost,) numbers of the neurons.
    removed
        ``"all"``: synapses from and onto them; otherwise only those from them.

    Raises
    ------
    SpecError
        If there is no such neuron, or no such choice.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    choice("removed", removed, get_args(Removed))
    problem = trained.problem
    lost = np.zeros(problem.n_sources, dtype=bool)
    lost[neuron_numbers("neurons", neurons, problem.n_neurons)] = True

    def cut(rows: Rows, weight: np.ndarray) -> np.ndarray:
        gone = lost[rows.presynaptic]
        if removed == "all":
            gone = gone | np.repeat(lost[problem.first : problem.first + problem.n_rows], np.diff(rows.start))
        return np.where(gone, 0.0, weight)

    static = cut(problem.static, problem.static.weight) if len(problem.static.weight) else None
    return with_weights(trained, cut(problem.plastic, trained.simulation.weight), static=static)
