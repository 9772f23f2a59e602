"""Spikes of repeated trials: rasters, and rates in time bins averaged over trials (paper 4.3, Figs 3b and 4b)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance, neuron_numbers, number
from hpcspike.engine.simulation import Spikes
from hpcspike.errors import SpecError
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import is_multiple, n_steps


class BinnedRates(NamedTuple):
    """Rates in time bins.

    time_ms (bins,): middle of each bin, from the end of the cue; rate (n, bins): mean over trials in Hz;
    trial_sd (n, bins): standard deviation over trials (divided by their number) in Hz.
    """

    time_ms: np.ndarray
    rate: np.ndarray
    trial_sd: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


class Raster(NamedTuple):
    """Spikes of chosen neurons in all trials; arrays (spikes,): time_ms from the end of the cue, neuron, trial."""

    time_ms: np.ndarray
    neuron: np.ndarray
    trial: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def binned_rates(
    spikes: Sequence[Spikes],
    neurons: range,
    *,
    step_ms: float,
    duration_ms: float,
    bin_ms: float = 50.0,
) -> BinnedRates:
    """Spike counts in bins, averaged over trials: R_i(bin) = sum over trials of counts / (trials bin).

    Parameters
    ----------
    spikes
        One entry per trial, as `hpcspike.engine.trained.Response.spikes`: steps from the start of the window.
    neurons
        Whose rates; `Problem.neurons` for all of a block.
    step_ms
        Integration step.
    duration_ms
        Time from the start of the window on that is binned; spikes outside are left out.
    bin_ms
        Width of a bin; must divide the duration.

    Raises
    ------
    SpecError
        If the bin is no multiple of the step, or does not divide the duration.
    """
    _require_spikes(spikes)
    if not spikes:
        raise SpecError("spikes is empty: give one entry per trial, and one trial at least")
    shape = (len(neurons), _bins(step_ms, duration_ms, bin_ms))
    total, squares = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for trial in spikes:
        counts = binned_counts([trial], neurons, step_ms=step_ms, duration_ms=duration_ms, bin_ms=bin_ms)[0]
        total += counts
        squares += counts**2
    mean = total / len(spikes)
    variance = np.maximum(squares / len(spikes) - mean**2, 0.0)
    per_second = 1000.0 / bin_ms
    return BinnedRates(bin_ms * (np.arange(shape[1]) + 0.5), per_second * mean, per_second * np.sqrt(variance))


def binned_counts(
    spikes: Sequence[Spikes], neurons: range, *, step_ms: float, duration_ms: float, bin_ms: float
) -> np.ndarray:
    """Spike counts of every trial in bins; arguments as for `binned_rates`, but there may be no trial.

    Returns
    -------
    numpy.ndarray
        Shape (trials, n, bins), int64.
    """
    instance("neurons", neurons, range, made_by="give for example problem.neurons")
    bins = _bins(step_ms, duration_ms, bin_ms)
    width, n = n_steps(bin_ms, step_ms), len(neurons)
    counts = [
        np.bincount(neuron * bins + step // width, minlength=n * bins).reshape(n, bins)
        for step, neuron in kept_spikes(spikes, neurons, step_ms=step_ms, duration_ms=duration_ms)
    ]
    return np.stack(counts) if counts else np.zeros((0, n, bins), dtype=np.int64)


def kept_spikes(
    spikes: Sequence[Spikes], neurons: range, *, step_ms: float, duration_ms: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Step and place in ``neurons`` of the spikes of these neurons in the window, trial by trial, (spikes,) each."""
    _require_spikes(spikes)
    instance("neurons", neurons, range, made_by="give for example problem.neurons")
    for name, value in (("step_ms", step_ms), ("duration_ms", duration_ms)):
        number(name, value, above=0.0, unit="ms")
    end = n_steps(duration_ms, step_ms)
    for trial in spikes:
        place = trial.neuron.astype(np.int64) - neurons.start
        kept = (trial.step >= 0) & (trial.step < end) & (place >= 0) & (place < len(neurons))
        yield trial.step[kept], place[kept]


def _bins(step_ms: float, duration_ms: float, bin_ms: float) -> int:
    """Number of bins, which must fit."""
    for name, value in (("step_ms", step_ms), ("duration_ms", duration_ms), ("bin_ms", bin_ms)):
        number(name, value, above=0.0, unit="ms")
    if not (is_multiple(bin_ms, step_ms) and is_multiple(duration_ms, bin_ms)):
        raise SpecError(
            f"bin_ms = {bin_ms:g} ms must be a multiple of the step of {step_ms:g} ms and divide the duration of "
            f"{duration_ms:g} ms"
        )
    return n_steps(duration_ms, bin_ms)


def _require_spikes(spikes: Sequence[Spikes]) -> None:
    made_by = "give what Trained.evoke returns as spikes, one entry per trial"
    instance("spikes", spikes, (list, tuple), made_by=made_by)
    for trial in spikes:
        instance("spikes[...]", trial, Spikes, made_by=made_by)


def raster(spikes: Sequence[Spikes], neurons: Sequence[int], *, step_ms: float) -> Raster:
    """The spikes of ``neurons`` in every trial, trial by trial; each at the end of its step, as files have it.

    Parameters
    ----------
    spikes
        One `Spikes` per trial, as `Trained.evoke` gives them.
    neurons
        Numbers of the neurons to keep.
    step_ms
        Length of a step in ms.

    Raises
    ------
    SpecError
        If a neuron has no number, or the step no length.
    """
    _require_spikes(spikes)
    number("step_ms", step_ms, above=0.0, unit="ms")
    chosen_neurons = neuron_numbers("neurons", neurons)
    times, which, trials = [np.zeros(0)], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for index, trial in enumerate(spikes):
        chosen = np.isin(trial.neuron, chosen_neurons)
        times.append((trial.step[chosen] + 1.0) * step_ms)
        which.append(trial.neuron[chosen])
        trials.append(np.full(int(chosen.sum()), index))
    return Raster(np.concatenate(times), np.concatenate(which), np.concatenate(trials))
