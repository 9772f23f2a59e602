"""How well every single neuron of a trained network follows its target."""

from __future__ import annotations

import xarray as xr

from hpcspike.errors import DataError
from hpcspike.variables import ANALYSIS


def neuron_correlation(trained: xr.Dataset) -> xr.Dataset:
    """Pearson correlation of response and target of every neuron, over the trained window.

    Parameters
    ----------
    trained
        Dataset of one trained network with ``target`` (target_set, neuron, time) and ``response`` (target_set, trial,
        neuron, time).

    Returns
    -------
    Dataset
        ``correlation_single_trial`` (mean over trials of the correlation of one trial) and
        ``correlation_trial_averaged`` (correlation of the mean over trials), both (target_set, neuron); NaN where target
        or response is constant. Lazy if the network's Dataset is.

    Raises
    ------
    DataError
        If a variable is missing.
    """
    for name in ("target", "response"):
        if name not in trained:
            raise DataError(f"this Dataset has no {name!r}; give the Dataset of one trained network")
    target, response = trained["target"], trained["response"]
    measures = {
        "correlation_single_trial": _pearson(response, target).mean("trial"),
        "correlation_trial_averaged": _pearson(response.mean("trial"), target),
    }
    return xr.Dataset(
        {n: a.transpose("target_set", "neuron").assign_attrs(ANALYSIS[n].attrs) for n, a in measures.items()}
    )


def _pearson(left: xr.DataArray, right: xr.DataArray) -> xr.DataArray:
    left = left.astype("float64") - left.mean("time", dtype="float64")
    right = right.astype("float64") - right.mean("time", dtype="float64")
    norm = (left**2).sum("time") * (right**2).sum("time")
    return (left * right).sum("time") / (norm.where(norm > 0)) ** 0.5
