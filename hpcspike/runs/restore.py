"""A trained network from its Dataset alone: the arrays of the engine, or a learner in the state of its last pass.

What the Dataset holds is taken from it: weights, wiring, targets, cues. What it does not hold follows from the seed of
its experiment: fixed synapses, constant input, frozen noise, phases and noise of trials. No recording is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike import plugins
from hpcspike.engine.rate_simulation import make_simulation
from hpcspike.engine.trained import Trained
from hpcspike.errors import DataError
from hpcspike.learners.assignment import learner_of
from hpcspike.learners.interface import Learner
from hpcspike.model.build import frozen_noise
from hpcspike.model.connectivity import Rows, build_static_rows, constant_input, n_excitatory
from hpcspike.model.cue import cue_paths
from hpcspike.model.feed_forward import feed_forward_population, with_feed_forward
from hpcspike.model.problem import Problem
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.recordings import Recording
from hpcspike.model.subset import TrainedSubset, subset_in
from hpcspike.model.targets import build_targets
from hpcspike.runs.rollouts import STATE
from hpcspike.spec.experiment import Experiment, n_steps
from hpcspike.spec.targets import InnateTargets, RecordedTargets
from hpcspike.spec.validation import validate_experiment

if TYPE_CHECKING:
    import xarray as xr


def experiment_in(network: xr.Dataset, *, run_user_code: bool = False) -> Experiment:
    """The experiment that a network's Dataset carries.

    Raises
    ------
    DataError
        If it carries none.
    StoreError
        If it needs code of a user's own, and ``run_user_code`` does not allow that.
    """
    document = json.loads(network.attrs.get("experiment", "{}"))
    if not document:
        raise DataError(
            "this Dataset does not carry its experiment: give that of one trained network, as hpcspike.run and "
            "hpcspike.open_network(PATH) return it"
        )
    experiment = validate_experiment(document, source="attribute experiment")
    if not run_user_code:
        plugins.refuse_unasked(experiment, "this network")
    return experiment


def trained_in(network: xr.Dataset, experiment: Experiment) -> Trained:
    """The network of learner rls that a Dataset holds; `experiment_in` gives the experiment.

    Its test trials have the bits of those that were run after training. It has no matrices P, and its state is that
    before training.

    Raises
    ------
    DataError
        If the Dataset lacks weights, targets or cues.
    """
    problem = problem_in(network, experiment)
    simulation = make_simulation(problem, dtype=np.dtype(experiment.training.dtype))
    simulation.weight[:] = _weights(network, problem)
    if len(simulation.weight_sets):
        simulation.weight_sets[:] = _values(network, "feed_forward_weight")
    curve = {
        name: np.array(network[f"curve_{name}"].values)
        for name in ("correlation", "rate", "weight_change", "seconds", "test_correlation")
        if f"curve_{name}" in network
    }
    diverged = int(network["diverged_loop"]) if "diverged_loop" in network else -1
    return Trained(problem, experiment.training, simulation, None, curve, diverged)


def problem_in(network: xr.Dataset, experiment: Experiment) -> Problem:
    """What was trained; see `trained_in`."""
    n = network.sizes["neuron"]
    neurons, key = range(n), (experiment.seed, experiment.replicate)
    plastic = Rows(
        _values(network, "row_start").astype(np.int64),
        _values(network, "presynaptic").astype(np.int32),
        _values(network, "weight_initial").astype(np.float64),
    )
    targets = _targets(network, experiment)
    fed = feed_forward_population(
        experiment.feed_forward, n_sets=len(targets), step_ms=experiment.neuron.step_ms, key=key,
        n_steps=n_steps(targets.shape[2] * experiment.targets.grid_ms, experiment.neuron.step_ms),
    )  # fmt: skip
    if fed is not None:
        plastic = with_feed_forward(plastic, n, fed.n_sources, experiment.feed_forward.initial_weight)
    subset = _subset(network)
    return Problem.from_rows(
        n_neurons=n,
        first=0,
        plastic=plastic,
        static=_fixed(network, experiment),
        targets=targets,
        stimuli=_values(network, "stimulus").astype(np.float64),
        phase=uniform_by_neuron(*key, "initial_phase", neurons, 0, 0.0, 2.0 * np.pi),
        filtered=np.zeros(n),
        input=constant_input(experiment, n, neurons),
        neuron=experiment.neuron,
        synapse=experiment.synapse,
        protocol=experiment.protocol,
        stimulus_ms=experiment.stimulus.duration_ms,
        grid_ms=experiment.targets.grid_ms,
        noise=frozen_noise(experiment, neurons, targets.shape[2] * experiment.targets.grid_ms),
        cue=cue_paths(experiment, neurons, range(len(targets))),
        trial_noise=experiment.trial_noise,
        seed=experiment.seed,
        replicate=experiment.replicate,
        recording=_recording(network, targets, subset),
        subset=subset,
        n_excitatory=n_excitatory(experiment.connectivity, n),
        feed_forward=fed,
        training=experiment.training,
        measures=experiment.measures,
    )


def learner_in(network: xr.Dataset, experiment: Experiment) -> Learner:
    """A network that another learner than rls trained, as it was after its last pass, with the state of its rule.

    Raises
    ------
    DataError
        If the Dataset lacks the state of training, as those of older versions do.
    """
    stored = {str(name).removeprefix(STATE): name for name in network.data_vars if str(name).startswith(STATE)}
    if not stored or "pass_score_helped" not in network:
        raise DataError(
            f"this Dataset does not hold the state of learner {experiment.learner.kind} (an older version wrote it, "
            "or the state is not made of numbers): train it again"
        )
    learner = learner_of(experiment)
    passes = network.sizes["loop"]
    columns = {
        "score_helped": network["pass_score_helped"].values,
        "score_alone": network["pass_score_alone"].values,
        "simulated_seconds": network["pass_simulated_seconds"].values,
        "rate_hz": network["curve_rate"].values,
        "cpu_seconds": np.cumsum(network["curve_seconds"].values),
    }
    for number in range(passes):
        learner.history.add({name: float(column[number]) for name, column in columns.items()})
    learner.restore({name: np.asarray(network[key].values) for name, key in stored.items()})
    return learner


def _weights(network: xr.Dataset, problem: Problem) -> np.ndarray:
    """Plastic weights in the order of the problem's synapses, those of a feed-forward population among them."""
    recurrent = problem.plastic.presynaptic < problem.n_neurons
    found = np.empty(len(recurrent))
    found[recurrent] = _values(network, "weight")
    if not recurrent.all():
        found[~recurrent] = _values(network, "feed_forward_weight")[0]
    return found


