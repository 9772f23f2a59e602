"""Studies of learners: driven systems (T2) and damage (T3), at their smallest size, with their figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr

from hpcspike.cli import main
from hpcspike.errors import SpecError
from hpcspike.figures.study_learners import damage_curves, scores_by_variant
from hpcspike.learners.assignment import learner_of, task_of
from hpcspike.learners.ebn import EbnLearner
from hpcspike.learners.passes import Budget
from hpcspike.learners.tasks import assess, pushed_oscillator_task
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.spec.load import load, validate_experiment, validate_study
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.results import open_study, table_of
from hpcspike.studies.run import run_of_study
from hpcspike.variables import POINT_RESULTS, STUDY

CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config"
DRIVEN: dict[str, Any] = {
    "network": {"n_neurons": 50}, "targets": {"kind": "driven", "system": "bistable", "duration_ms": 200.0},
    "learner": {
        "kind": "ebn_alemi", "passes": 4, "basis": "tanh", "basis_scale": 3.0, "decoder_scale": 0.03,
        "feedback_per_s": 100.0, "slow_rate": 300.0,
    },
    "measures": {"n_test_trials": 2},
}  # fmt: skip


def _smoke(name: str, variants: dict[str, dict[str, Any]], **options: Any) -> Study:
    study = load(CONFIG / f"{name}.yaml", size="smoke")
    assert isinstance(study, Study)
    document = study.model_dump(mode="json", exclude_none=True)
    kept = {variant: {**document["variants"][variant], **own} for variant, own in variants.items()}
    return validate_study({**document, "variants": kept, **options})


@pytest.fixture(scope="module")
def damage() -> Study:
    few = {"learner": {"kind": "ebn_alemi", "passes": 5}}
    return _smoke("learners_damage", {"rls": {}, "alemi": few}, replicates=1)


@pytest.fixture(scope="module")
def damaged(damage: Study) -> dict[str, xr.Dataset]:
    return {variant: run_of_study(damage, StudyRun(variant, 0)) for variant in damage.variants}


# ---- experiments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learner": {"kind": "rls"}}, "learner.kind = rls cannot learn: not applicable"),
        ({"targets": {**DRIVEN["targets"], "free_ms": 10.0}}, "is for targets.system = pushed_oscillator"),
        ({"targets": {**DRIVEN["targets"], "n_sets": 2}}, "targets.n_sets = 2"),
        ({"targets": {**DRIVEN["targets"], "system": "lorenz"}}, "system = 'lorenz'"),
    ],
)
def test_driven_systems_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate_experiment({**DRIVEN, **changes})


def test_one_network_of_another_learner_is_trained_by_it() -> None:
    learner, evaluation = fit_and_evaluate(validate_experiment(DRIVEN))
    assert isinstance(learner, EbnLearner)
    assert learner.trained is None
    assert np.isnan(evaluation.scalars["sampling_error"])
    assert 0.0 < evaluation.scalars["correlation"] <= 1.0


def test_an_experiment_of_a_driven_system_is_that_task() -> None:
    targets = {"kind": "driven", "system": "pushed_oscillator", "duration_ms": 1000.0, "free_ms": 50.0}
    task = task_of(validate_experiment({**DRIVEN, "targets": targets, "seed": 2}))
    same = pushed_oscillator_task(duration_ms=1000.0, free_ms=50.0, seed=2)
    ours, theirs = task.sample("test", 0), same.sample("test", 0)
    assert np.array_equal(ours.target, theirs.target)
    assert np.array_equal(ours.scored, theirs.scored)
    assert not ours.scored.all()


# ---- networks of a study ---------------------------------------------------------------------------------------------


def test_a_driven_system_is_scored_before_and_after_training_on_new_commands() -> None:
    study = validate_study({"experiment": DRIVEN, "variants": {"one": None}, "replicates": 2})
    learner = learner_of(study.experiment_of(StudyRun("one", 0)))
    task = learner.task
    untrained = assess(learner, task, trials=2).score
    learner.fit(Budget(passes=4))
    first, second = (run_of_study(study, StudyRun("one", replicate)) for replicate in (0, 1))
    assert np.array_equal(first["untrained_score"], untrained)
    assert np.array_equal(first["test_score"], assess(learner, task, trials=2).score)
    assert np.array_equal(first["curve_score"], learner.history["score_helped"])
    assert (first["test_score"] < 0.5 * first["untrained_score"]).all()
    assert first.attrs["trained_variable"] == "state"
    assert "curve_correlation" not in first  # whose score is an error
    assert first["response_after"].dims == STUDY["response_after"].dims
    assert "target" not in second
    assert not np.array_equal(first["test_score"], second["test_score"])


def test_damage_is_measured_in_the_same_way_for_rls_and_the_others(damaged: dict[str, xr.Dataset]) -> None:
    for variant, dataset in damaged.items():
        assert dataset["damage_fraction"].values.tolist() == [0.0, 0.05, 0.1, 0.2, 0.4]
        assert dataset["damage_score"].shape == (5, 2)
        assert np.array_equal(dataset["damage_score"][0], dataset["test_score"]), "the whole network is the whole one"
        assert (dataset["damage_score"][1:] != dataset["damage_score"][0]).any()
        assert (dataset["deleted_spike_score"] != dataset["test_score"]).all()
        assert float(dataset["correlation"]) == pytest.approx(float(dataset["test_score"].mean()), abs=1e-12)
        for name, array in dataset.variables.items():
            known = STUDY.get(str(name)) or POINT_RESULTS[str(name)]
            assert array.attrs["units"] == known.units, (variant, name)
            dims = known.dims if str(name) in STUDY else known.dims[1:]  # without the point of a sweep
            assert array.dims == dims, (variant, name)


def test_rls_behind_the_interface_learns_what_a_study_of_rls_learns(
    damage: Study, damaged: dict[str, xr.Dataset]
) -> None:
    plain = validate_study({**damage.model_dump(mode="json", exclude_none=True), "probes": {}})
    engine = run_of_study(plain, StudyRun("rls", 0))
    for name in ("curve_correlation", "curve_rate"):
        assert np.array_equal(engine[name], damaged["rls"][name]), name


def test_probes_that_look_into_rls_are_refused_for_other_learners(damage: Study) -> None:
    asked = {**damage.model_dump(mode="json", exclude_none=True), "probes": {"spectrum": {}}}
    with pytest.raises(SpecError, match="probes.spectrum is for networks that rls trains"):
        run_of_study(validate_study(asked), StudyRun("alemi", 0))


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_damage_is_refused_where_answers_are_right_or_wrong(damage: Study) -> None:
    memory = {
        "targets": {"kind": "store_recall", "duration_ms": 300.0, "slot_ms": 50}, "learner": {"kind": "lsnn"},
    }  # fmt: skip
    options = damage.model_dump(mode="json", exclude_none=True)["probes"]
    study = validate_study(
        {"experiment": {"network": {"n_neurons": 6}, **memory}, "variants": {"one": None}, "probes": options}
    )
    with pytest.raises(SpecError, match="right or wrong"):
        run_of_study(study, StudyRun("one", 0))


def test_a_learner_that_diverged_is_kept_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EbnLearner, "diverged", lambda self: len(self.history) >= 2)
    document = {"experiment": DRIVEN, "variants": {"one": None}, "replicates": 2, "shown": {"before": False}}
    found = run_of_study(validate_study(document), StudyRun("one", 0))
    assert int(found["diverged_loop"]) == 1
    assert found.sizes["loop"] == 2
    assert found.sizes["spike"] == 0
    assert not {"test_score", "response_after"} & set(found)


@pytest.mark.parametrize("name", ["learners_driven", "learners_damage"])
def test_a_study_of_learners_gives_its_table_and_figures(name: str, tmp_path: Path) -> None:
    config, folder = str(CONFIG / f"{name}.yaml"), tmp_path / name
    changes = ["--set", "replicates=1", "--set", "experiment.measures.n_test_trials=1"]
    assert main(["study", config, "--size", "smoke", *changes, "--out", str(folder)]) == 0
    with matplotlib.rc_context({"savefig.dpi": 40}):
        assert main(["plot", str(folder / "study.nc"), "--out", str(folder / "figures")]) == 0
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"scores", "damage", "examples", "rasters", "performance"} <= drawn
    table = table_of(open_study(folder / "study.nc"))
    assert np.isfinite(table["test_score"]).all()
    assert np.isfinite(table["untrained_score"]).all()


# ---- figures ---------------------------------------------------------------------------------------------------------


def _tree(error: bool) -> xr.DataTree:
    experiment = json.dumps({"targets": {"kind": "driven" if error else "ou"}})
    nodes = {}
    for variant, level in (("a", 0.1), ("b", 0.2)):
        for replicate in range(2):
            one = xr.Dataset(
                {
                    "test_score": ("test_trial", [level, level, 9 * level] if error else [level, level, level + 0.3]),
                    "untrained_score": ("test_trial", [0.9, 0.9, 0.9]),
                    "damage_score": (("damage_fraction", "damaged_trial"), np.array([[level], [level - 0.05]])),
                    "deleted_spike_score": ("damaged_trial", [level + 0.01]),
                },
                coords={"damage_fraction": [0.0, 0.4]},
                attrs={"experiment": experiment},
            )
            nodes[f"/{variant}/{replicate}"] = one
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs |= {"study": "s", "document": json.dumps({"variants": {"a": {}, "b": {}}})}
    return tree


@pytest.mark.parametrize(("error", "shown"), [(True, 0.1), (False, 0.2)])
def test_scores_are_medians_of_errors_and_means_of_correlations(error: bool, shown: float) -> None:
    axes = scores_by_variant(_tree(error)).axes[0]
    trained = [line.get_ydata() for line in axes.lines if line.get_marker() == "o"][1]
    np.testing.assert_allclose(trained, [shown, shown])
    assert axes.get_yscale() == ("log" if error else "linear")


def test_damage_is_drawn_in_percent_and_the_deleted_spike_as_a_change() -> None:
    left, right = damage_curves(_tree(error=False)).axes
    np.testing.assert_allclose(left.lines[0].get_xdata(), [0.0, 40.0])
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.1, 0.05])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.01, 0.01], atol=1e-12)
