"""Registry of every variable hpcspike writes: dimensions, dtype, unit and meaning, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variable:
    """One variable of a Dataset."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    fill: Any = float("nan")
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes to attach to the array."""
        return {"units": self.units, "long_name": self.long_name, **self.extra}


STATUS = ("learned", "sampling", "tracking", "diverged", "silent", "unjudged", "recall")
"""Meaning of the integer ``status``: the index in this tuple; unjudged: the score is no correlation with a target."""

_status = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}

STAND_IN = "generated stand-in, not recorded"
"""What everything that is computed from made-up recordings says, as its attribute ``stand_in`` and in figures."""

ABOUT_UNITS = {"about": "recorded unit"}
"""Attribute of coordinates along ``neuron`` that say something of the recorded units, which files differ in."""

POINT_PARAMETERS = {
    "tau_syn_ms": Variable(("point",), "float64", "ms", "synaptic decay time tau_s"),
    "tau_corr_ms": Variable(("point",), "float64", "ms", "correlation time of the targets tau_c"),
    "duration_ms": Variable(("point",), "float64", "ms", "length of the trained window T"),
    "n_neurons": Variable(("point",), "int64", "1", "number of neurons N", fill=0),
    "replicate": Variable(("point",), "int64", "1", "independent repetition", fill=0),
    "seed": Variable(("point",), "int64", "1", "seed of every random stream", fill=0),
}
"""Coordinates along ``point`` that every sweep has; other swept fields join them under their own name."""

POINT = Variable(("point",), "int64", "1", "number of the point: its row in the store, for 'hpcspike show --point'")
"""The coordinate ``point`` of `hpcspike.open_sweep`; the store itself has none."""

POINT_RESULTS = {
    "correlation": Variable(
        ("point",), "float64", "1", "mean Pearson correlation of response and target, single test trials"
    ),
    "correlation_sd": Variable(("point",), "float64", "1", "s.d. over neurons of the correlation"),
    "correlation_trial_mean": Variable(
        ("point",), "float64", "1", "mean Pearson correlation of the trial-averaged response and target"
    ),
    "correlation_phi": Variable(
        ("point",), "float64", "1", "mean Pearson correlation of phi(u + I) and the rate target (rate training only)"
    ),
    "population_rate": Variable(("point",), "float64", "Hz", "mean firing rate in the trained window"),
    "trial_sd": Variable(("point",), "float64", "1", "trial-to-trial s.d. of the response over the target's s.d."),
    "residual_after_averaging": Variable(
        ("point",), "float64", "1", "rms error of the trial-averaged response over the target's s.d."
    ),
    "fast_share_response": Variable(("point",), "float64", "1", "share of fast power in the response"),
    "fast_share_target": Variable(("point",), "float64", "1", "share of fast power in the target"),
    "spectral_index": Variable(
        ("point",), "float64", "1", "log ratio of fast shares: positive sampling, negative tracking"
    ),
    "sampling_error": Variable(("point",), "float64", "1", "clamped sampling error over the target's s.d."),
    "tracking_error": Variable(("point",), "float64", "1", "clamped tracking error over the target's s.d."),
    "quasi_static_residual": Variable(("point",), "float64", "1", "rms of W phi(f) - f over the target's s.d."),
    "quasi_static_correlation": Variable(
        ("point",), "float64", "1", "correlation of the drive and its quasi-static prediction, single trials"
    ),
    "tracking_theory": Variable(("point",), "float64", "1", "eps_track = tau_s / (4 pi tau_c), paper Eq 3"),
    "sampling_theory": Variable(("point",), "float64", "1", "eps_sample = 1 / sqrt(N tau_s / tau), paper Eq 3"),
    "status": Variable(("point",), "int8", "1", "what the network became", fill=-1, extra=_status),
    "diverged_loop": Variable(("point",), "int32", "1", "loop in which the network diverged, -1 if it did not", -1),
    "n_trained": Variable(("point",), "float64", "1", "trained parameters"),
    "simulated_seconds": Variable(("point",), "float64", "s", "simulated time of training"),
    "teacher_fit": Variable(
        ("point",), "float64", "1", "mean correlation of the target and the teacher's readout that stands for it"
    ),
    "silent_share": Variable(
        ("point",), "float64", "1", "share of the neurons that fire below measures.silent_rate_hz in the test trials"
    ),
    "n_recorded": Variable(("point",), "int64", "1", "neurons that follow a recorded unit, the first ones", fill=0),
    "correlation_recorded": Variable(("point",), "float64", "1", "as correlation, over the recorded units only"),
    "correlation_recorded_sd": Variable(("point",), "float64", "1", "s.d. over recorded units of the correlation"),
    "correlation_auxiliary": Variable(("point",), "float64", "1", "as correlation, over the auxiliary neurons only"),
    "correlation_trial_mean_recorded": Variable(
        ("point",), "float64", "1", "as correlation_trial_mean, over the recorded units only"
    ),
    "correlation_phi_recorded": Variable(
        ("point",), "float64", "1", "as correlation_phi, over the recorded units only"
    ),
    "spectral_index_recorded": Variable(("point",), "float64", "1", "as spectral_index, over the recorded units only"),
    "rate_recorded": Variable(("point",), "float64", "Hz", "mean firing rate of the recorded units in the model"),
    "target_rate_recorded": Variable(("point",), "float64", "Hz", "mean rate of the recorded units in the data"),
    "rms_error_recorded": Variable(
        ("point",), "float64", "Hz", "rms error of the trial-averaged rate of the recorded units"
    ),
    "n_silent_recorded": Variable(
        ("point",), "float64", "1", "recorded units below 1 Hz in the model and above 5 Hz in the data"
    ),
    "unreachable_share_recorded": Variable(
        ("point",), "float64", "1", "share of the recorded target time whose rate a neuron without noise cannot hold"
    ),
    "lag_error": Variable(("point",), "float64", "1", "rms of W rho - W phi(f), clamped, over the target's s.d."),
    "lag_theory": Variable(("point",), "float64", "1", "sqrt(x / (1 + x)), x = tau_s / tau_c, of OU targets"),
    "sampling_formula": Variable(
        ("point",), "float64", "1", "sampling error by the variance formula (paper 4.7) over the target's s.d."
    ),
    "weight_norm": Variable(("point",), "float64", "1", "norm of a neuron's incoming weights, rms over neurons"),
    "spike_noise": Variable(("point",), "float64", "1", "rms of r - rho, clamped, in spikes per tau"),
    "correlation_taught": Variable(
        ("point",), "float64", "1", "as correlation, of responses that a teacher has started (drive training only)"
    ),
    "curve_correlation": Variable(("point", "loop"), "float64", "1", "correlation during each training loop"),
    "curve_rate": Variable(("point", "loop"), "float64", "Hz", "population rate during each training loop"),
    "curve_weight_change": Variable(
        ("point", "loop"), "float64", "1", "Frobenius norm of the loop's weight change over that of the reference"
    ),
}

RECORDED_RESULTS = (
    "n_recorded",
    "correlation_recorded",
    "correlation_recorded_sd",
    "correlation_auxiliary",
    "correlation_trial_mean_recorded",
    "correlation_phi_recorded",
    "spectral_index_recorded",
    "rate_recorded",
    "target_rate_recorded",
    "rms_error_recorded",
    "n_silent_recorded",
    "unreachable_share_recorded",
)
"""Results that only networks with recorded targets have."""

LATER_RESULTS = tuple(
    name
    for name in POINT_RESULTS
    if name in ("lag_error", "lag_theory", "sampling_formula", "weight_norm", "spike_noise", "correlation_taught")
    or name in ("silent_share", *RECORDED_RESULTS)
)
"""Results that stores of earlier versions do not have; they are read, and go on, without them."""

SURFACE_SCALES = {
    **{name: "fisher" for name in POINT_RESULTS if name.startswith("correlation") and not name.endswith("_sd")},
    **dict.fromkeys(("sampling_error", "tracking_error", "lag_error", "quasi_static_residual"), "log"),
    **dict.fromkeys(("sampling_theory", "tracking_theory", "lag_theory", "sampling_formula"), "log"),
}
"""Results along ``point`` whose surfaces are drawn in Fisher's z, or in the logarithm; others as they are."""

