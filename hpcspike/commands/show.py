"""``hpcspike show``: one point of a sweep, trained again and drawn."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import compressed, key_and_value, refuse_unwritable, whole
from hpcspike.commands.ranks import refuse_ranks
from hpcspike.errors import StoreError

if TYPE_CHECKING:
    import xarray as xr


def run(arguments: argparse.Namespace) -> int:
    """Train the point, compare it with the sweep, draw it, and write its Dataset if that was asked for."""
    refuse_ranks("show")
    from hpcspike.sweep.retraining import retrain
    from hpcspike.sweep.selection import find_point
    from hpcspike.sweep.store import open_store

    store = open_store(arguments.store)
    where = dict(key_and_value(text, option="--where") for text in arguments.where)
    row = find_point(store, point=arguments.point, where=where)
    picture = Path(arguments.out or f"results/{store.name}_point_{row}.png")
    dataset = None if arguments.dataset is None else Path(arguments.dataset)
    _refuse(picture, dataset)
    network = retrain(store.path, point=row, states=arguments.states, threads=arguments.threads, progress=True)
    if dataset is not None:
        _write(network, dataset)
    _draw(network, picture, arguments.dpi)
    values = (f"{name} = {value}" for name, value in json.loads(network.attrs["parameters"]).items())
    print(f"{picture}: {network.attrs['sweep']}, point {row} ({', '.join(values)})")
    print(f"{network.attrs['network']}, {network.attrs['comparison']}")
    return 0


def _refuse(picture: Path, dataset: Path | None) -> None:
    """Refuse output paths before work starts."""
    if picture.suffix not in (".png", ".pdf", ".svg"):
        raise StoreError(f"--out {picture}: must end in .png, .pdf or .svg")
    if picture.is_dir():
        raise StoreError(f"--out {picture} is a folder; choose another path")
    refuse_unwritable(picture)
    if dataset is None:
        return
    if dataset.suffix not in (".zarr", ".nc"):
        raise StoreError(f"--dataset {dataset}: must end in .zarr (a zarr store) or .nc (a netCDF file)")
    if dataset.exists():
        raise StoreError(f"--dataset {dataset} exists; choose another path or move it away")
    refuse_unwritable(dataset)


def _draw(network: xr.Dataset, picture: Path, dpi: int) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from hpcspike.figures import point_overview

    figure = point_overview(network)
    with whole(picture) as unfinished:
        figure.savefig(unfinished, dpi=dpi)


def _write(network: xr.Dataset, path: Path) -> None:
    with whole(path) as unfinished:
        if path.suffix == ".nc":
            network.to_netcdf(unfinished, engine="h5netcdf", encoding=compressed(network))
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
                network.to_zarr(unfinished, zarr_format=3, consolidated=True)
