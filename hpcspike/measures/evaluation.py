"""All measures of one trained network.

Every measure is first computed for each neuron alone; the neurons of all ranks are then joined in order and reduced, so
that no number depends on how the network was split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hpcspike.checks import instance
from hpcspike.correlation import centred, pearson
from hpcspike.engine.trained import Trained
from hpcspike.measures.clamped import can_be_clamped, clamped_split
from hpcspike.measures.quasi_static import predict_quasi_static
from hpcspike.measures.recorded import recorded_scalars
from hpcspike.measures.recorded_units import BinnedTrials
from hpcspike.measures.spectrum import SHARES, band_powers, share_of, spectral_index
from hpcspike.measures.status import classify, silent_share
from hpcspike.measures.taught import can_be_taught, taught_correlation
from hpcspike.measures.theory import lag_scale, sampling_scale, tracking_scale
from hpcspike.measures.verdict import count_constant, n_with_targets, remark_on_constant, remarks, verdict
from hpcspike.model.reach import reach_of
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import Measures
from hpcspike.variables import POINT_RESULTS

_UNMEASURED = {name: variable.fill for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)}


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Measures of one network.

    scalars: by the names of `hpcspike.variables.POINT_RESULTS`; correlation (sets, n): per neuron, mean over trials;
    by_neuron: (sets, n) each, further measures of each neuron by the names of `hpcspike.variables.TRAINED`, none if
    the network diverged; n_neurons: N of the whole network; measures: how it was judged; n_outputs: components of the
    target if they are read out of the network, and correlation is theirs; n_with_targets: neurons of the whole network
    that have targets, None if all have; remarks: what the numbers do not show, one line each.
    """

    scalars: dict[str, float | int]
    correlation: np.ndarray
    n_neurons: int
    measures: Measures
    by_neuron: dict[str, np.ndarray] = field(default_factory=dict)
    n_outputs: int | None = None
    n_with_targets: int | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """One line in words; see `hpcspike.measures.verdict.verdict`."""
        return verdict(
            self.scalars, n_neurons=self.n_neurons, n_sets=len(self.correlation), measures=self.measures,
            n_outputs=self.n_outputs, n_with_targets=self.n_with_targets,
        )  # fmt: skip

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
        "lag_theory": lag_scale(problem.synapse.tau_syn_ms, tau_corr_ms),
        "sampling_theory": sampling_scale(problem.n_neurons, problem.synapse.tau_syn_ms, problem.neuron.tau_ms),
        "diverged_loop": trained.diverged_loop,
        "n_trained": float(trained.world.concatenate(problem.in_degree).sum()),
        "simulated_seconds": _simulated_seconds(trained),
        "teacher_fit": math.nan,
        "n_recorded": problem.n_recorded,
    }
    if trained.diverged_loop >= 0:
        status = classify(
            correlation=math.nan, population_rate_hz=math.nan, spectral_index=math.nan, diverged=True,
            measures=measures,
        )  # fmt: skip
        unmeasured = np.full((problem.n_sets, problem.n_rows), np.nan)
        return Evaluation({**_UNMEASURED, **theory, "status": status}, unmeasured, problem.n_neurons, measures)
    columns = [_neuron_columns(trained, target_set, measures) for target_set in range(problem.n_sets)]
    scalars = {
        **_UNMEASURED, **theory, **_response_scalars(columns, trained, measures), **_clamped_scalars(trained, measures)
    }  # fmt: skip
    scalars["quasi_static_correlation"] = _quasi_static_correlation(trained) if measures.quasi_static else math.nan
    scalars["status"] = classify(**judged_by(scalars), diverged=False, measures=measures)
    by_neuron = {
        name: np.stack([column[source] for column in columns])
        for name, source in _BY_NEURON.items()
        if all(source in column for column in columns)
    }
    correlation = np.stack([column["correlation"] for column in columns])
    whole = np.stack([trained.world.concatenate(row) for row in correlation])
    of_judged = problem.targets[:, : max(problem.n_recorded - problem.first, 0) if problem.n_recorded else None]
    constant = trained.world.concatenate(count_constant(of_judged)[None]).sum(axis=0)
    return Evaluation(
        scalars, correlation, problem.n_neurons, measures, by_neuron, n_with_targets=n_with_targets(whole),
        remarks=[*trained.endings, *remarks(scalars), *remark_on_constant(*constant, recorded=problem.n_recorded > 0)],
    )  # fmt: skip


_BY_NEURON = {
    "neuron_correlation_trial_mean": "mean_correlation",
    "neuron_rate": "rate_hz",
    "neuron_target_rate": "target_rate_hz",
    "neuron_rms_error": "rms_error",
    "neuron_unreachable_share": "unreachable",
    "neuron_correlation_50ms": "binned_50",
    "neuron_correlation_100ms": "binned_100",
    "neuron_ceiling_50ms": "ceiling_50",
    "neuron_ceiling_100ms": "ceiling_100",
    "neuron_data_ceiling_50ms": "data_ceiling_50",
    "neuron_data_ceiling_100ms": "data_ceiling_100",
    "neuron_other_condition_100ms": "other_100",
}
"""What `Evaluation.by_neuron` has, and the column it is."""


def judged_by(scalars: Mapping[str, float | int]) -> dict[str, float]:
    """Arguments of `classify`: numbers of the recorded units where there are any, else of all neurons."""
    names = ("correlation", "population_rate", "spectral_index", "correlation_taught")
    if scalars["n_recorded"]:
        names = ("correlation_recorded", "rate_recorded", "spectral_index_recorded", "correlation_taught")
    keys = ("correlation", "population_rate_hz", "spectral_index", "taught")
    return {key: float(scalars.get(name, math.nan)) for key, name in zip(keys, names, strict=True)}


