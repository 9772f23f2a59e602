"""Which trained networks another simulator can be told: what is refused, and why."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hpcspike.analysis.neurons import experiment_of
from hpcspike.errors import DataError
from hpcspike.runs.restore import experiment_in
from hpcspike.spec.neurons import LifNeuron

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment

SPIKES = ("spike_time", "spike_neuron", "spike_trial", "spike_set")
"""Variables of a network's Dataset that hold its spikes."""


def sayable_experiment(trained: xr.Dataset, place: str, *, models: Collection[str]) -> Experiment:
    """The experiment of a network, if ``place`` can say all of it: its neurons, and that nothing else is there.

    Parameters
    ----------
    trained
        Dataset of one network.
    place
        What the network goes into, for messages: "the program for Brian2".
    models
        Models of neurons that it can say.

    Raises
    ------
    DataError
        If the network has something that cannot be said (named with key and value), or the Dataset lacks spikes or the
        states that its test trials begin from.
    """
    document = experiment_of(trained)
    model, learner = (
        document.get(section, {}).get(key, default)
        for section, key, default in (("neuron", "model", "theta"), ("learner", "kind", "rls"))
    )
    others = f"neurons of the model{'s' * (len(models) > 1)} {' and '.join(models)}"
    refuse(model not in models, place, f"neuron.model = {model}", others)
    refuse(learner != "rls", place, f"learner.kind = {learner}", "networks of learner rls")
    experiment = experiment_in(trained)
    for key, section in (("frozen_noise", experiment.frozen_noise), ("trial_noise", experiment.trial_noise)):
        noise = section.standard_deviation
        refuse(noise > 0, place, f"{key}.standard_deviation = {noise:g}", "networks without noise")
    differ = isinstance(experiment.neuron, LifNeuron) and experiment.neuron.neurons_differ
    refuse(differ, place, "neuron.by_neuron", "neurons that are all alike")
    refuse(experiment.synapse.decays_differ, place, "synapse.by_neuron", "synapses of one decay time")
    path = experiment.stimulus.noise
    refuse(path > 0, place, f"stimulus.noise = {path:g}", "networks whose cue is constant")
    fed = experiment.feed_forward.n_neurons
    refuse(fed > 0, place, f"feed_forward.n_neurons = {fed}", "networks without feed-forward neurons")
    missing = [name for name in (*SPIKES, "initial_state") if name not in trained]
    if missing:
        raise DataError(
            f"this Dataset has no {missing[0]!r}, which {place} needs: an older version wrote it, or the network "
            "diverged; train it again"
        )
    return experiment


def refuse_single_precision(experiment: Experiment, place: str) -> None:
    """A DataError if the neurons have a state in float32, which others do not have."""
    dtype = experiment.training.dtype
    rounded = experiment.neuron.facts.state_as_weights and dtype != "float64"
    refuse(rounded, place, f"training.dtype = {dtype}", "LIF neurons whose state is float64")


def refuse(refused: bool, place: str, what: str, allowed: str) -> None:
    """A DataError that says what is in the way and what would be allowed, if ``refused``."""
    if refused:
        raise DataError(f"{what}: {place} can only say {allowed}; nothing was written")
