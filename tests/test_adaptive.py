"""Sweeps that choose their points: what is asked, which are chosen, and that nothing but the store decides it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from smooth_response import NOISE, adaptive_document, balance, correlation, differing, smooth_point
from sweep_runs import ROOT, finish, run, start, write_sweep

from hpcspike.analysis import (
    analyses_for,
    capacity,
    crossings,
    error_types,
    inverted_u,
    level_line,
    optimum,
    performance,
)
from hpcspike.cli import main
from hpcspike.commands.analyse import tables_of
from hpcspike.errors import DataError, SpecError, StoreError
from hpcspike.figures import figures_for
from hpcspike.identity import sweep_hash
from hpcspike.spec import Experiment, Sweep, validate_sweep
from hpcspike.spec.axes import LinearRange, LogRange
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.mending import damage_of_plan
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.store import open_store
from hpcspike.variables import POINT_PROVENANCE, STATUS

pytest.importorskip("sklearn")

from hpcspike.adaptive.choice import Sampled, choose
from hpcspike.adaptive.lattice import Lattice, lattice_of
from hpcspike.adaptive.questions import targets_of
from hpcspike.adaptive.rounds import ensure_round, first_grid, n_rounds
from hpcspike.commands.plan_adaptive import _print_reached
from hpcspike.spec.adaptive import Adaptive, Budget, Question
from hpcspike.surface import Surface, evenly
from tests.drawn import heading_of

ENDS = ("position_low", "position_high")
LEVELS = ("correlation_0.7", "spectral_index_0")


def adaptive(**changes: Any) -> Sweep:
    return validate_sweep(adaptive_document(**changes))


def explore(path: Path, sweep: Sweep) -> str:
    """All rounds of a sweep in this process; why it ended."""
    for number in range(100):
        found = ensure_round(path, sweep, number)
        if found.ended:
            return found.ended
        for batch in found.batches:
            run_batch(path, batch)
    raise AssertionError("it does not end")


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcspike.runs.point.run_point", smooth_point)


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a finished adaptive sweep."""
    path = tmp_path_factory.mktemp("explored") / "found.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcspike.runs.point.run_point", smooth_point)
        assert explore(path, adaptive()).startswith("the budget of 40 points")
    return path


# ---- what is asked ---------------------------------------------------------------------------------------------------


def test_ranges_are_divided_evenly_and_hold_their_ends() -> None:
    values = LogRange(log=(1.0, 100.0), resolution=0.3).values()
    assert values[0] == 1.0
    assert values[-1] == 100.0
    assert np.ptp(np.diff(np.log10(values))) < 1e-9
    assert np.diff(np.log10(values)).max() <= 0.3
    assert LinearRange(linear=(0.0, 1.0), resolution=0.25).values() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert LogRange(log=(1.0, 10.0), resolution=0.1, round_to=1.0).values() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"synapse.tau_syn_ms": {"log": [0.0, 5.0], "resolution": 0.1}}}, "log needs a first value above 0"),
        ({"axes": {"synapse.tau_syn_ms": {"linear": [5.0, 5.0], "resolution": 1.0}}}, "a last value above the first"),
        ({"axes": {"synapse.tau_syn_ms": {"log": [1.0, 5.0], "resolution": 1e-9}}}, "at most 10,000 are possible"),
        ({"axes": {"synapse.tau_syn_ms": {"log": [1.0, 5.0]}}}, "resolution: missing"),
        ({"axes": {"neuron.model": ["lif", "theta"]}}, "at least two numbers in ascending order"),
        ({"axes": {"synapse.tau_syn_ms": [20.0, 5.0]}}, "at least two numbers in ascending order"),
        ({"axes": {}}, "has 1 to 4 axes, not 0"),
        ({"sampling": {"kind": "random", "points": 5}}, "sampling and adaptive exclude each other"),
        ({"batching": {"mpi_minutes": 1.0}}, "batching.mpi_minutes: points of an adaptive sweep"),
        ({"resolve": [{"variable": "corelation"}]}, "is no result of a point; choose from"),
        ({"resolve": [{"variable": "correlation", "level": 1.0, "maximum_over": "synapse.tau_syn_ms"}]}, "exclude"),
        ({"resolve": [{"variable": "correlation", "maximum_over": "seed"}]}, "must be one of the axes synapse"),
        ({"resolve": [{"variable": "correlation", "maximum_over": ["seed"]}]}, "must be one of the axes synapse"),
        (
            {"resolve": [{"variable": "correlation", "maximum_over": []}]},
            "names an axis, or several, each of them once",
        ),
        ({"resolve": [{"variable": "correlation"}, {"variable": "correlation"}]}, "names 'correlation' twice"),
        (
            {
                "resolve": [
                    {"variable": "correlation", "maximum_over": ["synapse.tau_syn_ms", "targets.tau_corr_ms"]},
                    {"variable": "correlation", "maximum_over": ["targets.tau_corr_ms", "synapse.tau_syn_ms"]},
                ]
            },
            "names 'maximum of correlation over targets.* twice",
        ),
        ({"resolve": []}, "names nothing"),
        ({"resolve": [{"variable": "status", "level": 0.5}]}, "is resolved where it changes"),
        ({"budget": {}}, "give points, minutes or both"),
    ],
)
def test_what_cannot_be_explored_is_refused(changes: dict[str, Any], message: str) -> None:
    document = adaptive_document()
    inside = {key: changes.pop(key) for key in ("resolve", "budget") if key in changes}
    with pytest.raises(SpecError, match=message):
        validate_sweep({**document, "adaptive": {**document["adaptive"], **inside}, **changes})