def _simulated_seconds(trained: Trained) -> float:
    problem, loops = trained.problem, len(trained.curve["correlation"])
    return loops * (problem.protocol.free_run_ms + problem.stimulus_ms + problem.duration_ms) / 1000.0


def _neuron_columns(trained: Trained, target_set: int, measures: Measures) -> dict[str, np.ndarray]:
    """Measures of each neuron of the block, (n,) each; no more than one trial is held at a time."""
    problem, rate, trials = trained.problem, trained.training.variable == "rate", measures.n_test_trials
    target = problem.targets[target_set]
    total, squares = np.zeros_like(target), np.zeros_like(target)
    columns = {name: np.zeros(len(target)) for name in ("correlation", "phi", "fast", "power", "spikes")}
    binned = BinnedTrials(problem, target_set) if rate and problem.recording is not None else None
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
        if binned is not None:
            binned.add(evoked.spikes[0])
        if rate:
            columns["phi"] += pearson(trained.rate_of_drive(evoked.drive[0]), target) / trials
    mean = total / trials
    columns["mean_correlation"] = pearson(mean, target)
    per_spike = 1000.0 / (trials * problem.duration_ms) if problem.neuron.facts.spikes else math.nan
    columns["rate_hz"] = per_spike * columns["spikes"]
    columns["residual"] = ((mean - target) ** 2).mean(axis=1)
    columns["trial_variance"] = np.maximum(squares - trials * mean**2, 0.0).mean(axis=1) / max(trials - 1, 1)
    columns["target_variance"] = (centred(target) ** 2).mean(axis=1)
    columns["target_fast"], columns["target_power"] = band_powers(
        target, grid_ms=problem.grid_ms, fast_time_ms=measures.fast_time_ms
    )
    hz = 1000.0 / problem.neuron.tau_ms if rate else 1.0
    columns["rms_error"] = hz * np.sqrt(columns["residual"])
    if rate:
        reach = reach_of(
            smoothing=trained.training.smoothing, tau_ms=problem.neuron.tau_ms, step_ms=problem.neuron.step_ms,
            transfer=trained.training.transfer,
        )  # fmt: skip
        columns["target_rate_hz"] = hz * target.mean(axis=1)
        columns["unreachable"] = reach.excludes(target).mean(axis=1)
    return columns | (binned.columns() if binned is not None else {})


def _response_scalars(
    columns: list[dict[str, np.ndarray]], trained: Trained, measures: Measures
) -> dict[str, float | int]:
    problem = trained.problem
    known = [name for name in columns[0] if all(name in column for column in columns)]
    whole = {name: np.stack([trained.world.concatenate(column[name]) for column in columns]) for name in known}
    population_spikes = float(whole["spikes"].sum())
    judged = np.stack([trained.judged(target_set) for target_set in range(problem.n_sets)])
    if not judged.all():
        whole = {name: values[judged] for name, values in whole.items()}
    spread = _spread(whole["target_variance"])
    share, share_target = (share_of(whole[part], whole[every]) for part, every in SHARES.values())
    seconds = len(columns) * measures.n_test_trials * problem.duration_ms / 1000.0
    population_rate = population_spikes / problem.n_neurons / seconds
    rate, several = trained.training.variable == "rate", measures.n_test_trials > 1
    return {
        "correlation": float(whole["correlation"].mean()),
        "correlation_sd": float(whole["correlation"].std()),
        "correlation_trial_mean": float(whole["mean_correlation"].mean()),
        "correlation_phi": float(whole["phi"].mean()) if rate else math.nan,
        "population_rate": population_rate if problem.neuron.facts.spikes else math.nan,
        "silent_share": silent_share(whole["rate_hz"].mean(axis=0), measures),
        "trial_sd": math.sqrt(whole["trial_variance"].mean()) / spread if several else math.nan,
        "residual_after_averaging": math.sqrt(whole["residual"].mean()) / spread,
        "fast_share_response": share,
        "fast_share_target": share_target,
        "spectral_index": spectral_index(share, share_target),
        **recorded_scalars(whole, problem.n_recorded, rate_targets=rate),
    }


def _clamped_scalars(trained: Trained, measures: Measures) -> dict[str, float | int]:
    names = (
        "sampling_error", "tracking_error", "quasi_static_residual", "lag_error", "sampling_formula", "weight_norm",
        "spike_noise",
    )  # fmt: skip
    found = {**dict.fromkeys(names, math.nan), "correlation_taught": _taught(trained, measures)}
    if not can_be_clamped(trained):
        return found
    trials = measures.n_clamped_trials
    splits = [clamped_split(trained, target_set=s, trials=trials) for s in range(trained.problem.n_sets)]
    return found | dict(zip(names, np.sqrt(np.mean(np.square(splits), axis=0)).tolist(), strict=True))


def _taught(trained: Trained, measures: Measures) -> float:
    """Mean correlation of responses that a teacher has started, over the neurons that are judged."""
    if not can_be_taught(trained):
        return math.nan
    problem, trials = trained.problem, measures.n_clamped_trials
    found = [taught_correlation(trained, target_set=s, trials=trials) for s in range(problem.n_sets)]
    whole = np.stack([trained.world.concatenate(column) for column in found])
    return float(whole[:, : problem.n_recorded or None].mean())


def _quasi_static_correlation(trained: Trained) -> float:
    sets = range(trained.problem.n_sets)
    columns = [predict_quasi_static(trained, stimulus=s, trials=1).correlation_drive for s in sets]
    return float(np.mean([trained.world.concatenate(column).mean() for column in columns]))


def _spread(variances: np.ndarray) -> float:
    # NaN, a unit for nothing, if all targets are constant
    return math.sqrt(float(variances.mean())) or math.nan
