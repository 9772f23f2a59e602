"""One experiment from its specification to a Dataset, in memory or on disk."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike import provenance
from hpcspike.checks import instance
from hpcspike.compiling import compile_seconds, working_seconds
from hpcspike.engine.agreement import agree_on, same_checkpoints, same_experiment
from hpcspike.engine.communication import World, connect
from hpcspike.engine.output import DatasetOutput, Output, StoreOutput, claimed_over_ranks, put, whole_over_ranks
from hpcspike.engine.trained import Trained
from hpcspike.hdf5_files import write_unfinished
from hpcspike.identity import experiment_hash
from hpcspike.learners.assignment import carrier_of
from hpcspike.learners.interface import Learner
from hpcspike.measures.evaluation import Evaluation
from hpcspike.measures.verdict import ENDINGS
from hpcspike.model.build import recording_of
from hpcspike.model.rate_law import table_of
from hpcspike.model.rate_law_kinds import MEASURED
from hpcspike.model.stand_in import stand_in_attributes
from hpcspike.model.subset import subset_columns
from hpcspike.model.unit_labels import recording_time, unit_labels
from hpcspike.runs.facts import what_is_in_vain
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.runs.rollouts import write_rollouts
from hpcspike.runs.trials import scale_of, variables_of, write_trials
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.targets import RecordedTargets
from hpcspike.variables import BINNED_RESULTS, POINT_RESULTS, RECORDED_RESULTS, TRANSFER

if TYPE_CHECKING:
    import xarray

    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.engine.training import OnLoop

logger = logging.getLogger(__name__)

RECORDED_TRIALS = 20
"""At most this many test trials are kept with all their time courses."""

_COORDINATES = ("neuron", "output", "time", "trial", "target_set", "loop", "recorded")


def run(
    experiment: Experiment,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    world: World | None = None,
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
    world
        The ranks that train the network together; default: those this program was started on by ``mpiexec`` or
        ``srun``, or this process alone. All must call this with the same arguments, and every one receives the whole
        Dataset; for networks that do not fit there is `train_to_store`. Start such a program with ``python -m mpi4py``,
        so that an error on one rank ends all.

    Returns
    -------
    xarray.Dataset
        Targets, drives, responses (drive, or filtered spikes in Hz for rate training), spikes, weights, learning
        curve and measures, every variable with its unit; the experiment is in the attributes as JSON.

    Raises
    ------
    TypeError
        If it is given something else, such as a path or a sweep.
    SpecError
        If the ranks are given different experiments or threads; on all of them.
    ResourceError
        If not all ranks call this within a minute (``HPCSPIKE_WAIT_SECONDS``).
    """
    if not isinstance(experiment, Experiment):
        what = repr(str(experiment)) if isinstance(experiment, (str, Path)) else f"a {type(experiment).__name__}"
        load = f"hpcspike.load({what})" if isinstance(experiment, (str, Path)) else "hpcspike.load(PATH)"
        raise TypeError(f"hpcspike.run takes one experiment, not {what}: give what {load} returns")
    if world is not None:
        instance("world", world, World, made_by="give what hpcspike.engine.communication.connect() returns")
    world = world or connect()
    agree_on(world, "hpcspike.run", lambda: {**same_experiment(experiment), "threads": threads})
    world.agree(lambda: _log_what_is_odd(experiment) if world.rank == 0 else None)
    learner, evaluation = fit_and_evaluate(
        experiment, threads=threads, progress=progress, on_loop=on_loop, world=world
    )  # fmt: skip
    return describe(experiment, learner, evaluation, world=world)


def _log_what_is_odd(experiment: Experiment) -> None:
    """What is odd about the recording that is trained and what is asked for in vain, as warnings of the log, which
    Python shows if nothing is set. It may be a point of a sweep that is there for comparison: nothing is refused.
    """
    reason = what_is_in_vain(experiment)
    if reason is not None:
        logger.warning("%s", reason)
    recording = recording_of(experiment)
    if recording is not None and isinstance(experiment.targets, RecordedTargets):
        for remark in recording.remarks:
            logger.warning("%s: %s", Path(experiment.targets.path).name, remark)


def describe(
    experiment: Experiment, learner: Learner, evaluation: Evaluation, *, world: World | None = None
) -> xarray.Dataset:
    """The Dataset of a trained network, on every rank; see `run`."""
    output = DatasetOutput(world or World())
    coordinates = _write(output, experiment, learner, evaluation)
    output.finish(_attributes(experiment) | _endings(learner.trained), coordinates)
    assert output.dataset is not None
    return output.dataset