def test_sweeps_of_before_keep_their_identity() -> None:
    dumped = adaptive(adaptive=None).model_dump()
    assert not {"adaptive", "sampling"} & set(dumped)


# ---- surfaces and choice ---------------------------------------------------------------------------------------------


def test_a_surface_knows_how_far_it_may_be_off() -> None:
    random = np.random.default_rng(1)
    places, fine = random.random((80, 2)), evenly(1500, 2)

    def truth(at: np.ndarray) -> np.ndarray:
        return correlation(10.0 ** (2.7 * at[:, 0]), 10.0 ** (2.7 * at[:, 1]))

    surface = Surface(places, truth(places) + NOISE * random.standard_normal(80))
    mean, sd = surface.mean_and_sd(fine)
    assert 0.8 < np.mean(np.abs(mean - truth(fine)) <= 1.645 * sd) <= 1.0
    assert np.sqrt(np.mean((mean - truth(fine)) ** 2)) < 0.04
    assert NOISE / 2 < np.sqrt(surface.noise) < 2 * NOISE


def test_a_surface_does_not_depend_on_the_order_of_its_points() -> None:
    random = np.random.default_rng(2)
    places, values = random.random((30, 2)), random.random(30)
    order = random.permutation(30)
    one, other = Surface(places, values), Surface(places[order], values[order])
    assert np.array_equal(one.mean(places), other.mean(places))


def test_many_points_are_averaged_over_neighbourhoods() -> None:
    random = np.random.default_rng(3)
    places = random.random((4000, 2))
    values = places[:, 0] + NOISE * random.standard_normal(4000)
    mean, sd = Surface(places, values).mean_and_sd(evenly(200, 2))
    assert np.abs(mean - evenly(200, 2)[:, 0]).max() < 0.02
    assert sd.max() < 0.02


def test_too_few_points_make_no_surface() -> None:
    with pytest.raises(DataError, match="3 points have a value, a surface needs at least 4"):
        Surface(np.zeros((5, 1)), np.array([1.0, 2.0, 3.0, np.nan, np.nan]))


def sampled(values: np.ndarray, lattice: Lattice, cells: np.ndarray, **question: Any) -> list[Any]:
    asked = Question(variable="correlation", **question)
    return targets_of(asked, lattice, lattice.places(cells), {"correlation": values})


def test_points_gather_at_the_level() -> None:
    lattice = lattice_of(adaptive())
    cells = lattice.spread(40)
    places = lattice.places(cells)
    targets = sampled(places[:, 0] + 0.01 * np.sin(50 * places[:, 1]), lattice, cells, level=0.3)
    chosen = choose(
        targets,
        lattice,
        Sampled(cells, np.zeros_like(cells), np.zeros(40, dtype=bool)),
        count=10,
        replicates=1,
        seconds=lambda at: np.ones(len(at)),
        number=3,
    )
    across = lattice.places(np.array([cell for cell, _ in chosen]))[:, 0]
    assert np.abs(across - 0.3).mean() < 0.12
    assert len(chosen) == len(set(chosen)) == 10


def test_where_no_place_says_more_than_others_the_cube_is_filled() -> None:
    lattice = lattice_of(adaptive())
    cells = lattice.spread(8)
    there = Sampled(cells, np.zeros_like(cells), np.zeros(8, dtype=bool))
    targets = sampled(np.zeros(8), lattice, cells, level=5.0)  # the same everywhere, and far from the level
    options: dict[str, Any] = {"count": 6, "replicates": 1, "seconds": lambda at: np.ones(len(at)), "number": 2}
    assert choose(targets, lattice, there, **options) == choose([], lattice, there, **options)
    assert len(choose(targets, lattice, there, **options)) == 6


