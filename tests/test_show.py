"""One point of a sweep again: chosen by number or values, equal to the stored one, drawn, and written if wanted."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from matplotlib.figure import Figure
from sweep_stub import sweep_document

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import StoreError
from hpcspike.figures import point_overview
from hpcspike.runs import point as runs_point
from hpcspike.spec import validate_experiment, validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.durable import write_durably
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.retraining import compare
from hpcspike.sweep.selection import find_point
from hpcspike.sweep.states import Saving
from hpcspike.sweep.store import open_store
from tests.drawn import heading_of, title_of
from tests.synthetic import synthetic_trained

DIVERGING = {"diverged_drive": 1e-6}
EQUAL = "equal to the sweep bit for bit (28 numbers, 3 learning curves)"


def planned(path: Path, **changes: Any) -> Path:
    ensure_store(path, validate_sweep(sweep_document(**changes)))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight points in two batches, the first of which is done, with the states of its points beside it."""
    axes = {"synapse.tau_syn_ms": [5.0, 20.0], "targets.tau_corr_ms": [50.0, 100.0]}
    path = planned(tmp_path_factory.mktemp("show") / "little.zarr", axes=axes)
    run_batch(path, 0, saving=Saving(keep=path.with_name("kept")))
    return path


def at(store: Path, **parameters: float) -> int:
    group = zarr.open_group(store, mode="r")
    return int(np.flatnonzero(np.all([group[name][:] == value for name, value in parameters.items()], axis=0))[0])


# ---- which point -----------------------------------------------------------------------------------------------------


def test_a_point_is_found_by_number_field_coordinate_or_hash(store: Path) -> None:
    row = at(store, tau_syn_ms=20.0, tau_corr_ms=50.0, replicate=1)
    opened = open_store(store)
    assert find_point(opened, point=row) == row
    dotted = {"synapse.tau_syn_ms": 20, "targets.tau_corr_ms": 50.0, "replicate": 1, "network.n_neurons": 20}
    assert find_point(opened, where=dotted) == row
    assert find_point(opened, where={"tau_syn_ms": 20.0, "tau_corr_ms": 50, "replicate": 1}) == row
    assert find_point(opened, where={"experiment_hash": str(opened.group["experiment_hash"][row])[:12]}) == row
    assert find_point(opened, where={"grid_index": int(opened.group["grid_index"][row])}) == row


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"point": 8}, "has no point 8; its 8 points are 0 to 7"),
        ({}, "it has 8 points; say tau_syn_ms (5, 20) and tau_corr_ms (50, 100) and replicate (0, 1), or the number"),
        (
            {"where": {"tau_syn_ms": 20}},
            "4 points have tau_syn_ms = 20; say tau_corr_ms (50, 100) and replicate (0, 1) ",
        ),
        ({"where": {"replicate": 7}}, "no point has replicate = 7; there are 0, 1"),
        ({"where": {"seed": 7}}, "no point has seed = 7; there is 1"),
        ({"where": {"tau_syn_ms": "x"}}, "no point has tau_syn_ms = x; there are 5, 20"),
        ({"where": {"tau_corr_ms": None}}, "no point has tau_corr_ms = null; there are 50, 100"),
        (
            {"where": {"training.ridge": 1}},
            "training.ridge does not tell its points apart; choose from synapse.tau_syn",
        ),
        ({"where": {"seed": 1.5}}, "no point has seed = 1.5; there is 1"),
        ({"point": 1, "where": {"replicate": 0}}, "the number of a point or values of its parameters, not both"),
    ],
)
def test_a_choice_that_does_not_name_one_point_says_which_there_are(
    store: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(StoreError) as caught:
        find_point(open_store(store), **asked)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(store))


