"""``hpcspike analyse``: the tables of a sweep."""

from __future__ import annotations

import argparse
from functools import partial

from hpcspike.commands.common import finished_points, output_folder, write_whole


def run(arguments: argparse.Namespace) -> int:
    """Write every analysis as netCDF and CSV."""
    folder = output_folder(arguments.out)
    sweep = finished_points(arguments.store)
    from hpcspike.analysis import analyses_for

    tables = {name: make().load() for name, make in analyses_for(sweep).items()}
    for name, table in tables.items():
        write_whole(folder / f"{name}.nc", partial(table.to_netcdf, engine="h5netcdf"))
        write_whole(folder / f"{name}.csv", table.to_dataframe().to_csv)
    print(f"{folder}: {', '.join(tables)}")
    return 0
