"""The spikes of a trained network's Dataset, by trial and neuron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcspike.errors import DataError

if TYPE_CHECKING:
    import xarray as xr


class Trial(NamedTuple):
    """One test trial: which it is, and the spike times in ms from the end of the cue, one array per neuron."""

    target_set: int
    trial: int
    times: list[np.ndarray]


def recorded_span(trained: xr.Dataset) -> tuple[float, float]:
    """Begin and end of what is recorded of a trial, in ms from the end of the cue: from the cue's begin to T."""
    from hpcspike.analysis.neurons import experiment_of

    cue_ms = float(experiment_of(trained).get("stimulus", {}).get("duration_ms", 0.0))
    times = trained["spike_time"].values
    # not further than where the last spike is: it is a sum of rounded steps
    return min(-cue_ms, float(times.min(initial=0.0))), max(float(trained["time"].values[-1]), times.max(initial=0.0))


def trials(trained: xr.Dataset) -> Iterator[Trial]:
    """All recorded trials, those of the first target set first.

    Raises
    ------
    DataError
        If the Dataset holds no spikes.
    """
    spikes = _spikes(trained)
    n_neurons = trained.sizes["neuron"]
    for target_set in range(trained.sizes["target_set"]):
        of_set = spikes["spike_set"] == target_set
        for trial in range(trained.sizes["trial"]):
            here = of_set & (spikes["spike_trial"] == trial)
            neuron, time = spikes["spike_neuron"][here], spikes["spike_time"][here]
            order = np.lexsort((time, neuron))
            bounds = np.searchsorted(neuron[order], np.arange(1, n_neurons))
            yield Trial(target_set, trial, np.split(time[order], bounds))


def _spikes(trained: xr.Dataset) -> dict[str, np.ndarray]:
    from hpcspike.analysis.neurons import experiment_of

    names = ("spike_time", "spike_neuron", "spike_trial", "spike_set")
    missing = [name for name in names if name not in trained]
    rate_units = experiment_of(trained).get("neuron", {}).get("model") == "tanh"
    if missing or rate_units:
        why = "units of neuron.model = tanh do not spike" if rate_units else f"it has no {missing[0]!r}"
        raise DataError(
            f"this Dataset holds no spikes ({why}); give that of one trained network of spiking neurons that did not "
            "diverge, from 'hpcspike train', hpcspike.run or hpcspike.retrain"
        )
    return {name: trained[name].values for name in names}
