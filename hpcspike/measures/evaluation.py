"""All measures of one trained network.

Every measure is first computed for each neuron alone; the neurons of all ranks are then joined in order and reduced, so
that no number depends on how the network was split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcspike.checks import instance
from hpcspike.engine.trained import Trained
from hpcspike.measures.clamped import can_be_clamped, clamped_split
from hpcspike.measures.correlation import centred, pearson
from hpcspike.measures.quasi_static import predict_quasi_static
from hpcspike.measures.spectrum import band_powers, spectral_index
from hpcspike.measures.status import classify
from hpcspike.measures.theory import sampling_scale, tracking_scale
from hpcspike.model.transfer import rate_of_noisy_input
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import Measures
from hpcspike.variables import POINT_RESULTS

_UNMEASURED = {name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)}


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Measures of one network.

    scalars: by the names of `hpcspike.variables.POINT_RESULTS`; correlation (sets, n): per neuron, mean over trials.
    """

    scalars: dict[str, float | int]
    correlation: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


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

    Neurons without a target (NaN) count in rates only; with any of them there is no clamped split, which needs all.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    if measures is not None:
        instance("measures", measures, Measures, made_by="the section of an experiment, as in load(PATH).measures")
    measures = measures or Measures()
    problem = trained.problem
    theory: dict[str, float | int] = {
        "tracking_theory": tracking_scale(problem.synapse.tau_syn_ms, tau_corr_ms),
        "sampling_theory": sampling_scale(problem.n_neurons, problem.synapse.tau_syn_ms, problem.neuron.tau_ms),
        "diverged_loop": trained.diverged_loop,
        "n_trained": float(trained.world.concatenate(problem.in_degree).sum()),
        "simulated_seconds": _simulated_seconds(trained),
        "teacher_fit": math.nan,
    }
    if trained.diverged_loop >= 0:
        status = classify(
            correlation=math.nan, population_rate_hz=math.nan, spectral_index=math.nan, diverged=True,
            measures=measures,
        )  # fmt: skip
        return Evaluation(
            {**_UNMEASURED, **theory, "status": status}, np.full((problem.n_sets, problem.n_rows), np.nan)
        )
    columns = [_neuron_columns(trained, target_set, measures) for target_set in range(problem.n_sets)]
    scalars = {**theory, **_response_scalars(columns, trained, measures), **_clamped_scalars(trained, measures)}
    scalars["quasi_static_correlation"] = _quasi_static_correlation(trained) if measures.quasi_static else math.nan
    scalars["status"] = classify(
        correlation=scalars["correlation"], population_rate_hz=scalars["population_rate"],
        spectral_index=scalars["spectral_index"], diverged=False, measures=measures,
    )  # fmt: skip
    return Evaluation(scalars, np.stack([column["correlation"] for column in columns]))


def _simulated_seconds(trained: Trained) -> float:
    problem, loops = trained.problem, len(trained.curve["correlation"])
    return loops * (problem.protocol.free_run_ms + problem.stimulus_ms + problem.duration_ms) / 1000.0


def _neuron_columns(trained: Trained, target_set: int, measures: Measures) -> dict[str, np.ndarray]:
    """Measures of each neuron of the block, (n,) each; no more than one trial is held at a time."""
    problem, rate, trials = trained.problem, trained.training.variable == "rate", measures.n_test_trials
    target = problem.targets[target_set]
    total, squares = np.zeros_like(target), np.zeros_like(target)
    columns = {name: np.zeros(len(target)) for name in ("correlation", "phi", "fast", "power", "spikes")}
    for trial in range(trials):
        evoked = trained.evoke(target_set, 1, first_trial=trial)
        response = (evoked.filtered if rate else evoked.drive)[0]
        total += response
        squares += response**2
        columns["correlation"] += pearson(response, target) / trials
        fast, power = band_powers(response, grid_ms=problem.grid_ms, fast_time_ms=measures.fast_time_ms)
        columns["fast"] += fast
        columns["power"] += power
        inside = evoked.spikes[0].neuron[evoked.spikes[0].step >= 0] - problem.first
        columns["spikes"] += np.bincount(inside, minlength=len(target))
        if rate:
            phi = rate_of_noisy_input(evoked.drive[0] + problem.input_at_samples(), trained.training.smoothing)
            columns["phi"] += pearson(phi, target) / trials
    mean = total / trials
    columns["mean_correlation"] = pearson(mean, target)
    columns["residual"] = ((mean - target) ** 2).mean(axis=1)
    columns["trial_variance"] = np.maximum(squares - trials * mean**2, 0.0).mean(axis=1) / max(trials - 1, 1)
    columns["target_variance"] = (centred(target) ** 2).mean(axis=1)
    columns["target_fast"], columns["target_power"] = band_powers(
        target, grid_ms=problem.grid_ms, fast_time_ms=measures.fast_time_ms
    )
    return columns


def _response_scalars(
    columns: list[dict[str, np.ndarray]], trained: Trained, measures: Measures
) -> dict[str, float | int]:
    problem = trained.problem
    whole = {name: np.stack([trained.world.concatenate(column[name]) for column in columns]) for name in columns[0]}
    population_spikes = float(whole["spikes"].sum())
    judged = np.stack([trained.judged(target_set) for target_set in range(problem.n_sets)])
    if not judged.all():
        whole = {name: values[judged] for name, values in whole.items()}
    spread = _spread(whole["target_variance"])
    share = _ratio(whole["fast"].sum(), whole["power"].sum())
    share_target = _ratio(whole["target_fast"].sum(), whole["target_power"].sum())
    seconds = len(columns) * measures.n_test_trials * problem.duration_ms / 1000.0
    population_rate = population_spikes / problem.n_neurons / seconds
    rate, several = trained.training.variable == "rate", measures.n_test_trials > 1
    return {
        "correlation": float(whole["correlation"].mean()),
        "correlation_sd": float(whole["correlation"].std()),
        "correlation_trial_mean": float(whole["mean_correlation"].mean()),
        "correlation_phi": float(whole["phi"].mean()) if rate else math.nan,
        "population_rate": population_rate if problem.neuron.model != "tanh" else math.nan,
        "trial_sd": math.sqrt(whole["trial_variance"].mean()) / spread if several else math.nan,
        "residual_after_averaging": math.sqrt(whole["residual"].mean()) / spread,
        "fast_share_response": share,
        "fast_share_target": share_target,
        "spectral_index": spectral_index(share, share_target),
    }


def _clamped_scalars(trained: Trained, measures: Measures) -> dict[str, float | int]:
    names = ("sampling_error", "tracking_error", "quasi_static_residual")
    if not can_be_clamped(trained):
        return dict.fromkeys(names, math.nan)
    trials = measures.n_clamped_trials
    splits = [clamped_split(trained, target_set=s, trials=trials) for s in range(trained.problem.n_sets)]
    return dict(zip(names, np.sqrt(np.mean(np.square(splits), axis=0)).tolist(), strict=True))


def _quasi_static_correlation(trained: Trained) -> float:
    sets = range(trained.problem.n_sets)
    columns = [predict_quasi_static(trained, stimulus=s, trials=1).correlation_drive for s in sets]
    return float(np.mean([trained.world.concatenate(column).mean() for column in columns]))


def _spread(variances: np.ndarray) -> float:
    # NaN, a unit for nothing, if all targets are constant
    return math.sqrt(float(variances.mean())) or math.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan
