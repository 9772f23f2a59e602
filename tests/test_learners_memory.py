"""The study of memory (T4): a bit stored and recalled, at its smallest size, with its figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hpcspike.cli import main
from hpcspike.errors import SpecError
from hpcspike.figures.study_available import figures_of_study
from hpcspike.learners.assignment import task_of
from hpcspike.spec.load import validate_experiment
from hpcspike.studies.results import open_study, table_of

CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config" / "learners_memory.yaml"
STORED: dict[str, Any] = {
    "network": {"n_neurons": 6}, "targets": {"kind": "store_recall", "duration_ms": 300.0, "slot_ms": 50},
    "learner": {"kind": "lsnn"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learner": {"kind": "rls"}}, "learner.kind = rls cannot express: not applicable"),
        ({"learner": {"kind": "ebn_alemi"}}, "learner.kind = ebn_alemi cannot express: not applicable"),
        ({"targets": {**STORED["targets"], "slot_ms": 70}}, "two or more slots of targets.slot_ms = 70 ms"),
        ({"targets": {**STORED["targets"], "grid_ms": 2.0}}, "a grid of 1 ms"),
    ],
)
def test_store_recall_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate_experiment({**STORED, **changes})


def test_an_experiment_of_store_recall_has_so_many_slots() -> None:
    task = task_of(validate_experiment({**STORED, "seed": 3, "replicate": 1}))
    assert (task.n_samples, task.n_inputs, task.n_outputs, task.score) == (300, 100, 2, "error")
    stretches = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], task.sample("test", 0).scored, [0]]))))[::2]
    assert set(stretches % 50) == {0}
    other = task_of(validate_experiment({**STORED, "seed": 3, "replicate": 2}))
    assert not np.array_equal(task.sample("test", 0).stimulus.input, other.sample("test", 0).stimulus.input)


def test_the_study_of_memory_runs_to_its_figure(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="needs the extra gradient")
    pytest.importorskip("optax", reason="needs the extra gradient")
    assert main(["study", str(CONFIG), "--size", "smoke", "--out", str(tmp_path)]) == 0
    tree = open_study(tmp_path / "study.nc")
    table = table_of(tree)
    assert table.variant.values.tolist() == ["lsnn", "lif"]
    assert table["curve_wrong"].sizes["loop"] == 2
    wrong = table["test_wrong"].values
    assert ((wrong >= 0.0) & (wrong <= 1.0)).all()
    assert np.isnan(table["correlation"]).all()
    figures = figures_of_study(tree)
    assert "memory" in figures
    assert "performance" not in figures
    figure = figures["memory"]()
    left, right = figure.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["lsnn", "lif"]
    shown = [line.get_ydata() for line in right.lines if len(line.get_ydata()) == 2]
    np.testing.assert_allclose(shown[1], 100.0 * wrong[0].mean(axis=1))
    plt.close(figure)
