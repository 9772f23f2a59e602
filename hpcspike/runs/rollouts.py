"""The variables of a network that another learner than rls trained: test trials, readouts, weights of every group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.output import Output, put
from hpcspike.learners.interface import Learner, Rollout
from hpcspike.learners.trials import Task, Trial, carrier_dimension
from hpcspike.variables import LEARNED, TRAINED, WEIGHTS, Variable

_CURVE = {
    "score": "curve_score", "correlation": "curve_correlation", "rate": "curve_rate", "seconds": "curve_seconds",
}  # fmt: skip


STATE = "state_"
"""Before the names of the arrays of `hpcspike.learners.interface.Learner.state` in a Dataset."""


def write_rollouts(output: Output, learner: Learner, correlation: np.ndarray, *, n_neurons: int, trials: int) -> None:
    """Give every variable of a trained network to an output, with all that it takes to go on with it.

    correlation (sets, d): per component of the target. What carries the target is the dimension ``neuron`` where it is
    every neuron's own, else ``output``. Where every trial has a target of its own, target has the dimension ``trial``.
    """
    world, task = World(), learner.task
    carrier = carrier_dimension(task, n_neurons)

    def give(name: str, variable: Variable, values: Any) -> None:
        put(output, world, name, variable, values)

    asked = [task.sample("test", index) for index in range(trials)]
    rollouts = [] if learner.diverged() else [learner.rollout(one.stimulus) for one in asked]
    give("loop", TRAINED["loop"], np.arange(len(learner.history)))
    for name, column in learner.curve().items():
        give(_CURVE[name], {**TRAINED, **LEARNED}[_CURVE[name]], column)
    write_tests(output, task, asked, rollouts, n_neurons=n_neurons)
    give("neuron_correlation", replace(TRAINED["neuron_correlation"], dims=("target_set", carrier)), correlation)
    for name, values in learner.weights().items():
        give(f"weights_{name}", _group(name, values), values)
    _write_state(give, learner)


def write_tests(
    output: Output, task: Task, asked: list[Trial], rollouts: list[Rollout], *, n_neurons: int, first_trial: int = 0
) -> None:
    """Targets, and what a network did in test trials; rollouts: of these trials, none if it diverged."""
    carrier = carrier_dimension(task, n_neurons)

    def give(name: str, variable: Variable, values: Any) -> None:
        put(output, World(), name, variable, values)

    numbers = np.arange(first_trial, first_trial + len(asked))
    give("neuron", TRAINED["neuron"], np.arange(n_neurons))
    if carrier == "output":
        give("output", LEARNED["output"], np.arange(task.n_outputs))
    give("time", TRAINED["time"], task.grid_ms * np.arange(1, task.n_samples + 1))
    give("target_set", TRAINED["target_set"], np.arange(1))
    if task.n_trials == 1:
        target, dims = asked[0].target.T[None], ("target_set", carrier, "time")
    else:
        target, dims = np.stack([one.target.T for one in asked]), ("trial", carrier, "time")
    if rollouts or task.n_trials != 1:
        give("trial", TRAINED["trial"], numbers)
    give("target", replace(TRAINED["target"], dims=dims), target)
    if rollouts:
        _write_responses(give, rollouts, carrier, numbers)


def _write_responses(give: Any, rollouts: list[Rollout], carrier: str, numbers: np.ndarray) -> None:
    response = replace(
        TRAINED["response"], dims=("target_set", "trial", carrier, "time"),
        extra={"quantity": "synaptic drive" if carrier == "neuron" else "readout"},
    )  # fmt: skip
    give("response", response, np.stack([one.prediction.T for one in rollouts])[None])
    starts = [one.start for one in rollouts if one.start is not None]
    if starts:
        start = replace(TRAINED["initial_state"], extra={"state_variables": "v"})
        give("initial_state", start, np.stack(starts)[:, None])
    drives = [one.drive for one in rollouts if one.drive is not None]
    if drives:
        give("drive", TRAINED["drive"], np.stack([drive.T for drive in drives])[None])
    trial = np.repeat(numbers, [len(one.spike_neuron) for one in rollouts])
    columns = {
        "spike_time": np.concatenate([one.spike_time_ms for one in rollouts]),
        "spike_neuron": np.concatenate([one.spike_neuron for one in rollouts]),
        "spike_trial": trial,
        "spike_set": np.zeros_like(trial),
    }
    for name, values in columns.items():
        give(name, TRAINED[name], values)


def _write_state(give: Any, learner: Learner) -> None:
    """The state of training, of which weights are a part, in the types it has; and what is known of every pass."""
    for name in ("score_helped", "score_alone", "simulated_seconds"):
        give(f"pass_{name}", LEARNED[f"pass_{name}"], learner.history[name])
    state = {name: np.asarray(values) for name, values in learner.state().items()}
    if any(values.dtype.kind not in "biuf" for values in state.values()):
        return  # of a user's own learner: all else is worth to be written
    for name, values in state.items():
        dims = tuple(f"{STATE}{name}_axis_{axis}" for axis in range(values.ndim))
        give(STATE + name, Variable(dims, values.dtype.name, "1", f"{name} of the state of training"), values)


def _group(name: str, values: np.ndarray) -> Variable:
    """The entry of a group of weights; of a learner of the user's own its axes have no better names than numbers."""
    known = WEIGHTS.get(name)
    if known is not None and len(known.dims) == values.ndim:
        return known
    dims = tuple(f"{name}_axis_{axis}" for axis in range(values.ndim))
    return Variable(dims, "float64", "1", f"weights of the group {name}")