TESTED_RESULTS = {
    "curve_test_correlation": Variable(
        ("point", "loop"), "float64", "1", "correlation in a test after the loop, plasticity off; NaN: no test"
    ),
}
"""Further results, of sweeps with tests in training (``measures.test_every_loops``) only."""

BINNED_RESULTS = {
    "correlation_50ms_recorded": Variable(
        ("point",), "float64", "1", "correlation of trial-averaged rate and data in 50 ms bins, mean of recorded units"
    ),
    "correlation_100ms_recorded": Variable(
        ("point",), "float64", "1", "correlation of trial-averaged rate and data in 100 ms bins, mean of recorded units"
    ),
    "ceiling_50ms_recorded": Variable(
        ("point",), "float64", "1", "highest correlation that the model's trials allow in 50 ms bins, mean of units"
    ),
    "ceiling_100ms_recorded": Variable(
        ("point",), "float64", "1", "highest correlation that the model's trials allow in 100 ms bins, mean of units"
    ),
    "data_ceiling_50ms_recorded": Variable(
        ("point",), "float64", "1", "highest correlation that the data's trials allow in 50 ms bins, mean of units"
    ),
    "data_ceiling_100ms_recorded": Variable(
        ("point",), "float64", "1", "highest correlation that the data's trials allow in 100 ms bins, mean of units"
    ),
    "other_condition_100ms_recorded": Variable(
        ("point",), "float64", "1", "correlation with the data of the other conditions in 100 ms bins, mean of units"
    ),
}
"""Further results of networks trained on recorded rates: of one network and of studies, not of sweeps."""

