"""Analyses and figures of points that lie anywhere: recall, and a collapse judged by the networks themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot
from smooth_response import adaptive_document, correlation, spectral_index

from hpcspike.analysis import analyses_for, collapse, error_types
from hpcspike.analysis.cells import DIVERGED
from hpcspike.analysis.scaling import held_out_intervals
from hpcspike.analysis.scattered import Axis, _few, on_grid
from hpcspike.figures import figures_for
from hpcspike.spec import validate_sweep
from hpcspike.surface import Surface
from hpcspike.variables import STATUS
from tests.drawn import title_of

pytest.importorskip("sklearn")

RECALL = STATUS.index("recall")


def scattered(law: Callable[[np.ndarray, np.ndarray], np.ndarray], n_networks: int = 90) -> xr.Dataset:
    """Networks at random tau_s and tau_c of an adaptive sweep, whose correlation is a law of both, with some noise."""
    random, plan = np.random.default_rng(1), validate_sweep(adaptive_document())
    columns = plan.columns()
    tau_s, tau_c = (random.choice(columns[key], n_networks) for key in ("synapse.tau_syn_ms", "targets.tau_corr_ms"))
    value = law(tau_s, tau_c) + 0.01 * random.standard_normal(n_networks)
    index = spectral_index(tau_s, tau_c)
    status = np.where(value >= 0.7, 0, np.where(index > 0, 1, 2))
    fixed = {"duration_ms": 100.0, "n_neurons": 20, "replicate": 0, "seed": 1}
    return xr.Dataset(
        {
            "correlation": ("point", value),
            "spectral_index": ("point", index),
            "correlation_taught": ("point", np.clip(value + 0.2, -0.99, 0.99)),
            "status": ("point", status.astype(np.int8)),
        },
        {
            "tau_syn_ms": ("point", tau_s, {"units": "ms"}),
            "tau_corr_ms": ("point", tau_c, {"units": "ms"}),
            **{name: ("point", np.full(n_networks, number)) for name, number in fixed.items()},
        },
        {"sweep": plan.model_dump_json()},
    )


def test_networks_that_follow_but_do_not_recall_have_a_region_of_their_own() -> None:
    sweep = scattered(correlation)
    kinds = error_types(sweep)
    assert set(np.unique(kinds["status"])) == {0, 1, 2, RECALL}
    expected = correlation(*np.meshgrid(kinds.tau_syn_ms, kinds.tau_corr_ms, indexing="ij"))
    status = kinds["status"].transpose(..., "tau_syn_ms", "tau_corr_ms").squeeze().values
    between = (expected > 0.55) & (expected < 0.65)
    assert (status[between] == RECALL).mean() > 0.9
    assert (status[expected < 0.4] != RECALL).all()
    words = {text.get_text() for text in figures_for(sweep)["map"]().axes[0].texts}
    assert {"recall", "sampling", "tracking"} <= words
    without = {text.get_text() for text in figures_for(sweep.drop_vars("correlation_taught"))["map"]().axes[0].texts}
    assert "recall" not in without


def test_a_collapse_of_scattered_networks_is_judged_by_the_networks() -> None:
    """A surface through the networks would predict a curve from its neighbours, whatever the law."""
    tracked = collapse(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / tau_c), 200))
    explained, alone = tracked["held_out_fraction"].squeeze().values
    assert explained < 0.05 < 0.3 < alone
    by_tau_s = collapse(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / 100.0), 200))
    explained, alone = by_tau_s["held_out_fraction"].squeeze().values
    assert alone < 0.05 < 0.3 < explained
    few = collapse(scattered(correlation, 20))
    assert np.isnan(few["held_out_fraction"]).all()
    assert "networks" in few.attrs["estimated"]
    scaled, _ = held_out_intervals(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / tau_c), 200))
    assert scaled.value < 0.05
    assert np.isnan(scaled.low)


def diverged(n_networks: int) -> xr.Dataset:
    sweep = scattered(correlation, n_networks)
    nothing = {name: sweep[name] * np.nan for name in ("correlation", "spectral_index", "correlation_taught")}
    return sweep.assign({**nothing, "status": xr.full_like(sweep["status"], DIVERGED)})


def tables_and_figures(sweep: xr.Dataset) -> tuple[dict[str, xr.Dataset], set[str]]:
    """All tables of a sweep, and the names of its figures, which are all drawn."""
    tables = {name: make() for name, make in analyses_for(sweep).items()}
    figures = figures_for(sweep)
    for draw in figures.values():
        pyplot.close(draw())
    return tables, set(figures)


@pytest.mark.filterwarnings("error:No artists with labels")
def test_networks_that_all_diverged_have_tables_and_figures() -> None:
    sweep = diverged(12)
    tables, figures = tables_and_figures(sweep)
    assert figures >= {"map", "inverted_u", "errors"}
    assert (on_grid(sweep)["correlation"] == 0.0).all()
    assert (tables["performance"]["n_diverged"] == 1).all()
    assert tables["error_types"]["spectral_index"].isnull().all()
    assert (tables["error_types"]["status"] == DIVERGED).all()


def test_too_few_networks_for_a_surface_have_tables_without_values() -> None:
    tables, figures = tables_and_figures(scattered(correlation, 3))
    assert tables["performance"]["performance"].isnull().all()
    assert "map" not in figures
    assert "errors" in figures


def test_a_surface_for_every_value_of_text() -> None:
    axes = {**adaptive_document()["axes"], "training.variable": ["drive", "rate"]}
    plan = validate_sweep(
        adaptive_document(axes=axes, adaptive=None, sampling={"kind": "random", "points": 90}, replicates=1)
    )
    assert set(plan.logarithmic) == {"synapse.tau_syn_ms", "targets.tau_corr_ms"}
    text = np.where(np.arange(90) < 60, "drive", "rate")
    sweep = scattered(correlation).assign_coords(variable=("point", text)).assign_attrs(sweep=plan.model_dump_json())
    sweep["correlation"] = sweep["correlation"].where(sweep["variable"] == "drive", 0.0)
    tables, figures = tables_and_figures(sweep)
    assert {"map_drive", "map_rate", "inverted_u", "errors"} <= figures
    table = tables["performance"]
    assert table.attrs["estimated"] == "surface through 90 networks"
    assert table["performance"].sel(variable="drive").max() > 0.8
    assert abs(table["performance"].sel(variable="rate")).max() < 0.01


def test_grids_over_many_axes_have_fewer_values_of_each() -> None:
    counts = {1: 25, 2: 25, 3: 25, 4: 11}
    values = np.linspace(0.0, 1.0, 50)
    for n_axes, count in counts.items():
        few = _few([Axis(str(k), values, False) for k in range(n_axes)])
        assert [len(column) for column in few.values()] == [count] * n_axes


def test_places_are_told_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = scattered(correlation)
    whole = on_grid(sweep)
    sizes = []
    told = Surface.expected

    def noted(self: Surface, places: np.ndarray) -> np.ndarray:
        sizes.append(len(places))
        return told(self, places)

    monkeypatch.setattr("hpcspike.analysis.scattered._MOST_AT_ONCE", 100)
    monkeypatch.setattr(Surface, "expected", noted)
    xr.testing.assert_allclose(on_grid(sweep), whole)
    assert max(sizes) <= 100


def test_figures_of_scattered_points_take_networks_of_all_numbers_of_loops() -> None:
    axes = {
        "synapse.tau_syn_ms": adaptive_document()["axes"]["synapse.tau_syn_ms"],
        "training.ridge": {"log": [0.1, 10.0], "resolution": 0.1},
        "training.n_loops": {"linear": [1, 30], "resolution": 1, "round_to": 1},
    }
    plan, random = validate_sweep(adaptive_document(axes=axes)), np.random.default_rng(2)
    columns = {key.split(".")[1]: random.choice(values, 40) for key, values in list(plan.columns().items())[:3]}
    sweep = scattered(correlation, 40).assign_coords({name: ("point", column) for name, column in columns.items()})
    sweep = sweep.assign_coords(tau_corr_ms=("point", np.full(40, 80.0))).assign_attrs(sweep=plan.model_dump_json())
    _, figures = tables_and_figures(sweep)
    assert {"map_mean", "map_best", "effects"} <= figures
    assert "through 40 networks" in title_of(figures_for(sweep)["map_mean"]().axes[0])
