"""A trained network from its file, live."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from hpcspike.checks import path as checked_path
from hpcspike.errors import DataError
from hpcspike.live.engine_network import EngineNetwork
from hpcspike.live.learner_network import LearnerNetwork
from hpcspike.live.network import Network
from hpcspike.runs.restore import experiment_in
from hpcspike.sweep.reading import open_network


def live_network(source: str | Path | xr.Dataset, *, run_user_code: bool = False) -> Network:
    """A trained network from its file, or from its Dataset in memory.

    Parameters
    ----------
    source
        What ``hpcspike train --out`` wrote (``.zarr`` or ``.nc``), or the Dataset of `hpcspike.run`,
        `hpcspike.retrain` or `hpcspike.open_network`. Nothing else is read: no recording, no checkpoint.
    run_user_code
        Whether a neuron model or learner of a user's own that the file names may be run; look at it before.

    Returns
    -------
    Network
        Its test trials have the bits of those that the file holds. All is done on one rank.

    Raises
    ------
    StoreError
        If there is no such network, or it needs code that may not be run.
    DataError
        If the Dataset lacks what makes the network.
    """
    if isinstance(source, xr.Dataset):
        network = source
    else:
        network = open_network(checked_path("source", source))
    if "neuron" not in network.dims:
        raise DataError("source has no dimension 'neuron': it must be the Dataset of one trained network")
    experiment = experiment_in(network, run_user_code=run_user_code)
    if experiment.learner.kind == "rls":
        return EngineNetwork.of(network, experiment)
    return LearnerNetwork.of(network, experiment)
