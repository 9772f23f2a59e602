"""How irregular and how variable spiking is: intervals between spikes, counts over trials, correlations of pairs.

Definitions are those of Elephant (standard deviations and variances divided by the number of values, not by one less).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpcspike.checks import whole_number
from hpcspike.correlation import centred
from hpcspike.engine.simulation import Spikes
from hpcspike.errors import SpecError
from hpcspike.measures.rates import binned_counts, kept_spikes
from hpcspike.shown import short_repr

KINDS = ("total", "noise")
"""Correlations of pairs: of the counts as they are, or of what is left of them without their mean over trials."""


class Irregularity(NamedTuple):
    """Irregularity of the spike trains of n neurons, from intervals within trials, taken together over trials.

    cv (n,): coefficient of variation of the intervals, 1 of a Poisson process of constant rate, more where the rate
    changes; cv2 (n,): mean of 2 |a - b| / (a + b) over neighbouring intervals a, b, which slow changes of the rate
    hardly touch (Holt et al. 1996); n_intervals (n,): how many they are from. NaN where there are too few.
    """

    cv: np.ndarray
    cv2: np.ndarray
    n_intervals: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def irregularity(
    spikes: Sequence[Spikes], neurons: range, *, step_ms: float, duration_ms: float, least_intervals: int = 2
) -> Irregularity:
    """CV and CV2 of the intervals between the spikes of every neuron.

    Parameters
    ----------
    spikes
        One entry per trial, as `hpcspike.engine.trained.Response.spikes`: steps from the start of the window.
    neurons
        Whose intervals; `Problem.neurons` for all of a block.
    step_ms
        Integration step.
    duration_ms
        Time from the start of the window on whose spikes count; an interval has both its spikes in it, in one trial.
    least_intervals
        Neurons with fewer intervals, all trials together, get NaN (2 at least: one interval has no variation).

    Raises
    ------
    SpecError
        If the step or the duration is not above 0, or the least number below 2.
    """
    whole_number("least_intervals", least_intervals, least=2)
    shape = len(neurons)
    counts, sums, squares = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    pairs, differences = np.zeros(shape, np.int64), np.zeros(shape)
    for step, neuron in kept_spikes(spikes, neurons, step_ms=step_ms, duration_ms=duration_ms):
        order = np.lexsort((step, neuron))
        step, neuron = step[order].astype(np.int64), neuron[order]
        same = neuron[1:] == neuron[:-1]
        interval, of = np.diff(step)[same], neuron[1:][same]
        # integers below 2^53: their sums are exact, whatever the order
        counts += np.bincount(of, minlength=shape)
        sums += np.bincount(of, weights=interval, minlength=shape)
        squares += np.bincount(of, weights=interval * interval, minlength=shape)
        next_to = of[1:] == of[:-1]
        first, second = interval[:-1][next_to], interval[1:][next_to]
        local = 2.0 * np.abs(second - first) / np.maximum(first + second, 1)
        pairs += np.bincount(of[1:][next_to], minlength=shape)
        differences += np.bincount(of[1:][next_to], weights=local, minlength=shape)
    enough = counts >= least_intervals
    return Irregularity(
        _share(np.sqrt(np.maximum(counts * squares - sums**2, 0.0)), sums, enough),
        _share(differences, pairs.astype(float), enough & (pairs > 0)),
        counts,
    )


def fano_factor(
    spikes: Sequence[Spikes], neurons: range, *, step_ms: float, duration_ms: float, bin_ms: float | None = None
) -> np.ndarray:
    """Variance of spike counts over trials over their mean: 1 of a Poisson process, 0 of trials that are alike.

    Parameters
    ----------
    spikes, neurons, step_ms, duration_ms
        As in `irregularity`; two trials at least, of one stimulus.
    bin_ms
        Counts are those of bins of this width, which must divide the duration; default: of the whole duration.

    Returns
    -------
    numpy.ndarray
        Shape (n, bins); one bin without ``bin_ms``. NaN where no trial has a spike.

    Raises
    ------
    SpecError
        If there are fewer than two trials, or the bin does not fit.
    """
    counts = binned_counts(
        _of_trials(spikes), neurons, step_ms=step_ms, duration_ms=duration_ms, bin_ms=bin_ms or duration_ms
    )
    mean = counts.mean(axis=0)
    return _share(counts.var(axis=0), mean, mean > 0)


def pair_correlations(
    spikes: Sequence[Spikes],
    neurons: range,
    *,
    step_ms: float,
    duration_ms: float,
    bin_ms: float = 50.0,
    kind: str = "noise",
) -> np.ndarray:
    """Pearson correlation of the binned spike counts of every pair of neurons, bins of all trials joined.

    Parameters
    ----------
    spikes, neurons, step_ms, duration_ms
        As in `irregularity`.
    bin_ms
        Width of a bin; must divide the duration.
    kind
        ``total``: of the counts, which rates that go up and down together correlate too; ``noise``: of the counts less
        their mean over trials in the same bin, of two trials at least.

    Returns
    -------
    numpy.ndarray
        Shape (n, n), symmetric; NaN in rows and columns of neurons whose counts do not vary.

    Raises
    ------
    SpecError
        If the kind is another one, there are too few trials, or the bin does not fit.
    """
    if kind not in KINDS:
        raise SpecError(f"kind = {kind!r}: must be one of {', '.join(KINDS)}")
    trials = _of_trials(spikes) if kind == "noise" else spikes
    counts = binned_counts(trials, neurons, step_ms=step_ms, duration_ms=duration_ms, bin_ms=bin_ms).astype(float)
    if kind == "noise":
        counts = centred(counts, axis=0)
    joined = centred(counts.transpose(1, 0, 2).reshape(len(neurons), -1))
    scale = np.sqrt((joined * joined).sum(axis=1))
    found = _share(joined @ joined.T, np.outer(scale, scale), np.outer(scale > 0, scale > 0))
    np.fill_diagonal(found, np.where(scale > 0, 1.0, np.nan))
    return np.clip(found, -1.0, 1.0)


def _of_trials(spikes: Sequence[Spikes]) -> Sequence[Spikes]:
    if isinstance(spikes, (list, tuple)) and len(spikes) < 2:
        raise SpecError(f"spikes has {len(spikes)} trial(s): what varies over trials needs two at least")
    return spikes


def _share(part: np.ndarray, whole: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=known)
