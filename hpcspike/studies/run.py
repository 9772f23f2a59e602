"""One trained network of a study: train, judge, probe, and keep what figures show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from hpcspike import provenance
from hpcspike.compiling import compile_seconds, working_seconds
from hpcspike.engine.trained import Trained
from hpcspike.engine.training import OnLoop
from hpcspike.errors import SpecError
from hpcspike.learners.assignment import carrier_of, learner_of
from hpcspike.learners.rls import RlsLearner
from hpcspike.learners.tasks import assess
from hpcspike.measures.altered import untrained
from hpcspike.model.problem import Problem
from hpcspike.model.stand_in import stand_in_attributes
from hpcspike.runs.point import POINT_CURVES, TESTED_CURVES
from hpcspike.runs.scores import evaluate_learner
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Probe, Shown, Study, StudyRun
from hpcspike.studies.during import DuringTraining
from hpcspike.studies.feasible import refuse_probes
from hpcspike.studies.identity import run_hash
from hpcspike.studies.learner_probes import balance_arrays, goal_arrays
from hpcspike.studies.probes import PROBES, Arrays, Networks
from hpcspike.studies.scored import evenly_spread, is_scored, score_arrays, shown_rollouts
from hpcspike.variables import BINNED_RESULTS, POINT_RESULTS, RECORDED_RESULTS, SHOWN_DIMENSIONS, STUDY, TESTED_RESULTS

if TYPE_CHECKING:
    import xarray as xr


def run_of_study(
    study: Study, run: StudyRun, *, threads: int = 1, progress: bool = False, on_loop: OnLoop | None = None
) -> xr.Dataset:
    """Train one network of a study and measure what the study asks for.

    Parameters
    ----------
    study, run
        Which network.
    threads
        Threads over neurons; the numbers do not depend on it.
    progress
        Show a progress bar.
    on_loop
        Called after every training loop.

    Returns
    -------
    xarray.Dataset
        Scalars of `POINT_RESULTS`, the learning curve, the probes' variables and, for the first replicate, the time
        courses that ``shown`` asks for. The experiment and where the numbers come from are attributes.
    """
    began, compiled = working_seconds(), compile_seconds()
    experiment, asked = study.experiment_of(run), study.probes.of(run.variant)
    refuse_probes(asked, run.variant, experiment)
    learner, trials = learner_of(experiment, threads=threads), experiment.measures.n_test_trials
    shown = study.shown if run.replicate == 0 else None
    scored = is_scored(learner, asked)
    untrained_scores = assess(learner, learner.task, trials=trials) if scored else None
    if isinstance(learner, RlsLearner):
        # of recorded targets only units that were recorded
        problem = learner.problem
        examples = _examples(problem, study.shown.neurons)
        arrays = _trained_arrays(learner, experiment, asked, shown, examples, progress=progress, on_loop=on_loop)
    else:
        arrays = balance_arrays(learner, asked.get("balance"), "before")
        arrays |= goal_arrays(learner, asked.get("goals"), "before")
        learner.train(progress=progress, on_loop=on_loop)
    if untrained_scores is not None:
        tested = None if learner.diverged() else assess(learner, learner.task, trials=trials)
        arrays |= score_arrays(learner, untrained_scores, tested, asked, experiment)
        if learner.trained is None:
            scalars = evaluate_learner(learner, experiment, tested=tested).scalars
            arrays |= {name: ((), value) for name, value in scalars.items()}
            if shown is not None and learner.task.followed:
                arrays |= shown_rollouts(learner.task, untrained_scores, tested, shown)
    if run.replicate != 0:  # only numbers
        arrays = {name: array for name, array in arrays.items() if not SHOWN_DIMENSIONS & set(array[0])}
    dataset = _dataset(arrays, experiment)
    spent = {"wall_seconds": working_seconds() - began, "compile_seconds": compile_seconds() - compiled}
    record = provenance.collect(n_ranks=1, n_threads=threads) | spent
    dataset.attrs |= {
        "study": study.name,
        "variant": run.variant,
        "replicate": run.replicate,
        "run_hash": run_hash(study, run),
        "provenance": json.dumps(record),
    }
    return dataset


def _examples(problem: Problem, count: int) -> np.ndarray:
    """Neurons that are shown, evenly spread over those that are judged."""
    if problem.subset is not None:
        trained = np.sort(problem.subset.neuron)
        return trained[evenly_spread(len(trained), count)]
    return evenly_spread(problem.n_recorded or problem.n_neurons, count)


def _trained_arrays(
    learner: RlsLearner,
    experiment: Experiment,
    asked: dict[str, Probe],
    shown: Shown | None,
    examples: np.ndarray,
    *,
    progress: bool,
    on_loop: OnLoop | None,
) -> Arrays:
    problem = learner.problem
    during = DuringTraining(examples, shown.loops if shown else ())
    learner.train(progress=progress, on_loop=on_loop, on_update=during if shown and shown.loops else None)
    trained = learner.trained
    before = untrained(trained)
    evaluation = evaluate_learner(learner, experiment)
    arrays: Arrays = {
        name: ((), value)
        for name, value in evaluation.scalars.items()
        if problem.n_recorded or name not in RECORDED_RESULTS
    }
    arrays["window_ms"] = ((), problem.duration_ms)
    for name in (*POINT_CURVES, *TESTED_CURVES):
        if name in trained.curve:
            arrays[f"curve_{name}"] = (("loop",), trained.curve[name])
    n_loops = len(trained.curve["rate"])
    arrays["loop"] = (("loop",), np.arange(1, n_loops + 1))
    if problem.n_sets > 1:
        arrays["loop_target_set"] = (("loop",), np.array([problem.set_of_loop(loop) for loop in range(n_loops)]))
    if problem.condition_names:
        arrays["condition"] = (("target_set",), np.array(problem.condition_names, dtype=np.str_))
    if trained.diverged_loop < 0:
        networks = Networks(trained, before, experiment, examples)
        for name, probe in asked.items():
            if name in PROBES:
                arrays |= PROBES[name](networks, probe)
    if shown is not None:
        arrays |= _shown(trained, before, shown, examples, during)
    return arrays


def _shown(trained: Trained, before: Trained, shown: Shown, examples: np.ndarray, during: DuringTraining) -> Arrays:
    problem = trained.problem
    rate = trained.training.variable == "rate"
    scale = 1000.0 / problem.neuron.tau_ms if rate else 1.0  # rates leave in Hz
    rastered = evenly_spread(problem.n_neurons, shown.raster_neurons)
    networks = {"after": trained, **({"before": before} if shown.before else {})}
    arrays: Arrays = {
        "example": (("example",), examples),
        **_names(problem, examples),
        "raster_neuron": (("raster_neuron",), rastered),
        "target_time": (("target_time",), problem.grid_ms * np.arange(1, problem.n_samples + 1)),
        "target": (("target_set", "example", "target_time"), scale * problem.targets[:, examples]),
        "target_set": (("target_set",), np.arange(problem.n_sets)),
        "trial": (("trial",), np.arange(shown.trials)),
    }
    table = []
    for state, (when, network) in enumerate(networks.items()):
        if network.diverged_loop >= 0:
            continue
        responses = []
        for target_set in range(problem.n_sets):
            evoked = network.evoke(target_set, shown.trials, beyond_ms=shown.beyond_ms)
            responses.append(scale * (evoked.filtered if rate else evoked.drive)[:, examples])
            for trial, spikes in enumerate(evoked.spikes):
                kept = (spikes.step >= -problem.stimulus_steps) & np.isin(spikes.neuron, rastered)
                labels = np.broadcast_to([state, target_set, trial], (kept.sum(), 3))
                table.append(np.column_stack([spikes.step[kept], spikes.neuron[kept], labels]))
        stacked = np.stack(responses)
        arrays["time"] = (("time",), problem.grid_ms * np.arange(1, stacked.shape[-1] + 1))
        arrays[f"response_{when}"] = (("target_set", "trial", "example", "time"), stacked)
    kept_spikes = np.concatenate(table) if table else np.zeros((0, 5), np.int64)
    arrays["spike_time"] = (("spike",), (kept_spikes[:, 0] + 1) * problem.neuron.step_ms)
    for column, name in enumerate(("neuron", "state", "set", "trial"), start=1):
        arrays[f"spike_{name}"] = (("spike",), kept_spikes[:, column].astype(np.int32))
    if during.response:
        loops = sorted(during.response)
        kept = np.stack([np.stack(during.response[loop], axis=1) for loop in loops])
        arrays["shown_loop"] = (("shown_loop",), np.array(loops))
        interval = trained.training.update_interval_ms
        arrays["update_time"] = (("update_time",), interval * np.arange(1, kept.shape[-1] + 1))
        arrays["response_during"] = (("shown_loop", "example", "update_time"), scale * kept)
    return arrays


def _names(problem: Problem, examples: np.ndarray) -> Arrays:
    """Names of the recorded units that the example neurons follow, if they do."""
    if problem.recording is None or problem.subset is not None:
        return {}
    return {"example_unit": (("example",), np.array(problem.recording.unit_ids, dtype=np.str_)[examples])}


def _dataset(arrays: Arrays, experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    dataset = xr.Dataset(attrs={"experiment": json.dumps(experiment.model_dump(mode="json"))})
    rate_names = {"target", "response_before", "response_after", "response_during"}
    for name, (dims, values) in arrays.items():
        variable = {**TESTED_RESULTS, **BINNED_RESULTS, **POINT_RESULTS, **STUDY}.get(name)
        if variable is None:
            raise SpecError(f"{name} is not in hpcspike.variables.STUDY")
        attrs = dict(variable.attrs)
        if name in rate_names and experiment.training.variable == "rate":
            attrs["units"] = "Hz"
        array = np.asarray(values, dtype=None if variable.dtype == "str" else variable.dtype)
        if dims == (name,):
            dataset = dataset.assign_coords({name: (dims, array, attrs)})
        else:
            dataset[name] = (dims, array, attrs)
    dataset.attrs["trained_variable"] = carrier_of(experiment)
    dataset.attrs |= stand_in_attributes(experiment)
    return dataset
