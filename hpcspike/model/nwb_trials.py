"""The trials of a Neurodata Without Borders (NWB) file: which of them can be averaged, and why others cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_table import Trials, in_words, listed, matches, plain, refused, without_match
from hpcspike.spec.recorded import NWB_TRIALS, RecordedTargets

Array = NDArray[np.float64]

_SURE = 20.0
"""So many expected spikes do not fail to come by chance (1 in 5e8): where none came, nothing was recorded."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Times in s to which the chosen trials are aligned, and what became of the others."""

    times_s: Array
    trials: Trials
    remarks: tuple[str, ...] = ()


def aligned_trials(path: Path, file: Any, targets: RecordedTargets) -> Alignment:
    """The trials that ``targets.condition`` chooses, aligned to the column ``targets.align``.

    Left out, and counted, are trials without a time in that column, those whose time lies outside of them, and those
    that overlap the file's ``invalid_times``.

    Raises
    ------
    DataError
        If a table or column is missing, no trial is chosen, or the times make no sense: most of them outside of their
        trials, all at one time, or trials on top of each other.
    """
    table, name = _table(path, file, targets)
    chosen = _of_condition(path, table, name, targets)
    times = _times(path, table, name, targets)
    start, stop = (_column_of_times(table, key) for key in ("start_time", "stop_time"))
    dropped: dict[str, int] = {}

    def drop(which: NDArray[np.bool_], reason: str) -> None:
        nonlocal chosen
        which = which & chosen
        if which.any():
            dropped[reason] = int(which.sum())
            chosen = chosen & ~which

    n_chosen = int(chosen.sum())
    if targets.condition:
        drop_others = len(chosen) - n_chosen
        if drop_others:
            dropped["other conditions"] = drop_others
    drop(~np.isfinite(times), f"no time in {targets.align}")
    if not chosen.any():
        raise refused(
            path,
            f"not one of the {n_chosen} chosen trials has a time in the column {targets.align!r}",
            "choose another targets.align or targets.condition",
        )
    remarks = _refuse_overlaid(path, start[chosen], stop[chosen], name)
    outside = _outside(times, start, stop)
    _refuse_relative(path, times[chosen], outside[chosen], start[chosen], stop[chosen], targets)
    drop(outside, f"{targets.align} outside of the trial")
    window = np.asarray(targets.window_ms) / 1e3
    drop(_overlap(times + window[0], times + window[1], _invalid_times(file)), "in invalid_times")
    if not chosen.any():
        raise refused(path, "no trial is left: all overlap its invalid_times", "choose another targets.window_ms")
    remarks += _overlapping_windows(times[chosen], targets)
    return Alignment(times[chosen], Trials(int(chosen.sum()), len(chosen), dropped), remarks)


def within_recording(path: Path, alignment: Alignment, spikes: list[Array], targets: RecordedTargets) -> Alignment:
    """The alignment without the trials in which nothing was recorded.

    Those are trials whose window lies before the first or after the last spike of any unit, and trials in which no unit
    fired for so long that more than 20 spikes were to be expected.

    Raises
    ------
    DataError
        If no trial is left.
    """
    merged = np.sort(np.concatenate(spikes)) if spikes else np.empty(0)
    if merged.size < 2:
        return alignment
    assert targets.window_ms is not None
    first, last = float(merged[0]), float(merged[-1])
    rate = merged.size / (last - first) if last > first else 0.0
    _refuse_milliseconds(path, alignment, first, last, merged.size / len(spikes))
    begin = alignment.times_s + targets.window_ms[0] / 1e3
    end = alignment.times_s + targets.window_ms[1] / 1e3
    silence = np.maximum(end - np.maximum(last, begin), np.minimum(first, end) - begin)  # at the recording's ends
    fired = np.searchsorted(merged, end) > np.searchsorted(merged, begin)
    beyond = (end <= first) | (begin >= last) | (rate * silence > _SURE)
    without = ~beyond & ~fired & (rate * (end - begin) > _SURE)
    left = ~beyond & ~without
    if left.all():
        return alignment
    if not left.any():
        raise refused(
            path,
            f"not one of the {len(left)} chosen trials lies in the recording: spikes from {first:g} to {last:g} s, "
            f"windows around {targets.align} from {begin.min():g} to {end.max():g} s",
            "check the units of both (NWB: seconds) and targets.align",
        )
    dropped = dict(alignment.trials.dropped)
    for which, reason in ((beyond, "beyond the recording"), (without, "without a spike of any unit")):
        if which.any():
            dropped[reason] = int(which.sum())
    return Alignment(alignment.times_s[left], Trials(int(left.sum()), alignment.trials.of, dropped), alignment.remarks)


def _refuse_milliseconds(path: Path, alignment: Alignment, first: float, last: float, per_unit: float) -> None:
    """Refuse spikes that last far longer than the trials, at rates far below those of neurons: times in ms."""
    covered = last - first
    trials = float(np.ptp(alignment.times_s))
    if trials > 0 and covered > 50.0 * trials and per_unit < 0.1 * covered:
        raise refused(
            path,
            f"its spikes go from {first:g} to {last:g} s ({per_unit / covered:.2g} Hz per unit), its trials from "
            f"{alignment.times_s.min():g} to {alignment.times_s.max():g} s (spike times in ms?)",
            "NWB counts all times in seconds: correct spike_times",
        )


def tables_of(file: Any) -> dict[str, Any]:
    """The tables of intervals in a file, by name."""
    return {str(name): table for name, table in file.intervals.items() if name != "invalid_times"}


