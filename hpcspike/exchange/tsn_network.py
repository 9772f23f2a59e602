"""A network that TrainSpikingNet.jl trained, as one that runs here: the Dataset that `hpcspike.live_network` takes.

Its folder is read by `hpcspike.exchange.read_tsn`; here come the fixed synapses, and what the parameters say of
neurons, synapses and trials. Weights there are charges: a spike adds w / tau_s to a drive, here W tau / tau_s, so
W = w / tau.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import DataError
from hpcspike.exchange.tsn_folder import FIXED, files_in, read_array, read_tsn, target_name
from hpcspike.identity import experiment_hash
from hpcspike.live.opening import live_network
from hpcspike.model.connectivity import Rows
from hpcspike.spec.validation import validate_experiment
from hpcspike.variables import ALTERED, TRAINED

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment

NEEDED = {
    "Ncells": "number of neurons", "Ne": "number of excitatory neurons", "taue": "membrane time constant (ms)",
    "tauedecay": "decay time of excitatory fixed synapses (ms)", "dt": "step (ms)",
    "tauidecay": "decay time of inhibitory fixed synapses (ms)", "learn_every": "interval of the targets (ms)",
    "taudecay_plastic": "decay time of plastic synapses (ms), one for all neurons",
    "threshe": "threshold", "vre": "reset", "refrac": "refractoriness (ms)", "stim_on": "begin of the cue (ms)",
    "stim_off": "end of the cue (ms)", "train_time": "end of a trial (ms)",
    "muemin": "constant input of excitatory neurons", "muimin": "constant input of inhibitory neurons",
}  # fmt: skip
"""Parameters without which a network cannot run."""
EQUAL = (("taue", "taui"), ("threshe", "threshi"), ("muemin", "muemax"), ("muimin", "muimax"))
"""Parameters that differ there by population, or from neuron to neuron, and are one here."""


def network_of_tsn(folder: str | Path, *, includes_input: bool | None = None, test_trials: int = 3) -> xr.Dataset:
    """A trained network of TrainSpikingNet.jl, or of the programs before it, as a network here.

    Parameters
    ----------
    folder
        As for `read_tsn`, with ``w0Index`` and ``w0Weights``, ``stim``, and ``utarg`` or ``xtarg`` as well.
    includes_input
        Whether the targets are the total input, the constant external one included, as those of the older programs
        that were made from rates; TrainSpikingNet.jl leaves it out. Must be said where there is constant input.
    test_trials
        Test trials that are run and kept.

    Returns
    -------
    Dataset
        What `hpcspike.run` returns, of learner rls: tested, shown, exported and trained on like any other. The
        attribute ``not_carried_over`` says line by line what is not as it was there.

    Raises
    ------
    DataError
        If a part is missing without which it is another network (all of them are named), or cannot be said here.
    """
    found = read_tsn(folder)
    root = Path(folder).expanduser()
    parameters = json.loads(found.attrs["parameters"])
    _refuse_incomplete(root, found, parameters)
    for one, other in EQUAL:
        if parameters.get(other, parameters[one]) != parameters[one]:
            raise DataError(
                f"{root}: {one} = {parameters[one]:g} and {other} = {parameters[other]:g}: neurons here have one value "
                "of both; such a network cannot be carried over"
            )
    constant = (parameters["muemin"], parameters["muimin"])
    if includes_input is None and any(constant):
        raise DataError(
            f"{root}: the neurons have constant input (muemin = {constant[0]:g}, muimin = {constant[1]:g}): say "
            "whether the targets hold it, includes_input = True (made from rates by the older programs) or False"
        )
    experiment = _experiment(root, found, parameters, bool(includes_input), test_trials)
    lines = [line for line in found.attrs["not_carried_over"].splitlines() if not line.startswith("fixed synapses")]
    variables = _variables(root, found, parameters, experiment, lines)
    network = live_network(found[["neuron"]].assign(variables).assign_attrs(_attributes(experiment))).dataset()
    return network.assign_attrs(not_carried_over="\n".join(lines), source=f"TrainSpikingNet.jl, folder {root.name}")


def _refuse_incomplete(root: Path, found: xr.Dataset, parameters: dict[str, Any]) -> None:
    lacking = [f"{words} ({key} in p)" for key, words in NEEDED.items() if key not in parameters]
    files = files_in(root)
    fixed = [name for name in FIXED if name not in files]
    if fixed and parameters.get("K", 1):
        lacking.append(f"fixed synapses ({' and '.join(fixed)})")
    if "target" not in found:
        lacking.append("targets (utarg or xtarg)")
    if "stimulus" not in found:
        lacking.append("cues (stim, one number per neuron and condition)")
    if lacking:
        raise DataError(f"{root}: without these it is another network: {'; '.join(lacking)}; nothing was carried over")


# ---- what the parameters say -----------------------------------------------------------------------------------------


def _experiment(
    root: Path, found: xr.Dataset, parameters: dict[str, Any], includes_input: bool, test_trials: int
) -> Experiment:
    n, n_excitatory, tau_ms = int(parameters["Ncells"]), int(parameters["Ne"]), float(parameters["taue"])
    if n != found.sizes["neuron"]:
        raise DataError(f"{root}: Ncells = {n} in p, but wpIndexIn has {found.sizes['neuron']} rows, one per neuron")
    files = files_in(root)
    n_sets, n_samples = found.sizes["target_set"], _samples(root, found, parameters)
    ridge = parameters.get("penlambda" if "penlamEE" not in parameters else "penlamEE", 0.01) * tau_ms**2
    tasks = [{"name": f"condition {number}", "task": number} for number in range(1, n_sets + 1)]
    return validate_experiment(
        {
            "name": root.name,
            "network": {"n_neurons": n},
            "neuron": {
                "model": "lif", "tau_ms": tau_ms, "step_ms": float(parameters["dt"]),
                "threshold": float(parameters["threshe"]), "reset": float(parameters["vre"]),
                "refractory_ms": float(parameters["refrac"]),
            },
            "synapse": {
                "tau_syn_ms": float(parameters["taudecay_plastic"]), "decay": "euler", "weight_acts": "at_spikes",
                "static_tau_syn_ms": float(parameters["tauedecay"]),
                "static_tau_inhibitory_ms": float(parameters["tauidecay"]),
            },
            # weights are in the Dataset: what is said here are the populations and their input
            "connectivity": {
                "kind": "balanced", "excitatory_fraction": n_excitatory / n, "static_in_degree": 0,
                "plastic_in_degree": max(1, int(parameters.get("Lexc", parameters.get("L", 1)))),
                "input_excitatory": float(parameters["muemin"]), "input_inhibitory": float(parameters["muimin"]),
            },
            "targets": {
                "kind": "recorded", "path": str(files[target_name(files)].absolute()), "holds": "drive", "unit": "1",
                "includes_input": includes_input, "grid_ms": float(parameters["learn_every"]),
                "duration_ms": n_samples * float(parameters["learn_every"]),
                **({"conditions": tasks} if n_sets > 1 else {}),
            },
            "stimulus": {"duration_ms": float(parameters["stim_off"] - parameters["stim_on"])},
            "protocol": {
                "start": "random", "free_run_ms": float(parameters["stim_on"]),
                "test_free_run_ms": float(parameters["stim_on"]),
            },
            "training": {
                "variable": "drive", "n_loops": 0, "ridge": ridge,
                "row_sum_penalty": parameters.get("penmu", 0.0) * tau_ms**2,
                "update_interval_ms": float(parameters["learn_every"]), "subset": {"match": _followers(found)},
            },
            "measures": {"n_test_trials": test_trials, "n_clamped_trials": 1},
        },
        source=str(root),
    )  # fmt: skip


def _samples(root: Path, found: xr.Dataset, parameters: dict[str, Any]) -> int:
    """Samples of the trained window; targets may have rows more, which were never used."""
    n = round((parameters["train_time"] - parameters["stim_off"]) / parameters["learn_every"])
    if not 0 < n <= found.sizes["sample"]:
        raise DataError(
            f"{root}: targets have {found.sizes['sample']} samples, but from stim_off = {parameters['stim_off']:g} to "
            f"train_time = {parameters['train_time']:g} ms there are {n} intervals of learn_every = "
            f"{parameters['learn_every']:g} ms"
        )
    return n


def _followers(found: xr.Dataset) -> list[int]:
    """The neuron that each unit has; where nothing says so, unit k is neuron k."""
    if "matched_unit" not in found:
        return list(range(found.sizes["neuron"]))
    unit = found["matched_unit"].values
    neurons = np.flatnonzero(unit >= 0)
    return [int(neuron) for neuron in neurons[np.argsort(unit[neurons])]]


def _attributes(experiment: Experiment) -> dict[str, str]:
    return {
        "name": experiment.name,
        "trained_variable": experiment.training.variable,
        "experiment": json.dumps(experiment.model_dump(mode="json")),
        "experiment_hash": experiment_hash(experiment),
        "changes": json.dumps([f"weights, targets and cues from a folder of TrainSpikingNet.jl: {experiment.name}"]),
    }


# ---- what the files hold ---------------------------------------------------------------------------------------------


def _variables(
    root: Path, found: xr.Dataset, parameters: dict[str, Any], experiment: Experiment, lines: list[str]
) -> dict[str, Any]:
    """Variables of a network's Dataset; what is other than it was there goes into ``lines``."""
    n = found.sizes["neuron"]
    n_samples = _samples(root, found, parameters)
    target = found["target"].values[:, :, :n_samples].copy()
    if experiment.targets.includes_input:  # type: ignore[union-attr]
        excitatory = np.arange(n) < int(parameters["Ne"])
        target -= np.where(excitatory, parameters["muemin"], parameters["muimin"])[None, :, None]
    without = np.diff(found["row_start"].values) == 0
    target[:, without] = np.nan  # what cannot be trained follows nothing
    fixed = _fixed(root, n, float(parameters["taue"]))
    grid = experiment.targets.grid_ms
    unused = found.sizes["sample"] - n_samples
    if unused:
        lines.append(f"targets after the trained window: {unused} row(s)")
    lines += [
        "weights before training: those after it stand in their place",
        "matrices P: training that goes on begins with new ones",
    ]
    if parameters.get("Lffwd") and "penlamFF" in parameters:
        lines.append(
            f"penalty on weights from the feed-forward population: penlamFF = {parameters['penlamFF']:g}, which there "
            "is none of here"
        )
    if parameters["refrac"] > 0:
        lines.append(
            f"refractoriness: {experiment.neuron.refractory_ms:g} ms here; there rounding ends it a step "  # type: ignore[union-attr]
            "earlier now and then"
        )
    columns: dict[str, Any] = {
        "time": grid * np.arange(1, target.shape[2] + 1),
        "target_set": np.arange(len(target)),
        "target": target,
        "stimulus": found["stimulus"].values,
        "weight": found["weight"].values,
        "weight_initial": found["weight"].values,
        "presynaptic": found["presynaptic"].values,
        "row_start": found["row_start"].values,
        "fixed_weight": fixed.weight,
        "fixed_presynaptic": fixed.presynaptic,
        "fixed_row_start": fixed.start,
        **{f"curve_{name}": np.zeros(0) for name in ("correlation", "rate", "weight_change", "seconds")},
    }
    if "matched_unit" in found:
        columns["matched_unit"] = found["matched_unit"].values
    known = TRAINED | ALTERED
    return {name: (known[name].dims, values, known[name].attrs) for name, values in columns.items()}