def test_large_rounds_take_points_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several at once make the line nearly as certain as points that are chosen one by one."""
    lattice = lattice_of(adaptive())
    cells = lattice.spread(60)
    places = lattice.places(cells)
    (target,) = sampled(places[:, 0] + 0.01 * np.sin(50 * places[:, 1]), lattice, cells, level=0.3)

    def chosen() -> np.ndarray:
        found = choose(
            [target],
            lattice,
            Sampled(cells, np.zeros_like(cells), np.zeros(60, dtype=bool)),
            count=200,
            replicates=1,
            seconds=lambda at: np.ones(len(at)),
            number=3,
        )
        assert len(set(found)) == len(found) == 200
        return lattice.places(np.array([cell for cell, _ in found]))

    def left(more: np.ndarray) -> float:
        return float(target.weights @ target.surface.reach(more).variance(target.references))

    monkeypatch.setattr("hpcspike.adaptive.choice.MOST_PICKS", 1000)
    one_by_one = left(chosen())
    monkeypatch.setattr("hpcspike.adaptive.choice.MOST_PICKS", 40)
    several = chosen()
    assert left(several) < 1.1 * one_by_one < 0.5 * left(np.zeros((0, 2)))
    groups = several.reshape(40, 5, 2)
    assert np.median(np.linalg.norm(groups - groups[:, :1], axis=2)) < 0.05


def test_rounds_grow_with_what_is_there() -> None:
    wanted = adaptive(adaptive={**adaptive_document()["adaptive"], "budget": {"points": 20_000}}).adaptive
    assert wanted is not None
    assert [wanted.next_round(there) for there in (12, 1_000, 16_000, 19_000)] == [6, 250, 4_000, 1_000]


def test_cheap_points_are_preferred() -> None:
    lattice = lattice_of(adaptive())
    cells = lattice.spread(30)
    targets = sampled(lattice.places(cells).sum(axis=1), lattice, cells)
    everything = Sampled(cells, np.zeros_like(cells), np.zeros(30, dtype=bool))

    def mean_height(price: float) -> float:
        chosen = choose(
            targets,
            lattice,
            everything,
            count=8,
            replicates=1,
            seconds=lambda at: np.exp(price * at[:, 1]),
            number=2,
        )
        return float(lattice.places(np.array([cell for cell, _ in chosen]))[:, 1].mean())

    assert mean_height(4.0) < mean_height(0.0) - 0.1


def test_replicates_are_added_only_where_the_interval_holds_the_level() -> None:
    lattice = Lattice(("synapse.tau_syn_ms",), (np.linspace(0.0, 1.0, 6),), np.array([1.0]))
    cells = np.repeat(np.arange(6), 2)
    random = np.random.default_rng(4)
    values = lattice.places(cells)[:, 0] + 0.05 * random.standard_normal(12)
    targets = sampled(values, lattice, cells, level=0.42)
    chosen = choose(
        targets,
        lattice,
        Sampled(cells, np.tile([0, 1], 6), np.zeros(12, dtype=bool)),
        count=20,
        replicates=4,
        seconds=lambda at: np.ones(len(at)),
        number=1,
    )
    mean, sd = targets[0].surface.mean_and_sd(lattice.places(np.arange(6)))
    straddles = set(np.flatnonzero(np.abs(mean - targets[0].level) <= 1.645 * sd).tolist())
    assert {cell for cell, _ in chosen} == straddles
    assert 0 < len(straddles) < 6
    assert sorted(chosen) == sorted((cell, replicate) for cell in straddles for replicate in (2, 3))


def test_networks_of_all_numbers_are_taken_alike() -> None:
    """Networks of one number share their seed: with the first ones alone a sweep would ask about these."""
    lattice = lattice_of(adaptive())
    nothing = Sampled(*np.zeros((2, 0), dtype=np.int64), np.zeros(0, dtype=bool))
    first = choose([], lattice, nothing, count=12, replicates=3, seconds=lambda at: np.ones(len(at)), number=0)
    cells, numbers = np.array(first).T
    assert len(set(cells.tolist())) == 12
    assert np.bincount(numbers).tolist() == [4, 4, 4]
    targets = sampled(lattice.places(cells)[:, 0], lattice, cells, level=0.3)
    there = Sampled(cells, numbers, np.zeros(12, dtype=bool))
    more = choose(targets, lattice, there, count=9, replicates=3, seconds=lambda at: np.ones(len(at)), number=1)
    assert np.bincount([number for _, number in more]).tolist() == [3, 3, 3]
    assert len({*first, *more}) == 21


def test_maxima_and_borders_of_status_are_resolved_too() -> None:
    sweep = adaptive()
    lattice = lattice_of(sweep)
    cells = lattice.spread(60)
    places = lattice.places(cells)
    top = sampled(-((places[:, 0] - 0.6) ** 2), lattice, cells, maximum_over="synapse.tau_syn_ms")
    weighed = np.average(top[0].references[:, 0], weights=top[0].weights)
    assert abs(weighed - 0.6) < 0.1
    assert top[0].reached < 0.3
    both = ["synapse.tau_syn_ms", "targets.tau_corr_ms"]
    hill = -((places[:, 0] - 0.6) ** 2) - (places[:, 1] - 0.3) ** 2
    (peak,) = sampled(hill, lattice, cells, maximum_over=both)
    assert peak.words == "maximum of correlation over synapse.tau_syn_ms and targets.tau_corr_ms"
    np.testing.assert_allclose(np.average(peak.references, weights=peak.weights, axis=0), [0.6, 0.3], atol=0.05)
    status = {"status": (places[:, 0] > 0.5).astype(float)}
    borders = targets_of(Question(variable="status"), lattice, places, status)
    assert [target.words for target in borders] == ["border of learned", "border of sampling"]
    assert abs(np.average(borders[0].references[:, 0], weights=borders[0].weights) - 0.5) < 0.1


# ---- rounds and the store --------------------------------------------------------------------------------------------


def told(path: Path) -> xr.Dataset:
    """The points of a store by their identities, without when, by whom and in which batch they were computed."""
    sweep = open_sweep(path).drop_vars([*POINT_PROVENANCE, "batch", "point"], errors="ignore").load()
    return sweep.sortby("experiment_hash")


def test_lines_are_found_as_accurately_as_stated(explored: Path) -> None:
    sweep = open_sweep(explored)
    assert sweep.sizes["point"] == 40
    line = level_line(sweep, measure="spectral_index", level=0.0, along="tau_syn_ms").isel(crossing=0)
    off = np.log10(line.position / balance(line.tau_corr_ms))
    inside = (balance(line.tau_corr_ms) < 400.0) & (line.tau_corr_ms > 2.0)
    assert abs(off.where(inside)).max() < 0.1
    covered = (line.position_low <= balance(line.tau_corr_ms)) & (balance(line.tau_corr_ms) <= line.position_high)
    assert covered.where(inside).mean() > 0.6


def shaped(seed: int) -> Callable[[float, float], float]:
    """A response with exponents and sizes of errors of its own."""
    random = np.random.default_rng(seed)
    powers, sizes = random.uniform([0.7, 0.35], [1.3, 0.65]), [0.3, 3.0] * 10 ** random.normal(0.0, [0.15, 0.1])

    def expected(tau_s: float, tau_c: float) -> float:
        errors = sizes[0] * (tau_s / tau_c) ** powers[0], sizes[1] * tau_s ** -powers[1]
        return float(1.0 / (1.0 + errors[0] ** 2 + errors[1] ** 2))

    return expected


def sometimes_failing(random: np.random.Generator) -> float:
    """One network of twenty learns much less than others with its parameters."""
    return differing(random) - (0.3 * random.uniform() if random.uniform() < 0.05 else 0.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("noise", [differing, sometimes_failing])
def test_intervals_hold_the_line_as_often_as_they_say(
    noise: Callable[[np.random.Generator], float], ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 sweeps of responses of different shapes, each of which ends when it is as accurate as asked."""
    section = {
        "resolve": [{"variable": "correlation", "level": 0.7, "accuracy": 0.05}],
        "budget": {"points": 100},
        "ahead": ahead,
    }
    sweep, held, points = adaptive(adaptive=section, batching={"max_points": 50}), [], []
    for seed in range(20):
        expected, path = shaped(seed), tmp_path / f"{seed}.zarr"
        monkeypatch.setattr("hpcspike.runs.point.run_point", partial(smooth_point, expected=expected, noise=noise))
        explore(path, sweep)
        line = level_line(open_sweep(path), along="tau_syn_ms").to_dataframe().dropna().reset_index()
        assert len(line)
        points.append(open_sweep(path).sizes["point"])
        ends = [[expected(getattr(at, end), at.tau_corr_ms) for end in ENDS] for at in line.itertuples()]
        held.append(np.mean([(low >= 0.7) != (high >= 0.7) for low, high in ends]))
    error = np.std(held) / len(held) ** 0.5
    print(f"{noise.__name__}, ahead {ahead}: {np.mean(held):.3f} +- {error:.3f}, {np.mean(points):.0f} points")
    assert np.mean(held) > 0.8