POINT_PROVENANCE = {
    "wall_seconds": Variable(("point",), "float64", "s", "wall time of the point"),
    "peak_memory": Variable(("point",), "float64", "MiB", "peak resident memory of the process"),
    "n_ranks": Variable(("point",), "int32", "1", "MPI ranks", 0),
    "n_threads": Variable(("point",), "int32", "1", "threads per rank", 0),
    "run": Variable(("point",), "int32", "1", "index into the provenance records of the sweep", -1),
    "done": Variable(("point",), "uint8", "1", "1 once every variable of the point is written", 0),
}

_censoring = {
    "flag_values": [-2, -1, 0, 1],
    "flag_meanings": "no_data nothing_learned measured everything_learned",
}
_edge = {"flag_values": [-2, -1, 0, 1], "flag_meanings": "no_data lower_edge inside upper_edge"}
_kind = {"flag_values": [-2, -1, 0, 1], "flag_meanings": "no_data upper_bound_only estimated lower_bound_only"}
_status_of_cell = {"flag_values": [-1, *range(len(STATUS))], "flag_meanings": " ".join(("no_data", *STATUS))}

ANALYSIS = {
    "performance": Variable((), "float64", "1", "mean over networks"),
    "performance_sd": Variable((), "float64", "1", "s.d. over networks (n - 1)"),
    "n_networks": Variable((), "int64", "1", "networks in the mean", fill=0),
    "n_diverged": Variable((), "int64", "1", "networks that diverged", fill=0),
    "n_finished": Variable((), "int64", "1", "finished networks, with or without a value", fill=0),
    "optimum_tau_syn": Variable((), "float64", "ms", "tau_s of the best performance"),
    "optimum_performance": Variable((), "float64", "1", "best performance"),
    "optimum_edge": Variable((), "int8", "1", "whether the optimum lies at an edge of the grid", -2, _edge),
    "near_optimal_low": Variable((), "float64", "ms", "smallest tau_s next to the optimum that is nearly as good"),
    "near_optimal_high": Variable((), "float64", "ms", "largest tau_s next to the optimum that is nearly as good"),
    "rise": Variable((), "float64", "1", "best performance minus that of the fastest synapses"),
    "fall": Variable((), "float64", "1", "best performance minus that of the slowest synapses"),
    "abscissa": Variable((), "float64", "1", "scaling variable"),
    "master_curve": Variable((), "float64", "1", "monotone curve common to all parameters"),
    "unexplained_fraction": Variable(
        (), "float64", "1", "variance around the common monotone curve over total variance"
    ),
    "held_out_fraction": Variable(
        (), "float64", "1", "squared error of a curve predicted from the others over their variance"
    ),
    "noise_fraction": Variable((), "float64", "1", "squared standard error of the means over total variance"),
    "n_curves": Variable((), "int64", "1", "curves compared", fill=0),
    "n_cells": Variable((), "int64", "1", "grid cells compared", fill=0),
    "longest_learned": Variable((), "float64", "ms", "longest window learned T_max"),
    "censoring": Variable((), "int8", "1", "whether the grid of T holds T_max", -2, _censoring),
    "non_monotone": Variable((), "int8", "1", "1 if a window shorter than T_max was not learned", 0),
    "capacity": Variable((), "float64", "1", "capacity T_max / tau_c, censored cells left out"),
    "capacity_low": Variable((), "float64", "1", "lower end of the interval of the capacity"),
    "capacity_high": Variable((), "float64", "1", "upper end of the interval of the capacity"),
    "capacity_one_sided": Variable((), "float64", "1", "capacity T_max / tau_c, censored cells as bounds"),
    "capacity_one_sided_low": Variable((), "float64", "1", "lower end of the interval, censored cells as bounds"),
    "capacity_one_sided_high": Variable((), "float64", "1", "upper end of the interval, censored cells as bounds"),
    "capacity_kind": Variable((), "int8", "1", "what the cells say about the capacity", -2, _kind),
    "capacity_residual": Variable((), "float64", "ms", "rms distance of T_max from the line"),
    "n_measured": Variable((), "int64", "1", "cells whose T_max lies inside the grid of T", fill=0),
    "n_everything_learned": Variable((), "int64", "1", "cells that learned even the longest T", fill=0),
    "n_nothing_learned": Variable((), "int64", "1", "cells that learned not even the shortest T", fill=0),
    "status": Variable((), "int8", "1", "what most networks became", -1, _status_of_cell),
    "status_fraction": Variable((), "float64", "1", "share of networks with this status"),
    "sign_agreement": Variable((), "float64", "1", "share of networks whose spectral index has the majority's sign"),
    "correlation_single_trial": Variable(
        (), "float64", "1", "correlation of single test trials and target, their mean"
    ),
    "correlation_trial_averaged": Variable((), "float64", "1", "correlation of the trial-averaged response and target"),
    "correlation_rate_of_drive": Variable(
        (), "float64", "1", "correlation of phi(u + I) in single test trials and target, their mean"
    ),
    "power_target": Variable((), "float64", "", "power spectral density of the target, mean over neurons"),
    "power_response": Variable((), "float64", "", "power spectral density of the response, mean over neurons"),
    "cv_isi": Variable((), "float64", "1", "coefficient of variation of the intervals between spikes, all trials"),
    "cv2_isi": Variable((), "float64", "1", "CV2 of the intervals between spikes, all trials"),
    "n_intervals": Variable((), "int64", "1", "intervals between spikes, all trials", fill=0),
    "spike_rate": Variable((), "float64", "Hz", "mean firing rate in the window, all trials"),
    "fano_factor": Variable((), "float64", "1", "variance of the spike count over trials over its mean"),
    "pair_correlation_noise": Variable(
        (), "float64", "1", "correlation of binned counts of a pair, less their means over trials"
    ),
    "pair_correlation_total": Variable((), "float64", "1", "correlation of binned counts of a pair"),
}
"""What analysis functions return; the dims are the parameters a sweep varies. An empty unit is the measure's own."""

