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
