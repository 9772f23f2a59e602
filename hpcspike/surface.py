"""A smooth surface through scattered, noisy points with its uncertainty: Gaussian process regression (scikit-learn).

The one place that knows the library. Places lie in the unit cube, one coordinate per swept parameter. Everything here
depends on the points alone, not on their order, so that whoever asks again gets the same surface.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hpcspike.errors import DataError, ResourceError

INTERVAL = 1.6448536
"""Standard errors on each side of an interval of 90 %."""

LEAST_POINTS = 4
"""A surface through fewer points says nothing."""

MOST_FITTED = 200
"""Points, evenly chosen, from which length scales and noise are learned."""

MOST_STARTED = 100
"""Of these, points from which they are learned from every start; from all of them only from the best."""

MOST_HELD = 1500
"""Places a surface goes through; more points than these are averaged over small neighbourhoods."""

DEGREES = 4.0
"""Degrees of freedom of the noise between networks, Student's t: a network that fails by itself counts little."""

MOST_CORRELATION = 0.9999
"""Values beyond it are no correlations of noisy responses: no Fisher transform is taken."""

_SHORTEST, _LONGEST = 0.08, 8.0
_LEAST_NOISE, _MOST_NOISE = 1e-5, 1.0
_SIZES = (0.05, 100.0)
_LENGTH, _FACTOR = 1.0, 2.0
"""Length scales below the whole range are the less expected the shorter they are, by this factor as a deviation:
of few points the likeliest are often too short, for networks that differ, and the surface too sure of its dents."""

_DIGITS, _CONVERGED = 3, 1e-5
_RELEARNED, _REWEIGHTED = 2, 12
_INFORMATION = (DEGREES + 1.0) / (DEGREES + 3.0)
"""Of Student's t beside a normal distribution of the same scale: Fisher information of the location."""