def _values(network: xr.Dataset, name: str) -> np.ndarray:
    if name not in network:
        raise DataError(
            f"this Dataset has no {name!r}: it must be that of one trained network, as hpcspike.run and "
            "hpcspike.open_network(PATH) return it"
        )
    return np.asarray(network[name].values)


def _fixed(network: xr.Dataset, experiment: Experiment) -> Rows:
    if "fixed_weight" in network:
        columns = (_values(network, name) for name in ("fixed_row_start", "fixed_presynaptic", "fixed_weight"))
        start, presynaptic, weight = columns
        return Rows(start.astype(np.int64), presynaptic.astype(np.int32), weight.astype(np.float64))
    n = network.sizes["neuron"]
    return build_static_rows(
        experiment.connectivity, n, range(n), seed=experiment.seed, replicate=experiment.replicate
    )  # fmt: skip


def _targets(network: xr.Dataset, experiment: Experiment) -> np.ndarray:
    """(sets, n, samples) in model units. Rates are stored in Hz: those that can be made again are, to the bit."""
    stored = _values(network, "target").astype(np.float64)
    if experiment.training.variable != "rate":
        return stored
    found = stored * experiment.neuron.tau_ms / 1000.0
    if isinstance(experiment.targets, RecordedTargets | InnateTargets) or experiment.targets.duration_ms is None:
        return found
    n = found.shape[1]
    made = build_targets(experiment, range(n), n_neurons=n, duration_ms=experiment.targets.duration_ms)
    for target_set in range(min(len(found), len(made))):
        if made.shape[1:] == found.shape[1:] and np.allclose(made[target_set], found[target_set], rtol=1e-12):
            found[target_set] = made[target_set]
    return found


def _subset(network: xr.Dataset) -> TrainedSubset | None:
    """Who is trained, where only some neurons are."""
    if "matched_unit" not in network:
        return None
    rates = network["spontaneous_rate"].values if "spontaneous_rate" in network else None
    return subset_in(network["matched_unit"].values, rates)


def _recording(network: xr.Dataset, targets: np.ndarray, subset: TrainedSubset | None) -> Recording | None:
    """Which neurons follow a recorded unit; of the recording itself there is what the window shows."""
    recorded = np.flatnonzero(network["recorded"].values) if "recorded" in network else np.empty(0, np.int64)
    if subset is not None and "unit_name" in network:
        recorded = subset.neuron_of_unit
    if not len(recorded):
        return None
    named: list[Any] = list(network["unit_name"].values[recorded]) if "unit_name" in network else list(recorded)
    time = network["recording_time"].values if "recording_time" in network else network["time"].values
    return Recording(
        values=targets[0, recorded],
        times_ms=np.asarray(time, dtype=np.float64),
        unit_ids=tuple(map(str, named)),
        rows=np.arange(len(recorded)),
        mean_rates_hz=None,
        start_ms=float(time[0] - network["time"].values[0]),
    )
