"""``hpcspike export``: the finished points of a sweep, or one network: to share, or for another program."""

from __future__ import annotations

import argparse
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import counted, finished_points, is_sweep, refuse_unwritable
from hpcspike.errors import StoreError
from hpcspike.files import claimed, whole
from hpcspike.hdf5_files import write_unfinished
from hpcspike.verification import reading

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

CRATE = "crate.zip"
"""End of the name of a zip file that is to be an RO-Crate."""

README = """\
Results of a sweep of hpcspike: {points} trained spiking networks.

{name}.nc             everything, as netCDF-4: dimensions point and loop, units and meaning on every variable
points.csv            one row per trained network: parameters, results, provenance
curves.csv            one row per network and training loop: the learning curves
data_dictionary.csv   what every variable is: dimensions, type, unit, meaning, meaning of its flags
sweep.json            the sweep that was run: experiment, axes, replicates
provenance.json       what each process ran on: versions, code revision, host, BLAS, processor

Rows of points.csv and curves.csv belong together by the column point, the number by which 'hpcspike show STORE --point
K' trains and draws that network again where the store of the sweep is.
"""


def run(arguments: argparse.Namespace) -> int:
    """Write one file."""
    path, of_sweep = Path(arguments.out), is_sweep(Path(arguments.store))
    if of_sweep and path.suffix not in (".nc", ".zip"):
        of_network = path.suffix in ("", ".nwb", ".py", ".nir")
        instead = "; spikes are those of one network: see 'hpcspike show'" if of_network else ""
        raise StoreError(f"{path}: must end in .nc (netCDF) or .zip (netCDF, CSV and a data dictionary){instead}")
    if path.is_dir():
        raise StoreError(f"{path} is a folder; choose another path")
    refuse_unwritable(path)
    with claimed(path):
        return _export_sweep(arguments, path) if of_sweep else _export_network(arguments.store, path)


def _export_network(store: str, path: Path) -> int:
    from hpcspike.exchange import write_nwb
    from hpcspike.sweep.reading import open_network

    network = open_network(store)
    if path.suffix == ".csv":
        return _export_units(network, store, path)
    if path.suffix == ".py":
        return _export_brian2(network, store, path)
    if path.suffix == ".nir":
        return _export_nir(network, store, path)
    if not path.suffix:
        return _export_sonata(network, store, path)
    if path.suffix != ".nwb":
        raise StoreError(
            f"{path}: must end in .nwb (spikes and trials), .py (program for Brian2), .nir (graph for neuromorphic "
            "simulators) or .csv (recorded units), or be a new folder, whose name has no suffix (SONATA, for NEST); "
            f"{store} itself is what xarray opens"
        )
    with reading(Path(store)):
        write_nwb(network, path)
    sizes = network.sizes
    n_trials = sizes["target_set"] * sizes["trial"]
    print(f"{path}: {counted(sizes['spike'], 'spike')} of {sizes['neuron']:,} neurons in {counted(n_trials, 'trial')}")
    return 0


def _export_brian2(network: xr.Dataset, store: str, path: Path) -> int:
    """The test trials as a program for Brian2."""
    from hpcspike.exchange import write_brian2

    with reading(Path(store)):
        write_brian2(network, path)
    n_trials = network.sizes["target_set"] * network.sizes["trial"]
    print(f"{path} and {path.with_suffix('.npz').name}: {counted(n_trials, 'trial')} to run with Brian2")
    return 0


def _export_nir(network: xr.Dataset, store: str, path: Path) -> int:
    """The network as a graph of NIR."""
    from hpcspike.exchange import write_nir

    with reading(Path(store)):
        write_nir(network, path)
    begins = counted(network.sizes["trial"], "test trial")
    print(f"{path}: {network.sizes['neuron']:,} CubaLIF neurons, their weights, and how {begins} begin")
    return 0


def _export_sonata(network: xr.Dataset, store: str, path: Path) -> int:
    """The network as a folder of SONATA, with a program for NEST."""
    from hpcspike.exchange import write_sonata

    with reading(Path(store)):
        write_sonata(network, path)
    n_trials = network.sizes["target_set"] * network.sizes["trial"]
    print(f"{path}: SONATA of {network.sizes['neuron']:,} neurons, and {counted(n_trials, 'trial')} to run with NEST")
    return 0


def _export_units(network: xr.Dataset, store: str, path: Path) -> int:
    """One row per recorded unit and condition."""
    from hpcspike.analysis import recorded_units

    with reading(Path(store)):
        table = recorded_units(network).load()
        units = {name: f"{name}_hz" for name, column in table.data_vars.items() if column.attrs.get("units") == "Hz"}
        frame = table.rename(units).to_dataframe().reset_index()
    text = frame.to_csv(index=False)
    if path.exists() and path.read_bytes() != text.encode():
        raise StoreError(f"{path} exists and holds something else; choose another path or move it away")
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    print(f"{path}: {counted(len(frame), 'row')}, one per recorded unit and condition")
    return 0


