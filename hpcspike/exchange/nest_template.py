"""Text of the program that `hpcspike.exchange.sonata_folder` writes; it takes all numbers from the files beside it."""

from __future__ import annotations

PROGRAM = "run_nest.py"

SCRIPT = '''\
"""Test trials of the network in this folder, in NEST.

    python run_nest.py            runs the trials and says how many spikes each has
    python run_nest.py --check    compares them with the stored ones; exit code 1 unless 95 % of the spikes of the
                                  first 200 ms are within 1 ms, and recall within 0.02

Needs NEST 3 (pip install nest-simulator) and h5py. NEST builds neurons and synapses from the tables of SONATA; what a
trial begins with, and its cue, are set here.
"""

import csv
import json
import sys
from pathlib import Path

import h5py
import nest
import numpy as np

FOLDER = Path(__file__).resolve().parent
CONFIG = json.loads((FOLDER / "simulation_config.json").read_text())
STEP_MS, PARTS_MS = CONFIG["run"]["dt"], CONFIG["metadata"]
BEGIN_MS = PARTS_MS["free_run"]  # of the cue; spikes are stored from here on
WINDOW_MS = BEGIN_MS + PARTS_MS["cue"]  # of the trained window
FIRST_MS, NEAR_MS, ENOUGH, RECALL = 200.0, 1.0, 0.95, 0.02


def read_network():
    """Attributes of the nodes, edges by column, and types of edges."""
    with h5py.File(FOLDER / "network" / "nodes.h5") as file:
        group = file["nodes/neurons/0"]
        nodes = {name: item[()] for name, item in group.items() if isinstance(item, h5py.Dataset)}
        nodes["I_e"] = group["dynamics_params/I_e"][()]
    with h5py.File(FOLDER / "network" / "edges.h5") as file:
        group = file["edges/neurons_to_neurons"]
        edges = {name: group[f"{name}_node_id"][()].astype(int) for name in ("source", "target")}
        edges |= {"type": group["edge_type_id"][()], "weight": group["0/syn_weight"][()]}
    with open(FOLDER / "network" / "edge_types.csv", newline="") as file:
        types = list(csv.DictReader(file, delimiter=" "))
    return nodes, edges, types


def build(network):
    """Neurons with their synapses, and what records spikes and currents of the window."""
    nodes, edges, types = network
    nest.ResetKernel()
    if hasattr(nest, "VerbosityLevel"):
        nest.verbosity = nest.VerbosityLevel.ERROR
    else:  # before 3.10
        nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": STEP_MS, "local_num_threads": 1})
    parameters = json.loads((FOLDER / "components" / "neuron.json").read_text())
    neurons = nest.Create("iaf_psc_exp_multisynapse", len(nodes["I_e"]), parameters)
    ids = np.array(neurons.tolist())
    for one in types:
        here = edges["type"] == int(one["edge_type_id"])
        synapse = {
            "synapse_model": one["model_template"],
            "weight": edges["weight"][here],
            "delay": np.full(here.sum(), float(one["delay"])),
            "receptor_type": np.full(here.sum(), int(one["receptor_type"])),
        }
        nest.Connect(ids[edges["source"][here]], ids[edges["target"][here]], "one_to_one", synapse)
    spikes = nest.Create("spike_recorder")
    nest.Connect(neurons, spikes)
    grid = PARTS_MS["grid"]
    offset = round(WINDOW_MS % grid, 6) % grid
    currents = nest.Create("multimeter", {
        "record_from": [f"I_syn_{one['receptor_type']}" for one in types],
        "interval": grid, "offset": offset, "start": WINDOW_MS,
    })
    nest.Connect(currents, neurons)
    return neurons, spikes, currents


def run_trial(network, trial, target_set):
    """Spikes from the cue on, times in ms from the begin of the trial and neurons; drive (neurons, samples)."""
    nodes, _, types = network
    neurons, spikes, currents = build(network)
    neurons.V_m = nodes[f"V_m_trial_{trial}"]
    for part in ("free_run", "cue", "window"):
        neurons.I_e = nodes["I_e"] + (nodes[f"cue_{target_set}"] if part == "cue" else 0.0)
        if PARTS_MS[part] > 0:
            nest.Simulate(PARTS_MS[part])
    nest.Simulate(STEP_MS)  # so that the last currents are handed out
    time, sender = spikes.events["times"], spikes.events["senders"] - neurons[0].global_id
    end = WINDOW_MS + PARTS_MS["window"] + STEP_MS / 2
    kept = (time > BEGIN_MS + STEP_MS / 2) & (time < end)
    recorded = {name: values[currents.events["times"] < end] for name, values in currents.events.items()}
    drive = sum(recorded[f"I_syn_{one['receptor_type']}"] / float(one["pA_per_drive"]) for one in types)
    drive = drive[np.lexsort((recorded["times"], recorded["senders"]))].reshape(len(nodes["I_e"]), -1)
    return time[kept], sender[kept], drive


def n_within(times, neurons, others, of_others, apart_ms):
    """How many spikes have one of the other list within apart_ms, each taken once."""
    found = 0
    for neuron in np.unique(neurons):
        left = np.sort(others[of_others == neuron]).tolist()
        for time in np.sort(times[neurons == neuron]):
            while left and left[0] < time - apart_ms - STEP_MS / 4:
                left.pop(0)
            if left and left[0] <= time + apart_ms + STEP_MS / 4:
                left.pop(0)
                found += 1
    return found


def recall(drive, target):
    """Mean correlation of the drives with their targets, of neurons that have one."""
    here = ~np.isnan(target[:, 0])
    x, y = (part[here] - part[here].mean(axis=1, keepdims=True) for part in (drive, target))
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.mean(np.where(scale > 0, (x * y).sum(axis=1) / np.where(scale > 0, scale, 1.0), 0.0))


def main():
    network = read_network()
    reference = FOLDER / "reference"
    targets = {}
    if (reference / "targets.h5").exists():
        with h5py.File(reference / "targets.h5") as file:
            targets = {name: item[()] for name, item in file.items()}
    trials = sorted(int(name.rpartition("_")[2]) for name in network[0] if name.startswith("V_m_trial_"))
    n_sets = sum(name.startswith("cue_") for name in network[0])
    counts = np.zeros(6, dtype=int)  # equal, stored, here, near in the first part, stored there, here there
    recalls = []
    for target_set in range(n_sets):
        for place, trial in enumerate(trials):
            time, neuron, drive = run_trial(network, trial, target_set)
            with h5py.File(reference / f"spikes_set_{target_set}_trial_{trial}.h5") as file:
                stored, of_stored = (file[f"spikes/neurons/{name}"][()] for name in ("timestamps", "node_ids"))
            end = BEGIN_MS + FIRST_MS + STEP_MS / 2
            first, first_stored = time <= end, stored <= end
            counts += (
                n_within(stored, of_stored, time, neuron, 0.0), len(stored), len(time),
                n_within(stored[first_stored], of_stored[first_stored], time, neuron, NEAR_MS),
                first_stored.sum(), first.sum(),
            )
            words = ""
            if targets:
                recalls.append((recall(drive, targets["target"][target_set]), targets["recall"][target_set, place]))
                words = f", recall {recalls[-1][0]:.4f} (stored {recalls[-1][1]:.4f})"
            print(f"target set {target_set}, trial {trial}: {len(time)} spikes{words}")
    if "--check" in sys.argv[1:]:
        equal, n_stored, n_here, near, first_stored, first_here = counts.tolist()
        n_trials = n_sets * len(trials)
        print(f"{equal} of {n_stored} stored spikes in the same step, {n_here} in NEST, over {n_trials} trials")
        print(f"first {FIRST_MS:g} ms: {near} of {first_stored} within {NEAR_MS:g} ms, {first_here} in NEST")
        apart = max((abs(one - other) for one, other in recalls), default=0.0)
        if recalls:
            print(f"recall differs by at most {apart:.1e} in a trial")
        sys.exit(0 if near >= ENOUGH * max(first_stored, first_here) and apart <= RECALL else 1)


if __name__ == "__main__":
    main()
'''
