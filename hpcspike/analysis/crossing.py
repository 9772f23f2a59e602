"""Where sampling and tracking errors balance: the tau_s between fast and slow synapses, and laws that predict it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import by_replicate, condition, make_grid
from hpcspike.analysis.scattered import on_grid
from hpcspike.analysis.tuning import vertex_inside
from hpcspike.checks import array, choice, instance, number
from hpcspike.errors import DataError
from hpcspike.takes_results import refuse_other_sweeps

Definition = Literal["balance", "optimum"]

THEORY = (2.0 / 3.0, -1.0 / 3.0)
"""Exponents of tau_c and N where eps_track ~ tau_s / tau_c meets eps_sample ~ 1 / sqrt(N tau_s) (paper Eq 3)."""


class Crossing(NamedTuple):
    """The tau_s at which the errors balance, of every network size and correlation time that shows it.

    n_neurons, tau_corr_ms, tau_syn_ms: (cells,) each.
    """

    n_neurons: np.ndarray
    tau_corr_ms: np.ndarray
    tau_syn_ms: np.ndarray


class Law(NamedTuple):
    """log tau_s* = log prefactor + exponents . (log tau_c, log N), and how well it predicts.

    error: root mean square of log10(predicted / observed) over the cells it was fitted to; held_out: over cells that
    were left out of the fit one after another.
    """

    prefactor: float
    exponents: tuple[float, float]
    error: float
    held_out: float


def crossings(sweeps: xr.Dataset | Sequence[xr.Dataset], definition: Definition = "balance") -> Crossing:
    """The tau_s between the two regimes, cell by cell.

    Parameters
    ----------
    sweeps
        Datasets along ``point`` that vary ``tau_syn_ms``; with N and tau_c known.
    definition
        ``"balance"``: where the spectral index changes its sign, so that the response has the target's share of fast
        power, interpolated in log tau_s; ``"optimum"``: where the correlation is largest, by a parabola through the
        best three tau_s. Cells without a change of sign, or with the best tau_s at the edge, are left out.

    Raises
    ------
    DataError
        If no cell has a crossing.
    """
    refuse_other_sweeps("sweeps", sweeps)
    choice("definition", definition, get_args(Definition))
    found = []
    for sweep in [sweeps] if isinstance(sweeps, xr.Dataset) else sweeps:
        sweep = on_grid(sweep, ["correlation", "spectral_index"])
        grid = make_grid(sweep, over=("n_neurons", "tau_corr_ms", "tau_syn_ms"))
        if len(grid.dims) > 3:
            raise DataError(f"select one value of {', '.join(grid.dims[:-3])} first")
        variable = "spectral_index" if definition == "balance" else "correlation"
        values = np.asarray(condition(sweep, variable).values, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            table = by_replicate(values, grid.cell, grid.n_cells)
            known = np.isfinite(table)
            mean = np.where(known, table, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        mean = np.where(known.any(axis=1), mean, np.nan).reshape(grid.shape)
        log_tau = np.log(grid.axes["tau_syn_ms"])
        for i, size in enumerate(grid.axes["n_neurons"]):
            for j, tau_corr in enumerate(grid.axes["tau_corr_ms"]):
                at = _zero(log_tau, mean[i, j]) if definition == "balance" else _top(log_tau, mean[i, j])
                if np.isfinite(at):
                    found.append((float(size), float(tau_corr), float(np.exp(at))))
    if not found:
        raise DataError("no network size and correlation time shows both errors; widen the range of tau_syn_ms")
    size, tau_corr, tau_syn = np.array(sorted(set(found))).T
    return Crossing(size, tau_corr, tau_syn)


def _zero(x: np.ndarray, y: np.ndarray) -> float:
    """Where y falls through zero for the last time, by a straight line; NaN if it does not."""
    falls = np.flatnonzero((y[:-1] > 0) & (y[1:] <= 0))
    if len(falls) == 0:
        return float("nan")
    k = falls[-1]
    return float(x[k] + (x[k + 1] - x[k]) * y[k] / (y[k] - y[k + 1]))


def _top(x: np.ndarray, y: np.ndarray) -> float:
    """Where y is largest, by a parabola; NaN if that is at an end. Places without a value are passed over."""
    known = np.isfinite(y)
    vertex = vertex_inside(x[known], y[known]) if known.any() else None
    return float("nan") if vertex is None else vertex[0]


def fit_law(crossing: Crossing, exponents: tuple[float, float] | None = None) -> Law:
    """Least squares in the logarithms; with given exponents only the prefactor is fitted.

    Parameters
    ----------
    crossing
        From `crossings`.
    exponents
        Of tau_c and N; None: fitted. An exponent whose parameter does not vary is 0.
    """
    _require(crossing)
    if exponents is not None:
        exponents = tuple(array("exponents", exponents, shape=(2,), axes="two, of tau_c and of N"))
    predictors = np.column_stack([np.log(crossing.tau_corr_ms), np.log(crossing.n_neurons)])
    response = np.log(crossing.tau_syn_ms)
    constant, slopes = _fit(predictors, response, exponents)
    residual = response - constant - predictors @ slopes
    held_out = []
    for k in range(len(response)):
        others = np.arange(len(response)) != k
        if others.sum() > (1 if exponents else 3):
            c, s = _fit(predictors[others], response[others], exponents)
            held_out.append(response[k] - c - predictors[k] @ s)
    return Law(
        float(np.exp(constant)),
        (float(slopes[0]), float(slopes[1])),
        _decades(residual),
        _decades(np.array(held_out)) if held_out else float("nan"),
    )


def paper_law(crossing: Crossing, tau_ms: float = 10.0) -> Law:
    """The crossing with the paper's prefactors: (4 pi tau_c)^(2/3) (tau / N)^(1/3), nothing fitted.

    Parameters
    ----------
    crossing
        Where the errors balance, as `crossings` finds it.
    tau_ms
        Membrane time constant tau in ms.
    """
    _require(crossing)
    number("tau_ms", tau_ms, above=0.0, unit="ms")
    prefactor = (4.0 * np.pi) ** (2.0 / 3.0) * tau_ms ** (1.0 / 3.0)
    predicted = prefactor * crossing.tau_corr_ms ** THEORY[0] * crossing.n_neurons ** THEORY[1]
    error = _decades(np.log(crossing.tau_syn_ms / predicted))
    return Law(float(prefactor), THEORY, error, error)


def _require(crossing: Crossing) -> None:
    instance("crossing", crossing, Crossing, made_by="give what hpcspike.analysis.crossings returns")


def _fit(
    predictors: np.ndarray, response: np.ndarray, exponents: tuple[float, float] | None
) -> tuple[float, np.ndarray]:
    if exponents is not None:
        slopes = np.array(exponents)
        return float((response - predictors @ slopes).mean()), slopes
    varies = np.ptp(predictors, axis=0) > 0
    slopes = np.zeros(predictors.shape[1])
    design = np.column_stack([np.ones(len(response)), predictors[:, varies]])
    solution = np.linalg.lstsq(design, response, rcond=None)[0]
    slopes[varies] = solution[1:]
    return float(solution[0]), slopes


def _decades(residual: np.ndarray) -> float:
    return float(np.sqrt(np.mean((residual / np.log(10.0)) ** 2)))