def test_the_nearest_of_many_values_are_named_and_text_and_switches_can_be_asked_for(tmp_path: Path) -> None:
    many = open_store(planned(tmp_path / "many.zarr", axes={"synapse.tau_syn_ms": {"logspace": [1.0, 500.0, 14]}}))
    with pytest.raises(StoreError, match=r"_ms = 30; the nearest values are 17.606720237 and 28.3982475595$"):
        find_point(many, where={"synapse.tau_syn_ms": 30})
    value = float(many.group["tau_syn_ms"][3])
    with pytest.raises(StoreError, match="2 points have"):
        find_point(many, where={"tau_syn_ms": float(f"{value:.12g}")})
    axes = {"training.algorithm": ["blocked", "textbook"], "measures.quasi_static": [False, True]}
    mixed = open_store(planned(tmp_path / "mixed.zarr", axes=axes, replicates=1))
    row = find_point(mixed, where={"training.algorithm": "textbook", "measures.quasi_static": True})
    assert mixed.experiments([row])[row].training.algorithm == "textbook"
    assert mixed.experiments([row])[row].measures.quasi_static is True
    with pytest.raises(
        StoreError, match="no point with algorithm = textbook has quasi_static = 1; there are false, tr"
    ):
        find_point(mixed, where={"algorithm": "textbook", "quasi_static": 1})


def test_a_section_is_found_by_what_the_sweep_says_of_it(tmp_path: Path) -> None:
    axes = {"learner": [{"kind": "rls"}, {"kind": "lsnn"}, {"kind": "lsnn", "passes": 7}]}
    opened = open_store(planned(tmp_path / "learners.zarr", axes=axes, replicates=1))
    learners = {row: one.learner for row, one in opened.experiments([0, 1, 2]).items()}
    assert learners[find_point(opened, where={"learner": {"kind": "rls"}})].kind == "rls"
    assert learners[find_point(opened, where={"learner": {"kind": "lsnn", "passes": 7.0}})].passes == 7
    with pytest.raises(StoreError, match="2 points have learner"):
        find_point(opened, where={"learner": {"kind": "lsnn"}})
    with pytest.raises(StoreError, match="no point has learner"):
        find_point(opened, where={"learner": {"kind": "huh"}})


def test_large_seeds_that_differ_by_one_are_told_apart(tmp_path: Path) -> None:
    path = planned(tmp_path / "seeds.zarr", axes={"seed": [2_000_000_000, 2_000_000_001]}, replicates=1)
    assert zarr.open_group(path)["seed"][find_point(open_store(path), where={"seed": 2_000_000_001})] == 2_000_000_001


# ---- the same network again ------------------------------------------------------------------------------------------


def test_a_point_that_is_trained_again_equals_the_stored_one_bit_for_bit(store: Path) -> None:
    network = hpcspike.retrain(store, point=2)
    sweep = hpcspike.open_sweep(store)
    assert network["correlation"].item() == sweep["correlation"].values[2]
    assert network["curve_rate"].values.tolist() == sweep["curve_rate"].values[2].tolist()
    assert network.attrs["comparison"] == EQUAL
    assert (network.attrs["sweep"], network.attrs["point"], network.attrs["network"]) == ("little", 2, "trained anew")
    assert json.loads(network.attrs["parameters"]).keys() == {"tau_syn_ms", "tau_corr_ms", "replicate"}
    assert {"drive", "spike_time", "weight"} <= set(network.variables)


