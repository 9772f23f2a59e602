"""Several recorded conditions in one network: read alike from every format, one target set and cue each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
import yaml

import hpcspike
from hpcspike.cli import main
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import DataError, Interrupted, SpecError
from hpcspike.figures.available import figures_for
from hpcspike.figures.recorded import data_beside_model
from hpcspike.identity import canonical, experiment_hash
from hpcspike.model.build import build_problem
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.model.set_order import set_of_loop
from hpcspike.spec import load
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.targets import RecordedTargets
from hpcspike.spec.validation import validate_experiment
from tests.checkpoint_cases import outcome
from tests.drawn import title_of
from tests.mpi_launch import ROOT, launch

LEFT = np.array([[8.0, 6.0, 10.0, 12.5], [1.5, 2.0, 3.0, 2.5], [7.0, 5.0, 5.5, 4.0]])
RIGHT = np.array([[18.0, 16.5, 11.0, 12.0], [4.0, 2.0, 3.5, 2.0], [1.0, 2.0, 2.5, 3.0]])
TIMES_MS = np.array([0.0, 20.0, 40.0, 60.0])
BOTH = np.stack([LEFT, RIGHT])
NAMES = ("left", "right")


def rows(values: np.ndarray, before: str = "") -> str:
    return "".join(
        f"{t:g},{before}{','.join(map(str, column))}\n" for t, column in zip(TIMES_MS, values.T, strict=True)
    )


def dataset(dim: str = "condition", labels: Any = NAMES) -> xr.Dataset:
    return xr.Dataset(
        {"rate": ((dim, "neuron", "time"), BOTH, {"units": "Hz"})},
        coords={"time": ("time", TIMES_MS, {"units": "ms"}), dim: (dim, list(labels))},
    )


def netcdf(path: Path) -> dict[str, Any]:
    dataset().to_netcdf(path / "r.nc", engine="h5netcdf")
    return {"path": "r.nc", "conditions": ["left", "right"]}


def zarr(path: Path) -> dict[str, Any]:
    dataset("side", (-1, 1)).to_zarr(path / "r.zarr", zarr_format=3, consolidated=False)
    sides = [{"name": name, "condition": {"side": side}} for name, side in zip(NAMES, (-1, 1), strict=True)]
    return {"path": "r.zarr", "conditions": sides}


def csv_column(path: Path) -> dict[str, Any]:
    text = "time_ms,condition,a,b,c\n" + rows(LEFT, "left,") + rows(RIGHT, "right,")
    (path / "r.csv").write_text(text)
    return {"path": "r.csv", "unit": "Hz", "conditions": ["left", "right"]}


def tsv_files(path: Path) -> dict[str, Any]:
    (path / "left.tsv").write_text("time_ms,a,b,c\n".replace(",", "\t") + rows(LEFT).replace(",", "\t"))
    turned = RIGHT[[2, 0, 1]]  # another order of the units, which go by their names
    (path / "right.tsv").write_text("time_ms,c,a,b\n".replace(",", "\t") + rows(turned).replace(",", "\t"))
    return {"path": "left.tsv", "unit": "Hz", "conditions": [{"name": "left"}, {"name": "right", "path": "right.tsv"}]}


def npy(path: Path) -> dict[str, Any]:
    np.save(path / "r.npy", BOTH)
    return {
        "path": "r.npy", "unit": "Hz", "sample_ms": 20.0, "layout": "unit_by_time",
        "conditions": [{"name": "left", "task": 1}, {"name": "right", "task": 2}],
    }  # fmt: skip


def npz(path: Path) -> dict[str, Any]:
    np.savez(path / "r.npz", left=LEFT, right=RIGHT, time_ms=TIMES_MS)
    return {"path": "r.npz", "unit": "Hz", "conditions": ["left", "right"]}


def mat(path: Path) -> dict[str, Any]:
    # time x unit x condition, as MATLAB shows it
    scipy.io.savemat(path / "r.mat", {"rates": BOTH.transpose(2, 1, 0), "time_ms": TIMES_MS})
    return {"path": "r.mat", "unit": "Hz", "conditions": [{"task": 1, "name": "left"}, {"task": 2, "name": "right"}]}


def jld2(path: Path) -> dict[str, Any]:
    with h5py.File(path / "r.jld2", "w", userblock_size=512) as file:
        file.create_dataset("utarg", data=BOTH)  # time x unit x task, as Julia shows it
    return {
        "path": "r.jld2", "unit": "Hz", "sample_ms": 20.0, "layout": "time_by_unit",
        "conditions": [{"task": 1, "name": "left"}, {"task": 2, "name": "right"}],
    }  # fmt: skip


FORMATS = [netcdf, zarr, csv_column, tsv_files, npy, npz, mat, jld2]


def read(folder: Path, keys: dict[str, Any]) -> Recording:
    document = {"kind": "recorded", "min_rate_hz": 0.0, **keys}
    for one in (document, *(item for item in document.get("conditions", []) if isinstance(item, dict))):
        if "path" in one:
            one["path"] = str(folder / one["path"])
    return read_recording(RecordedTargets.model_validate(document))


# ---- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", FORMATS, ids=lambda one: one.__name__)
def test_conditions_of_every_format_are_read_alike(tmp_path: Path, write: Callable[[Path], dict[str, Any]]) -> None:
    recording = read(tmp_path, write(tmp_path))
    assert recording.condition_names == NAMES
    for one, expected in zip(recording.conditions, BOTH, strict=True):
        np.testing.assert_array_equal(one.values, expected / 100.0)
        np.testing.assert_array_equal(one.times_ms, TIMES_MS)
        assert one.unit_ids == recording.unit_ids


def test_trials_of_an_nwb_file_become_conditions(tmp_path: Path) -> None:
    from tests.test_nwb_recordings import asked, write

    path = write(tmp_path / "r.nwb")
    document = asked(path).model_dump(exclude_unset=True)
    both = [{"condition": {"side": side}} for side in NAMES]
    recording = read_recording(RecordedTargets.model_validate({**document, "conditions": both}))
    for one, side in zip(recording.conditions, NAMES, strict=True):
        alone = read_recording(asked(path, condition={"side": side}))
        firing = np.isin(one.unit_ids, alone.unit_ids)  # units that are silent in this condition fire in the other
        np.testing.assert_array_equal(one.values[firing], alone.values)
        assert one.table is not None
        assert alone.table is not None
        assert one.table.trials == alone.table.trials
    assert [one.table.trials.used for one in recording.conditions if one.table and one.table.trials] == [3, 1]


def test_a_unit_is_kept_by_its_mean_rate_over_all_conditions(tmp_path: Path) -> None:
    recording = read(tmp_path, {**netcdf(tmp_path), "min_rate_hz": 3.0})
    assert recording.unit_ids == ("0", "2")  # unit 2 has 5.4 and 2.1 Hz, unit 1 2.3 and 2.9 Hz
    np.testing.assert_array_equal(recording.further[0].values, RIGHT[[0, 2]] / 100.0)
    np.testing.assert_allclose(
        recording.further[0].mean_rates_hz,  # type: ignore[arg-type]
        RIGHT[[0, 2]].mean(axis=1),
    )


REFUSED: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "other units": (
        lambda path: two_csv(path, "time_ms,a,b\n0,1,2\n20,1,3\n", "time_ms,a,c\n0,1,2\n20,1,3\n"),
        r"conditions 'one' and 'two' have different units \(2 units in 'one', 2 in 'two'\): b only in 'one'; c only",
    ),
    "other times": (
        lambda path: two_csv(path, "time_ms,a,b\n0,1,2\n20,1,3\n", "time_ms,a,b\n0,1,2\n20,1,3\n40,3,4\n"),
        r"conditions 'one' and 'two' have different times: 2 samples from 0 to 20 ms against 3 samples from 0 to 40 ms",
    ),
    "no such condition": (lambda path: {**netcdf(path), "conditions": ["left", "up"]}, "choose one of 'left', 'right'"),
    "no such task": (
        lambda path: {**npy(path), "conditions": [{"task": 1}, {"task": 3}]}, "holds 2 conditions; choose 1 to 2"
    ),
    "none chosen": (lambda path: {**npy(path), "conditions": []}, "set targets.task to 1 to 2, or train them all with"),
    "no such value": (lambda path: {**csv_column(path), "conditions": ["left", "up"]}, "no row has condition: up"),
}  # fmt: skip


def two_csv(path: Path, one: str, two: str) -> dict[str, Any]:
    (path / "one.csv").write_text(one)
    (path / "two.csv").write_text(two)
    return {"path": "one.csv", "unit": "Hz", "conditions": [{"name": "one"}, {"name": "two", "path": "two.csv"}]}


@pytest.mark.parametrize(("write", "said"), REFUSED.values(), ids=REFUSED)
def test_conditions_that_do_not_fit_are_named(
    tmp_path: Path, write: Callable[[Path], dict[str, Any]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, write(tmp_path))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"conditions": ["left"]}, "names one condition: name two or more"),
        ({"conditions": ["left", "left"]}, "'left' is read like 'left'"),
        ({"conditions": [{"name": "a", "task": 1}, {"name": "b", "task": 2}]}, "targets.task has no effect"),
        ({"conditions": [{"side": "left"}, {"name": "b"}]}, r"conditions\[0\].side is unknown"),
        ({"conditions": ["left", [1]]}, r"conditions\[1\] = \[1\]: must be a text, a number"),
        ({"conditions": ["left", "right"], "n_sets": 3}, r"n_sets = 3, but targets.conditions names 2"),
        ({"n_sets": 2}, "recorded targets have one set per condition"),
        (
            {"path": "r.npz", "conditions": [0, 1]},
            r"^experiment: targets.conditions\[0\] = 0: must be 1 or more: places in an array are counted from 1$",
        ),
        (
            {"path": "r.npy", "conditions": [{"task": 2}, {"task": -1}]},
            r"targets.conditions\[1\].task = -1: must be 1 or more: places in an array are counted from 1$",
        ),
    ],
)
def test_conditions_that_make_no_sense_are_refused_by_the_yaml_alone(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        validate_experiment({"targets": {"kind": "recorded", "path": "r.nc", **keys}, "training": {"variable": "rate"}})


# ---- what is trained -------------------------------------------------------------------------------------------------


def made_up(**sections: Any) -> Experiment:
    """Two made-up conditions of four units, with as many auxiliary neurons."""
    document: dict[str, Any] = {
        "seed": 4,
        "targets": {
            "kind": "recorded", "path": "generated", "conditions": ["go", "stay"], "n_units": 4, "auxiliary_ratio": 1.0,
            "duration_ms": 60.0,
        },
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 2.0},
        "stimulus": {"duration_ms": 10.0},
        "protocol": {"free_run_ms": 10.0, "test_free_run_ms": 10.0, "start": "random", "set_order": "random"},
        "training": {"variable": "rate", "n_loops": 3, "update_interval_ms": 4.0},
        "trial_noise": {"standard_deviation": 0.2},
        "measures": {"n_test_trials": 2, "n_clamped_trials": 1, "test_every_loops": 1},
    }  # fmt: skip
    return validate_experiment({**document, **sections})


def test_every_condition_has_targets_cue_and_auxiliary_targets_of_its_own() -> None:
    problem = build_problem(made_up())
    assert problem.targets.shape == (2, 8, 60)
    assert problem.n_recorded == 4
    for other in (problem.targets[:, :4], problem.targets[:, 4:], problem.stimuli):
        assert not np.isclose(other[0], other[1]).any()
    block = build_problem(made_up(), block=(3, 6))
    np.testing.assert_array_equal(block.targets, problem.targets[:, 3:6])


def test_random_order_takes_every_set_once_per_round_keyed_by_the_seed() -> None:
    def order(seed: int, kind: Any = "random") -> list[int]:
        return [set_of_loop(loop, n_sets=3, order=kind, seed=seed, replicate=0) for loop in range(30)]

    rounds = np.array(order(1)).reshape(10, 3)
    assert (np.sort(rounds, axis=1) == [0, 1, 2]).all()
    assert len({tuple(one) for one in rounds.tolist()}) > 2
    assert order(1) == order(1) != order(2)
    assert order(1, "alternating") == [0, 1, 2] * 10


def test_the_dataset_says_which_condition_every_set_and_loop_was() -> None:
    trained = hpcspike.run(made_up())
    np.testing.assert_array_equal(trained["condition"], ["go", "stay"])
    assert trained["condition"].dims == ("target_set",)
    expected = [set_of_loop(loop, n_sets=2, order="random", seed=4, replicate=0) for loop in range(6)]
    np.testing.assert_array_equal(trained["loop_target_set"], expected)
    assert trained["response"].sizes["target_set"] == 2


def test_every_condition_has_a_figure_of_data_beside_model() -> None:
    trained = hpcspike.run(made_up())
    drawn = {name: draw() for name, draw in figures_for(trained).items() if name.startswith("recorded")}
    assert list(drawn) == ["recorded", "recorded_2"]
    for number, (condition, figure) in enumerate(zip(("go", "stay"), drawn.values(), strict=True)):
        left, right = (axes for axes in figure.axes if axes.get_images())
        assert title_of(left).endswith(f"{condition}: data")
        assert f"{condition}: model: " in title_of(right)
        shown = np.sort(np.asarray(left.get_images()[0].get_array()), axis=0)
        np.testing.assert_array_equal(shown, np.sort(trained["target"][number, :4], axis=0))
        (loops,) = (axes for axes in figure.axes if axes.get_xlabel() == "training loop")
        of_set = np.flatnonzero(trained["loop_target_set"] == number)
        np.testing.assert_array_equal(loops.lines[0].get_xdata(), of_set + 1)
        np.testing.assert_array_equal(loops.lines[0].get_ydata(), trained["curve_correlation"][of_set])
    with pytest.raises(SpecError, match=r"target_set = 2: must be"):
        data_beside_model(trained, target_set=2)


def test_what_is_odd_about_one_condition_alone_names_it(tmp_path: Path) -> None:
    keys = two_csv(tmp_path, "time_ms,a\n0,9.5\n90,9.5\n200,9.5\n", "time_ms,a\n0,8.5\n90,9\n200,7\n")
    found = read(tmp_path, keys).remarks
    assert [remark for remark in found if "throughout" in remark] == ["one: unit a has one value throughout"]


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_sums_over_time_do_not_depend_on_who_holds_which_neurons(ratio: float) -> None:
    exp = made_up().changed({"targets.auxiliary_ratio": ratio})
    for block in (None, (0, 2), (1, 4), (2, 4)):
        assert build_problem(exp, block=block).targets.flags.c_contiguous


@pytest.mark.mpi
def test_conditions_have_the_same_bits_on_ranks_that_hold_recorded_units_alone(tmp_path: Path) -> None:
    exp = made_up(
        training={"variable": "rate", "n_loops": 2, "update_interval_ms": 4.0, "keep": "best", "patience": 2}
    ).changed({"targets.auxiliary_ratio": 0.5, "targets.n_units": 12})
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(exp.model_dump(mode="json")))
    expected = hpcspike.run(exp)
    for ranks in (2, 3):
        line = f"train e.yaml --threads {ranks % 2 + 1} --out {ranks}.zarr"
        done = launch(ranks, ROOT / "tests" / "mpi_train.py", 2000, line, folder=tmp_path, timeout=200.0)
        assert done.code == 0, done
        found = hpcspike.open_network(tmp_path / f"{ranks}.zarr").load()
        assert found.keys() == expected.keys()
        for variable in expected.keys() - {"curve_seconds"}:
            np.testing.assert_array_equal(found[variable], expected[variable], err_msg=str(variable))


@pytest.mark.parametrize("steps", [17, 133, 266])
def test_a_training_of_conditions_cut_anywhere_goes_on_bit_for_bit(tmp_path: Path, steps: int) -> None:
    exp = made_up()

    def train(**options: Any) -> Any:
        return hpcspike.train(build_problem(exp), **options)

    with pytest.raises(Interrupted):
        train(checkpoints=Checkpoints(tmp_path, stop_after_steps=steps), threads=2)
    assert outcome(train(checkpoints=Checkpoints(tmp_path))) == outcome(train(threads=2))


def test_identity_counts_the_files_of_all_conditions_and_nothing_new_without_them(tmp_path: Path) -> None:
    keys = two_csv(tmp_path, "time_ms,a\n0,9\n200,7\n", "time_ms,a\n0,8\n200,9\n")
    path = tmp_path / "e.yaml"
    targets = {"kind": "recorded", **keys}
    path.write_text(yaml.safe_dump({"targets": targets, "training": {"variable": "rate"}}))
    before = experiment_hash(load(path))  # type: ignore[arg-type]
    (tmp_path / "two.csv").write_text("time_ms,a\n0,8\n200,9.5\n")
    assert experiment_hash(load(path)) != before  # type: ignore[arg-type]
    alone = canonical(made_up(targets={"kind": "recorded", "path": "generated"}, protocol={}))
    assert "conditions" not in alone["targets"]
    assert "set_order" not in alone["protocol"]


# ---- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [netcdf, zarr, csv_column, npy, jld2], ids=lambda one: one.__name__)
def test_recordings_prints_an_experiment_that_trains_all_conditions(
    tmp_path: Path, write: Callable[[Path], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    keys = write(tmp_path)
    given = [f"{key}={keys[key]}" for key in ("unit", "sample_ms", "layout") if key in keys]
    options = [part for one in (*given, "min_rate_hz=0") for part in ("--set", one)]
    assert main(["recordings", str(tmp_path / keys["path"]), *options]) == 0
    text = capsys.readouterr().out
    assert "# 2 conditions, each with its own cue, trained in turn: " in text
    assert "# proposed, since not given: conditions: " in text
    experiment = validate_experiment(yaml.safe_load(text))
    np.testing.assert_array_equal(build_problem(experiment).targets[:, :3, -1], BOTH[:, :, -1] / 100.0)


def test_conditions_with_a_slash_keep_their_whole_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset("trial_type", ["left/lick", "right/lick"]).to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    assert main(["recordings", str(tmp_path / "r.nc"), "--set", "min_rate_hz=0"]) == 0
    experiment = validate_experiment(yaml.safe_load(capsys.readouterr().out))
    assert isinstance(experiment.targets, RecordedTargets)
    assert experiment.targets.condition_names == ("left/lick", "right/lick")


def test_several_files_become_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_csv(tmp_path, "time_ms,a\n0,9\n200,7\n", "time_ms,a\n0,8\n200,9\n")
    files = [str(tmp_path / f"{name}.csv") for name in ("one", "two")]
    assert main(["recordings", *files, "--set", "unit=Hz"]) == 0
    experiment = validate_experiment(yaml.safe_load(capsys.readouterr().out))
    assert isinstance(experiment.targets, RecordedTargets)
    assert experiment.targets.condition_names == ("one", "two")
    assert main(["recordings", *files, "--set", "conditions=[a, b]"]) == 2
    assert "2 files are conditions already" in capsys.readouterr().err


def test_plan_and_train_say_what_was_understood_of_every_condition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(made_up().model_dump(mode="json", exclude_unset=True)))
    for command in (["plan", str(path)], ["train", str(path), "--out", str(tmp_path / "n.nc")]):
        assert main(command) == 0
        text = capsys.readouterr().out
        assert "2 conditions, each with its own cue, trained in random order, new in every round: go, stay" in text
        assert "4 auxiliary neurons beside them, with targets of their own in every condition" in text
