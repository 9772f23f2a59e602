"""Test trials of a network of recursive least squares under the conditions that are asked for."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.checks import number, shown, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.communication import World
from hpcspike.engine.output import DatasetOutput, put
from hpcspike.engine.trained import Response, Trained
from hpcspike.engine.trial import Conditions, Event
from hpcspike.errors import SpecError
from hpcspike.learners.interface import refuse_absent_spike
from hpcspike.live.asked import Asked
from hpcspike.live.inputs import Span, clamp_on_steps, stimulus_on_steps
from hpcspike.measures.altered import with_problem
from hpcspike.measures.lesion import without_neurons
from hpcspike.model.problem import Problem
from hpcspike.runs.trials import scale_of, variables_of, write_trials
from hpcspike.spec.experiment import TrialNoise, is_multiple
from hpcspike.variables import POINT_RESULTS

if TYPE_CHECKING:
    from hpcspike.live.engine_network import EngineNetwork

_COORDINATES = ("neuron", "time", "trial", "target_set")


def run_tests(network: EngineNetwork, asked: Asked) -> xr.Dataset:
    """See `hpcspike.live.network.Network.test`."""
    trained, problem = network.trained, network.trained.problem
    if asked.target_set is not None:
        trained.check_set("target_set", asked.target_set)
    n_samples = problem.n_samples + trained.check_beyond(asked.beyond_ms)
    changed = _noisy(problem, asked.noise)
    if asked.seed is not None:
        changed = copy.copy(changed)
        changed.seed = asked.seed
    if changed is not problem:
        trained = dataclasses.replace(with_problem(trained, changed), rls=trained.rls)
    silent = held = None
    if asked.silence is not None:
        silent = np.zeros(network.n_neurons, dtype=bool)
        silent[network.chosen(asked.silence, name="silence")] = True
        trained = without_neurons(trained, np.flatnonzero(silent), removed="outgoing")
    conditions, held = _conditions(network, asked, silent, n_samples)
    sets = range(problem.n_sets) if asked.target_set is None else (asked.target_set,)

    def evoke(which: int, trial: int) -> Response:
        return _evoke(trained, which, trial, asked.beyond_ms, conditions, asked.delete_spike)

    output = DatasetOutput(World())
    _write_frame(network.trained, output, sets, n_samples)
    write_trials(output, trained, variables_of(trained), asked.numbers, evoke=evoke, sets=sets, n_samples=n_samples)
    output.finish(network.identity() | asked.attributes(), _COORDINATES)
    assert output.dataset is not None
    return _judged(network, output.dataset, silent=silent, held=held)


def _conditions(
    network: EngineNetwork, asked: Asked, silent: np.ndarray | None, n_samples: int
) -> tuple[Conditions, np.ndarray | None]:
    problem = network.trained.problem
    span = Span.of(problem, n_samples)
    cue = external = drives = held = None
    if asked.stimulus is not None:
        cue, external = stimulus_on_steps(asked.stimulus, span)
    if asked.clamp is not None:
        targets = None
        if network.experiment.training.variable == "drive" and problem.n_sets == 1 and problem.has_target.all():
            targets = np.repeat(problem.targets[0], problem.steps_per_sample, axis=1)
        drives, who = clamp_on_steps(asked.clamp, lambda one: network.chosen(one, name="clamp"), span, targets)
        held = np.zeros(network.n_neurons, dtype=bool)
        held[who] = True
    added = () if asked.add_spike is None else _event(network, asked.add_spike, span)
    return Conditions(cue=cue, external=external, clamp=drives, silent=silent, added=added), held


def _event(network: EngineNetwork, add_spike: Any, span: Span) -> tuple[Event, ...]:
    try:
        who, time_ms = add_spike
    except (TypeError, ValueError):
        raise SpecError(f"add_spike = {shown(add_spike)}: must be a neuron and a time in ms, as (17, 50.0)") from None
    neurons, time = network.chosen(who, name="add_spike"), number("add_spike", time_ms, unit="ms")
    first, last = span.step_ms * (1 - span.cue), span.step_ms * span.after
    if not is_multiple(time - first, span.step_ms) or not first <= time <= last:
        raise SpecError(
            f"add_spike at {time:g} ms: must be a multiple of the step of {span.step_ms:g} ms, from {first:g} "
            f"to {last:g} ms after the end of the cue"
        )
    if network.trained.simulation.graded:
        raise SpecError("add_spike: units of neuron.model = tanh do not spike")
    return tuple((round(time / span.step_ms), int(neuron)) for neuron in neurons)


def _write_frame(trained: Trained, output: DatasetOutput, sets: Sequence[int], n_samples: int) -> None:
    """Coordinates, targets and cues of test trials."""
    problem, world, variables = trained.problem, World(), variables_of(trained)
    targets = np.full((len(sets), problem.n_rows, n_samples), np.nan)
    targets[:, :, : problem.n_samples] = scale_of(trained) * problem.targets[list(sets)]
    for name, values in {
        "neuron": np.arange(problem.n_neurons),
        "time": problem.grid_ms * np.arange(1, n_samples + 1),
        "target_set": np.array(sets),
        "target": targets,
        "stimulus": problem.stimuli[list(sets)],
    }.items():
        put(output, world, name, variables[name], values)


def _judged(
    network: EngineNetwork, found: xr.Dataset, *, silent: np.ndarray | None, held: np.ndarray | None
) -> xr.Dataset:
    """With correlations and rates over the trained window, and the labels of the neurons."""
    problem = network.trained.problem
    within, n = slice(0, problem.n_samples), problem.n_neurons
    sets = found["target_set"].values
    correlation = np.stack(
        [
            pearson(found["response"].values[row][..., within], problem.targets[which]).mean(axis=0)
            for row, which in enumerate(sets)
        ]
    )
    window = found["spike_time"].values
    inside = (window > 0) & (window <= problem.duration_ms + 1e-9)
    rates = np.empty_like(correlation)
    for row, which in enumerate(sets):
        of_set = inside & (found["spike_set"].values == which)
        counts = np.bincount(found["spike_neuron"].values[of_set], minlength=n)
        rates[row] = counts * (1000.0 / problem.duration_ms / found.sizes["trial"])
    if network.trained.simulation.graded:
        rates[:] = np.nan
    judged = problem.has_target[list(sets)].copy()
    for left_out in (silent, held):
        if left_out is not None:
            judged[:, left_out] = False
    variables, named = variables_of(network.trained), ("target_set", "neuron")
    over = {"over": f"{int(judged.sum(axis=1).max())} of {n} neurons, single test trials, plasticity off"}
    mean = float(correlation[judged].mean()) if judged.any() else math.nan
    found = found.assign(
        neuron_correlation=(named, correlation, variables["neuron_correlation"].attrs),
        neuron_rate=(named, rates, variables["neuron_rate"].attrs),
        correlation=((), mean, POINT_RESULTS["correlation"].attrs | over),
        population_rate=((), float(rates.mean()), POINT_RESULTS["population_rate"].attrs),
    )
    for name, mask in (("silenced", silent), ("clamped", held)):
        if mask is not None:
            found = found.assign_coords({name: ("neuron", mask, {"units": "1", "long_name": f"neuron is {name}"})})
    found = found.assign_coords(network.named_conditions(sets.tolist()))
    return found.assign_coords(network.labels)


def _evoke(
    trained: Trained, target_set: int, trial: int, beyond_ms: float, conditions: Conditions, delete_spike: int | None
) -> Response:
    """One test trial; a spike that is to be deleted is looked for in the same trial with it."""

    def run(asked: Conditions) -> Response:
        return trained.evoke(target_set, 1, first_trial=trial, beyond_ms=beyond_ms, conditions=asked)

    if delete_spike is None:
        return run(conditions)
    spikes = run(conditions).spikes[0]
    last = trained.problem.n_samples * trained.problem.steps_per_sample
    inside = np.flatnonzero((spikes.step >= 0) & (spikes.step < last))
    refuse_absent_spike(whole_number("delete_spike", delete_spike), len(inside))
    at = inside[np.argsort(spikes.step[inside], kind="stable")][delete_spike]
    event = (int(spikes.step[at]) + 1, int(spikes.neuron[at]))
    return run(dataclasses.replace(conditions, deleted=[event]))


def _noisy(problem: Problem, noise: float | Mapping[str, float]) -> Problem:
    """The problem with noise of its own in every trial; unchanged if it is 0."""
    if isinstance(noise, Mapping):
        given = dict(noise)
    else:
        given = {"standard_deviation": number("noise", noise, least=0.0), "tau_corr_ms": 0.0}
        if given["standard_deviation"] == 0.0:
            return problem
    try:
        section = TrialNoise.model_validate({**given, "phase": "test_only"})
    except ValueError:
        raise SpecError(
            f"noise = {shown(noise)}: must be a s.d. of at least 0, or keys of trial_noise, as "
            "{'standard_deviation': 0.1, 'tau_corr_ms': 10.0}"
        ) from None
    changed = copy.copy(problem)
    changed.trial_noise = section
    return changed
