"""What a point will cost, said before anything is allocated: seconds of one core and peak memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hpcspike.errors import ResourceError
from hpcspike.model.trial_noise import BLOCK_STEPS
from hpcspike.rls.capacity import best_capacity, padded_width
from hpcspike.runs.facts import facts_of
from hpcspike.spec.connectivity import BalancedConnectivity, DaleConnectivity
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.learner_cost import predict_learner

# Measured on one core of a server CPU (2025, AVX2 BLAS); a prediction is meant to be right within a factor of two.
SECONDS_PER_ROW_UPDATE = 1.0e-7
"""Cost of one neuron's update that does not depend on its in-degree."""
SECONDS_PER_ENTRY = {"textbook": 5.5e-10, "textbook_blas": 5.0e-10, "blocked": 9.0e-11}
"""Cost per entry of P and update in float64, by algorithm."""
SECONDS_PER_COLD_ROW = 1.5e-7
"""Reading the row of P that belongs to an input which has spiked, where all P together are larger than `CACHE_BYTES`.

Measured on 6000 rows of 128 inputs in float32, 8 Hz and 20 ms between updates (17 to 19 inputs of a row spike in
between): 2.6 to 3.5 us for an update, of which 1 us is what the entries of P cost.
"""
CACHE_BYTES = 2.0**25
"""The last cache of a server CPU, about."""
SINGLE_PRECISION_FACTOR = 0.6
"""Cost of float32 over float64."""
SECONDS_PER_DELIVERY = 1.1e-9
"""Adding one spike to one postsynaptic drive (300 to 5000 neurons with 200 to 4000 fixed synapses each)."""
FIRING_RATE_HZ = 8.0
"""Assumed mean rate where nothing better is known."""
SECONDS_PER_POINT = 0.2
"""Building the network, the measures' fixed part and writing."""
SECONDS_TO_START = 2.5
"""Start of a process that trains, every batch: interpreter, libraries, kernels that were compiled before."""
BYTES_PER_SYNAPSE = 60
"""Row-wise and delivery layouts, weights and their copies."""
BYTES_PER_SAMPLE = 88
"""A sample of a neuron's target: the target itself and the working copies of the measures of one trial."""
BYTES_PER_KEPT_SAMPLE = 24
"""A sample of a neuron in every trial that is kept with its time courses (one network, not a point of a sweep)."""
SECONDS_PER_NOISE = {"philox": 5.0e-8, "splitmix": 8.0e-9}
"""Drawing a step of the white noise of one neuron that is new in every trial, by generator."""
SECONDS_PER_OU_NOISE = {"philox": 5.0e-8, "splitmix": 2.6e-8}
"""The same of Ornstein-Uhlenbeck noise, which is filtered in blocks."""
BYTES_OF_TRIAL_NOISE = 3 * 8 * BLOCK_STEPS
"""A neuron's noise that is new in every trial, where it is made in blocks: those that are kept, and the one in work."""
BASE_MIB = 225.0
"""Interpreter, compiled kernels and libraries."""

_MIB = 2.0**20
_CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Cost:
    """Predicted cost of a point on one core."""

    seconds: float
    memory_mib: float


