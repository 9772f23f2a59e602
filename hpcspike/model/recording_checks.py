"""Whether the numbers of a recording can be what they are said to be: rates of neurons, not counts, flags or times."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_table import RecordingTable, listed, refused
from hpcspike.spec.recorded import RecordedTargets

Array = NDArray[np.float64]

_HZ = {
    **dict.fromkeys(("hz", "hertz", "1/s", "s-1", "s^-1", "s**-1", "sp/s", "spk/s", "spikes/s", "spikes/sec"), "Hz"),
    **dict.fromkeys(("spikes/second", "spikes per second", "spikes s-1", "spikes s^-1"), "Hz"),
    **dict.fromkeys(("khz", "kilohertz", "1/ms", "ms-1", "ms^-1", "spikes/ms", "spikes per ms"), "kHz"),
    "per_tau": "per_tau",
    **dict.fromkeys(("1", "", "dimensionless"), "1"),
}
_OTHER_QUANTITIES = {
    *("count", "counts", "spike", "spikes", "spikes/bin", "spikes per bin", "ms", "s", "sec", "second", "seconds"),
    *(
        "millisecond",
        "milliseconds",
        "v",
        "mv",
        "uv",
        "volt",
        "a",
        "na",
        "pa",
        "%",
        "percent",
        "z",
        "zscore",
        "z-score",
    ),
    *("mhz", "ghz", "min", "1/min", "bool", "flag", "index"),
}
"""Units of what is neither a rate nor a drive: no key makes rates of them."""
HZ_PER = {"Hz": 1.0, "kHz": 1000.0}
"""Hz in the units that do not depend on the neuron's time constant."""


def unit_said(table: RecordingTable, targets: RecordedTargets) -> str | None:
    """The unit that key or file gives; None if none does."""
    said = targets.unit if targets.unit is not None else table.unit
    return "1" if said is None and targets.holds == "drive" else said


def unit_of_values(path: Path, table: RecordingTable, targets: RecordedTargets) -> tuple[str, tuple[str, ...]]:
    """The unit of the values (Hz, kHz, per_tau or 1), and a remark where ``targets.unit`` explains the file's word.

    Raises
    ------
    DataError
        If no unit is given, it is none of rates or drives, or file and ``targets.unit`` contradict each other.
    """
    allowed = ("Hz", "kHz", "per_tau") if targets.holds == "rate" else ("1",)
    word = None if table.unit is None else str(table.unit).strip()
    of_file = None if word is None else _HZ.get(word.lower())
    what = f"the unit of its {targets.holds}s is"
    if of_file is None and word is not None and (word.lower() in _OTHER_QUANTITIES or targets.unit is None):
        raise refused(
            path,
            f"{what} {word!r}",
            f"allowed: {_either(allowed)}; convert the values, or correct the array's units attribute"
            if word.lower() in _OTHER_QUANTITIES
            else f"allowed: {_either(allowed)}; set targets.unit or the array's units attribute",
        )
    if targets.unit is not None and of_file not in (None, targets.unit):
        raise refused(
            path,
            f"{what} {word!r} as the file says, but targets.unit = {targets.unit}",
            "leave targets.unit out, or correct the array's units attribute",
        )
    said = unit_said(table, targets)
    unit = targets.unit or of_file or ("1" if targets.holds == "drive" else None)
    if unit is None or unit not in allowed:
        raise refused(
            path,
            f"{what} " + ("not given" if said is None else f"{said!r}"),
            f"allowed: {_either(allowed)}; set targets.unit or the array's units attribute",
        )
    if word is not None and of_file is None:
        return unit, (f"the file calls the unit of its values {word!r}: taken as {unit}, as targets.unit says",)
    return unit, ()


