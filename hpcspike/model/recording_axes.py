"""Which dimension of an array is time, and in which unit its times are: said by file or keys, never assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hpcspike.model.recording_table import LAYOUTS, ambiguous, refused
from hpcspike.spec.recorded import RecordedTargets

TIME_UNITS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1000.0),
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1e-3),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-6),
}
"""Milliseconds in a unit of time, by the unit's name."""


def unit_by_time(
    path: Path, array: NDArray[Any], targets: RecordedTargets, *, language: str, n_times: int | None = None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """An array as (unit, time), and a remark where the keys did not say which of its dimensions is which.

    Parameters
    ----------
    path, targets
        The file, and the keys that may decide: ``layout``, or ``n_units`` and ``duration_ms`` if only one order is
        possible with them.
    array
        Shape (a, b), in the order in which ``language`` shows its dimensions.
    language
        Whose order it is: Python, MATLAB or Julia.
    n_times
        Length of the time axis, if the file has one.

    Raises
    ------
    AmbiguousRecording
        If both orders are possible and no key decides.
    DataError
        If none is possible.
    """
    first, second = array.shape
    sizes = dict(zip(LAYOUTS, ((first, second), (second, first)), strict=True))
    said = f"its array has the shape {first} x {second} as {language} shows it"
    if targets.layout is not None:
        units, samples = sizes[targets.layout]
        if n_times is not None and samples != n_times:
            raise refused(
                path,
                f"{said}, of which targets.layout = {targets.layout} takes {samples} for the samples, but its time "
                f"axis has {n_times}",
                "choose the other layout" if units == n_times else "give a time for every sample",
            )
        return (array if targets.layout == "unit_by_time" else array.T), ()
    possible = {
        layout: size for layout, size in sizes.items() if _why_impossible(*size, targets=targets, n_times=n_times) == ""
    }
    if not possible:
        reasons = (f"{key}: {_why_impossible(*size, targets=targets, n_times=n_times)}" for key, size in sizes.items())
        raise refused(path, f"{said}, which is {'; '.join(reasons)}", "give units over time, 2 samples at least")
    if len(possible) == 2:
        readings = "; ".join(
            f"{layout}: {units} units x {samples} samples" for layout, (units, samples) in sizes.items()
        )
        raise ambiguous(
            path,
            f"{said}, and nothing in the file says which of them is time",
            f"set targets.layout ({readings})",
            [{"layout": layout} for layout in LAYOUTS],
        )
    ((layout, (units, samples)),) = possible.items()
    (other,) = set(LAYOUTS) - {layout}
    why = _why_impossible(*sizes[other], targets=targets, n_times=n_times)
    remark = f"{said}: read as {units} units x {samples} samples (layout {layout}), since {other} would be {why}"
    return (array if layout == "unit_by_time" else array.T), (remark,)


def _why_impossible(n_units: int, n_samples: int, *, targets: RecordedTargets, n_times: int | None) -> str:
    """Why an array cannot have so many units and samples; empty if it can."""
    if n_samples < 2:
        return f"{n_samples} samples in time"
    if n_times is not None and n_samples != n_times:
        return f"{n_samples} samples, not the {n_times} of its time axis"
    if targets.n_units is not None and n_units < targets.n_units:
        return f"{n_units} units, fewer than targets.n_units = {targets.n_units}"
    if targets.sample_ms is not None and targets.duration_ms is not None:
        covered = (n_samples - 1) * targets.sample_ms
        if covered < targets.duration_ms * (1.0 - 1e-9):
            return f"{covered:g} ms, less than targets.duration_ms = {targets.duration_ms:g} ms"
    return ""


def ms_per_unit(path: Path, said: str | None, targets: RecordedTargets, *, axis: str, remedy: str) -> float:
    """Milliseconds in the unit of a time axis.

    Parameters
    ----------
    said
        The unit that the file gives; None: none.
    axis
        The axis, in the words of a message: ``its time axis 'time'``.
    remedy
        How the file can be made to say it.

    Raises
    ------
    DataError
        If neither file nor ``targets.time_unit`` gives a unit that is known, or they contradict each other.
    """
    factor = None if said is None else TIME_UNITS.get(said.strip())
    if factor is None and said not in (None, ""):
        raise refused(path, f"{axis} has units = {said!r}", remedy)
    if targets.time_unit is not None:
        asked = TIME_UNITS[targets.time_unit]
        if factor not in (None, asked):
            raise refused(
                path,
                f"{axis} is in {said!r}, but targets.time_unit = {targets.time_unit}",
                "leave targets.time_unit out, or correct the file",
            )
        return asked
    if factor is None:
        raise ambiguous(
            path,
            f"{axis} does not say in which unit the times are: it has no units attribute"
            if "column" not in axis
            else f"{axis} does not say in which unit the times are",
            f"{remedy}, or set targets.time_unit",
            [{"time_unit": "ms"}, {"time_unit": "s"}],
        )
    return factor
