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

OF_DATA = ("correlation_", "ceiling_", "data_ceiling_", "other_condition_")
"""Beginnings of the columns that say nothing where the data do not vary."""


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
        Dataset does not have is left out. Where the data of a unit are constant in a condition, as of one that never
        fired, there is no correlation with them and no ceiling: NaN. A ceiling of 0 is one whose halves do not agree.

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
    if "target" in units:
        varies = ~constant_data(units)
        # another condition's data vary where those of all conditions, less its own, do
        other_varies = varies.sum("target_set") - varies > 0
        for name in [name for name in table if name.startswith(OF_DATA)]:
            has_value = other_varies if name.startswith("other_condition") else varies
            table[name] = table[name].where(has_value).assign_attrs(table[name].attrs)
    return xr.Dataset(table).drop_vars(["recorded"], errors="ignore")


def constant_data(units: xr.Dataset) -> xr.DataArray:
    """Where the data that a unit is to follow do not vary in time, so that nothing correlates with them."""
    target = units["target"]
    return target.max("time") == target.min("time")


def set_names_of(trained: xr.Dataset) -> list[str]:
    """What the target sets of a network are called: by their recorded conditions, else by number."""
    if "condition" in trained.coords or "condition" in trained:
        return [str(name) for name in trained["condition"].values]
    return [f"target set {number + 1}" for number in range(trained.sizes.get("target_set", 1))]
