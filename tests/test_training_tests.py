"""Tests between training loops: they change nothing, and decide what is kept and when training ends."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import hpcspike
from hpcspike.correlation import pearson
from hpcspike.engine import checkpoint
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.trainer import Trainer
from hpcspike.engine.training import as_it_is, complete
from hpcspike.engine.training_tests import TrainingTests
from hpcspike.errors import Interrupted, SpecError, StoreError
from hpcspike.identity import canonical
from hpcspike.progress import describe
from hpcspike.spec.experiment import Experiment, Measures, TanhNeuron, Training
from hpcspike.spec.load import validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.cost import predict
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from tests.checkpoint_cases import LOOP_STEPS, N, changed, outcome
from tests.small_networks import experiment

EVERY_TWO = Measures(test_every_loops=2, n_test_trials=2)


def trained(measures: Measures | None, n_loops: int, *, keep: str = "last", **changes: Any) -> hpcspike.Trained:
    settings = {name: changes.pop(name) for name in ("variable", "patience", "dtype") if name in changes}
    training = Training.model_validate({"n_loops": n_loops, "keep": keep, **settings})
    return hpcspike.train(changed(**changes), training, measures=measures)


def by_hand(network: hpcspike.Trained, trials: int) -> float:
    """Mean correlation in trials that start as tests in training do."""
    problem, found = network.problem, []
    for target_set in range(problem.n_sets):
        for trial in range(trials):
            simulation = network.copy_simulation()
            simulation.start_at_random("training_test_phase", trial)
            simulation.run_interval(30, problem.input)
            simulation.run_interval(20, problem.input + problem.stimuli[target_set])
            drive = np.empty((100, N))
            simulation.run_interval(100, problem.input, record=drive)
            found.append(pearson(drive.T, problem.targets[target_set]).mean())
    return float(np.mean(found))


@pytest.mark.parametrize(
    "kind",
    [{}, {"n_sets": 2}, {"variable": "rate"}, {"dtype": "float32"}, {"neuron": TanhNeuron(model="tanh")}],
    ids=str,
)
def test_training_goes_on_as_if_there_were_no_tests(kind: dict[str, Any]) -> None:
    without, tested = (trained(measures, 3, **kind) for measures in (None, EVERY_TWO))
    assert outcome(tested) == outcome(without)
    assert "test_correlation" not in without.curve
    rounds = kind.get("n_sets", 1)
    made = np.flatnonzero(~np.isnan(tested.curve["test_correlation"])) + 1
    assert made.tolist() == [2 * rounds, 3 * rounds]  # and after the last loop


@pytest.mark.parametrize("n_sets", [1, 2])
def test_the_result_is_the_mean_correlation_of_trials_from_fresh_states(n_sets: int) -> None:
    found = trained(EVERY_TWO, 4, n_sets=n_sets).curve["test_correlation"]
    for loops in (2, 4):
        expected = by_hand(trained(None, loops, n_sets=n_sets), 2)
        assert found[loops * n_sets - 1] == pytest.approx(expected, abs=1e-12)
    assert found[2 * n_sets - 1] != found[4 * n_sets - 1]


def test_neurons_without_a_target_do_not_count_in_tests() -> None:
    made = changed()
    targets = made.targets.copy()
    targets[:, 3] = np.nan
    plastic = np.zeros((N, N), bool)
    rows = np.repeat(np.arange(N), np.diff(made.plastic.start))
    plastic[rows, made.plastic.presynaptic] = True
    plastic[3] = False
    weights = np.where(plastic, 0.1, 0.0)
    some = changed(weights=weights, plastic=plastic, targets=targets)
    found = hpcspike.train(some, Training(n_loops=1), measures=Measures(test_every_loops=1, n_test_trials=1))
    drive = np.empty((100, N))
    simulation = found.copy_simulation()
    simulation.start_at_random("training_test_phase", 0)
    simulation.run_interval(30, some.input)
    simulation.run_interval(20, some.input + some.stimuli[0])
    simulation.run_interval(100, some.input, record=drive)
    expected = np.delete(pearson(drive.T, targets[0]), 3).mean()
    assert found.curve["test_correlation"][0] == pytest.approx(expected, abs=1e-12)


# ---- what is kept, and when it ends ----------------------------------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, results: list[float]) -> None:
    """Let tests in training have these results, one after the other, starting anew for every training."""

    def result(tests: TrainingTests) -> tuple[float, list[float]]:
        found = results[len(tests.results)]
        return found, [found]

    monkeypatch.setattr(TrainingTests, "_mean_correlation", result)


EVERY = Measures(test_every_loops=1)


@pytest.mark.parametrize(
    ("results", "best"), [([0.1, 0.5, 0.4, 0.5], 2), ([0.5, 0.4, 0.3, 0.2], 1), ([0.1, 0.2, 0.3, 0.4], 4)]
)
def test_the_weights_of_the_best_test_are_kept(
    results: list[float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, results)
    kept = trained(EVERY, 4, keep="best")
    after = [trained(None, loops).simulation.weight for loops in range(1, 5)]
    assert [bool((kept.simulation.weight == weight).all()) for weight in after] == [
        loops == best for loops in range(1, 5)
    ]
    assert kept.curve["test_correlation"].tolist() == results
    last = trained(EVERY, 4)
    np.testing.assert_array_equal(last.simulation.weight, after[3])


def test_a_network_that_is_kept_is_tested_with_the_weights_of_its_best_test(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.3])
    kept, first = trained(EVERY, 3, keep="best"), trained(None, 1)
    np.testing.assert_array_equal(kept.evoke(0, 2).drive, first.evoke(0, 2).drive)
    assert (kept.weights != first.weights).nnz == 0
    np.testing.assert_array_equal(kept.state["filtered"], kept.problem.filtered)


def test_the_last_test_counts_for_what_is_kept_though_it_is_off_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    every_two = Measures(test_every_loops=2)
    for results, loops in (([0.3, 0.4], 3), ([0.4, 0.3], 2)):
        scripted(monkeypatch, results)
        kept = trained(every_two, 3, keep="best")
        np.testing.assert_array_equal(kept.simulation.weight, trained(None, loops).simulation.weight)


@pytest.mark.parametrize(
    ("results", "patience", "loops"),
    [
        ([0.5, 0.4, 0.6, 0.6, 0.5, 0.9], 2, 5),
        ([0.5, 0.4, 0.6, 0.6, 0.5, 0.9], 3, 6),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 1, 2),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6),
    ],
)
def test_training_ends_after_so_many_tests_that_are_no_better(
    results: list[float], patience: int, loops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, results)
    found = trained(EVERY, 6, patience=patience)
    assert found.curve["test_correlation"].tolist() == results[:loops]
    assert outcome(found) == outcome(trained(None, loops))


# ---- going on --------------------------------------------------------------------------------------------------------

CHANGED_MIND = Training(n_loops=6, keep="best", patience=2)


@functools.cache
def made() -> hpcspike.Problem:
    return changed()


@pytest.mark.parametrize("steps", [40, LOOP_STEPS, 2 * LOOP_STEPS, 2 * LOOP_STEPS + 77, 4 * LOOP_STEPS + 131])
def test_a_training_cut_anywhere_keeps_and_ends_as_the_whole_one(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.2, 0.6, 0.4, 0.5, 0.9, 0.9])
    whole = Trainer(made(), CHANGED_MIND, measures=EVERY)
    expected = complete(whole)
    assert whole.loop == 4
    cut = Trainer(made(), CHANGED_MIND, measures=EVERY)
    if steps < 4 * LOOP_STEPS:
        with pytest.raises(Interrupted):
            complete(cut, checkpoints=Checkpoints(tmp_path, stop_after_steps=steps))
        assert not cut.finished
    else:
        complete(cut, checkpoints=Checkpoints(tmp_path))
    resumed = Trainer(made(), CHANGED_MIND, measures=EVERY)
    found = complete(resumed, checkpoints=Checkpoints(tmp_path))
    assert resumed.tests.results == whole.tests.results == {1: 0.2, 2: 0.6, 3: 0.4, 4: 0.5}
    np.testing.assert_array_equal(found.simulation.weight, expected.simulation.weight)
    np.testing.assert_array_equal(found.simulation.weight, trained(None, 2).simulation.weight)
    assert found.curve["correlation"].tolist() == expected.curve["correlation"].tolist()


def test_more_loops_forget_the_test_at_the_former_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measures, results = Measures(test_every_loops=2), {2: 0.3, 3: 0.9, 4: 0.5, 5: 0.4}

    def result(tests: TrainingTests) -> tuple[float, list[float]]:
        found = results[len(trainer.curve["rate"])]
        return found, [found]

    monkeypatch.setattr(TrainingTests, "_mean_correlation", result)
    trainer = Trainer(made(), Training(n_loops=3, keep="best"), measures=measures)
    short = complete(trainer, checkpoints=Checkpoints(tmp_path, at_end=True))
    np.testing.assert_array_equal(short.simulation.weight, trained(None, 3).simulation.weight)
    trainer = Trainer(made(), Training(n_loops=5, keep="best"), measures=measures)
    longer = complete(trainer, checkpoints=Checkpoints(tmp_path))
    assert trainer.tests.results == {2: 0.3, 4: 0.5, 5: 0.4}
    np.testing.assert_array_equal(longer.simulation.weight, trained(None, 4).simulation.weight)


def test_a_checkpoint_from_before_there_were_tests_is_gone_on_with(tmp_path: Path) -> None:
    old = Trainer(made(), Training(n_loops=2))
    while old.steps < LOOP_STEPS + 60:
        old.advance(30)
    identity = identify(old, None)
    assert "measures" not in identity
    assert "seed" not in identity
    numbers = old.state_numbers()
    del numbers["tests"]
    old.state_numbers = lambda: numbers  # type: ignore[method-assign]
    checkpoint.save(old, Checkpoints(tmp_path), identity)
    new = Trainer(made(), Training(n_loops=2))
    assert checkpoint.resume(new, Checkpoints(tmp_path), identity)
    assert outcome(complete(new)) == outcome(trained(None, 2))


def test_another_schedule_of_tests_is_another_training(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        hpcspike.train(made(), Training(), measures=EVERY, checkpoints=Checkpoints(tmp_path, stop_after_steps=40))
    for measures, said in (
        (Measures(test_every_loops=3), "test_every_loops is 1 there and 3 here"),
        (Measures(test_every_loops=1, n_test_trials=7), "n_test_trials is 3 there and 7 here"),
        (None, "test_every_loops is 1 there and absent here"),
    ):
        with pytest.raises(StoreError, match=said):
            hpcspike.train(made(), Training(), measures=measures, checkpoints=Checkpoints(tmp_path))


def test_a_diverged_network_is_not_tested() -> None:
    problem = changed()
    problem.targets = 1e9 * problem.targets
    found = hpcspike.train(problem, Training(n_loops=3, ridge=1e-12, keep="best"), measures=EVERY)
    assert found.diverged_loop == 0
    assert np.isnan(found.curve["test_correlation"]).all()


def test_a_network_that_diverges_in_a_test_has_a_result_without_a_word() -> None:
    trainer = Trainer(made(), Training(n_loops=1), measures=EVERY)
    trainer.simulation.weight[:] = np.inf
    trainer.tests.after(1, last=True)
    assert abs(trainer.tests.results[1]) < 0.2


# ---- sweeps ----------------------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "name": "tested",
    "experiment": {
        "network": {"n_neurons": 20},
        "targets": {"kind": "sine", "duration_ms": 60.0},
        "stimulus": {"duration_ms": 20.0},
        "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0},
        "training": {"n_loops": 3},
        "measures": {"n_test_trials": 1, "n_clamped_trials": 1},
    },
    "axes": {"measures.test_every_loops": [None, 2]},
}


def test_a_sweep_keeps_the_results_of_tests(tmp_path: Path) -> None:
    sweep = validate_sweep(TINY)
    store, added = ensure_store(tmp_path / "tested.zarr", sweep)
    assert added == 2
    assert run_batch(tmp_path / "tested.zarr", 0).failures == {}
    with open_sweep(tmp_path / "tested.zarr") as found:
        assert np.isnan(found["curve_test_correlation"].values).tolist() == [[True] * 3, [True, False, False]]
        np.testing.assert_array_equal(found["curve_correlation"].values[0], found["curve_correlation"].values[1])
        assert found["curve_test_correlation"].attrs["units"] == "1"
        expected = hpcspike.run(sweep.point(sweep.parameters_at(1)))["curve_test_correlation"]
        np.testing.assert_array_equal(found["curve_test_correlation"].values[1], expected.values)
    assert hpcspike.retrain(tmp_path / "tested.zarr", point=1)["curve_test_correlation"].notnull().sum() == 2
    assert store.inventory is not None
    assert list(store.inventory.faults_of_batch(0)) == []


def test_a_sweep_without_tests_has_no_array_for_them_and_cannot_get_one(tmp_path: Path) -> None:
    path = tmp_path / "tested.zarr"
    store, _ = ensure_store(path, validate_sweep({**TINY, "axes": {"measures.test_every_loops": [None]}}))
    assert "curve_test_correlation" not in store.group
    with pytest.raises(StoreError, match="has no room for tests in training"):
        ensure_store(path, validate_sweep(TINY))
    assert run_batch(path, 0).failures == {}


def test_tests_in_training_are_in_the_predicted_cost() -> None:
    seconds = [
        predict(
            experiment(training={"n_loops": 100}, measures={"n_test_trials": 10, "test_every_loops": every})
        ).seconds
        for every in (None, 50, 10)
    ]
    assert seconds[0] < seconds[1] < seconds[2]
    assert seconds[2] - seconds[0] == pytest.approx(5 * (seconds[1] - seconds[0]))


# ---- YAML, words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": {"keep": "best"}}, r"training\.keep = best goes by tests in training, but there are none"),
        ({"training": {"patience": 3}}, r"training\.patience = 3 goes by tests .* give measures\.test_every_loops"),
        ({"training": {"patience": 0}, "measures": {"test_every_loops": 1}}, "greater than or equal to 1"),
        ({"measures": {"test_every_loops": 0}}, "greater than or equal to 1"),
        (
            {"learner": {"kind": "lsnn"}, "measures": {"test_every_loops": 5}},
            r"measures\.test_every_loops = 5 is for learner\.kind = rls",
        ),
    ],
)
def test_what_needs_tests_is_refused_without_them(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        experiment(**changes)


def test_arrays_are_not_trained_by_tests_that_nobody_asked_for() -> None:
    with pytest.raises(SpecError, match=r"training\.keep = best goes by tests"):
        trained(None, 2, keep="best")
    with pytest.raises(TypeError, match="measures"):
        hpcspike.train(made(), Training(), measures={"test_every_loops": 2})  # type: ignore[arg-type]


def test_an_experiment_without_tests_is_the_one_it_was() -> None:
    silent, tested = (
        experiment(),
        experiment(measures={"test_every_loops": 5}, training={"keep": "best", "patience": 4}),
    )
    assert not {"keep", "patience"} & canonical(silent)["training"].keys()
    assert "test_every_loops" not in canonical(silent)["measures"]
    assert canonical(tested)["measures"]["test_every_loops"] == 5
    assert canonical(tested)["training"]["keep"] == "best"
    assert Experiment.model_validate(json.loads(tested.model_dump_json())) == tested


def test_a_problem_of_an_experiment_is_tested_as_that_says(tmp_path: Path) -> None:
    tested = experiment(measures={"test_every_loops": 1, "n_test_trials": 1})
    found = hpcspike.train(hpcspike.build_problem(tested))
    assert np.isfinite(found.curve["test_correlation"]).tolist() == [True, True]
    dataset = hpcspike.run(tested)
    assert dataset["curve_test_correlation"].values.tolist() == found.curve["test_correlation"].tolist()
    assert "curve_test_correlation" not in hpcspike.run(experiment())


def test_the_line_of_a_loop_tells_the_test_after_it() -> None:
    rows: list[dict[str, float]] = []
    hpcspike.train(
        made(), Training(n_loops=3), measures=EVERY_TWO, on_loop=lambda loop, row: rows.append({**row, "seconds": 1.0})
    )
    assert ["test_correlation" in row for row in rows] == [False, True, True]
    assert describe(rows[1]).endswith(f"  test {rows[1]['test_correlation']:.3f}  1.00 s")
    assert "test" not in describe(rows[0])


def test_the_best_so_far_is_seen_while_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.3])
    trainer = Trainer(made(), Training(n_loops=3, keep="best"), measures=EVERY)
    while trainer.loop < 2:
        trainer.advance()
    first = trained(None, 1).simulation.weight
    np.testing.assert_array_equal(as_it_is(trainer).simulation.weight, first)
    assert (trainer.simulation.weight != first).any()
