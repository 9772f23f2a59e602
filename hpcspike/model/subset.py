"""Matching of recorded units to the neurons of a network that are to follow them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.model.recordings import Recording
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import Experiment


class TrainedSubset(NamedTuple):
    """Who is trained: neuron (n_T,) follows row unit (n_T,) of the recording, or of targets that are generated.

    spontaneous_hz: (n_E,) rates of the excitatory neurons without plastic synapses; empty if they were not needed.
    """

    unit: np.ndarray
    neuron: np.ndarray
    spontaneous_hz: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def neuron_of_unit(self) -> np.ndarray:
        """(n_T,) the neuron that follows unit 0, 1, ... of the recording."""
        return self.neuron[np.argsort(self.unit)]


def matched_by_rate(spontaneous_hz: np.ndarray, unit_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Units in descending order of their rate, and the neuron that each takes: the nearest in rate of those left.

    Equal units keep their order; of equally near neurons the first is taken.
    """
    order = np.argsort(-unit_hz, kind="stable")
    left, taken = spontaneous_hz.astype(np.float64).copy(), np.empty(len(order), dtype=np.int64)
    for place, unit in enumerate(order):
        taken[place] = np.argmin(np.abs(left - unit_hz[unit]))
        left[taken[place]] = np.inf
    return order, taken


def subset_of(experiment: Experiment, recording: Recording | None, spontaneous_hz: np.ndarray) -> TrainedSubset:
    """The neurons that an experiment trains; spontaneous_hz (n_E,) is looked at if they are matched by rate."""
    subset = experiment.training.subset
    assert subset is not None
    count = subset.n_trained if recording is None else len(recording.values)
    assert count is not None
    if subset.match == "rate":
        assert recording is not None
        known = [one.mean_rates_hz for one in recording.conditions if one.mean_rates_hz is not None]
        unit_hz = np.asarray(np.mean(known, axis=0))
        return TrainedSubset(*matched_by_rate(spontaneous_hz, unit_hz), spontaneous_hz)
    if subset.match == "order":
        return TrainedSubset(np.arange(count), np.arange(count), np.empty(0))
    return TrainedSubset(np.arange(count), np.array(subset.match, dtype=np.int64), np.empty(0))


def subset_in(matched_unit: np.ndarray, spontaneous_hz: np.ndarray | None) -> TrainedSubset:
    """The subset of which `subset_columns` gave these columns (N,), in ascending order of the neurons."""
    neuron = np.flatnonzero(matched_unit >= 0)
    known = np.empty(0) if spontaneous_hz is None else spontaneous_hz[~np.isnan(spontaneous_hz)]
    return TrainedSubset(matched_unit[neuron].astype(np.int64), neuron, known)


def subset_columns(subset: TrainedSubset, n_neurons: int) -> dict[str, np.ndarray]:
    """What a Dataset says of who is trained, by the names of `hpcspike.variables.TRAINED`."""
    unit = np.full(n_neurons, -1, dtype=np.int32)
    unit[subset.neuron] = subset.unit
    if not len(subset.spontaneous_hz):
        return {"matched_unit": unit}
    rate = np.full(n_neurons, np.nan)
    rate[: len(subset.spontaneous_hz)] = subset.spontaneous_hz
    return {"matched_unit": unit, "spontaneous_rate": rate}
