"""Learners side by side: recall against T / tau_c, and what each of them is given and costs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.learners import LEARNERS, learner_class
from hpcspike.spec.learners import LEARNERS as SECTIONS

COLUMNS = (
    "correlation", "teacher_fit", "population_rate", "n_trained", "simulated_seconds", "wall_seconds",
)  # fmt: skip
"""What `comparison` averages over networks."""


def kind_of(value: Any) -> str:
    """Name of a learner from a value of the axis ``learner`` or ``learner.kind``.

    >>> kind_of('{"kind": "ebn_alemi", "passes": 10}')
    'ebn_alemi'
    >>> kind_of("rls")
    'rls'
    """
    text = str(value)
    if not text.startswith("{"):
        return text
    section = json.loads(text)
    return str(section.get("path") or section["kind"]) if section["kind"] == "user" else str(section["kind"])


def learner_axis(sweep: xr.Dataset) -> str | None:
    """Coordinate that says who learned, None if the sweep does not vary the learner."""
    for name in ("learner", "kind", "learner_kind"):
        if name in sweep.coords and sweep[name].dims == ("point",):
            kinds = {kind_of(value) for value in sweep[name].values}
            if name != "kind" or kinds & LEARNERS.keys():
                return name
    return None


def comparison(sweep: xr.Dataset) -> xr.Dataset:
    """Mean and standard deviation over replicates, by learner, N and T / tau_c.

    Parameters
    ----------
    sweep
        Dataset along ``point`` of a sweep over ``learner`` (or ``learner.kind``).

    Returns
    -------
    xarray.Dataset
        Dims learner, n_neurons, relative_duration (T / tau_c): the mean of each of `COLUMNS` (NaN where there is no
        network), ``correlation_sd_networks``, ``n_networks``, ``n_diverged``; along learner ``carrier`` (what carries
        the targets) and ``for_free`` (what it is given and does not learn).

    Raises
    ------
    DataError
        If the sweep does not vary the learner.
    """
    axis = learner_axis(sweep)
    if axis is None:
        raise DataError("the sweep has no axis 'learner' or 'learner.kind'; see cluster/config/learners.yaml")
    kinds = np.array([kind_of(value) for value in sweep[axis].values])
    ratio = np.round(sweep["duration_ms"].values / sweep["tau_corr_ms"].values, 9)
    size = sweep["n_neurons"].values
    coordinates = (list(dict.fromkeys(kinds)), np.unique(size), np.unique(ratio))
    shape = tuple(len(values) for values in coordinates)
    found = {name: np.full(shape, np.nan) for name in (*COLUMNS, "correlation_sd_networks")}
    count, diverged = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for cell in np.ndindex(shape):
        inside = (kinds == coordinates[0][cell[0]]) & (size == coordinates[1][cell[1]])
        part = sweep.isel(point=np.flatnonzero(inside & (ratio == coordinates[2][cell[2]])))
        lost = part["diverged_loop"].values >= 0
        score = part["correlation"].values
        # a network that diverged recalls nothing
        score = np.where(lost, 0.0, score)
        finished = ~np.isnan(score)
        count[cell], diverged[cell] = finished.sum(), lost.sum()
        if not finished.any():
            continue
        found["correlation"][cell] = score[finished].mean()
        if finished.sum() > 1:
            found["correlation_sd_networks"][cell] = score[finished].std(ddof=1)
        for name in COLUMNS[1:]:
            values = part[name].values[finished] if name in part else np.empty(0)
            values = values[~np.isnan(values)]
            found[name][cell] = values.mean() if len(values) else np.nan
    dims = ("learner", "n_neurons", "relative_duration")
    attributes = {name: dict(sweep[name].attrs) for name in COLUMNS if name in sweep}
    result = xr.Dataset(
        {
            **{name: (dims, values, attributes.get(name, {"units": "1"})) for name, values in found.items()},
            "n_networks": (dims, count, {"units": "1", "long_name": "networks in the mean"}),
            "n_diverged": (dims, diverged, {"units": "1", "long_name": "networks that diverged, counted as 0"}),
        },
        coords={
            "learner": list(coordinates[0]),
            "n_neurons": ("n_neurons", coordinates[1], {"units": "1", "long_name": "number of neurons N"}),
            "relative_duration": ("relative_duration", coordinates[2], {"units": "1", "long_name": "T / tau_c"}),
        },
    )
    sections = {
        kind: next(v for v, k in zip(sweep[axis].values, kinds, strict=True) if k == kind)
        for kind in result.learner.values
    }
    result["carrier"] = ("learner", [_carrier(sections[kind]) for kind in result.learner.values])
    result["for_free"] = ("learner", [_for_free(kind) for kind in result.learner.values])
    return result


def _carrier(value: Any) -> str:
    text = str(value)
    section = json.loads(text) if text.startswith("{") else {"kind": text}
    if section["kind"] == "rls":
        return "drive of every neuron"
    count, variable = section.get("n_readouts"), section.get("variable")
    if variable is None:
        asked = SECTIONS.get(section["kind"])
        variable = asked.model_fields["variable"].default if asked is not None else "drive"
    if section["kind"].startswith("ebn"):
        return "readouts of the decoded state, one per neuron" if count is None else f"{count} readouts"
    return "drive of every neuron" if variable == "drive" else f"{count or 'N'} readouts"


def _for_free(kind: str) -> str:
    # a user's own would have to be run to be asked, and whose results these are is not known
    return "; ".join(learner_class(kind).for_free) if kind in LEARNERS else "not stated: a learner of a user's own"
