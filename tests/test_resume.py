"""Training that is interrupted and goes on, and checkpoints of other trainings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike import provenance
from hpcspike.engine import checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints, discard
from hpcspike.errors import Interrupted, SpecError, StoreError
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.spec.experiment import LifNeuron, Training
from tests.checkpoint_cases import LOOP_STEPS, TRAINING, N, changed, cut_at, folders, made, outcome, uninterrupted
from tests.small_networks import experiment


def test_interrupted_training_says_how_to_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "new" / "state"
    with pytest.raises(Interrupted, match=r"77 of 450 steps done.*new/state, and the same command goes on") as caught:
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder, stop_after_steps=77))
    assert caught.value.exit_code == 75
    assert folders(folder) == [77]
    with caplog.at_level(logging.INFO):
        trained = hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder))
    assert outcome(trained) == uninterrupted()
    assert [r.getMessage() for r in caplog.records if "going on" in r.getMessage()] == [
        f"going on from {folder / 'checkpoint-000000000077'}, after 77 of 450 steps"
    ]
    assert folders(folder) == [77, 450]


def test_what_was_finished_is_not_trained_again(tmp_path: Path) -> None:
    hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))
    seen: list[int] = []
    again = hpcspike.train(
        made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=lambda loop, row: seen.append(loop)
    )
    assert outcome(again) == uninterrupted()
    assert seen == []
    assert folders(tmp_path) == [450]


def test_loops_are_reported_once_over_all_runs(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        try:
            hpcspike.train(
                made(), TRAINING, checkpoints=Checkpoints(tmp_path, stop_after_steps=200),
                on_loop=lambda loop, row: seen.append(loop),
            )  # fmt: skip
        except Interrupted:
            continue
    assert seen == [0, 1, 2]


def test_seconds_of_a_loop_add_up_over_its_runs(tmp_path: Path) -> None:
    cut_at(tmp_path, 100)
    manifest = checkpoint_files.read_manifest(tmp_path / "checkpoint-000000000100")
    trained = hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))
    assert trained.curve["seconds"][0] > manifest["numbers"]["loop_seconds"] > 0


def test_every_so_many_loops_and_only_the_newest_stay(tmp_path: Path) -> None:
    saved: list[list[int]] = []
    hpcspike.train(
        made(), Training(n_loops=7), checkpoints=Checkpoints(tmp_path, every_loops=2, at_end=False),
        on_loop=lambda loop, row: saved.append([steps // LOOP_STEPS for steps in folders(tmp_path)]),
    )  # fmt: skip
    assert saved == [[], [], [2], [2], [2, 4], [2, 4], [4, 6]]
    assert folders(tmp_path) == [4 * LOOP_STEPS, 6 * LOOP_STEPS]


def test_one_may_be_enough(tmp_path: Path) -> None:
    hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, every_loops=1, keep=1))
    assert folders(tmp_path) == [450]


def test_loops_can_be_added(tmp_path: Path) -> None:
    short = Training(n_loops=1)
    hpcspike.train(made(), short, checkpoints=Checkpoints(tmp_path))
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()
    with pytest.raises(StoreError, match=r"training.n_loops is 3 there and 1 here \(loops can be added, not taken"):
        hpcspike.train(made(), short, checkpoints=Checkpoints(tmp_path))


def test_discard_removes_checkpoints_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    cut_at(folder, 20)
    (folder / ".writing-000000000030-1").mkdir()
    discard(Checkpoints(folder))
    assert not folder.exists()
    discard(Checkpoints(folder))  # there is nothing to be removed
    cut_at(folder, 20)
    (folder / "mine.txt").touch()
    discard(Checkpoints(folder))
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("option", ["every_loops", "every_minutes", "time_limit_minutes", "stop_after_steps", "keep"])
def test_options_must_be_positive(option: str) -> None:
    with pytest.raises(SpecError, match=f"{option} = 0 must be more than 0"):
        Checkpoints(Path("state"), **{option: 0})


# ---- another experiment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "training", "message"),
    [
        (lambda: changed(seed=2), {}, "another experiment: filtered differs, phase differs, plastic differs, static"),
        (lambda: changed(tau_syn_ms=30.0), {}, "another experiment: synapse.tau_syn_ms is 20.0 there and 30.0 here; "),
        (lambda: changed(grid_ms=2.0), {}, "another experiment: grid_ms is 1.0 there and 2.0 here; "),
        (lambda: changed(neuron=LifNeuron(model="lif")), {}, "neuron.drive_gain is absent there and 1.0 here, neuron"),
        (changed, {"ridge": 2.0}, "another experiment: training.ridge is 1.0 there and 2.0 here; choose another"),
        (changed, {"dtype": "float32"}, 'training.dtype is "float64" there and "float32" here'),
        (lambda: changed(N + 1), {}, "network.n_neurons is 16 there and 17 here"),
    ],
)
def test_the_checkpoint_of_another_problem_is_refused_with_what_differs(
    tmp_path: Path, other: Any, training: dict[str, Any], message: str
) -> None:
    cut_at(tmp_path, 60)
    with pytest.raises(StoreError, match=message):
        hpcspike.train(other(), TRAINING.model_copy(update=training), checkpoints=Checkpoints(tmp_path))
    assert folders(tmp_path) == [60]


@pytest.mark.parametrize("name", ["targets", "stimuli", "input"])
def test_one_number_makes_another_problem(tmp_path: Path, name: str) -> None:
    cut_at(tmp_path, 60)
    other = changed()
    getattr(other, name).ravel()[-1] += 1e-12
    with pytest.raises(StoreError, match=f"another experiment: {name} differs; choose"):
        hpcspike.train(other, TRAINING, checkpoints=Checkpoints(tmp_path))


def test_the_checkpoint_of_another_experiment_is_refused_by_its_keys(tmp_path: Path) -> None:
    exp = experiment()
    with pytest.raises(Interrupted):
        fit_and_evaluate(exp, checkpoints=Checkpoints(tmp_path, stop_after_steps=60))
    other = experiment(synapse={"tau_syn_ms": 30.0}, targets={"kind": "ou", "duration_ms": 200.0})
    with pytest.raises(
        StoreError, match=r'synapse.tau_syn_ms is 20.0 there and 30.0 here.*targets.kind is "sine" there'
    ):
        fit_and_evaluate(other, checkpoints=Checkpoints(tmp_path))
    # a name is no part of an experiment
    learner, evaluation = fit_and_evaluate(experiment(name="renamed"), checkpoints=Checkpoints(tmp_path))
    expected, its_evaluation = fit_and_evaluate(exp)
    assert outcome(learner.trained) == outcome(expected.trained)
    np.testing.assert_equal(evaluation.scalars, its_evaluation.scalars)


def test_another_layout_is_refused_and_another_version_is_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cut_at(tmp_path, 60)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "SCHEMA", 99)
        with pytest.raises(StoreError, match=r"in layout 1, this version reads layout 99"):
            hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))
    monkeypatch.setattr(provenance, "package_version", lambda: "9.9")
    hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "this is 9.9 on" in warning
