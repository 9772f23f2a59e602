"""The recurrent weights of a trained network as matrices: rows are postsynaptic, columns presynaptic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.analysis.units import unit_coordinates
from hpcspike.errors import DataError, ResourceError
from hpcspike.takes_results import takes_results
from hpcspike.variables import TRAINED

if TYPE_CHECKING:
    import xarray as xr


@takes_results
def weights_csr(trained: xr.Dataset, *, initial: bool = False, fixed: bool = False, group: str | None = None) -> Any:
    """Recurrent weights as a scipy.sparse array.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    initial
        The weights before training instead of those after it.
    fixed
        Add the weights that are not trained. They are not in the Dataset; they are made again from its experiment.
    group
        Which recurrent weights of a network that another learner than rls trained, for example ``fast`` or ``slow``;
        may be left out if there is one group.

    Returns
    -------
    scipy.sparse.csr_array
        Shape (N, N), float64. Row i holds the inputs of the postsynaptic neuron i, column j the outputs of the
        presynaptic neuron j: u_i = sum_j W[i, j] r_j, in units of u per spike per tau; ``trained.unit_name`` names the
        recorded units of both. A plastic synapse of weight 0 is stored, so that ``.indices`` tell who is connected,
        unless the fixed weights are added.

    Raises
    ------
    DataError
        If the Dataset holds no weights.
    """
    from scipy.sparse import csr_array

    groups = _recurrent_groups(trained)
    if groups:
        return csr_array(_of_group(trained, groups, group, initial=initial, fixed=fixed))
    name = "weight_initial" if initial else "weight"
    missing = [key for key in (name, "presynaptic", "row_start") if key not in trained]
    if missing:
        raise DataError(f"this Dataset has no {missing[0]!r}; give the Dataset of one trained network")
    n_neurons = trained.sizes["neuron"]
    columns = (trained[key].values for key in (name, "presynaptic", "row_start"))
    plastic = csr_array(tuple(columns), shape=(n_neurons, n_neurons))
    return plastic + _fixed(trained) if fixed else plastic


@takes_results
def weight_matrix(
    trained: xr.Dataset, *, initial: bool = False, fixed: bool = False, group: str | None = None
) -> xr.DataArray:
    """Recurrent weights as a labelled matrix; arguments as for `weights_csr`.

    Returns
    -------
    xarray.DataArray
        Dimensions ``postsynaptic`` and ``presynaptic`` with the numbers of the neurons and, of recorded targets,
        ``postsynaptic_unit_name``, ``presynaptic_unit_name`` and so on; float64, 0 where there is no
        synapse, in units of u per spike per tau.

    Raises
    ------
    DataError
        If the Dataset holds no weights.
    ResourceError
        If the N x N matrix does not fit into memory; `weights_csr` does.
    """
    import xarray

    from hpcspike.sweep.cost import available_memory_mib, shown_mib

    n_neurons = trained.sizes.get("neuron", 0)
    needed, available = 8.0 * n_neurons**2 / 2**20, available_memory_mib()
    if needed > 0.5 * available:
        raise ResourceError(
            f"the weights of {n_neurons:,} neurons as a full matrix need {shown_mib(needed)}, but "
            f"{shown_mib(available)} are available; use weights_csr"
        )
    neurons = np.arange(n_neurons)
    attributes = {
        "units": TRAINED["weight"].units,
        "long_name": f"recurrent weight {'before' if initial else 'after'} training, in units of u per spike per tau",
    }
    labels = {}
    for axis in ("postsynaptic", "presynaptic"):
        labels[axis] = (axis, neurons, {"units": "1", "long_name": f"{axis} neuron"})
        for name, array in unit_coordinates(trained).items():
            labels[f"{axis}_{name}"] = (axis, array.values, {**array.attrs, "long_name": f"{axis}: {array.long_name}"})
    values = weights_csr(trained, initial=initial, fixed=fixed, group=group).toarray()
    return xarray.DataArray(
        values, coords=labels, dims=("postsynaptic", "presynaptic"), name="weight", attrs=attributes
    )


def _fixed(trained: xr.Dataset) -> Any:
    """The weights that are not trained, as the experiment makes them."""
    from scipy.sparse import csr_array

    from hpcspike.analysis.neurons import experiment_of
    from hpcspike.model.connectivity import build_static_rows
    from hpcspike.spec.validation import validate_experiment

    document = experiment_of(trained)
    if not document:
        raise DataError("this Dataset does not carry its experiment, which makes the fixed weights; leave fixed out")
    experiment = validate_experiment(document, source="attribute experiment")
    n_neurons, key = trained.sizes["neuron"], {"seed": experiment.seed, "replicate": experiment.replicate}
    rows = build_static_rows(experiment.connectivity, n_neurons, range(n_neurons), **key)
    return csr_array((rows.weight, rows.presynaptic, rows.start), (n_neurons, n_neurons))


def _recurrent_groups(trained: xr.Dataset) -> dict[str, xr.DataArray]:
    """Groups of recurrent weights by name, of networks that other learners trained."""
    both = {"neuron", "presynaptic_neuron"}
    found = {str(name): item for name, item in trained.data_vars.items() if str(name).startswith("weights_")}
    return {name.removeprefix("weights_"): item for name, item in found.items() if set(item.dims) == both}


def _of_group(
    trained: xr.Dataset, groups: dict[str, xr.DataArray], group: str | None, *, initial: bool, fixed: bool
) -> np.ndarray:
    """(N, N) weights of one group, rows postsynaptic."""
    if initial or fixed:
        raise DataError("initial and fixed are for networks that rls trained: of this one they are not known")
    if group is None and len(groups) == 1:
        (group,) = groups
    if group not in groups:
        raise DataError(f"group = {group!r}: this network has the recurrent weights {', '.join(groups)}; choose one")
    return np.asarray(groups[group].transpose("neuron", "presynaptic_neuron").values)
