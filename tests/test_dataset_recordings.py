"""netCDF files and zarr stores: zeros stay zeros, units of the file are obeyed, conditions and units can be chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from hpcspike.errors import DataError
from hpcspike.model.recording_table import AmbiguousRecording
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.spec.recorded import RecordedTargets

RATES_HZ = np.array([[8.25, 0.0, 10.0, 9.0], [12.0, 30.0, 7.5, 11.0], [20.0, 21.0, 19.0, 6.5]])
TIMES_MS = np.array([0.0, 20.0, 40.0, 60.0])


def read(path: Path, **keys: Any) -> Recording:
    return read_recording(RecordedTargets.model_validate({"kind": "recorded", "path": str(path), **keys}))


def netcdf(path: Path, values: Any = RATES_HZ, unit: str | None = "Hz", **coordinates: Any) -> Path:
    attrs = {} if unit is None else {"units": unit}
    content = xr.Dataset(
        {"rate": (("unit", "time"), values, attrs)}, {"time": ("time", TIMES_MS, {"units": "ms"}), **coordinates}
    )
    content.to_netcdf(path, engine="h5netcdf")
    return path


def zarr_group(path: Path, version: Any, *, fill: float | None, store: bool = True) -> Path:
    """A group as zarr itself writes it, with the dimensions where xarray looks for them."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for name, values, dims, unit in (("rate", RATES_HZ, ["unit", "time"], "Hz"), ("time", TIMES_MS, ["time"], "ms")):
        options: dict[str, Any] = {"dimension_names": dims} if version == 3 else {}
        item = group.create_array(name, shape=values.shape, dtype="f8", chunks=values.shape, fill_value=fill, **options)
        if store:
            item[:] = values
        item.attrs.update({"units": unit} if version == 3 else {"units": unit, "_ARRAY_DIMENSIONS": dims})
    return path


@pytest.mark.parametrize(("version", "fill"), [(2, 0.0), (2, None), (2, -1.0), (3, 0.0)])
def test_a_rate_of_zero_in_a_zarr_store_is_a_rate(tmp_path: Path, version: int, fill: float | None) -> None:
    recording = read(zarr_group(tmp_path / "r.zarr", version, fill=fill))
    np.testing.assert_array_equal(recording.values, RATES_HZ * 0.01)
    np.testing.assert_array_equal(recording.times_ms, TIMES_MS)


def test_gaps_that_a_store_declares_are_gaps(tmp_path: Path) -> None:
    content = xr.Dataset({"rate": (("unit", "time"), np.where(RATES_HZ == 0, np.nan, RATES_HZ), {"units": "Hz"})})
    content = content.assign_coords(time=("time", TIMES_MS, {"units": "ms"}))
    packed = {"rate": {"dtype": "int16", "_FillValue": -9, "scale_factor": 0.25}}
    content.to_zarr(tmp_path / "r.zarr", zarr_format=2, consolidated=False, encoding=packed)
    content.to_netcdf(tmp_path / "r.nc", engine="h5netcdf", encoding=packed)
    for name in ("r.zarr", "r.nc"):
        with pytest.raises(DataError, match="1 values are not finite, the first is nan of unit 0 at 20 ms"):
            read(tmp_path / name)
    full = content.fillna(8.0).assign_attrs()
    full["rate"].attrs["units"] = "Hz"
    full.to_netcdf(tmp_path / "full.nc", engine="h5netcdf", encoding=packed)
    np.testing.assert_array_equal(read(tmp_path / "full.nc").values[0], np.array([8.25, 8.0, 10.0, 9.0]) * 0.01)


def test_a_fill_value_of_zero_in_netcdf_leaves_zeros_undecided(tmp_path: Path) -> None:
    content = xr.Dataset({"rate": (("unit", "time"), RATES_HZ, {"units": "Hz"})})
    content = content.assign_coords(time=("time", TIMES_MS, {"units": "ms"}))
    content.to_netcdf(tmp_path / "r.nc", engine="h5netcdf", encoding={"rate": {"_FillValue": 0.0}})
    with pytest.raises(DataError, match="rate declares 0 as its fill value, so that its zeros"):
        read(tmp_path / "r.nc")


@pytest.mark.parametrize(("unit", "factor"), [("kHz", 1e-3), ("spikes/ms", 1e-3), ("Hz", 1.0), ("spikes/s", 1.0)])
def test_the_unit_of_the_file_is_obeyed(tmp_path: Path, unit: str, factor: float) -> None:
    path = netcdf(tmp_path / "r.nc", RATES_HZ * factor, unit)
    np.testing.assert_allclose(read(path).values, RATES_HZ * 0.01, rtol=1e-14)
    other = "Hz" if factor != 1.0 else "kHz"
    with pytest.raises(DataError, match=f"is '{unit}' as the file says, but targets.unit = {other}"):
        read(path, unit=other)