def test_a_state_that_was_kept_is_loaded_and_left_as_it_is(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store.with_name("kept")
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    anew = hpcspike.retrain(store, point=1)
    from hpcspike.engine.trainer import Trainer

    monkeypatch.setattr(Trainer, "advance", None)  # nothing is left to be trained
    loaded = hpcspike.retrain(store, point=1, states=kept)
    assert loaded.attrs["network"] == "from the state that was kept"
    assert loaded.drop_vars("curve_seconds").drop_attrs().identical(anew.drop_vars("curve_seconds").drop_attrs())
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")}.keys() == before.keys()
    with pytest.raises(StoreError, match="no such folder of kept states"):
        hpcspike.retrain(store, point=1, states=store.with_name("nothing"))


def test_a_point_that_is_not_finished_is_trained_from_its_plan(store: Path) -> None:
    network = hpcspike.retrain(store, point=5, states=store.with_name("kept"))
    assert network.attrs["comparison"] == "the sweep has no results of this point yet"
    assert network.attrs["network"] == "trained anew"
    assert open_store(store).done().sum() == 4


def test_what_differs_is_named_with_both_values_and_where_it_came_from(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zarr"
    shutil.copytree(store, other)
    shutil.copytree(f"{store}.runs", f"{other}.runs")
    group = zarr.open_group(other)
    correlation = float(group["correlation"][0])
    group["correlation"][0] = np.nextafter(correlation, 1.0)
    group["curve_rate"][0, 1] += 1.0
    record = Path(f"{other}.runs") / "0000.json"
    write_durably(record, {**json.loads(record.read_text()), "hpcspike": "0.0.1"})
    network = hpcspike.retrain(other, point=0)
    found = compare(open_store(other), 0, network)
    assert [difference.name for difference in found.differences] == ["correlation", "curve_rate of loop 1"]
    assert found.differences[0].now == correlation
    assert found.origin == "hpcspike 0.0.1"
    words = network.attrs["comparison"]
    assert words.startswith("differs from the sweep in 2 of 31 results (the sweep's: hpcspike 0.0.1): correlation ")
    assert f"{correlation!r} now" in words


def test_a_number_beside_none_is_a_difference_and_none_beside_none_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcspike.sweep.retraining._other_origin", lambda store, row: "")
    stored = {"correlation": np.nan, "trial_sd": 0.3, "spectral_index": np.nan, "curve_rate": np.array([5.0, np.nan])}
    now = xr.Dataset(
        {"correlation": 0.5, "trial_sd": np.nan, "spectral_index": np.nan, "curve_rate": ("loop", [5.0, 6.0])}
    )
    opened = SimpleNamespace(done=lambda: np.array([True]), group=stored, read=lambda name, row: stored[name])
    found = compare(opened, 0, now)  # type: ignore[arg-type]
    assert (found.n_numbers, found.n_curves) == (3, 1)
    assert sorted(one.name for one in found.differences) == ["correlation", "curve_rate of loop 1", "trial_sd"]
    assert str(found).startswith("differs from the sweep in 3 of 4 results: ")


def test_a_point_of_another_learner_is_trained_again_bit_for_bit(tmp_path: Path) -> None:
    axes = {"learner": [{"kind": "rls"}, {"kind": "ebn_alemi", "passes": 5}]}
    path = planned(tmp_path / "learners.zarr", axes=axes, replicates=1)
    run_batch(path, 0)
    rows = open_store(path).experiments([0, 1])
    (row,) = [row for row, experiment in rows.items() if experiment.learner.kind == "ebn_alemi"]
    network = hpcspike.retrain(path, point=row)
    assert network.attrs["comparison"].startswith("equal to the sweep bit for bit")
    assert network.sizes["loop"] == 5 > rows[row].training.n_loops


# ---- the figure ------------------------------------------------------------------------------------------------------


def texts(trained: xr.Dataset, *, draw: bool = False) -> str:
    """All words of the figure; drawn, so that problems of its layout would warn, if asked."""
    figure = point_overview(trained)
    if draw:
        figure.savefig(io.BytesIO(), dpi=40)
    words = [heading_of(figure)]
    for axes in figure.get_axes():
        words += [title_of(axes), axes.get_xlabel(), axes.get_ylabel(), *(t.get_text() for t in axes.texts)]
    return "\n".join(words)


def test_the_figure_shows_everything_and_says_which_network_it_is(store: Path) -> None:
    words = texts(hpcspike.retrain(store, where={"tau_syn_ms": 20, "tau_corr_ms": 50, "replicate": 0}))
    for part in (
        r"$\tau_s$ = 20 ms, $\tau_c$ = 50 ms, replicate = 0", "neuron ", "rate (Hz)", "training loop",
        "power density", "clamped error",
    ):  # fmt: skip
        assert part in words


def test_the_figure_of_several_target_sets_and_of_rates_draws() -> None:
    trained = synthetic_trained(n_neurons=12, n_sets=2, n_trials=2, n_loops=4, duration_ms=200, variable="rate")
    assert "target set 1, test trial 1" in texts(trained, draw=True)


def test_a_diverged_network_is_compared_and_says_that_it_has_no_response(tmp_path: Path) -> None:
    document = sweep_document(axes={}, replicates=1)
    path = planned(tmp_path / "d.zarr", **{**document, "experiment": {**document["experiment"], "measures": DIVERGING}})
    run_batch(path, 0)
    network = hpcspike.retrain(path)
    assert network.attrs["comparison"] == EQUAL
    assert json.loads(network.attrs["parameters"]) == {"replicate": 0}
    assert "diverged in loop 1:" in texts(network)


def test_the_figure_says_that_units_of_rate_have_no_spikes(tiny_document: dict[str, Any]) -> None:
    network = hpcspike.run(validate_experiment({**tiny_document, "neuron": {"model": "tanh"}}))
    assert "units of rate have no spikes" in texts(network)


# ---- the command -----------------------------------------------------------------------------------------------------


def test_a_point_of_a_sweep_with_gaps_leads_to_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("hpcspike.figures.point_overview", lambda _: Figure())
    axes = {"synapse.tau_syn_ms": [5.0, 20.0], "targets.tau_corr_ms": [50.0, 100.0]}
    path = planned(tmp_path / "gaps.zarr", axes=axes)
    run_batch(path, 1)
    third = hpcspike.open_sweep(path).isel(point=2).load()
    number = third["point"].item()
    assert number == 6
    assert hpcspike.retrain(path, point=number)["correlation"].item() == third["correlation"].item()
    assert main(["show", str(path), "--point", str(number)]) == 0
    said = capsys.readouterr().out
    assert f"point 6 (tau_syn_ms = {third['tau_syn_ms'].item()}, tau_corr_ms = {third['tau_corr_ms'].item()}" in said
    assert EQUAL in said


Run = Callable[..., SimpleNamespace]


@pytest.fixture
def show(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``hpcspike show`` in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # commands set thread limits for their process

    def run(*arguments: Any) -> SimpleNamespace:
        code = main(["show", str(store), "--dpi", "40", *map(str, arguments)])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.mark.parametrize("name", ["net.zarr", "net.nc"])
def test_the_command_draws_the_point_and_writes_its_dataset(
    show: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name.endswith("zarr"):  # once is enough
        monkeypatch.setattr("hpcspike.figures.point_overview", lambda _: Figure())
    row = at(store, tau_syn_ms=5.0, tau_corr_ms=50.0, replicate=0)
    result = show("--where", "tau_syn_ms=5", "targets.tau_corr_ms=50", "replicate=0", "--dataset", name)
    assert result.code == 0
    assert result.out.splitlines()[1] == f"trained anew, {EQUAL}"
    assert result.out.startswith(f"results/little_point_{row}.png: little, point {row} (tau_syn_ms = 5.0, ")
    assert (tmp_path / "results" / f"little_point_{row}.png").stat().st_size > (
        200 if name.endswith("zarr") else 10_000
    )
    written = hpcspike.open_network(name)
    assert written.attrs["comparison"] == EQUAL
    assert written["correlation"].item() == hpcspike.open_sweep(store)["correlation"].values[row]
    assert {"drive", "spike_time", "weight"} <= set(written.variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "0", "--out", "a.bmp"], "must end in .png, .pdf or .svg"),
        (["--point", "0", "--dataset", "a.csv"], "must end in .zarr"),
        (["--point", "0", "--dataset", "there.nc"], "there.nc exists"),
        (["--point", "0", "--out", "there.nc/a.png"], "is a file, not a folder"),
        (["--where", "replicate"], "--where replicate: must be KEY=VALUE"),
        (["--where", "replicate=0"], "4 points have replicate = 0"),
    ],
)
def test_the_command_refuses_before_it_trains(
    show: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(runs_point, "fit_and_evaluate", None)
    (tmp_path / "there.nc").touch()
    result = show(*arguments)
    assert result.code == 2
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["there.nc"]
