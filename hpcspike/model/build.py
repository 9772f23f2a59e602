"""From a validated experiment to the arrays of one block of neurons."""

from __future__ import annotations

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.model.connectivity import (
    build_rows,
    build_static_rows,
    build_subset_rows,
    constant_input,
    n_excitatory,
    rows_from_lists,
)
from hpcspike.model.cue import cue_paths
from hpcspike.model.feed_forward import feed_forward_population, with_feed_forward
from hpcspike.model.problem import Problem
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.model.ricciardi import refuse_rates
from hpcspike.model.subset import TrainedSubset
from hpcspike.model.targets import build_targets, duration_of, n_neurons_of, ou_paths, subset_targets
from hpcspike.spec.connectivity import BalancedConnectivity, why_undrawable
from hpcspike.spec.experiment import Experiment, LifNeuron, n_steps
from hpcspike.spec.subset import why_not_so_many, why_not_these
from hpcspike.spec.targets import RecordedTargets


def recording_of(experiment: Experiment) -> Recording | None:
    """The recording that an experiment trains, or None."""
    if not isinstance(experiment.targets, RecordedTargets):
        return None
    recording = read_recording(
        experiment.targets, tau_ms=experiment.neuron.tau_ms, seed=experiment.seed, step_ms=experiment.neuron.step_ms
    )
    size, given = n_neurons_of(experiment, recording), experiment.network.n_neurons
    subset, count = experiment.training.subset, len(recording.values)
    if subset is not None:
        reason = why_not_so_many(experiment, subset, count, f"training.subset: {count} units (targets.n_units)")
        if reason is None and isinstance(subset.match, list):
            reason = why_not_these(subset.match, count, n_excitatory(experiment.connectivity, size) or 0)
        if reason is not None:
            raise SpecError(reason)
    settings, neuron = experiment.targets.input_of_rate, experiment.neuron
    if settings is not None and isinstance(neuron, LifNeuron):
        for one in recording.conditions:
            refuse_rates(1000.0 / neuron.tau_ms * one.values, settings, neuron, path=experiment.targets.path)
    if given is not None and given != size:
        raise SpecError(
            f"network.n_neurons = {given}, but {len(recording.values)} recorded units with auxiliary_ratio = "
            f"{experiment.targets.auxiliary_ratio:g} make {size}; leave n_neurons out"
        )
    reason = why_undrawable(experiment.connectivity, size)
    if reason is not None:
        raise SpecError(f"{reason} ({len(recording.values)} recorded units make {size} neurons)")
    return recording


def frozen_noise(experiment: Experiment, neurons: range, duration_ms: float) -> np.ndarray | None:
    """External input that is the same in every loop and trial, (steps of cue and window, n); None if there is none."""
    noise, step_ms = experiment.frozen_noise, experiment.neuron.step_ms
    if noise.standard_deviation == 0.0:
        return None
    steps = n_steps(experiment.stimulus.duration_ms, step_ms) + n_steps(duration_ms, step_ms)
    if not neurons:  # more ranks than neurons
        return np.zeros((steps, 0))
    key = (experiment.seed, experiment.replicate)
    paths = ou_paths(noise.tau_corr_ms, noise.standard_deviation, step_ms, steps, neurons, "frozen_noise", 0, key)
    return np.ascontiguousarray(paths.T)


def build_problem(
    experiment: Experiment, *, block: tuple[int, int] | None = None, subset: TrainedSubset | None = None
) -> Problem:
    """The arrays of neurons ``block[0]`` to ``block[1] - 1`` (default: all).

    ``subset``: who is trained, where the experiment asks for a subset; without it the network is built without plastic
    synapses, and its targets are 0.

    Every neuron's numbers are the same whatever block it is built in. ``targets.offset`` and innate targets, which
    need a simulation, are left to `hpcspike.engine.distribute`.
    """
    recording = recording_of(experiment)
    size = n_neurons_of(experiment, recording)
    neurons = range(*(block or (0, size)))
    key = (experiment.seed, experiment.replicate)
    duration = duration_of(experiment, recording)
    a = experiment.stimulus.amplitude
    n_sets, step_ms = experiment.targets.n_sets, experiment.neuron.step_ms
    fed = feed_forward_population(
        experiment.feed_forward, n_sets=n_sets, n_steps=n_steps(duration, step_ms), step_ms=step_ms, key=key
    )  # fmt: skip
    external = constant_input(experiment, size, neurons)
    chosen = experiment.training.subset
    if chosen is not None and subset is None:
        fed = None
    if chosen is None:
        plastic = build_rows(experiment.connectivity, size, neurons, seed=key[0], replicate=key[1])
        targets = build_targets(
            experiment, neurons, n_neurons=size, duration_ms=duration, recording=recording, external=external
        )
    elif subset is None:
        plastic = rows_from_lists([np.zeros(0, np.int32)] * len(neurons), [np.zeros(0)] * len(neurons))
        targets = np.zeros((n_sets, len(neurons), n_steps(duration, experiment.targets.grid_ms)))
    else:
        assert isinstance(experiment.connectivity, BalancedConnectivity)
        plastic = build_subset_rows(
            experiment.connectivity, size, neurons, subset.neuron, all_sources=chosen.sources == "all", seed=key[0],
            replicate=key[1],
        )  # fmt: skip
        targets = subset_targets(
            experiment, neurons, subset, external, n_neurons=size, duration_ms=duration, recording=recording
        )
    if fed is not None:
        plastic = with_feed_forward(plastic, size, fed.n_sources, experiment.feed_forward.initial_weight)
    return Problem.from_rows(
        n_neurons=size,
        first=neurons.start,
        plastic=plastic,
        static=build_static_rows(
            experiment.connectivity, size, neurons, seed=experiment.seed, replicate=experiment.replicate
        ),
        targets=targets,
        stimuli=np.stack(
            [uniform_by_neuron(*key, "stimulus", neurons, s, -a, a) for s in range(experiment.targets.n_sets)]
        ),
        phase=uniform_by_neuron(*key, "initial_phase", neurons, 0, 0.0, 2.0 * np.pi),
        filtered=np.zeros(size),
        input=external,
        subset=subset,
        neuron=experiment.neuron,
        synapse=experiment.synapse,
        protocol=experiment.protocol,
        stimulus_ms=experiment.stimulus.duration_ms,
        grid_ms=experiment.targets.grid_ms,
        noise=frozen_noise(experiment, neurons, duration),
        cue=cue_paths(experiment, neurons, range(n_sets)),
        trial_noise=experiment.trial_noise,
        seed=experiment.seed,
        replicate=experiment.replicate,
        recording=recording,
        training=experiment.training,
        measures=experiment.measures,
        feed_forward=fed,
        n_excitatory=n_excitatory(experiment.connectivity, size),
    )
