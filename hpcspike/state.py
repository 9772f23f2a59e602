"""The live state of a block of neurons as named arrays by neuron: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class StateArray:
    """One array of the state, reached by rows, so that it can leave and enter in pieces and in another layout.

    Attributes
    ----------
    name
        The attribute it belongs to.
    dtype
        Of its entries.
    lengths
        Entries of every neuron of the block, (n,) int64, or one number if all have the same.
    take
        Entries of rows ``low`` to ``high - 1``, one after the other, (entries,).
    put
        Set the entries of these rows.
    """

    name: str
    dtype: np.dtype
    lengths: int | np.ndarray
    take: Callable[[int, int], np.ndarray]
    put: Callable[[int, int, np.ndarray], None]

    def row_lengths(self, n_rows: int) -> np.ndarray:
        """Entries of every neuron, (n_rows,) int64."""
        return np.broadcast_to(np.asarray(self.lengths, dtype=np.int64), (n_rows,))


def by_neuron(name: str, array: np.ndarray) -> StateArray:
    """An array (n, ...) with a row per neuron; views of other layouts are welcome."""

    def put(low: int, high: int, values: np.ndarray) -> None:
        array[low:high] = values.reshape(high - low, *array.shape[1:])

    entries = int(np.prod(array.shape[1:], dtype=np.int64))
    return StateArray(name, array.dtype, entries, lambda low, high: array[low:high].reshape(-1), put)


def ragged(name: str, array: np.ndarray, start: np.ndarray) -> StateArray:
    """An array of compressed rows: row i is array[start[i] : start[i + 1]]."""

    def put(low: int, high: int, values: np.ndarray) -> None:
        array[start[low] : start[high]] = values

    return StateArray(name, array.dtype, np.diff(start), lambda low, high: array[start[low] : start[high]], put)


def prefixed(prefix: str, arrays: Iterable[StateArray]) -> list[StateArray]:
    """The same arrays with ``prefix.`` before their names."""
    return [replace(array, name=f"{prefix}.{array.name}") for array in arrays]
