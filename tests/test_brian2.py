"""A trained network as a program for Brian2: what the two files hold, what is refused, and its spikes in Brian2."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike import files
from hpcspike.cli import main
from hpcspike.errors import DataError, ResourceError, StoreError
from hpcspike.exchange import weights_csr, write_brian2
from tests.small_networks import experiment

BRIAN2 = os.environ.get("HPCSPIKE_BRIAN2_PYTHON")
"""Python of an environment with Brian2, which does not import with the numpy that is used here."""

LIF = {"model": "lif", "step_ms": 0.5, "bias": 1.2, "refractory_ms": 1.0, "drive_gain": 0.9}
BALANCED = {
    "kind": "balanced", "static_in_degree": 5, "static_ee": 0.5, "static_ie": 1.0, "static_ei": -1.0, "static_ii": -1.0,
    "plastic_in_degree": 4, "input_excitatory": 1.5, "input_inhibitory": 1.2, "plastic_excitatory": 0.2,
    "plastic_inhibitory": -0.2,
}  # fmt: skip
TAUS = {"tau_syn_ms": 20.0, "static_tau_syn_ms": 5.0}
CASES: dict[str, dict[str, Any]] = {
    "theta, two target sets": {
        "neuron": {"model": "theta", "bias": 0.3}, "targets": {"kind": "sine", "duration_ms": 200.0, "n_sets": 2},
    },
    "theta, float32 weights": {"neuron": {"model": "theta", "bias": 0.3}, "training": {"dtype": "float32"}},
    "theta, stronger weights": {
        "neuron": {"model": "theta", "bias": 1.0},
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 8.0}, "training": {"n_loops": 0},
    },
    "theta, balanced": {"neuron": {"model": "theta"}, "connectivity": BALANCED, "synapse": TAUS},
    "lif": {"neuron": LIF},
    "lif, balanced, three decay times by Euler": {
        "neuron": LIF, "connectivity": BALANCED,
        "synapse": {**TAUS, "static_tau_inhibitory_ms": 7.0, "decay": "euler"},
    },
    "theta, balanced, delays": {
        "neuron": {"model": "theta"}, "connectivity": BALANCED,
        "synapse": {**TAUS, "delay_ms": 2.0, "static_delay_ms": 5.0},
    },
}  # fmt: skip


def trained(**sections: Any) -> xr.Dataset:
    return hpcspike.run(experiment(**{"measures": {"n_test_trials": 3}, **sections}))


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    return trained(**CASES["theta, two target sets"])


# ---- the two files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["theta, two target sets", "lif, balanced, three decay times by Euler"])
def test_the_files_hold_the_network_its_trials_and_their_spikes(case: str, tmp_path: Path) -> None:
    network = trained(**CASES[case])
    write_brian2(network, tmp_path / "net.py")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")) == ["net.npz", "net.py"]
    text = (tmp_path / "net.py").read_text()
    compile(text, "net.py", "exec")
    assert max(map(len, text.splitlines())) <= 120
    assert {name for name in re.findall(r"import (\w+)|from (\w+) import", text) for name in name if name} == {
        "hashlib", "sys", "pathlib", "numpy", "brian2",
    }  # fmt: skip
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        arrays = dict(file)
    n = network.sizes["neuron"]
    groups = [name.removesuffix("_weight") for name in arrays if name.endswith("_weight")]
    total = np.zeros((n, n))
    for group in groups:
        pre, post, weight = (arrays[f"{group}_{part}"] for part in ("pre", "post", "weight"))
        assert (np.diff(pre) >= 0).all()  # spikes are delivered in the order of presynaptic neurons
        np.add.at(total, (post, pre), weight)
    np.testing.assert_array_equal(total, weights_csr(network, fixed=len(groups) > 1).toarray())
    assert groups == (["plastic", "fixed", "inhibitory"] if "balanced" in case else ["plastic"])
    np.testing.assert_array_equal(arrays["initial_state"], network["initial_state"])
    np.testing.assert_array_equal(arrays["cue"], network["stimulus"])
    step_ms = json.loads(network.attrs["experiment"])["neuron"]["step_ms"]
    np.testing.assert_array_equal((arrays["spike_step"] + 1) * step_ms, network["spike_time"])
    for name in ("neuron", "trial", "set"):
        np.testing.assert_array_equal(arrays[f"spike_{name}"], network[f"spike_{name}"])


def test_the_command_writes_both_and_a_second_time_in_their_place(
    network: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network.to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    for _ in range(2):
        assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "new" / "net.py")]) == 0
        assert "net.py and net.npz: 6 trials to run with Brian2" in capsys.readouterr().out
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["net.npz", "net.py"]


# ---- what is refused, before anything is written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"neuron": {"model": "izhikevich", "step_ms": 0.5}}, "neuron.model = izhikevich"),
        ({"frozen_noise": {"standard_deviation": 0.1}}, "frozen_noise.standard_deviation = 0.1"),
        ({"trial_noise": {"standard_deviation": 0.2}}, "trial_noise.standard_deviation = 0.2"),
        ({"feed_forward": {"n_neurons": 3, "weights": "shared"}}, "feed_forward.n_neurons = 3"),
        ({"neuron": LIF, "training": {"dtype": "float32"}}, "training.dtype = float32"),
        ({"learner": {"kind": "lsnn"}}, "learner.kind = lsnn"),
        ({"neuron": {"model": "user", "source": "mine.py:model", "step_ms": 1.0}}, "neuron.model = user"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_program_does_not_say_is_refused_by_key_and_value(
    network: xr.Dataset, sections: dict[str, Any], named: str, tmp_path: Path
) -> None:
    document = json.loads(network.attrs["experiment"])
    for section, values in sections.items():
        alone = "model" in values or "kind" in values
        document[section] = values if alone else {**document.get(section, {}), **values}
    other = network.assign_attrs(experiment=json.dumps(document))
    with pytest.raises(DataError, match=re.escape(named) + ": the program for Brian2 can only say"):
        write_brian2(other, tmp_path / "net.py")
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_2_and_leaves_nothing(
    network: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network.drop_vars("initial_state").to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    assert main(["export", str(tmp_path / "net.nc"), str(tmp_path / "net.py")]) == 2
    assert "this Dataset has no 'initial_state'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.nc"]


@pytest.mark.parametrize("there", ["net.py", "net.npz"])
def test_files_of_others_are_left_alone(network: xr.Dataset, there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("print('mine')\n")
    with pytest.raises(StoreError, match=f"{there} exists"):
        write_brian2(network, tmp_path / "net.py")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "print('mine')\n")]


@pytest.mark.parametrize("failing", [".npz", ".py"])
def test_both_files_come_to_be_or_none(
    network: xr.Dataset, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.put_in_place

    def full(unfinished: Path, path: Path) -> None:
        if path.suffix == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(unfinished, path)

    monkeypatch.setattr(files, "put_in_place", full)
    with pytest.raises(ResourceError, match="No space left"):
        write_brian2(network, tmp_path / "net.py")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


# ---- in Brian2 -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(BRIAN2 is None, reason="HPCSPIKE_BRIAN2_PYTHON does not name a Python that has Brian2")
@pytest.mark.parametrize("case", CASES)
def test_every_spike_is_the_same_in_brian2(case: str, tmp_path: Path) -> None:
    network = trained(**CASES[case])
    write_brian2(network, tmp_path / "net.py")
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    program = [str(BRIAN2), str(tmp_path / "net.py")]
    done = subprocess.run([*program, "--check"], env=own, capture_output=True, text=True, check=False, timeout=280)
    print(f"{case}: {done.stdout.splitlines()[-1:]}")
    n, sets = network.sizes["spike"], network.sizes["target_set"]
    assert n > 100
    assert f"{n} of {n} stored spikes equal, {n} in Brian2, over {3 * sets} trials" in done.stdout, done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "net.npz").write_bytes(b"of another network")
    other = subprocess.run(program, env=own, capture_output=True, text=True, check=False, timeout=280)
    assert other.returncode == 1
    assert "is not the file that was written with this program" in other.stderr
