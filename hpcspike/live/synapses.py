"""Synapses of a network put in, taken out, and shown as matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.checks import shown
from hpcspike.errors import DataError, SpecError
from hpcspike.model.connectivity import Rows, rows_from_lists
from hpcspike.variables import ALTERED, TRAINED

Pairs = Sequence[tuple[int, int, float]]
"""(postsynaptic, presynaptic, weight) of synapses."""


def matrix_of(rows: Rows, weight: np.ndarray, labels: Mapping[str, xr.DataArray], words: str) -> xr.DataArray:
    """Weights of compressed rows as a labelled matrix (postsynaptic, presynaptic), 0 where there is no synapse."""
    n = len(rows.start) - 1
    dense = np.zeros((n, n))
    dense[_posts(rows), rows.presynaptic] = weight
    attributes = {"units": TRAINED["weight"].units, "long_name": f"{words}, in units of u per spike per tau"}
    coordinates: dict[str, Any] = {}
    for axis in ("postsynaptic", "presynaptic"):
        coordinates[axis] = (axis, np.arange(n), {"units": "1", "long_name": f"{axis} neuron"})
        for name, label in labels.items():
            coordinates[f"{axis}_{name}"] = (axis, label.values, label.attrs)
    return xr.DataArray(
        dense, coords=coordinates, dims=("postsynaptic", "presynaptic"), name="weight", attrs=attributes
    )  # fmt: skip


def rows_of_matrix(weights: Any, before: Rows, n_neurons: int) -> Rows:
    """Compressed rows of a matrix (N, N): the synapses that were there, and those whose entry is not 0.

    Raises
    ------
    DataError
        If it has another shape, an entry is not finite, or a neuron would receive from itself.
    """
    if isinstance(weights, xr.DataArray) and set(weights.dims) == {"postsynaptic", "presynaptic"}:
        weights = weights.transpose("postsynaptic", "presynaptic").values
    try:
        dense = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"weights = {shown(weights)}: must be a matrix ({n_neurons}, {n_neurons}) of numbers") from None
    if dense.shape != (n_neurons, n_neurons):
        raise DataError(f"weights has shape {dense.shape}: must be ({n_neurons}, {n_neurons}), rows postsynaptic")
    if not np.isfinite(dense).all():
        raise DataError("weights holds NaN or infinite values: every entry must be a finite number")
    there = dense != 0
    there[_posts(before), before.presynaptic] = True
    columns = [np.flatnonzero(row) for row in there]
    return rows_from_lists(columns, [dense[i, sources] for i, sources in enumerate(columns)])


def changed_rows(rows: Rows, weight: np.ndarray, onto: np.ndarray, of: np.ndarray) -> tuple[Rows, int]:
    """The rows without the synapses onto neurons ``onto`` (N,) from neurons ``of`` (N,), and how many they were."""
    gone = onto[_posts(rows)] & of[rows.presynaptic]
    lengths = np.bincount(_posts(rows)[~gone], minlength=len(rows.start) - 1)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Rows(start, rows.presynaptic[~gone], weight[~gone].astype(np.float64)), int(gone.sum())


def with_pairs(rows: Rows, weight: np.ndarray, pairs: Pairs, n_neurons: int) -> tuple[Rows, int]:
    """The rows with further synapses, and how many are new; weights of those that are there are replaced.

    Raises
    ------
    SpecError
        If one is no (postsynaptic, presynaptic, weight), or given twice.
    """
    table: dict[tuple[int, int], float] = {}
    for pair in pairs:
        try:
            post, pre, value = int(pair[0]), int(pair[1]), float(pair[2])
        except (TypeError, ValueError, IndexError):
            raise SpecError(f"pairs: {shown(pair)}: must be (postsynaptic, presynaptic, weight)") from None
        if not (0 <= post < n_neurons and 0 <= pre < n_neurons and np.isfinite(value)):
            raise SpecError(f"pairs: {shown(pair)}: neurons must be 0 to {n_neurons - 1}, weights finite numbers")
        if (post, pre) in table:
            raise SpecError(f"pairs: the synapse from {pre} to {post} is given twice; leave one of them out")
        table[post, pre] = value
    before = len(rows.weight)
    columns: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for post in range(n_neurons):
        part = slice(rows.start[post], rows.start[post + 1])
        row = dict(zip(rows.presynaptic[part].tolist(), weight[part].tolist(), strict=True))
        row |= {pre: value for (onto, pre), value in table.items() if onto == post}
        columns.append(np.array(sorted(row), dtype=np.int32))
        weights.append(np.array([row[pre] for pre in sorted(row)]))
    found = rows_from_lists(columns, weights)
    return found, len(found.weight) - before


def fixed_variables(rows: Rows) -> dict[str, Any]:
    """Variables of a Dataset that hold fixed synapses."""
    columns = {"fixed_weight": rows.weight, "fixed_presynaptic": rows.presynaptic, "fixed_row_start": rows.start}
    return {name: (ALTERED[name].dims, values, ALTERED[name].attrs) for name, values in columns.items()}


def _posts(rows: Rows) -> np.ndarray:
    """Postsynaptic neuron of every synapse."""
    return np.repeat(np.arange(len(rows.start) - 1), np.diff(rows.start))
