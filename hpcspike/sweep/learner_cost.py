"""What a point costs that another learner than rls takes: seconds of one core and MiB beside the bare program."""

from __future__ import annotations

from dataclasses import dataclass

from hpcspike.spec.experiment import Experiment
from hpcspike.spec.learners import AlemiLearner, BalancedNetwork, BourdoukanLearner, GradientLearner
from hpcspike.spec.targets import DelayedXorTargets, DrivenTargets, StoreRecallTargets
from hpcspike.spec.task_targets import AutoencoderTargets, DigitsTargets, FunctionsTargets, NavigationTargets

# Measured on one core of a server CPU (2025); a prediction is meant to be right within a factor of two.
SECONDS_PER_STEP = 1.0e-7
"""Efficient balanced networks: what a step costs whatever the size."""
SECONDS_PER_NEURON = {"trace": 4.0e-9, "tanh": 1.4e-8}
"""Per neuron and step, by basis; spikes included."""
SECONDS_PER_STATE = {"alone": 6.0e-10, "slow": 9.0e-10}
"""Per neuron, component of the state and step: running alone, and with the slow rule."""
SECONDS_PER_NOISE = 9.0e-9
"""Per neuron and step, where voltages are noisy."""
SECONDS_PER_SAMPLE = 1.0e-5
"""Per sample of a driven system's trial; commands that lead too far are drawn again."""

SECONDS_TO_COMPILE = 6.5
"""Gradient learners: compiling the step of descent and the run on its own."""
SECONDS_PER_BATCH_STEP = 5.0e-6
"""Per step of simulated time, there and back, whatever the size."""
SECONDS_PER_INPUT = 1.0e-8
"""Per input, trial of the batch and step: drawing it."""
SECONDS_PER_ACTION = 2.5e-4
"""Per sample of a batch of trials in which networks move: small steps of the arena, there and back."""

JAX_MIB = 205.0
"""JAX and what it compiled."""

STORE_RECALL = (100, 2)
"""Inputs and outputs of store and recall."""

DELAYED_XOR = (2, 3)
"""Inputs and outputs of delayed XOR."""

FUNCTIONS = (3, 1)
"""Inputs and outputs of learning functions."""

N_DIGITS = 10
"""Outputs for digits."""

_MIB = 2.0**20


@dataclass(frozen=True)
class LearnerCost:
    """Seconds of training and tests on one core, and MiB beside those of the bare program."""

    seconds: float
    memory_mib: float


def predict_learner(experiment: Experiment, n: int) -> LearnerCost | None:
    """Cost of a learner in a network of n neurons; None for rls and for learners of a user's own."""
    section = experiment.learner
    if isinstance(section, BalancedNetwork):
        return _balanced(experiment, section, n)
    if isinstance(section, GradientLearner):
        return _gradient(experiment, section, n)
    return None


def n_states(experiment: Experiment) -> int:
    """Components of the state: of the driven system, or of the rotations that stand for trajectories."""
    targets, section = experiment.targets, experiment.learner
    if isinstance(targets, DrivenTargets):
        if targets.system == "linear":
            return targets.n_states or len(targets.matrix or ())
        return 1 if targets.system == "bistable" else 2
    from hpcspike.learners.embedding import n_rotations

    assert targets.duration_ms is not None
    assert isinstance(section, BalancedNetwork)
    return 2 * n_rotations(targets.duration_ms, section.bandwidth_hz)


def _balanced(experiment: Experiment, section: BalancedNetwork, n: int) -> LearnerCost:
    targets, states = experiment.targets, n_states(experiment)
    assert targets.duration_ms is not None
    basis = section.basis if isinstance(section, AlemiLearner) else "trace"

    def step(what: str) -> float:
        noise = SECONDS_PER_NOISE if section.voltage_noise > 0 else 0.0
        return SECONDS_PER_STEP + n * (SECONDS_PER_NEURON[basis] + noise + states * SECONDS_PER_STATE[what])

    driven, step_ms = isinstance(targets, DrivenTargets), section.step(n, targets.grid_ms)
    trial = targets.duration_ms + (0.0 if driven else experiment.stimulus.duration_ms)
    drawing = SECONDS_PER_SAMPLE * targets.duration_ms / targets.grid_ms if driven else 0.0
    steps = trial / step_ms
    seconds = section.passes * (steps * step("slow") + drawing)
    seconds += experiment.measures.n_test_trials * (steps * step("alone") + drawing)
    if isinstance(section, BourdoukanLearner):
        seconds += section.fast_passes * section.fast_pass_ms / step_ms * step("alone")
    noise = n * steps if section.voltage_noise > 0 else 0.0
    numbers = 4 * n * n + noise + 8 * states * steps + _answers(experiment, states if driven else n)
    return LearnerCost(seconds, 8.0 * numbers / _MIB)


def _gradient(experiment: Experiment, section: GradientLearner, n: int) -> LearnerCost:
    targets = experiment.targets
    assert targets.duration_ms is not None
    inputs, outputs = _channels(experiment, section, n)
    steps = (targets.duration_ms + experiment.stimulus.duration_ms) / section.step_ms
    cells = section.batch * n
    per_step = (
        SECONDS_PER_BATCH_STEP
        + cells * section.cost.seconds_per_cell
        + cells * (inputs + n + outputs) * section.cost.seconds_per_product
        + section.batch * inputs * SECONDS_PER_INPUT
    )
    per_batch = steps * per_step
    if isinstance(targets, NavigationTargets):
        per_batch += SECONDS_PER_ACTION * targets.duration_ms / targets.grid_ms
    seconds = SECONDS_TO_COMPILE + section.passes * section.steps_per_pass * per_batch
    numbers = steps * section.batch * (inputs + 8 * outputs) + _answers(experiment, outputs)
    return LearnerCost(seconds, JAX_MIB + (steps * cells * section.cost.bytes_per_cell + 8.0 * numbers) / _MIB)


def _channels(experiment: Experiment, section: GradientLearner, n: int) -> tuple[int, int]:
    """Inputs and outputs of the task."""
    if isinstance(experiment.targets, DrivenTargets):
        states = n_states(experiment)
        return states, states
    if isinstance(experiment.targets, StoreRecallTargets):
        return STORE_RECALL
    if isinstance(experiment.targets, DelayedXorTargets):
        return DELAYED_XOR
    if isinstance(experiment.targets, DigitsTargets):
        return 2 * experiment.targets.n_levels + 1, N_DIGITS
    if isinstance(experiment.targets, AutoencoderTargets):
        return experiment.targets.n_channels, experiment.targets.n_channels
    if isinstance(experiment.targets, FunctionsTargets):
        return FUNCTIONS
    if isinstance(experiment.targets, NavigationTargets):
        return 2 * experiment.targets.n_fields**2, 2
    return 1, n if section.variable == "drive" else section.n_readouts or n


def _answers(experiment: Experiment, outputs: int) -> float:
    """Numbers in the targets, and in the answers of all test trials with the working copies of their measures."""
    assert experiment.targets.duration_ms is not None
    return (
        (3 + 4 * experiment.measures.n_test_trials)
        * outputs
        * experiment.targets.duration_ms
        / experiment.targets.grid_ms
    )