def _table(path: Path, file: Any, targets: RecordedTargets) -> tuple[Any, str]:
    name = NWB_TRIALS if targets.intervals is None else targets.intervals
    tables = tables_of(file)
    table = tables.get(name)
    if table is None or not len(table):
        others = [other for other, found in tables.items() if len(found)]
        if targets.intervals is None:
            remedy = f"set targets.intervals to one of its tables: {listed(others)}" if others else (
                "give an NWB file with a table of trials"
            )  # fmt: skip
            raise refused(path, "has no trials", remedy)
        raise refused(
            path,
            f"has no rows in a table of intervals called {name!r} (targets.intervals)",
            f"choose one of {listed(others)}" if others else "give an NWB file with a table of trials",
        )
    return table, name


def _of_condition(path: Path, table: Any, name: str, targets: RecordedTargets) -> NDArray[np.bool_]:
    columns = listed(table.colnames, most=30)
    for key, column in (("targets.align", targets.align), *(("targets.condition", one) for one in targets.condition)):
        if column not in table.colnames:
            raise refused(path, f"{key} = {column!r} is not a column of its {name}", f"choose one of {columns}")
    chosen = np.ones(len(table), dtype=bool)
    for column, wanted in targets.condition.items():
        values = [plain(value) for value in table[column][:]]
        missing = without_match(values, wanted)
        if missing:
            held = listed(repr(value) for value in sorted({str(value): value for value in values}.values(), key=str))
            words = f"{column} = {wanted!r}" if not isinstance(wanted, list) else in_words({column: missing})
            raise refused(path, f"no trial has {words}", f"the column holds {held}")
        chosen &= matches(values, wanted)
    if not chosen.any():
        raise refused(path, "no trial meets all of targets.condition", "leave one of its columns out")
    return chosen


def _times(path: Path, table: Any, name: str, targets: RecordedTargets) -> Array:
    try:
        times = np.asarray(table[targets.align][:])
    except ValueError:  # lists of different lengths
        times = np.empty((0, 0))
    if times.ndim != 1 or times.dtype.kind not in "iuf":
        raise refused(
            path,
            f"targets.align = {targets.align!r} is not a column of times",
            f"choose one of {listed(table.colnames, most=30)} that is",
        )
    return times.astype(np.float64)


def _column_of_times(table: Any, name: str) -> Array:
    return np.asarray(table[name][:], dtype=np.float64)


def _outside(times: Array, start: Array, stop: Array) -> NDArray[np.bool_]:
    """Where a time lies outside of its trial; not where the trial's own times are missing."""
    slack = 1e-6 * np.maximum(1.0, np.abs(times))
    with np.errstate(invalid="ignore"):
        return np.isfinite(times) & ((times < start - slack) | (times > stop + slack))


def _refuse_relative(
    path: Path, times: Array, outside: NDArray[np.bool_], start: Array, stop: Array, targets: RecordedTargets
) -> None:
    """Refuse times that were counted from the start of each trial, as far as numbers can tell."""
    remedy = (
        "NWB counts all times in seconds from the start of the session: correct the column, or choose another "
        "targets.align"
    )
    if outside.sum() * 2 > len(times) or (outside.any() and len(times) == 1):
        k = int(np.flatnonzero(outside)[0])
        longest = float(np.nanmax(stop - start)) if np.isfinite(stop - start).any() else np.inf
        relative = " (counted from the start of each trial?)" if 0 <= np.median(times) <= longest else ""
        raise refused(
            path,
            f"targets.align = {targets.align!r}: {int(outside.sum())} of {len(times)} times lie outside of their "
            f"trials, the first is {times[k]:g} s in a trial from {start[k]:g} to {stop[k]:g} s{relative}",
            remedy,
        )
    if len(times) > 1 and (times == times[0]).all():
        raise refused(
            path,
            f"targets.align = {targets.align!r}: all {len(times)} trials have the same time, {times[0]:g} s",
            remedy,
        )


def _refuse_overlaid(path: Path, start: Array, stop: Array, name: str) -> tuple[str, ...]:
    """Refuse trials most of which overlap; a remark about a few."""
    order = np.argsort(start, kind="stable")
    start, stop = start[order], stop[order]
    with np.errstate(invalid="ignore"):
        over = start[1:] < stop[:-1] - 1e-6
    if not over.any():
        return ()
    k = int(np.flatnonzero(over)[0])
    words = (
        f"{int(over.sum())} of its {len(start)} {name} begin before the one before has ended, the first at "
        f"{start[k + 1]:g} s before {stop[k]:g} s"
    )
    if over.sum() * 2 > len(over):
        raise refused(
            path,
            f"{words} (times counted from the start of each trial?)",
            "NWB counts all times in seconds from the start of the session: correct start_time and stop_time, or "
            "choose other trials with targets.condition or targets.intervals",
        )
    return (f"{words}: the spikes there count in both",)


def _overlapping_windows(times: Array, targets: RecordedTargets) -> tuple[str, ...]:
    assert targets.window_ms is not None
    length = (targets.window_ms[1] - targets.window_ms[0]) / 1e3
    near = np.diff(np.sort(times)) < length - 1e-9
    if not near.any():
        return ()
    return (
        f"the windows of {int(near.sum())} trials reach into that of the next (targets.window_ms is longer than the "
        f"{np.diff(np.sort(times)).min() * 1e3:g} ms between them): the spikes there count in both",
    )


def _invalid_times(file: Any) -> Array:
    table = file.invalid_times
    if table is None or not len(table):
        return np.empty((0, 2))
    return np.stack([_column_of_times(table, key) for key in ("start_time", "stop_time")], axis=1)


def _overlap(begin: Array, end: Array, spans: Array) -> NDArray[np.bool_]:
    """Which intervals overlap one of the spans (k, 2)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((begin < spans[:, 1:]) & (spans[:, :1] < end)).any(axis=0), dtype=bool)