class Surface:
    """What noisy values at scattered places say of the values everywhere.

    A surface of correlations r is one of Fisher's z = artanh r, in which noise and curvature are much the same from
    weak to strong correlations; one of errors, which cover orders of magnitude, is one of their logarithms. So
    there are two scales: `expected` speaks of values, all else of the scaled values, which are the values
    themselves where no transform is taken; `scaled` and `unscaled` go from one to the other.

    It goes through the median network. Some networks fail although others with the same parameters learn, so noise has
    heavier tails than a normal distribution: it is Student's t, a normal distribution whose variance differs from
    network to network. The posterior is the variational one (Tipping and Lawrence 2005, Neurocomputing 69:123): every
    network has a weight, smaller the further it is from what the others say, and counts as so many networks. Transforms
    are monotone, so the median of scaled values stands for that of the values.

    Parameters
    ----------
    places
        (points, axes) in the unit cube; a place may occur several times (replicates).
    values
        (points,), NaN where there is none.
    scale
        ``"fisher"`` of correlations, ``"log"`` of positive values; where one value is beyond it (reaches 1 or -1; is
        not positive), none is transformed.
    heavy_tails
        Whether noise has heavy tails. Otherwise it is normal, all points count alike, and the surface goes through the
        mean: of shares of networks, whose values are 0 or 1.
    held
        How many places it goes through at most. The wider the neighbourhoods, the less their averages are off by chance
        alone: its intervals are then too narrow.

    Raises
    ------
    DataError
        If fewer than four points have a value.
    ResourceError
        If scikit-learn is not installed.
    """

    def __init__(
        self,
        places: np.ndarray,
        values: np.ndarray,
        *,
        scale: str = "",
        heavy_tails: bool = True,
        held: int = MOST_HELD,
    ) -> None:
        known = np.isfinite(values)
        places, values = np.asarray(places, dtype=np.float64)[known], np.asarray(values, dtype=np.float64)[known]
        if len(values) < LEAST_POINTS:
            raise DataError(f"{len(values)} points have a value, a surface needs at least {LEAST_POINTS}")
        order = np.lexsort((values, *places.T[::-1]))
        places, values = places[order], values[order]
        allowed = {"fisher": float(np.abs(values).max()) <= MOST_CORRELATION, "log": float(values.min()) > 0.0}
        self._transform = scale if allowed.get(scale) else ""
        values = self.scaled(values)
        self._centre, spread = float(values.mean()), float(values.std())
        self._scale = spread if spread > 1e-9 * max(1.0, abs(self._centre)) else 1.0
        standard = (values - self._centre) / self._scale
        self._kernel, noise = _learned(places, standard, heavy_tails)
        self._held = held
        merged, cell = _merged(places, held)
        counts = _reweighted(self._kernel, merged, cell, standard, noise)[0] if heavy_tails else np.ones(len(cell))
        self._noise = noise / _INFORMATION if heavy_tails else noise
        means, weights = _averaged(standard, cell, counts)
        gp = _library().GaussianProcessRegressor
        self._fit = gp(self._kernel, alpha=self._noise / weights, optimizer=None).fit(merged, means)
        self._reach = Reach(self._kernel, self._fit.X_train_, self._fit.L_, self._scale)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values, or a level, on the scale of the surface."""
        if self._transform == "log":
            return np.log(np.maximum(values, 1e-300))
        if self._transform == "fisher":
            return np.arctanh(np.clip(values, -1.0 + 1e-12, 1.0 - 1e-12))
        return np.asarray(values, dtype=np.float64)

    def unscaled(self, scaled: np.ndarray) -> np.ndarray:
        """The values that scaled ones stand for."""
        transforms = {"fisher": np.tanh, "log": np.exp}
        return np.asarray(transforms.get(self._transform, np.asarray)(scaled))

    def per_scaled(self, scaled: np.ndarray) -> np.ndarray:
        """By how much the value grows with the scaled one."""
        values = self.unscaled(scaled)
        return {"fisher": 1.0 - values**2, "log": values}.get(self._transform, np.ones_like(values))

    @property
    def noise(self) -> float:
        """Variance of a single scaled value about the surface, as a surface takes it: what differs between networks."""
        return self._noise * self._scale**2

    def expected(self, places: np.ndarray) -> np.ndarray:
        """(n,) values that the surface goes through at (n, axes) places; of transformed ones the median's."""
        return self.unscaled(self.mean(places))

    def mean(self, places: np.ndarray) -> np.ndarray:
        """(n,) expected scaled values at (n, axes) places."""
        return self._fit.predict(places) * self._scale + self._centre

    def mean_and_sd(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) expected scaled values and their standard errors, noise of a single value not included."""
        return self.mean(places), np.sqrt(self._reach.variance(places))

    def gradient(self, places: np.ndarray, step: float = 0.01) -> np.ndarray:
        """(n, axes) slopes of the expected scaled values, by differences over ``step`` of the cube."""
        columns = []
        for axis in range(places.shape[1]):
            above, below = places.copy(), places.copy()
            above[:, axis], below[:, axis] = above[:, axis] + step, below[:, axis] - step
            columns.append((self.mean(above) - self.mean(below)) / (2.0 * step))
        return np.stack(columns, axis=1)

    def reach(self, more: np.ndarray) -> Reach:
        """How uncertain the scaled values are, given its points and one more at each of (n, axes) places.

        More places than it goes through are taken as small neighbourhoods, as the points are.
        """
        if not len(more):
            return self._reach
        merged, cell = _merged(more, self._held)
        return self._reach.extended(merged, self._noise / np.bincount(cell))

    def draws(self, places: np.ndarray, n_draws: int, *, seed: int) -> np.ndarray:
        """(n_draws, n) surfaces of scaled values that the points allow, at some hundreds of places."""
        solved = self._reach.solved(places)
        values, vectors = np.linalg.eigh(self._reach.covariance(places, places, solved=(solved, solved)))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        random = np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)))
        return self.mean(places) + random.standard_normal((n_draws, len(places))) @ root.T


class Reach:
    """How uncertain a surface is everywhere: that depends on where its points lie, not on their values.

    Parameters
    ----------
    kernel
        Covariance of the surface before there are points.
    points, root
        (points, axes) where these lie, and the lower Cholesky factor of their covariances with their noise.
    unit
        What a standard deviation of 1 is worth.
    """

    def __init__(self, kernel: Any, points: np.ndarray, root: np.ndarray, unit: float) -> None:
        self._kernel, self._points, self._root, self._unit = kernel, points, root, unit

    def extended(self, more: np.ndarray, noise: float | np.ndarray) -> Reach:
        """The same with further points at (n, axes) places; noise: its variance, of all or of each."""
        below = self.solved(more).T
        corner = self._kernel(more) - below @ below.T
        corner[np.diag_indices(len(more))] += noise
        root = np.block([[self._root, np.zeros(below.T.shape)], [below, np.linalg.cholesky(corner)]])
        return Reach(self._kernel, np.concatenate([self._points, more]), root, self._unit)

    def solved(self, places: np.ndarray) -> np.ndarray:
        """(points, n) by which covariances are told: k(a, b) minus the product of the columns of a and b."""
        from scipy.linalg import solve_triangular

        across = self._kernel(self._points, places)
        return np.asarray(solve_triangular(self._root, across, lower=True, check_finite=False))

    def variance(self, places: np.ndarray, *, solved: np.ndarray | None = None) -> np.ndarray:
        """(n,) squared standard errors at (n, axes) places; solved: of these places, if known."""
        columns = self.solved(places) if solved is None else solved
        left = self._kernel.diag(places) - np.einsum("ij,ij->j", columns, columns)
        return np.asarray(np.maximum(left, 1e-12) * self._unit**2)

    def covariance(
        self, places: np.ndarray, others: np.ndarray, *, solved: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """(n, m) covariances between places, given the points; solved: of both."""
        return np.asarray((self._kernel(places, others) - solved[0].T @ solved[1]) * self._unit**2)


def _library() -> Any:
    try:
        from sklearn import gaussian_process
    except ImportError:
        raise ResourceError(
            "adaptive sweeps and what is drawn of scattered points need scikit-learn; install it with "
            "pip install 'hpcspike[adaptive]'"
        ) from None
    return gaussian_process


def _learned(places: np.ndarray, standard: np.ndarray, heavy_tails: bool) -> tuple[Any, float]:
    """Kernel and squared scale of the noise of values with mean 0 and variance 1.

    The most probable with normal noise from several starts; from there, with heavy tails, weights and kernel in turn.
    Rounded to some digits: a last bit that differs between machines shall not choose other points.
    """
    kernels = _library().kernels
    some = np.unique(np.linspace(0, len(standard) - 1, MOST_FITTED).astype(int))
    places, standard = places[some], standard[some]
    few = slice(None, None, math.ceil(len(standard) / MOST_STARTED))
    best: Any = None
    for length, level in ((0.3, 0.01), (1.0, 0.1)):
        kernel = kernels.ConstantKernel(1.0, _SIZES) * kernels.Matern(
            [length] * places.shape[1], (_SHORTEST, _LONGEST), nu=2.5
        ) + kernels.WhiteKernel(level, (_LEAST_NOISE, _MOST_NOISE))
        fit = _fitted(kernel, places[few], standard[few])
        if best is None or fit.log_marginal_likelihood_value_ > best.log_marginal_likelihood_value_ + 1e-3:
            best = fit
    if few.step > 1:
        best = _fitted(best.kernel_, places, standard)
    kernel, noise = best.kernel_.k1, best.kernel_.k2.noise_level
    for _ in range(_RELEARNED if heavy_tails else 0):
        weights, noise = _reweighted(kernel, places, np.arange(len(places)), standard, noise, rescale=True)
        kernel = _fitted(kernel, places, standard, noise / weights).kernel_
    fixed = kernels.ConstantKernel(_rounded(kernel.k1.constant_value), "fixed") * kernels.Matern(
        [_rounded(length) for length in np.atleast_1d(kernel.k2.length_scale)], "fixed", nu=2.5
    )
    return fixed, _rounded(noise)


def _fitted(kernel: Any, places: np.ndarray, standard: np.ndarray, noise: np.ndarray | float = 1e-10) -> Any:
    """The regression with the kernel that values make most probable; noise: further variance of each value."""
    regression = _library().GaussianProcessRegressor
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # a length scale at its bound says that a parameter does not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        optimizer = partial(_most_probable, lengths=slice(1, 1 + places.shape[1]))
        return regression(kernel, alpha=noise, optimizer=optimizer).fit(places, standard)


def _most_probable(
    unlikely: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, bounds: np.ndarray, *, lengths: slice
) -> tuple[np.ndarray, float]:
    """Logarithms of a kernel's most probable parameters; lengths are less so below the range (log-normal prior there).

    Parameters
    ----------
    unlikely
        Negative logarithm of the likelihood and its gradient.
    """
    from scipy.optimize import minimize

    def improbable(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = unlikely(theta)
        off = np.minimum(theta[lengths] - np.log(_LENGTH), 0.0) / np.log(_FACTOR)
        gradient = gradient.copy()
        gradient[lengths] += off / np.log(_FACTOR)
        return value + 0.5 * float(off @ off), gradient

    found = minimize(improbable, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": _CONVERGED})
    return found.x, float(found.fun)


def _reweighted(
    kernel: Any, merged: np.ndarray, cell: np.ndarray, standard: np.ndarray, noise: float, *, rescale: bool = False
) -> tuple[np.ndarray, float]:
    """How much every value counts where noise is Student's t, and the squared scale of the noise, learned if asked.

    Values y have weights (DEGREES + 1) / (DEGREES + E (y - f)^2 / noise), the expectation over the surfaces f that the
    weighted values allow; in turn until they stay.

    Parameters
    ----------
    merged, cell
        (m, axes) places and (points,) which of these a value belongs to.
    """
    from scipy.linalg import lapack

    prior, weights = kernel(merged), np.ones(len(standard))
    for _ in range(_REWEIGHTED):
        means, totals = _averaged(standard, cell, weights)
        spread = noise / totals
        root, _ = lapack.dpotrf(prior + np.diag(spread), lower=True)
        inverse, _ = lapack.dpotri(root, lower=True)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        expected, variance = means - spread * (inverse @ means), spread - spread**2 * np.diag(inverse)
        squares = (standard - expected[cell]) ** 2 + variance[cell]
        before, weights = weights, (DEGREES + 1.0) / (DEGREES + squares / noise)
        if rescale:
            noise = float(np.clip(np.mean(weights * squares), _LEAST_NOISE, _MOST_NOISE))
        if np.abs(weights - before).max() < 10.0**-_DIGITS:
            break
    return np.maximum(np.round(weights, _DIGITS), 10.0**-_DIGITS), noise


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _merged(places: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, axes) distinct places, at most ``most``, and (points,) to which of them each point belongs."""
    # twelve digits: the same place, whatever way its coordinates were computed
    cells = np.round(places, 12)
    across = 2.0 * math.ceil(most ** (1.0 / places.shape[1]))
    while True:
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        cell = cell.ravel()
        counts = np.bincount(cell).astype(np.float64)
        if len(counts) <= most:
            break
        cells, across = np.floor(places * across), across / 1.25
    return np.stack([np.bincount(cell, column) / counts for column in places.T], axis=1), cell


def _averaged(values: np.ndarray, cell: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) weighted means of the values of every place, and (m,) the sums of their weights."""
    totals = np.bincount(cell, weights)
    return np.bincount(cell, weights * values) / totals, totals


def evenly(count: int, n_axes: int, first: int = 0) -> np.ndarray:
    """(count, axes) places that fill the unit cube ever more evenly: multiples of powers of the golden ratio's kin."""
    ratio = 2.0
    for _ in range(64):  # the root of x^(axes + 1) = x + 1
        ratio = (1.0 + ratio) ** (1.0 / (n_axes + 1))
    steps = ratio ** -np.arange(1.0, n_axes + 1)
    return (0.5 + np.arange(first + 1, first + count + 1)[:, None] * steps) % 1.0
