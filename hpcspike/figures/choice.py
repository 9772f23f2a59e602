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
        The slice, and the fixed parameters with their values for a title (those with one value only are left out).

    Raises
    ------
    DataError
        If a selected text is not among the values.
    """
    notes = []
    for name in [str(dim) for dim in result.dims if dim not in keep]:
        values = result[name].values
        index = nearest(values, name, (select or {}).get(name))
        if len(values) > 1:
            notes.append(valued(name, values[index], attrs=result[name].attrs))
        result = result.isel({name: index})
    return result, ", ".join(notes)


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
