"""``hpcspike analyse``: the tables of a sweep, computed here or on a cluster of dask."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from hpcspike.commands.common import finished_points, output_folder, write_whole
from hpcspike.errors import ResourceError
from hpcspike.hdf5_files import write_netcdf


def run(arguments: argparse.Namespace) -> int:
    """Write every analysis as netCDF and CSV."""
    folder = output_folder(arguments.out)
    sweep = finished_points(arguments.store)
    from hpcspike.analysis import analyses_for

    with _computing(arguments.scheduler) as progress:
        tables = {name: make().load() for name, make in progress(analyses_for(sweep).items())}
    for name, table in tables.items():
        write_netcdf(table, folder / f"{name}.nc")
        write_whole(folder / f"{name}.csv", table.to_dataframe().to_csv)
    over = {table.attrs["judged"] for table in tables.values() if "judged" in table.attrs}
    print(f"{folder}: {', '.join(tables)}{''.join(f', over {neurons} only' for neurons in over)}")
    return 0


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
