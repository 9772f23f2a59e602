"""Conditions of a recording side by side: the same units at the same times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_table import RecordingTable, listed, refused

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadCondition:
    """One condition before units are chosen: ``in_file`` in the file's unit, ``values`` in the model's."""

    path: Path
    table: RecordingTable
    times_ms: Array
    in_file: Array
    values: Array
    rates_hz: Array | None
    remarks: tuple[str, ...]


def like_the_first(first: ReadCondition, other: ReadCondition, name_of_first: str, name: str) -> ReadCondition:
    """A condition with its units in the order of the first one's."""
    both = f"conditions {name_of_first!r} and {name!r}"
    lacking = [unit for unit in first.table.names if unit not in set(other.table.names)]
    beyond = [unit for unit in other.table.names if unit not in set(first.table.names)]
    if lacking or beyond:
        counts = f"{len(first.table.names)} units in {name_of_first!r}, {len(other.table.names)} in {name!r}"
        parts = [
            f"{listed(units)} only in {where!r}" for units, where in ((lacking, name_of_first), (beyond, name)) if units
        ]
        raise refused(
            other.path, f"{both} have different units ({counts}): {'; '.join(parts)}",
            "give the same units, under the same names, in every condition",
        )  # fmt: skip
    if len(first.times_ms) != len(other.times_ms) or not np.allclose(first.times_ms, other.times_ms, rtol=0, atol=1e-6):
        spans = (f"{len(t)} samples from {t[0]:g} to {t[-1]:g} ms" for t in (first.times_ms, other.times_ms))
        raise refused(
            other.path, f"{both} have different times: {' against '.join(spans)}",
            "give every condition the same samples, cut or binned alike",
        )  # fmt: skip
    if other.table.names == first.table.names:
        return other
    place = {unit: row for row, unit in enumerate(other.table.names)}
    order = np.array([place[unit] for unit in first.table.names])
    table = replace(
        other.table,
        values=other.table.values[order],
        names=first.table.names,
        halves=None if other.table.halves is None else other.table.halves[:, order],
        attributes={key: column[order] for key, column in other.table.attributes.items()},
        remarks=(*other.table.remarks, f"its units stand in another order than in {name_of_first!r}: matched by name"),
    )
    rates_hz = None if other.rates_hz is None else other.rates_hz[order]
    return replace(other, table=table, in_file=other.in_file[order], values=other.values[order], rates_hz=rates_hz)
