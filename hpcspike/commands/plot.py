"""``hpcspike plot``: the figures of a sweep, of a study or of one trained network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import finished_points, is_sweep, output_folder
from hpcspike.files import whole
from hpcspike.verification import reading, vouched

if TYPE_CHECKING:
    import xarray as xr


def run(arguments: argparse.Namespace) -> int:
    """Draw every figure as PNG."""
    folder = output_folder(arguments.out)
    results = results_at(Path(arguments.store))
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from hpcspike.figures import figures_for

    with reading(Path(arguments.store)):
        figures = figures_for(results)
        for name, draw in figures.items():
            figure = draw()
            with whole(folder / f"{name}.png") as unfinished:
                figure.savefig(unfinished, dpi=arguments.dpi)
            pyplot.close(figure)
    print(f"{folder}: {', '.join(figures)}")
    return 0


def results_at(path: Path) -> xr.Dataset | xr.DataTree:
    """What a path holds: a sweep, the tree of a study, or one trained network."""
    if is_sweep(path):
        return finished_points(str(path))
    root = _root(path)
    if {"study", "document"} <= set(root.attrs) and "variant" not in root.dims:
        from hpcspike.studies.results import open_study

        return open_study(path)
    if {"study", "document"} <= set(root.attrs) and {"variant", "replicate"} <= set(root.dims):
        from hpcspike.studies.results import tree_of_table

        return tree_of_table(root.load())
    if {"name", "sweep_hash"} <= set(root.attrs):
        return vouched(root, path)  # a sweep that was exported
    from hpcspike.sweep.reading import open_network

    return open_network(path)


def _root(path: Path) -> xr.Dataset:
    """What a file holds at its top; nothing if it is no netCDF file."""
    import xarray as xr

    try:
        return xr.open_dataset(path, engine="h5netcdf") if path.is_file() else xr.Dataset()
    except Exception:  # whatever it is, it is not ours
        return xr.Dataset()
