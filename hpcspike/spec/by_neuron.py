"""Values that differ between the neurons of a network: a number for each, for each population, or a distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Annotated, Any

from pydantic import BeforeValidator, Strict

from hpcspike.spec.fields import Section, quantity


class PopulationValues(Section):
    """One value for all excitatory neurons and one for all inhibitory ones."""

    excitatory: float = quantity(doc="Value of excitatory neurons.")
    inhibitory: float = quantity(doc="Value of inhibitory neurons.")


class NormalValues(Section):
    """Normally distributed values, drawn once for each neuron; those beyond two s.d. are drawn anew."""

    mean: float = quantity(doc="Mean.")
    standard_deviation: float = quantity(ge=0, doc="Standard deviation of the normal distribution before it is cut.")


def _well_formed(values: Any) -> Any:
    # before the forms are tried in turn, which would give a message for each of them
    if isinstance(values, (type(None), PopulationValues, NormalValues)):
        return values
    keys = [set(form.model_fields) for form in (PopulationValues, NormalValues)]
    numbers = list(values.values()) if isinstance(values, Mapping) and set(values) in keys else values
    if not isinstance(numbers, (list, tuple)):
        raise ValueError(
            "must be N numbers, {excitatory: NUMBER, inhibitory: NUMBER} or {mean: NUMBER, standard_deviation: NUMBER}"
        )
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
            raise ValueError(f"holds {number!r}: must be finite numbers")
    if isinstance(values, Mapping) and values.get("standard_deviation", 0.0) < 0:
        raise ValueError("standard_deviation must be 0 or more")
    return values


NumberOfEach = Annotated[tuple[float, ...], Strict(False)]
OwnValues = Annotated[NumberOfEach | PopulationValues | NormalValues | None, BeforeValidator(_well_formed)]
CUT = 2.0
"""Normal values lie within so many standard deviations."""


class LifByNeuron(Section):
    """Values of single leaky integrate-and-fire neurons: N numbers, one for each population, or a distribution."""

    threshold: OwnValues = quantity(None, doc="A neuron spikes when v passes this.")
    reset: OwnValues = quantity(None, doc="v after a spike.")
    tau_ms: OwnValues = quantity(
        None, unit="ms", doc="Membrane time constants; the unit of time of r stays neuron.tau_ms."
    )


MOST_DECAYS = 16
"""So many decay times there may be: r is kept once for each."""


class SynapseByNeuron(Section):
    """Decay times of the plastic synapses onto single neurons."""

    tau_syn_ms: OwnValues = quantity(
        None, unit="ms", doc=f"N numbers, at most {MOST_DECAYS} different ones, or one for each population."
    )


def why_no_decays_of_each(section: SynapseByNeuron, step_ms: float, variable: str) -> str | None:
    """What forbids decay times of single neurons (section), for steps of step_ms (ms) and what is trained, or None."""
    own, key = section.tau_syn_ms, "synapse.by_neuron.tau_syn_ms"
    if own is None:
        return None
    if isinstance(own, NormalValues):
        return (
            f"{key} is normally distributed, but r is kept once for each decay time; give a value for each population, "
            "or N numbers"
        )
    if isinstance(own, tuple) and len(set(own)) > MOST_DECAYS:
        return (
            f"{key} has {len(set(own))} different numbers: r is kept once for each decay time; must be at most "
            f"{MOST_DECAYS} different ones"
        )
    shortest = extremes(own, step_ms)[0]
    if shortest < step_ms:
        return f"{key}: the shortest is {shortest:g} ms; must be at least neuron.step_ms = {step_ms:g} ms"
    if variable == "rate":
        return (
            f"{key}: training.variable = rate trains r, of which there is one for each decay time; choose "
            "training.variable: drive, or leave it out"
        )
    return None


def extremes(values: OwnValues, shared: float) -> tuple[float, float]:
    """The least and the largest value that a neuron may have; ``shared``: that of all, where there are no own ones."""
    if values is None:
        return shared, shared
    if isinstance(values, tuple):
        return min(values, default=shared), max(values, default=shared)
    if isinstance(values, PopulationValues):
        return min(values.excitatory, values.inhibitory), max(values.excitatory, values.inhibitory)
    reach = CUT * values.standard_deviation
    return values.mean - reach, values.mean + reach


def why_not_of_each(section: Section, where: str, n_neurons: int | None, *, populations: bool) -> str | None:
    """What forbids own values (section, at the key where) in a network of N neurons (None: not known yet), or None."""
    for name in type(section).model_fields:
        values = getattr(section, name)
        if isinstance(values, tuple) and n_neurons not in (None, len(values)):
            return f"{where}.{name} has {len(values)} numbers: must be one for each of the {n_neurons} neurons"
        if isinstance(values, PopulationValues) and not populations:
            return (
                f"{where}.{name} has a value for each population, but there are none in this network; choose "
                "connectivity.kind: balanced or dale, or give N numbers"
            )
    return None
