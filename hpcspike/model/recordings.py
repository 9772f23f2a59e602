"""Recorded rates or drives as targets, and the auxiliary rates beside them (paper, Fig 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.errors import DataError
from hpcspike.model.recording_checks import (
    HZ_PER,
    check_contents,
    check_names,
    check_reachable,
    remarks_on_rates,
    remarks_on_times,
    unit_of_values,
    unit_said,
)
from hpcspike.model.recording_conditions import ReadCondition, like_the_first
from hpcspike.model.recording_files import read_table
from hpcspike.model.recording_selection import kept_rows
from hpcspike.model.recording_table import RecordingTable, ambiguous, refused
from hpcspike.model.stand_in import DURATION_MS, UNITS, stand_in_rates
from hpcspike.model.transfer import rate_of_constant_input
from hpcspike.paths import local
from hpcspike.spec.recorded import RecordedTargets

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recording:
    """The units kept from a file, in model units; of several conditions the first, with the others in ``further``.

    Attributes
    ----------
    values
        Shape (n_units, n_samples); rates in spikes per tau, drives dimensionless.
    times_ms
        Shape (n_samples,), the file's own time axis in ms, increasing.
    unit_ids
        Name of every kept unit: its coordinate or column header, or its row number in a file that names none.
    rows
        Shape (n_units,), 0-based position of every kept unit in ``table``.
    mean_rates_hz
        Shape (n_units,), mean over the file's samples in Hz; None for drives.
    table
        What the file holds, before units were left out; None for a recording made of arrays.
    start_ms
        Begin of the window on the time axis; None: its first sample.
    remarks
        What was decided, or found odd, while reading: to be said to the user.
    condition
        Name of the condition; empty if there is one alone.
    further
        The same units, in the same order and at the same times, in the other conditions.
    halves
        Shape (2, n_units, n_samples), as values: averages over every second trial, from the first and from the second
        on; None where the file holds no single trials.
    """

    values: Array
    times_ms: Array
    unit_ids: tuple[str, ...]
    rows: NDArray[np.int64]
    mean_rates_hz: Array | None
    table: RecordingTable | None = None
    start_ms: float | None = None
    remarks: tuple[str, ...] = ()
    condition: str = ""
    further: tuple[Recording, ...] = ()
    halves: Array | None = None

    @property
    def conditions(self) -> tuple[Recording, ...]:
        """The recordings of all conditions, in the order of the target sets."""
        return (self, *self.further)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions; none where there is one alone."""
        return tuple(one.condition for one in self.conditions) if self.further else ()

    @property
    def begin_ms(self) -> float:
        """Begin of the window on the time axis in ms."""
        return float(self.times_ms[0]) if self.start_ms is None else self.start_ms

    @property
    def attributes(self) -> dict[str, NDArray[Any]]:
        """What the file says of the kept units, name -> (n_units,): id, area, depth, quality, ..."""
        found = {} if self.table is None else self.table.attributes
        return {name: column[self.rows] for name, column in found.items()}

    @property
    def alignment(self) -> str | None:
        """What counts as time 0 on the time axis, such as the NWB column ``go_time``; None: not said."""
        return None if self.table is None else self.table.alignment


