"""A smooth surface through scattered, noisy points with its uncertainty: Gaussian process regression (scikit-learn).

The one place that knows the library. Places lie in the unit cube, one coordinate per swept parameter. Everything here
depends on the points alone, not on their order, so that whoever asks again gets the same surface.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from hpcspike.errors import DataError, ResourceError

LEAST_POINTS = 4
"""A surface through fewer points says nothing."""

MOST_FITTED = 300
"""Points, evenly chosen, from which length scales and noise are learned."""

MOST_HELD = 1500
"""Places a surface goes through; more points than these are averaged over small neighbourhoods."""

_SHORTEST, _LONGEST = 0.08, 8.0
_LEAST_NOISE, _MOST_NOISE = 1e-5, 1.0
_DIGITS = 3


class Surface:
    """What noisy values at scattered places say of the values everywhere.

    Parameters
    ----------
    places
        (points, axes) in the unit cube; a place may occur several times (replicates).
    values
        (points,), NaN where there is none.

    Raises
    ------
    DataError
        If fewer than four points have a value.
    ResourceError
        If scikit-learn is not installed.
    """

    def __init__(self, places: np.ndarray, values: np.ndarray) -> None:
        known = np.isfinite(values)
        places, values = np.asarray(places, dtype=np.float64)[known], np.asarray(values, dtype=np.float64)[known]
        if len(values) < LEAST_POINTS:
            raise DataError(f"{len(values)} points have a value, a surface needs at least {LEAST_POINTS}")
        order = np.lexsort((values, *places.T[::-1]))
        places, values = places[order], values[order]
        self._centre, spread = float(values.mean()), float(values.std())
        self._scale = spread if spread > 1e-9 * max(1.0, abs(self._centre)) else 1.0
        scaled = (values - self._centre) / self._scale
        self._kernel, self._noise = _learned(places, scaled)
        merged, means, counts = _merged(places, scaled)
        gp = _library().GaussianProcessRegressor
        self._fit = gp(self._kernel, alpha=self._noise / counts, optimizer=None).fit(merged, means)

    @property
    def noise(self) -> float:
        """Variance of a single value about the surface: what differs between replicates."""
        return self._noise * self._scale**2

    def mean(self, places: np.ndarray) -> np.ndarray:
        """(n,) expected values at (n, axes) places."""
        return self._fit.predict(places) * self._scale + self._centre

    def mean_and_sd(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) expected values and their standard errors, noise of a single value not included."""
        solved = self.solved(places)
        variance = np.maximum(self._kernel.diag(places) - (solved**2).sum(axis=0), 1e-12)
        return self.mean(places), np.sqrt(variance) * self._scale

    def gradient(self, places: np.ndarray, step: float = 0.01) -> np.ndarray:
        """(n, axes) slopes of the expected values, by differences over ``step`` of the cube."""
        columns = []
        for axis in range(places.shape[1]):
            above, below = places.copy(), places.copy()
            above[:, axis], below[:, axis] = above[:, axis] + step, below[:, axis] - step
            columns.append((self.mean(above) - self.mean(below)) / (2.0 * step))
        return np.stack(columns, axis=1)

    def solved(self, places: np.ndarray) -> np.ndarray:
        """(points, n) by which covariances are told: k(a, b) minus the product of the columns of a and b."""
        from scipy.linalg import solve_triangular

        across = self._kernel(self._fit.X_train_, places)
        return np.asarray(solve_triangular(self._fit.L_, across, lower=True, check_finite=False))

    def covariance(
        self, places: np.ndarray, others: np.ndarray, *, solved: tuple[np.ndarray, np.ndarray] | None = None
    ) -> np.ndarray:
        """(n, m) covariances of the surface between places, given the points; solved: `solved` of both, if known."""
        one, other = (self.solved(places), self.solved(others)) if solved is None else solved
        return np.asarray((self._kernel(places, others) - one.T @ other) * self._scale**2)

    def draws(self, places: np.ndarray, n_draws: int, *, seed: int) -> np.ndarray:
        """(n_draws, n) surfaces that the points allow, at some hundreds of places."""
        covariance = self.covariance(places, places)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        random = np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)))
        return self.mean(places) + random.standard_normal((n_draws, len(places))) @ root.T


def _library() -> Any:
    try:
        from sklearn import gaussian_process
    except ImportError:
        raise ResourceError(
            "adaptive sweeps and what is drawn of scattered points need scikit-learn; install it with "
            "pip install 'hpcspike[adaptive]'"
        ) from None
    return gaussian_process


def _learned(places: np.ndarray, scaled: np.ndarray) -> tuple[Any, float]:
    """Kernel and noise variance of the scaled values: the likeliest from several starts.

    Rounded to some digits: a last bit that differs between machines shall not choose other points.
    """
    gaussian_process = _library()
    from sklearn.exceptions import ConvergenceWarning

    kernels = gaussian_process.kernels
    some = np.unique(np.linspace(0, len(scaled) - 1, MOST_FITTED).astype(int))
    best: Any = None
    for length, noise in ((0.3, 0.01), (1.0, 0.1)):
        kernel = kernels.ConstantKernel(1.0, (0.05, 100.0)) * kernels.Matern(
            [length] * places.shape[1], (_SHORTEST, _LONGEST), nu=2.5
        ) + kernels.WhiteKernel(noise, (_LEAST_NOISE, _MOST_NOISE))
        with warnings.catch_warnings():
            # a length scale at its bound says that a parameter does not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = gaussian_process.GaussianProcessRegressor(kernel).fit(places[some], scaled[some])
        if best is None or fit.log_marginal_likelihood_value_ > best.log_marginal_likelihood_value_ + 1e-3:
            best = fit
    found = best.kernel_
    kernel = kernels.ConstantKernel(_rounded(found.k1.k1.constant_value), "fixed") * kernels.Matern(
        [_rounded(length) for length in np.atleast_1d(found.k1.k2.length_scale)], "fixed", nu=2.5
    )
    return kernel, _rounded(found.k2.noise_level)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _merged(places: np.ndarray, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct places with the mean of their values and how many these are; (m, axes), (m,), (m,)."""
    # twelve digits: the same place, whatever way its coordinates were computed
    cells = np.round(places, 12)
    across = 2.0 * math.ceil(MOST_HELD ** (1.0 / places.shape[1]))
    while True:
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        cell = cell.ravel()
        counts = np.bincount(cell).astype(np.float64)
        if len(counts) <= MOST_HELD:
            break
        cells, across = np.floor(places * across), across / 1.25
    where = np.stack([np.bincount(cell, column) / counts for column in places.T], axis=1)
    return where, np.bincount(cell, scaled) / counts, counts
