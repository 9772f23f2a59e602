"""Which slice of a many-dimensional result a panel shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.figures.style import valued

REFERENCE = {"tau_syn_ms": 20.0, "tau_corr_ms": 100.0, "duration_ms": 1000.0, "n_neurons": 500.0}
"""Values of the paper's Figs 6 and 7; a panel that must fix a parameter takes the grid value nearest to these."""

BEST = " (that of the best cell)"
"""What a title adds to a fixed value that was chosen by its results."""

Selection = Mapping[str, Any] | None


def fix_others(result: xr.Dataset, *, keep: Collection[str], select: Selection = None) -> tuple[xr.Dataset, str]:
    """Fix every dimension that is not kept, and say at what.

    Parameters
    ----------
    result
        Dataset over a grid of parameters.
    keep
        Dimensions that the panel shows.
    select
        Values wanted for other dimensions; the nearest grid value is taken, an exact one for text.

    Returns
    -------
    Dataset, str
        The slice, and the fixed parameters with their values for a title (those with one value only are left out). A
        number that nobody chose, and that has no reference value, is that of the cell of the highest correlation, which
        the words say.

    Raises
    ------
    DataError
        If a selected text is not among the values.
    """
    notes = []
    # the best cell last, within what the others leave
    fixed = [str(dim) for dim in result.dims if dim not in keep]
    by_best = [name for name in fixed if name not in (select or {}) and has_no_reference(result, name)]
    for name in sorted(fixed, key=by_best.__contains__):
        values, wanted = result[name].values, (select or {}).get(name)
        best = _of_best_cell(result, name) if name in by_best else None
        index = nearest(values, name, wanted) if best is None else best
        if len(values) > 1:
            notes.append(valued(name, values[index], attrs=result[name].attrs) + (BEST if best is not None else ""))
        result = result.isel({name: index})
    return result, ", ".join(notes)


def has_no_reference(result: xr.Dataset, name: str) -> bool:
    """Whether a parameter is a number for which `nearest` would know no better than the first."""
    return name not in REFERENCE and name != "n_loops" and result[name].dtype.kind in "iuf"


def _of_best_cell(result: xr.Dataset, name: str) -> int | None:
    """Position along a parameter of the cell of the highest correlation; None where there is no such cell."""
    for measure in ("correlation", "performance"):
        if measure in result and name in result[measure].dims:
            return best_along(result[measure], name)
    return None


def best_along(table: xr.DataArray, name: str) -> int | None:
    """Position along a dimension of the highest value; None where there is none."""
    highest = table.max([dim for dim in table.dims if dim != name]).values
    return int(np.nanargmax(highest)) if len(highest) > 1 and np.isfinite(highest).any() else None


def nearest(values: np.ndarray, name: str, wanted: Any = None) -> int:
    """Position of the wanted value, of the paper's reference value, of the longest training, or 0."""
    wanted = REFERENCE.get(name) if wanted is None else wanted
    if wanted is None:
        # networks that are hardly trained, or not at all, are there to be compared with
        return int(np.argmax(values)) if name == "n_loops" else 0
    if values.dtype.kind not in "iuf":
        found = np.flatnonzero(values.astype(str) == str(wanted))
        if not len(found):
            known = ", ".join(map(str, values))
            raise DataError(f"select: {name} = {wanted!r} is not in the sweep; choose among {known}")
        return int(found[0])
    distance = np.abs(np.log(np.maximum(values, 1e-300) / wanted)) if wanted > 0 else np.abs(values - wanted)
    return 0 if np.isnan(distance).all() else int(np.nanargmin(distance))
