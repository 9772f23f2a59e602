"""From what an experiment says of single neurons to one number for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.model.random_streams import stream
from hpcspike.spec.by_neuron import CUT, NormalValues, OwnValues, PopulationValues, why_not_of_each
from hpcspike.spec.fields import Section

S = TypeVar("S", bound=Section)


def with_numbers(section: S, where: str, *, n_neurons: int, n_excitatory: int | None, key: tuple[int, int]) -> S:
    """A section with a list of N numbers for each value that differs between neurons (its part ``by_neuron``).

    where: name of the section; n_excitatory: number of excitatory neurons, which come first, where populations are told
    apart; key: seed and replicate. The same on every rank.

    Raises
    ------
    SpecError
        If a list has not N numbers, or there are no populations to have a value each.
    """
    own = getattr(section, "by_neuron", None)
    if own is None:
        return section
    reason = why_not_of_each(own, f"{where}.by_neuron", n_neurons, populations=n_excitatory is not None)
    if reason is not None:
        raise SpecError(reason)
    made = {}
    for number, name in enumerate(type(own).model_fields):
        values = getattr(own, name)
        if values is not None and not isinstance(values, tuple):
            made[name] = tuple(_drawn(values, number, n_neurons, n_excitatory or 0, key))
    return section.changed({"by_neuron": own.changed(made)}) if made else section


def _drawn(values: OwnValues, number: int, n_neurons: int, n_excitatory: int, key: tuple[int, int]) -> list[float]:
    """(N,) values; number: place of the quantity in its section, which keeps the draws of several apart."""
    if isinstance(values, PopulationValues):
        return [values.excitatory] * n_excitatory + [values.inhibitory] * (n_neurons - n_excitatory)
    assert isinstance(values, NormalValues)
    found = []
    for neuron in range(n_neurons):
        rng = stream(*key, "neuron_value", neuron, number)
        draw = rng.standard_normal()
        while abs(draw) > CUT:
            draw = rng.standard_normal()
        found.append(values.mean + values.standard_deviation * draw)
    return found


def values_of(values: OwnValues, shared: float, neurons: Sequence[int] | np.ndarray) -> np.ndarray:
    """Values (n,) of some neurons from N numbers, see `with_numbers`; ``shared`` where there are none."""
    if values is None:
        return np.full(len(neurons), shared)
    assert isinstance(values, tuple)
    return np.array(values, dtype=np.float64)[np.asarray(neurons, dtype=np.int64)]