def read_recording(
    targets: RecordedTargets, *, tau_ms: float = 10.0, seed: int = 1, step_ms: float | None = None
) -> Recording:
    """Read the file of recorded targets, check it, and keep the units the experiment asks for.

    Parameters
    ----------
    targets
        Path, array name, units and selection. Rates keep the first ``n_units`` units whose mean rate exceeds
        ``min_rate_hz``, of several conditions the mean over all of them; drives have no rate and keep the first
        ``n_units``.
    tau_ms
        Membrane time constant in ms: model rates are spikes per tau, that is Hz * tau_ms / 1000.
    seed
        Key of a stand-in (``targets.path: generated``); files are what they are.
    step_ms
        Integration step in ms, of which no neuron spikes more than once: higher rates are refused. None: not checked.

    Raises
    ------
    DataError
        If a file is missing, unreadable, of an unknown kind, or holds something that cannot be a target, or conditions
        differ in their units or times.
    AmbiguousRecording
        If it can be read in several ways, and no key says in which.

    Notes
    -----
    netCDF (4 by h5netcdf, 3 by scipy) and zarr: an array with a dimension ``time`` in ms or s (its ``units``
    attribute). CSV, TSV: a header, the time in the first column, whose name says the unit (``time_ms`` or ``time_s``),
    one further column per unit. NPY, NPZ, MATLAB, JLD2: the order of the dimensions is ``targets.layout``; without a
    time axis in the file ``targets.sample_ms``. NWB: see `hpcspike.model.nwb_recordings`; samples are the middles of
    the bins. Conditions are matched by the names of their units.
    """
    names = targets.condition_names or ("",)
    read = [
        _read(one, tau_ms=tau_ms, seed=seed, step_ms=step_ms, condition=condition)
        for condition, one in enumerate(targets.each_condition())
    ]
    read = [
        read[0],
        *(like_the_first(read[0], other, names[0], name) for other, name in zip(read[1:], names[1:], strict=True)),
    ]
    rates = [one.rates_hz.mean(axis=1) for one in read if one.rates_hz is not None]
    rows = kept_rows(read[0].path, read[0].values, np.mean(rates, axis=0) if rates else None, targets)
    recordings = [_kept(one, rows, targets, name, tau_ms) for one, name in zip(read, names, strict=True)]
    first, further = recordings[0], tuple(recordings[1:])
    of_all = tuple(remark for remark in first.remarks if all(remark in one.remarks for one in further))
    own = (f"{one.condition}: {said}" for one in (first, *further) for said in one.remarks if said not in of_all)
    return replace(first, further=further, remarks=(*of_all, *own))


def _read(
    targets: RecordedTargets, *, tau_ms: float, seed: int, step_ms: float | None, condition: int
) -> ReadCondition:
    path = local(targets.path)
    table = _stand_in(targets, seed, condition) if targets.is_stand_in else read_table(path, targets)
    check_names(path, table)
    _refuse_without_interval_and_unit(path, table, targets)
    times_ms = _checked_times(path, table, targets)
    in_file = _checked_values(path, table, times_ms)
    values, rates_hz, remarks = _in_model_units(path, in_file, table, targets, tau_ms)
    if rates_hz is not None:
        check_reachable(path, rates_hz, table, step_ms)
    return ReadCondition(path, table, times_ms, in_file, values, rates_hz, remarks)


def _kept(
    read: ReadCondition, rows: NDArray[np.int64], targets: RecordedTargets, condition: str, tau_ms: float
) -> Recording:
    path, table, times_ms, rates_hz, remarks = read.path, read.table, read.times_ms, read.rates_hz, read.remarks
    unit_ids = tuple(table.names[row] for row in rows)
    if not targets.is_stand_in:
        remarks = (*table.remarks, *remarks, *remarks_on_times(times_ms))
    if rates_hz is not None and not targets.is_stand_in and table.trials is None:
        check_contents(path, read.in_file[rows], times_ms, unit_ids)
        remarks += remarks_on_rates(read.in_file[rows], rates_hz[rows], unit_ids)
    return Recording(
        values=read.values[rows],
        times_ms=times_ms,
        unit_ids=unit_ids,
        rows=rows,
        mean_rates_hz=None if rates_hz is None else rates_hz.mean(axis=1)[rows],
        table=table,
        start_ms=targets.start_ms,
        remarks=remarks,
        condition=condition,
        halves=None if table.halves is None else table.halves[:, rows] * (tau_ms / 1000.0),
    )


