"""A trained network of LIF neurons as a folder of SONATA, with a program that runs its test trials in NEST.

NEST integrates exactly what is integrated here in steps, but exponentials of other time constants: a factor f per step
is that of a time constant -dt / log f. With these in the place of tau and tau_s, and weights scaled by what a current
that decays within a step moves less than one that does not, both go through the same voltages. What remains is that a
spike acts in NEST two steps later at the earliest, which is ``synapse.delay_ms`` of two steps here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.engine.trained import Trained
from hpcspike.errors import StoreError
from hpcspike.exchange.nest_template import PROGRAM, SCRIPT
from hpcspike.exchange.sayable import SPIKES, refuse, refuse_single_precision, sayable_experiment
from hpcspike.exchange.synapse_groups import SynapseGroup, synapse_groups
from hpcspike.files import whole
from hpcspike.runs.restore import trained_in
from hpcspike.spec.neurons import LifNeuron
from hpcspike.takes_results import takes_results

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment

PLACE = "SONATA for NEST"
POPULATION, EDGES = "neurons", "neurons_to_neurons"
"""Names of the population of nodes and of that of edges."""
TAU_KEYS = {
    name: f"synapse.{key}"
    for name, key in (
        ("plastic", "tau_syn_ms"), ("fixed", "static_tau_syn_ms"), ("inhibitory", "static_tau_inhibitory_ms"),
    )
}  # fmt: skip
"""Where the decay time of each group of synapses is set."""
TIC_MS = 0.001
"""NEST counts time in these."""


@takes_results
def write_sonata(trained: xr.Dataset, path: str | Path) -> None:
    """Write a trained network as a folder of SONATA, which NEST runs.

    Parameters
    ----------
    trained
        Dataset of one network of LIF neurons that recursive least squares trained.
    path
        Folder to make; it is whole or absent.

    Raises
    ------
    DataError
        If the network has something that cannot be said (named with key and value): other neurons and learners, noise,
        feed-forward neurons, float32, spikes that act in the next step, drives that decay as voltages do.
    StoreError
        If there is something of that name.
    ResourceError
        If it cannot be written.

    Notes
    -----
    ``circuit_config.json`` names ``network/nodes.h5`` and ``edges.h5`` with the tables of their types, ``components/``
    the parameters of the neurons. Nodes have the constant input ``dynamics_params/I_e`` (pA), the voltages from which
    test trial K begins, ``V_m_trial_K`` (mV; 1 mV is the unit of v here), and the cue of target set S, ``cue_S`` (pA).
    Edges have ``syn_weight`` (pA), signed; types of edges have ``delay`` (ms) and ``receptor_type`` of
    ``iaf_psc_exp_multisynapse``, one for each decay time. ``simulation_config.json`` is one test trial, the parts of
    which are in its ``metadata`` (ms). ``reference/`` holds the stored spikes of each trial, in ms from its begin, and
    with drive training the targets. ``run_nest.py`` runs the trials; with ``--check`` it compares.
    """
    folder = Path(path)
    if folder.exists():
        raise StoreError(f"{folder} exists; choose another path, or remove it first")
    network, groups = _network(trained)
    with whole(folder) as unfinished:
        for part in ("network", "components", "reference"):
            (unfinished / part).mkdir(parents=True)
        _write_nodes(trained, network, unfinished)
        _write_edges(network, groups, unfinished)
        _write_configs(trained, network, unfinished)
        _write_reference(trained, network, unfinished)
        (unfinished / PROGRAM).write_text(SCRIPT, encoding="utf-8")


def _network(trained: xr.Dataset) -> tuple[Trained, list[SynapseGroup]]:
    """The network and its synapses, if NEST can run it."""
    experiment: Experiment = sayable_experiment(trained, PLACE, models=("lif",))
    refuse_single_precision(experiment, PLACE)
    network = trained_in(trained, experiment)
    step_ms, groups = network.problem.neuron.step_ms, synapse_groups(network)
    on_grid = abs(step_ms / TIC_MS - round(step_ms / TIC_MS)) < 1e-9
    refuse(not on_grid, PLACE, f"neuron.step_ms = {step_ms:g} ms", f"steps that are multiples of {TIC_MS:g} ms")
    refuse(
        step_ms >= network.problem.neuron.tau_ms, PLACE, f"neuron.step_ms = {step_ms:g} ms",
        f"steps below neuron.tau_ms = {network.problem.neuron.tau_ms:g} ms",
    )  # fmt: skip
    for group in groups:
        key = "delay_ms" if group.name == "plastic" else "static_delay_ms"
        refuse(
            group.late < 1, PLACE, f"synapse.{key} = {(group.late + 1) * step_ms:g} ms",
            f"spikes that act two steps later ({2 * step_ms:g} ms) or more; train with such a delay",
        )  # fmt: skip
        refuse(
            group.decay <= 0, PLACE, f"synapse.decay = {experiment.synapse.decay}",
            "drives that do not vanish within a step",
        )  # fmt: skip
        same = group.decay == 1.0 - step_ms / network.problem.neuron.tau_ms
        refuse(
            same, PLACE, f"{TAU_KEYS[group.name]} = {group.tau_ms:g} ms",
            f"drives that do not decay as voltages do (neuron.tau_ms = {group.tau_ms:g} ms)",
        )  # fmt: skip
    return network, groups


# ---- what NEST is told -----------------------------------------------------------------------------------------------


def neuron_parameters(neuron: LifNeuron, groups: list[SynapseGroup]) -> dict[str, Any]:
    """Parameters of ``iaf_psc_exp_multisynapse`` under which a step of NEST is one of forward Euler."""
    tau_ms = _time_constant(1.0 - neuron.step_ms / neuron.tau_ms, neuron.step_ms)
    return {
        "C_m": tau_ms,  # so that 1 pA moves v by 1 mV in the long run
        "tau_m": tau_ms,
        "E_L": 0.0,
        "V_reset": neuron.reset,
        "V_th": float(np.nextafter(neuron.threshold, np.inf)),  # NEST asks for >=, here it is >
        "t_ref": neuron.refractory_ms,
        "tau_syn": [_time_constant(group.decay, neuron.step_ms) for group in groups],
    }


def current_per_drive(neuron: LifNeuron, group: SynapseGroup) -> float:
    """Synaptic current (pA) that moves v in a step of NEST as much as a drive u = 1 does here: gain dt / tau."""
    step, tau = neuron.step_ms, _time_constant(1.0 - neuron.step_ms / neuron.tau_ms, neuron.step_ms)
    difference = 1.0 / tau - 1.0 / _time_constant(group.decay, step)
    # what 1 pA at the begin of the step moves v by in it, with C_m = tau
    moved = np.exp(-step / tau) * np.expm1(step * difference) / difference / tau
    return float(neuron.drive_gain * step / neuron.tau_ms / moved)


def _time_constant(factor: float, step_ms: float) -> float:
    """Of an exponential that decays by ``factor`` in a step."""
    return float(-step_ms / np.log(factor))


# ---- files -----------------------------------------------------------------------------------------------------------


def _write_nodes(trained: xr.Dataset, network: Trained, folder: Path) -> None:
    problem = network.problem
    starts = trained["initial_state"].isel(state_variable=0).values
    with _hdf5(folder / "network" / "nodes.h5") as file:
        nodes = file.create_group(f"nodes/{POPULATION}")
        for name in ("node_type_id", "node_group_id"):
            nodes[name] = np.zeros(problem.n_neurons, dtype=np.int64)
        for name in ("node_id", "node_group_index"):
            nodes[name] = np.arange(problem.n_neurons, dtype=np.uint64)
        attributes = nodes.create_group("0")
        attributes["dynamics_params/I_e"] = problem.input
        for number, start in zip(trained["trial"].values.tolist(), starts, strict=True):
            attributes[f"V_m_trial_{number}"] = start
        for number, cue in enumerate(problem.stimuli):
            attributes[f"cue_{number}"] = cue
    row = (0, "point_neuron", "nest:iaf_psc_exp_multisynapse", "neuron.json")
    columns = ("node_type_id", "model_type", "model_template", "dynamics_params")
    _write_table(folder / "network" / "node_types.csv", columns, [row])


def _write_edges(network: Trained, groups: list[SynapseGroup], folder: Path) -> None:
    neuron, n = network.problem.neuron, network.problem.n_neurons
    assert isinstance(neuron, LifNeuron)
    _write_json(folder / "components" / "neuron.json", neuron_parameters(neuron, groups))
    pre, post = (np.concatenate([getattr(group, name) for group in groups]) for name in ("pre", "post"))
    weights = [group.weight * group.jump * current_per_drive(neuron, group) for group in groups]
    with _hdf5(folder / "network" / "edges.h5") as file:
        edges = file.create_group(f"edges/{EDGES}")
        for name, nodes in (("source", pre), ("target", post)):
            edges[f"{name}_node_id"] = nodes.astype(np.uint64)
            edges[f"{name}_node_id"].attrs["node_population"] = POPULATION
        edges["edge_type_id"] = np.repeat(np.arange(len(groups)), [len(group.pre) for group in groups])
        edges["edge_group_id"] = np.zeros(len(pre), dtype=np.int64)
        edges["edge_group_index"] = np.arange(len(pre), dtype=np.uint64)
        edges["0/syn_weight"] = np.concatenate(weights)
        for name, nodes in (("source_to_target", pre), ("target_to_source", post)):
            by_node, by_edge = _index(nodes, n)
            edges[f"indices/{name}/node_id_to_ranges"] = by_node
            edges[f"indices/{name}/range_to_edge_id"] = by_edge
    columns = ("edge_type_id", "name", "model_template", "delay", "receptor_type", "pA_per_drive")
    rows = [
        (
            number, group.name, "static_synapse", round(group.late * neuron.step_ms, 9), number + 1,
            current_per_drive(neuron, group),
        )
        for number, group in enumerate(groups)
    ]  # fmt: skip
    _write_table(folder / "network" / "edge_types.csv", columns, rows)


def _index(nodes: np.ndarray, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """SONATA's index of edges by node: ranges of each node (n_nodes, 2), edges of each range (ranges, 2)."""
    breaks = np.flatnonzero(np.diff(nodes)) + 1
    begin = np.concatenate([[0], breaks])[: len(nodes)]
    end = np.append(breaks, len(nodes))[: len(begin)]
    order = np.argsort(nodes[begin], kind="stable")
    border = np.searchsorted(nodes[begin][order], np.arange(n_nodes + 1))
    by_node, by_edge = np.stack([border[:-1], border[1:]], axis=1), np.stack([begin, end], axis=1)[order]
    return by_node.astype(np.uint64), by_edge.astype(np.uint64)


