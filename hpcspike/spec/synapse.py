"""Synapses: how fast their drives decay, when weights act, and how long spikes take."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from hpcspike.spec.by_neuron import SynapseByNeuron
from hpcspike.spec.fields import GrownSection, is_multiple, n_steps, quantity
from hpcspike.spec.neurons import Neuron

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Experiment

DELAYS = ("delay_ms", "static_delay_ms", "feed_forward_delay_ms")
"""Keys of the delays, that of the plastic synapses first."""
_LONGEST_STEPS = 1000


class DelaySteps(NamedTuple):
    """Steps from a spike to the step whose neurons are moved by it, of each group of synapses; 1 is the least."""

    plastic: int
    static: int
    feed_forward: int


class Synapse(GrownSection):
    """Exponential synapses (paper Eqs 6-8)."""

    later_keys: ClassVar[tuple[str, ...]] = ("static_tau_inhibitory_ms", "decay", *DELAYS, "by_neuron")

    tau_syn_ms: float = quantity(20.0, unit="ms", gt=0, paper="Eq 7", doc="Decay time tau_s of plastic synapses.")
    static_tau_syn_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="Decay time of fixed synapses; default: tau_syn_ms."
    )
    weight_acts: Literal["at_once", "at_spikes"] = quantity(
        "at_once",
        paper="Eqs 6, 8",
        doc="Whether a weight change acts on u at once (u = W r, as trained in the paper) or on later spikes only.",
    )
    static_tau_inhibitory_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="Decay time of fixed synapses from inhibitory neurons; default: as all fixed ones."
    )
    decay: Literal["rk4", "euler"] = quantity(
        "rk4", doc="How r and u decay in a step: by Runge-Kutta 4, or by the factor 1 - dt / tau_s of forward Euler."
    )
    delay_ms: float | None = quantity(
        None,
        unit="ms",
        gt=0,
        doc="From a spike until it moves the neurons behind plastic synapses, whole steps; default: one step.",
    )
    static_delay_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="The same of fixed synapses; default: as the plastic ones."
    )
    feed_forward_delay_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="The same of synapses from a feed-forward population; default: as the plastic ones."
    )

    by_neuron: SynapseByNeuron = quantity(SynapseByNeuron(), doc="What differs between neurons, of plastic synapses.")

    @property
    def decays_differ(self) -> bool:
        """Whether plastic synapses of single neurons have decay times of their own."""
        return self.by_neuron.tau_syn_ms is not None

    def delay_steps(self, step_ms: float) -> DelaySteps:
        """The delays in steps of step_ms (ms)."""
        plastic = self.delay_ms or step_ms
        others = (self.static_delay_ms or plastic, self.feed_forward_delay_ms or plastic)
        return DelaySteps(*(n_steps(delay, step_ms) for delay in (plastic, *others)))


def why_no_such_delay(synapse: Synapse, step_ms: float) -> str | None:
    """What is wrong with the length of a delay (synapse), for steps of step_ms (ms), or None."""
    for key in DELAYS:
        delay = getattr(synapse, key)
        if delay is None:
            continue
        if not is_multiple(delay, step_ms) or delay < step_ms / 2:
            return (
                f"synapse.{key} = {delay:g} ms is not a multiple of neuron.step_ms = {step_ms:g} ms; choose one step "
                "or several"
            )
        if delay > _LONGEST_STEPS * step_ms:
            return (
                f"synapse.{key} = {delay:g} ms: spikes in flight are kept step by step; must be at most "
                f"{_LONGEST_STEPS} steps = {_LONGEST_STEPS * step_ms:g} ms"
            )
    return None


def why_undelayed(experiment: Experiment) -> str | None:
    """What makes the delays of an experiment impossible or meaningless, or None."""
    synapse = experiment.synapse
    given = {key: getattr(synapse, key) for key in DELAYS if getattr(synapse, key) is not None}
    if not given:
        return None
    key, value = next(iter(given.items()))
    if experiment.learner.kind != "rls":
        return (
            f"synapse.{key} = {value:g} ms has no effect with learner.kind = {experiment.learner.kind}, whose spikes "
            "act in the next step; leave it out, or choose learner.kind: rls"
        )
    if "static_delay_ms" in given and experiment.connectivity.kind != "balanced":
        return (
            f"synapse.static_delay_ms = {given['static_delay_ms']:g} ms has no effect: connectivity.kind = "
            f"{experiment.connectivity.kind} has no fixed synapses; leave it out"
        )
    if "feed_forward_delay_ms" in given and experiment.feed_forward.n_neurons == 0:
        return (
            f"synapse.feed_forward_delay_ms = {given['feed_forward_delay_ms']:g} ms has no effect: "
            "feed_forward.n_neurons = 0; leave it out"
        )
    return None


def why_late(synapse: Synapse, step_ms: float, variable: str) -> str | None:
    """What forbids to train a variable through plastic synapses (synapse) and steps of step_ms (ms), or None."""
    if variable == "rate" and synapse.delay_steps(step_ms).plastic > 1:
        return (
            f"synapse.delay_ms = {synapse.delay_ms:g} ms: training.variable = rate compares r with its target at once, "
            "but r is counted where spikes arrive; choose training.variable: drive, or leave the delay out"
        )
    return None


def why_unconnectable(neuron: Neuron, synapse: Synapse) -> str | None:
    """What forbids to join neurons of this model (neuron) by such synapses (synapse), or None."""
    if neuron.facts.spikes:
        return why_no_such_delay(synapse, neuron.step_ms)
    if synapse.weight_acts == "at_spikes":
        return f"synapse.weight_acts = at_spikes: units of neuron.model = {neuron.model} do not spike; choose at_once"
    for key in ("static_tau_syn_ms", "static_tau_inhibitory_ms"):
        if getattr(synapse, key) is not None:
            return (
                f"synapse.{key} = {getattr(synapse, key):g} ms has no effect: units of neuron.model = {neuron.model} "
                "have no synaptic filter; leave it out"
            )
    for key in DELAYS:
        if getattr(synapse, key) is not None:
            return (
                f"synapse.{key} = {getattr(synapse, key):g} ms: units of neuron.model = {neuron.model} do not spike; "
                "leave it out"
            )
    if synapse.decays_differ:
        return (
            f"synapse.by_neuron.tau_syn_ms has no effect: units of neuron.model = {neuron.model} have no synaptic "
            "filter; leave it out"
        )
    if synapse.decay != "rk4":
        return (
            f"synapse.decay = {synapse.decay} has no effect: units of neuron.model = {neuron.model} have no synaptic "
            "filter; leave it out"
        )
    return None
