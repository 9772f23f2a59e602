"""The variables of test trials of a network of the engine: state they begin from, drive, response, spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hpcspike.engine.output import Output, put
from hpcspike.engine.trained import Response, Trained
from hpcspike.spec.experiment import Neuron
from hpcspike.variables import TESTED_RESULTS, TRAINED, Variable

Evoke = Callable[[int, int], Response]
"""(target set, number of the trial) -> what one trial evoked."""

_STATE_NAMES = {
    "theta": ("theta",),
    "lif": ("v", "refractory"),
    "izhikevich": ("v", "w"),
    "tanh": ("r",),
    "glif": ("v", "refractory", "theta_s", "theta_v", "i_1", "i_2", "i_3"),
}


def variables_of(trained: Trained) -> dict[str, Variable]:
    """The registry, with what depends on the trained variable."""
    rate = trained.training.variable == "rate"
    response = replace(TRAINED["response"], extra={"quantity": "filtered spikes" if rate else "synaptic drive"})
    changed = {"response": response, "target": TRAINED["target"]}
    if rate:
        error = replace(TRAINED["neuron_rms_error"], units="Hz", long_name="rms error of the trial-averaged rate")
        changed = {name: replace(item, units="Hz", long_name=f"{name} rate") for name, item in changed.items()}
        changed["neuron_rms_error"] = error
    tested = {name: replace(variable, dims=("loop",)) for name, variable in TESTED_RESULTS.items()}
    return TRAINED | tested | changed


def scale_of(trained: Trained) -> float:
    """What targets and responses are multiplied by: rates leave in Hz; inside they are spikes per tau (paper)."""
    return 1000.0 / trained.problem.neuron.tau_ms if trained.training.variable == "rate" else 1.0


def write_trials(
    output: Output,
    trained: Trained,
    variables: dict[str, Variable],
    trials: Sequence[int],
    *,
    evoke: Evoke | None = None,
    sets: Sequence[int] | None = None,
    n_samples: int | None = None,
) -> None:
    """State at the begin, drive, response and spikes of test trials; no more than one is held at a time.

    Parameters
    ----------
    output, trained, variables
        What takes them, the network, and `variables_of` it.
    trials
        Numbers of the trials.
    evoke
        What runs one of them; default: `Trained.evoke` as the network was trained.
    sets
        Numbers of the target sets that are cued; default: all.
    n_samples
        Samples that it records; default: those of the trained window.
    """
    problem, world = trained.problem, trained.world
    evoke = evoke or (lambda target_set, trial: trained.evoke(target_set, 1, first_trial=trial))
    sets = range(problem.n_sets) if sets is None else sets
    rate = trained.training.variable == "rate"
    put(output, world, "trial", variables["trial"], np.array(trials))
    _write_starts(output, trained, variables, trials)
    shape = (len(sets), len(trials), problem.n_neurons, n_samples or problem.n_samples)
    for name in ("drive", "response"):
        output.declare(name, variables[name], shape, axis=2, single=2)
    table = []
    for row, target_set in enumerate(sets):
        for place, trial in enumerate(trials):
            evoked = evoke(target_set, trial)
            output.write("drive", evoked.drive[0], at=(row, place))
            response = (evoked.filtered if rate else evoked.drive)[0]
            output.write("response", scale_of(trained) * response, at=(row, place))
            # from the start of the cue to the end of the window
            kept = evoked.spikes[0].step >= -problem.stimulus_steps
            spikes = np.stack([evoked.spikes[0].step[kept], evoked.spikes[0].neuron[kept]], axis=1)
            # the trials of a rank follow those of the rank before: joined, all are in order
            number = row * len(trials) + place
            whole = world.collect(spikes, number * world.size // (len(sets) * len(trials)))
            if whole is not None:
                in_time = np.argsort(whole[:, 0], kind="stable")  # those of a step are in the order of neurons already
                labels = np.broadcast_to(np.array([trial, target_set], dtype=np.int32), (len(whole), 2))
                table.append(np.hstack([whole[in_time], labels]))
    joined = np.concatenate(table) if table else np.zeros((0, 4), dtype=np.int32)
    columns = {
        "spike_time": (joined[:, 0] + 1) * problem.neuron.step_ms,
        "spike_neuron": joined[:, 1],
        "spike_trial": joined[:, 2],
        "spike_set": joined[:, 3],
    }
    for name, part in columns.items():
        put(output, world, name, variables[name], part, axis=0)


def _write_starts(
    output: Output, trained: Trained, variables: dict[str, Variable], trials: Sequence[int]
) -> None:  # fmt: skip
    simulation, starts = trained.copy_simulation(), []
    for trial in trials:
        simulation.start_at_random("test_phase", trial)
        starts.append(simulation.state.astype(np.float64))
    named = {"state_variables": " ".join(_state_names(trained.problem.neuron, starts))}
    variable = replace(variables["initial_state"], extra=named)
    put(output, trained.world, "initial_state", variable, np.stack(starts), axis=2)


def _state_names(neuron: Neuron, starts: list[np.ndarray]) -> list[str]:
    return list(_STATE_NAMES.get(neuron.model, [f"state_{k}" for k in range(len(starts[0]))]))