def _either(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def check_names(path: Path, table: RecordingTable) -> None:
    """Refuse units without a name, and names that several units have."""
    nameless = [row for row, name in enumerate(table.names) if not name.strip()]
    if nameless:
        raise refused(
            path,
            f"{len(nameless)} of its {len(table.names)} units have no name, the first is unit {nameless[0] + 1}",
            "give every unit a name of its own",
        )
    double = [f"{name} ({times} times)" for name, times in Counter(table.names).items() if times > 1]
    if double:
        raise refused(
            path, f"several of its units have one name: {listed(double)}", "give every unit a name of its own"
        )


def check_reachable(path: Path, rates_hz: Array, table: RecordingTable, step_ms: float | None) -> None:
    """Refuse rates above one spike per step, which no neuron can reach."""
    if step_ms is None:
        return
    limit = 1000.0 / step_ms
    above = rates_hz > limit * (1.0 + 1e-9)
    if above.any():
        row, sample = np.argwhere(above)[0]
        raise refused(
            path,
            f"{int(above.sum())} rates of {int(above.any(axis=1).sum())} units are above {limit:,g} Hz, one spike in "
            f"every step of neuron.step_ms = {step_ms:g} ms, which no neuron can pass; the first is "
            f"{rates_hz[row, sample]:,.6g} Hz of unit {table.names[row]}, the highest {rates_hz.max():,.6g} Hz",
            "check the unit of the values (divided by the bin twice?) and targets.unit",
        )


def check_contents(path: Path, values: Array, times_ms: Array, names: tuple[str, ...]) -> None:
    """Refuse what is a column of times or numbers of samples, and tables of flags; ``values`` as in the file."""
    for name, row in zip(names, values, strict=True):
        if row.size > 2 and any(np.array_equal(row, times_ms * factor) for factor in (1.0, 1e-3, 1e3)):
            raise refused(path, f"unit {name} is the time axis once more", "leave this column out")
        steps = np.arange(row.size)
        if row.size > 4 and (np.array_equal(row, steps) or np.array_equal(row, steps + 1)):
            raise refused(path, f"unit {name} counts the samples: an index, not a rate", "leave this column out")
    if values.size > 2 and values.any() and np.isin(values, (0.0, 1.0)).all() and not (values == 1.0).all():
        raise refused(
            path,
            "all values of its units are 0 or 1: flags or spikes, not rates",
            "give rates: spikes counted in bins, over the length of a bin, averaged over trials or smoothed",
        )


def remarks_on_rates(values: Array, rates_hz: Array, names: tuple[str, ...]) -> tuple[str, ...]:
    """What is odd about the rates that are kept; ``values`` as they are in the file, both (units, samples)."""
    found: list[str] = []
    if not values.size:
        return ()
    highest = float(rates_hz.max())
    if highest < 1.0:
        found.append(
            f"no rate is above {highest:.3g} Hz: rates in kHz (targets.unit: kHz), or spikes per bin or a probability?"
        )
    if values.shape[1] > 4 and (values == np.floor(values)).all():
        found.append(
            f"all values are whole numbers (up to {values.max():g}): if they are spikes per bin, divide them by the "
            "bin's length in s"
        )
    kinds = {
        "is 0 or 1 throughout: a flag?": np.isin(values, (0.0, 1.0)).all(axis=1) & (np.ptp(values, axis=1) > 0),
        "has one value throughout": (np.ptp(values, axis=1) == 0) & (values.shape[1] > 2),
        "only rises, in equal steps: an index?": _is_index(values),
    }
    for words, which in kinds.items():
        if which.any():
            of = [name for name, one in zip(names, which, strict=True) if one]
            found.append(f"{'unit' if len(of) == 1 else 'each of the units'} {listed(of)} {words}")
    return tuple(found)


def _is_index(values: Array) -> NDArray[np.bool_]:
    """Which units are whole numbers that rise by the same amount from sample to sample."""
    if values.shape[1] < 5:
        return np.zeros(len(values), dtype=bool)
    steps = np.diff(values, axis=1)
    return np.asarray((steps[:, :1] > 0)[:, 0] & (steps == steps[:, :1]).all(axis=1) & (values % 1 == 0).all(axis=1))


def remarks_on_times(times_ms: Array) -> tuple[str, ...]:
    """What is odd about a time axis that ascends: gaps, and lengths that speak for another unit."""
    steps = np.diff(times_ms)
    middle, widest = float(np.median(steps)), int(np.argmax(steps))
    found: list[str] = []
    if steps.max() > 5.0 * middle:
        found.append(
            f"its samples are {middle:g} ms apart, but {steps[widest]:g} ms from {times_ms[widest]:g} to "
            f"{times_ms[widest + 1]:g} ms: the gap is bridged by a straight line"
        )
    elif steps.max() - steps.min() > 1e-6 * middle:
        found.append(f"its samples are not evenly spaced: {steps.min():g} to {steps.max():g} ms apart")
    covered = float(times_ms[-1] - times_ms[0])
    if middle < 0.05:
        found.append(f"its samples are {middle:g} ms apart, {covered:g} ms in all: are the times in s?")
    elif middle >= 1000.0 or covered > 600_000.0:
        found.append(f"its samples are {middle / 1e3:g} s apart, {covered / 1e3:g} s in all: are the times in ms?")
    return tuple(found)
