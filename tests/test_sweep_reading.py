"""What a reader of a sweep gets: lazily opened results, complete points only unless asked, and a status at any time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sweep_stub import stub_point, sweep_document

from hpcspike.analysis import analyses_for, capacity
from hpcspike.cli import main
from hpcspike.errors import StoreError
from hpcspike.runs import point
from hpcspike.spec import validate_sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.finalize import finalize
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.reading import open_sweep
from hpcspike.sweep.status import sweep_status
from hpcspike.sweep.store import open_store
from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS, STATUS


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of three batches of which the second is done."""
    monkeypatch.setattr(point, "run_point", stub_point)
    path = tmp_path / "little.zarr"
    ensure_store(
        path, validate_sweep(sweep_document(axes={"training.dtype": ["float32", "float64"], "seed": [1, 2, 3]}))
    )
    run_batch(path, 1)
    return path


def test_results_are_read_when_used_and_parameters_are_in_memory(path: Path) -> None:
    sweep = open_sweep(path)
    for name in (*POINT_RESULTS, *POINT_PROVENANCE):
        assert sweep[name].chunks is not None, name
    for name in sweep.coords:
        assert sweep[name].chunks is None, name


def test_variables_come_in_the_order_of_the_registry_with_units(path: Path) -> None:
    sweep = open_sweep(path)
    assert list(sweep.data_vars) == [*POINT_RESULTS, *POINT_PROVENANCE]
    assert list(sweep.coords)[: len(POINT_PARAMETERS)] == list(POINT_PARAMETERS)
    for name, array in sweep.variables.items():
        assert array.attrs["units"], name
        assert array.attrs["long_name"], name


def test_only_complete_points_are_seen_unless_asked(path: Path) -> None:
    complete = open_sweep(path).load()
    assert complete.sizes["point"] == 4
    assert complete["batch"].values.tolist() == [1] * 4
    everything = open_sweep(path, complete_only=False).load()
    assert everything.sizes["point"] == 12
    assert everything["correlation"].notnull().values.tolist() == [4 <= row < 8 for row in range(12)]
    assert everything.isel(point=slice(4, 8)).identical(complete)


def test_a_point_keeps_its_number_whatever_is_selected(path: Path) -> None:
    sweep = open_sweep(path).load()
    assert sweep["point"].values.tolist() == [4, 5, 6, 7]
    assert open_sweep(path, complete_only=False)["point"].values.tolist() == list(range(12))
    (number,) = sweep.isel(point=[2])["point"].values
    hashes = open_store(path).group["experiment_hash"]
    assert str(hashes[number]) == sweep["experiment_hash"].values[2]
    best = sweep.where(sweep["correlation"] == sweep["correlation"].max(), drop=True)["point"].item()
    assert float(sweep["correlation"].sel(point=best)) == float(sweep["correlation"].max())
    assert np.issubdtype(sweep["point"].dtype, np.int64)


def test_tables_do_not_depend_on_the_numbers_of_the_points(path: Path) -> None:
    for batch in (0, 2):
        run_batch(path, batch)
    numbered = open_sweep(path)
    plain = numbered.drop_vars("point")
    tables = analyses_for(numbered)
    assert "error_types" in tables
    for name, make in analyses_for(plain).items():
        assert make().load().identical(tables[name]().load()), name


def test_a_sweep_without_finished_points_opens_empty(tmp_path: Path) -> None:
    path = tmp_path / "new.zarr"
    ensure_store(path, validate_sweep(sweep_document()))
    assert open_sweep(path).sizes == {"point": 0, "loop": 2}
    assert sweep_status(path).done == 0


def test_text_is_plain_and_can_be_selected_and_exported(path: Path, tmp_path: Path) -> None:
    sweep = open_sweep(path)
    assert sweep["dtype"].dtype.kind == "U"
    assert set(sweep.where(sweep["dtype"] == "float32", drop=True)["dtype"].values) == {"float32"}
    sweep.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "sweep.nc", engine="h5netcdf") as copy:
        assert np.array_equal(copy["correlation"].values, sweep["correlation"].values)
    assert sweep[["correlation", "n_neurons"]].to_dataframe().groupby("dtype")["correlation"].mean().notna().all()