def test_every_point_is_that_of_a_grid(explored: Path, tmp_path: Path, smooth: None) -> None:
    found = told(explored)
    one = found.isel(point=7)
    grid = adaptive(
        adaptive=None,
        axes={
            "synapse.tau_syn_ms": [float(one.tau_syn_ms), 33.0],
            "targets.tau_corr_ms": [float(one.tau_corr_ms), 77.0],
        },
    )
    store, _ = ensure_store(tmp_path / "grid.zarr", grid)
    for batch in range(len(store.batches)):
        run_batch(store.path, batch)
    same = told(store.path)
    (row,) = np.flatnonzero(same.experiment_hash.values == str(one.experiment_hash.values))
    for name in found.data_vars:
        assert np.array_equal(one[name].values, same.isel(point=row)[name].values, equal_nan=True), name


def test_the_choice_depends_on_complete_rounds_alone(explored: Path, tmp_path: Path, smooth: None) -> None:
    """Batches backwards, a round planned twice, and none of the round before done where that may be."""
    sweep, path, left = adaptive(), tmp_path / "found.zarr", []
    for number in range(100):
        found = ensure_round(path, sweep, number)
        assert ensure_round(path, sweep, number) == found
        if found.ended:
            break
        for batch in left:
            run_batch(path, batch)
        left = list(reversed(found.batches))
    for batch in left:
        run_batch(path, batch)
    assert ensure_round(path, sweep, number).ended == found.ended
    assert told(path).equals(told(explored))


