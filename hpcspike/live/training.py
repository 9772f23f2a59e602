"""Training goes on: more loops, with the matrices P of before or new ones, and further target sets."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.checks import array
from hpcspike.checks import path as checked_path
from hpcspike.correlation import pearson
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_files import checkpoints_in
from hpcspike.engine.learning_curve import CURVE
from hpcspike.engine.trained import Trained
from hpcspike.engine.trainer import Cursor, Trainer
from hpcspike.engine.training import OnLoop, complete
from hpcspike.errors import SpecError, StoreError
from hpcspike.identity import canonical
from hpcspike.learners.assignment import learner_of
from hpcspike.measures.altered import with_problem, with_weights
from hpcspike.model.cue import cue_paths
from hpcspike.model.problem import Problem
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.runs.trials import scale_of
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.measures import why_not_smoothed

if TYPE_CHECKING:
    from hpcspike.live.engine_network import EngineNetwork

NEW_P, KEPT_P, SAVED_P = "P begun anew", "P of before", "P of the saved state"


def trained_further(
    network: EngineNetwork, loops: int, *, threads: int, progress: bool, on_loop: OnLoop | None
) -> EngineNetwork:
    """See `hpcspike.live.network.Network.train`."""
    trainer, words = _trainer(network, network.trained.problem, loops, threads)
    trained = complete(trainer, progress=progress, on_loop=on_loop)
    experiment = _longer(network.experiment, loops)
    return dataclasses.replace(network, experiment=experiment)._changed(
        trained, f"{_further(network, trained, loops)}, {words}"
    )


def from_states(
    network: EngineNetwork,
    loops: int,
    states: str | Path,
    *,
    settings: Mapping[str, Any] | None,
    threads: int,
    progress: bool,
    on_loop: OnLoop | None,
) -> EngineNetwork:
    """Go on with the saved state of the training that made the network, as if it had not ended.

    Raises
    ------
    SpecError
        If settings are to change, or the network is not that of its experiment any more.
    StoreError
        If there is no saved state, or that of another experiment.
    """
    folder = checked_path("states", states)
    if settings or network.changes:
        raise SpecError(
            "states: a saved state goes on with the training that it is of, but this network was changed or its "
            "settings are to change; leave states out to go on with its weights"
        )
    if not checkpoints_in(folder):
        raise StoreError(f"{folder}: no saved state there; leave states out to go on with the weights alone")
    experiment = _longer(network.experiment, loops)
    learner = learner_of(experiment, threads=threads)
    learner.train(
        progress=progress,
        on_loop=on_loop,
        checkpoints=Checkpoints(folder, at_end=False),
        identity=canonical(experiment),
    )
    assert learner.trained is not None
    return dataclasses.replace(network, experiment=experiment)._changed(
        learner.trained, f"{_further(network, learner.trained, loops)}, {SAVED_P}"
    )


def taught(
    network: EngineNetwork,
    targets: Any,
    loops: int,
    *,
    stimulus: Any,
    test_trials: int,
    threads: int,
    progress: bool,
    on_loop: OnLoop | None,
) -> EngineNetwork:
    """See `hpcspike.live.engine_network.EngineNetwork.learn`."""
    network.refuse_feed_forward("a further target set")
    problem = network.trained.problem
    goal = _targets(targets, problem, scale_of(network.trained))
    whole = copy.copy(problem)
    whole.targets = np.concatenate([problem.targets, goal[None]])
    whole.stimuli = np.concatenate([problem.stimuli, _cue(network, stimulus)[None]])
    whole.cue = _with_path(network, constant=stimulus is not None)
    whole._check()
    alone = copy.copy(problem)
    alone.targets, alone.stimuli = whole.targets[-1:], whole.stimuli[-1:]
    alone.cue = None if whole.cue is None else whole.cue[-1:]
    trainer, words = _trainer(network, alone, loops, threads)
    tested = with_problem(network.trained, whole)
    curve = [_scores(tested, test_trials)]

    def after(loop: int, row: dict[str, float]) -> None:
        curve.append(_scores(with_weights(tested, trainer.simulation.weight), test_trials))
        if on_loop is not None:
            on_loop(loop, row)

    taught_alone = complete(trainer, progress=progress, on_loop=after)
    trained = dataclasses.replace(
        with_problem(taught_alone, whole), rls=taught_alone.rls, diverged_loop=taught_alone.diverged_loop
    )
    number = len(whole.targets) - 1
    return network._changed(
        trained, f"target set {number} added and trained alone for {loops} loops, {words}", set_curve=np.array(curve)
    )


def _trainer(network: EngineNetwork, problem: Problem, loops: int, threads: int) -> tuple[Trainer, str]:
    """A trainer that begins where the network is: its weights and learning curve, and its P if that still holds."""
    experiment, trained = network.experiment, network.trained
    if trained.diverged_loop >= 0:
        raise SpecError(f"this network diverged in loop {trained.diverged_loop + 1}: there is nothing to go on with")
    reason = why_not_smoothed(
        experiment.measures, grid_ms=problem.grid_ms, step_ms=problem.neuron.step_ms, duration_ms=problem.duration_ms
    )
    if reason is not None:
        raise SpecError(reason)
    trainer = Trainer(
        problem, experiment.training, threads=threads, diverged_drive=experiment.measures.diverged_drive,
        measures=experiment.measures,
    )  # fmt: skip
    live = trainer.simulation
    live.take_weights(trained.simulation)
    live.set_state(problem.phase, problem.filtered)
    trainer.weight_before = live.weight.copy()
    done = len(trained.curve["correlation"])
    trainer.n_loops = done + loops * problem.n_sets
    trainer.curve = {name: trained.curve[name].tolist() for name in CURVE}
    tested = trained.curve.get("test_correlation", np.empty(0)) if trainer.tests.every else np.empty(0)
    trainer.tests.go_on({int(k) + 1: float(tested[k]) for k in np.flatnonzero(np.isfinite(tested))}, loops=done)
    trainer.cursor = Cursor(loop=done)
    if trained.rls is None:
        return trainer, NEW_P
    trainer.rls.load_numbers(trained.rls.state_numbers())
    rows = problem.n_rows
    for ours, theirs in zip(trainer.rls.state_arrays(), trained.rls.state_arrays(), strict=True):
        ours.put(0, rows, theirs.take(0, rows))
    return trainer, KEPT_P


def _further(network: EngineNetwork, trained: Trained, loops: int) -> str:
    """How many more loops were trained, and what ended them early."""
    more = len(trained.curve["correlation"]) - len(network.trained.curve["correlation"])
    asked = loops * trained.problem.n_sets
    if more == asked:
        return f"trained for {loops} more loops per target set"
    why = "diverged" if trained.diverged_loop >= 0 else f"training.patience = {trained.training.patience} ended it"
    return f"trained for {more} of {asked} more loops ({why})"


def _longer(experiment: Experiment, loops: int) -> Experiment:
    n_loops = experiment.training.n_loops + loops
    return experiment.model_copy(update={"training": experiment.training.model_copy(update={"n_loops": n_loops})})


def _targets(targets: Any, problem: Problem, scale: float) -> np.ndarray:
    """(n, samples) in model units."""
    if isinstance(targets, xr.DataArray):
        targets = targets.squeeze(drop=True)
        if set(targets.dims) == {"neuron", "time"}:
            targets = targets.transpose("neuron", "time")
        targets = targets.values
    shape = (problem.n_rows, problem.n_samples)
    return array("targets", targets, shape=shape, axes=f"(neuron, time) = {shape}") / scale


def _cue(network: EngineNetwork, stimulus: Any) -> np.ndarray:
    problem = network.trained.problem
    if stimulus is not None:
        given = stimulus.values if isinstance(stimulus, xr.DataArray) else stimulus
        return array("stimulus", given, shape=(problem.n_rows,), axes=f"(neuron,) = {(problem.n_rows,)}")
    a, key = network.experiment.stimulus.amplitude, (problem.seed, problem.replicate)
    return uniform_by_neuron(*key, "stimulus", problem.neurons, problem.n_sets, -a, a)


def _with_path(network: EngineNetwork, *, constant: bool) -> np.ndarray | None:
    """Paths of the cues, with that of a further target set; ``constant``: whose cue has none."""
    problem = network.trained.problem
    new = cue_paths(network.experiment, problem.neurons, [problem.n_sets])
    if problem.cue is None or new is None:
        return problem.cue
    return np.concatenate([problem.cue, np.zeros_like(new) if constant else new])


def _scores(trained: Trained, trials: int) -> list[float]:
    """Mean correlation of single test trials with every target set, over the neurons that have a target."""
    found = []
    for target_set, target in enumerate(trained.problem.targets):
        evoked = trained.evoke(target_set, trials)
        response = evoked.filtered if trained.training.variable == "rate" else evoked.drive
        of_neurons = pearson(response, target).mean(axis=0)
        found.append(trained.mean_over_targets(of_neurons, target_set))
    return found