def _by_presynaptic(path: Path, name: str) -> list[np.ndarray]:
    """Outputs of every neuron: columns of a matrix, or a vector of vectors."""
    values = read_array(path, name)
    if not isinstance(values, list) and np.ndim(values) != 2:
        raise DataError(
            f"{path}: {name} has the size {np.shape(values)}: must be (output, neuron), or vectors in a vector"
        )
    return [np.atleast_1d(one) for one in (values if isinstance(values, list) else values.T)]


def _fixed(root: Path, n: int, tau_ms: float) -> Rows:
    """The fixed synapses, which the folder has by presynaptic neuron, as rows of the postsynaptic ones."""
    files = files_in(root)
    if not set(FIXED) <= set(files):
        return Rows(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0))
    post, weight = (_by_presynaptic(files[name], name) for name in FIXED)
    if [len(row) for row in post] != [len(row) for row in weight] or len(post) != n:
        raise DataError(
            f"{root}: w0Index and w0Weights must have the same size, and one column (or vector) for each of {n} neurons"
        )
    pre = np.repeat(np.arange(n, dtype=np.int32), [len(row) for row in post])
    onto, values = (np.concatenate([np.asarray(row, float) for row in rows]) for rows in (post, weight))
    kept = onto > 0  # 0 fills up the columns of a matrix
    pre, onto, values = pre[kept], onto[kept].astype(np.int64) - 1, values[kept] / tau_ms
    if len(onto) and onto.max() >= n:
        raise DataError(f"{files[FIXED[0]]}: names neuron {onto.max() + 1} of {n}")
    order = np.lexsort((pre, onto))
    start = np.concatenate([[0], np.cumsum(np.bincount(onto, minlength=n))]).astype(np.int64)
    return Rows(start, pre[order], values[order])
