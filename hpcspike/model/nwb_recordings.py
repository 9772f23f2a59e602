"""Spike times and trials of a Neurodata Without Borders (NWB) file, as trial-averaged rates."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError, ResourceError
from hpcspike.model.recording_files import Table, refused, unreadable
from hpcspike.spec.experiment import n_steps
from hpcspike.spec.targets import NWB_BIN_MS, RecordedTargets

Array = NDArray[np.float64]

_REACH = 4.0
"""Half-width of the smoothing kernel in standard deviations."""


def read_nwb(path: Path, targets: RecordedTargets) -> Table:
    """Trial-averaged rates in Hz of all units of a file.

    Spikes are counted in bins of ``targets.bin_ms`` from ``targets.window_ms[0]`` to ``[1]`` around the time in the
    column ``targets.align`` of every trial that ``targets.condition`` chooses, averaged over these trials, and smoothed
    by a Gaussian of s.d. ``targets.smoothing_ms``. Spikes next to the window are counted too, so that smoothing does
    not bend its ends. Where a unit has observation intervals, only trials inside them count for it; a unit that was
    observed in none gets a rate of zero.

    Raises
    ------
    DataError
        If the file cannot be read, or units, trials or what the experiment asks of them are not in it.
    ResourceError
        If pynwb is not installed.
    """
    assert targets.align is not None
    assert targets.window_ms is not None
    try:
        import pynwb
    except ModuleNotFoundError:
        raise ResourceError(
            f"targets.path = {path}: reading NWB files needs pynwb; install it with: pip install 'hpcspike[nwb]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about name spaces and deprecated types: nothing that a user can act on
            with pynwb.NWBHDF5IO(str(path), mode="r") as stream:
                file = stream.read()
                aligned = _alignment(path, file, targets)
                names, spikes, observed = _units(path, file)
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever the format's libraries happen to raise
        raise unreadable(path, "NWB", error) from None
    bin_ms = NWB_BIN_MS if targets.bin_ms is None else targets.bin_ms
    smoothing_ms = targets.smoothing_ms or 0.0
    rates = np.stack(
        [
            trial_averaged_rate(
                times,
                _observed_trials(aligned, intervals, targets.window_ms),
                window_ms=targets.window_ms,
                bin_ms=bin_ms,
                smoothing_ms=smoothing_ms,
            )
            for times, intervals in zip(spikes, observed, strict=True)
        ]
    )
    begin = targets.window_ms[0]
    return Table(rates, begin + bin_ms * (np.arange(rates.shape[1]) + 0.5), names, "Hz")


def trial_averaged_rate(
    spike_times_s: Array, aligned_s: Array, *, window_ms: tuple[float, float], bin_ms: float, smoothing_ms: float = 0.0
) -> Array:
    """Rate of one unit in Hz, (bins,): spikes per trial and bin, over the bin's length, then smoothed.

    Parameters
    ----------
    spike_times_s
        Spike times in s, in any order.
    aligned_s
        Time of each trial in s that counts as 0; (trials,). Without trials the rate is zero.
    window_ms
        Begin and end of the window around it in ms, a whole number of bins.
    bin_ms
        Length of a bin in ms; one holds the times from its begin to just before its end.
    smoothing_ms
        S.d. in ms of the Gaussian, cut off at four s.d. and scaled to sum to 1; 0: none.
    """
    bins = n_steps(window_ms[1] - window_ms[0], bin_ms)
    beyond = int(np.ceil(_REACH * smoothing_ms / bin_ms))
    counts = np.zeros(bins + 2 * beyond)
    times = np.sort(spike_times_s)
    for zero in aligned_s:
        first, last = np.searchsorted(
            times, [zero + (window_ms[0] - (beyond + 1) * bin_ms) / 1e3, zero + (window_ms[1] + beyond * bin_ms) / 1e3]
        )
        # rounded far below a bin: a spike that lies on a bin's begin in the file's decimals belongs to it
        place = np.floor(np.round(((times[first:last] - zero) * 1e3 - window_ms[0]) / bin_ms, 6)).astype(np.int64)
        place += beyond
        counts += np.bincount(place[(place >= 0) & (place < len(counts))], minlength=len(counts))
    rate = counts * (1e3 / (bin_ms * max(len(aligned_s), 1)))
    if not beyond:
        return rate
    kernel = np.exp(-0.5 * (bin_ms * np.arange(-beyond, beyond + 1) / smoothing_ms) ** 2)
    return np.convolve(rate, kernel / kernel.sum(), mode="valid")


def _alignment(path: Path, file: Any, targets: RecordedTargets) -> Array:
    """Times in s to which the chosen trials are aligned."""
    trials = file.trials
    if trials is None or not len(trials):
        raise refused(path, "has no trials", "give an NWB file with a table of trials")
    columns = ", ".join(trials.colnames)
    for key, name in (("targets.align", targets.align), *(("targets.condition", name) for name in targets.condition)):
        if name not in trials.colnames:
            raise refused(path, f"{key} = {name!r} is not a column of its trials", f"choose one of {columns}")
    chosen = np.ones(len(trials), dtype=bool)
    for name, wanted in targets.condition.items():
        values = [_plain(value) for value in trials[name][:]]
        matches = np.array([_same(value, wanted) for value in values])
        if not matches.any():
            found = ", ".join(repr(value) for value in sorted(set(values), key=str)[:8])
            raise refused(path, f"no trial has {name} = {wanted!r}", f"the column holds {found}")
        chosen &= matches
    if not chosen.any():
        raise refused(path, "no trial meets all of targets.condition", "leave one of its columns out")
    times = np.asarray(trials[targets.align][:])
    if times.ndim != 1 or times.dtype.kind not in "iuf":
        raise refused(
            path, f"targets.align = {targets.align!r} is not a column of times", f"choose one of {columns} that is"
        )
    times = times[chosen].astype(np.float64)
    times = times[np.isfinite(times)]
    if not times.size:
        raise refused(
            path,
            f"not one of the {int(chosen.sum())} chosen trials has a time in the column {targets.align!r}",
            "choose another targets.align or targets.condition",
        )
    return times


def _units(path: Path, file: Any) -> tuple[tuple[str, ...], list[Array], list[Array | None]]:
    """Names, spike times in s, and observation intervals (k, 2) in s (None: always) of all units."""
    units = file.units
    if units is None or not len(units):
        raise refused(path, "has no units", "give an NWB file with a table of sorted units")
    if "spike_times" not in units.colnames:
        raise refused(path, "its units have no spike_times", "give an NWB file with spike times")
    names = tuple(str(name) for name in units.id[:])
    spikes = [np.asarray(units["spike_times"][k], dtype=np.float64) for k in range(len(units))]
    for name, times in zip(names, spikes, strict=True):
        if not np.isfinite(times).all():
            raise refused(path, f"a spike time of unit {name} is not finite", "remove it, or the unit")
    limited = "obs_intervals" in units.colnames
    observed: list[Array | None] = [
        np.asarray(units["obs_intervals"][k], dtype=np.float64).reshape(-1, 2) if limited else None
        for k in range(len(units))
    ]
    return names, spikes, observed


def _observed_trials(aligned_s: Array, intervals: Array | None, window_ms: tuple[float, float]) -> Array:
    """The trials whose window lies within one of the unit's observation intervals; none given: all."""
    if intervals is None or not intervals.size:
        return aligned_s
    begin, end = aligned_s + window_ms[0] / 1e3, aligned_s + window_ms[1] / 1e3
    slack = 1e-9 * max(1.0, float(np.abs(intervals).max()))
    inside = (intervals[:, :1] <= begin + slack) & (end - slack <= intervals[:, 1:])
    return np.asarray(aligned_s[inside.any(axis=0)])


def _plain(value: Any) -> Any:
    """A cell of a table as a Python value; bytes as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _same(value: Any, wanted: str | float | bool) -> bool:
    # 1 and True are different answers only if one of them is text
    return bool(str(value) == wanted if isinstance(wanted, str) else value == wanted)
