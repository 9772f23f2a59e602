"""The interface of learners: registry, a user's own learner, budgets, checkpoints, and that nobody sees the target."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted, SpecError, StoreError
from hpcspike.identity import experiment_hash
from hpcspike.learners import LEARNERS, learner_class, make_learner
from hpcspike.learners.interface import Rollout, refuse_targets
from hpcspike.learners.passes import Budget, History
from hpcspike.learners.tasks import oscillator_task, recall_task
from hpcspike.learners.trials import Stimulus, Trial
from hpcspike.runs.point import run_point
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import validate_experiment

OWN = '''
import numpy as np

from hpcspike.learners.interface import Learner, Rollout, refuse_targets


class Lookup(Learner):
    """Moves a table towards the target by a fixed share per pass; fires one spike."""

    supports = frozenset({"drive", "readout"})
    local = online = needs_error_current = False
    for_free = ("a clock",)

    def build(self, task, *, n_neurons, seed, replicate=0):
        self.refuse_unsupported(task)
        self.task, self.n_neurons = task, n_neurons
        self.table = np.zeros((task.n_samples, task.n_outputs))
        return self

    def advance(self, number):
        self.table += self.settings.get("share", 0.5) * (self.task.sample("train", number).target - self.table)
        return {"score_alone": 0.0, "rate_hz": 1.0, "simulated_seconds": self.task.duration_ms / 1000.0}

    def rollout(self, stimulus, *, kill=None, noise=0.0, delete_spike=None):
        refuse_targets(stimulus)
        return Rollout(self.table.copy(), np.array([1.0]), np.array([0], dtype=np.int32), self.n_neurons)

    def weights(self):
        return {"table": self.table}

    def n_trained(self):
        return self.table.size

    def state(self):
        return {"table": self.table}

    def restore(self, state):
        self.table = state["table"].copy()
'''


def _document(**changes: Any) -> dict[str, Any]:
    return {
        "network": {"n_neurons": 5}, "targets": {"kind": "ou", "duration_ms": 100.0},
        "stimulus": {"duration_ms": 20.0}, "training": {"n_loops": 2}, **changes,
    }  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_learner.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_learner", raising=False)
    return "own_learner:Lookup"


def _experiment(path: str, **settings: Any) -> Experiment:
    return validate_experiment(_document(learner={"kind": "user", "path": path, "passes": 3, "settings": settings}))


def test_an_experiment_can_name_a_learner_of_ones_own(own: str) -> None:
    result = run_point(_experiment(own, share=0.5))
    assert result.scalars["correlation"] == pytest.approx(1.0)
    # three halvings leave an eighth of the target
    assert result.scalars["residual_after_averaging"] > 0.1
    assert result.scalars["n_trained"] == 100 * 5
    assert result.scalars["simulated_seconds"] == pytest.approx(0.3)
    assert np.isnan(result.scalars["sampling_error"])
    assert result.curves["curve_rate"].tolist() == [1.0, 1.0]


def test_a_learner_of_ones_own_counts_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(folder: str, source: str, **settings: Any) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own_learner.py").write_text(source)
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.delitem(sys.modules, "own_learner", raising=False)
        return experiment_hash(_experiment("own_learner:Lookup", **settings))

    first = identity("a", OWN)
    assert identity("b", OWN) == first
    assert identity("c", OWN.replace("0.5", "0.25")) != first
    assert identity("d", OWN, share=0.5) != first


def test_importing_the_registry_imports_no_learner() -> None:
    import subprocess

    code = "import sys, hpcspike.learners; print(sorted(m for m in sys.modules if m.startswith('hpcspike.learners.')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_registered_name_is_a_kind_of_the_experiment() -> None:
    for kind in LEARNERS:
        assert validate_experiment(_document(learner={"kind": kind})).learner.kind == kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("perceptron", "must be one of rls, ebn_bourdoukan, ebn_alemi, lsnn, eprop, lstm, huh, or the import path"),
        (
            "no_such_module:Learner",
            "learner.path = no_such_module:Learner: no module 'no_such_module' is found; install it",
        ),
        ("hpcspike.learners.ebn_alemi:Nobody", "hpcspike.learners.ebn_alemi has no 'Nobody'"),
        ("hpcspike.learners.passes:Budget", "must be a class derived from"),
    ],
)
def test_what_is_no_learner_is_refused(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        learner_class(name)


def test_a_task_that_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(SpecError, match="kind 'system', which learner RlsLearner cannot express: not applicable"):
        make_learner("rls").build(oscillator_task(), n_neurons=10, seed=1)


def test_a_rollout_refuses_a_trial_with_its_target() -> None:
    stimulus = Stimulus(0, np.zeros((1, 1)), np.zeros((2, 1)))
    refuse_targets(stimulus)
    with pytest.raises(TypeError, match="must not see a target"):
        refuse_targets(Trial(stimulus, np.zeros((2, 1)), np.ones(2, dtype=bool)))  # type: ignore[arg-type]


def test_rates_count_spikes_of_the_window_only() -> None:
    rollout = Rollout(np.zeros((1, 1)), np.array([-5.0, 1.0, 50.0, 100.0]), np.zeros(4, dtype=np.int32), 3)
    assert rollout.rate_hz(100.0) == pytest.approx(10.0)


def test_a_budget_has_a_limit_and_the_first_one_reached_counts(own: str) -> None:
    with pytest.raises(SpecError, match="budget: give passes"):
        Budget()
    experiment = _experiment(own)
    learner = make_learner(own, {}).build(recall_task(experiment), n_neurons=5, seed=1)
    assert len(learner.fit(Budget(passes=10, simulated_seconds=0.25))) == 3


def test_a_history_refuses_columns_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="loss"):
        History().add({"loss": 1.0})


def test_an_interrupted_fit_goes_on_from_its_checkpoint(own: str, tmp_path: Path) -> None:
    task = recall_task(_experiment(own))

    def fresh() -> Any:
        return make_learner(own, {"share": 0.3}).build(task, n_neurons=5, seed=1)

    whole = fresh()
    whole.fit(Budget(passes=5))
    folder = tmp_path / "saved"
    with pytest.raises(Interrupted, match=r"after 2 passes of this run, 2 of 5 passes done"):
        fresh().fit(Budget(passes=5), checkpoints=Checkpoints(folder, stop_after_steps=2), identity={"a": 1})
    resumed = fresh()
    history = resumed.fit(Budget(passes=5), checkpoints=Checkpoints(folder), identity={"a": 1})
    assert np.array_equal(resumed.table, whole.table)
    assert len(history) == 5
    with pytest.raises(StoreError, match="checkpoint of another experiment: a is 1 there and 2 here"):
        fresh().fit(Budget(passes=5), checkpoints=Checkpoints(folder), identity={"a": 2})


def test_a_damaged_checkpoint_is_passed_over(own: str, tmp_path: Path) -> None:
    task = recall_task(_experiment(own))
    folder = tmp_path / "saved"
    first = make_learner(own, {}).build(task, n_neurons=5, seed=1)
    first.fit(Budget(passes=2), checkpoints=Checkpoints(folder, every_loops=1))
    newest = max(folder.iterdir())
    (newest / "block-00000.bin").write_bytes(b"rubbish")
    second = make_learner(own, {}).build(task, n_neurons=5, seed=1)
    history = second.fit(Budget(passes=2), checkpoints=Checkpoints(folder))
    assert len(history) == 2
    assert np.array_equal(first.table, second.table)  # type: ignore[attr-defined]
