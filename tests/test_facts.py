"""What is known before a network is built: planning refuses what training refuses, in the same words."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcspike.cli import main
from hpcspike.errors import HpcspikeError
from hpcspike.model.build import build_problem
from hpcspike.runs.facts import Facts, facts_of
from hpcspike.spec import load, validate_experiment

RATES = {"kind": "recorded", "path": "rates.csv", "unit": "Hz", "min_rate_hz": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of 3 units in 200 ms, the third of which is slow, and with models of a user's."""
    folder = tmp_path_factory.mktemp("facts")
    times = np.arange(0.0, 201.0, 20.0)
    rows = [f"{time:g},{6 + time / 50:g},{20 - time / 20:g},1" for time in times]
    (folder / "rates.csv").write_text("\n".join(["time_ms,u1,u2,u3", *rows]) + "\n")
    (folder / "wrong.csv").write_text("time_ms,u1\n0,5\n20,-3\n")
    (folder / "models.py").write_text(
        "import numpy as np\n"
        "from hpcspike.neurons import NeuronModel\n"
        "def step(state, parameters, drive, external, step_ms):\n"
        "    state[0] += step_ms * (drive + external) / parameters[0]\n"
        "    if state[0] < 1.0:\n"
        "        return False\n"
        "    state[0] = 0.0\n"
        "    return True\n"
        "def words(state, parameters, drive, external, step_ms):\n"
        "    return 'spike'\n"
        "start = lambda phase, parameters: phase[None] / 7.0\n"
        "right = NeuronModel(step, {'tau': 10.0}, start)\n"
        "wrong = NeuronModel(words, {'tau': 10.0}, start)\n"
        "flat = NeuronModel(step, {'tau': 10.0}, lambda phase, parameters: phase)\n"
    )
    return folder