COMPARISON = {
    "n_compared": Variable(("variable",), "int64", "1", "values compared; of curves one of each point", fill=0),
    "n_different": Variable(("variable",), "int64", "1", "values that differ, a missing one among them", fill=0),
    "largest_difference": Variable(("variable",), "float64", "", "B - A where it is largest in size"),
    "rms_difference": Variable(("variable",), "float64", "", "root mean square of B - A"),
    "difference": Variable(("variable", "point"), "float64", "", "B - A; of curves at the loop where it is largest"),
    "point_differences": Variable(("point",), "int64", "1", "variables that differ at this point", fill=0),
    "point_a": Variable(("point",), "int64", "1", "number of the point in A", fill=-1),
    "point_b": Variable(("point",), "int64", "1", "number of the point in B", fill=-1),
    "score_a": Variable(("point",), "float64", "1", "correlation in A"),
    "score_b": Variable(("point",), "float64", "1", "correlation in B"),
}
"""What `hpcspike.analysis.compare` returns; an empty unit is the variable's own."""

ANALYSIS_COORDINATES = {
    "threshold": Variable(("threshold",), "float64", "1", "performance that counts as learned"),
    "abscissa_name": Variable(("abscissa_name",), "str", "1", "scaling variable tested"),
    "status_name": Variable(("status_name",), "str", "1", "status"),
    "frequency": Variable(("frequency",), "float64", "Hz", "frequency"),
    "pair_first": Variable(("pair",), "int64", "1", "first neuron of the pair"),
    "pair_second": Variable(("pair",), "int64", "1", "second neuron of the pair"),
}
"""Coordinates that only analysis results have."""

