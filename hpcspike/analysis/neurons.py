"""How well every single neuron of a trained network follows its target."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from pydantic import TypeAdapter

from hpcspike.correlation import pearson
from hpcspike.errors import DataError
from hpcspike.model.rate_law import RateLaw, law_of_table
from hpcspike.model.transfer import rate_of_input
from hpcspike.spec.neurons import Neuron
from hpcspike.takes_results import takes_results
from hpcspike.variables import ANALYSIS, TRANSFER


@takes_results
def neuron_correlation(trained: xr.Dataset) -> xr.Dataset:
    """Pearson correlation of response and target of every neuron (or output), over the trained window.

    Parameters
    ----------
    trained
        Dataset of one trained network with ``target`` (target_set, neuron, time) and ``response`` (target_set, trial,
        neuron, time); of a network whose target is read out of it with the dimension ``output`` in place of ``neuron``,
        and with ``trial`` in place of ``target_set`` where every trial has a target of its own.

    Returns
    -------
    Dataset
        ``correlation_single_trial`` (mean over trials of the correlation of one trial) and
        ``correlation_trial_averaged`` (correlation of the mean over trials), both (target_set, neuron); 0 where target
        or response is constant. After rate training also ``correlation_rate_of_drive``: single trials of phi(u + I),
        the rate that the learning rule acts on (paper Eq 17), instead of filtered spikes. Lazy if the network's Dataset
        is.

    Raises
    ------
    DataError
        If a variable is missing.
    """
    require_time_courses(trained)
    target, response = trained["target"], trained["response"]
    measures = {"correlation_single_trial": _pearson(response, target).mean("trial")}
    if "trial" not in target.dims:
        measures["correlation_trial_averaged"] = _pearson(response.mean("trial"), target)
    spec = experiment_of(trained)
    if trained.attrs.get("trained_variable") == "rate" and "drive" in trained and spec:
        measures["correlation_rate_of_drive"] = _pearson(_rate_of_drive(trained, spec), target).mean("trial")
    return xr.Dataset(
        {n: a.transpose("target_set", carrier(trained)).assign_attrs(ANALYSIS[n].attrs) for n, a in measures.items()}
    )


def _rate_of_drive(trained: xr.Dataset, spec: dict[str, Any]) -> xr.DataArray:
    """phi(u + I) in spikes per tau, by the transfer function of the training."""
    drive, bias = trained["drive"], spec["neuron"]["bias"]
    if "transfer_input" in trained:
        law = measured_law(trained)[0]

        def through_curves(values: np.ndarray) -> np.ndarray:
            found = np.empty_like(values)
            for place in np.ndindex(values.shape[:-2]):
                found[place] = law.of(values[place], np.full(values.shape[-2:], bias))
            return found

        ordered = drive.transpose(..., "neuron", "time")
        if ordered.chunks is not None:  # every neuron has a curve of its own
            ordered = ordered.chunk({"neuron": -1, "time": -1})
        dims = [["neuron", "time"]]
        return xr.apply_ufunc(
            through_curves, ordered, input_core_dims=dims, output_core_dims=dims, dask="parallelized",
            output_dtypes=["float64"],
        )  # fmt: skip
    training = spec["training"]
    return xr.apply_ufunc(
        rate_of_input,
        drive + bias,
        kwargs={"transfer": training.get("transfer", "phi_2"), "smoothing": training["smoothing"]},
        dask="parallelized",
        output_dtypes=["float64"],
    )


def measured_law(trained: xr.Dataset, curve: int | None = None) -> tuple[RateLaw, float]:
    """The measured transfer functions of a network's Dataset, of all neurons or of one on ``curve``; Hz per unit."""
    section = TypeAdapter(Neuron).validate_python(experiment_of(trained)["neuron"])
    table = {name: trained[name].values for name in TRANSFER if name != "transfer_curve"}
    like = trained["transfer_curve"].values if curve is None else np.array([curve])
    return law_of_table(table, like, neuron=section), 1000.0 / section.tau_ms


def carrier(trained: xr.Dataset) -> str:
    """What the components of the target lie along: "neuron" if each neuron has its own, else "output"."""
    return "output" if "output" in trained["target"].dims else "neuron"


def require_time_courses(trained: xr.Dataset) -> None:
    """A DataError unless the Dataset holds targets and responses."""
    for name in ("target", "response"):
        if name not in trained:
            raise DataError(
                f"this Dataset has no {name!r}; give the Dataset of one trained network (one that diverged has no "
                "response)"
            )


def experiment_of(trained: xr.Dataset) -> dict[str, Any]:
    """The experiment that the network's Dataset carries, as plain data; empty if it carries none."""
    document = json.loads(trained.attrs.get("experiment", "{}"))
    return document if isinstance(document, dict) else {}


def _pearson(response: xr.DataArray, target: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(
        pearson,
        response,
        target,
        input_core_dims=[["time"], ["time"]],
        dask="parallelized",
        output_dtypes=["float64"],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
