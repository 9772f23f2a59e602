"""A trained network as a NIR graph: read back by nir with equal weights, run from the file, and run by snnTorch."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import DataError, ResourceError, SpecError
from hpcspike.exchange import nir_input, weights_csr, write_nir
from tests.small_networks import experiment

nir = pytest.importorskip("nir")

SNNTORCH = os.environ.get("HPCSPIKE_SNNTORCH_PYTHON")
"""Python of an environment with snnTorch and nir: PyTorch is too large for everybody's."""

LIF = {"model": "lif", "step_ms": 0.1, "threshold": -50.0, "reset": -65.0, "drive_gain": 10.0, "bias": -48.0}
SECTIONS: dict[str, Any] = {
    "neuron": LIF, "synapse": {"tau_syn_ms": 20.0, "decay": "euler"},
    "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 1.0},
    "targets": {"kind": "sine", "duration_ms": 100.0, "n_sets": 2}, "training": {"n_loops": 2, "dtype": "float64"},
}  # fmt: skip

RUN_IN_SNNTORCH = """
import sys
import nir, numpy as np, torch
from snntorch.import_nir import import_from_nir

torch.set_default_dtype(torch.float64)
graph = nir.read(sys.argv[1])
starts = graph.nodes["rnn"].nodes["lif"].metadata["initial_voltage"]
fed = torch.from_numpy(np.load(sys.argv[2]))
found = []
for start in starts:
    model, state = import_from_nir(graph).double(), None
    (neurons,) = [module for module in model.modules() if type(module).__name__ == "Synaptic"]
    (weights,) = [module for module in model.modules() if type(module).__name__ == "Linear"]
    weights.register_forward_pre_hook(lambda _, given: (given[0].double(),))  # its spikes are float32
    neurons.mem, neurons.syn = torch.from_numpy(start)[None], torch.zeros(1, len(start))
    with torch.no_grad():
        for step, x in enumerate(fed):
            spike, state = model(x[None], state)
            found += [(step, neuron) for neuron in spike[0].nonzero()[:, 0].tolist()]
    found.append((-1, -1))
np.save(sys.argv[3], np.array(found))
"""


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    return hpcspike.run(experiment(**SECTIONS))


def run_graph(path: Path, fed: np.ndarray, trial: int) -> set[tuple[int, int]]:
    """Spikes (step, neuron) of a trial from the file alone, by the definitions of NIR, a spike being 1 for one step."""
    graph = nir.read(path).nodes["rnn"]
    lif, weight = graph.nodes["lif"], graph.nodes["recurrent"].weight
    about = lif.metadata
    voltage, dt = about["initial_voltage"][trial].copy(), about["dt"]
    current, spiked, found = np.zeros_like(voltage), np.zeros_like(voltage), set()
    for step, x in enumerate(fed):
        current += -dt / lif.tau_syn * current + dt / lif.tau_syn * lif.w_in * (weight @ spiked + x)
        voltage += dt / lif.tau_mem * (lif.v_leak - voltage + lif.r * current)
        spiked = (voltage > lif.v_threshold).astype(float)
        voltage = np.where(spiked > 0, lif.v_reset, voltage)
        found |= {(step, int(neuron)) for neuron in np.flatnonzero(spiked)}
    return found


def stored(network: xr.Dataset, trial: int, target_set: int, first: int) -> set[tuple[int, int]]:
    """The same of the Dataset, from the cue on; ``first``: steps before the window."""
    here = (network["spike_trial"].values == trial) & (network["spike_set"].values == target_set)
    step = np.rint(network["spike_time"].values[here] / 0.1).astype(int) - 1 + first
    return set(zip(step.tolist(), network["spike_neuron"].values[here].tolist(), strict=True))


def test_nir_reads_back_equal_weights_and_what_the_neurons_are(network: xr.Dataset, tmp_path: Path) -> None:
    write_nir(network, tmp_path / "net.nir", bias="leak")
    graph = nir.read(tmp_path / "net.nir").nodes["rnn"]
    np.testing.assert_array_equal(graph.nodes["recurrent"].weight, weights_csr(network, fixed=True).toarray())
    lif = graph.nodes["lif"]
    assert type(lif).__name__ == "CubaLIF"
    unit, zero = lif.metadata["voltage_unit"], lif.metadata["voltage_zero"]
    for name, value in (("v_threshold", -50.0), ("v_reset", -65.0), ("v_leak", -48.0)):
        np.testing.assert_allclose(unit * getattr(lif, name) + zero, value)
    np.testing.assert_allclose(lif.tau_syn, 0.02)
    np.testing.assert_allclose(lif.tau_mem, 0.01)
    np.testing.assert_allclose(
        unit * lif.metadata["initial_voltage"] + zero, network["initial_state"].isel(state_variable=0)
    )


