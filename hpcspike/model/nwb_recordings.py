"""Spike times and trials of a Neurodata Without Borders (NWB) file, as trial-averaged rates."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import HpcspikeError, ResourceError
from hpcspike.model.nwb_trials import Alignment, aligned_trials, within_recording
from hpcspike.model.recording_selection import chosen_rows
from hpcspike.model.recording_table import RecordingTable, in_words, listed, plain, refused, unreadable
from hpcspike.spec.fields import n_steps
from hpcspike.spec.recorded import NWB_BIN_MS, RecordedTargets

Array = NDArray[np.float64]

_REACH = 4.0
"""Half-width of the smoothing kernel in standard deviations."""


def read_nwb(path: Path, targets: RecordedTargets) -> RecordingTable:
    """Trial-averaged rates in Hz of the units of a file.

    Spikes are counted in bins of ``targets.bin_ms`` from ``targets.window_ms[0]`` to ``[1]`` around the time in the
    column ``targets.align`` of every trial (row of ``targets.intervals``) that ``targets.condition`` chooses, averaged
    over these trials, and smoothed by a Gaussian of s.d. ``targets.smoothing_ms``. Spikes next to the window are
    counted too, so that smoothing does not bend its ends. Where a unit has observation intervals, only trials inside
    them count for it; a unit that was observed in none gets a rate of zero. Which trials are left out, and why, is in
    the table: see `hpcspike.model.nwb_trials`.

    Raises
    ------
    DataError
        If the file cannot be read, units, trials or what the experiment asks of them are not in it, or their times
        make no sense.
    ResourceError
        If pynwb is not installed.
    """
    assert targets.window_ms is not None
    with opened(path) as file:
        alignment = aligned_trials(path, file, targets)
        units = _units(path, file, targets)
    if units.observed is None:
        alignment = within_recording(path, alignment, units.spikes, targets)
    trials = [alignment.times_s] * len(units.names)
    if units.observed is not None:
        trials = [_observed_trials(alignment.times_s, intervals, targets.window_ms) for intervals in units.observed]
    bin_ms = NWB_BIN_MS if targets.bin_ms is None else targets.bin_ms
    rates, even, odd = (
        np.stack(
            [
                trial_averaged_rate(
                    times, own[part], window_ms=targets.window_ms, bin_ms=bin_ms,
                    smoothing_ms=targets.smoothing_ms or 0.0,
                )
                for times, own in zip(units.spikes, trials, strict=True)
            ]
        )
        for part in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )  # fmt: skip
    return RecordingTable(
        values=rates,
        times_ms=targets.window_ms[0] + bin_ms * (np.arange(rates.shape[1]) + 0.5),
        names=units.names,
        unit="Hz",
        kind="NWB",
        attributes={**units.attributes, "n_trials": np.array([len(own) for own in trials])},
        conditions=in_words(targets.condition),
        alignment=targets.align,
        trials=alignment.trials,
        units_of=units.of,
        halves=np.stack([even, odd]) if alignment.trials.used > 1 else None,
        remarks=alignment.remarks + _unobserved(units.names, trials, alignment),
    )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as pynwb reads it; whatever it raises is a DataError."""
    if path.is_dir():
        raise refused(path, "is a folder", "give an NWB file in HDF5 format")
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
                yield stream.read()
    except HpcspikeError:
        raise
    except Exception as error:  # damaged files raise whatever the format's libraries happen to raise
        raise unreadable(path, "NWB", error) from None


@dataclass(frozen=True, eq=False)
class _Units:
    """The chosen units: spike times in s, observation intervals (k, 2) in s (None: always observed)."""

    names: tuple[str, ...]
    spikes: list[Array]
    observed: list[Array] | None
    attributes: dict[str, NDArray[Any]]
    of: int


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