def test_a_round_waits_for_the_rounds_it_is_chosen_from(tmp_path: Path, smooth: None) -> None:
    sweep, path = adaptive(), tmp_path / "found.zarr"
    for number in (0, 1):
        ensure_round(path, sweep, number)
    with pytest.raises(StoreError, match="6 points of the rounds 0 to 0 are not done; run the workflow again"):
        ensure_round(path, sweep, 2)
    with pytest.raises(StoreError, match="has 2 rounds; round 5 comes after round 2"):
        ensure_round(path, sweep, 5)


def test_a_larger_budget_goes_on_and_another_sweep_is_refused(explored: Path, tmp_path: Path, smooth: None) -> None:
    document = adaptive_document()
    less = {**document["adaptive"], "budget": {"points": 20}}
    path = tmp_path / "found.zarr"
    assert explore(path, adaptive(adaptive=less)) == "the budget of 20 points is used up"
    explore(path, adaptive())
    assert open_store(path).n_points == 40
    with pytest.raises(StoreError, match=r"belongs to another sweep: replicates = 2 in the store, 3 now\. An adaptive"):
        ensure_round(path, adaptive(replicates=3), 9)
    wider = {**document["axes"], "targets.tau_corr_ms": {"log": [1.0, 900.0], "resolution": 0.05, "round_to": 0.1}}
    with pytest.raises(StoreError, match=r"belongs to another sweep: axes.* give it another name"):
        ensure_round(path, adaptive(axes=wider), 9)
    with pytest.raises(StoreError, match="belongs to another sweep"):
        ensure_store(path, adaptive(adaptive=None, axes={"synapse.tau_syn_ms": [5.0]}))


def test_minutes_are_a_budget_too_and_accuracy_ends_a_sweep(tmp_path: Path, smooth: None) -> None:
    document = adaptive_document()
    seconds = float(open_seconds(tmp_path / "one.zarr"))
    minutes = {**document["adaptive"], "budget": {"minutes": 15.5 * seconds / 60.0}}
    assert "min is used up" in explore(tmp_path / "found.zarr", adaptive(adaptive=minutes))
    assert open_store(tmp_path / "found.zarr").n_points == 15
    loose = {"resolve": [{"variable": "spectral_index", "level": 0.0, "accuracy": 0.5}], "budget": {"points": 60}}
    assert explore(tmp_path / "loose.zarr", adaptive(adaptive=loose)) == "everything is as accurate as asked"
    assert open_store(tmp_path / "loose.zarr").n_points < 30


def open_seconds(path: Path) -> np.ndarray:
    ensure_round(path, adaptive(), 0)
    return open_store(path).read("predicted_seconds")[0]


@pytest.mark.parametrize("n_axes", [1, 4])
def test_one_to_four_axes(tmp_path: Path, smooth: None, n_axes: int) -> None:
    axes = {
        "synapse.tau_syn_ms": {"log": [1.0, 500.0], "resolution": 0.1, "round_to": 0.1},
        "targets.tau_corr_ms": [10.0, 30.0, 100.0, 300.0],
        "targets.duration_ms": {"linear": [50.0, 200.0], "resolution": 10.0},
        "network.n_neurons": {"linear": [10, 30], "resolution": 2, "round_to": 1},
    }
    chosen = dict(list(axes.items())[:n_axes])
    asked = {"resolve": [{"variable": "correlation", "level": 0.5}], "budget": {"points": 6 * n_axes + 8}}
    explore(tmp_path / "found.zarr", adaptive(axes=chosen, adaptive=asked))
    sweep = open_sweep(tmp_path / "found.zarr")
    assert inverted_u(sweep).sizes["tau_syn_ms"] == 25
    if n_axes >= 3:
        limits = capacity(sweep, threshold=0.5, n_bootstrap=0)
        assert limits.sizes["duration_ms"] == 16
        assert limits.attrs["estimated"] == f"surface through {sweep.sizes['point']} networks"


# ---- what is read off ------------------------------------------------------------------------------------------------


def test_analyses_take_scattered_points_by_their_names(explored: Path) -> None:
    sweep = open_sweep(explored)
    table = performance(sweep)
    assert dict(table.sizes) == {"tau_syn_ms": 25, "tau_corr_ms": 25}
    truth = correlation(table.tau_syn_ms, table.tau_corr_ms)
    inside = (table.tau_corr_ms > 10) & (table.tau_syn_ms > 10)
    assert float(np.sqrt(((table.performance - truth).where(inside) ** 2).mean())) < 0.06
    kinds = error_types(sweep)
    assert set(np.unique(kinds.status)) == {0, 1, 2}
    assert kinds.attrs["estimated"] == "surface through 40 networks"
    found = crossings(sweep)
    off = np.log10(found.tau_syn_ms / balance(found.tau_corr_ms))
    assert np.abs(off[found.tau_corr_ms > 5]).max() < 0.1
    best = optimum(sweep, along="tau_syn_ms")
    assert ((best.position_low <= best.position) & (best.position <= best.position_high)).all()
    with pytest.raises(DataError, match="along = 'n_neurons': must be a parameter that varies, one of tau_syn_ms"):
        level_line(sweep, along="n_neurons")


