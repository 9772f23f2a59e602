"""Predictions of time and memory, and the refusal of what cannot fit."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError, ResourceError
from hpcspike.spec import Experiment, validate_experiment
from hpcspike.spec.documents import set_dotted
from hpcspike.spec.load import load
from hpcspike.spec.neurons import ThetaNeuron
from hpcspike.sweep.cost import (
    BASE_MIB,
    FIRING_RATE_HZ,
    SECONDS_PER_DELIVERY,
    SECONDS_PER_ENTRY,
    SECONDS_PER_POINT,
    SECONDS_PER_ROW_UPDATE,
    available_memory_mib,
    check_memory,
    expected_rate_hz,
    predict,
    seconds_of_update,
    shown_mib,
    shown_seconds,
)

ROOT = Path(__file__).resolve().parent.parent


def experiment_with(document: dict[str, Any], **changes: Any) -> Experiment:
    document = copy.deepcopy(document)
    for key, value in changes.items():
        set_dotted(document, key.replace("__", "."), value)
    return validate_experiment(document)


def test_memory_is_dominated_by_one_matrix_per_neuron(tiny_document: dict[str, Any]) -> None:
    large = experiment_with(tiny_document, network__n_neurons=2001, connectivity__probability=0.5)
    matrices = 2001 * 1000**2 * 8 / 2**20
    assert predict(large).memory_mib - BASE_MIB == pytest.approx(matrices, rel=0.08)
    assert predict(large).memory_mib - BASE_MIB > matrices
    single = experiment_with(
        tiny_document, network__n_neurons=2001, connectivity__probability=0.5, training__dtype="float32"
    )
    assert predict(single).memory_mib - BASE_MIB == pytest.approx(matrices / 2, rel=0.1)


def test_time_grows_with_the_cube_of_the_size_of_large_networks(tiny_document: dict[str, Any]) -> None:
    small = predict(experiment_with(tiny_document, network__n_neurons=4000)).seconds
    large = predict(experiment_with(tiny_document, network__n_neurons=8000)).seconds
    assert large / small == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize(
    "longer",
    [
        {"targets__duration_ms": 200.0},
        {"training__n_loops": 4},
        {"training__update_interval_ms": 1.0},
        {"targets__n_sets": 2},
        {"training__algorithm": "textbook"},
        {"measures__n_test_trials": 50},
    ],
)
def test_more_work_is_predicted_to_take_longer(tiny_document: dict[str, Any], longer: dict[str, Any]) -> None:
    base = {"network__n_neurons": 500, "training__algorithm": "blocked"}
    one = predict(experiment_with(tiny_document, **base)).seconds
    assert predict(experiment_with(tiny_document, **{**base, **longer})).seconds > one


def test_a_network_of_fixed_in_degree_costs_by_its_plastic_synapses(tiny_document: dict[str, Any]) -> None:
    connectivity = {"kind": "balanced", "plastic_in_degree": 45, "static_in_degree": 100}
    network = {**tiny_document, "network": {"n_neurons": 10_000}, "connectivity": connectivity}
    memory = predict(experiment_with(network)).memory_mib
    assert memory > 10_000 * 90**2 * 8 / 2**20
    assert predict(experiment_with(network, connectivity__static_in_degree=1000)).memory_mib > memory
    assert predict(experiment_with(network, connectivity__plastic_in_degree=90)).memory_mib > 2 * memory


def test_recordings_cost_what_the_network_costs_that_is_made_of_them() -> None:
    targets = {"kind": "recorded", "path": "generated", "n_units": 20, "auxiliary_ratio": 2.0}
    recorded = validate_experiment({"targets": targets, "training": {"variable": "rate"}})
    same = validate_experiment({"targets": {"kind": "ou", "duration_ms": 4600.0}, "network": {"n_neurons": 60}})
    assert predict(recorded) == predict(same)
    missing = validate_experiment({"targets": {**targets, "path": "nowhere.nc"}, "training": {"variable": "rate"}})
    with pytest.raises(DataError, match="nowhere.nc"):
        predict(missing)


def test_what_cannot_fit_is_refused_with_its_size_and_what_there_is(tiny_document: dict[str, Any]) -> None:
    huge = experiment_with(tiny_document, network__n_neurons=100_000)
    with pytest.raises(ResourceError) as caught:
        check_memory(huge, available_mib=16_384.0)
    message = str(caught.value)
    assert "network.n_neurons = 100,000" in message
    assert "1.8 PiB" in message or "TiB" in message
    assert "16.0 GiB are available" in message


def test_what_fits_passes(tiny_document: dict[str, Any]) -> None:
    experiment = experiment_with(tiny_document)
    needed = predict(experiment).memory_mib
    check_memory(experiment, available_mib=needed)
    with pytest.raises(ResourceError):
        check_memory(experiment, available_mib=needed - 1)


def test_trials_that_are_held_in_memory_count(tiny_document: dict[str, Any]) -> None:
    many = experiment_with(tiny_document, network__n_neurons=2000, targets__duration_ms=5000.0)
    many = many.model_copy(update={"measures": many.measures.model_copy(update={"n_test_trials": 10})})
    room = predict(many).memory_mib + 1000.0  # 2000 neurons x 5000 samples x 10 trials of drive and response: 1526 MiB
    check_memory(many, available_mib=room)
    check_memory(many, available_mib=room + 2000.0, keeps_trials=True)
    with pytest.raises(
        ResourceError, match=r"measures.n_test_trials = 10: .* beside the .*; choose fewer trials, or wri"
    ):
        check_memory(many, available_mib=room, keeps_trials=True)


def test_available_memory_respects_the_machine() -> None:
    import psutil

    assert 0 < available_memory_mib() <= psutil.virtual_memory().total / 2**20


def test_pages_of_files_do_not_count_as_memory_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mib = 2**20
    monkeypatch.setattr("hpcspike.sweep.cost._CONTROL_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{100 * mib}\n")
    (tmp_path / "memory.current").write_text(f"{95 * mib}\n")
    (tmp_path / "memory.stat").write_text(f"anon {15 * mib}\ninactive_file {80 * mib}\n")
    assert available_memory_mib() == pytest.approx(85.0)
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory_mib() > 85.0


@pytest.mark.parametrize(
    ("mib", "text"), [(17.2, "17 MiB"), (2048.0, "2.0 GiB"), (3 * 2.0**20, "3.0 TiB"), (1023.0, "1023 MiB")]
)
def test_memory_in_words(mib: float, text: str) -> None:
    assert shown_mib(mib) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (42.0, "42 s"), (600.0, "10 min"), (36_000.0, "10.0 h")]
)
def test_time_in_words(seconds: float, text: str) -> None:
    assert shown_seconds(seconds) == text


_MEASURE = """
import sys
from hpcspike.runs.point import run_point
from hpcspike.provenance import peak_memory_mib
from hpcspike.spec import validate_experiment
from hpcspike.sweep.cost import predict
experiment = validate_experiment({
    "network": {"n_neurons": int(sys.argv[1])},
    "targets": {"kind": "ou", "duration_ms": 200},
    "protocol": {"free_run_ms": 0},
    "training": {"n_loops": 1, "dtype": sys.argv[2]},
})
run_point(experiment)
print(peak_memory_mib(), predict(experiment).memory_mib)
"""


@pytest.mark.parametrize(("n_neurons", "dtype"), [(900, "float64"), (900, "float32")])
def test_predicted_memory_is_within_a_tenth_of_the_peak(n_neurons: int, dtype: str) -> None:
    def measure(size: int) -> str:
        command = [sys.executable, "-c", _MEASURE, str(size), dtype]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    measure(20)  # compiling takes memory too, but only once
    printed = measure(n_neurons)
    measured, predicted = map(float, printed.split())
    assert predicted == pytest.approx(measured, rel=0.1)


def test_every_target_set_costs_its_loops_and_its_tests(tiny_document: dict[str, Any]) -> None:
    base = {"network__n_neurons": 101, "training__algorithm": "textbook", "training__n_loops": 7}
    base |= {"measures__n_test_trials": 11, "measures__n_clamped_trials": 3}
    one, three = (predict(experiment_with(tiny_document, **base, targets__n_sets=sets)).seconds for sets in (1, 3))
    # 50 updates of 50 inputs each, trials of 140 steps of 1 ms
    update = 50 * 101 * (SECONDS_PER_ROW_UPDATE + SECONDS_PER_ENTRY["textbook"] * 50.0**2)
    trial = 140 * 101 * ThetaNeuron.facts.seconds_with_delivery
    a_set = 7 * (update + trial) + 14 * trial
    assert three - one == pytest.approx(2 * a_set)
    assert one == pytest.approx(SECONDS_PER_POINT + a_set)
    for every, tests in ((3, 3), (7, 1), (100, 1)):  # of 7 loops, the last always among them
        tested = predict(experiment_with(tiny_document, **base, targets__n_sets=3, measures__test_every_loops=every))
        assert tested.seconds - three == pytest.approx(3 * 11 * tests * trial)


BALANCED = {
    "kind": "balanced", "plastic_in_degree": 20, "static_in_degree": 500, "static_ee": 0.0134164,
    "static_ie": 0.0894427, "static_ei": -0.0670820, "static_ii": -0.0894427, "input_excitatory": 4.0249224,
    "input_inhibitory": 2.6832816,
}  # fmt: skip
"""As in cluster/config/kim2023.yaml, size tutorial."""


def test_inputs_of_balanced_populations_cancel_at_the_expected_rate(tiny_document: dict[str, Any]) -> None:
    network = {**tiny_document, "network": {"n_neurons": 5000}, "connectivity": BALANCED}
    tau_seconds = experiment_with(network).neuron.tau_ms / 1000.0
    weights = 500 * np.array([[0.0134164, -0.0670820], [0.0894427, -0.0894427]])
    rates = np.linalg.solve(weights, [-4.0249224, -2.6832816])
    assert rates == pytest.approx([0.075, 0.135], rel=1e-3)  # 7.5 and 13.5 Hz at tau = 10 ms
    for share in (0.5, 0.8):
        mean = (share * rates[0] + (1 - share) * rates[1]) / tau_seconds
        found = expected_rate_hz(experiment_with(network, connectivity__excitatory_fraction=share))
        assert found == pytest.approx(mean)


@pytest.mark.parametrize(
    "changes", [{"static_ei": 0.0, "static_ee": 0.1}, {"input_excitatory": -4.0}, {"static_in_degree": 0}]
)
def test_without_balance_a_common_rate_is_assumed(tiny_document: dict[str, Any], changes: dict[str, Any]) -> None:
    network = {**tiny_document, "network": {"n_neurons": 5000}, "connectivity": BALANCED | changes}
    assert expected_rate_hz(experiment_with(network)) == FIRING_RATE_HZ
    assert expected_rate_hz(experiment_with(tiny_document)) == FIRING_RATE_HZ


def test_every_spike_is_delivered_to_all_its_fixed_synapses(tiny_document: dict[str, Any]) -> None:
    base = {"training__n_loops": 7, "measures__n_test_trials": 11, "measures__n_clamped_trials": 3}
    network = {**tiny_document, "network": {"n_neurons": 5000}, "connectivity": BALANCED}
    # twice the synapses of half the weight: the same rates
    weights = {f"static_{pair}": BALANCED[f"static_{pair}"] / 2 for pair in ("ee", "ei", "ie", "ii")}  # type: ignore[operator]
    twice = {**network, "connectivity": BALANCED | weights | {"static_in_degree": 1000}}
    one, two = experiment_with(network, **base), experiment_with(twice, **base)
    assert expected_rate_hz(one) == pytest.approx(expected_rate_hz(two))
    # 21 trials of 140 ms
    spikes = 21 * 0.140 * 5000 * expected_rate_hz(one)
    assert predict(two).seconds - predict(one).seconds == pytest.approx(spikes * 1000 * SECONDS_PER_DELIVERY)


def test_rows_of_p_that_come_from_memory_are_in_the_predicted_time() -> None:
    """Measured on 6000 and 2500 neurons of this network: 2.6 to 4.4 us of computation for an update of a neuron."""
    experiment = load(ROOT / "cluster" / "config" / "tsn_neuropixels.yaml", size="small")
    assert isinstance(experiment, Experiment)
    cold, cached = (seconds_of_update(experiment, 128.0, rows) for rows in (6000, 100))
    assert 2.2e-6 < cold < 5.2e-6
    assert cached < 0.5 * cold
    often = experiment.changed({"training.update_interval_ms": 2.0, "targets.grid_ms": 2.0})
    assert cached < seconds_of_update(often, 128.0, 6000) < 0.5 * cold
    # 500 units without spikes, all of whose 150 inputs change: 11 ms were measured, 1.2 ms of it for entries of P
    study = load(ROOT / "cluster" / "config" / "fig1s1.yaml", size="laptop")
    assert 5e-3 < 500 * seconds_of_update(study.experiment_of(study.runs[0]), 150.0, 500) < 16e-3
    textbook = experiment.changed({"training.algorithm": "textbook"})
    assert seconds_of_update(textbook, 128.0, 6000) == seconds_of_update(textbook, 128.0, 100)
