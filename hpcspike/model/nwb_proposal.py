"""What an NWB file offers to the keys of recorded targets: tables of trials, times to align to, columns to choose."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.nwb_recordings import opened, scalar_columns
from hpcspike.model.nwb_trials import tables_of
from hpcspike.spec.recorded import NWB_BIN_MS, NWB_TRIALS


@dataclass(frozen=True)
class Offer:
    """Values for keys that are missing, and what else may be chosen.

    Attributes
    ----------
    keys
        Proposed values of ``intervals``, ``align`` and ``window_ms``; those not needed are left out.
    tables
        Tables of intervals that have rows.
    times
        Columns of the table that hold times inside of the trials.
    columns
        Other columns of the table, for ``condition``.
    placeholders
        Where nothing can be proposed: values with which the file can be asked for what is not in it, so that its reader
        says what is.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    placeholders: dict[str, Any] = field(default_factory=dict)


_ANYTHING = {"align": "start_time", "window_ms": [0.0, 50.0 * NWB_BIN_MS]}


def offer_of(path: Path, given: dict[str, Any]) -> Offer:
    """What can stand in the keys that ``given`` leaves out; nothing is proposed where the file has no trials.

    The window proposed is that of the median trial around the time aligned to, in whole bins.
    """
    with opened(path) as file:
        tables = {name: table for name, table in tables_of(file).items() if len(table)}
        name = given.get("intervals", NWB_TRIALS if NWB_TRIALS in tables else next(iter(tables), None))
        if not isinstance(name, str) or name not in tables:
            return Offer(tables=tuple(tables), placeholders=_ANYTHING)
        columns = scalar_columns(tables[name])
    start, stop = columns["start_time"].astype(np.float64), columns["stop_time"].astype(np.float64)
    times = tuple(key for key, column in columns.items() if _mostly_inside(key, column, start, stop))
    if "align" in given and given["align"] not in times:
        return Offer(tables=tuple(tables), times=times, placeholders=_ANYTHING)
    keys: dict[str, Any] = {} if name == NWB_TRIALS or "intervals" in given else {"intervals": name}
    align = given.get("align", "start_time")
    if "align" not in given:
        keys["align"] = align
    if "window_ms" not in given:
        asked = given.get("bin_ms")  # not validated yet
        bin_ms = float(asked) if isinstance(asked, (int, float)) and asked > 0 else NWB_BIN_MS
        zero = columns[align].astype(np.float64)
        first = math.ceil(float(np.nanmedian(start - zero)) * 1e3 / bin_ms - 1e-6) * bin_ms
        last = math.floor(float(np.nanmedian(stop - zero)) * 1e3 / bin_ms + 1e-6) * bin_ms
        keys["window_ms"] = [first, last]
    others = {key: column for key, column in columns.items() if key not in (*times, "id")}
    return Offer(keys, tuple(tables), times, others)


def _mostly_inside(name: str, column: NDArray[Any], start: NDArray[Any], stop: NDArray[Any]) -> bool:
    """Whether a column holds times, most of which lie within the trials."""
    if name == "id" or column.dtype.kind not in "iuf":
        return False
    with np.errstate(invalid="ignore"):
        inside = (column >= start - 1e-6) & (column <= stop + 1e-6)
    return bool(inside.sum() * 2 > np.isfinite(column.astype(np.float64)).sum() > 0)
