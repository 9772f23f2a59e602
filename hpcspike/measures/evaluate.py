"""All measures of one trained network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcspike.engine.trained import Trained
from hpcspike.measures.clamped import clamped_split
from hpcspike.measures.correlation import pearson, pooled_spread
from hpcspike.measures.spectrum import band_powers, spectral_index
from hpcspike.measures.status import classify
from hpcspike.measures.theory import sampling_scale, tracking_scale
from hpcspike.model.transfer import rate_of_noisy_input
from hpcspike.spec.experiment import Measures
from hpcspike.variables import POINT_RESULTS

_UNMEASURED = {name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)}


@dataclass(frozen=True)
class Evaluation:
    """Measures of one network.

    scalars: by the names of `hpcspike.variables.POINT_RESULTS`; correlation (sets, n): per neuron, mean over trials.
    """

    scalars: dict[str, float | int]
    correlation: np.ndarray


class _Tally:
    """Sums over the test trials of one target set; no more than one trial is held at a time."""

    def __init__(self, target: np.ndarray) -> None:
        self.target = target
        self.sum = np.zeros_like(target)
        self.sum_of_squares = np.zeros_like(target)
        self.correlation = np.zeros(len(target))
        self.phi_correlation = 0.0
        self.powers = np.zeros(2)
        self.n_spikes = 0
        self.trials = 0

    @property
    def mean(self) -> np.ndarray:
        return self.sum / self.trials

    @property
    def trial_variance(self) -> float:
        if self.trials < 2:
            return math.nan
        centred = self.sum_of_squares - self.sum**2 / self.trials
        return float(np.maximum(centred, 0.0).mean()) / self.trials


def evaluate(trained: Trained, measures: Measures | None = None, *, tau_corr_ms: float = math.nan) -> Evaluation:
    """Test a trained network in trials from random initial conditions and judge it.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`.
    measures
        Numbers of trials and thresholds; default: those of the spec.
    tau_corr_ms
        Correlation time of the targets in ms for the theory's eps_track; NaN where targets have none.
    """
    measures = measures or Measures()
    problem = trained.problem
    theory: dict[str, float | int] = {
        "tracking_theory": tracking_scale(problem.synapse.tau_syn_ms, tau_corr_ms),
        "sampling_theory": sampling_scale(problem.n_neurons, problem.synapse.tau_syn_ms, problem.neuron.tau_ms),
        "diverged_loop": trained.diverged_loop,
    }
    if trained.diverged_loop >= 0:
        status = classify(
            correlation=math.nan, population_rate_hz=math.nan, spectral_index=math.nan, diverged=True,
            measures=measures,
        )  # fmt: skip
        return Evaluation(
            {**_UNMEASURED, **theory, "status": status}, np.full((problem.n_sets, problem.n_rows), np.nan)
        )
    tallies = [_tally(trained, target_set, measures) for target_set in range(problem.n_sets)]
    scalars = {**theory, **_response_scalars(tallies, trained, measures), **_clamped_scalars(trained, measures)}
    scalars["status"] = classify(
        correlation=scalars["correlation"], population_rate_hz=scalars["population_rate"],
        spectral_index=scalars["spectral_index"], diverged=False, measures=measures,
    )  # fmt: skip
    return Evaluation(scalars, np.stack([tally.correlation / tally.trials for tally in tallies]))


def _tally(trained: Trained, target_set: int, measures: Measures) -> _Tally:
    problem, rate = trained.problem, trained.training.variable == "rate"
    tally = _Tally(problem.targets[target_set])
    for trial in range(measures.n_test_trials):
        evoked = trained.evoke(target_set, 1, first_trial=trial)
        response = (evoked.filtered if rate else evoked.drive)[0]
        tally.trials += 1
        tally.sum += response
        tally.sum_of_squares += response**2
        tally.correlation += pearson(response, tally.target)
        tally.powers += band_powers(response, grid_ms=problem.grid_ms, fast_time_ms=measures.fast_time_ms)
        tally.n_spikes += int(np.count_nonzero(evoked.spikes[0].step >= 0))
        if rate:
            phi = rate_of_noisy_input(evoked.drive[0] + problem.input[:, None], trained.training.smoothing)
            tally.phi_correlation += float(pearson(phi, tally.target).mean())
    return tally


def _response_scalars(tallies: list[_Tally], trained: Trained, measures: Measures) -> dict[str, float | int]:
    problem = trained.problem
    targets = np.stack([tally.target for tally in tallies])
    spread = pooled_spread(targets)
    correlation = np.stack([tally.correlation / tally.trials for tally in tallies])
    mean = np.stack([tally.mean for tally in tallies])
    fast, total = np.sum([tally.powers for tally in tallies], axis=0)
    fast_target, total_target = band_powers(targets, grid_ms=problem.grid_ms, fast_time_ms=measures.fast_time_ms)
    share = fast / total if total > 0 else math.nan
    share_target = fast_target / total_target if total_target > 0 else math.nan
    trials = len(tallies) * measures.n_test_trials
    seconds = trials * problem.duration_ms / 1000.0
    phi = sum(tally.phi_correlation for tally in tallies) / trials
    return {
        "correlation": float(correlation.mean()),
        "correlation_sd": float(correlation.std()),
        "correlation_trial_mean": float(pearson(mean, targets).mean()),
        "correlation_phi": phi if trained.training.variable == "rate" else math.nan,
        "population_rate": sum(tally.n_spikes for tally in tallies) / problem.n_rows / seconds,
        "trial_sd": math.sqrt(float(np.mean([tally.trial_variance for tally in tallies]))) / spread,
        "residual_after_averaging": math.sqrt(float(np.mean((mean - targets) ** 2))) / spread,
        "fast_share_response": share,
        "fast_share_target": share_target,
        "spectral_index": spectral_index(share, share_target),
    }


def _clamped_scalars(trained: Trained, measures: Measures) -> dict[str, float | int]:
    if trained.training.variable == "rate":
        nothing = math.nan  # the split is one of the drive
        return {"sampling_error": nothing, "tracking_error": nothing, "quasi_static_residual": nothing}
    splits = [
        clamped_split(trained, target_set=target_set, trials=measures.n_clamped_trials)
        for target_set in range(trained.problem.n_sets)
    ]
    sampling, tracking, static = np.sqrt(np.mean(np.square(splits), axis=0))
    return {
        "sampling_error": float(sampling),
        "tracking_error": float(tracking),
        "quasi_static_residual": float(static),
    }
