"""Studies: their files, their networks, and the tables and trees that come of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from hpcspike.cli import main
from hpcspike.errors import SpecError, StoreError
from hpcspike.spec.load import load, validate_study
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.identity import run_hash
from hpcspike.studies.results import collect, network, open_run, open_study, run_path, table_of, tree_of_table
from hpcspike.studies.run import run_of_study
from hpcspike.variables import POINT_RESULTS, SHOWN_DIMENSIONS, STUDY
from hpcspike.workflow.studies import plan_study

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted(
    path for path in (ROOT / "cluster" / "config").glob("*.yaml") if "variants" in yaml.safe_load(path.read_text())
)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "little",
        "replicates": 2,
        "experiment": {
            "network": {"n_neurons": 24},
            "connectivity": {"kind": "gaussian", "sigma": 2.0},
            "targets": {"kind": "sine", "duration_ms": 100.0},
            "protocol": {"free_run_ms": 50.0, "test_free_run_ms": 50.0},
            "stimulus": {"duration_ms": 20.0},
            "training": {"n_loops": 3},
            "measures": {"n_test_trials": 2},
        },
        "variants": {"drive": {}, "rate": {"training": {"variable": "rate"}}},
        "shown": {"neurons": 3, "raster_neurons": 5, "trials": 2, "loops": [1, 3], "beyond_ms": 20.0},
        **changes,
    }


@pytest.fixture(scope="module")
def study() -> Study:
    return validate_study(document())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run to its end by the command."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "little.yaml").write_text(yaml.safe_dump(document()))
    assert main(["study", str(folder / "little.yaml"), "--out", str(folder / "out")]) == 0
    return folder


def test_every_study_of_the_project_is_valid_in_every_size() -> None:
    assert len(STUDIES) >= 8
    for path in STUDIES:
        sizes = yaml.safe_load(path.read_text())["sizes"]
        assert {"smoke", "laptop", "paper"} <= set(sizes), path.name
        for size in sizes:
            found = load(path, size=size)
            assert isinstance(found, Study)
            assert found.name == path.stem + ("_smoke" if size == "smoke" else "")


def test_a_variant_is_laid_over_the_experiment_and_a_new_kind_replaces_the_section(study: Study) -> None:
    assert study.experiment_of(StudyRun("rate", 1)).training.variable == "rate"
    assert study.experiment_of(StudyRun("rate", 1)).replicate == 1
    changed = validate_study(document(variants={"ou": {"targets": {"kind": "ou", "duration_ms": 100.0}}}))
    assert changed.experiment_of(StudyRun("ou", 0)).targets.kind == "ou"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": {}}, "variants"),
        ({"variants": {"a_b": {}}}, "letters"),
        ({"variants": {"a": {"training": {"n_lops": 3}}}}, "did you mean 'n_loops'"),
        ({"probes": {"lesion": {"variants": ["none"]}}}, "'none' is none of drive, rate"),
        ({"probes": {"lesions": {}}}, "did you mean 'lesion'"),
        ({"probes": {"lesion": {"fractions": [1.5]}}}, "less than or equal to 1"),
        ({"replicates": 0}, "replicates = 0"),
        ({"replicates_of": {"drive": 0}}, "replicates_of.drive = 0"),
        ({"replicates_of": {"drives": 3}}, "replicates_of: 'drives' is none of drive, rate"),
    ],
)
def test_a_wrong_study_is_refused_with_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate_study(document(**changes))


def test_a_network_of_a_study_holds_registered_variables_with_units(study: Study) -> None:
    dataset = run_of_study(study, StudyRun("drive", 0))
    for name, array in dataset.variables.items():
        known = STUDY.get(str(name)) or POINT_RESULTS[str(name)]
        assert array.attrs["long_name"] == known.long_name
        assert "units" in array.attrs
        if name in STUDY:
            assert array.dims == known.dims, name
    # the loops that are shown are those of the learning curve: the same updates, the same correlation
    during = dataset["response_during"].sel(shown_loop=1).values
    updates = dataset["update_time"].values
    target = dataset["target"].sel(target_time=updates).isel(target_set=0).values
    assert during.shape == target.shape
    assert not np.allclose(during, dataset["response_during"].sel(shown_loop=3).values)
    beyond = dataset["time"].values[-1] - dataset["target_time"].values[-1]
    assert beyond == pytest.approx(20.0)


def test_later_replicates_hold_numbers_only(study: Study) -> None:
    dataset = run_of_study(study, StudyRun("rate", 1))
    assert not set(map(str, dataset.dims)) & SHOWN_DIMENSIONS
    assert np.isfinite(dataset["correlation"])


def test_the_example_neurons_of_a_shown_loop_are_those_of_the_curve(study: Study) -> None:
    whole = validate_study(document(shown={"neurons": 24, "loops": [2]}))
    dataset = run_of_study(whole, StudyRun("drive", 0))
    target = dataset["target"].sel(target_time=dataset["update_time"].values).isel(target_set=0)
    correlations = [
        np.corrcoef(dataset["response_during"].sel(shown_loop=2).values[i], target.values[i])[0, 1] for i in range(24)
    ]
    assert np.mean(correlations) == pytest.approx(float(dataset["curve_correlation"].sel(loop=2)), abs=1e-9)


def test_the_command_writes_networks_tree_and_table(folder: Path) -> None:
    tree = open_study(folder / "out" / "study.nc")
    assert float(network(tree, "drive", 1)["correlation"]) == float(
        open_run(run_path(folder / "out", StudyRun("drive", 1)))["correlation"]
    )
    table = xr.load_dataset(folder / "out" / "table.nc", engine="h5netcdf")
    assert table["correlation"].dims == ("variant", "replicate")
    assert table["curve_correlation"].sizes == {"variant": 2, "replicate": 2, "loop": 3}
    assert np.isnan(table["correlation_phi"].sel(variant="drive")).all()
    assert np.isfinite(table["correlation_phi"].sel(variant="rate")).all()
    assert not SHOWN_DIMENSIONS & set(map(str, table.dims))
    header = (folder / "out" / "table.csv").read_text().splitlines()[0]
    assert header.startswith("variant,replicate,")
    assert {"population_rate [Hz]", "wall_seconds [s]", "correlation"} <= set(header.split(","))
    assert (
        table_of(tree)
        .drop_vars(["wall_seconds", "code_revision"])
        .identical(table.drop_vars(["wall_seconds", "code_revision"]))
    )


def test_what_is_there_is_not_trained_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "runs").iterdir()}
    assert main(["study", str(folder / "little.yaml"), "--out", str(folder / "out")]) == 0
    assert "is there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (folder / "out" / "runs").iterdir()} == before


def test_a_changed_study_notices_old_networks(folder: Path, study: Study) -> None:
    changed = validate_study(document(shown={"neurons": 4}))
    with pytest.raises(StoreError, match="was trained for another version of the study"):
        collect(folder / "out", changed)
    assert run_hash(changed, StudyRun("drive", 0)) != run_hash(study, StudyRun("drive", 0))
    more = validate_study(document(replicates=3))
    with pytest.raises(StoreError, match=r"drive_2.nc is missing"):
        collect(folder / "out", more)
    assert run_hash(more, StudyRun("drive", 0)) == run_hash(study, StudyRun("drive", 0))


def test_one_network_by_name_and_a_wrong_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(folder / "little.yaml")
    assert main(["study", config, "--out", str(tmp_path), "--only", "rate_1"]) == 0
    said = r"rate_1.nc: correlation -?0\.\d+ over all neurons, population rate .* Hz over all neurons\n"
    assert re.search(said, capsys.readouterr().out)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["rate_1.nc"]
    assert main(["study", config, "--out", str(tmp_path), "--only", "rate_7"]) == 2
    assert "there are 2 of drive, 2 of rate" in capsys.readouterr().err


def test_a_study_is_planned_and_other_commands_send_it_away(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(folder / "little.yaml")
    assert main(["plan", config]) == 0
    assert "4 = 2 variants x 2 replicates" in capsys.readouterr().out
    assert main(["train", config, "--out", str(folder / "x.nc")]) == 2
    assert "is a study" in capsys.readouterr().err
    jobs = plan_study(config)
    assert list(jobs.identities) == ["drive_0", "drive_1", "rate_0", "rate_1"]
    assert min(jobs.memory_mb.values()) > 200


def test_a_variant_has_more_networks_than_others_and_its_first_ones_stay(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = document(replicates_of={"rate": 4})
    config = tmp_path / "more.yaml"
    config.write_text(yaml.safe_dump(more))
    shutil.copytree(folder / "out", tmp_path / "out")
    assert main(["plan", str(config)]) == 0
    assert "6 = 2 variants x 2 to 4 replicates" in capsys.readouterr().out
    assert main(["study", str(config), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("is there already") == 4
    table = xr.load_dataset(tmp_path / "out" / "table.nc", engine="h5netcdf")
    assert table["correlation"].count("replicate").values.tolist() == [2, 4]
    assert table["code_revision"].sel(variant="drive").values[2:].tolist() == ["", ""]
    before = xr.load_dataset(folder / "out" / "table.nc", engine="h5netcdf")
    both = table.sel(replicate=[0, 1])
    np.testing.assert_array_equal(both["correlation"], before["correlation"])
    np.testing.assert_array_equal(both["curve_correlation"], before["curve_correlation"])
    assert len(validate_study(more).runs) == len(list(tree_of_table(table).leaves)) == 6
    with pytest.raises(SpecError, match="replicate 2 of drive does not exist; choose 0 to 1"):
        validate_study(more).experiment_of(StudyRun("drive", 2))


PROBED = {
    "quasi_static": {"trials": 3, "bin_ms": 20.0},
    "lesion": {"fractions": [0.0, 0.25], "draws": 2},
    "perturbation": {"delay_ms": 20.0, "repeats": 2, "beyond_ms": 20.0},
    "spectrum": {},
    "heterogeneity": {"bin_ms": 20.0},
    "recall": {"trials": 1},
    "signs": {},
}


def test_every_probe_gives_registered_variables() -> None:
    changes: dict[str, Any] = {"probes": PROBED, "variants": {"drive": {"targets": {"n_sets": 2}}}, "replicates": 1}
    dataset = run_of_study(validate_study(document(**changes)), StudyRun("drive", 0))
    expected = {
        "quasi_static_drive_correlation", "binned_rate", "lesion_correlation", "phase_deviation_after",
        "spectral_radius_before", "rank", "best_fit_residual", "recall_correlation", "sign_flips", "excluded_share",
    }  # fmt: skip
    assert expected <= set(map(str, dataset.data_vars))
    for name in expected:
        assert dataset[name].dims == STUDY[name].dims
    # without loss the lesion is the test of the whole network
    whole = dataset["lesion_correlation"].sel(lesion_fraction=0.0)
    assert float(whole.std()) == 0.0
    # the set that is cued after itself is recalled as from anywhere
    assert dataset["recall_correlation"].shape == (2, 2)
    assert (dataset["deviation_time"].diff("deviation_time") > 0).all()
    assert float(dataset["phase_deviation_after"].isel(deviation_time=0)) == 0.0


def test_the_shuffle_probe_wants_recorded_targets() -> None:
    with pytest.raises(SpecError, match="targets.kind = recorded"):
        run_of_study(validate_study(document(probes={"shuffle": {}})), StudyRun("rate", 0))
