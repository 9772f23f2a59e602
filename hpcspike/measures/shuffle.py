"""What is left after synapses among the recorded neurons are shuffled (paper, Fig 5f)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpcspike.checks import array, instance, whole_number
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures.altered import with_weights
from hpcspike.measures.performance import MEASURES, measure_performance
from hpcspike.model.random_streams import stream
from hpcspike.shown import short_repr


class Shuffle(NamedTuple):
    """Performance of the recorded neurons.

    fractions (f,): share of synapses shuffled; n_synapses: how many there are among the recorded neurons. Mean over the
    recorded neurons of what `Performance` holds, (f, draws) each: response, trial_mean, rate_of_drive, binned
    (correlations), rate (Hz). The paper's error bars are the s.d. over ten draws.
    """

    fractions: np.ndarray
    n_synapses: int
    response: np.ndarray
    trial_mean: np.ndarray
    rate_of_drive: np.ndarray
    binned: np.ndarray
    rate: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def measure_shuffles(
    trained: Trained,
    *,
    n_recorded: int,
    fractions: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    draws: int = 10,
    trials: int = 20,
    target_set: int = 0,
    bin_ms: float = 50.0,
) -> Shuffle:
    """Permute the trained weights of a random share of the synapses among recorded neurons, and test these neurons.

    With Q a random share of {(i, j): i, j recorded and connected by a plastic synapse}, W_q -> W_pi(q) for q in Q with
    a random permutation pi of Q; the performance is mean_{i recorded} corr_t(x_i, f_i). The connections, and the
    distribution of the weights, stay what they are. Within a draw, a larger share holds the synapses of a smaller one.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`; it is left alone. On several ranks, all must call this.
    n_recorded
        Number N_cor of recorded neurons, which are the first ones of the network.
    fractions
        Shares of the synapses among them.
    draws
        Random shuffles.
    trials, target_set, bin_ms
        As for `hpcspike.measures.measure_performance`.

    Raises
    ------
    SpecError
        If a share is none, or ``n_recorded`` does not fit the network.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    whole_number("n_recorded", n_recorded, least=1, most=trained.problem.n_neurons, of="the size of the network")
    whole_number("draws", draws, least=1)
    array("fractions", fractions, shape=(None,), axes="one or more shares of the synapses")
    if not trained.judged(target_set)[:n_recorded].all():
        raise SpecError(f"n_recorded = {n_recorded}: some of these neurons have no target (NaN)")
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise SpecError(f"fraction = {fraction:g} of synapses shuffled: must be 0 to 1")
    among = synapses_among(trained, n_recorded)
    means = {name: np.empty((len(fractions), draws)) for name in (*MEASURES, "rate")}
    for draw in range(draws):
        for row, fraction in enumerate(fractions):
            changed = shuffled(trained, among, fraction, draw=draw)
            measured = measure_performance(changed, target_set=target_set, trials=trials, bin_ms=bin_ms)
            for name, values in means.items():
                values[row, draw] = trained.world.concatenate(getattr(measured, name))[:n_recorded].mean()
    n_synapses = int(trained.world.concatenate(np.array([among.sum()])).sum())
    return Shuffle(np.asarray(fractions, dtype=np.float64), n_synapses, **means)


def synapses_among(trained: Trained, n_recorded: int) -> np.ndarray:
    """Which plastic synapses of the block connect two of the first ``n_recorded`` neurons, (synapses,) bool."""
    problem = trained.problem
    receives = np.arange(problem.first, problem.first + problem.n_rows) < n_recorded
    rows = problem.plastic
    return np.repeat(receives, np.diff(rows.start)) & (rows.presynaptic < n_recorded)


def shuffled(trained: Trained, among: np.ndarray, fraction: float, *, draw: int) -> Trained:
    """A copy of a network in which the weights of a share of the synapses ``among`` are permuted among themselves."""
    problem, world = trained.problem, trained.world
    own = np.flatnonzero(among)
    weights = world.concatenate(trained.simulation.weight[own])
    before = int(world.concatenate(np.array([len(own)]))[: world.rank].sum())
    # drawn for all ranks' synapses on every rank, so that the split of the network does not matter
    random = stream(problem.seed, problem.replicate, "shuffle", draw)
    chosen = random.permutation(len(weights))[: round(fraction * len(weights))]
    weights[chosen] = weights[random.permutation(chosen)]
    changed = trained.simulation.weight.copy()
    changed[own] = weights[before : before + len(own)]
    return with_weights(trained, changed)