TRAINED = {
    "neuron": Variable(("neuron",), "int64", "1", "number of the neuron"),
    "time": Variable(("time",), "float64", "ms", "time from the end of the cue"),
    "trial": Variable(("trial",), "int64", "1", "test trial"),
    "target_set": Variable(("target_set",), "int64", "1", "target set, each with its own cue"),
    "loop": Variable(("loop",), "int64", "1", "training loop, or pass of another learner than rls"),
    "recorded": Variable(("neuron",), "bool", "1", "whether the neuron follows a recorded unit (else auxiliary)"),
    "unit_name": Variable(
        ("neuron",),
        "str",
        "1",
        "name of the recorded unit that the neuron follows; empty of those that follow none",
        extra=ABOUT_UNITS,
    ),
    "condition": Variable(("target_set",), "str", "1", "name of the recorded condition that the target set follows"),
    "loop_target_set": Variable(("loop",), "int64", "1", "target set of the training loop"),
    "recording_time": Variable(("time",), "float64", "ms", "time on the axis of the recording"),
    "target": Variable(("target_set", "neuron", "time"), "float64", "1", "target"),
    "drive": Variable(("target_set", "trial", "neuron", "time"), "float64", "1", "synaptic drive u"),
    "response": Variable(("target_set", "trial", "neuron", "time"), "float64", "1", "what is compared with the target"),
    "spike_time": Variable(("spike",), "float64", "ms", "time of the spike from the end of the cue"),
    "spike_neuron": Variable(("spike",), "int32", "1", "neuron that spiked"),
    "spike_trial": Variable(("spike",), "int32", "1", "trial of the spike"),
    "spike_set": Variable(("spike",), "int32", "1", "target set of the spike"),
    "initial_state": Variable(
        ("trial", "state_variable", "neuron"),
        "float64",
        "1",
        "state of the neurons when the trial begins, before free run and cue, with drives and r at 0",
    ),
    "weight": Variable(("synapse",), "float64", "1", "plastic weight, in units of u per spike per tau"),
    "weight_initial": Variable(("synapse",), "float64", "1", "plastic weight before training"),
    "presynaptic": Variable(("synapse",), "int32", "1", "presynaptic neuron of the synapse"),
    "row_start": Variable(("row_bound",), "int64", "1", "first synapse of each neuron; its row ends at the next"),
    "matched_unit": Variable(
        ("neuron",), "int32", "1", "row of the recorded unit that the neuron follows; -1: it is not trained"
    ),
    "spontaneous_rate": Variable(
        ("neuron",), "float64", "Hz", "rate without plastic synapses by which neurons and units were matched"
    ),
    "curve_test_correlation_by_set": Variable(
        ("loop", "target_set"), "float64", "1", "correlation in the test after a loop, by target set"
    ),
    "feed_forward_weight": Variable(
        ("feed_forward_set", "feed_forward_synapse"),
        "float64",
        "1",
        "weight from the feed-forward population, by target set where each has its own",
    ),
    "feed_forward_source": Variable(
        ("feed_forward_synapse",), "int32", "1", "feed-forward neuron that the synapse comes from"
    ),
    "feed_forward_target": Variable(("feed_forward_synapse",), "int32", "1", "neuron that it acts on"),
    "stimulus": Variable(("target_set", "neuron"), "float64", "1", "external input during the cue"),
    "neuron_correlation": Variable(
        ("target_set", "neuron"), "float64", "1", "Pearson correlation of response and target, mean over trials"
    ),
    "neuron_correlation_trial_mean": Variable(
        ("target_set", "neuron"), "float64", "1", "Pearson correlation of the trial-averaged response and target"
    ),
    "neuron_rate": Variable(("target_set", "neuron"), "float64", "Hz", "mean firing rate in the trained window"),
    "neuron_target_rate": Variable(("target_set", "neuron"), "float64", "Hz", "mean of the rate target"),
    "neuron_rms_error": Variable(
        ("target_set", "neuron"), "float64", "1", "rms error of the trial-averaged response, in the unit of the target"
    ),
    "neuron_correlation_50ms": Variable(
        ("target_set", "neuron"), "float64", "1", "correlation of the trial-averaged rate and its data, 50 ms bins"
    ),
    "neuron_correlation_100ms": Variable(
        ("target_set", "neuron"), "float64", "1", "correlation of the trial-averaged rate and its data, 100 ms bins"
    ),
    "neuron_ceiling_50ms": Variable(
        ("target_set", "neuron"), "float64", "1", "highest correlation that the model's trials allow, 50 ms bins"
    ),
    "neuron_ceiling_100ms": Variable(
        ("target_set", "neuron"), "float64", "1", "highest correlation that the model's trials allow, 100 ms bins"
    ),
    "neuron_data_ceiling_50ms": Variable(
        ("target_set", "neuron"), "float64", "1", "highest correlation that the data's trials allow, 50 ms bins"
    ),
    "neuron_data_ceiling_100ms": Variable(
        ("target_set", "neuron"), "float64", "1", "highest correlation that the data's trials allow, 100 ms bins"
    ),
    "neuron_other_condition_100ms": Variable(
        ("target_set", "neuron"),
        "float64",
        "1",
        "correlation of the trial-averaged rate and the data of the other conditions, 100 ms bins",
    ),
    "neuron_unreachable_share": Variable(
        ("target_set", "neuron"), "float64", "1", "share of target time whose rate a neuron without noise cannot hold"
    ),
    "curve_correlation": Variable(("loop",), "float64", "1", "correlation during each training loop"),
    "curve_rate": Variable(("loop",), "float64", "Hz", "population rate during each training loop"),
    "curve_weight_change": Variable(
        ("loop",), "float64", "1", "Frobenius norm of the loop's weight change over that of the reference"
    ),
    "curve_seconds": Variable(("loop",), "float64", "s", "wall time of each loop; of other learners CPU time"),
}
"""What the Dataset of one trained network holds beside the scalars of `POINT_RESULTS`."""

ALTERED = {
    "fixed_weight": Variable(("fixed_synapse",), "float64", "1", "weight that is not trained, if others than at first"),
    "fixed_presynaptic": Variable(("fixed_synapse",), "int32", "1", "presynaptic neuron of the fixed synapse"),
    "fixed_row_start": Variable(("row_bound",), "int64", "1", "first fixed synapse of each neuron"),
    "tested_loop": Variable(("tested_loop",), "int64", "1", "training loops on the set added last; 0: before them"),
    "curve_set_correlation": Variable(
        ("tested_loop", "target_set"),
        "float64",
        "1",
        "correlation of single test trials with every target set while the last one was learned, plasticity off",
    ),
}
"""What is in the Dataset of a network beside `TRAINED` only if it was changed after training; see `hpcspike.live`."""

TRANSFER = {
    "transfer_curve": Variable(("neuron",), "int32", "1", "measured transfer function that the neuron has"),
    "transfer_input": Variable(("curve", "knot"), "float64", "1", "drive u + I that the rate was measured at"),
    "transfer_rate": Variable(("curve", "knot"), "float64", "Hz", "measured mean rate; NaN beyond the last knot"),
    "transfer_slope": Variable(("curve", "knot"), "float64", "Hz", "derivative of the rate by the drive"),
    "transfer_tail": Variable(
        ("curve",), "float64", "1", "change of the drive by which the rate falls to 1/e below the first knot"
    ),
}
"""What the Dataset of a network holds beside `TRAINED` if its rates were trained with training.transfer: measured."""

