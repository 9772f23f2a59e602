"""The excitatory-inhibitory network of Dale's law, and the innate trajectories it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from hypothesis import given
from hypothesis import strategies as st

import hpcspike
from hpcspike.engine.checkpoint import checkpoint_bytes
from hpcspike.engine.simulation import Simulation
from hpcspike.errors import SpecError
from hpcspike.model.connectivity import build_rows, build_static_rows, in_degrees
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.spec import validate_experiment
from hpcspike.spec.connectivity import DaleConnectivity
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.cost import in_degrees as expected_in_degrees
from tests.mpi_launch import launch
from tests.small_networks import experiment
from tests.test_connectivity import dense
from tests.test_mpi_train import TRAIN, assert_same_files

DALE: dict[str, Any] = {"kind": "dale", "probability": 0.2, "coupling": 6.0}
INNATE: dict[str, Any] = {"kind": "innate", "duration_ms": 60.0, "transient_ms": 40.0}


def chosen(**sections: Any) -> Experiment:
    document = {"network": {"n_neurons": 50}, "connectivity": DALE, "targets": INNATE}
    return experiment(**{**document, **sections})


# ---- connectivity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "factor"), [("scaled", 1 / np.sqrt(50 * 0.2)), ("raw", 1.0)])
def test_every_neuron_has_its_number_of_inputs_of_each_sign(scale: str, factor: float) -> None:
    connectivity = DaleConnectivity(**DALE, weight_scale=scale)  # type: ignore[arg-type]
    rows = build_rows(connectivity, 50, range(50), seed=1, replicate=0)
    matrix = dense(rows, 50)
    excitatory = np.arange(50) < 40
    assert ((matrix[:, excitatory] != 0).sum(axis=1) == 8).all()
    assert ((matrix[:, ~excitatory] != 0).sum(axis=1) == 2).all()
    np.testing.assert_allclose(np.unique(matrix[:, excitatory]), [0.0, 6.0 * factor])
    np.testing.assert_allclose(np.unique(matrix[:, ~excitatory]), [-30.0 * factor, 0.0])
    assert not np.diag(matrix).any()
    for neuron in range(50):
        assert (np.diff(rows.presynaptic[rows.start[neuron] : rows.start[neuron + 1]]) > 0).all()
    assert len({tuple(row) for row in matrix != 0}) == 50


def test_the_network_of_the_paper() -> None:
    connectivity = DaleConnectivity(kind="dale")
    assert connectivity.populations(1000) == (800, 200)
    assert connectivity.in_degrees(1000) == (80, 20)
    assert connectivity.weights(1000) == pytest.approx((0.6, -3.0))


@given(first=st.integers(0, 50), data=st.data())
def test_a_row_is_the_same_in_every_block(first: int, data: st.DataObject) -> None:
    connectivity = DaleConnectivity(**DALE)
    block = range(first, data.draw(st.integers(first, 50)))
    whole = dense(build_rows(connectivity, 50, range(50), seed=1, replicate=0), 50)
    mine = build_rows(connectivity, 50, block, seed=1, replicate=0)
    np.testing.assert_array_equal(dense(mine, 50), whole[block.start : block.stop])
    np.testing.assert_array_equal(in_degrees(connectivity, 50, block, seed=1, replicate=0), np.diff(mine.start))


def test_all_synapses_are_plastic_and_their_number_is_foreseen() -> None:
    rows = build_static_rows(DaleConnectivity(**DALE), 50, range(50), seed=1, replicate=0)
    assert len(rows.weight) == 0
    assert expected_in_degrees(chosen(), 50) == (10.0, 0.0)
    plain = chosen(training={"algorithm": "textbook"})
    ruled = chosen(training={"algorithm": "textbook", "sign_rule": "exclude"})
    assert checkpoint_bytes(ruled) - checkpoint_bytes(plain) == 50 * 10 * 4


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"network": {"n_neurons": 10}},
            "connectivity.probability = 0.2 asks for 0 inhibitory inputs of every neuron, but of 2 inhibitory neurons "
            "between 1 and 1 can be drawn",
        ),
        ({"connectivity": {**DALE, "probability": 1.0}}, "asks for 40 excitatory inputs of every neuron, but of 40"),
        ({"connectivity": {**DALE, "inhibition": -1.0}}, "connectivity.inhibition = -1.0: must be greater than 0"),
        ({"connectivity": {**DALE, "weight_scale": "none"}}, "connectivity.weight_scale = 'none': must be"),
        ({"targets": {**INNATE, "transient_ms": 10.5}}, "targets.transient_ms = 10.5 ms is not a multiple"),
        ({"targets": {**INNATE, "offset": "mean_drive"}}, "targets.offset = mean_drive is not meant for innate"),
        ({"training": {"variable": "rate"}}, "targets.kind = innate records drives"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate_experiment(chosen().model_dump(mode="json") | sections)
    assert message in str(caught.value)


# ---- innate trajectories ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cue", ["none", "at_start", "before_recording"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_targets_are_drives_of_the_untrained_network_after_the_transient(cue: str, dtype: str) -> None:
    made = hpcspike.build_problem(
        chosen(targets={**INNATE, "cue": cue, "n_sets": 2, "grid_ms": 2.0}, training={"dtype": dtype})
    )
    assert made.targets.shape == (2, 50, 30)
    assert not np.array_equal(made.targets[0], made.targets[1])
    for number, found in enumerate(made.targets):
        simulation = Simulation(made, dtype=np.dtype(dtype))
        phase = uniform_by_neuron(3, 0, "innate_phase", range(50), number, 0.0, 2 * np.pi)
        simulation.set_state(phase, np.zeros(50))
        inputs = [made.input] * 40
        cued = [made.input + made.stimuli[number]] * 20
        course = {"none": inputs, "at_start": cued + inputs, "before_recording": inputs + cued}[cue]
        for external in course:
            simulation.run_interval(1, external)
        for sample in found.T:
            simulation.run_interval(2, made.input)
            np.testing.assert_array_equal(sample, simulation.drive)
    assert made.targets.std() > 0.1


def test_innate_trajectories_have_initial_phases_of_their_own() -> None:
    made = hpcspike.build_problem(chosen())
    assert not np.array_equal(made.phase, uniform_by_neuron(3, 0, "innate_phase", range(50), 0, 0.0, 2 * np.pi))


def test_innate_trajectories_are_learned_under_dales_law() -> None:
    dataset = hpcspike.run(
        chosen(
            network={"n_neurons": 150}, connectivity={**DALE, "probability": 0.4}, synapse={"tau_syn_ms": 60.0},
            targets={"kind": "innate", "duration_ms": 300.0, "transient_ms": 300.0},
            stimulus={"duration_ms": 100.0, "amplitude": 2.0},
            protocol={"free_run_ms": 100.0, "test_free_run_ms": 100.0},
            training={
                "n_loops": 15, "update_interval_ms": 5.0, "sign_rule": "exclude", "sign_covariance": "conditioned",
            },
        )
    )  # fmt: skip
    during = dataset["curve_correlation"].values
    assert during[-3:].mean() > during[0] + 0.2
    assert (np.sign(dataset["weight_initial"]) * dataset["weight"] >= 0).all()


# ---- ranks -----------------------------------------------------------------------------------------------------------

RULES = ["kept", "deleted"]


@pytest.mark.mpi
def test_every_file_is_the_same_on_any_number_of_ranks(tmp_path: Path) -> None:
    document = chosen(
        connectivity={**DALE, "weight_scale": "raw"}, targets={**INNATE, "cue": "at_start"},
        training={"n_loops": 2, "ridge": 0.1, "sign_rule": "exclude"}, measures={"n_test_trials": 1},
    ).model_dump(mode="json")  # fmt: skip
    (tmp_path / "dale.yaml").write_text(yaml.safe_dump(document))
    for ranks in (0, 3):
        commands = [
            f"train dale.yaml --set training.sign_covariance={rule} --out {ranks}-{rule}.zarr" for rule in RULES
        ]
        done = launch(ranks, TRAIN, 2000, *commands, folder=tmp_path, timeout=120.0)
        assert done.code == 0, done
    for rule in RULES:
        assert_same_files(tmp_path / f"3-{rule}.zarr", tmp_path / f"0-{rule}.zarr")
        with xr.open_zarr(tmp_path / f"0-{rule}.zarr", chunks=None) as found:
            assert (np.sign(found["weight_initial"]) * found["weight"] >= 0).all()
            assert (found["weight_initial"] != found["weight"]).any()