def _export_sweep(arguments: argparse.Namespace, path: Path) -> int:
    sweep = finished_points(arguments.store, provenance=True).load()
    dictionary = data_dictionary(sweep)
    sweep.attrs["data_dictionary"] = dictionary.to_csv(index=False)
    with whole(path) as unfinished:
        if path.suffix == ".nc":
            write_unfinished(sweep, unfinished, compress=True)
        elif path.name.endswith(CRATE):
            _write_crate(sweep, dictionary, Path(arguments.store), unfinished)
        else:
            _write_zip(sweep, dictionary, Path(arguments.store), unfinished)
    n_points, total = sweep.sizes["point"], _planned(arguments.store)
    part = "" if n_points == total else f" of {total}; the others are not done"
    print(f"{path}: {counted(n_points, 'point')}{part}, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def data_dictionary(dataset: xr.Dataset) -> pd.DataFrame:
    """One row per variable: name, role, dimensions, type, unit, meaning, and what its flags mean."""
    import pandas as pd

    rows = []
    for name, variable in dataset.variables.items():
        flags = zip(variable.attrs.get("flag_values", []), variable.attrs.get("flag_meanings", "").split(), strict=True)
        rows.append(
            {
                "name": name,
                "role": "coordinate" if name in dataset.coords else "result",
                "dimensions": " ".join(map(str, variable.dims)),
                "type": "text" if variable.dtype.kind in "OUT" else str(variable.dtype),
                "unit": variable.attrs.get("units", ""),
                "meaning": variable.attrs.get("long_name", ""),
                "flags": "; ".join(f"{value} {meaning}" for value, meaning in flags),
            }
        )
    return pd.DataFrame(rows)


def _write_crate(sweep: xr.Dataset, dictionary: pd.DataFrame, store: Path, path: Path) -> None:
    """The same files as a Workflow Run RO-Crate, which says of each what it is and where it comes from."""
    from hpcspike.exchange.crate import Origin, read_citation, write_crate
    from hpcspike.sweep.records import read_records

    citation, cited = read_citation(Path.cwd())
    name, records = str(sweep.attrs["name"]), read_records(store)
    files = {
        f"{name}.nc": "parameters, results and provenance of every finished point, as netCDF-4",
        "points.csv": "one row for every trained network: parameters, results, provenance",
        "curves.csv": "one row for every network and training loop: the learning curves",
        "data_dictionary.csv": "what every variable is: dimensions, type, unit, meaning, meaning of its flags",
        "sweep.json": "the sweep that was run: experiment, axes, replicates",
        "provenance.json": "what each process ran on: versions, code revision, host, BLAS, processor",
    }
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    try:
        write_unfinished(sweep, folder / f"{name}.nc", compress=True)
        for part, text in _tables(sweep, dictionary, records).items():
            (folder / part).write_text(text, encoding="utf-8")
        origin = Origin(name, sweep.sizes["point"], _planned(str(store)), [*records.values()], citation)
        write_crate(files, folder, path, origin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"people and licence from {cited}")


def _tables(sweep: xr.Dataset, dictionary: pd.DataFrame, records: Mapping[int, Any]) -> dict[str, str]:
    """The files of text: name -> content."""
    curves = [key for key, item in sweep.data_vars.items() if "loop" in item.dims]
    # loops that a shorter training does not have; of other learners one of the curves is NaN all along
    loops = sweep[curves].reset_coords(drop=True).to_dataframe().dropna(how="all")
    return {
        "data_dictionary.csv": dictionary.to_csv(index=False),
        "points.csv": sweep.drop_vars([*curves, "loop"]).to_dataframe().to_csv(),
        "curves.csv": loops.to_csv(),
        "sweep.json": _indented(json.loads(sweep.attrs["sweep"])),
        "provenance.json": _indented(records),
    }


def _write_zip(sweep: xr.Dataset, dictionary: pd.DataFrame, store: Path, path: Path) -> None:
    from hpcspike.sweep.records import read_records

    name = str(sweep.attrs["name"])
    netcdf = path.with_name(f"{path.name}.nc")
    try:
        write_unfinished(sweep, netcdf, compress=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", README.format(points=sweep.sizes["point"], name=name))
            for part, text in _tables(sweep, dictionary, read_records(store)).items():
                archive.writestr(part, text)
            archive.write(netcdf, f"{name}.nc", zipfile.ZIP_STORED)
    finally:
        netcdf.unlink(missing_ok=True)


def _indented(document: Any) -> str:
    return json.dumps(document, indent=1) + "\n"


def _planned(store: str) -> int:
    from hpcspike.sweep.store import open_store

    return open_store(store).n_points
