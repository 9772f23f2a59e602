"""Spikes for Neo, and so for Elephant and all that takes Neo's objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.analysis.units import said_of, unit_coordinates
from hpcspike.checks import shown
from hpcspike.errors import DataError, ResourceError
from hpcspike.exchange.spike_trains import recorded_span, trials
from hpcspike.takes_results import takes_results

if TYPE_CHECKING:
    import xarray as xr


@takes_results
def to_neo(trained: xr.Dataset, *, neurons: Sequence[int] | None = None) -> Any:
    """The spikes of a trained network as a `neo.Block`.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    neurons
        Numbers of the neurons to take; default: all.

    Returns
    -------
    neo.Block
        One segment per target set and test trial, with one spike train per neuron in ms: 0 is the end of the cue,
        ``t_start`` its begin, ``t_stop`` the end of the trained window. Segments and spike trains are annotated with
        ``target_set`` and ``trial``, spike trains with ``neuron`` and what the recording says of the unit that it
        follows (``unit_name`` and others); the epoch ``periods`` of a segment tells cue and window. A group per neuron
        holds its spike trains of all trials.

    Raises
    ------
    DataError
        If the Dataset holds no spikes, or has no such neuron.
    ResourceError
        If Neo is not installed.

    Examples
    --------
    >>> block = to_neo(hpcspike.run(experiment))                                       # doctest: +SKIP
    >>> elephant.statistics.mean_firing_rate(block.segments[0].spiketrains[3])         # doctest: +SKIP
    """
    try:
        import neo
        import quantities as pq
    except ModuleNotFoundError:
        raise ResourceError("to_neo needs Neo; install it with: pip install 'hpcspike[neo]'") from None
    n_neurons = trained.sizes.get("neuron", 0)
    chosen = list(range(n_neurons) if neurons is None else neurons)
    if not all(isinstance(neuron, (int, np.integer)) for neuron in chosen):
        raise DataError(f"neurons = {shown(neurons)}: must be a list of numbers of neurons")
    unknown = [neuron for neuron in chosen if not 0 <= neuron < n_neurons]
    if unknown:
        raise DataError(f"neurons = {unknown[0]}: the network has the neurons 0 to {n_neurons - 1}")
    block = neo.Block(name=str(trained.attrs.get("name", "hpcspike")), description="simulated spikes of hpcspike")
    block.annotate(**{key: trained.attrs[key] for key in ("experiment_hash", "experiment") if key in trained.attrs})
    units = unit_coordinates(trained)
    said = {neuron: said_of(units, neuron) for neuron in chosen}
    groups = {neuron: neo.Group(name=f"neuron {neuron}", neuron=neuron) for neuron in chosen}
    for neuron, group in groups.items():
        group.annotate(**said[neuron])
    recorded = list(trials(trained))
    begin, end = recorded_span(trained)
    for one in recorded:
        which = {"target_set": one.target_set, "trial": one.trial}
        segment = neo.Segment(name=f"target set {one.target_set}, trial {one.trial}", **which)
        for neuron in chosen:
            train = neo.SpikeTrain(
                one.times[neuron],
                units="ms",
                t_start=begin,
                t_stop=end,
                name=f"neuron {neuron}",
                neuron=neuron,
                **which,
            )
            train.annotate(**said[neuron])
            segment.spiketrains.append(train)
            groups[neuron].spiketrains.append(train)
        segment.epochs.append(
            neo.Epoch(
                times=np.array([begin, 0.0]) * pq.ms, durations=np.array([-begin, end]) * pq.ms,
                labels=np.array(["cue", "window"]), name="periods",
            )
        )  # fmt: skip
        block.segments.append(segment)
    block.groups.extend(groups.values())
    block.check_relationships()
    return block
