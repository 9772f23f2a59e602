"""``hpcspike train``: one network, one Dataset."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import load_config, refuse_unwritable, trained_network, use_one_thread_per_library, whole
from hpcspike.errors import SpecError, StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.identity import experiment_hash
from hpcspike.sweep.cost import check_memory
from hpcspike.sweep.store import describe

if TYPE_CHECKING:
    import xarray as xr


def run(arguments: argparse.Namespace) -> int:
    """Train, write, and say how it went."""
    experiment = load_config(arguments)
    if not isinstance(experiment, Experiment):
        raise SpecError(f"{arguments.config} is a sweep; see 'hpcspike plan', or give the config of one experiment")
    path = Path(arguments.out)
    identity = experiment_hash(experiment)
    if _is_there(path, identity):
        print(f"{path} holds this experiment already; nothing to do")
        return 0
    check_memory(experiment)
    use_one_thread_per_library()
    from hpcspike import provenance
    from hpcspike.engine.experiment import run as train

    dataset = train(experiment, threads=arguments.threads, progress=True)
    dataset.attrs["provenance"] = json.dumps(provenance.collect(n_threads=arguments.threads))
    _write(dataset, path)
    print(f"{path}: {_summary(dataset)}")
    return 0


def _is_there(path: Path, identity: str) -> bool:
    """Whether the result is there already; anything else at the path is refused."""
    if path.suffix not in (".zarr", ".nc"):
        raise StoreError(f"--out {path}: must end in .zarr (a zarr store) or .nc (a netCDF file)")
    if not (path.exists() or path.is_symlink()):
        refuse_unwritable(path)
        return False

    try:
        found = trained_network(str(path)).attrs["experiment_hash"]
    except StoreError:
        found = None
    if found == identity:
        return True
    what = describe(path) if found is None else "the result of another experiment"
    raise StoreError(f"--out {path} exists and holds {what}; choose another path or move it away")


def _write(dataset: xr.Dataset, path: Path) -> None:
    with whole(path) as unfinished:
        if path.suffix == ".nc":
            dataset.to_netcdf(unfinished, engine="h5netcdf")
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
            dataset.to_zarr(unfinished, zarr_format=3, consolidated=True)


def _summary(dataset: xr.Dataset) -> str:
    from hpcspike.variables import STATUS

    parts = []
    if "status" in dataset and dataset["status"].ndim == 0:
        parts.append(STATUS[int(dataset["status"])])
    for name in ("correlation", "population_rate"):
        if name in dataset and dataset[name].ndim == 0:
            units = dataset[name].attrs.get("units", "1")
            parts.append(f"{name.replace('_', ' ')} {float(dataset[name]):.3g}{'' if units == '1' else ' ' + units}")
    return ", ".join(parts) or "written"
