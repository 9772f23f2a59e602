"""Measures of recorded targets: over the recorded units alone, with the rates that a correlation does not see."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hpcspike.measures.spectrum import index_of_powers

SILENT_BELOW_HZ, ASKED_ABOVE_HZ = 1.0, 5.0
"""A recorded unit counts as silent if its model fires less than the first, but its data more than the second."""


_IN_BINS = {
    "correlation_50ms_recorded": "binned_50",
    "correlation_100ms_recorded": "binned_100",
    "ceiling_50ms_recorded": "ceiling_50",
    "ceiling_100ms_recorded": "ceiling_100",
    "data_ceiling_50ms_recorded": "data_ceiling_50",
    "data_ceiling_100ms_recorded": "data_ceiling_100",
    "other_condition_100ms_recorded": "other_100",
}
"""Scalars of `hpcspike.variables.BINNED_RESULTS`, and the measure of each unit whose mean they are."""


def recorded_scalars(
    of_neurons: Mapping[str, np.ndarray], n_recorded: int, *, rate_targets: bool
) -> dict[str, float | int]:
    """Scalars of `hpcspike.variables.POINT_RESULTS` that are about recorded units; those of drives have no rates.

    Parameters
    ----------
    of_neurons
        Measures of all neurons, (sets, N) each: correlation, mean_correlation, fast, power, target_fast,
        target_power, rate_hz; of rate targets also phi, target_rate_hz, rms_error in Hz, unreachable.
    n_recorded
        Number of neurons that follow a recorded unit, the first ones.
    rate_targets
        Whether the targets are rates.
    """
    if not n_recorded:
        return {"n_recorded": 0}
    recorded = {name: values[:, :n_recorded] for name, values in of_neurons.items()}
    auxiliary = of_neurons["correlation"][:, n_recorded:]
    found: dict[str, float | int] = {
        "n_recorded": n_recorded,
        "correlation_recorded": float(recorded["correlation"].mean()),
        "correlation_recorded_sd": float(recorded["correlation"].std()),
        "correlation_auxiliary": float(auxiliary.mean()) if auxiliary.size else math.nan,
        "correlation_trial_mean_recorded": float(recorded["mean_correlation"].mean()),
        "spectral_index_recorded": index_of_powers(recorded),
        "rate_recorded": float(recorded["rate_hz"].mean()),
    }
    if not rate_targets:
        return found
    model, data = recorded["rate_hz"].mean(axis=0), recorded["target_rate_hz"].mean(axis=0)
    found |= {
        scalar: float(np.nanmean(recorded[name])) if np.isfinite(recorded[name]).any() else math.nan
        for scalar, name in _IN_BINS.items()
        if name in recorded
    }
    return found | {
        "correlation_phi_recorded": float(recorded["phi"].mean()),
        "target_rate_recorded": float(data.mean()),
        "rms_error_recorded": math.sqrt(float((recorded["rms_error"] ** 2).mean())),
        "n_silent_recorded": float(((model < SILENT_BELOW_HZ) & (data > ASKED_ABOVE_HZ)).sum()),
        "unreachable_share_recorded": float(recorded["unreachable"].mean()),
    }
