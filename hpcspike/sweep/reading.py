"""Reading results: the lazily opened Dataset of a sweep, and that of one trained network."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.engine.output import as_text
from hpcspike.errors import StoreError
from hpcspike.paths import local
from hpcspike.sweep.layout import EXPORTED_SINCE, written_to
from hpcspike.sweep.metadata import describe, require_layout
from hpcspike.sweep.records import read_records
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.variables import POINT, POINT_PARAMETERS, Variable
from hpcspike.verification import refuse_if_damaged, vouched

if TYPE_CHECKING:
    import xarray as xr

JOINED = {
    "run_host": ("host",),
    "run_hpcspike": ("hpcspike",),
    "run_revision": ("revision",),
    "run_python": ("python",),
    "run_versions": ("versions",),
    "run_blas": ("blas",),
    "run_llvm": ("llvm", "cpu"),
    "run_started": ("started",),
}
"""Variables that ``open_sweep(provenance=True)`` adds, and where a provenance record holds them."""

TASK_BYTES = 64_000_000
"""Most bytes of one variable that a dask task reads at once, unless a batch is larger."""


def open_sweep(path: str | Path, *, complete_only: bool = True, provenance: bool = False) -> xr.Dataset:
    """Open the results of a sweep, also while it is running.

    Parameters
    ----------
    path
        Folder of the store, or the netCDF file that ``hpcspike export`` wrote of it.
    complete_only
        Only the points that are finished. Otherwise all planned points, those not finished yet filled with NaN (or
        another fill value) and told apart by ``done``. An export has finished points only.
    provenance
        Add what each point's provenance record says (variables named ``run_...``, text).

    Returns
    -------
    xarray.Dataset
        Dimensions ``point`` and ``loop``. Parameters are coordinates along ``point`` and in memory, results are read
        when they are used. The coordinate ``point`` is the row of the store, which stays with a point whatever is
        selected: `hpcspike.retrain` and ``hpcspike show --point`` take it.

    Raises
    ------
    StoreError
        If there is no store, or it is something else.

    Examples
    --------
    >>> sweep = open_sweep("results/fig6.zarr")                          # doctest: +SKIP
    >>> sweep.correlation.where(sweep.tau_corr_ms == 100, drop=True)     # doctest: +SKIP
    >>> worst = int(sweep.point[sweep.correlation.argmin().values])      # doctest: +SKIP
    >>> network = retrain("results/fig6.zarr", point=worst)              # doctest: +SKIP
    """
    import xarray as xr

    path = local(path)
    if Path(path).suffix == ".nc" and Path(path).is_file():
        return _exported(Path(path), provenance=provenance)
    store = open_store(path)
    # first: a point that is finished while the rest is opened is left out, never shown half
    finished = np.flatnonzero(store.done())
    sweep = xr.open_zarr(store.group.store, consolidated=True, chunks={"point": _rows_per_task(store)})
    sweep = _in_order(sweep)
    wanted = finished if complete_only else np.flatnonzero(sweep["batch"].values >= 0)
    if len(wanted) < sweep.sizes["point"]:
        sweep = sweep.isel(point=wanted)
    if provenance:
        sweep = sweep.assign(_joined(store, sweep["run"].values))
    return sweep


def _exported(path: Path, *, provenance: bool) -> xr.Dataset:
    """The points of an export; results are read when they are used, as from a store."""
    import xarray as xr

    try:
        sweep = xr.open_dataset(path, engine="h5netcdf", chunks={})
    except Exception:  # whatever it is, it is not ours
        sweep = xr.Dataset()
    if "sweep_hash" not in sweep.attrs or "point" not in sweep.dims:
        refuse_if_damaged(path)
        raise StoreError(f"{path} is {_instead(path, sweep)}, not the export of a sweep")
    require_layout(path, sweep.attrs, oldest=EXPORTED_SINCE)
    sweep = vouched(sweep, path)
    for coordinate in sweep.coords.values():
        coordinate.load()
    return sweep if provenance else sweep.drop_vars(JOINED, errors="ignore")


def open_network(path: str | Path) -> xr.Dataset:
    """Open one trained network: what ``hpcspike train --out`` or ``hpcspike show --dataset`` wrote.

    Parameters
    ----------
    path
        The zarr store (``.zarr``) or netCDF file (``.nc``).

    Returns
    -------
    xarray.Dataset
        What `hpcspike.run` returns, with units on everything: targets, responses and drives (dimensions
        ``target_set``, ``trial``, ``neuron``, ``time`` in ms), spikes, weights, learning curve and measures. Arrays are
        read when they are used. The attributes ``experiment`` and ``provenance`` (JSON) say what was trained on what.

    Raises
    ------
    StoreError
        If there is nothing, or something else: a sweep, for which there is `open_sweep`, a study, or a foreign file.

    Examples
    --------
    >>> network = open_network("net.zarr")                               # doctest: +SKIP
    >>> network.response.sel(neuron=17).mean("trial").plot()             # doctest: +SKIP
    """
    import xarray as xr

    path = local(path)
    if not (path.exists() or path.is_symlink()):
        raise StoreError(f"{path}: no such file or store; make it with 'hpcspike train CONFIG --out {path}'")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to open Zarr store", category=RuntimeWarning)
            if path.is_dir():
                dataset = xr.open_zarr(path, chunks=None, zarr_format=3)
            else:
                dataset = xr.open_dataset(path, engine="h5netcdf")
    except Exception:  # whatever it is, it is not ours
        dataset = xr.Dataset()
    if "experiment_hash" not in dataset.attrs:
        refuse_if_damaged(path)
        raise StoreError(f"{path} is {_instead(path, dataset)}, not the trained network that 'hpcspike train' writes")
    texts = {name: item for name, item in dataset.coords.items() if item.dtype.kind in "OT"}
    dataset = dataset.assign_coords({name: item.copy(data=as_text(item.values)) for name, item in texts.items()})
    return vouched(dataset, path)


def _instead(path: Path, dataset: xr.Dataset) -> str:
    """What lies where something else was expected."""
    if "sweep_hash" in dataset.attrs:
        return "a sweep (see hpcspike.open_sweep)"
    if "experiment_hash" in dataset.attrs:
        return "a trained network (see hpcspike.open_network)"
    return "a study" if "study" in dataset.attrs else describe(path)


def _rows_per_task(store: SweepStore) -> int:
    """Rows that one dask task reads: whole chunks of the store, of which thousands are too small for a task each."""
    n_loops = int(store.group["loop"].shape[0])
    wanted = TASK_BYTES // (8 * n_loops)
    return max(wanted // store.chunk, 1) * store.chunk


def _in_order(sweep: xr.Dataset) -> xr.Dataset:
    """Variables in the order of the registry, coordinates in memory, and no attributes that only the workflow reads."""
    import xarray as xr

    coordinates = {}
    for name in dict.fromkeys([*POINT_PARAMETERS, *sweep.coords]):
        column = sweep[name].variable.load()
        if column.dtype.kind == "T":
            column = column.copy(data=as_text(column.values))
        coordinates[name] = column
    coordinates["point"] = xr.Variable(POINT.dims, np.arange(sweep.sizes["point"], dtype=POINT.dtype), POINT.attrs)
    results = {name: sweep[name].variable for name in written_to(sweep)}
    attributes = {key: text for key, text in sweep.attrs.items() if key not in ("batches", "earlier_sweeps")}
    return xr.Dataset(results, coordinates, attributes)


def _joined(store: SweepStore, runs: np.ndarray) -> dict[str, Any]:
    records = read_records(store.path)
    joined = {}
    for name, keys in JOINED.items():
        texts = {number: _text(record, keys) for number, record in records.items()}
        values = np.array([texts.get(int(run), "") for run in runs], dtype=object)
        variable = Variable(("point",), "str", "1", f"{' '.join(keys)} of the process that computed the point")
        joined[name] = (variable.dims, values, variable.attrs)
    return joined


def _text(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    value: Any = record
    for key in keys:
        value = value.get(key, "") if isinstance(value, dict) else ""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(" ".join(str(part) for part in item.values()) for item in value)
    return str(value)