def test_the_map_shows_every_network(explored: Path) -> None:
    sweep = open_sweep(explored)
    figures = figures_for(sweep)
    assert set(figures) >= {"map", "inverted_u", "errors"}
    figure = figures["map"]()
    axes = figure.axes[0]
    markers = [line for line in axes.lines if line.get_marker() not in ("None", None)]
    assert sum(len(line.get_xdata()) for line in markers) == 40
    words = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"correlation = 0.7", "spectral index = 0", "90 % interval of the line"} <= words
    assert {text.get_text() for text in axes.texts} >= {"sampling", "tracking"}


def test_plan_and_status_say_what_it_costs_and_how_far_it_is(
    explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_sweep(tmp_path, adaptive_document())
    assert main(["plan", str(config), "--store", str(tmp_path / "none.zarr")]) == 0
    printed = capsys.readouterr().out
    assert "points     at most 40 points, chosen from 6,050 = 55 synapse.tau_syn_ms x 55" in printed
    assert "round 0    6 of the 12 first points, about" in printed
    assert "time       at most about" in printed
    assert main(["plan", str(config), "--store", str(explored)]) == 0
    printed = capsys.readouterr().out
    assert "resolved   spectral_index = 0: within 0.0" in printed
    assert main(["plan", str(config), "--store", str(explored), "--create"]) == 0
    assert "ended      the budget of 40 points is used up" in capsys.readouterr().out
    assert main(["status", str(explored)]) == 0
    lines = capsys.readouterr().out.splitlines()
    drawn = [line for line in lines if line.startswith("           |")]
    assert len(drawn) == 16
    assert {"#", ".", "o"} <= set("".join(drawn))
    assert main(["plan", str(write_sweep(tmp_path, adaptive_document(adaptive=None))), "--round", "1"]) == 2
    assert "has no section 'adaptive'" in capsys.readouterr().err


def test_the_best_setting_for_given_values_of_others(explored: Path) -> None:
    sweep = open_sweep(explored)
    one = optimum(sweep, along="tau_syn_ms", at={"tau_corr_ms": 80.0})
    assert one.position.ndim == 0
    assert one.tau_corr_ms == 80.0
    assert one.position_low <= one.position <= one.position_high
    tau_s = np.geomspace(1.0, 500.0, 400)
    assert abs(np.log10(one.position / tau_s[correlation(tau_s, 80.0).argmax()])) < 0.25
    assert one.at_edge == 0.0
    both = optimum(sweep, along=["tau_syn_ms", "tau_corr_ms"])
    assert both.position_tau_corr_ms > 300.0  # the longer tau_c, the better, to the end of the range
    assert both.position_low_tau_syn_ms <= both.position_tau_syn_ms <= both.position_high_tau_syn_ms
    line = level_line(sweep, measure="spectral_index", level=0.0, at={"tau_corr_ms": 80.0}).isel(crossing=0)
    assert abs(np.log10(line.position / balance(80.0))) < 0.1
    with pytest.raises(DataError, match=r"at: tau_corr_ms = 900: must lie in the range that was swept, 1 to 500"):
        optimum(sweep, at={"tau_corr_ms": 900.0})
    with pytest.raises(DataError, match="at: 'n_neurons' is no other parameter that varies; these are tau_corr_ms"):
        optimum(sweep, at={"n_neurons": 20.0})
    with pytest.raises(DataError, match="along names no parameter"):
        optimum(sweep, along=[])


def test_what_was_resolved_is_among_the_tables(explored: Path) -> None:
    tables = analyses_for(open_sweep(explored))
    lines = [f"line_{what}_along_{axis}" for what in LEVELS for axis in ("tau_syn_ms", "tau_corr_ms")]
    assert set(lines) == {name for name in tables if name.startswith("line_")}
    table = tables["line_spectral_index_0_along_tau_syn_ms"]()
    assert table.attrs["over"].startswith("median network")
    assert set(tables_of(table)[""].columns) >= {"crossing", "tau_corr_ms", "position (ms)", "position_low (ms)"}


def test_status_says_the_best_setting(tmp_path: Path, smooth: None, capsys: pytest.CaptureFixture[str]) -> None:
    axis = "synapse.tau_syn_ms"
    one = {axis: adaptive_document()["axes"][axis]}
    asked = {"resolve": [{"variable": "correlation", "maximum_over": axis, "accuracy": 0.2}], "budget": {"points": 24}}
    document = adaptive_document(axes=one, adaptive=asked)
    document["experiment"]["targets"]["tau_corr_ms"] = 80.0
    explore(tmp_path / "found.zarr", validate_sweep(document))
    assert main(["status", str(tmp_path / "found.zarr")]) == 0
    printed = capsys.readouterr().out
    at, low, high = map(float, re.search(r"largest at tau_syn_ms = (\S+) \((\S+) to (\S+)\)", printed).groups())  # type: ignore[union-attr]
    tau_s = np.geomspace(1.0, 500.0, 400)
    assert low <= at <= high
    assert abs(np.log10(at / tau_s[correlation(tau_s, 80.0).argmax()])) < 0.25
    assert "optimum_correlation_along_tau_syn_ms" in analyses_for(open_sweep(tmp_path / "found.zarr"))


def test_figures_of_scattered_points_say_that_they_are_estimated(explored: Path) -> None:
    figures = figures_for(open_sweep(explored))
    assert "median network, by the surface through 40 networks" in heading_of(figures["inverted_u"]())


# ---- the guide and the workflow --------------------------------------------------------------------------------------


def test_the_guide_has_every_key() -> None:
    page = (ROOT / "cluster" / "guide" / "adaptive.md").read_text()
    for section in (Adaptive, Question, Budget):
        for key in section.model_fields:
            assert f"`{key}" in page, key


def test_the_best_setting_of_the_guide_is_a_sweep() -> None:
    page = (ROOT / "cluster" / "guide" / "adaptive.md").read_text()
    document = yaml.safe_load(page.split("```yaml\n")[2].partition("```")[0])
    assert validate_sweep(document).adaptive is not None


def small_guide() -> dict[str, Any]:
    """The sweep of the guide's page, with tiny networks and few points."""
    page = (ROOT / "cluster" / "guide" / "adaptive.md").read_text()
    document = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    validate_sweep(document)
    document["experiment"] |= {
        "network": {"n_neurons": 20},
        "stimulus": {"duration_ms": 20.0},
        "protocol": {"free_run_ms": 20.0},
    }
    document["experiment"]["targets"]["duration_ms"] = 100.0
    document["experiment"]["training"]["n_loops"] = 2
    document["adaptive"] |= {"first": 6, "points_per_round": 3, "budget": {"points": 9}, "ahead": 0}
    return document


@pytest.mark.workflow
@pytest.mark.timeout(600)
def test_the_sweep_of_the_guide_runs_is_killed_and_goes_on(tmp_path: Path) -> None:
    write_sweep(tmp_path, small_guide())
    target = "results/where_it_learns.zarr.receipts/finalized.json"
    first = tmp_path / "results" / "where_it_learns.zarr.receipts" / "batch-0000.json"
    process = start(tmp_path, "--cores", "2", target)
    while not first.exists() and process.poll() is None:
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    finish(process)
    code, output = run(tmp_path, "--cores", "1", target)
    assert code == 0, output
    sweep = open_sweep(tmp_path / "results" / "where_it_learns.zarr")
    assert sweep.sizes["point"] == 9
    assert n_rounds(open_store(tmp_path / "results" / "where_it_learns.zarr")) == 2
    direct = tmp_path / "direct.zarr"
    explore(direct, validate_sweep(small_guide()))
    assert told(direct).equals(told(tmp_path / "results" / "where_it_learns.zarr"))


# ---- what is left open -----------------------------------------------------------------------------------------------


def begun(tmp_path: Path, **section: Any) -> tuple[Path, Sweep]:
    """An adaptive sweep of 16 points, with some keys of its section changed: its config and the sweep."""
    asked = {"resolve": [{"variable": "correlation", "level": 0.7}], "budget": {"points": 16}, **section}
    document = adaptive_document(adaptive=asked, batching={"max_points": 50})
    return write_sweep(tmp_path, document), validate_sweep(document)


def test_another_question_is_kept_also_without_another_round(
    tmp_path: Path, smooth: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.zarr"
    explore(path, begun(tmp_path)[1])
    before = told(path)
    config, sweep = begun(tmp_path, resolve=[{"variable": "correlation", "level": 0.5}])
    assert main(["plan", str(config), "--store", str(path), "--create"]) == 0
    assert "ended      the budget of 16 points is used up" in capsys.readouterr().out
    store = open_store(path)
    assert store.sweep == sweep
    assert store.attributes["sweep_hash"] == sweep_hash(sweep)
    assert damage_of_plan(path) == []
    assert told(path).equals(before)
    assert main(["status", str(path)]) == 0
    assert "resolved   correlation = 0.5:" in capsys.readouterr().out
    assert explore(path, begun(tmp_path, budget={"points": 20})[1]) == "the budget of 20 points is used up"
    assert open_store(path).sweep.adaptive.budget.points == 20  # type: ignore[union-attr]


def altered(experiment: Experiment, *, values: dict[str, float], **_: Any) -> SimpleNamespace:
    """A network with some results set."""
    found = smooth_point(experiment)
    found.scalars |= values
    return found


def test_a_question_without_any_value_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"spectral_index": np.nan, "status": 0}
    monkeypatch.setattr("hpcspike.runs.point.run_point", partial(altered, values=values))
    asked = [{"variable": "correlation", "level": 0.7, "accuracy": 9.0}, {"variable": "spectral_index", "level": 0.0}]
    config, sweep = begun(tmp_path, resolve=[*asked, {"variable": "status"}], first=8)
    path = tmp_path / "found.zarr"
    assert explore(path, sweep) == "the budget of 16 points is used up"
    for command in (["status", str(path)], ["plan", str(config), "--store", str(path)]):
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert "resolved   spectral_index = 0: not decided, only 0 of 16 networks have a value" in printed
        assert "resolved   border of status: all networks are learned so far" in printed


def test_a_place_that_cannot_be_run_is_refused_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = {
        "network.n_neurons": {"linear": [20, 60], "resolution": 2, "round_to": 2},
        "connectivity.plastic_in_degree": {"linear": [2, 11], "resolution": 1, "round_to": 1},
    }
    document = adaptive_document(axes=axes)
    document["experiment"]["connectivity"] = {"kind": "balanced", "static_in_degree": 2, "plastic_in_degree": 2}
    config = write_sweep(tmp_path, document)
    assert main(["plan", str(config), "--store", str(tmp_path / "found.zarr"), "--create"]) == 2
    assert "plastic_in_degree" in capsys.readouterr().err
    assert not (tmp_path / "found.zarr").exists()


def test_a_maximum_is_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    lattice = lattice_of(adaptive())
    cells = lattice.spread(20)
    (top,) = sampled(lattice.places(cells)[:, 0], lattice, cells, maximum_over="synapse.tau_syn_ms")
    _print_reached(replace(top, reached=0.0))
    assert capsys.readouterr().out.endswith("over synapse.tau_syn_ms: within 0, 0.05 asked, resolved\n")


def test_minutes_bound_the_first_round_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.zarr"
    minutes = open_seconds(tmp_path / "one.zarr") / 60.0
    config, _ = begun(tmp_path, budget={"minutes": 3.5 * float(minutes)})
    assert main(["plan", str(config), "--store", str(path), "--create"]) == 2
    assert re.search(r"adaptive.budget.minutes = \S+ min: must be at least (\S+) min", capsys.readouterr().err)
    assert not path.exists()
    config, sweep = begun(tmp_path, budget={"minutes": 5.5 * float(minutes)})
    assert first_grid(sweep).n_points == 5
    assert main(["plan", str(config), "--store", str(path)]) == 0
    first, whole = re.findall(r"about ([\d.]+ \S+) on one core", capsys.readouterr().out)
    assert first.split()[1] == whole.split()[1]
    assert float(whole.split()[0]) >= float(first.split()[0])


def test_a_smaller_budget_holds_for_the_first_rounds(tmp_path: Path) -> None:
    path = tmp_path / "found.zarr"
    ensure_round(path, begun(tmp_path)[1], 0)
    ensure_round(path, begun(tmp_path, budget={"points": 7})[1], 1)
    assert open_store(path).n_points == 7


@pytest.mark.parametrize("name", ["correlation", "done"])
def test_the_map_leaves_out_what_is_damaged(
    name: str, tmp_path: Path, smooth: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path, axes = tmp_path / "found.zarr", list(adaptive_document()["axes"])
    asked = [{"variable": "correlation", "level": 0.7}, {"variable": "correlation", "maximum_over": axes}]
    config, sweep = begun(tmp_path, resolve=asked, first=8)
    for number in (0, 1, 2):
        for batch in ensure_round(path, sweep, number).batches:
            run_batch(path, batch)
    chunk = max(file for file in (path / name / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    for command in (["status", str(path)], ["plan", str(config), "--store", str(path)]):
        assert main(command) == 0
        assert "resolved   correlation = 0.7:" in capsys.readouterr().out


def test_watching_ends_with_the_last_round(
    tmp_path: Path, smooth: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, (_, sweep) = tmp_path / "found.zarr", begun(tmp_path, budget={"points": 8}, first=4, ahead=0)

    def compute(_: float) -> None:
        for batch in ensure_round(path, sweep, n_rounds(open_store(path))).batches:
            run_batch(path, batch)

    for batch in ensure_round(path, sweep, 0).batches:
        run_batch(path, batch)
    monkeypatch.setattr("hpcspike.commands.status.time", SimpleNamespace(sleep=compute))  # others sleep, too
    assert main(["status", str(path), "--watch", "1"]) == 0
    assert "8 of 8 done" in capsys.readouterr().out


def test_diverged_networks_have_no_best_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"correlation": np.nan, "spectral_index": np.nan, "status": STATUS.index("diverged"), "diverged_loop": 1}
    monkeypatch.setattr("hpcspike.runs.point.run_point", partial(altered, values=values))
    asked = {"variable": "population_rate", "maximum_over": list(adaptive_document()["axes"])}
    path = tmp_path / "found.zarr"
    explore(path, begun(tmp_path, resolve=[asked], budget={"points": 4})[1])
    assert main(["status", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "resolved   maximum of population_rate" in printed
    assert "largest at" not in printed