def _observed_trials(aligned_s: Array, intervals: Array | None, window_ms: tuple[float, float]) -> Array:
    """The trials whose window lies within one of the unit's observation intervals; none given: all."""
    if intervals is None or not intervals.size:
        return aligned_s
    begin, end = aligned_s + window_ms[0] / 1e3, aligned_s + window_ms[1] / 1e3
    slack = 1e-9 * max(1.0, float(np.abs(intervals).max()))
    inside = (intervals[:, :1] <= begin + slack) & (end - slack <= intervals[:, 1:])
    return np.asarray(aligned_s[inside.any(axis=0)])


def _unobserved(names: tuple[str, ...], trials: list[Array], alignment: Alignment) -> tuple[str, ...]:
    """A remark about units that were not observed in all trials."""
    fewer = [name for name, own in zip(names, trials, strict=True) if len(own) < len(alignment.times_s)]
    none = [name for name, own in zip(names, trials, strict=True) if not len(own)]
    if not fewer:
        return ()
    words = f"{len(fewer)} of {len(names)} units were not observed in all {len(alignment.times_s)} trials"
    return (words + (f", {len(none)} in none: {listed(none)}" if none else ""),)


def _units(path: Path, file: Any, targets: RecordedTargets) -> _Units:
    """The units that ``targets.select_units`` chooses."""
    units = file.units
    if units is None or not len(units):
        raise refused(path, "has no units", "give an NWB file with a table of sorted units")
    if "spike_times" not in units.colnames:
        raise refused(path, "its units have no spike_times", "give an NWB file with spike times")
    attributes = {**scalar_columns(units), **_locations(units)}
    rows = chosen_rows(path, attributes, len(units), targets)
    names = tuple(str(attributes["id"][row]) for row in rows)
    spikes = [np.asarray(units["spike_times"][int(row)], dtype=np.float64) for row in rows]
    for name, times in zip(names, spikes, strict=True):
        _check_spike_times(path, name, times)
    observed = None
    if "obs_intervals" in units.colnames:
        observed = [np.asarray(units["obs_intervals"][int(row)], dtype=np.float64).reshape(-1, 2) for row in rows]
        if not any(intervals.size for intervals in observed):
            observed = None
    chosen = {name: column[rows] for name, column in attributes.items()}
    return _Units(names, spikes, observed, chosen, len(units))


def scalar_columns(table: Any) -> dict[str, NDArray[Any]]:
    """Columns of a table that hold one number or text per row: name -> (rows,), the ``id`` first."""
    columns = {"id": np.asarray(table.id[:])}
    for name in table.colnames:
        column = table[name]
        if hasattr(column, "target") or hasattr(column, "table"):  # lists through an index, references to tables
            continue
        try:
            values = np.array([plain(value) for value in column[:]])
        except (ValueError, TypeError):  # lists of different lengths
            continue
        if values.ndim == 1 and values.dtype.kind in "biufU" and len(values) == len(table):
            columns[name] = values
    return columns


def _locations(units: Any) -> dict[str, NDArray[Any]]:
    """The brain areas of the electrodes that units were recorded by, as ``location``; empty if the file has none."""
    if "electrodes" not in units.colnames or "location" in units.colnames:
        return {}
    try:
        found = [sorted({str(one) for one in units["electrodes"][k]["location"]}) for k in range(len(units))]
    except (KeyError, TypeError, IndexError):
        return {}
    return {"location": np.array([", ".join(areas) for areas in found])}


def _check_spike_times(path: Path, name: str, times: Array) -> None:
    if not np.isfinite(times).all():
        raise refused(path, f"a spike time of unit {name} is not finite", "remove it, or the unit")
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        k = int(back[0])
        raise refused(
            path,
            f"the spike times of unit {name} do not ascend: {times[k]:.9g} s is followed by {times[k + 1]:.9g} s "
            f"(spike {k + 1} of {len(times)}; {back.size} such places)",
            "if two recordings were joined, shift the times of the second; if the order means nothing, sort them",
        )
