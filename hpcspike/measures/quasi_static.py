"""Quasi-static prediction: drives and rates that follow from each other at every moment (paper 4.4, Eqs 1, 2)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from hpcspike.checks import choice, instance, number, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures.bins import binned_duration, binned_mean
from hpcspike.measures.rates import binned_rates
from hpcspike.model.transfer import Transfer, rate_of_input
from hpcspike.shown import short_repr

DriveEntered = Literal["single_trial", "trial_mean", "target"]
"""Which drive the prediction starts from; the paper does not say."""


class QuasiStatic(NamedTuple):
    """Actual and predicted drives and rates of the n neurons of the block.

    drive, predicted_drive (n, samples): u and sum_j W_ij phi(u_j + I_j), of the first trial if single trials entered,
    of the trial mean otherwise. correlation_drive (n,): of the two, averaged over trials if single trials entered.

    rate, rate_of_drive, rate_of_rates (n, bins) in Hz: trial-averaged spike count, phi(u + I), phi(sum_j W_ij R_j + I)
    with R the trial-averaged spike count. correlation_rate_of_drive, correlation_rate_of_rates (n,): of the last two
    with the first.
    """

    drive: np.ndarray
    predicted_drive: np.ndarray
    correlation_drive: np.ndarray
    rate: np.ndarray
    rate_of_drive: np.ndarray
    rate_of_rates: np.ndarray
    correlation_rate_of_drive: np.ndarray
    correlation_rate_of_rates: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def predict_quasi_static(
    trained: Trained,
    *,
    stimulus: int = 0,
    trials: int = 40,
    drive: DriveEntered = "single_trial",
    transfer: Transfer = "phi_1",
    smoothing: float | None = None,
    bin_ms: float = 50.0,
) -> QuasiStatic:
    """Predict every neuron's drive and rate from the drives and rates of the moment.

    Eq 1, and Eq 2 with the external input that its derivation (Eq 47) has:

        U_i(t) = sum_j W_ij phi(U_j(t) + I_j),    R_i(t) = phi(sum_j W_ij R_j(t) + I_i).

    Parameters
    ----------
    trained
        A network of theta neurons, trained or not (``training.n_loops: 0``).
    stimulus
        Which target set's cue to give.
    trials
        Trials from random initial conditions; rates are their average.
    drive
        What enters phi: the drive of every trial by itself (default, the only choice that means something where trials
        differ, as in networks before training), the mean of all trials (the paper's derivation averages over initial
        conditions), or the drive target, whose prediction is held against the mean of the trials.
    transfer
        phi_1 (default: the paper's derivation uses it) or phi_2.
    smoothing
        c of phi_2; default: that of the training.
    bin_ms
        Length of the bins of the rates.

    Raises
    ------
    SpecError
        If the neurons are no theta neurons, or drive targets are asked for after rate training.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("stimulus", stimulus)
    whole_number("trials", trials, least=1)
    choice("drive", drive, get_args(DriveEntered))
    choice("transfer", transfer, get_args(Transfer))
    number("bin_ms", bin_ms, above=0.0, unit="ms")
    if smoothing is not None:
        number("smoothing", smoothing, above=0.0)
    problem = trained.problem
    _refuse(trained, drive)
    whole_ms = binned_duration(problem.duration_ms, bin_ms, unit_ms=problem.grid_ms)
    if not whole_ms > 0:
        raise SpecError(f"bin_ms = {bin_ms:g} ms is longer than the window of {problem.duration_ms:g} ms")
    prediction = _Prediction(trained, transfer, trained.training.smoothing if smoothing is None else smoothing)
    total, rate_total = np.zeros_like(problem.targets[0]), np.zeros_like(problem.targets[0])
    correlation = np.zeros(problem.n_rows)
    spikes, first = [], (total, total)
    for trial in range(trials):
        evoked = trained.evoke(stimulus, 1, first_trial=trial)
        actual = evoked.drive[0]
        spikes += evoked.spikes
        total += actual
        if drive == "single_trial":
            rates = prediction.rates(actual)
            predicted = prediction.drive(rates)  # Eq 1
            rate_total += rates
            correlation += pearson(predicted, actual) / trials
            first = (actual, predicted) if trial == 0 else first
    if drive != "single_trial":
        mean = total / trials
        rates = prediction.rates(mean if drive == "trial_mean" else problem.targets[stimulus])
        first = mean, prediction.drive(rates)  # Eq 1
        rate_total = rates * trials
        correlation = pearson(first[1], mean)
    rate = binned_rates(
        spikes, problem.neurons, step_ms=problem.neuron.step_ms, duration_ms=whole_ms, bin_ms=bin_ms
    ).rate
    per_hz = problem.neuron.tau_ms / 1000.0
    of_drive = binned_mean(rate_total / trials, grid_ms=problem.grid_ms, bin_ms=bin_ms) / per_hz
    external = binned_mean(prediction.external, grid_ms=problem.grid_ms, bin_ms=bin_ms)
    of_rates = prediction.rates(prediction.drive(rate * per_hz), external) / per_hz  # Eq 2, Eq 47
    return QuasiStatic(
        *first, correlation, rate, of_drive, of_rates, pearson(of_drive, rate), pearson(of_rates, rate)
    )  # fmt: skip


class _Prediction:
    """phi and W of one network."""

    def __init__(self, trained: Trained, transfer: Transfer, smoothing: float) -> None:
        self._weights: Any = trained.weights
        self._world = trained.world
        self.external = trained.problem.input_at_samples()
        self._transfer, self._smoothing = transfer, smoothing

    def rates(self, drive: np.ndarray, external: np.ndarray | None = None) -> np.ndarray:
        """phi(u + I) of the block's neurons, spikes per tau."""
        external = self.external if external is None else external
        return rate_of_input(drive + external, self._transfer, self._smoothing)

    def drive(self, rates: np.ndarray) -> np.ndarray:
        """W R for the block's neurons, from the rates of all."""
        return np.asarray(self._weights @ self._world.concatenate(rates))


def _refuse(trained: Trained, drive: DriveEntered) -> None:
    if trained.problem.neuron.model != "theta":
        raise SpecError(
            f"the quasi-static prediction needs neuron.model = theta, not {trained.problem.neuron.model}: phi is the "
            "transfer function of theta neurons"
        )
    if drive == "target" and trained.training.variable == "rate":
        raise SpecError(
            "drive = target needs drive targets, but training.variable = rate; choose single_trial or trial_mean"
        )
    if drive == "target":
        trained.problem.require_targets("drive = target")
