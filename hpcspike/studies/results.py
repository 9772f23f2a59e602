"""The files of a study: one per network, all together as a tree, and its numbers as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.paths import local
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.identity import run_hash
from hpcspike.variables import BINNED_RESULTS, POINT_RESULTS, SHOWN_DIMENSIONS, STUDY, TESTED_RESULTS
from hpcspike.verification import refuse_if_damaged, vouched

if TYPE_CHECKING:
    import xarray as xr


def run_path(folder: str | Path, run: StudyRun) -> Path:
    """File of one network below the study's folder."""
    return Path(folder) / "runs" / f"{run.label}.nc"


def is_done(folder: str | Path, study: Study, run: StudyRun) -> bool:
    """Whether the file of a network is there and holds what the study now asks for."""
    path = run_path(folder, run)
    if not path.exists():
        return False
    return open_run(path).attrs["run_hash"] == run_hash(study, run)


def open_run(path: str | Path) -> xr.Dataset:
    """The Dataset of one network, lazily."""
    import xarray as xr

    try:
        dataset = xr.open_dataset(path, engine="h5netcdf")
    except Exception:  # whatever it is, it is not ours
        dataset = xr.Dataset()
    if "run_hash" not in dataset.attrs:
        raise StoreError(f"{path} is not a network of a study; move it away")
    dataset = vouched(dataset, path)
    dataset.encoding.pop("unlimited_dims", None)  # what has no entries, such as the spikes of rate units
    return dataset


def collect(folder: str | Path, study: Study) -> xr.DataTree:
    """All networks of a study as a tree: /variant/replicate.

    Raises
    ------
    StoreError
        If a network is missing, or was trained for another version of the study.
    """
    import xarray as xr

    nodes = {}
    for run in study.runs:
        path = run_path(folder, run)
        if not is_done(folder, study, run):
            state = "was trained for another version of the study" if path.exists() else "is missing"
            raise StoreError(f"{path} {state}; run 'hpcspike study' again")
        nodes[f"/{run.variant}/{run.replicate}"] = open_run(path)
    tree = xr.DataTree.from_dict(nodes, name=study.name)
    made_up = {key: node.attrs[key] for node in nodes.values() for key in ("stand_in",) if key in node.attrs}
    tree.attrs |= made_up | {"study": study.name, "document": json.dumps(study.model_dump(mode="json", by_alias=True))}
    return tree


def tree_of_table(table: xr.Dataset) -> xr.DataTree:
    """The tree of a study's numbers over (variant, replicate), as ``OUT/table.nc`` holds them: no time courses.

    What no replicate of a variant has (every value is missing) is left out there, as it is in the tree.
    """
    import xarray as xr

    study, nodes = Study.model_validate(json.loads(table.attrs["document"])), {}
    for run in study.runs:
        one = table.sel(variant=run.variant, replicate=run.replicate).drop_vars(["variant", "replicate"])
        empty = [name for name, array in one.data_vars.items() if name in STUDY and _all_missing(array)]
        experiment = study.experiment_of(run)
        described = {"experiment": experiment.model_dump_json(), "trained_variable": experiment.training.variable}
        nodes[f"/{run.variant}/{run.replicate}"] = one.drop_vars(empty).assign_attrs(described)
    tree = xr.DataTree.from_dict(nodes, name=study.name)
    tree.attrs |= table.attrs
    return tree


def _all_missing(array: xr.DataArray) -> bool:
    return array.dtype.kind == "f" and not bool(array.notnull().any())


def open_study(path: str | Path) -> xr.DataTree:
    """The tree that ``hpcspike study`` wrote, lazily."""
    import xarray as xr

    path = local(path)
    try:
        tree = xr.open_datatree(path, engine="h5netcdf")
    except Exception:  # whatever it is, it is not ours
        refuse_if_damaged(Path(path))
        raise StoreError(f"{path} is not the result of a study ('hpcspike study')") from None
    if "study" not in tree.attrs:
        raise StoreError(f"{path} is not the result of a study ('hpcspike study')")
    return vouched(tree, path)


def variants_of(tree: xr.DataTree) -> list[str]:
    """Names of the variants, in the order of the study."""
    return list(json.loads(tree.attrs["document"])["variants"])


def network(tree: xr.DataTree, variant: str, replicate: int = 0) -> xr.Dataset:
    """The Dataset of one network."""
    return tree[f"/{variant}/{replicate}"].to_dataset()


def table_of(tree: xr.DataTree) -> xr.Dataset:
    """The numbers of all networks without their time courses, over (variant, replicate).

    Variables that a variant does not have, or in another shape, are NaN there (texts ``''``), and so is all of a
    replicate that only other variants have.
    """
    variants = variants_of(tree)
    columns = []
    for variant in variants:
        replicates = sorted(tree[f"/{variant}"].children, key=int)
        parts = [_numbers(network(tree, variant, int(replicate))) for replicate in replicates]
        joined = _joined(parts, "replicate")
        columns.append(joined.assign_coords(replicate=[int(replicate) for replicate in replicates]))
    table = _joined(columns, "variant")
    table = table.assign_coords(variant=variants)
    for name, array in table.variables.items():
        known = {**TESTED_RESULTS, **BINNED_RESULTS, **POINT_RESULTS, **STUDY}.get(str(name))
        if known is not None:
            array.attrs = dict(known.attrs)
    table["variant"].attrs |= {"units": "1", "long_name": "variant of the study"}
    table["replicate"].attrs |= {"units": "1", "long_name": "independent repetition"}
    table.attrs = {key: tree.attrs[key] for key in ("study", "document", "stand_in") if key in tree.attrs}
    return table


def _joined(parts: list[xr.Dataset], along: str) -> xr.Dataset:
    import xarray as xr

    no_text = {str(name): "" for part in parts for name, item in part.data_vars.items() if item.dtype.kind in "OU"}
    return xr.concat(
        parts, along, join="outer", coords="minimal", compat="override", combine_attrs="override", fill_value=no_text
    )


def _numbers(dataset: xr.Dataset) -> xr.Dataset:
    names = [name for name, item in dataset.data_vars.items() if not SHOWN_DIMENSIONS & set(map(str, item.dims))]
    kept = dataset[names].load()
    provenance = json.loads(dataset.attrs["provenance"])
    kept["wall_seconds"] = ((), np.float64(provenance["wall_seconds"]))
    kept["code_revision"] = ((), str(provenance["revision"]))
    return kept