def _stand_in(targets: RecordedTargets, seed: int, condition: int) -> RecordingTable:
    n_units = UNITS if targets.n_units is None else targets.n_units
    duration_ms = DURATION_MS if targets.duration_ms is None else targets.duration_ms
    times_ms, rates = stand_in_rates(
        n_units, duration_ms=duration_ms + (targets.start_ms or 0.0), seed=seed, condition=condition
    )
    names = tuple(f"stand-in {unit}" for unit in range(n_units))
    return RecordingTable(rates, times_ms, names, "Hz", "made up, no file")


def interpolated(recording: Recording, times_ms: Array) -> Array:
    """Values at ``times_ms``, linear between samples and exact at them; shape (n_units, len(times_ms)).

    Parameters
    ----------
    recording
        A recording with at least two samples.
    times_ms
        Times in ms on the recording's own axis, within its first and last sample.

    Raises
    ------
    DataError
        If a time lies outside the recording: nothing is extrapolated.
    """
    return interpolated_at(recording.values, recording.times_ms, times_ms)


def interpolated_at(values: Array, samples: Array, times_ms: Array) -> Array:
    """`interpolated` of any values (..., n_samples) that were sampled at ``samples``; (..., len(times_ms)).

    A course that is constant stays it, to the bit.
    """
    first, last = float(samples[0]), float(samples[-1])
    slack = 1e-9 * (last - first)  # grid points are sums of rounded steps
    if times_ms.size and (times_ms.min() < first - slack or times_ms.max() > last + slack):
        raise DataError(
            f"times from {times_ms.min():g} to {times_ms.max():g} ms were asked for, but the recording covers "
            f"{first:g} to {last:g} ms; shorten targets.duration_ms"
        )
    times = np.clip(times_ms, first, last)
    left = np.clip(np.searchsorted(samples, times, side="right") - 1, 0, samples.size - 2)
    weight = (times - samples[left]) / (samples[left + 1] - samples[left])
    # written as a weighted sum because v0 + w (v1 - v0) does not hit v1 exactly at w = 1
    found = np.take(values, left, axis=-1) * (1.0 - weight) + np.take(values, left + 1, axis=-1) * weight
    constant = (values == values[..., :1]).all(axis=-1)
    found[constant] = values[constant][..., :1]
    return found


def auxiliary_rates(paths: Array, *, grid_ms: float, tau_syn_ms: float) -> Array:
    """Rate targets of auxiliary neurons: phi_1 of an OU path, low-passed with tau_s (paper, Methods: cortical rates).

    Parameters
    ----------
    paths
        OU drives x, shape (n, n_samples), dimensionless.
    grid_ms
        Interval between samples in ms.
    tau_syn_ms
        Time constant of the low-pass in ms.

    Returns
    -------
    Rates in spikes per tau, shape (n, n_samples), never negative. Sample 0 is phi_1(x(0)), so that no neuron starts
    with an artificial rise from zero; then y(t + h) = a y(t) + (1 - a) phi_1(x(t + h)), a = exp(-h / tau_s), the
    exact filter of an input that is constant between samples.
    """
    rates: Array = rate_of_constant_input(np.asarray(paths, dtype=np.float64))
    decay = float(np.exp(-grid_ms / tau_syn_ms))
    for sample in range(1, rates.shape[1]):
        rates[:, sample] = decay * rates[:, sample - 1] + (1.0 - decay) * rates[:, sample]
    return rates


def _refuse_without_interval_and_unit(path: Path, table: RecordingTable, targets: RecordedTargets) -> None:
    """Both at once where both are missing; one of them is named where it is used."""
    if table.times_ms is None and targets.sample_ms is None and unit_said(table, targets) is None:
        raise refused(
            path,
            "has no time axis, and the unit of its rates is not given",
            "set targets.sample_ms, the interval between samples in ms, and targets.unit, Hz, kHz or per_tau",
        )


