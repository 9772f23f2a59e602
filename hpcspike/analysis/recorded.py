"""Results of recorded targets as those of the recorded units, without the auxiliary neurons beside them."""

from __future__ import annotations

import numpy as np
import xarray as xr

OF_RECORDED = {
    "correlation": "correlation_recorded",
    "correlation_sd": "correlation_recorded_sd",
    "correlation_trial_mean": "correlation_trial_mean_recorded",
    "correlation_phi": "correlation_phi_recorded",
    "spectral_index": "spectral_index_recorded",
    "population_rate": "rate_recorded",
}
"""Result over all neurons -> that over the recorded units."""

OVER = "recorded units"


def over_recorded(results: xr.Dataset) -> xr.Dataset:
    """The results with those of the recorded units in the place of those of all neurons.

    Parameters
    ----------
    results
        A sweep, the numbers of a study, or one network: results by the names of `hpcspike.variables.POINT_RESULTS`.

    Returns
    -------
    Dataset
        Where ``n_recorded`` is above 0, the variables of `OF_RECORDED` are those of the recorded units, which their
        ``long_name`` says, and so does the attribute ``judged``. Everything else, and a Dataset without recorded units,
        is as it was.
    """
    if not has_recorded(results):
        return results
    recorded = results["n_recorded"] > 0
    there = {name: other for name, other in OF_RECORDED.items() if name in results and other in results}
    changed = {}
    for name, other in there.items():
        attributes = {**results[name].attrs, "long_name": f"{results[name].attrs.get('long_name', name)}, {OVER}"}
        changed[name] = xr.where(recorded, results[other], results[name]).assign_attrs(attributes)
    return results.assign(changed).assign_attrs(judged=OVER)


def has_recorded(results: xr.Dataset) -> bool:
    """Whether any network of the results has recorded targets, judged by units of its own."""
    return "n_recorded" in results and bool(np.any(results["n_recorded"].values > 0))
