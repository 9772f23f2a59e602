"""``hpcspike analyse``: the tables of a sweep, computed here or on a cluster of dask."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import finished_points, output_folder, write_whole
from hpcspike.errors import ResourceError
from hpcspike.hdf5_files import write_netcdf

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def run(arguments: argparse.Namespace) -> int:
    """Write every analysis as netCDF and CSV."""
    folder = output_folder(arguments.out)
    sweep = finished_points(arguments.store)
    from hpcspike.analysis import analyses_for

    with _computing(arguments.scheduler) as progress:
        tables = {name: make().load() for name, make in progress(analyses_for(sweep).items())}
    for name, table in tables.items():
        write_netcdf(table, folder / f"{name}.nc")
        for part, frame in tables_of(table).items():
            write_whole(folder / f"{name}{part}.csv", partial(frame.to_csv, index=False))
    over = {table.attrs["judged"] for table in tables.values() if "judged" in table.attrs}
    print(f"{folder}: {', '.join(tables)}{''.join(f', over {neurons} only' for neurons in over)}")
    return 0


def tables_of(result: xr.Dataset) -> dict[str, pd.DataFrame]:
    """A result as flat tables in which no number stands twice, with units in their headings.

    Every status has a column of its own, as ``status_fraction_learned``. Variables over all other dimensions are one
    table; those over fewer, such as the optimum of every curve, make a table each: the ending of its file,
    ``_by_tau_corr_ms``, says over what.

    Returns
    -------
    dict
        Ending of the file's name -> table; empty for the first and largest.
    """
    if "status_name" in result.dims:
        share = result["status_fraction"]
        columns = {
            f"status_fraction_{name}": share.sel(status_name=name, drop=True) for name in share["status_name"].values
        }
        result = result.drop_dims("status_name").assign(columns)
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, array in result.data_vars.items():
        groups.setdefault(tuple(str(dim) for dim in result.dims if dim in array.dims), []).append(str(name))
    found = {}
    for number, dims in enumerate(sorted(groups, key=len, reverse=True)):
        part = result[groups[dims]]
        frame = part.to_dataframe().reset_index() if dims else part.expand_dims("row").to_dataframe()
        frame = frame[[*dims, *groups[dims]]].rename(columns={name: _heading(part[name]) for name in part.variables})
        found["" if number == 0 else f"_by_{'_and_'.join(dims)}" if dims else "_of_all"] = frame
    return found


def _heading(array: xr.DataArray) -> str:
    """Name of a column with its unit, unless it is a pure number or the name ends in its unit."""
    name, units = str(array.name), str(array.attrs.get("units", "1"))
    return name if units in ("", "1") or name.endswith(f"_{units.lower()}") else f"{name} ({units})"


Items = Iterable[tuple[str, Callable[[], Any]]]


@contextmanager
def _computing(scheduler: str | None) -> Iterator[Callable[[Items], Items]]:
    """Compute with threads of this process, or with the workers of a scheduler; with a progress bar on a terminal."""
    shown = sys.stderr.isatty()
    if scheduler is None:
        from dask.diagnostics.progress import ProgressBar

        # what is done at once needs no bar
        with ProgressBar(minimum=1.0, out=sys.stderr) if shown else nullcontext():
            yield lambda items: items
        return
    try:
        from distributed import Client
    except ImportError:
        raise ResourceError(
            "--scheduler needs the package distributed; install it with pip install 'hpcspike[cluster]'"
        ) from None
    try:
        client = Client(scheduler, timeout="10s", set_as_default=True)
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"--scheduler {scheduler}: no dask scheduler answers there ({error}); start one with 'dask scheduler' and "
            "workers with 'dask worker ADDRESS', or leave the option out to compute here"
        ) from None
    from rich.console import Console
    from rich.progress import track

    with client:
        # dask's own bar shows nothing of what is computed elsewhere
        yield lambda items: track(list(items), "tables", console=Console(stderr=True), disable=not shown)