def _write_configs(trained: xr.Dataset, network: Trained, folder: Path) -> None:
    problem, step_ms = network.problem, network.problem.neuron.step_ms
    steps = (problem.test_free_run_steps, problem.stimulus_steps, problem.n_samples * problem.steps_per_sample)
    manifest = {"$BASE_DIR": "."}
    files = {
        name: {
            f"{name}_file": f"$BASE_DIR/network/{name}.h5",
            f"{one}_types_file": f"$BASE_DIR/network/{one}_types.csv",
            "populations": {population: {"type": kind}},
        }
        for name, one, population, kind in (
            ("nodes", "node", POPULATION, "point_neuron"), ("edges", "edge", EDGES, "point_neuron"),
        )
    }  # fmt: skip
    circuit = {
        "version": 2,
        "manifest": manifest,
        "components": {"point_neuron_models_dir": "$BASE_DIR/components"},
        "networks": {name: [entry] for name, entry in files.items()},
    }
    simulation = {
        "version": 2,
        "manifest": manifest,
        "network": "$BASE_DIR/circuit_config.json",
        "run": {"dt": step_ms, "tstop": round(sum(steps) * step_ms, 9), "random_seed": 1},
        "output": {"output_dir": "$BASE_DIR/output", "spikes_file": "spikes.h5"},
        "metadata": {
            "network": str(trained.attrs.get("name", "")),
            **{name: round(n * step_ms, 9) for name, n in zip(("free_run", "cue", "window"), steps, strict=True)},
            "grid": problem.grid_ms,
        },
    }
    _write_json(folder / "circuit_config.json", circuit)
    _write_json(folder / "simulation_config.json", simulation)