@pytest.mark.parametrize("bias", ["input", "leak"])
def test_every_spike_follows_from_the_file(network: xr.Dataset, bias: str, tmp_path: Path) -> None:
    write_nir(network, tmp_path / "net.nir", bias=bias)
    free, cue, _ = nir.read(tmp_path / "net.nir").nodes["rnn"].nodes["lif"].metadata["steps"]
    n = 0
    for target_set in range(2):
        fed = nir_input(network, target_set, bias=bias)
        for trial in range(2):
            found = {spike for spike in run_graph(tmp_path / "net.nir", fed, trial) if spike[0] >= free}
            assert found == stored(network, trial, target_set, free + cue)
            n += len(found)
    assert n == network.sizes["spike"] > 100


@pytest.mark.skipif(SNNTORCH is None, reason="HPCSPIKE_SNNTORCH_PYTHON does not name a Python that has snnTorch")
def test_every_spike_is_the_same_in_snntorch(network: xr.Dataset, tmp_path: Path) -> None:
    write_nir(network, tmp_path / "net.nir")
    np.save(tmp_path / "fed.npy", nir_input(network, 1))
    program = [
        str(SNNTORCH),
        "-c",
        RUN_IN_SNNTORCH,
        *(str(tmp_path / name) for name in ("net.nir", "fed.npy", "out.npy")),
    ]
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(program, env=own, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    spikes = np.load(tmp_path / "out.npy")
    free, cue, _ = nir.read(tmp_path / "net.nir").nodes["rnn"].nodes["lif"].metadata["steps"]
    ends = np.flatnonzero(spikes[:, 0] < 0)
    assert len(ends) == 2
    equal = total = 0
    for trial, part in enumerate(np.split(spikes, ends + 1)[:2]):
        found = {(step, neuron) for step, neuron in part.tolist() if step >= free}
        ours = stored(network, trial, 1, free + cue)
        equal, total = equal + len(found & ours), total + len(found | ours)
    print(f"{equal} of {total} spikes equal in snnTorch")
    assert equal == total > 50


# ---- the command, and what is refused --------------------------------------------------------------------------------


def test_the_command_writes_it(network: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network.to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    for _ in range(2):
        assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "net.nir")]) == 0
        assert "net.nir: 20 CubaLIF neurons, their weights, and how 2 test trials begin" in capsys.readouterr().out
    write_nir(network, tmp_path / "other.nir")
    one, other = (
        nir.read(tmp_path / f"{name}.nir").nodes["rnn"].nodes["recurrent"].weight for name in ("net", "other")
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"neuron": {**LIF, "refractory_ms": 2.0}}, "neuron.refractory_ms = 2 ms"),
        ({"neuron": {"model": "theta"}}, "neuron.model = theta"),
        ({"synapse": {"tau_syn_ms": 20.0, "delay_ms": 0.2}}, "synapse.delay_ms = 0.2 ms"),
        ({"trial_noise": {"standard_deviation": 0.2}}, "trial_noise.standard_deviation = 0.2"),
        ({"feed_forward": {"n_neurons": 3, "weights": "shared"}}, "feed_forward.n_neurons = 3"),
    ],
)
def test_what_nir_does_not_say_is_refused(
    network: xr.Dataset, sections: dict[str, Any], named: str, tmp_path: Path
) -> None:
    other = network.assign_attrs(experiment=experiment(**{**SECTIONS, **sections}).model_dump_json())
    with pytest.raises(DataError, match=re.escape(named) + ": a NIR file can only say"):
        write_nir(other, tmp_path / "net.nir")
    assert list(tmp_path.iterdir()) == []


def test_fixed_synapses_of_another_decay_time_are_refused(tmp_path: Path) -> None:
    balanced = {
        "kind": "balanced", "static_in_degree": 5, "static_ee": 0.5, "static_ie": 1.0, "static_ei": -1.0,
        "static_ii": -1.0, "plastic_in_degree": 4, "input_excitatory": 1.5, "input_inhibitory": 1.2,
        "plastic_excitatory": 0.2, "plastic_inhibitory": -0.2,
    }  # fmt: skip
    lif, synapse = {"model": "lif", "step_ms": 0.5, "bias": 0.0}, {"tau_syn_ms": 20.0, "static_tau_syn_ms": 5.0}
    sections: dict[str, Any] = {"neuron": lif, "connectivity": balanced, "synapse": synapse, "training": {"n_loops": 0}}
    network = hpcspike.run(experiment(**sections))
    with pytest.raises(DataError, match="synapse.static_tau_syn_ms = 5.0 ms: a NIR file can only say synapses of one"):
        write_nir(network, tmp_path / "net.nir")


def test_a_word_for_the_bias_and_a_missing_package_are_told(
    network: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="bias = 'v_leak': must be one of input, leak"):
        write_nir(network, tmp_path / "net.nir", bias="v_leak")
    with pytest.raises(SpecError, match="target_set = 2"):
        nir_input(network, 2)
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ResourceError, match="pip install 'hpcspike\\[nir\\]'"):
        write_nir(network, tmp_path / "net.nir")
    assert list(tmp_path.iterdir()) == []