LEARNED = {
    "output": Variable(("output",), "int64", "1", "component of the target, where it is not every neuron's own"),
    "curve_score": Variable(
        ("loop",), "float64", "1", "score of the task in each pass, with the help that training gives"
    ),
    "pass_score_helped": Variable(("loop",), "float64", "1", "score in each pass with the help that training gives"),
    "pass_score_alone": Variable(("loop",), "float64", "1", "score in each pass without help"),
    "pass_simulated_seconds": Variable(("loop",), "float64", "s", "simulated time of training up to each pass"),
}
"""What the Dataset of a network holds beside `TRAINED` if another learner than rls trained it; and `WEIGHTS`."""

WEIGHTS = {
    "fast": Variable(("neuron", "presynaptic_neuron"), "float64", "1", "fast recurrent weight"),
    "slow": Variable(("neuron", "presynaptic_neuron"), "float64", "1", "slow recurrent weight"),
    "input": Variable(("neuron", "state"), "float64", "1", "input weight, and decoder of the state"),
    "readout": Variable(("output", "state"), "float64", "1", "readout of the decoded state"),
    "w_rec": Variable(("presynaptic_neuron", "neuron"), "float64", "1", "recurrent weight"),
    "w_in": Variable(("input", "neuron"), "float64", "1", "input weight"),
    "w_out": Variable(("neuron", "output"), "float64", "1", "readout weight"),
    "bias": Variable(("neuron",), "float64", "1", "constant input of each neuron"),
    "w_fast": Variable(("presynaptic_neuron", "neuron"), "float64", "1", "recurrent weight of fast synapses"),
    "b_out": Variable(("output",), "float64", "1", "bias of the readout"),
}
"""Weights by group of networks that other learners than rls train; their names in a Dataset begin with ``weights_``."""

_state = {"flag_values": [0, 1], "flag_meanings": "after before"}

