"""Every learner takes the same road: trained, saved, gone on with, stored, opened, drawn, exported."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike import figures
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.engine.output import NOT_REPRODUCIBLE
from hpcspike.errors import DataError, Interrupted, SpecError
from hpcspike.exchange import weights_csr, write_nwb
from hpcspike.runs.point import fit_and_evaluate, run_point
from hpcspike.runs.run import train_to_store
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_experiment
from hpcspike.variables import LEARNED, POINT_RESULTS, TRAINED, WEIGHTS
from tests.drawn import title_of

N, TRIALS = 20, 2
LEARNERS: dict[str, dict[str, Any]] = {
    "rls": {"kind": "rls"},
    "bourdoukan": {"kind": "ebn_bourdoukan", "passes": 3, "fast_passes": 2},
    "alemi": {"kind": "ebn_alemi", "passes": 4},
    "lsnn": {"kind": "lsnn", "passes": 3, "batch": 2, "steps_per_pass": 1, "n_readouts": 5},
    "huh": {"kind": "huh", "passes": 3, "adjoint_clip": 1.0},
}
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs the extra gradient")
EVERY = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_jax if name in ("lsnn", "huh") else ()) for name in LEARNERS]
)


def asked(name: str, **changes: Any) -> Experiment:
    return validate_experiment(
        {
            "name": "road", "network": {"n_neurons": N}, "learner": LEARNERS[name],
            "targets": {"kind": "ou", "duration_ms": 100.0, "tau_corr_ms": 50.0}, "stimulus": {"duration_ms": 50.0},
            "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0}, "training": {"n_loops": 3},
            "measures": {"n_test_trials": TRIALS, "n_clamped_trials": 1}, **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def networks() -> dict[str, xr.Dataset]:
    """Networks as they were asked for, by learner."""
    return {}


def network_of(networks: dict[str, xr.Dataset], name: str) -> xr.Dataset:
    if name not in networks:
        networks[name] = hpcspike.run(asked(name))
    return networks[name]


def without_times(dataset: xr.Dataset) -> xr.Dataset:
    """What must be equal from run to run."""
    found = dataset.load().drop_vars([name for name in NOT_REPRODUCIBLE if name in dataset.variables])
    return found.assign_attrs({name: None for name in NOT_REPRODUCIBLE if name in found.attrs})


@EVERY
def test_a_training_that_stopped_goes_on_to_the_same_bits(
    name: str, tmp_path: Path, networks: dict[str, xr.Dataset]
) -> None:
    experiment, folder = asked(name), tmp_path / "state"
    stop = 150 if name == "rls" else 2  # steps, or passes
    with pytest.raises(Interrupted, match=r"of this run, .* done; the state is in .*state, and the same command"):
        train_to_store(experiment, tmp_path / "a.zarr", checkpoints=Checkpoints(folder, stop_after_steps=stop))
    assert not (tmp_path / "a.zarr").exists()
    train_to_store(experiment, tmp_path / "a.zarr", checkpoints=Checkpoints(folder))
    resumed = without_times(hpcspike.open_network(tmp_path / "a.zarr"))
    xr.testing.assert_equal(resumed, without_times(network_of(networks, name)))


@EVERY
def test_the_dataset_holds_what_is_registered(name: str, networks: dict[str, xr.Dataset]) -> None:
    network = network_of(networks, name)
    known = {**POINT_RESULTS, **TRAINED, **LEARNED}
    for found, array in network.variables.items():
        if str(found).startswith("state_"):  # of the rule, by the names that the learner gives
            continue
        group = str(found).removeprefix("weights_")
        variable = WEIGHTS[group] if str(found).startswith("weights_") else known[str(found)]
        assert array.dtype == np.dtype(variable.dtype), found
        assert array.attrs["long_name"], found
    assert network.sizes["neuron"] == N
    assert network["response"].dims[:2] == ("target_set", "trial")
    assert network.sizes["trial"] == TRIALS
    assert network["target"].dims == ("target_set", "output" if name in ("lsnn", "huh") else "neuron", "time")
    assert network["spike_neuron"].max() < N
    assert float(network["correlation"]) == pytest.approx(float(network["neuron_correlation"].mean()), abs=1e-12)


@EVERY
def test_a_point_of_a_sweep_is_the_network_itself(name: str, networks: dict[str, xr.Dataset]) -> None:
    experiment, network = asked(name), network_of(networks, name)
    result = run_point(experiment)
    for scalar, value in result.scalars.items():
        if scalar in network:
            np.testing.assert_array_equal(value, network[scalar], scalar)
    kept = network["curve_correlation"].values[:3]
    np.testing.assert_array_equal(result.curves["curve_correlation"][: len(kept)], kept)
    assert result.curves["curve_correlation"].shape == (3,)


@EVERY
def test_it_is_drawn_and_exported(name: str, tmp_path: Path, networks: dict[str, xr.Dataset]) -> None:
    pytest.importorskip("pynwb")
    network = network_of(networks, name)
    drawn = figures.figures_for(network)
    assert {"samples", "raster", "training", "error_split"} <= set(drawn)
    assert "correlation" in title_of(drawn["samples"]().axes[0])
    write_nwb(network, tmp_path / "spikes.nwb")
    assert (tmp_path / "spikes.nwb").stat().st_size > 0
    group = "fast" if name in ("bourdoukan", "alemi") else None
    matrix = weights_csr(network, group=group)
    assert matrix.shape == (N, N)
    assert matrix.nnz > 0


def test_weights_of_several_groups_must_be_named(networks: dict[str, xr.Dataset]) -> None:
    network = network_of(networks, "alemi")
    with pytest.raises(DataError, match="group = None: this network has the recurrent weights fast, slow; choose one"):
        weights_csr(network)
    with pytest.raises(DataError, match="initial and fixed are for networks that rls trained"):
        weights_csr(network, group="slow", initial=True)
    np.testing.assert_array_equal(weights_csr(network, group="slow").toarray(), network["weights_slow"].values)


def test_w_rec_is_turned_so_that_rows_are_postsynaptic(networks: dict[str, xr.Dataset]) -> None:
    names = ("presynaptic_neuron", "neuron")
    values = np.arange(9.0).reshape(3, 3)
    made = xr.Dataset({"weights_w_rec": (names, values)}, coords={"neuron": np.arange(3)})
    made["target"] = (("target_set", "neuron", "time"), np.zeros((1, 3, 2)))
    np.testing.assert_array_equal(weights_csr(made).toarray(), values.T)


def test_only_rls_is_trained_on_several_ranks() -> None:
    class Two(World):
        size = 2

    with pytest.raises(SpecError, match="learner.kind = ebn_alemi runs on one rank, not on 2"):
        fit_and_evaluate(asked("alemi"), world=Two())


def test_targets_that_are_new_in_every_trial_are_stored_by_trial() -> None:
    driven = asked(
        "alemi", targets={"kind": "driven", "system": "oscillator", "duration_ms": 200.0},
        stimulus={"duration_ms": 0.0},
    )  # fmt: skip
    network = hpcspike.run(driven)
    assert network["target"].dims == ("trial", "output", "time")
    assert not np.array_equal(network["target"][0], network["target"][1])
    assert "curve_correlation" not in network
    assert network["curve_score"].sizes["loop"] == 4
    title = title_of(figures.figures_for(network)["samples"]().axes[0])
    assert title.startswith("output ")


@EVERY
def test_noise_of_a_rollout_is_that_of_its_trial(name: str) -> None:
    from dataclasses import replace

    learner, _ = fit_and_evaluate(asked(name))
    stimulus = learner.task.sample("test", 0).stimulus
    trials = [learner.rollout(replace(stimulus, index=trial), noise=0.5).prediction for trial in range(5)]
    for one in range(5):
        for other in range(one):
            assert not np.array_equal(trials[one], trials[other])
    np.testing.assert_array_equal(learner.rollout(replace(stimulus, index=3), noise=0.5).prediction, trials[3])
