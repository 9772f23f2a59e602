"""Whether targets are heterogeneous enough to be learned (paper, Methods: sufficient conditions for learning)."""

from __future__ import annotations

import math
from typing import NamedTuple, get_args

import numpy as np

from hpcspike.checks import array, choice, instance, number
from hpcspike.correlation import centred
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures.bins import binned_mean
from hpcspike.model.connectivity import Rows
from hpcspike.model.transfer import Transfer, rate_of_input
from hpcspike.shown import short_repr


class Heterogeneity(NamedTuple):
    """What the quasi-static rates V (N neurons x P bins) of the targets allow.

    bin_ms: length of a bin; n_neurons, n_bins: N and P; singular_values (min(N, P),) of V, descending; rank: how many
    exceed ``tolerance`` times the first; effective_rank: participation ratio of their squares, between 1 and rank;
    maximal: whether rank = min(N, P), what the paper calls sufficiently heterogeneous.

    residual (n,): rms over bins of u_i - V^T w_i for the best weights of neuron i on its plastic synapses, over the
    s.d. of the target u_i over bins; NaN where the target is constant.
    """

    bin_ms: float
    n_neurons: int
    n_bins: int
    singular_values: np.ndarray
    rank: int
    effective_rank: float
    maximal: bool
    residual: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def measure_heterogeneity(
    trained: Trained,
    *,
    target_set: int = 0,
    bin_ms: float | None = None,
    bin_fraction: float = 0.5,
    tau_corr_ms: float | None = None,
    transfer: Transfer = "phi_1",
    smoothing: float | None = None,
    tolerance: float = 1e-10,
) -> Heterogeneity:
    """Rank of V = phi(U + I) against N and the number P of quasi-static bins, and the best fit of U = W V.

    The window is cut into P bins, U (N x P) holds the targets' means in them. A network whose drives follow the targets
    quasi-statically needs u_i = V^T w_i for every neuron: P equations for as many unknowns as it has plastic synapses.
    The residual is min_w || u_i - V_i^T w ||, V_i the rates of the plastic inputs of neuron i (fixed synapses' share of
    u_i is taken off first): 0 if it can be learned exactly, whatever the rule.

    Parameters
    ----------
    trained
        A network and its targets; its trained weights are not used. On several ranks, all must call this.
    target_set
        Which targets.
    bin_ms
        Length of a bin in ms, rounded to whole samples; default: from the next two.
    bin_fraction, tau_corr_ms
        A bin is this fraction of the correlation time; default of the latter: `correlation_time` of the targets.
    transfer, smoothing
        phi_1 (default) or phi_2 and its c (default: that of the training). After rate training, V are the targets
        themselves and U their drives by the inverse of phi_1, U = (pi V)^2 - I.
    tolerance
        Singular values below this times the largest count as 0. The default is far above rounding and far below
        anything that noise of spikes lets a network use; see ``effective_rank`` for what matters in practice.

    Raises
    ------
    SpecError
        If the neurons are no theta neurons, one has no target, or the window holds no whole bin.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("target_set", target_set)
    choice("transfer", transfer, get_args(Transfer))
    number("tolerance", tolerance, least=0.0)
    number("bin_fraction", bin_fraction, above=0.0)
    for name, value in (("bin_ms", bin_ms), ("tau_corr_ms", tau_corr_ms), ("smoothing", smoothing)):
        if value is not None:
            number(name, value, above=0.0)
    problem, world = trained.problem, trained.world
    problem.require_targets("heterogeneity")
    if problem.neuron.model != "theta":
        raise SpecError(
            f"heterogeneity needs neuron.model = theta, not {problem.neuron.model}: phi is the transfer function of "
            "theta neurons"
        )
    targets = problem.targets[target_set]
    if bin_ms is None:
        whole = world.concatenate(targets)
        tau = correlation_time(whole, grid_ms=problem.grid_ms) if tau_corr_ms is None else tau_corr_ms
        bin_ms = bin_fraction * tau
    bin_ms = max(1, round(bin_ms / problem.grid_ms)) * problem.grid_ms
    binned = binned_mean(targets, grid_ms=problem.grid_ms, bin_ms=bin_ms)
    if not binned.shape[1]:
        raise SpecError(f"bin_ms = {bin_ms:g} ms is longer than the window of {problem.duration_ms:g} ms")
    external = binned_mean(problem.input_at_samples(), grid_ms=problem.grid_ms, bin_ms=bin_ms)
    if trained.training.variable == "rate":
        drives, rates = (math.pi * binned) ** 2 - external, binned
    else:
        c = trained.training.smoothing if smoothing is None else smoothing
        drives, rates = binned, rate_of_input(binned + external, transfer, c)
    rates = world.concatenate(rates)
    singular = np.linalg.svd(rates, compute_uv=False)
    rank = int((singular > tolerance * singular[0]).sum()) if singular[0] > 0 else 0
    return Heterogeneity(
        bin_ms=bin_ms,
        n_neurons=len(rates),
        n_bins=rates.shape[1],
        singular_values=singular,
        rank=rank,
        effective_rank=participation_ratio(singular**2),
        maximal=rank == min(rates.shape),
        residual=_residuals(drives, rates, problem.plastic, problem.static, tolerance),
    )


def participation_ratio(variances: np.ndarray) -> float:
    """(sum_k x_k)^2 / sum_k x_k^2: how many of the variances matter; 0 if all are 0."""
    squares = float((variances**2).sum())
    return float(variances.sum()) ** 2 / squares if squares > 0 else 0.0


def correlation_time(time_courses: np.ndarray, *, grid_ms: float) -> float:
    """Time in ms after which the autocorrelation, averaged over neurons, falls below 1/e; the window if it never does.

    Each of the time_courses (n, samples), sampled every grid_ms (ms), loses its mean; C(k) = sum_t x(t) x(t + k) /
    sum_t x(t)^2, over all neurons, with the divisors of unequal numbers of products. Linear between samples.
    """
    number("grid_ms", grid_ms, above=0.0, unit="ms")
    x = centred(array("time_courses", time_courses, shape=(None, None), axes="(n, samples)"))
    samples = x.shape[-1]
    power = (np.abs(np.fft.rfft(x, 2 * samples, axis=-1)) ** 2).sum(axis=0)
    products = np.fft.irfft(power, 2 * samples)[:samples] / np.arange(samples, 0, -1)
    if products[0] <= 0:
        return samples * grid_ms
    correlation = products / products[0]
    below = np.flatnonzero(correlation < math.exp(-1.0))
    if not below.size:
        return samples * grid_ms
    k = int(below[0])
    share = (correlation[k - 1] - math.exp(-1.0)) / (correlation[k - 1] - correlation[k])
    return float(grid_ms * (k - 1 + share))


def _residuals(drives: np.ndarray, rates: np.ndarray, plastic: Rows, static: Rows, tolerance: float) -> np.ndarray:
    """rms of u_i - V_i^T w_i at its least, over the s.d. of u_i, (n,)."""
    left = np.empty(len(drives))
    for i, drive in enumerate(drives):
        fixed = slice(static.start[i], static.start[i + 1])
        wanted = drive - static.weight[fixed] @ rates[static.presynaptic[fixed]]
        inputs = rates[plastic.presynaptic[plastic.start[i] : plastic.start[i + 1]]]
        if len(inputs):
            wanted = wanted - inputs.T @ np.linalg.lstsq(inputs.T, wanted, rcond=tolerance)[0]
        left[i] = math.sqrt(float((wanted**2).mean()))
    spread = np.sqrt((centred(drives) ** 2).mean(axis=-1))
    return np.divide(left, spread, out=np.full(len(drives), np.nan), where=spread > 0)
