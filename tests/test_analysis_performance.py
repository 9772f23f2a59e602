"""Averages over replicates on the grid of a sweep: nothing pooled in silence, nothing lost, lazy and eager alike."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcspike.analysis import analyses_for, performance
from hpcspike.analysis.cells import NOT_CONDITIONS, make_grid, parameters, varying
from hpcspike.errors import DataError
from hpcspike.sweep.grid import PLANNED
from hpcspike.variables import STATUS
from tests.synthetic import synthetic_sweep

PLANE = {"tau_syn_ms": (5.0, 20.0, 80.0), "tau_corr_ms": (50.0, 100.0)}


def test_mean_and_standard_deviation_over_replicates_are_those_of_pandas() -> None:
    sweep = synthetic_sweep(**PLANE, replicates=4, noise=0.1)
    table = performance(sweep)
    frame = sweep["correlation"].to_dataframe().groupby(["tau_syn_ms", "tau_corr_ms"])["correlation"]
    for (tau_syn, tau_corr), expected in frame.mean().items():
        assert table["performance"].sel(tau_syn_ms=tau_syn, tau_corr_ms=tau_corr).item() == pytest.approx(expected)
    for (tau_syn, tau_corr), expected in frame.std(ddof=1).items():
        assert table["performance_sd"].sel(tau_syn_ms=tau_syn, tau_corr_ms=tau_corr).item() == pytest.approx(expected)
    assert table.sizes == {"tau_syn_ms": 3, "tau_corr_ms": 2}
    assert (table["n_networks"] == 4).all()


def test_the_order_of_the_points_does_not_matter() -> None:
    plain = performance(synthetic_sweep(**PLANE, shuffle=False))
    xr.testing.assert_allclose(plain, performance(synthetic_sweep(**PLANE, shuffle=True)), rtol=1e-14)


def test_diverged_networks_are_left_out_and_counted() -> None:
    sweep = synthetic_sweep(**PLANE, diverged=lambda p: (p["tau_syn_ms"] == 5) & (p["replicate"] == 0))
    table = performance(sweep)
    kept = synthetic_sweep(**PLANE)
    np.testing.assert_allclose(table["performance"], performance(kept)["performance"])
    assert table["n_diverged"].sel(tau_syn_ms=5.0).values.tolist() == [1, 1]
    assert table["n_networks"].sel(tau_syn_ms=5.0).values.tolist() == [2, 2]
    assert table["n_finished"].values.ravel().tolist() == [3] * 6
    assert table["n_diverged"].sel(tau_syn_ms=[20.0, 80.0]).sum() == 0


def test_a_network_whose_measure_is_missing_is_left_out_but_has_not_diverged() -> None:
    sweep = synthetic_sweep(**PLANE, diverged=lambda p: (p["tau_syn_ms"] == 5) & (p["replicate"] == 0))
    sweep["correlation"] = sweep["correlation"].where((sweep["tau_syn_ms"] < 80) | (sweep["replicate"] > 0))
    table = performance(sweep)
    assert table["n_diverged"].values.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert table["n_networks"].values.tolist() == [[2, 2], [3, 3], [2, 2]]
    assert (table["n_finished"] == 3).all()


def test_diverged_networks_can_count_as_a_value() -> None:
    sweep = synthetic_sweep(**PLANE, correlation=lambda p: 0.9 + 0 * p["seed"], diverged=lambda p: p["replicate"] == 0)
    assert performance(sweep, failed_as=0.0)["performance"].values == pytest.approx(0.6 * np.ones((3, 2)))
    assert (performance(sweep, failed_as=0.0)["n_networks"] == 3).all()


def test_a_diverged_network_that_left_a_number_is_left_out_all_the_same() -> None:
    sweep = synthetic_sweep(**PLANE, diverged=lambda p: p["replicate"] == 0)
    sweep["correlation"] = sweep["correlation"].fillna(-5.0)
    assert (performance(sweep)["performance"] > 0).all()


def test_unfinished_points_do_not_count_with_or_without_the_done_mask() -> None:
    sweep = synthetic_sweep(**PLANE, unfinished=lambda p: (p["tau_corr_ms"] == 50) & (p["replicate"] > 0))
    for one in (sweep, sweep.drop_vars("done")):
        table = performance(one, failed_as=0.0)
        assert (table["n_finished"].sel(tau_corr_ms=50.0) == 1).all()
        assert (table["n_finished"].sel(tau_corr_ms=100.0) == 3).all()
        assert (table["performance"] > 0.1).all()


def test_a_cell_without_any_network_is_nan_with_count_zero() -> None:
    sweep = synthetic_sweep(**PLANE)
    hole = (sweep["tau_syn_ms"] == 20) & (sweep["tau_corr_ms"] == 50)
    cell = performance(sweep.isel(point=np.flatnonzero(~hole))).sel(tau_syn_ms=20.0, tau_corr_ms=50.0)
    assert np.isnan(cell["performance"])
    assert np.isnan(cell["performance_sd"])
    assert cell["n_finished"] == 0


def test_one_replicate_has_a_mean_but_no_standard_deviation() -> None:
    table = performance(synthetic_sweep(**PLANE, replicates=1))
    assert table["performance"].notnull().all()
    assert table["performance_sd"].isnull().all()


def test_a_further_swept_parameter_becomes_a_dimension_unless_it_is_pooled() -> None:
    sweep = synthetic_sweep(**PLANE, further={"ridge": (0.1, 1.0), "variable": ("drive", "rate")})
    apart = performance(sweep)
    assert apart["performance"].dims == ("ridge", "variable", "tau_syn_ms", "tau_corr_ms")
    assert apart["variable"].values.tolist() == ["drive", "rate"]
    assert apart["ridge"].attrs["long_name"] == "swept ridge"
    pooled = performance(sweep, pool=("ridge", "variable"))
    assert pooled["performance"].dims == ("tau_syn_ms", "tau_corr_ms")
    assert (pooled["n_networks"] == 12).all()
    assert pooled.attrs["pooled"] == "ridge variable"


def test_what_the_planner_notes_about_a_point_is_no_condition() -> None:
    sweep = synthetic_sweep(**PLANE)
    count = sweep.sizes["point"]
    for name in PLANNED:
        sweep = sweep.assign_coords({name: ("point", np.arange(count).astype(str if "hash" in name else int))})
    assert set(PLANNED) <= NOT_CONDITIONS
    assert varying(sweep) == {"tau_syn_ms": 3, "tau_corr_ms": 2}


def test_one_quantity_under_two_names_is_one_parameter() -> None:
    sweep = synthetic_sweep(**PLANE)
    sweep = sweep.assign_coords({"synapse_tau": ("point", sweep["tau_syn_ms"].values)})
    assert "synapse_tau" not in parameters(sweep)
    assert performance(sweep)["performance"].dims == ("tau_syn_ms", "tau_corr_ms")


def test_units_and_long_names_are_attached_to_every_variable_and_coordinate() -> None:
    sweep = synthetic_sweep(
        **{**PLANE, "tau_syn_ms": (5.0, 30.0, 60.0, 90.0)}, duration_ms=(500.0, 1000.0), n_neurons=(100, 200)
    )
    analyses = analyses_for(sweep)
    assert set(analyses) >= {"performance", "inverted_u", "collapse_tracking", "capacity", "error_types"}
    for name, make in analyses.items():
        table = make()
        for variable in table.variables:
            attrs = table[variable].attrs
            assert attrs.get("long_name"), f"{name}: {variable} has no long_name"
            assert attrs.get("units"), f"{name}: {variable} has no units"
        assert table["tau_syn_ms"].attrs["units"] == "ms"


def test_mean_and_standard_deviation_keep_the_unit_of_their_measure() -> None:
    table = performance(synthetic_sweep(**PLANE), measure="population_rate")
    assert table["performance"].attrs["units"] == "Hz"
    assert table["performance_sd"].attrs["units"] == "Hz"
    assert table.attrs["measure"] == "population_rate"


@pytest.mark.parametrize("chunk", [7, 1000])
def test_dask_input_stays_lazy_and_gives_the_same_bits(chunk: int) -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(5.0, 30.0, 60.0, 90.0),
        tau_corr_ms=(50.0, 100.0),
        duration_ms=(500.0, 1000.0, 2000.0),
        n_neurons=(100, 200),
        noise=0.05,
    )
    lazy = analyses_for(sweep.chunk(point=chunk))
    for name, make in analyses_for(sweep).items():
        table = lazy[name]()
        measured = [variable for variable in table.data_vars if variable != "abscissa"]
        assert all(table[variable].chunks is not None for variable in measured), name
        xr.testing.assert_identical(table.compute(), make())


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), replicates=st.integers(1, 5))
def test_counts_add_up_to_the_points_for_any_pattern_of_failures(seed: int, replicates: int) -> None:
    generator = np.random.default_rng(seed)
    sweep = synthetic_sweep(
        tau_syn_ms=(5.0, 20.0),
        tau_corr_ms=(50.0, 100.0),
        replicates=replicates,
        diverged=lambda p: generator.random(len(p["seed"])) < 0.3,
        unfinished=lambda p: generator.random(len(p["seed"])) < 0.3,
    )
    table = performance(sweep)
    assert table["n_finished"].sum() == sweep["done"].sum()
    assert table["n_diverged"].sum() == (sweep["status"] == STATUS.index("diverged")).sum()
    assert (table["n_networks"] + table["n_diverged"] == table["n_finished"]).all()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    sweep = synthetic_sweep(**PLANE)
    with pytest.raises(DataError, match="'tau_c' is not a parameter of this sweep.*tau_corr_ms"):
        performance(sweep, over=("tau_c",))
    with pytest.raises(DataError, match=r"'corelation' is not a result.*correlation"):
        performance(sweep, measure="corelation")
    with pytest.raises(DataError, match="sweep has no dimension 'point': it must be the Dataset of a sweep"):
        performance(xr.Dataset({"x": ("time", [1.0])}))


def test_a_random_design_that_would_need_a_giant_grid_is_refused() -> None:
    values = np.random.default_rng(0).random(6000)
    coords = {n: ("point", values) for n in ("tau_syn_ms",)} | {"tau_corr_ms": ("point", values[::-1])}
    sweep = xr.Dataset({"correlation": ("point", values)}, coords=coords)
    with pytest.raises(DataError, match="36000000 grid cells"):
        make_grid(sweep, over=("tau_syn_ms", "tau_corr_ms"))


def test_on_the_diagonal_of_a_plane_both_parameters_are_there() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(20.0, 50.0, 100.0), tau_corr_ms=(20.0, 50.0, 100.0))
    diagonal = sweep.isel(point=np.flatnonzero(sweep["tau_syn_ms"].values == sweep["tau_corr_ms"].values))
    found = performance(diagonal)
    assert found["performance"].notnull().values.tolist() == np.eye(3, dtype=bool).tolist()
    assert {"tau_syn_ms", "tau_corr_ms"} <= varying(diagonal).keys()
