"""``hpcspike show``: one point of a sweep, trained again and drawn."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import keys_and_values, refuse_unwritable
from hpcspike.errors import StoreError
from hpcspike.files import claimed, whole
from hpcspike.hdf5_files import write_unfinished
from hpcspike.zarr_files import write_zarr

if TYPE_CHECKING:
    import xarray as xr


DIFFERENT = 3
"""Exit code where a point that was trained again has other numbers than the sweep."""


def run(arguments: argparse.Namespace) -> int:
    """Train the point, compare it with the sweep, draw it, and write its Dataset if that was asked for.

    Returns
    -------
    int
        `DIFFERENT` if its numbers are not those of the sweep.
    """
    from hpcspike.measures.verdict import remarks_of, verdict_of
    from hpcspike.sweep.retraining import retrain_row
    from hpcspike.sweep.selection import find_point
    from hpcspike.sweep.store import open_store

    store = open_store(arguments.store)
    where = keys_and_values(arguments.where, option="--where", as_text={"experiment_hash"})
    row = find_point(store, point=arguments.point, where=where)
    picture = Path(arguments.out or f"results/{store.sweep.name}_point_{row}.png")  # its checked name
    dataset = None if arguments.dataset is None else Path(arguments.dataset)
    _refuse(picture, dataset)
    with claimed(picture), nullcontext() if dataset is None else claimed(dataset):
        network, comparison = retrain_row(
            store, row, states=arguments.states, threads=arguments.threads, progress=True,
            run_user_code=arguments.run_user_code,
        )  # fmt: skip
        if dataset is not None:
            _write(network, dataset)
        _draw(network, picture, arguments.dpi)
    values = (f"{name} = {value}" for name, value in json.loads(network.attrs["parameters"]).items())
    print(f"{picture}: {network.attrs['sweep']}, point {row} ({', '.join(values)})")
    print(f"{network.attrs['network']}, {comparison}")
    for words in (verdict_of(network), *remarks_of(network)):
        print(words)
    return DIFFERENT if comparison.differences else 0


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
            write_unfinished(network, unfinished, compress=True)
        else:
            write_zarr(network, unfinished)
