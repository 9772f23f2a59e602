"""Power spectra of the targets and responses of one trained network."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hpcspike.analysis.neurons import require_time_courses
from hpcspike.errors import DataError
from hpcspike.takes_results import takes_results
from hpcspike.variables import ANALYSIS, ANALYSIS_COORDINATES


@takes_results
def power_spectrum(trained: xr.Dataset) -> xr.Dataset:
    """Power spectral density of target and response, averaged over neurons, target sets and trials.

    Parameters
    ----------
    trained
        Dataset of one trained network with ``target`` (target_set, neuron, time) and ``response`` (target_set, trial,
        neuron, time).

    Returns
    -------
    Dataset
        ``power_target`` and ``power_response`` along ``frequency`` (Hz, without 0): periodograms of the window with the
        mean removed, in the squared unit of the target per Hz. Lazy if the network's Dataset is.

    Raises
    ------
    DataError
        If a variable is missing, or the window has fewer than four samples.
    """
    require_time_courses(trained)
    time = trained["time"].values.astype(np.float64)
    if len(time) < 4:
        raise DataError(f"the window has {len(time)} samples; a spectrum needs at least 4")
    step_s = (time[1] - time[0]) / 1000.0
    frequency = np.fft.rfftfreq(len(time), d=step_s)[1:]
    spectra: dict[str, xr.DataArray] = {}
    for name in ("target", "response"):
        units = _per_hertz(str(trained[name].attrs.get("units", "1")))
        attrs = {**ANALYSIS[f"power_{name}"].attrs, "units": units}
        trials = [trained[name]] if name == "target" else [one for _, one in trained[name].groupby("trial")]
        # trial by trial: the transform of a whole recording in 20 trials would take gigabytes
        densities = [_mean_density(trial, step_s, len(frequency)) for trial in trials]
        spectra[f"power_{name}"] = (sum(densities[1:], start=densities[0]) / len(densities)).assign_attrs(attrs)
    coordinate = ("frequency", frequency, ANALYSIS_COORDINATES["frequency"].attrs)
    return xr.Dataset(spectra, coords={"frequency": coordinate})


def _mean_density(array: xr.DataArray, step_s: float, n_frequencies: int) -> xr.DataArray:
    density = xr.apply_ufunc(
        _density,
        array,
        input_core_dims=[["time"]],
        output_core_dims=[["frequency"]],
        kwargs={"step_s": step_s},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"frequency": n_frequencies}, "allow_rechunk": True},
    )
    return density.mean([dim for dim in density.dims if dim != "frequency"])


def _density(values: np.ndarray, *, step_s: float) -> np.ndarray:
    n = values.shape[-1]
    power = np.abs(np.fft.rfft(values - values.mean(axis=-1, keepdims=True), axis=-1)) ** 2 * (step_s / n)
    power[..., 1:] *= 2.0  # one-sided
    if n % 2 == 0:
        power[..., -1] /= 2.0
    return np.asarray(power[..., 1:])


def _per_hertz(units: str) -> str:
    return {"1": "Hz^-1", "Hz": "Hz^2 Hz^-1"}.get(units, f"({units})^2 Hz^-1")
