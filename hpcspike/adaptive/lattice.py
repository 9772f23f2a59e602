"""The places that an adaptive sweep chooses from: every combination of its axes' values, in the unit cube."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcspike.spec.sweep import Sweep
from hpcspike.surface import evenly


@dataclass(frozen=True)
class Lattice:
    """All combinations of the values of some axes; a combination's number is its cell, the last axis innermost.

    Attributes
    ----------
    names
        Axes, as dotted keys.
    units
        (values,) of every axis: its values between 0 and 1, in the logarithm where the axis is logarithmic.
    spans
        (axes,) what the length 1 is worth: decades of a logarithmic axis, 1 (the whole range) of another.
    """

    names: tuple[str, ...]
    units: tuple[np.ndarray, ...]
    spans: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along every axis."""
        return tuple(len(unit) for unit in self.units)

    @property
    def n_cells(self) -> int:
        """Number of combinations."""
        return math.prod(self.shape)

    def places(self, cells: np.ndarray) -> np.ndarray:
        """(n, axes) where cells lie in the unit cube."""
        positions = np.unravel_index(np.asarray(cells, dtype=np.int64), self.shape)
        return np.stack([unit[position] for unit, position in zip(self.units, positions, strict=True)], axis=1)

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """(n,) cells nearest to (n, axes) places."""
        positions = []
        for unit, column in zip(self.units, places.T, strict=True):
            above = np.clip(np.searchsorted(unit, column), 1, len(unit) - 1)
            below_is_nearer = column - unit[above - 1] <= unit[above] - column
            positions.append(np.where(below_is_nearer, above - 1, above))
        return np.ravel_multi_index(positions, self.shape).astype(np.int64)

    def beside(self, cell: int, steps: int) -> np.ndarray:
        """Cells within so many steps of one along every axis, the nearest first."""
        middle = [int(at) for at in np.unravel_index(cell, self.shape)]
        along = [
            np.arange(max(at - steps, 0), min(at + steps + 1, length), dtype=np.int64)
            for at, length in zip(middle, self.shape, strict=True)
        ]
        positions = [axis.ravel() for axis in np.meshgrid(*along, indexing="ij")]
        far = np.sum([(axis - at) ** 2 for axis, at in zip(positions, middle, strict=True)], axis=0)
        return np.ravel_multi_index(positions, self.shape)[np.argsort(far, kind="stable")]

    def spread(self, count: int, first: int = 0) -> np.ndarray:
        """Distinct cells that fill the cube evenly, in the order in which they do; all cells if they are no more.

        ``first`` skips so many of the sequence, so that another call finds others.
        """
        if self.n_cells <= count:
            return np.arange(self.n_cells, dtype=np.int64)
        cells = self.nearest(evenly(count, len(self.units), first))
        _, place = np.unique(cells, return_index=True)
        return cells[np.sort(place)]


def lattice_of(sweep: Sweep) -> Lattice:
    """The places of an adaptive sweep."""
    units, spans = [], []
    columns = sweep.columns()
    for key, logarithmic in sweep.logarithmic.items():
        values = np.array(columns[key], dtype=np.float64)
        scaled = np.log10(values) if logarithmic else values
        length = scaled[-1] - scaled[0]
        units.append((scaled - scaled[0]) / length)
        spans.append(length if logarithmic else 1.0)
    return Lattice(tuple(sweep.axes), tuple(units), np.array(spans))