STUDY = {
    "loop": Variable(("loop",), "int64", "1", "training loop, 1 being the first"),
    "condition": Variable(("target_set",), "str", "1", "name of the recorded condition that the target set follows"),
    "loop_target_set": Variable(("loop",), "int64", "1", "target set of the training loop"),
    "example": Variable(("example",), "int64", "1", "example neuron"),
    "example_unit": Variable(("example",), "str", "1", "name of the recorded unit that the example neuron follows"),
    "raster_neuron": Variable(("raster_neuron",), "int64", "1", "neuron whose spikes are kept"),
    "target_set": Variable(("target_set",), "int64", "1", "target set, each with its own cue"),
    "trial": Variable(("trial",), "int64", "1", "test trial"),
    "target_time": Variable(("target_time",), "float64", "ms", "time from the end of the cue"),
    "time": Variable(("time",), "float64", "ms", "time from the end of the cue"),
    "update_time": Variable(("update_time",), "float64", "ms", "time from the end of the cue"),
    "shown_loop": Variable(("shown_loop",), "int64", "1", "training loop shown"),
    "target": Variable(("target_set", "example", "target_time"), "float64", "1", "target"),
    "response_after": Variable(
        ("target_set", "trial", "example", "time"), "float64", "1", "response of the trained network"
    ),
    "response_before": Variable(
        ("target_set", "trial", "example", "time"), "float64", "1", "response of the untrained network"
    ),
    "response_during": Variable(
        ("shown_loop", "example", "update_time"), "float64", "1", "response while weights change, before each update"
    ),
    "spike_time": Variable(("spike",), "float64", "ms", "time of the spike from the end of the cue"),
    "spike_neuron": Variable(("spike",), "int32", "1", "neuron that spiked"),
    "spike_state": Variable(("spike",), "int8", "1", "network that spiked", 0, _state),
    "spike_set": Variable(("spike",), "int32", "1", "target set of the spike"),
    "spike_trial": Variable(("spike",), "int32", "1", "trial of the spike"),
    "window_ms": Variable((), "float64", "ms", "length of the trained window T"),
    "wall_seconds": Variable((), "float64", "s", "wall time of the network"),
    "code_revision": Variable((), "str", "1", "revision of the code"),
    "quasi_static_drive_correlation": Variable(
        (), "float64", "1", "correlation of the drive and its quasi-static prediction, mean over neurons"
    ),
    "quasi_static_drive_correlation_before": Variable((), "float64", "1", "the same in the untrained network"),
    "quasi_static_rate_correlation": Variable(
        (), "float64", "1", "correlation of the trial-averaged rate and its quasi-static prediction, mean over neurons"
    ),
    "predicted_drive": Variable(
        ("target_set", "example", "target_time"), "float64", "1", "quasi-static prediction of the drive"
    ),
    "rate_time": Variable(("rate_time",), "float64", "ms", "middle of the bin, from the end of the cue"),
    "binned_rate": Variable(("target_set", "example", "rate_time"), "float64", "Hz", "trial-averaged rate"),
    "predicted_rate": Variable(
        ("target_set", "example", "rate_time"), "float64", "Hz", "quasi-static prediction of the rate"
    ),
    "test_trial": Variable(("test_trial",), "int64", "1", "test trial of a learner on its own"),
    "test_score": Variable(
        ("test_trial",), "float64", "1", "score on its own: correlation, or of driven systems squared error over power"
    ),
    "untrained_score": Variable(("test_trial",), "float64", "1", "the same score before training"),
    "curve_score": Variable(("loop",), "float64", "1", "the same score in each pass, with the help training gives"),
    "test_wrong": Variable(("test_trial",), "float64", "1", "share of wrong answers of a learner on its own"),
    "untrained_wrong": Variable(("test_trial",), "float64", "1", "share of wrong answers before training"),
    "curve_wrong": Variable(("loop",), "float64", "1", "share of wrong answers in the trials of each pass"),
    "test_goals": Variable(("test_trial",), "float64", "1/s", "goals reached per second by a learner on its own"),
    "untrained_goals": Variable(("test_trial",), "float64", "1/s", "goals reached per second before training"),
    "curve_goals": Variable(("loop",), "float64", "1/s", "goals reached per second in the trials of each pass"),
    "cpu_seconds": Variable((), "float64", "s", "CPU time of training"),
    "damage_fraction": Variable(("damage_fraction",), "float64", "1", "share of the neurons silent in a test"),
    "damaged_trial": Variable(("damaged_trial",), "int64", "1", "test trial of a damaged network"),
    "damage_score": Variable(
        ("damage_fraction", "damaged_trial"), "float64", "1", "score in tests in which these neurons are silent"
    ),
    "deleted_spike_score": Variable(
        ("damaged_trial",), "float64", "1", "score in tests in which one spike reaches nobody"
    ),
    "noise_level": Variable(
        ("noise_level",), "float64", "1/s^0.5", "white noise on voltages, over their distance to threshold"
    ),
    "noisy_trial": Variable(("noisy_trial",), "int64", "1", "test trial with noise"),
    "noise_score": Variable(("noise_level", "noisy_trial"), "float64", "1", "score in tests with this noise"),
    "episode_part": Variable(("episode_part",), "int64", "1", "tenth of a trial, in order"),
    "episode_error": Variable(
        ("episode_part",), "float64", "1", "squared error over power of the target in this tenth, functions never seen"
    ),
    "regression_error": Variable(
        ("episode_part",), "float64", "1", "the same of linear regression on the examples before each"
    ),
    "goal_number": Variable(("goal_number",), "int64", "1", "goals of a trial in the order they were reached, from 1"),
    **{
        f"goal_time_{name}": Variable(
            dims, "float64", "ms", f"time on the way to {what}, {name.split('_')[-1]} training"
        )
        for dims, prefix, what in (
            (("goal_number",), "", "this goal over the trials in which it was reached"),
            ((), "anew_", "the first goal, as for goal_number 1, of new trials with goals that were reached in others"),
        )
        for name in (f"{prefix}before", f"{prefix}after")
    },
    "current_cancellation": Variable(
        (), "float64", "1", "correlation in time of fast recurrent and external current, low-passed, mean of neurons"
    ),
    "weight_cancellation": Variable(
        (), "float64", "1", "correlation over pairs of neurons of fast weights and those that feed readouts back"
    ),
    "poisson_score": Variable(
        ("test_trial",), "float64", "1", "squared error over power of Poisson spikes of the same rates, same decoder"
    ),
    "state": Variable(("state",), "int64", "1", "component of the state of a driven system"),
    "from_state": Variable(("from_state",), "int64", "1", "component that acts on it"),
    "system_matrix": Variable(("state", "from_state"), "float64", "1/s", "A of the wanted system dx/dt = A x + c"),
    "decoded_matrix": Variable(("state", "from_state"), "float64", "1/s", "A that the trained network runs"),
    "matrix_error": Variable((), "float64", "1", "norm of the difference of these two over that of the wanted one"),
    **{
        f"{name}_{when}": Variable((), "float64", "1", f"{meaning}, {when} training, repeated trials of one input")
        for when in ("before", "after")
        for name, meaning in (
            ("ei_correlation", "correlation in time of excitation and inhibition, mean of neurons that spike"),
            ("cv_isi", "CV of the intervals between spikes, mean of neurons with 5 or more"),
            ("cv2_isi", "CV2 of the intervals between spikes, mean of neurons with 5 or more"),
            ("fano_factor", "Fano factor of spike counts, mean of neurons and bins with 0.5 spikes or more"),
        )
    },
    "current_time": Variable(("current_time",), "float64", "ms", "time in the first of the repeated trials"),
    "current_neuron": Variable(("current_neuron",), "int64", "1", "neuron whose input is shown"),
    "excitation": Variable(
        ("current_neuron", "current_time"), "float64", "1", "excitatory input over threshold, low-passed"
    ),
    "inhibition": Variable(
        ("current_neuron", "current_time"), "float64", "1", "inhibitory input over threshold, low-passed"
    ),
    "lesion_fraction": Variable(("lesion_fraction",), "float64", "1", "share of the neurons lost"),
    "lesion_correlation": Variable(
        ("lesion_fraction", "draw"), "float64", "1", "correlation of response and target of the neurons that are left"
    ),
    "lesion_worst_decile": Variable(
        ("lesion_fraction", "draw"), "float64", "1", "correlation below which the worst tenth of the neurons left lies"
    ),
    "lesion_share_followed": Variable(
        ("lesion_fraction", "draw"), "float64", "1", "share of the neurons left whose correlation is 0.7 or more"
    ),
    "part": Variable(("part",), "str", "1", "kind of current"),
    "part_time": Variable(("part_time",), "float64", "ms", "time from the end of the cue"),
    "input_part": Variable(
        ("part", "example", "part_time"),
        "float64",
        "1",
        "input in the first test trial: from fixed excitatory synapses with the external one, fixed inhibitory, "
        "plastic synapses, and all together",
    ),
    "group": Variable(("group",), "str", "1", "neurons with a target, and those without"),
    "group_rate_before": Variable(("group",), "float64", "Hz", "mean rate in test trials before training"),
    "group_rate_after": Variable(("group",), "float64", "Hz", "mean rate in test trials after training"),
    **{
        f"group_{name}_{when}": Variable(("group",), "float64", "1", f"{words}, {when} training")
        for when in ("before", "after")
        for name, words in (
            ("first", "absolute correlation of the first principal component with that of the trained neurons"),
            ("second", "absolute correlation of the second principal component with that of the trained neurons"),
            ("share", "share of the variance over time of the trial-averaged drive in the first principal component"),
        )
    },
    "side": Variable(("side",), "str", "1", "population that plastic synapses come from"),
    "plastic_neuron": Variable(("plastic_neuron",), "int64", "1", "neuron with plastic synapses"),
    "weight_sum_before": Variable(("side", "plastic_neuron"), "float64", "1", "sum of its weights before training"),
    "weight_sum_after": Variable(("side", "plastic_neuron"), "float64", "1", "sum of its weights after training"),
    "draw": Variable(("draw",), "int64", "1", "random choice of neurons or synapses"),
    "shuffle_fraction": Variable(
        ("shuffle_fraction",), "float64", "1", "share of recorded-to-recorded synapses shuffled"
    ),
    "shuffle_correlation": Variable(("shuffle_fraction", "draw"), "float64", "1", "correlation of response and target"),
    "shuffle_correlation_phi": Variable(
        ("shuffle_fraction", "draw"), "float64", "1", "correlation of phi(u + I) and target"
    ),
    "deviation_time": Variable(("deviation_time",), "float64", "ms", "time from the end of the cue"),
    "phase_deviation_before": Variable(
        ("deviation_time",), "float64", "rad", "mean phase deviation after one spike was deleted, untrained"
    ),
    "phase_deviation_after": Variable(
        ("deviation_time",), "float64", "rad", "mean phase deviation after one spike was deleted, trained"
    ),
    "eigenvalue": Variable(("eigenvalue",), "int64", "1", "eigenvalue, by falling modulus"),
    "eigenvalue_real_before": Variable(("eigenvalue",), "float64", "1", "real part before training"),
    "eigenvalue_imag_before": Variable(("eigenvalue",), "float64", "1", "imaginary part before training"),
    "eigenvalue_real_after": Variable(("eigenvalue",), "float64", "1", "real part after training"),
    "eigenvalue_imag_after": Variable(("eigenvalue",), "float64", "1", "imaginary part after training"),
    "spectral_radius_before": Variable((), "float64", "1", "spectral radius before training"),
    "spectral_radius_after": Variable((), "float64", "1", "spectral radius after training"),
    "rank": Variable((), "int64", "1", "numerical rank of the targets' rates in quasi-static bins", 0),
    "full_rank": Variable((), "int64", "1", "largest rank they could have: the smaller of N and the number of bins", 0),
    "effective_rank": Variable((), "float64", "1", "participation ratio of the squared singular values"),
    "best_fit_residual": Variable(
        (), "float64", "1", "rms of U - W V for the best weights over the s.d. of the target, mean over neurons"
    ),
    "sign_flips": Variable((), "float64", "1", "share of the weights whose sign is not the initial one"),
    "excluded_share": Variable(("loop",), "float64", "1", "share of the synapses excluded by the sign rule"),
    "preceding_set": Variable(("preceding_set",), "int64", "1", "target set evoked just before"),
    "recall_correlation": Variable(
        ("target_set", "preceding_set"), "float64", "1", "correlation with the cued target set after another one"
    ),
    "recall_confusion": Variable(
        ("target_set", "preceding_set"), "float64", "1", "correlation with the target set evoked before"
    ),
}
"""What the networks of a study hold beside `POINT_RESULTS`; the dims are those of one network."""

SHOWN_DIMENSIONS = frozenset(
    {
        "example", "spike", "trial", "target_time", "time", "update_time", "raster_neuron", "shown_loop", "rate_time",
        "current_time", "current_neuron", "part", "part_time", "plastic_neuron", "side",
    }
)  # fmt: skip
"""Dimensions of `STUDY` that only figures need: networks but the first of a variant, and tables, go without."""
