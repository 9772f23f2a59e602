"""A trained network as a folder of SONATA: what the files hold, what is refused, and its spikes in NEST."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import DataError, StoreError
from hpcspike.exchange import weights_csr, write_sonata
from tests.small_networks import experiment

NEST = os.environ.get("HPCSPIKE_NEST_PYTHON")
"""Python of an environment with NEST, h5py and libsonata."""

LIF = {"model": "lif", "step_ms": 0.1, "bias": 1.1}
SECTIONS: dict[str, Any] = {
    "neuron": LIF, "synapse": {"tau_syn_ms": 20.0, "delay_ms": 0.2}, "training": {"n_loops": 2, "dtype": "float64"},
    "targets": {"kind": "sine", "duration_ms": 200.0, "n_sets": 2},
}  # fmt: skip
BALANCED = {
    "kind": "balanced", "static_in_degree": 5, "static_ee": 0.5, "static_ie": 1.0, "static_ei": -1.0, "static_ii": -1.0,
    "plastic_in_degree": 4, "input_excitatory": 1.5, "input_inhibitory": 1.2, "plastic_excitatory": 0.2,
    "plastic_inhibitory": -0.2,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "two target sets": SECTIONS,
    "in mV, refractory, by Euler": {
        **SECTIONS, "synapse": {"tau_syn_ms": 20.0, "delay_ms": 0.5, "decay": "euler"},
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 1.0},
        "neuron": {
            "model": "lif", "step_ms": 0.1, "threshold": -50.0, "reset": -65.0, "drive_gain": 10.0, "bias": -48.0,
            "refractory_ms": 2.0,
        },
    },
    "balanced, three decay times": {
        **SECTIONS, "neuron": {**LIF, "bias": 0.0}, "connectivity": BALANCED,
        "synapse": {
            "tau_syn_ms": 20.0, "static_tau_syn_ms": 5.0, "static_tau_inhibitory_ms": 7.0, "delay_ms": 0.2,
            "static_delay_ms": 0.4, "decay": "euler",
        },
    },
}  # fmt: skip


def trained(case: str) -> xr.Dataset:
    return hpcspike.run(experiment(**CASES[case]))


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    return trained("two target sets")


def read_edges(folder: Path) -> tuple[dict[str, np.ndarray], list[dict[str, str]]]:
    with h5py.File(folder / "network" / "edges.h5") as file:
        group = file["edges/neurons_to_neurons"]
        assert group["source_node_id"].attrs["node_population"] == "neurons"
        edges = {name: group[name][()] for name in ("source_node_id", "target_node_id", "edge_type_id")}
        edges["weight"] = group["0/syn_weight"][()]
        for name in ("source_to_target", "target_to_source"):
            edges[name] = group[f"indices/{name}/node_id_to_ranges"][()]
            edges[f"{name}_edges"] = group[f"indices/{name}/range_to_edge_id"][()]
    with open(folder / "network" / "edge_types.csv", newline="") as file:
        return edges, list(csv.DictReader(file, delimiter=" "))


# ---- what the files hold ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_files_hold_weights_delays_starts_cues_and_spikes(case: str, tmp_path: Path) -> None:
    network = trained(case)
    write_sonata(network, tmp_path / "sonata")
    edges, types = read_edges(tmp_path / "sonata")
    document = json.loads(network.attrs["experiment"])
    tau_ms, synapse = document["neuron"]["tau_ms"], document["synapse"]
    names = ["plastic", "fixed", "inhibitory"][: len(types)]
    assert [one["name"] for one in types] == names
    assert len(names) == (3 if "balanced" in case else 1)
    taus = dict(zip(names, (synapse["tau_syn_ms"], 5.0, 7.0), strict=False))
    delays = dict(zip(names, (synapse["delay_ms"], *[synapse.get("static_delay_ms")] * 2), strict=False))
    total = np.zeros((20, 20))
    for number, one in enumerate(types):
        assert one["receptor_type"] == str(number + 1)
        assert float(one["delay"]) == pytest.approx(delays[one["name"]] - 0.1, rel=1e-12)
        here = edges["edge_type_id"] == number
        weight = edges["weight"][here] / float(one["pA_per_drive"]) * taus[one["name"]] / tau_ms
        np.add.at(total, (edges["target_node_id"][here], edges["source_node_id"][here]), weight)
    np.testing.assert_allclose(total, weights_csr(network, fixed=len(types) > 1).toarray(), rtol=1e-12)
    for name, nodes in (("source_to_target", "source_node_id"), ("target_to_source", "target_node_id")):
        for node, (begin, end) in enumerate(edges[name].tolist()):
            found = np.concatenate([np.zeros(0, int), *(np.arange(*one) for one in edges[f"{name}_edges"][begin:end])])
            np.testing.assert_array_equal(np.sort(found), np.flatnonzero(edges[nodes] == node))
    with h5py.File(tmp_path / "sonata" / "network" / "nodes.h5") as file:
        group = file["nodes/neurons/0"]
        for trial in range(2):
            np.testing.assert_array_equal(group[f"V_m_trial_{trial}"], network["initial_state"][trial, 0])
        for target_set in range(2):
            np.testing.assert_array_equal(group[f"cue_{target_set}"], network["stimulus"][target_set])
    n = 0
    for target_set in range(2):
        for trial in range(2):
            with h5py.File(tmp_path / "sonata" / "reference" / f"spikes_set_{target_set}_trial_{trial}.h5") as file:
                n += len(file["spikes/neurons/timestamps"])
                assert file["spikes/neurons/timestamps"].attrs["units"] == "ms"
                assert (np.diff(file["spikes/neurons/timestamps"]) >= 0).all()
    assert n == network.sizes["spike"]


@pytest.mark.parametrize("case", CASES)
def test_the_equations_of_nest_give_every_spike(case: str, tmp_path: Path) -> None:
    """Exact integration with exponentials, spikes that act after their delay, >= of the threshold: all from the files.

    Order of a step in NEST: voltages move with the currents of the step before, currents decay, spikes arrive.
    """
    network = trained(case)
    folder = tmp_path / "sonata"
    write_sonata(network, folder)
    edges, types = read_edges(folder)
    about = json.loads((folder / "simulation_config.json").read_text())
    neuron = json.loads((folder / "components" / "neuron.json").read_text())
    step = about["run"]["dt"]
    parts = [round(about["metadata"][name] / step) for name in ("free_run", "cue", "window")]
    tau, tau_syn = neuron["tau_m"], np.array(neuron["tau_syn"])
    keep, fade = np.exp(-step / tau), np.exp(-step / tau_syn)[:, None]
    moved = tau_syn / (tau_syn - tau) * (fade[:, 0] - keep)
    for target_set, trial in ((0, 0), (1, 1)):
        with h5py.File(folder / "network" / "nodes.h5") as file:
            group = file["nodes/neurons/0"]
            v, constant = group[f"V_m_trial_{trial}"][()], group["dynamics_params/I_e"][()]
            cue = group[f"cue_{target_set}"][()]
        current, left, found = np.zeros((len(types), 20)), np.zeros(20), []
        late = [round(float(one["delay"]) / step) for one in types]
        arriving = np.zeros((max(late) + 1, len(types), 20))
        for t in range(sum(parts)):
            external = constant + (cue if parts[0] <= t < parts[0] + parts[1] else 0.0)
            new = keep * v + (1.0 - keep) * external + moved @ current
            v, left = np.where(left > 0, v, new), np.maximum(left - 1, 0)
            fired = np.flatnonzero(v >= neuron["V_th"])
            v[fired], left[fired] = neuron["V_reset"], round(neuron["t_ref"] / step)
            found += [(t, who) for who in fired.tolist() if t >= parts[0]]
            for number, delay in enumerate(late):
                here = (edges["edge_type_id"] == number) & np.isin(edges["source_node_id"], fired)
                into = arriving[(t + delay) % len(arriving), number]
                np.add.at(into, edges["target_node_id"][here], edges["weight"][here])
            current = current * fade + arriving[t % len(arriving)]
            arriving[t % len(arriving)] = 0.0
        here = (network["spike_trial"].values == trial) & (network["spike_set"].values == target_set)
        steps = np.rint(network["spike_time"].values[here] / step).astype(int) - 1 + sum(parts[:2])
        assert found == sorted(zip(steps.tolist(), network["spike_neuron"].values[here].tolist(), strict=True))
        assert len(found) > 20


# ---- in libsonata and NEST -------------------------------------------------------------------------------------------

in_nest = pytest.mark.skipif(
    NEST is None, reason="HPCSPIKE_NEST_PYTHON does not name a Python that has NEST, h5py and libsonata"
)


def run(*program: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run([str(NEST), *program], env=own, capture_output=True, text=True, check=False, timeout=280)


OPEN_WITH_LIBSONATA = """
import json, sys
import libsonata
simulation = libsonata.SimulationConfig.from_file(sys.argv[1] + "/simulation_config.json")
circuit = libsonata.CircuitConfig.from_file(simulation.network)
nodes, edges = circuit.node_population("neurons"), circuit.edge_population("neurons_to_neurons")
spikes = libsonata.SpikeReader(sys.argv[1] + "/reference/spikes_set_1_trial_0.h5")["neurons"].get()
print(json.dumps({
    "dt": simulation.run.dt, "nodes": nodes.size, "edges": edges.size, "source": edges.source, "spikes": len(spikes),
    "cue": nodes.get_attribute("cue_1", nodes.select_all()).tolist(),
    "onto_3": sorted(map(int, edges.source_nodes(edges.afferent_edges([3])))),
}))
"""


@in_nest
def test_libsonata_opens_it(network: xr.Dataset, tmp_path: Path) -> None:
    write_sonata(network, tmp_path / "sonata")
    done = run("-c", OPEN_WITH_LIBSONATA, str(tmp_path / "sonata"))
    assert done.returncode == 0, done.stderr
    start = network["row_start"].values
    assert json.loads(done.stdout) == {
        "dt": 0.1, "nodes": 20, "edges": network.sizes["synapse"], "source": "neurons",
        "spikes": int(((network["spike_trial"] == 0) & (network["spike_set"] == 1)).sum()),
        "cue": network["stimulus"][1].values.tolist(),
        "onto_3": sorted(network["presynaptic"].values[start[3] : start[4]].tolist()),
    }  # fmt: skip


@in_nest
@pytest.mark.parametrize("case", CASES)
def test_every_spike_is_the_same_in_nest(case: str, tmp_path: Path) -> None:
    network = trained(case)
    write_sonata(network, tmp_path / "sonata")
    done = run(str(tmp_path / "sonata" / "run_nest.py"), "--check")
    print(f"{case}: {done.stdout.splitlines()[-3:]}")
    n = network.sizes["spike"]
    assert n > 100
    assert f"{n} of {n} stored spikes in the same step, {n} in NEST, over 4 trials" in done.stdout, done.stderr
    apart = re.search(r"recall differs by at most (\S+) in a trial", done.stdout)
    assert apart is not None
    assert float(apart.group(1)) < 1e-6
    assert (done.returncode, done.stderr) == (0, "")


def test_spikes_are_matched_once_each_and_recall_is_pearsons(network: xr.Dataset, tmp_path: Path) -> None:
    write_sonata(network, tmp_path / "sonata")
    text = (tmp_path / "sonata" / "run_nest.py").read_text()
    assert max(map(len, text.splitlines())) <= 120
    spec = importlib.util.spec_from_loader("program", loader=None)
    assert spec is not None
    program = importlib.util.module_from_spec(spec)
    program.__file__ = str(tmp_path / "sonata" / "run_nest.py")
    exec(compile(text.replace("import nest\n", ""), "run_nest.py", "exec"), program.__dict__)
    times, who = np.array([1.0, 1.5, 9.0, 3.0]), np.array([0, 0, 0, 1])
    others, of_others = np.array([1.4, 9.9, 5.0]), np.array([0, 0, 1])
    assert program.n_within(times, who, others, of_others, 1.0) == 2
    assert program.n_within(times, who, times, who, 0.0) == 4
    drive, target = network["drive"].values[1, 0], network["target"].values[1].copy()
    expected = np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(drive, target, strict=True)])
    assert program.recall(drive, target) == pytest.approx(expected, rel=1e-12)
    target[3] = np.nan
    assert np.isfinite(program.recall(drive, target))
    with h5py.File(tmp_path / "sonata" / "reference" / "targets.h5") as file:
        assert file["recall"][1, 0] == pytest.approx(expected, rel=1e-12)


# ---- the command, and what is refused --------------------------------------------------------------------------------


def test_the_command_makes_a_new_folder_and_none_a_second_time(
    network: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network.to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    assert main(["export", str(tmp_path / "net.nc"), f"{tmp_path / 'sonata'}/"]) == 0
    assert "sonata: SONATA of 20 neurons, and 4 trials to run with NEST" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "sonata").iterdir()) == [
        "circuit_config.json", "components", "network", "reference", "run_nest.py", "simulation_config.json",
    ]  # fmt: skip
    assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "sonata")]) == 2
    assert "choose another path" in capsys.readouterr().err
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="file exists; choose another path"):
        write_sonata(network, tmp_path / "file")


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"neuron": {"model": "theta"}}, "neuron.model = theta"),
        ({"synapse": {"tau_syn_ms": 20.0}}, "synapse.delay_ms = 0.1 ms"),
        ({"synapse": {"tau_syn_ms": 20.0, "delay_ms": 0.1}}, "synapse.delay_ms = 0.1 ms"),
        ({"neuron": {**LIF, "step_ms": 0.0125}, "synapse": {"tau_syn_ms": 20.0}}, "neuron.step_ms = 0.0125 ms"),
        ({"neuron": {**LIF, "tau_ms": 0.1}}, "neuron.step_ms = 0.1 ms"),
        ({"synapse": {"tau_syn_ms": 0.1, "delay_ms": 0.2, "decay": "euler"}}, "synapse.decay = euler"),
        ({"synapse": {"tau_syn_ms": 10.0, "delay_ms": 0.2, "decay": "euler"}}, "synapse.tau_syn_ms = 10 ms"),
        ({"training": {"n_loops": 2, "dtype": "float32"}}, "training.dtype = float32"),
        ({"trial_noise": {"standard_deviation": 0.2}}, "trial_noise.standard_deviation = 0.2"),
        ({"feed_forward": {"n_neurons": 3, "weights": "shared"}}, "feed_forward.n_neurons = 3"),
        ({"learner": {"kind": "lsnn"}}, "learner.kind = lsnn"),
    ],
)
def test_what_nest_cannot_be_told_is_refused_by_key_and_value(
    network: xr.Dataset, sections: dict[str, Any], named: str, tmp_path: Path
) -> None:
    document = json.loads(network.attrs["experiment"])
    other = network.assign_attrs(experiment=json.dumps({**document, **sections}))
    with pytest.raises(DataError, match=re.escape(named) + ": SONATA for NEST can only say"):
        write_sonata(other, tmp_path / "sonata")
    assert list(tmp_path.iterdir()) == []