def describe_trained(
    experiment: Experiment, trained: Trained, evaluation: Evaluation, attributes: dict[str, str]
) -> xarray.Dataset:
    """The Dataset of a network of the engine as it is now, with these attributes; see `run`."""
    output = DatasetOutput(World())
    trials = min(experiment.measures.n_test_trials, RECORDED_TRIALS)
    coordinates = _write_trained(output, experiment, trained, evaluation, trials)
    _write_scalars(output, World(), evaluation, recorded=trained.problem.n_recorded > 0)
    output.finish(attributes | _endings(trained), coordinates)
    assert output.dataset is not None
    return output.dataset


def train_to_store(
    experiment: Experiment,
    path: Path,
    *,
    threads: int = 1,
    progress: bool = False,
    on_loop: OnLoop | None = None,
    world: World | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Train one network and write everything about it: `run` for networks of any size.

    Parameters
    ----------
    experiment, threads, progress, on_loop, world
        As for `run`.
    path
        Ending in ``.zarr``: a store that the ranks write together; the file contents do not depend on their number
        (but for `hpcspike.engine.output.NOT_REPRODUCIBLE`). Ending in ``.nc``: a file that rank 0 writes, which must be
        able to hold everything. It is whole or absent.
    checkpoints
        Where and when to save the state of training, which goes on from what is there; they are left where they are.

    Returns
    -------
    tuple
        The measures, and what is known of where they come from: all of it on rank 0.

    Raises
    ------
    Busy
        On all ranks, before work starts, if another process writes ``path``.
    ResourceError
        If it cannot be written, as on a full disk.
    """
    world = world or connect()
    began = working_seconds(), compile_seconds()
    world.phases.reset()
    own = {"path": str(path.absolute()), "threads": threads, **same_checkpoints(checkpoints)}
    agree_on(world, "train_to_store", lambda: same_experiment(experiment) | own)
    with claimed_over_ranks(path, world):  # from the beginning: whoever comes second is told before it works
        learner, evaluation = fit_and_evaluate(
            experiment, threads=threads, progress=progress, on_loop=on_loop, world=world, checkpoints=checkpoints
        )
        return evaluation, _written(experiment, path, learner, evaluation, world=world, threads=threads, began=began)


def _written(
    experiment: Experiment, path: Path, learner: Learner, evaluation: Evaluation, *, world: World, threads: int,
    began: tuple[float, float],
) -> dict[str, Any]:  # fmt: skip
    """Write a trained network; what is known of where it comes from."""
    with whole_over_ranks(path, world) as unfinished:
        output: Output
        if path.suffix == ".nc":
            output = DatasetOutput(world, owner=0)
        else:
            output = StoreOutput(world, unfinished)
        with world.phases("write"):
            coordinates = _write(output, experiment, learner, evaluation)
        spent = {"wall_seconds": working_seconds() - began[0], "compile_seconds": compile_seconds() - began[1]}
        record = provenance.of_ranks(world) | spent
        if world.rank == 0:
            record = provenance.collect(n_ranks=world.size, n_threads=threads) | record
        attributes = _attributes(experiment) | _endings(learner.trained)
        output.finish({**attributes, "provenance": json.dumps(record)}, coordinates)
        if isinstance(output, DatasetOutput):
            dataset = output.dataset
            world.agree(lambda: None if dataset is None else write_unfinished(dataset, unfinished))
    return record


def _attributes(experiment: Experiment) -> dict[str, str]:
    return {
        "name": experiment.name,
        "trained_variable": carrier_of(experiment),
        "experiment": json.dumps(experiment.model_dump(mode="json")),
        "experiment_hash": experiment_hash(experiment),
        **stand_in_attributes(experiment),
    }


def _endings(trained: Trained | None) -> dict[str, str]:
    """What tests while training have decided, if there is anything to say."""
    said = [] if trained is None else trained.endings
    return {ENDINGS: "\n".join(said)} if said else {}


def _write(output: Output, experiment: Experiment, learner: Learner, evaluation: Evaluation) -> list[str]:
    """Give every variable to an output; all ranks do so together, each with its block. Returns the coordinates."""
    trials = min(experiment.measures.n_test_trials, RECORDED_TRIALS)
    trained = learner.trained
    if trained is None:
        assert experiment.network.n_neurons is not None
        write_rollouts(
            output, learner, evaluation.correlation, n_neurons=experiment.network.n_neurons, trials=trials
        )  # fmt: skip
        coordinates, recorded, world = list(_COORDINATES), False, World()
    else:
        coordinates = _write_trained(output, experiment, trained, evaluation, trials)
        recorded, world = trained.problem.n_recorded > 0, trained.world
    _write_scalars(output, world, evaluation, recorded=recorded)
    return coordinates


def _write_scalars(output: Output, world: World, evaluation: Evaluation, *, recorded: bool) -> None:
    for name, value in evaluation.scalars.items():
        if recorded or name not in RECORDED_RESULTS:
            put(output, world, name, replace((POINT_RESULTS | BINNED_RESULTS)[name], dims=()), value)


def _write_trained(
    output: Output, experiment: Experiment, trained: Trained, evaluation: Evaluation, trials: int
) -> list[str]:
    problem, world, coordinates = trained.problem, trained.world, list(_COORDINATES)
    variables = variables_of(trained)
    same: dict[str, Any] = {
        "neuron": np.arange(problem.n_neurons),
        "time": problem.grid_ms * np.arange(1, problem.n_samples + 1),
        "target_set": np.arange(problem.n_sets),
        "loop": np.arange(len(trained.curve["correlation"])),
        **{f"curve_{name}": values for name, values in trained.curve.items()},
    }
    if problem.n_sets > 1:
        same["loop_target_set"] = np.array([problem.set_of_loop(int(loop)) for loop in same["loop"]])
    if problem.condition_names:
        same["condition"] = np.array(problem.condition_names, dtype=np.str_)
        coordinates.append("condition")
    if problem.subset is not None:
        same |= subset_columns(problem.subset, problem.n_neurons)
    if problem.recording is not None:
        neurons = None if problem.subset is None else problem.subset.neuron_of_unit
        if neurons is None:  # those that are not recorded are auxiliary: trained, too; beside a subset they are not
            same["recorded"] = np.arange(problem.n_neurons) < problem.n_recorded
        of_recording = unit_labels(problem.recording, problem.n_neurons, neurons)
        of_recording["recording_time"] = recording_time(problem.recording, same["time"])
        variables |= {name: variable for name, (variable, _) in of_recording.items()}
        coordinates += of_recording
        same |= {name: values for name, (_, values) in of_recording.items()}
    plastic, live, start = problem.plastic, trained.simulation, problem.plastic.start
    recurrent = plastic.presynaptic < problem.n_neurons  # the others come from a feed-forward population
    if not recurrent.all():
        start = np.concatenate([[0], np.cumsum(recurrent)])[start]
    if trained.law.kind == MEASURED:
        variables |= TRANSFER
        same |= table_of(trained.law, tau_ms=problem.neuron.tau_ms)
    by_neuron = {
        "target": (scale_of(trained) * problem.targets, 1),
        "stimulus": (problem.stimuli, 1),
        "neuron_correlation": (evaluation.correlation, 1),
        **{name: (part, 1) for name, part in evaluation.by_neuron.items()},
        "weight": (live.weight[recurrent], 0),
        "weight_initial": (plastic.weight[recurrent], 0),
        "presynaptic": (plastic.presynaptic[recurrent], 0),
        "row_start": (_row_starts(start, world), 0),
    }
    if problem.feed_forward is not None:
        post = np.repeat(np.arange(problem.n_rows), np.diff(plastic.start)) + problem.first
        by_neuron |= {
            "feed_forward_weight": (live.feed_forward_weights(), 1),
            "feed_forward_source": (plastic.presynaptic[~recurrent] - problem.n_neurons, 0),
            "feed_forward_target": (post[~recurrent].astype(np.int32), 0),
        }
    if trained.law.kind == MEASURED:
        by_neuron["transfer_curve"] = (trained.law.curve, 0)
    for name, values in same.items():
        put(output, world, name, variables[name], values)
    for name, (part, axis) in by_neuron.items():
        put(output, world, name, variables[name], part, axis=axis)
    if trained.diverged_loop < 0:
        write_trials(output, trained, variables, range(trials))
    return coordinates


def _row_starts(start: np.ndarray, world: World) -> np.ndarray:
    """This rank's part of the bounds of all rows; the last rank's ends with the number of synapses."""
    before = int(world.concatenate(start[-1:])[: world.rank].sum())
    return before + (start if world.rank == world.size - 1 else start[:-1])