def outcome(*arguments: str) -> tuple[int, str]:
    """Exit code of a command, and the message with which it refused."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(list(arguments))
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return code, errors.getvalue() if code else ""


def planned_and_trained(folder: Path, document: dict[str, Any]) -> tuple[int, str]:
    """What both planning and training say of an experiment."""
    config, out = folder / "network.yaml", folder / "network.nc"
    config.write_text(yaml.safe_dump(document))
    out.unlink(missing_ok=True)
    planned = outcome("plan", str(config))
    trained = outcome("train", str(config), "--out", str(out))
    assert planned == trained
    assert out.exists() == (trained[0] == 0)
    return trained


def test_the_sizes_of_drawn_targets_are_those_of_the_experiment(tiny_document: dict[str, Any]) -> None:
    experiment = validate_experiment(tiny_document)
    assert facts_of(experiment) == Facts(experiment.network.n_neurons, experiment.targets.duration_ms, 0)


def test_the_sizes_of_recorded_targets_are_those_that_are_trained(folder: Path) -> None:
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"targets": {**RATES, "auxiliary_ratio": 1.5}, "training": {"variable": "rate"}})
        + "connectivity: {kind: gaussian}\nsynapse: {tau_syn_ms: 50}\n"
    )
    experiment = load(folder / "mine.yaml", changes={"training.update_interval_ms": 30.0})
    assert facts_of(experiment) == Facts(n_neurons=8, duration_ms=180.0, n_recorded=3, n_units=3)
    problem = build_problem(experiment)
    assert (problem.n_neurons, problem.duration_ms) == (8, 180.0)
    slow = load(folder / "mine.yaml", changes={"targets.min_rate_hz": 5, "targets.n_units": 1})
    assert facts_of(slow) == Facts(n_neurons=2, duration_ms=200.0, n_recorded=1, n_units=1)


def test_a_recording_that_changes_is_read_again(folder: Path, tmp_path: Path) -> None:
    targets = {**RATES, "path": str(tmp_path / "rates.csv"), "auxiliary_ratio": 0}
    (tmp_path / "rates.csv").write_text("time_ms,u1,u2\n0,5,6\n20,7,8\n")
    experiment = validate_experiment({"targets": targets, "training": {"variable": "rate"}})
    assert facts_of(experiment) == Facts(2, 20.0, 2, 2)
    (tmp_path / "rates.csv").write_text("time_ms,u1,u2,u3\n0,5,6,9\n20,7,8,9\n40,7,8,9\n")
    assert facts_of(experiment) == Facts(3, 40.0, 3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"network": {"n_neurons": 31}, "targets": {**RATES, "auxiliary_ratio": 9.0}},
            "network.n_neurons = 31, but 3 ",
        ),
        ({"targets": {**RATES, "path": "absent.csv"}}, "absent.csv"),
        ({"targets": {**RATES, "path": "wrong.csv"}}, "negative"),
        ({"targets": {**RATES, "min_rate_hz": 90.0}}, "none of its 3 units have a mean rate above 90 Hz"),
        ({"targets": {**RATES, "n_units": 4}}, "targets.n_units = 4 were asked for"),
        ({"targets": {**RATES, "duration_ms": 220.0}}, "covers 200 ms"),
        ({"targets": RATES, "training": {"variable": "rate", "update_interval_ms": 300.0}}, "lasts 200 ms, less than"),
        ({"targets": RATES, "connectivity": {"kind": "dale", "probability": 0.01}}, "make 9 neurons"),
        ({"targets": {**RATES, "unit": None}}, "unit"),
    ],
)
def test_what_a_recording_forbids_is_said_by_the_plan(folder: Path, changes: dict[str, Any], message: str) -> None:
    code, said = planned_and_trained(folder, {"training": {"variable": "rate", "n_loops": 1}, **changes})
    assert code == 2
    assert message in said


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (
            {"targets": RATES, "trial_noise": {"standard_deviation": 0.1, "neuron_factors": [1.0] * 8}},
            "trial_noise.neuron_factors",
        ),
        (
            {
                "targets": {**RATES, "input_of_rate": {}}, "training": {"variable": "drive"},
                "neuron": {"model": "lif", "by_neuron": {"threshold": [1.0] * 8}},
            },
            "neuron.by_neuron.threshold",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_lists_are_as_long_as_a_recording_makes_the_network(folder: Path, changes: dict[str, Any], key: str) -> None:
    (folder / "lists.yaml").write_text(yaml.safe_dump({"training": {"variable": "rate"}, **changes}))
    with pytest.raises(HpcspikeError, match=f"{key} has 8 numbers: must be one for each of the 9 neurons"):
        facts_of(load(folder / "lists.yaml"))


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        ({"source": "absent.py:right"}, "no such file"),
        ({"source": "models.py:absent"}, "has no 'absent'"),
        ({"source": "models.py:right", "parameters": {"tua": 1.0}}, "neuron.parameters.tua"),
        ({"source": "models.py:wrong"}, "must return True or False"),
        ({"source": "models.py:flat"}, "initial_state returns shape (10,)"),
    ],
)
def test_a_neuron_model_that_cannot_run_is_refused_by_the_plan(
    folder: Path, tiny_document: dict[str, Any], neuron: dict[str, Any], message: str
) -> None:
    document = {**tiny_document, "network": {"n_neurons": 10}, "neuron": {"model": "user", **neuron}}
    code, said = planned_and_trained(folder, document)
    assert code == 2
    assert message in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learner": {"kind": "user", "path": "absent_package:Class"}}, "no module 'absent_package' is found"),
        ({"learner": {"kind": "ebn_alemi", "step_ms": 0.3}}, "learner.step_ms = 0.3 ms does not divide"),
        ({"learner": {"kind": "ebn_alemi", "variable": "readout", "n_readouts": 99}}, "learner.n_readouts = 99"),
        ({"learner": {"kind": "ebn_bourdoukan"}, "stimulus": {"duration_ms": 0.0}}, "after a cue"),
        ({"learner": {"kind": "huh"}, "targets": {"kind": "ou", "duration_ms": 100.0, "n_sets": 2}}, "one target set"),
        ({"learner": {"kind": "huh"}, "targets": RATES, "training": {"variable": "rate"}}, "targets that are drawn"),
    ],
)
def test_what_a_learner_cannot_do_is_said_by_the_plan(
    folder: Path, tiny_document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    code, said = planned_and_trained(folder, {**tiny_document, **changes})
    assert code == 2
    assert message in said


def test_every_point_of_a_sweep_and_variant_of_a_study_is_looked_at(folder: Path) -> None:
    base = {"targets": RATES, "training": {"variable": "rate", "n_loops": 1}}
    config = folder / "several.yaml"
    config.write_text(yaml.safe_dump({"name": "s", "experiment": base, "axes": {"network.n_neurons": [9, 12]}}))
    code, said = outcome("plan", str(config), "--store", str(folder / "s.zarr"), "--create")
    assert code == 2
    assert "network.n_neurons = 12, but 3 recorded units" in said
    assert not (folder / "s.zarr").exists()
    config.write_text(
        yaml.safe_dump({"experiment": base, "variants": {"one": None, "two": {"network": {"n_neurons": 7}}}})
    )
    code, said = outcome("plan", str(config))
    assert code == 2
    assert "network.n_neurons = 7, but 3 recorded units" in said


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "network": st.fixed_dictionaries({"n_neurons": st.sampled_from([2, 6, 9, 1, None, 4.0, "9", True])}),
        "neuron": st.fixed_dictionaries(
            {"model": st.sampled_from(["theta", "lif", "tanh", "izhikevich"])},
            optional={"step_ms": st.sampled_from([1, 0.5, 2.0, 40.0]), "tau_ms": st.sampled_from([10, 0.5])},
        ),
        "synapse": st.fixed_dictionaries(
            {},
            optional={
                "tau_syn_ms": st.sampled_from([20, 5.0, 0]), "static_tau_syn_ms": st.sampled_from([None, 30.0]),
                "weight_acts": st.sampled_from(["at_once", "at_spikes"]),
            },
        ),
        "connectivity": st.sampled_from(
            [
                {"kind": "zero"}, {"kind": "gaussian", "probability": 0.5}, {"kind": "gaussian", "probability": 1e-9},
                {"kind": "dale", "probability": 0.3, "inhibitory_fraction": 0.5}, {"kind": "dale"},
                {"kind": "balanced", "static_in_degree": 1, "plastic_in_degree": 1},
            ]
        ),
        "targets": st.one_of(
            st.fixed_dictionaries(
                {"kind": st.sampled_from(["sine", "ou", "chaotic", "innate", "sine_product"])},
                optional={
                    "duration_ms": st.sampled_from([40, 20.0, 1.0, 41.0]), "n_sets": st.sampled_from([1, 2]),
                    "grid_ms": st.sampled_from([1, 2.0, 3.0]), "offset": st.sampled_from(["none", "mean_drive"]),
                },
            ),
            st.fixed_dictionaries(
                {"kind": st.just("recorded"), "path": st.sampled_from(["rates.csv", "absent.csv", "generated"])},
                optional={
                    "unit": st.sampled_from(["Hz", "per_tau"]), "min_rate_hz": st.sampled_from([0, 5.0, 50.0]),
                    "auxiliary_ratio": st.sampled_from([0, 2.0, 0.4]), "n_units": st.sampled_from([None, 1, 3, 5]),
                    "duration_ms": st.sampled_from([40.0, 200.0, 400.0]), "holds": st.sampled_from(["rate", "drive"]),
                },
            ),
        ),
        "stimulus": st.fixed_dictionaries({"duration_ms": st.sampled_from([0, 10.0, 0.5])}),
        "frozen_noise": st.fixed_dictionaries({"standard_deviation": st.sampled_from([0, 0.1])}),
    },
)  # fmt: skip
TRAINING = st.fixed_dictionaries(
    {"n_loops": st.sampled_from([0, 1])},
    optional={
        "variable": st.sampled_from(["drive", "rate"]), "update_interval_ms": st.sampled_from([2, 10.0, 3.0]),
        "algorithm": st.sampled_from(["blocked", "textbook"]), "sign_rule": st.sampled_from(["none", "exclude"]),
    },
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, training=TRAINING)
def test_planning_refuses_what_training_refuses_and_nothing_else(
    folder: Path, document: dict[str, Any], training: dict[str, Any]
) -> None:
    short = {
        "protocol": {"free_run_ms": 20, "test_free_run_ms": 10},
        "measures": {"n_test_trials": 1, "n_clamped_trials": 1},
    }
    targets = document.get("targets", {"kind": "ou", "duration_ms": 40.0})
    if targets["kind"] in ("chaotic", "innate"):
        targets = {**targets, "transient_ms": 20.0}
    if targets.get("path") == "generated":
        targets = {**targets, "n_units": targets.get("n_units") or 2, "duration_ms": targets.get("duration_ms", 40.0)}
    whole = {"network": {"n_neurons": 9}, **short, **document, "targets": targets, "training": training}
    if targets["kind"] == "recorded" and "network" not in document:
        del whole["network"]
    code, _ = planned_and_trained(folder, whole)
    assert code in (0, 2)


def test_an_error_of_a_recording_is_one_of_ours(folder: Path) -> None:
    experiment = validate_experiment(
        {"targets": {**RATES, "path": str(folder / "wrong.csv")}, "training": {"variable": "rate"}}
    )
    with pytest.raises(HpcspikeError, match="1 rates are negative"):
        facts_of(experiment)
