"""Target functions of a block of neurons (paper, Methods: target functions), sampled at the end of every grid step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpcspike.errors import DataError
from hpcspike.model.connectivity import n_excitatory
from hpcspike.model.own_values import with_numbers
from hpcspike.model.random_streams import stream
from hpcspike.model.recordings import Recording, auxiliary_rates, interpolated
from hpcspike.model.ricciardi import drive_of_rates
from hpcspike.model.subset import TrainedSubset
from hpcspike.model.transfer import rate_of_constant_input
from hpcspike.spec.experiment import Experiment, LifNeuron, n_steps
from hpcspike.spec.targets import (
    ChaoticTargets,
    GeneratedTargets,
    InnateTargets,
    OrnsteinUhlenbeckTargets,
    RecordedTargets,
    SineProductTargets,
    SineTargets,
)


def build_targets(
    experiment: Experiment,
    neurons: range,
    *,
    n_neurons: int,
    duration_ms: float,
    recording: Recording | None = None,
    external: np.ndarray | None = None,
) -> np.ndarray:
    """Targets of ``neurons``, shape (n_sets, len(neurons), n_samples), sample m at time (m + 1) grid_ms.

    Drives are dimensionless; rates are in spikes per tau. Families that are defined as drives become rates by
    phi_1 (paper Eq 13) when the rate is trained. external (len(neurons),): constant input, which is taken off where
    recorded drives, or those of recorded rates, are total inputs.
    """
    family = experiment.targets
    n_samples = n_steps(duration_ms, family.grid_ms)
    times = family.grid_ms * np.arange(1, n_samples + 1)
    key = (experiment.seed, experiment.replicate)
    if not neurons:  # more ranks than neurons
        return np.zeros((family.n_sets, 0, n_samples))
    if isinstance(family, InnateTargets):  # left to `hpcspike.engine.offsets`, since they need a simulation
        return np.zeros((family.n_sets, len(neurons), n_samples))
    if isinstance(family, RecordedTargets):
        assert recording is not None
        return np.stack(
            [
                _recorded(experiment, family, condition, neurons, n_neurons, times, target_set, external)
                for target_set, condition in enumerate(recording.conditions)
            ]
        )
    assert isinstance(family, GeneratedTargets)  # others are tasks of learners: hpcspike.learners.assignment
    owners, place = _owners_of_targets(family, n_neurons, neurons, key)
    sets = []
    for target_set in range(family.n_sets):
        if isinstance(family, ChaoticTargets):
            drive = _chaotic(family, n_neurons, owners, n_samples, target_set, key)
        elif isinstance(family, OrnsteinUhlenbeckTargets):
            drive = ou_paths(
                family.tau_corr_ms, family.standard_deviation, family.grid_ms, n_samples, owners, "targets",
                target_set, key,
            )  # fmt: skip
        elif isinstance(family, SineTargets):
            drive = np.stack([_sine(family, times, stream(*key, "targets", i, target_set)) for i in owners])
        else:
            drive = np.stack([_sine_product(family, times, stream(*key, "targets", i, target_set)) for i in owners])
        sets.append(drive if place is None else drive[place])
    targets = np.stack(sets)
    return rate_of_constant_input(targets) if experiment.training.variable == "rate" else targets


def subset_targets(
    experiment: Experiment,
    neurons: range,
    subset: TrainedSubset,
    external: np.ndarray,
    *,
    n_neurons: int,
    duration_ms: float,
    recording: Recording | None,
) -> np.ndarray:
    """Targets of ``neurons`` where a subset is trained, as `build_targets`; NaN of all others.

    external (len(neurons),): constant input, which is taken off where recorded drives, or those of recorded rates, are
    total inputs.
    """
    family, own = experiment.targets, (subset.neuron >= neurons.start) & (subset.neuron < neurons.stop)
    place = subset.neuron[own] - neurons.start
    result = np.full((family.n_sets, len(neurons), n_steps(duration_ms, family.grid_ms)), np.nan)
    if recording is None:
        made = build_targets(experiment, neurons, n_neurons=n_neurons, duration_ms=duration_ms)
        result[:, place] = made[:, place]
        return result
    assert isinstance(family, RecordedTargets)
    times = family.grid_ms * np.arange(1, result.shape[2] + 1)
    for target_set, condition in enumerate(recording.conditions):
        followed = _followed(experiment, family, condition, times, n_neurons, subset.neuron_of_unit)
        taken_off = external[place, None] if family.holds_total_input else 0.0
        result[target_set, place] = followed[subset.unit[own]] - taken_off
    return result


def _followed(
    experiment: Experiment,
    family: RecordedTargets,
    condition: Recording,
    times: np.ndarray,
    n_neurons: int,
    neuron_of_unit: np.ndarray,
) -> np.ndarray:
    """What recorded units are followed in, (units, samples): as recorded, or the total input that their rates need."""
    values = condition.values
    if family.input_of_rate is not None:
        assert isinstance(experiment.neuron, LifNeuron)
        excitatory = n_excitatory(experiment.connectivity, n_neurons)
        neuron = with_numbers(
            experiment.neuron, "neuron", n_neurons=n_neurons, n_excitatory=excitatory,
            key=(experiment.seed, experiment.replicate),
        )  # fmt: skip
        rates_hz = 1000.0 / neuron.tau_ms * values
        values = drive_of_rates(
            rates_hz, family.input_of_rate, neuron, path=family.path, neurons=neuron_of_unit.tolist()
        )
    return interpolated(replace(condition, values=values), np.asarray(condition.begin_ms + times, dtype=np.float64))


def _owners_of_targets(
    family: GeneratedTargets, n_neurons: int, neurons: range, key: tuple[int, int]
) -> tuple[Sequence[int], np.ndarray | None]:
    """Whose own targets the neurons follow, without repeats, and where each neuron's is among them (None: in turn).

    The order of a random permutation decides who has targets of its own, so that larger fractions contain smaller ones;
    the others share the target of the neuron that comes last.
    """
    if family.random_fraction == 1.0:
        return neurons, None
    order = stream(*key, "shared_targets").permutation(n_neurons)
    owner = np.full(n_neurons, order[-1])
    own = order[: round(family.random_fraction * n_neurons)]
    owner[own] = own
    owners, place = np.unique(owner[neurons.start : neurons.stop], return_inverse=True)
    return owners.tolist(), place


def _sine(family: SineTargets, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    amplitude, phase, period = (rng.uniform(*span) for span in (family.amplitude, family.phase_ms, family.period_ms))
    return amplitude * np.sin(2 * np.pi * (times - phase) / period)


def _sine_product(family: SineProductTargets, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    amplitude = rng.uniform(*family.amplitude)
    slow, fast = rng.uniform(*family.period_ms), rng.uniform(*family.period_fast_ms)
    if family.phases == "one":
        slow_phase = fast_phase = rng.uniform(*family.phase_ms)
    else:
        slow_phase, fast_phase = rng.uniform(0.0, slow), rng.uniform(0.0, fast)
    return amplitude * np.sin(2 * np.pi * (times - slow_phase) / slow) * np.sin(2 * np.pi * (times - fast_phase) / fast)


def ou_paths(
    tau_corr_ms: float,
    standard_deviation: float,
    grid_ms: float,
    n_samples: int,
    neurons: Sequence[int],
    purpose: str,
    target_set: int,
    key: tuple[int, int],
) -> np.ndarray:
    """Stationary Ornstein-Uhlenbeck paths, shape (len(neurons), n_samples), by the exact discrete update.

    x(t + h) = a x(t) + sd sqrt(1 - a^2) xi with a = exp(-h / tau_c); x(0) from the stationary distribution.
    """
    from scipy.signal import lfilter

    a = math.exp(-grid_ms / tau_corr_ms)
    noise = np.stack([stream(*key, purpose, i, target_set).standard_normal(n_samples + 1) for i in neurons])
    noise[:, 1:] *= math.sqrt(1.0 - a * a)
    return standard_deviation * lfilter([1.0], [1.0, -a], noise, axis=1)[:, 1:]


def _chaotic(
    family: ChaoticTargets,
    n_neurons: int,
    neurons: Sequence[int],
    n_samples: int,
    target_set: int,
    key: tuple[int, int],
) -> np.ndarray:
    # the rate network is simulated whole on every rank: its units are coupled, and it is small beside P
    rng = stream(*key, "chaotic_weights", target_set)
    mask = rng.random((n_neurons, n_neurons)) < family.probability
    np.fill_diagonal(mask, False)
    scale = family.gain / math.sqrt(n_neurons * family.probability)
    coupling = np.where(mask, scale * rng.standard_normal((n_neurons, n_neurons)), 0.0)
    if family.zero_row_sum:
        in_degree = np.maximum(mask.sum(axis=1, keepdims=True), 1)
        coupling -= mask * (coupling.sum(axis=1, keepdims=True) / in_degree)
    x = stream(*key, "chaotic_start", target_set).uniform(0.0, 0.2, n_neurons)
    euler_ms = 1.0
    substeps = max(1, round(family.grid_ms / euler_ms))
    h = family.grid_ms / substeps / family.tau_ms
    for _ in range(n_steps(family.transient_ms, family.grid_ms) * substeps):
        x = x + h * (_product(coupling, rate_of_constant_input(x)) - x)
    result = np.empty((n_neurons, n_samples))
    for sample in range(n_samples):
        for _ in range(substeps):
            x = x + h * (_product(coupling, rate_of_constant_input(x)) - x)
        result[:, sample] = x
    return result[np.asarray(neurons)]


def _product(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    # not BLAS, whose order of summation depends on its threads and the machine
    return (matrix * vector).sum(axis=1)


def _recorded(
    experiment: Experiment,
    family: RecordedTargets,
    recording: Recording,
    neurons: range,
    n_neurons: int,
    times: np.ndarray,
    target_set: int,
    external: np.ndarray | None,
) -> np.ndarray:
    """Targets of one condition, (neurons, samples): of the recorded units, and of auxiliary neurons of its own."""
    n_recorded = recording.values.shape[0]
    recorded = range(neurons.start, min(neurons.stop, n_recorded))
    auxiliary = range(max(neurons.start, n_recorded), neurons.stop)
    parts = []
    if len(recorded):
        followed = _followed(experiment, family, recording, times, n_neurons, np.arange(n_recorded))
        taken_off: np.ndarray | float = 0.0
        if family.holds_total_input and external is not None:
            taken_off = external[: len(recorded), None]
        parts.append(followed[recorded.start : recorded.stop] - taken_off)
    if len(auxiliary):
        paths = ou_paths(
            family.auxiliary_tau_corr_ms, family.auxiliary_standard_deviation, family.grid_ms, len(times), auxiliary,
            "auxiliary_targets", target_set, (experiment.seed, experiment.replicate),
        )  # fmt: skip
        if experiment.training.variable == "rate":
            paths = auxiliary_rates(paths, grid_ms=family.grid_ms, tau_syn_ms=experiment.synapse.tau_syn_ms)
        parts.append(paths)
    return np.concatenate(parts)


def duration_of(experiment: Experiment, recording: Recording | None) -> float:
    """Length T of the window in ms: as given, or as much of the recording as whole update intervals fit in."""
    family = experiment.targets
    if family.duration_ms is not None:
        return family.duration_ms
    assert isinstance(family, RecordedTargets)
    assert recording is not None
    interval = experiment.training.update_interval_ms
    length = float(recording.times_ms[-1]) - recording.begin_ms
    if length < interval:
        raise DataError(
            f"{family.path}: the recording lasts {length:g} ms, less than "
            f"training.update_interval_ms = {interval:g} ms; give a longer recording or a shorter interval"
        )
    return math.floor(length / interval + 1e-9) * interval


def n_neurons_of(experiment: Experiment, recording: Recording | None) -> int:
    """Number of neurons N: as given, or as many as the recorded and auxiliary targets need."""
    if recording is None or experiment.training.subset is not None:
        assert experiment.network.n_neurons is not None
        return experiment.network.n_neurons
    assert isinstance(experiment.targets, RecordedTargets)
    return round(recording.values.shape[0] * (1.0 + experiment.targets.auxiliary_ratio))
