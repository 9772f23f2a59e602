"""One experiment from its specification to a Dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.engine.point import train_and_judge
from hpcspike.engine.trained import Response, Trained
from hpcspike.measures.evaluate import Evaluation
from hpcspike.model.build import recording_of
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.identity import experiment_hash
from hpcspike.variables import POINT_RESULTS, TRAINED, Variable

if TYPE_CHECKING:
    import xarray

    from hpcspike.engine.training import OnLoop

RECORDED_TRIALS = 20
"""At most this many test trials are kept with all their time courses."""


def run(
    experiment: Experiment, *, threads: int = 1, progress: bool = False, on_loop: OnLoop | None = None
) -> xarray.Dataset:
    """Train one network and return everything about it.

    Parameters
    ----------
    experiment
        Validated experiment, as `hpcspike.load` gives it.
    threads
        Threads over neurons; the numbers do not depend on it.
    progress
        Show a progress bar.
    on_loop
        Called after every training loop with its number and its row of the learning curve.

    Returns
    -------
    xarray.Dataset
        Targets, drives, responses (drive, or filtered spikes in Hz for rate training), spikes, weights, learning
        curve and measures, every variable with its unit; the experiment is in the attributes as JSON.
    """
    trained, evaluation = train_and_judge(experiment, threads=threads, progress=progress, on_loop=on_loop)
    return describe(experiment, trained, evaluation)


def describe(experiment: Experiment, trained: Trained, evaluation: Evaluation) -> xarray.Dataset:
    """The Dataset of a trained network; see `run`."""
    import xarray

    problem = trained.problem
    columns: dict[str, Any] = {
        "neuron": np.arange(problem.n_neurons),
        "time": problem.grid_ms * np.arange(1, problem.n_samples + 1),
        "target_set": np.arange(problem.n_sets),
        "loop": np.arange(len(trained.curve["correlation"])),
        "weight": trained.simulation.weight,
        "weight_initial": problem.plastic.weight,
        "presynaptic": problem.plastic.presynaptic,
        "row_start": problem.plastic.start,
        "stimulus": problem.stimuli,
        "neuron_correlation": evaluation.correlation,
        **{f"curve_{name}": values for name, values in trained.curve.items()},
    }
    recording = recording_of(experiment)
    if recording is not None:
        columns["recorded"] = np.arange(problem.n_neurons) < len(recording.values)
    rate = experiment.training.variable == "rate"
    # rates leave in Hz; inside they are spikes per tau (paper: phi has no tau in it)
    scale = 1000.0 / problem.neuron.tau_ms if rate else 1.0
    columns["target"] = scale * problem.targets
    if trained.diverged_loop < 0:
        columns |= _responses(trained, min(experiment.measures.n_test_trials, RECORDED_TRIALS), rate, scale)
    data = {name: _entry(TRAINED[name], TRAINED[name].dims, values) for name, values in columns.items()}
    data |= {name: _entry(POINT_RESULTS[name], (), value) for name, value in evaluation.scalars.items()}
    coordinates = [n for n in ("neuron", "time", "trial", "target_set", "loop", "recorded") if n in data]
    dataset = xarray.Dataset(data).set_coords(coordinates)
    for name in ("target", "response"):
        if rate and name in dataset:
            dataset[name].attrs.update(units="Hz", long_name=f"{name} rate")
    if "response" in dataset:
        dataset["response"].attrs["quantity"] = "filtered spikes" if rate else "synaptic drive"
    dataset.attrs.update(
        name=experiment.name, trained_variable=experiment.training.variable,
        experiment=json.dumps(experiment.model_dump(mode="json")), experiment_hash=experiment_hash(experiment),
    )  # fmt: skip
    return dataset


def _entry(
    variable: Variable, dims: tuple[str, ...], values: Any
) -> tuple[tuple[str, ...], np.ndarray, dict[str, Any]]:
    return dims, np.asarray(values, dtype=variable.dtype), dict(variable.attrs)


def _responses(trained: Trained, trials: int, rate: bool, scale: float) -> dict[str, Any]:
    problem = trained.problem
    evoked = [trained.evoke(target_set, trials) for target_set in range(problem.n_sets)]
    result: dict[str, Any] = {
        "trial": np.arange(trials),
        "drive": np.stack([response.drive for response in evoked]),
        "response": scale * np.stack([response.filtered if rate else response.drive for response in evoked]),
    }
    return result | _spike_columns(evoked, problem.neuron.step_ms, problem.stimulus_steps)


def _spike_columns(evoked: list[Response], step_ms: float, cue_steps: int) -> dict[str, np.ndarray]:
    """Spikes from the start of the cue to the end of the window, set by set and trial by trial."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("time", "neuron", "trial", "set")}
    for target_set, response in enumerate(evoked):
        for trial, spikes in enumerate(response.spikes):
            kept = spikes.step >= -cue_steps
            parts["time"].append((spikes.step[kept] + 1) * step_ms)
            parts["neuron"].append(spikes.neuron[kept])
            parts["trial"].append(np.full(int(kept.sum()), trial, dtype=np.int32))
            parts["set"].append(np.full(int(kept.sum()), target_set, dtype=np.int32))
    return {f"spike_{name}": np.concatenate(columns) for name, columns in parts.items()}
