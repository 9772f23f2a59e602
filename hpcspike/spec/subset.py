"""Which neurons of a network are trained, where that is not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hpcspike.spec.by_neuron import extremes
from hpcspike.spec.connectivity import BalancedConnectivity
from hpcspike.spec.fields import Section, is_multiple, quantity, whole_number
from hpcspike.spec.neurons import LifNeuron
from hpcspike.spec.recorded import RecordedTargets

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Experiment

_LEAST_NOISE = 0.02
"""Noise over threshold - reset from which on inputs of rates are right to a part in 10^8 between 0.01 and 300 Hz."""


class Subset(Section):
    """Train some excitatory neurons alone; all others keep nothing but their fixed synapses, and have no target.

    Each trained neuron receives ``connectivity.plastic_in_degree`` plastic synapses from other trained neurons, and as
    many from inhibitory ones.
    """

    population: Literal["excitatory"] = quantity("excitatory", doc="Which neurons are trained.")
    match: Literal["rate", "order"] | list[Annotated[int, Field(ge=0)]] = quantity(
        "rate",
        doc="Which neuron follows which recorded unit. 'rate': units in descending order of their mean rate each take "
        "the neuron whose spontaneous rate is nearest among those left; 'order': the first neurons in turn; or a list "
        "with a neuron for each unit.",
    )
    n_trained: int | None = whole_number(
        None, ge=2, doc="Number of trained neurons of generated targets; of recorded ones it is that of the units."
    )
    spontaneous_run_ms: float = quantity(
        3000.0,
        unit="ms",
        gt=0,
        doc="Length of the run without plastic synapses in which spontaneous rates are counted.",
    )
    sources: Literal["trained", "all"] = quantity(
        "trained", doc="Excitatory neurons that plastic synapses come from: other trained ones, or any others."
    )


def why_no_subset(experiment: Experiment) -> str | None:
    """What forbids to train a subset of the neurons of an experiment, or None."""
    subset, targets = experiment.training.subset, experiment.targets
    if subset is None:
        return None
    recorded = isinstance(targets, RecordedTargets)
    if not isinstance(experiment.connectivity, BalancedConnectivity):
        return (
            f"training.subset trains some excitatory neurons, but connectivity.kind = {experiment.connectivity.kind}; "
            "choose connectivity.kind: balanced"
        )
    if experiment.learner.kind != "rls":
        return f"training.subset has no effect with learner.kind = {experiment.learner.kind}; leave it out"
    if experiment.training.variable != "drive":
        return (
            f"training.subset with training.variable = {experiment.training.variable}: drives are trained in a subset; "
            "choose variable: drive (of recorded rates with targets.input_of_rate)"
        )
    if experiment.network.n_neurons is None:
        return "network.n_neurons is missing: the units decide which neurons are trained, not how many there are"
    if recorded == (subset.n_trained is not None):
        have = (
            "recorded units say how many there are; leave it out" if recorded else "give the number of trained neurons"
        )
        return f"training.subset.n_trained = {subset.n_trained}: {have}"
    if subset.n_trained is not None:
        reason = why_not_so_many(
            experiment, subset, subset.n_trained, f"training.subset.n_trained = {subset.n_trained}"
        )
        if reason is not None:
            return reason
    if subset.match != "order" and not recorded:
        return f"training.subset.match = {subset.match}: there are no recorded units to match; choose match: order"
    if subset.match == "rate" and isinstance(targets, RecordedTargets) and targets.holds != "rate":
        return (
            f"training.subset.match = rate goes by recorded rates, but targets.holds = {targets.holds}; give the rates "
            "with targets.input_of_rate, or choose match: order or a list of neurons"
        )
    if not is_multiple(subset.spontaneous_run_ms, experiment.neuron.step_ms):
        return (
            f"training.subset.spontaneous_run_ms = {subset.spontaneous_run_ms:g} ms is not a multiple of "
            f"neuron.step_ms = {experiment.neuron.step_ms:g} ms"
        )
    if targets.offset != "none":
        return f"training.subset with targets.offset = {targets.offset}: not applicable; choose offset: none"
    return None


def why_not_so_many(experiment: Experiment, subset: Subset, n_trained: int, what: str) -> str | None:
    """What forbids to train so many neurons (what: where their number comes from) of a balanced network, or None."""
    connectivity, size = experiment.connectivity, experiment.network.n_neurons
    assert isinstance(connectivity, BalancedConnectivity)
    assert size is not None
    excitatory, k = connectivity.populations(size)[0], connectivity.plastic_in_degree
    if n_trained > excitatory:
        return (
            f"{what}: excitatory neurons are trained, and {excitatory} of network.n_neurons = {size} are excitatory; "
            f"choose at most {excitatory}, or a larger network"
        )
    if subset.sources == "trained" and k >= n_trained:
        return (
            f"connectivity.plastic_in_degree = {k}: of {n_trained} trained neurons at most {n_trained - 1} others can "
            "be drawn; lower it, or choose training.subset.sources: all"
        )
    return None


def why_not_these(neurons: list[int], n_units: int, n_excitatory: int) -> str | None:
    """What forbids that these neurons, in turn, follow so many units, or None."""
    needed = f"must be {n_units} different neurons, one for each unit, from 0 to {n_excitatory - 1} (excitatory ones)"
    if len(neurons) != n_units:
        return f"training.subset.match names {len(neurons)} neurons for {n_units} units: {needed}"
    seen: set[int] = set()
    for neuron in neurons:
        if neuron in seen or neuron >= n_excitatory:
            wrong = "twice" if neuron in seen else "which is not excitatory"
            return f"training.subset.match names neuron {neuron}{' ' if neuron in seen else ', '}{wrong}: {needed}"
        seen.add(neuron)
    return None


def why_no_input_of_rate(experiment: Experiment) -> str | None:
    """What forbids to make drives of recorded rates, or leaves open what recorded drives are; None: nothing."""
    targets, neuron = experiment.targets, experiment.neuron
    if not isinstance(targets, RecordedTargets):
        return None
    if targets.input_of_rate is not None:
        for key, value, needed in (
            ("targets.holds", targets.holds, "rate"),
            ("training.variable", experiment.training.variable, "drive"),
            ("neuron.model", neuron.model, "lif"),
        ):
            if value != needed:
                return f"targets.input_of_rate needs {key} = {needed}, not {value}"
        if targets.includes_input is not None:
            return "targets.includes_input has no effect with targets.input_of_rate, whose drives are total inputs"
        assert isinstance(neuron, LifNeuron)
        own, sigma = neuron.by_neuron, targets.input_of_rate.sigma
        span = extremes(own.threshold, neuron.threshold)[1] - extremes(own.reset, neuron.reset)[0]
        if sigma < _LEAST_NOISE * span:
            return (
                f"targets.input_of_rate.sigma = {sigma:g}: so little noise makes the rate a step of the input, which "
                f"cannot be inverted; must be at least {_LEAST_NOISE * span:g} ({_LEAST_NOISE:g} of neuron.threshold - "
                "neuron.reset)"
            )
        return None
    if targets.includes_input is not None and targets.holds != "drive":
        return f"targets.includes_input has no effect: targets.holds = {targets.holds}; leave it out"
    connectivity = experiment.connectivity
    if targets.holds == "drive" and targets.includes_input is None and isinstance(connectivity, BalancedConnectivity):
        if connectivity.input_excitatory != 0.0 or connectivity.input_inhibitory != 0.0:
            return (
                "targets.includes_input is missing: say whether the recorded drives hold the constant external input "
                "(true: they are total inputs) or not (false)"
            )
    return None