@pytest.mark.parametrize("unit", ["counts", "spikes/bin", "ms", "mV", "%", "MHz"])
@pytest.mark.parametrize("key", [None, "Hz"])
def test_other_quantities_are_no_rates_whatever_the_key_says(tmp_path: Path, unit: str, key: str | None) -> None:
    with pytest.raises(DataError, match=f"the unit of its rates is '{unit}'; allowed: Hz, kHz or per_tau; convert"):
        read(netcdf(tmp_path / "r.nc", unit=unit), unit=key)


def test_an_unknown_unit_is_explained_by_the_key_and_said(tmp_path: Path) -> None:
    path = netcdf(tmp_path / "r.nc", unit="a.u.")
    with pytest.raises(DataError, match="is 'a.u.'; allowed: Hz, kHz or per_tau; set targets.unit"):
        read(path)
    assert "'a.u.': taken as Hz" in read(path, unit="Hz").remarks[0]


def test_a_missing_unit_names_the_readings(tmp_path: Path) -> None:
    with pytest.raises(AmbiguousRecording) as caught:
        read(netcdf(tmp_path / "r.nc", unit=None))
    assert caught.value.readings == [{"unit": "Hz"}, {"unit": "kHz"}, {"unit": "per_tau"}]


def test_units_are_chosen_by_what_the_file_says_of_them(tmp_path: Path) -> None:
    path = netcdf(
        tmp_path / "r.nc",
        unit_id=("unit", [7, 5, 9]),
        area=("unit", ["M2", "ALM", "M2"]),
        depth=("unit", [1.0, 2.0, 4.5]),
    )
    recording = read(path, select_units={"area": "M2"})
    assert recording.unit_ids == ("7", "9")
    np.testing.assert_array_equal(recording.values, RATES_HZ[[0, 2]] * 0.01)
    np.testing.assert_array_equal(recording.attributes["depth"], [1.0, 4.5])
    assert recording.table is not None
    assert recording.table.units_of == 3
    assert read(path, select_units={"area": ["M2", "ALM"], "depth": [2.0, 4.5]}).unit_ids == ("5", "9")
    for keys, message in (
        ({"layer": 5}, "'layer' is not a column of its units; choose one of unit_id, area, depth"),
        ({"area": "V1"}, "no unit has area: V1; the column holds 'ALM', 'M2'"),
        ({"area": "ALM", "depth": 1.0}, "no unit meets all of targets.select_units"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, select_units=keys)


def test_one_condition_of_several_is_chosen_by_its_label(tmp_path: Path) -> None:
    content = xr.Dataset(
        {"rate": (("side", "unit", "time"), np.stack([RATES_HZ, RATES_HZ + 1.0]), {"units": "Hz"})},
        {"time": ("time", TIMES_MS, {"units": "ms"}), "side": ["left", "right"]},
    )
    content.to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    with pytest.raises(AmbiguousRecording, match="has 3 dimensions") as caught:
        read(tmp_path / "r.nc")
    assert caught.value.readings == [{"condition": {"side": "left"}}, {"condition": {"side": "right"}}]
    recording = read(tmp_path / "r.nc", condition={"side": "right"})
    np.testing.assert_array_equal(recording.values, (RATES_HZ + 1.0) * 0.01)
    assert recording.table is not None
    assert recording.table.conditions == "side: right"
    with pytest.raises(DataError, match="2 of the 2 places along side have side: left or right"):
        read(tmp_path / "r.nc", condition={"side": ["left", "right"]})
    with pytest.raises(DataError, match="targets.condition = 'hand' is not a dimension of rate"):
        read(tmp_path / "r.nc", condition={"hand": "left"})


@pytest.mark.parametrize("condition", [{}, {"side": "left"}])
def test_places_of_one_label_cannot_be_chosen(tmp_path: Path, condition: dict[str, Any]) -> None:
    content = xr.Dataset(
        {"rate": (("side", "unit", "time"), np.stack([RATES_HZ] * 3), {"units": "Hz"})},
        {"time": ("time", TIMES_MS, {"units": "ms"}), "side": ["left", "left", "right"]},
    )
    content.to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    said = "2 places along side have the label 'left', but .* must differ; give every place along side a label of its"
    with pytest.raises(DataError, match=said):
        read(tmp_path / "r.nc", condition=condition)
    recording = read(tmp_path / "r.nc", condition={"side": "right"})
    np.testing.assert_array_equal(recording.values, RATES_HZ * 0.01)


def test_names_in_the_file_must_be_different(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several of its units have one name: u1 \(2 times\)"):
        read(netcdf(tmp_path / "r.nc", unit=None, **{"unit_name": ("unit", ["u1", "u2", "u1"])}), unit="Hz")
