"""What weights cost where learning starts: ridges and row sums of groups of inputs, and the P(0) that follows.

Recursive least squares from P(0) minimises sum e^2 + (w - w0)' P(0)^-1 (w - w0). With

    P(0)^-1 = blockdiag over groups g of ( lambda_g I + mu_g 1 1' )

lambda_g is the price of every change of a weight, and mu_g that of a change of the sum of the group's weights. By
Woodbury's identity a group of L inputs has (1/lambda) I - mu / (lambda (lambda + mu L)) 1 1' in P(0).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Penalties:
    """Penalties on the plastic weights of a block of neurons.

    Parameters
    ----------
    start
        Bounds of the compressed rows of plastic synapses, (n + 1,).
    group
        Which group each input belongs to, (synapses,); None: all to group 0.
    ridges, row_sums
        lambda and mu of every group, (groups,).
    """

    def __init__(self, start: np.ndarray, group: np.ndarray | None, ridges: np.ndarray, row_sums: np.ndarray) -> None:
        self._start, self._group = start, group
        self.ridge = float(ridges[0])
        # relative to the ridge of group 0, which grows where P of a row has to be started anew
        self._ridges, self._row_sums = ridges / self.ridge, row_sums / self.ridge

    @classmethod
    def of_ridge(cls, start: np.ndarray, ridge: float) -> Penalties:
        """One ridge for all inputs: P(0) = I / lambda."""
        return cls(start, None, np.array([ridge]), np.zeros(1))

    @property
    def plain(self) -> bool:
        """Whether P(0) is a multiple of the identity."""
        return self._group is None and self._row_sums[0] == 0.0

    def fill(self, row: int, matrix: np.ndarray, ridge: float) -> None:
        """Set a zero matrix (k, k) to P(0) of a row; ridge: lambda of group 0, which scales all others."""
        if self.plain:
            np.fill_diagonal(matrix, 1.0 / ridge)  # Eq 11, Eq 18: P(0) = I / lambda
            return
        for inputs, diagonal, shared in self._parts(row, ridge):
            matrix[np.ix_(inputs, inputs)] = -shared
            matrix[inputs, inputs] = diagonal - shared

    def product(self, row: int, vector: np.ndarray, ridge: float) -> np.ndarray:
        """P(0) of a row times a vector (k,)."""
        if self.plain:
            return vector / ridge
        result = np.empty(len(vector))
        for inputs, diagonal, shared in self._parts(row, ridge):
            result[inputs] = diagonal * vector[inputs] - shared * vector[inputs].sum()
        return result

    def _parts(self, row: int, ridge: float) -> Iterator[tuple[np.ndarray, float, float]]:
        """Inputs of each group of a row, 1 / lambda, and mu / (lambda (lambda + mu L))."""
        low, high = self._start[row], self._start[row + 1]
        groups = np.zeros(high - low, dtype=np.int8) if self._group is None else self._group[low:high]
        for number in np.unique(groups):
            inputs = np.flatnonzero(groups == number)
            price, of_sum = ridge * self._ridges[number], ridge * self._row_sums[number]
            yield inputs, 1.0 / price, of_sum / (price * (price + of_sum * len(inputs)))
