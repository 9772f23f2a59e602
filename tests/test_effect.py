"""What is asked for in vain is refused before new work begins, and read where it was stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import SpecError
from hpcspike.runs.facts import refuse_in_vain
from hpcspike.spec import validate_experiment
from hpcspike.spec.documents import merged
from hpcspike.spec.load import validate_study, validate_sweep
from hpcspike.studies.feasible import check_study
from hpcspike.sweep.grid import build_grid

BASE = {
    "name": "base", "seed": 3, "network": {"n_neurons": 10}, "targets": {"kind": "sine", "duration_ms": 200.0},
    "training": {"n_loops": 2}, "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 10.0},
    "measures": {"n_test_trials": 2, "n_clamped_trials": 2},
}  # fmt: skip
TWO_SETS = {"targets": {"n_sets": 2}}
FED = {"n_neurons": 5, "weights": "shared"}
PHI_1 = {"training": {"variable": "rate", "transfer": "phi_1"}}


def why(*changes: dict[str, Any]) -> str:
    """What is said of the base with some changes; empty if nothing is."""
    document = BASE
    for change in changes:
        document = merged(document, change)
    try:
        refuse_in_vain(validate_experiment(document))
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("cue", "words"),
    [
        ({"amplitude": 0.0}, "stimulus.amplitude = 0: without a cue nothing tells the target sets apart"),
        ({"duration_ms": 0.0}, "stimulus.duration_ms = 0 ms: without a cue nothing tells the target sets apart"),
        ({"duration_ms": 0.0, "amplitude": 0.0}, "give a cue with stimulus.duration_ms > 0 ms, or choose "),
    ],
)
def test_several_target_sets_need_a_cue(cue: dict[str, float], words: str) -> None:
    said = why(TWO_SETS, {"stimulus": cue})
    assert said.startswith("targets.n_sets = 2, but ")
    assert words in said
    assert why(TWO_SETS) == why({"stimulus": cue}) == ""


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        ({"stimulus": {"amplitude": 0.0, "noise": 0.3}}, True),
        ({"feed_forward": FED}, True),
        ({"feed_forward": {**FED, "noise": 0.0}}, False),
        ({"feed_forward": {**FED, "noise": 0.0, "weights": "per_condition", "covariance": "joint"}}, True),
        ({"feed_forward": {**FED, "noise": 0.0, "mean_hz": 0.0}}, False),
        ({"frozen_noise": {"standard_deviation": 0.5}}, False),
    ],
)
def test_a_path_of_the_cue_or_a_feed_forward_population_tells_sets_apart(change: dict[str, Any], apart: bool) -> None:
    assert (why(TWO_SETS, {"stimulus": {"amplitude": 0.0}}, change) == "") == apart


def test_recorded_conditions_are_named_where_there_is_no_cue() -> None:
    targets = {"kind": "recorded", "path": "generated", "n_units": 2, "duration_ms": 40.0, "conditions": ["a", "b"]}
    document = {"targets": targets, "training": {"variable": "rate"}, "stimulus": {"amplitude": 0.0}}
    with pytest.raises(SpecError, match=r"^targets.conditions names 2 conditions, but stimulus.amplitude = 0: .* one "):
        refuse_in_vain(validate_experiment(document))


def test_a_sweep_may_begin_at_no_cue_at_all() -> None:
    document = {"experiment": merged(BASE, TWO_SETS), "axes": {"stimulus.amplitude": [0.0, 0.5]}}
    assert build_grid(validate_sweep(document)).n_points == 2
    document = {"experiment": merged(BASE, {"stimulus": {"amplitude": 0.0}}), "axes": {"targets.n_sets": [1, 2]}}
    with pytest.raises(SpecError, match=r"^point targets.n_sets = 2, replicate = 0: targets.n_sets = 2, but stimulus"):
        build_grid(validate_sweep(document))


def test_a_variant_without_a_cue_is_a_control_only_beside_one_with_it() -> None:
    def study(**variants: Any) -> None:
        check_study(validate_study({"name": "s", "experiment": merged(BASE, TWO_SETS), "variants": variants}))

    study(cued=None, deaf={"stimulus": {"amplitude": 0.0}})
    with pytest.raises(SpecError, match=r"^study 's': variant one: targets.n_sets = 2, but stimulus.amplitude = 0"):
        study(one={"stimulus": {"amplitude": 0.0}}, two={"stimulus": {"amplitude": 0.0}, "seed": 4})


@pytest.mark.parametrize("command", [["plan"], ["train", "--out", "net.nc"]])
def test_commands_refuse_it_before_they_work(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    document = merged(BASE, {"targets": {"n_sets": 3}, "stimulus": {"amplitude": 0.0}})
    Path("net.yaml").write_text(yaml.safe_dump(document))
    assert main([command[0], "net.yaml", *command[1:]]) == 2
    assert "hpcspike: error: targets.n_sets = 3, but stimulus.amplitude = 0: " in capsys.readouterr().err
    assert not Path("net.nc").exists()
    # in Python it may be a point of a sweep, and is said only
    assert hpcspike.run(hpcspike.load("net.yaml")).sizes["target_set"] == 3
    assert caplog.messages[0].startswith("targets.n_sets = 3, but stimulus.amplitude = 0: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trial_noise": {"where": "voltage"}}, "trial_noise.where = voltage has no effect: trial_noise.standard_dev"),
        ({"trial_noise": {"phase": "test_only"}}, "trial_noise.phase = test_only has no effect: trial_noise.standard"),
        ({"trial_noise": {"tau_corr_ms": 5.0}}, "trial_noise.tau_corr_ms = 5 has no effect: trial_noise.standard_dev"),
        ({"frozen_noise": {"tau_corr_ms": 5.0}}, "frozen_noise.tau_corr_ms = 5 has no effect: frozen_noise.standard_"),
        ({"feed_forward": {"mean_hz": 9.0}}, "feed_forward.mean_hz = 9 has no effect: feed_forward.n_neurons = 0; "),
        ({"trial_noise": {"where": "input", "tau_corr_ms": 10.0}}, ""),
        ({"trial_noise": {"where": "voltage", "phase": "test_only", "standard_deviation": 0.1}}, ""),
    ],
)
def test_keys_of_a_noise_that_is_not_there_are_refused(change: dict[str, Any], words: str) -> None:
    said = why(change)
    assert said.startswith(words)
    assert bool(said) == bool(words)


@pytest.mark.parametrize("transfer", ["measured", "phi_1"])
def test_c_of_phi_2_is_refused_with_another_transfer_function(transfer: str) -> None:
    rates = {"training": {"variable": "rate", "transfer": transfer}, "connectivity": {"kind": "gaussian"}}
    noise = {"trial_noise": {"standard_deviation": 0.2}}
    said = why(rates, noise, {"training": {"smoothing": 0.02}})
    assert said.startswith(f"training.smoothing = 0.02 has no effect with training.transfer = {transfer}: it is c of ")
    assert why(rates, noise) == why(rates, noise, {"training": {"smoothing": 0.02, "transfer": "phi_2"}}) == ""


def test_a_sweep_of_the_size_of_noise_may_hold_none() -> None:
    document = {
        "experiment": merged(BASE, {"trial_noise": {"where": "voltage", "phase": "test_only"}}),
        "axes": {"trial_noise.standard_deviation": [0.0, 0.1, 0.2]},
    }
    assert build_grid(validate_sweep(document)).n_points == 3
    alone = {**document, "axes": {"trial_noise.standard_deviation": [0.0], "seed": [1, 2]}}
    with pytest.raises(SpecError, match=r"trial_noise.where = voltage has no effect: trial_noise.standard_deviation ="):
        build_grid(validate_sweep(alone))


@pytest.mark.parametrize(
    ("change", "learns"),
    [
        ({}, False),
        ({"neuron": {"bias": -0.1}}, False),
        ({"neuron": {"bias": 0.1}}, True),
        ({"connectivity": {"kind": "gaussian", "sigma": 4.0}}, True),
        ({"frozen_noise": {"standard_deviation": 0.3}}, True),
        ({"trial_noise": {"standard_deviation": 0.3}}, True),
        ({"trial_noise": {"standard_deviation": 0.3, "phase": "test_only"}}, False),
        ({"feed_forward": {"n_neurons": 5, "mean_hz": 50.0, "initial_weight": 0.5}}, True),
        ({"feed_forward": {"n_neurons": 5, "mean_hz": 50.0}}, False),
    ],
)
def test_rates_are_refused_through_phi_1_where_no_weight_would_change(change: dict[str, Any], learns: bool) -> None:
    experiment = validate_experiment(merged(merged(BASE, PHI_1), change))
    problem = hpcspike.build_problem(experiment)
    trained = hpcspike.train(problem, experiment.training)
    assert bool(np.any(trained.simulation.weight != problem.plastic.weight)) == learns
    said = why(PHI_1, change)
    assert (said == "") == learns
    assert learns or said.startswith("training.transfer = phi_1 learns nothing here: its slope is 0 at inputs of 0 or ")


def test_other_transfer_functions_and_networks_that_are_not_trained_may_have_no_input() -> None:
    assert why(PHI_1, {"training": {"transfer": "phi_2"}}) == why(PHI_1, {"training": {"n_loops": 0}}) == ""
    bias = {"experiment": merged(BASE, PHI_1), "axes": {"neuron.bias": [0.0, 0.5]}}
    assert build_grid(validate_sweep(bias)).n_points == 2


@pytest.mark.parametrize(
    ("smoothing_ms", "grid_ms", "words"),
    [
        (
            201.0,
            1.0,
            "is longer than the trained window of 200 ms, over which its mean would hardly vary; choose 2",
        ),
        (1.5, 1.0, "has no effect: drives are averaged over values 1 ms apart; choose 2 to 200 ms, or 0: the drive at"),
        (3.0, 2.0, ""),
        (200.0, 1.0, ""),
        (2.0, 1.0, ""),
    ],
)
def test_a_moving_mean_is_of_two_values_at_least_and_no_longer_than_the_window(
    smoothing_ms: float, grid_ms: float, words: str
) -> None:
    tested = {"measures": {"smoothing_ms": smoothing_ms, "test_every_loops": 1}, "targets": {"grid_ms": grid_ms}}
    said = why(tested)
    assert said.startswith(f"measures.smoothing_ms = {smoothing_ms:g} ms {words}" if words else "")
    assert bool(said) == bool(words)
    if words:
        return
    curve = {}
    for smoothed in (0.0, smoothing_ms):
        experiment = validate_experiment(merged(BASE, merged(tested, {"measures": {"smoothing_ms": smoothed}})))
        trained = hpcspike.train(hpcspike.build_problem(experiment), experiment.training, measures=experiment.measures)
        curve[smoothed] = trained.curve["test_correlation"]
    assert not np.array_equal(curve[0.0], curve[smoothing_ms])
    assert np.all(np.abs(curve[smoothing_ms]) > 1e-6)


def test_training_does_not_go_on_with_a_moving_mean_longer_than_the_window() -> None:
    network = hpcspike.live_network(hpcspike.run(validate_experiment(BASE)))
    longer = {"measures.smoothing_ms": 500.0, "measures.test_every_loops": 1}
    with pytest.raises(SpecError, match=r"measures.smoothing_ms = 500 ms is longer than the trained window of 200 ms"):
        network.train(1, settings=longer)
