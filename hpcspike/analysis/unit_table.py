"""The recorded units of a trained network, one row per unit and condition."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.takes_results import takes_results

COLUMNS = {
    "correlation_50ms": "neuron_correlation_50ms",
    "correlation_100ms": "neuron_correlation_100ms",
    "ceiling_50ms": "neuron_ceiling_50ms",
    "ceiling_100ms": "neuron_ceiling_100ms",
    "data_ceiling_50ms": "neuron_data_ceiling_50ms",
    "data_ceiling_100ms": "neuron_data_ceiling_100ms",
    "other_condition_100ms": "neuron_other_condition_100ms",
    "rms_error": "neuron_rms_error",
    "data_rate": "neuron_target_rate",
    "model_rate": "neuron_rate",
}
"""Measures of each unit, and the variables of a network's Dataset that they are."""


@takes_results
def recorded_units(trained: xr.Dataset) -> xr.Dataset:
    """Every recorded unit against its data, in every condition.

    Parameters
    ----------
    trained
        Dataset of one network that was trained on recorded rates.

    Returns
    -------
    Dataset
        Dimensions (target_set, neuron), recorded units only, with ``unit_name`` and, of several conditions,
        ``condition``: correlation of the trial average with the data in bins of 50 and 100 ms; the highest that the
        model's trials allow (``ceiling_*``: split halves) and, where the file holds single trials, the data's
        (``data_ceiling_*``); correlation with the data of the other conditions; rms error and mean rates in Hz. What a
        Dataset does not have is left out.

    Raises
    ------
    DataError
        If no neuron follows a recorded unit, or its rates were not trained.
    """
    of_subset = "matched_unit" in trained and "unit_name" in trained
    if not of_subset and ("recorded" not in trained or not bool(np.any(trained["recorded"].values))):
        raise DataError("no neuron of this Dataset follows a recorded unit: give a network trained on recorded rates")
    if "neuron_target_rate" not in trained:
        raise DataError("this network was trained on drives, which have no rates to compare")
    units = trained.isel(neuron=np.flatnonzero(trained["recorded"].values.astype(bool)))
    table = {name: units[variable] for name, variable in COLUMNS.items() if variable in units}
    return xr.Dataset(table).drop_vars(["recorded"], errors="ignore")


def set_names_of(trained: xr.Dataset) -> list[str]:
    """What the target sets of a network are called: by their recorded conditions, else by number."""
    if "condition" in trained.coords or "condition" in trained:
        return [str(name) for name in trained["condition"].values]
    return [f"target set {number + 1}" for number in range(trained.sizes.get("target_set", 1))]
