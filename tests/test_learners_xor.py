"""Delayed XOR (Huh & Sejnowski 2018), learned by eighty theta neurons with graded synapses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

from hpcspike.cli import main
from hpcspike.errors import SpecError
from hpcspike.figures.study_available import figures_of_study
from hpcspike.learners import tasks
from hpcspike.learners.assignment import learner_of, task_of
from hpcspike.learners.passes import Budget
from hpcspike.spec.load import load, validate_experiment
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.results import open_study

CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config" / "learners_xor.yaml"
ASKED: dict[str, Any] = {
    "network": {"n_neurons": 6}, "targets": {"kind": "delayed_xor", "grid_ms": 2.0},
    "learner": {"kind": "huh", "step_ms": 2.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learner": {"kind": "rls"}}, "delayed_xor asks for answers to inputs, which learner.kind = rls cannot"),
        ({"targets": {**ASKED["targets"], "longest_delay_ms": 200}}, "must be 610 ms or more"),
        ({"targets": {**ASKED["targets"], "grid_ms": 4.0}}, "a grid that divides 10 ms"),
        ({"targets": {**ASKED["targets"], "null_share": 1.5}}, "targets.null_share = 1.5"),
    ],
)
def test_delayed_xor_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate_experiment({**ASKED, **changes})


def test_an_experiment_of_delayed_xor_has_the_delays_and_the_missing_pulses_it_names() -> None:
    targets = {**ASKED["targets"], "longest_delay_ms": 30, "null_share": 1.0, "duration_ms": 300.0}
    task = task_of(validate_experiment({**ASKED, "targets": targets}))
    assert (task.n_samples, task.grid_ms, task.n_inputs, task.n_outputs, task.score) == (150, 2.0, 2, 3, "error")
    trials = [task.sample("test", index) for index in range(50)]
    assert all(trial.target[trial.scored].argmax(axis=1).tolist() == [2] * 30 for trial in trials)
    cues = {int(np.flatnonzero(trial.stimulus.input[:, 1])[0]) for trial in trials}
    assert max(cues) == (150 + 2 * 30) // 2
    assert min(cues) == (150 + 2 * 10) // 2


def test_the_study_of_delayed_xor_runs_to_its_figure(tmp_path: Path) -> None:
    assert main(["study", str(CONFIG), "--size", "smoke", "--out", str(tmp_path)]) == 0
    assert "memory" in figures_of_study(open_study(tmp_path / "study.nc"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eighty_theta_neurons_learn_delayed_xor_with_slow_synapses_and_not_with_fast_ones() -> None:
    def found(variant: str, replicate: int) -> tuple[float, float]:
        """Share of wrong answers in new trials, and firing rate in Hz."""
        study = load(CONFIG)
        assert isinstance(study, Study)
        learner = learner_of(study.experiment_of(StudyRun(variant, replicate)))
        learner.fit(Budget(passes=400))
        tested = tasks.assess(learner, learner.task, trials=200)
        return float(tested.score.mean()), float(tested.rate_hz.mean())

    slow = [found("slow", replicate) for replicate in range(3)]
    assert sum(wrong <= 0.05 for wrong, _ in slow) >= 2, slow
    assert all(rate < 60.0 for _, rate in slow), slow
    assert found("fast", 0)[0] >= 0.3
