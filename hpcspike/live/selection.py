"""Which neurons are meant: by number, name of a recorded unit, group, coordinate, or as a share of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.checks import shown
from hpcspike.errors import SpecError
from hpcspike.model.random_streams import stream
from hpcspike.spec.connectivity import BalancedConnectivity, DaleConnectivity
from hpcspike.spec.experiment import Experiment

Selection = Any
"""What `chosen` takes."""


def groups_of(experiment: Experiment, labels: Mapping[str, xr.DataArray], n_neurons: int) -> dict[str, np.ndarray]:
    """Names of groups of neurons -> (N,) bool: all, excitatory, inhibitory, recorded, auxiliary, as it has them."""
    found = {"all": np.ones(n_neurons, dtype=bool)}
    if isinstance(experiment.connectivity, BalancedConnectivity | DaleConnectivity):
        border = experiment.connectivity.populations(n_neurons)[0]
        found["excitatory"] = np.arange(n_neurons) < border
        found["inhibitory"] = ~found["excitatory"]
    if "recorded" in labels:
        found["recorded"] = np.asarray(labels["recorded"].values, dtype=bool)
        found["auxiliary"] = ~found["recorded"]
    return found


def chosen(
    name: str,
    selection: Selection,
    *,
    experiment: Experiment,
    labels: Mapping[str, xr.DataArray],
    n_neurons: int,
    draw: int = 0,
) -> np.ndarray:
    """The numbers of the neurons that are meant, ascending, each once.

    Parameters
    ----------
    name
        Of the argument, for messages.
    selection
        A number or a list of some; the name of a recorded unit, or a list of some; a group (`groups_of`); a bool array
        (N,); a share of all neurons as a float below 1, drawn at random; or ``{coordinate: value or list of values}``.
        ``"neuron:7"`` is the neuron of this number and ``"unit:7"`` the recorded unit of this name.
    experiment, labels, n_neurons
        The network: its experiment, the coordinates along ``neuron`` by name, and N.
    draw
        Which random choice; a larger share of a draw holds a smaller one of it.

    Raises
    ------
    SpecError
        If there is no such neuron.
    """
    groups = groups_of(experiment, labels, n_neurons)
    if isinstance(selection, Mapping):
        return _by_coordinates(name, selection, labels)
    if isinstance(selection, (float, np.floating)):
        return _share(name, float(selection), experiment, n_neurons, draw)
    given = [selection] if isinstance(selection, (str, int, np.integer)) else selection
    array = np.asarray(given)
    if array.dtype == bool:
        if array.shape != (n_neurons,):
            raise SpecError(f"{name} has shape {array.shape}: a mask of neurons must have shape {(n_neurons,)}")
        return np.flatnonzero(array)
    found: list[int] = []
    for one in np.atleast_1d(array).tolist() if array.dtype.kind in "iu" else list(given):
        if isinstance(one, str):
            found += _named(name, one, groups, labels, n_neurons)
        elif isinstance(one, (int, np.integer)) and 0 <= one < n_neurons:
            found.append(int(one))
        else:
            raise SpecError(
                f"{name} = {shown(one)}: no such neuron; the network has 0 to {n_neurons - 1}, and the groups "
                f"{', '.join(groups)}"
            )
    return np.unique(np.array(found, dtype=np.int64))


def units_in(labels: Mapping[str, xr.DataArray]) -> np.ndarray:
    """(N,) names of recorded units, '' of other neurons; empty where there are none."""
    return labels["unit_name"].values if "unit_name" in labels else np.empty(0, dtype=np.str_)


def _named(
    name: str, one: str, groups: dict[str, np.ndarray], labels: Mapping[str, xr.DataArray], n_neurons: int
) -> list[int]:
    if one in groups:
        return [int(k) for k in np.flatnonzero(groups[one])]
    units = units_in(labels)
    kind, _, rest = one.partition(":")
    if one not in units and kind == "neuron" and rest.isdecimal() and int(rest) < n_neurons:
        return [int(rest)]
    unit = rest if kind == "unit" and one not in units else one
    found = [int(k) for k in np.flatnonzero(units == unit)] if unit else []
    if not found:
        known = [str(unit) for unit in units if unit][:3]
        also = f", or a recorded unit ({', '.join(known)}, ...)" if known else ""
        raise SpecError(
            f"{name} = {shown(one)}: no such neurons; must be a group ({', '.join(groups)}), neuron:K with K from 0 to "
            f"{n_neurons - 1}{also}"
        )
    return found


def _by_coordinates(name: str, selection: Mapping[Any, Any], labels: Mapping[str, xr.DataArray]) -> np.ndarray:
    kept: np.ndarray | None = None
    for key, wanted in selection.items():
        if key not in labels:
            known = ", ".join(labels) or "none"
            raise SpecError(f"{name} = {shown(dict(selection))}: no coordinate {key!r}; those along neuron: {known}")
        values = labels[key].values
        one = np.isin(values, np.asarray([wanted] if np.isscalar(wanted) else list(wanted), dtype=values.dtype))
        kept = one if kept is None else kept & one
    if kept is None or not kept.any():
        raise SpecError(f"{name} = {shown(dict(selection))}: no neuron is like that")
    return np.flatnonzero(kept)


def _share(name: str, share: float, experiment: Experiment, n_neurons: int, draw: int) -> np.ndarray:
    # as `hpcspike.measures.measure_lesions` draws who is lost
    if not 0.0 < share < 1.0:
        raise SpecError(f"{name} = {share:g}: a share of the neurons must be above 0 and below 1, as 0.1")
    order = stream(experiment.seed, experiment.replicate, "lesion", draw).permutation(n_neurons)
    return np.sort(order[: round(share * n_neurons)])
