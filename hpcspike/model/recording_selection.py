"""Units of a recording chosen by what the file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_table import RecordingTable, in_words, listed, matches, plain, refused, without_match
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.wording import counted


def chosen_rows(
    path: Path, attributes: Mapping[str, NDArray[Any]], n_units: int, targets: RecordedTargets
) -> NDArray[np.int64]:
    """Rows of the units that ``targets.select_units`` chooses, in the order of the file.

    Raises
    ------
    DataError
        If the file says nothing of its units under a name, or no unit has the wanted values.
    """
    chosen = np.ones(n_units, dtype=bool)
    for name, wanted in targets.select_units.items():
        if name not in attributes:
            raise refused(
                path,
                f"targets.select_units = {name!r} is not a column of its units",
                f"choose one of {listed(attributes)}" if attributes else "leave it out: the file has no such columns",
            )
        missing = without_match(attributes[name], wanted)
        if missing:
            values = sorted({plain(value) for value in attributes[name]}, key=str)
            raise refused(
                path, f"no unit has {in_words({name: missing})}", f"the column holds {listed(map(repr, values))}"
            )
        chosen &= matches(attributes[name], wanted)
    if not chosen.any():
        raise refused(path, "no unit meets all of targets.select_units", "leave one of its columns out")
    return np.flatnonzero(chosen).astype(np.int64)


def of_chosen_units(path: Path, table: RecordingTable, targets: RecordedTargets) -> RecordingTable:
    """The table without the units that ``targets.select_units`` leaves out."""
    if not targets.select_units:
        return table
    rows = chosen_rows(path, table.attributes, len(table.values), targets)
    return replace(
        table,
        values=table.values[rows],
        names=tuple(table.names[row] for row in rows),
        attributes={name: column[rows] for name, column in table.attributes.items()},
        units_of=len(table.values),
    )


def kept_rows(
    path: Path, values: NDArray[np.float64], mean_rates_hz: NDArray[np.float64] | None, targets: RecordedTargets
) -> NDArray[np.int64]:
    """The first ``n_units`` units that fire fast enough, in the order of the file."""
    if mean_rates_hz is None:
        candidates, which = np.arange(len(values)), f"it holds {len(values)} units"
    else:
        candidates = np.flatnonzero(mean_rates_hz > targets.min_rate_hz)
        verb = "has" if candidates.size == 1 else "have"
        which = (
            f"{candidates.size or 'none'} of its {counted(len(values), 'unit')} {verb} a mean rate above "
            f"{targets.min_rate_hz:g} Hz"
        )
    wanted = candidates.size if targets.n_units is None else targets.n_units
    if not candidates.size:
        assert mean_rates_hz is not None
        highest = float(mean_rates_hz.max())
        raise refused(
            path,
            which,
            f"lower targets.min_rate_hz below {highest:.3g} Hz, the highest of their mean rates (check the unit, too)"
            if highest > 0
            else "all rates are 0: choose another array, window or condition, or units that fire",
        )
    if candidates.size < wanted:
        ratio, size = targets.auxiliary_ratio, round(candidates.size * (1.0 + targets.auxiliary_ratio))
        enough = np.sort(mean_rates_hz)[::-1][wanted - 1 : wanted] if mean_rates_hz is not None else np.empty(0)
        remedy = (
            f"lower targets.min_rate_hz below {enough[0]:.3g} Hz"
            if enough.size and enough[0] > 0
            else "give a file with more units"
        )
        raise refused(
            path,
            f"{which}, but targets.n_units = {targets.n_units} were asked for",
            f"set targets.n_units to null for all {candidates.size}, which with targets.auxiliary_ratio = {ratio:g} "
            f"make {size} neurons (leave network.n_neurons out), or {remedy}",
        )
    return candidates[:wanted].astype(np.int64)