def predict(experiment: Experiment) -> Cost:
    """Seconds of one core and peak memory of training and testing one network.

    With K plastic inputs per neuron (K = p N in random networks), a loop costs
    ``updates * N * c(K) + steps * N * c2``, c(K) as `seconds_of_update` has it, and ``spikes * 2 K_0 * c3`` with K_0
    fixed inputs from each population; the matrices P take ``N K^2`` numbers. Time of updates and size of P are what
    every neuron's own least-squares problem of size K asks for. Other learners have their own costs
    (`hpcspike.sweep.learner_cost`); those of a user are predicted as rls.

    Raises
    ------
    HpcspikeError
        If the network cannot be built, see `hpcspike.runs.facts.facts_of`.
    """
    facts = facts_of(experiment)
    n, duration = facts.n_neurons, facts.duration_ms
    learner = predict_learner(experiment, n)
    if learner is not None:
        return Cost(SECONDS_PER_POINT + learner.seconds, BASE_MIB + learner.memory_mib)
    k, fixed = in_degrees(experiment, n)
    trained = n_trained(experiment, n, facts.n_units)
    training, targets = experiment.training, experiment.targets
    updates = duration / training.update_interval_ms
    trial_steps = (
        experiment.protocol.free_run_ms + experiment.stimulus.duration_ms + duration
    ) / experiment.neuron.step_ms
    update = updates * trained * seconds_of_update(experiment, k, trained)
    # the delivery in seconds_with_delivery is that of plastic synapses
    per_step = experiment.neuron.facts.seconds_with_delivery
    per_step += fixed * SECONDS_PER_DELIVERY * expected_rate_hz(experiment) * experiment.neuron.step_ms / 1000.0
    trial = trial_steps * n * per_step
    shaken = trial_steps * n * seconds_of_noise(experiment)
    shaken_loop = trial_steps * n * seconds_of_noise(experiment, training=True)
    measures = experiment.measures
    tests = targets.n_sets * (measures.n_test_trials + measures.n_clamped_trials)
    if measures.test_every_loops is not None:
        tests += targets.n_sets * measures.n_test_trials * -(-training.n_loops // measures.test_every_loops)
    subset = training.subset
    alone = 0.0 if subset is None or subset.match != "rate" else subset.spontaneous_run_ms / experiment.neuron.step_ms
    seconds = SECONDS_PER_POINT + training.n_loops * targets.n_sets * (update + trial + shaken_loop)
    seconds += tests * (trial + shaken)
    seconds += alone * n * per_step

    synapses = (trained * k + n * fixed) * BYTES_PER_SYNAPSE
    samples = n * duration / targets.grid_ms * targets.n_sets * BYTES_PER_SAMPLE
    shaking = experiment.trial_noise
    noise = n * BYTES_OF_TRIAL_NOISE if shaking.standard_deviation > 0 and shaking.in_blocks else 0
    chances = 4 * experiment.feed_forward.n_neurons * targets.n_sets * duration / experiment.neuron.step_ms
    cue = experiment.stimulus
    paths = 4 * n * targets.n_sets * cue.duration_ms / experiment.neuron.step_ms if cue.noise > 0 else 0
    delays = experiment.synapse.delay_steps(experiment.neuron.step_ms)
    in_flight = 4 * n * (max(delays) + min(delays)) if max(delays) > 1 else 0
    matrices = _matrix_bytes(experiment, trained, k, training.precision_of_matrices)
    needed = matrices + synapses + samples + noise + chances + paths + in_flight
    return Cost(seconds, BASE_MIB + needed / _MIB)


def seconds_of_update(experiment: Experiment, k: float, rows: float) -> float:
    """Seconds of one core for an update of one of ``rows`` neurons on a rank, each with k plastic inputs.

    ``c0 + c1 K^2``, and of the blocked engine ``c4 K (1 - exp(-rate * interval))`` where P comes from memory: a row of
    P for every input that has spiked since the last update, for all K of units without spikes.
    """
    training = experiment.training
    single = training.precision_of_matrices == "float32"
    per_entry = SECONDS_PER_ENTRY[training.algorithm] * (SINGLE_PRECISION_FACTOR if single else 1.0)
    cold = 0.0
    if training.algorithm == "blocked" and rows * k * k * (4 if single else 8) > CACHE_BYTES:
        silent = math.exp(-expected_rate_hz(experiment) * training.update_interval_ms / 1000.0)
        cold = SECONDS_PER_COLD_ROW * k * (1.0 - silent if experiment.neuron.facts.spikes else 1.0)
    return SECONDS_PER_ROW_UPDATE + per_entry * k * k + cold


def seconds_of_noise(experiment: Experiment, *, training: bool = False) -> float:
    """Seconds of one core for the noise that is new in every trial, per neuron and step of a test or training trial."""
    noise = experiment.trial_noise
    there = noise.standard_deviation > 0 and (not training or noise.phase == "training_and_test")
    seconds = SECONDS_PER_OU_NOISE if noise.tau_corr_ms else SECONDS_PER_NOISE
    return seconds[noise.generator] if there else 0.0


def expected_rate_hz(experiment: Experiment) -> float:
    """Mean rate of all neurons in Hz, as far as it is known before anything runs.

    In a balanced network the inputs of each population cancel (van Vreeswijk & Sompolinsky 1996): with K fixed synapses
    J_ab from each population, external inputs I_a and rates r_a in spikes per tau, K sum_b J_ab r_b + I_a = 0. Where
    that has no positive solution, and in other networks, it is `FIRING_RATE_HZ`.
    """
    connectivity, neuron = experiment.connectivity, experiment.neuron
    if not isinstance(connectivity, BalancedConnectivity):
        return FIRING_RATE_HZ
    k, tau_seconds = connectivity.static_in_degree, neuron.tau_ms / 1000.0
    ee, ei, ie, ii = (k * getattr(connectivity, f"static_{pair}") for pair in ("ee", "ei", "ie", "ii"))
    onto_e, onto_i = connectivity.input_excitatory, connectivity.input_inhibitory
    determinant = ee * ii - ei * ie
    if determinant <= 0.0:  # no balance, or an unstable one
        return FIRING_RATE_HZ
    excitatory, inhibitory = (ei * onto_i - ii * onto_e) / determinant, (ie * onto_e - ee * onto_i) / determinant
    if min(excitatory, inhibitory) <= 0.0:
        return FIRING_RATE_HZ
    share = connectivity.excitatory_fraction
    mean = (share * excitatory + (1.0 - share) * inhibitory) / tau_seconds
    return min(mean, 1000.0 / neuron.step_ms)  # not more than a spike a step


def transfer_to_measure(experiment: Experiment) -> tuple[int, float]:
    """Curves that `training.transfer: measured` has to measure before training, and the seconds of one core for them.

    None of those that were measured before on this machine.
    """
    if experiment.training.transfer != "measured":
        return 0, 0.0
    from hpcspike.model.measured_transfer import COPIES, COUNTED_MS, POINTS, WARM_UP_MS, is_known
    from hpcspike.model.rate_law import bias_of, kinds_of

    neuron, noise = experiment.neuron, experiment.trial_noise
    examples = kinds_of(neuron, facts_of(experiment).n_neurons, noise)[0]
    new = sum(not is_known(neuron, noise.of_neuron(index), index, bias_of(neuron)) for index in examples)
    steps = (WARM_UP_MS + COUNTED_MS) / neuron.step_ms
    return new, new * POINTS * COPIES * steps * neuron.facts.seconds_per_step


def n_trained(experiment: Experiment, n: int, n_units: int) -> int:
    """How many of n neurons are trained; n_units: recorded units that are followed."""
    subset = experiment.training.subset
    return n if subset is None else subset.n_trained or n_units


def matrices_mib(experiment: Experiment, precision: str) -> float:
    """Predicted MiB of all matrices P in a precision, ``float64`` or ``float32``, whatever the experiment asks for."""
    facts = facts_of(experiment)
    trained = n_trained(experiment, facts.n_neurons, facts.n_units)
    return _matrix_bytes(experiment, trained, in_degrees(experiment, facts.n_neurons)[0], precision) / _MIB


def _matrix_bytes(experiment: Experiment, n: int, k: float, precision: str) -> float:
    """Bytes of all matrices P, with the padding and the kept vectors of the blocked engine."""
    size = 4 if precision == "float32" else 8
    even = isinstance(experiment.connectivity, BalancedConnectivity | DaleConnectivity)
    variance = 0.0 if even else k * (1.0 - k / n)
    squares = k * k + variance  # the mean square of a binomial in-degree
    if experiment.training.algorithm != "blocked":
        return n * squares * size
    width = padded_width(k, size)
    return n * (squares - k * k + width * width + best_capacity(k) * width) * size


def in_degrees(experiment: Experiment, n: int) -> tuple[float, float]:
    """Plastic and fixed synapses of a neuron in a network of ``n``, on average."""
    connectivity, fed = experiment.connectivity, experiment.feed_forward.n_inputs(experiment.targets.n_sets)
    if isinstance(connectivity, BalancedConnectivity):
        return 2.0 * connectivity.plastic_in_degree + fed, 2.0 * connectivity.static_in_degree
    if isinstance(connectivity, DaleConnectivity):
        return float(sum(connectivity.in_degrees(n)) + fed), 0.0
    return connectivity.probability * (n - 1) + fed, 0.0


def time_courses_mib(experiment: Experiment) -> float:
    """MiB of the test trials of one network whose Dataset is held in memory, and not written trial by trial (zarr)."""
    from hpcspike.runs.run import RECORDED_TRIALS

    facts, targets = facts_of(experiment), experiment.targets
    samples = facts.duration_ms / targets.grid_ms * targets.n_sets
    trials = min(experiment.measures.n_test_trials, RECORDED_TRIALS)
    return facts.n_neurons * samples * trials * BYTES_PER_KEPT_SAMPLE / _MIB


def check_memory(experiment: Experiment, *, available_mib: float | None = None, keeps_trials: bool = False) -> None:
    """Refuse an experiment that cannot fit, before it allocates anything.

    Parameters
    ----------
    experiment
        What is to be trained.
    available_mib
        Memory it may use, MiB; default: what this machine (or this job's control group) has free now.
    keeps_trials
        Whether the time courses of its test trials are held in memory, too.

    Raises
    ------
    ResourceError
        Naming N, the predicted and the available memory.
    """
    available = available_memory_mib() if available_mib is None else available_mib
    needed = predict(experiment).memory_mib
    kept = time_courses_mib(experiment) if keeps_trials else 0.0
    if needed <= available < needed + kept:
        raise ResourceError(
            f"measures.n_test_trials = {experiment.measures.n_test_trials}: the time courses of test trials need about "
            f"{shown_mib(kept)} of memory beside the {shown_mib(needed)} of the network, but {shown_mib(available)} "
            "are available; choose fewer trials, or write a zarr store ('hpcspike train --out PATH.zarr'), which takes "
            "them one by one"
        )
    if needed > available:
        n = facts_of(experiment).n_neurons
        if experiment.learner.kind != "rls":
            raise ResourceError(
                f"network.n_neurons = {n:,} needs about {shown_mib(needed)} of memory with learner.kind = "
                f"{experiment.learner.kind}, but {shown_mib(available)} are available; choose fewer neurons, a shorter "
                "targets.duration_ms or, of a learner with batches, a smaller learner.batch"
            )
        k = max(1, round(in_degrees(experiment, n)[0]))
        raise ResourceError(
            f"network.n_neurons = {n:,} needs about {shown_mib(needed)} of memory ({n:,} matrices P of {k:,} x {k:,} "
            f"{experiment.training.precision_of_matrices}), but {shown_mib(available)} are available; choose fewer "
            "neurons, fewer plastic synapses or training.dtype: float32 (training.matrix_dtype: float32 for P alone)"
        )


def available_memory_mib() -> float:
    """Memory a new process can use, MiB: what is free, or less where a control group sets a limit."""
    import psutil

    free = psutil.virtual_memory().available / _MIB
    try:
        limit = float((_CONTROL_GROUP / "memory.max").read_text())
        used = float((_CONTROL_GROUP / "memory.current").read_text())
        pages = dict(line.split() for line in (_CONTROL_GROUP / "memory.stat").read_text().splitlines())
        # pages of files that were read are given back when memory runs short, as `free` has it of the machine
        used -= float(pages.get("inactive_file", 0))
    except (OSError, ValueError):  # no control groups here, or no limit ("max")
        return free
    return min(free, max(limit - used, 0.0) / _MIB)


def shown_mib(mib: float) -> str:
    """Memory in words, for example ``720 MiB`` or ``13.4 GiB``."""
    if mib < 1024:
        return f"{mib:.0f} MiB"
    value, unit = (mib / 1024, "GiB") if mib < 2**20 else (mib / 2**20, "TiB")
    return f"{value:,.1f} {unit}"


def shown_seconds(seconds: float) -> str:
    """A duration in words, for example ``40 s``, ``12 min`` or ``31 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