def test_reading_never_writes(path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in path.parent.rglob("*")}
    open_sweep(path, provenance=True).load()
    sweep_status(path)
    assert {file: file.stat().st_mtime_ns for file in path.parent.rglob("*")} == before


def test_status_counts_points_batches_and_outcomes(path: Path) -> None:
    status = sweep_status(path)
    assert (status.points, status.done, status.batches, status.batches_done) == (12, 4, 3, 1)
    assert status.counts == {name: 4 * (name == "learned") for name in STATUS}
    assert not status.finalized
    run_batch(path, 0)
    run_batch(path, 2)
    finalize(path)
    assert sweep_status(path).seconds_left == 0.0
    assert sweep_status(path).finalized


def test_the_time_left_is_corrected_by_the_points_that_are_done(path: Path) -> None:
    import zarr

    group = zarr.open_group(path)
    predicted = group["predicted_seconds"][:]
    group["wall_seconds"][4:8] = 3.0 * predicted[4:8]
    left = predicted[:4].sum() + predicted[8:].sum()
    assert sweep_status(path).seconds_left == pytest.approx(3.0 * left)


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"x": ("t", np.arange(3.0))}).to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match="not the store of a sweep"):
        open_sweep(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="no such store"):
        sweep_status(tmp_path / "nothing.zarr")


def test_the_name_of_a_sweep_and_the_folder_of_its_tables_are_told_its_store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "results").mkdir()
    path.rename(path.parent / "results" / "little.zarr")
    hint = re.escape("; did you mean results/little.zarr?") + "$"
    for wrong in ("little", "little.zarr", "results/little"):
        with pytest.raises(StoreError, match=f"^{wrong}: no such store{hint}"):
            sweep_status(wrong)
    (path.parent / "results" / "little").mkdir()
    with pytest.raises(StoreError, match=f"^results/little is an empty folder, not the store of a sweep{hint}"):
        open_sweep("results/little")


def test_an_export_opens_as_its_store_does(path: Path, tmp_path: Path) -> None:
    assert main(["export", str(path), str(tmp_path / "little.nc")]) == 0
    exported, stored = open_sweep(tmp_path / "little.nc"), open_sweep(path)
    assert exported["correlation"].chunks is not None
    assert exported["tau_syn_ms"].chunks is None
    xr.testing.assert_equal(exported, stored)
    assert "run_host" not in exported
    assert "run_host" in open_sweep(tmp_path / "little.nc", provenance=True)


def test_exports_of_an_older_layout_are_read() -> None:
    """Layout 2 lacks results that came later; what is there has kept its meaning."""
    sweep = open_sweep(Path(__file__).parent / "sweep_layout_2.nc")
    assert sweep.attrs["hpcspike_schema"] == 2
    assert sweep.sizes["point"] == 180
    limits = capacity(sweep, interpolate=True, n_bootstrap=0)
    assert (np.diff(limits["capacity"].squeeze().values[1:4]) > 0).all()  # more neurons hold longer windows


def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"x": ("point", np.arange(3.0))}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match=r"other.nc is a file, not the export of a sweep"):
        open_sweep(tmp_path / "other.nc")
    of_sweep = xr.Dataset({"x": ("point", np.arange(3.0))}, attrs={"sweep_hash": "s", "hpcspike_schema": 1})
    of_sweep.to_netcdf(tmp_path / "older.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match="older.nc has layout version 1, this hpcspike"):
        open_sweep(tmp_path / "older.nc")
    xr.Dataset(attrs={"experiment_hash": "n"}).to_netcdf(tmp_path / "net.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match=r"net.nc is a trained network \(see hpcspike.open_network\)"):
        open_sweep(tmp_path / "net.nc")


def test_a_large_sweep_is_planned_and_opened_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.zarr"
    axes = {"synapse.tau_syn_ms": {"logspace": [1.0, 500.0, 20]}, "targets.tau_corr_ms": {"logspace": [1.0, 500.0, 20]}}
    store, _ = ensure_store(path, validate_sweep(sweep_document(axes=axes, replicates=25, batching={"minutes": 0.5})))
    assert store.n_points == 10_000
    sweep = open_sweep(path, complete_only=False)
    assert len(np.unique(sweep["grid_index"].values)) == 10_000
    assert len(set(sweep["experiment_hash"].values)) == 10_000
    assert sweep_status(path).batches == len(store.batches) <= 2000