def _write_reference(trained: xr.Dataset, network: Trained, folder: Path) -> None:
    """The stored spikes of every trial, and with drive training the targets and how far each trial recalls them."""
    problem = network.problem
    before_ms = (problem.test_free_run_steps + problem.stimulus_steps) * problem.neuron.step_ms
    time, neuron, trial, target_set = (trained[name].values for name in SPIKES)
    for one_set in range(problem.n_sets):
        for number in trained["trial"].values.tolist():
            here = np.flatnonzero((trial == number) & (target_set == one_set))
            here = here[np.lexsort((neuron[here], time[here]))]
            with _hdf5(folder / "reference" / f"spikes_set_{one_set}_trial_{number}.h5") as file:
                spikes = file.create_group(f"spikes/{POPULATION}")
                spikes["timestamps"] = time[here] + before_ms
                spikes["timestamps"].attrs["units"] = "ms"
                spikes["node_ids"] = neuron[here].astype(np.uint64)
                _mark_sorted(spikes)
    if network.training.variable == "drive":
        with _hdf5(folder / "reference" / "targets.h5") as file:
            file["target"] = problem.targets
            file["recall"] = np.nanmean(pearson(trained["drive"].values, problem.targets[:, None]), axis=-1)


def _mark_sorted(spikes: Any) -> None:
    import h5py

    kinds = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
    spikes.attrs.create("sorting", 2, dtype=kinds)


def _hdf5(path: Path) -> Any:
    import h5py

    return h5py.File(path, "w")


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A table of types, columns apart by spaces."""
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in [columns, *rows]), encoding="utf-8")


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