def _checked_times(path: Path, table: RecordingTable, targets: RecordedTargets) -> Array:
    """The time axis in ms: finite, increasing, with at least two samples, as long as the window asked for."""
    n_samples = table.values.shape[1]
    if n_samples < 2:
        raise refused(path, f"holds {n_samples} samples in time", "give at least 2 samples per unit")
    if table.times_ms is None:
        if targets.sample_ms is None:
            raise refused(path, "has no time axis", "set targets.sample_ms, the interval between samples in ms")
        times = targets.sample_ms * np.arange(n_samples, dtype=np.float64)
    else:
        if targets.sample_ms is not None:
            raise refused(
                path, f"has a time axis, but targets.sample_ms = {targets.sample_ms:g} ms", "remove targets.sample_ms"
            )
        if table.times_ms.dtype.kind not in "iuf":
            raise refused(path, f"its time axis is of type {table.times_ms.dtype}", "store times as numbers, ms or s")
        times = table.times_ms.astype(np.float64)
    if not np.isfinite(times).all():
        raise refused(path, "its time axis holds a value that is not finite", "give every sample a time")
    backward = np.flatnonzero(np.diff(times) <= 0)
    if backward.size:
        k = int(backward[0])
        raise refused(
            path,
            f"its time axis does not increase: {times[k]:g} ms is followed by {times[k + 1]:g} ms (sample {k + 1})",
            "sort the samples by time and remove repeated ones",
        )
    _check_window(path, times, targets)
    return times


def _check_window(path: Path, times: Array, targets: RecordedTargets) -> None:
    """The window lies within the recording."""
    first, last = float(times[0]), float(times[-1])
    begin = first if targets.start_ms is None else targets.start_ms
    if not first <= begin < last:
        raise refused(
            path,
            f"covers {first:g} to {last:g} ms, but targets.start_ms = {begin:g} ms",
            f"choose a begin from {first:g} ms to below {last:g} ms, or leave it out",
        )
    covered = last - begin
    if targets.duration_ms is not None and targets.duration_ms > covered * (1.0 + 1e-9):
        since = "" if targets.start_ms is None else f" from targets.start_ms = {begin:g} ms on"
        raise refused(
            path,
            f"covers {covered:g} ms{since}, but targets.duration_ms = {targets.duration_ms:g} ms",
            f"choose a duration of at most {covered:g} ms, or leave it out",
        )


def _checked_values(path: Path, table: RecordingTable, times_ms: Array) -> Array:
    """The values as float64, every one finite."""
    if table.values.dtype.kind not in "iuf":
        raise refused(path, f"its values are of type {table.values.dtype}", "store numbers")
    values = table.values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        unit, sample = bad[0]
        raise refused(
            path,
            f"{len(bad)} values are not finite, the first is {values[unit, sample]} of unit {table.names[unit]} "
            f"at {times_ms[sample]:g} ms",
            "fill the gaps or remove these units",
        )
    return values


def _in_model_units(
    path: Path, values: Array, table: RecordingTable, targets: RecordedTargets, tau_ms: float
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """Values in spikes per tau (rates) or dimensionless (drives), rates in Hz (None for drives), and remarks."""
    if unit_said(table, targets) is None:
        raise ambiguous(
            path,
            "the unit of its rates is not given",
            "allowed: Hz, kHz or per_tau; set targets.unit or the array's units attribute",
            [{"unit": unit} for unit in ("Hz", "kHz", "per_tau")],
        )
    unit, remarks = unit_of_values(path, table, targets)
    if targets.holds == "drive":
        return values, None, remarks
    negative = np.argwhere(values < 0)
    if negative.size:
        row, sample = negative[0]
        raise refused(
            path,
            f"{len(negative)} rates are negative, the first is {values[row, sample]:g} of unit {table.names[row]}",
            "rates must be >= 0 (set targets.holds: drive if these are drives)",
        )
    per_hz = tau_ms / 1000.0
    if unit == "per_tau":
        return values, values / per_hz, remarks
    rates_hz = values if unit == "Hz" else values * HZ_PER[unit]
    return rates_hz * per_hz, rates_hz, remarks
