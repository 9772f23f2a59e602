"""How a sweep lies on disk: the arrays of its store, and how the store comes to be in one step.

``results/fig6.zarr`` is one zarr v3 store with the dimensions ``point`` and ``loop``. The planner writes it whole, with
fill values for all results; afterwards each batch writes its own chunk of the results and nothing else. Beside it lie
``fig6.zarr.runs`` (one provenance record per batch process) and ``fig6.zarr.receipts`` (one file per finished step).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import ResourceError, StoreError
from hpcspike.sweep.grid import PLANNED, Grid
from hpcspike.sweep.plan import Plan
from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS, Variable

SCHEMA = 1
"""Version of this layout; a reader refuses any other."""

WRITTEN_BY_BATCHES: dict[str, Variable] = {**POINT_RESULTS, **POINT_PROVENANCE}
"""Arrays chunked by batch; ``done`` is the one written last."""

LOOP = Variable(("loop",), "int32", "1", "training loop, counted from 0 over all target sets", fill=0)

_BYTES_PER_VALUE = 8
_SPARE_BYTES = 50_000_000


def create_store(path: Path, grid: Grid, plan: Plan) -> None:
    """Write the store of a sweep with all its coordinates and no results: whole, or not at all.

    Raises
    ------
    StoreError
        If something lies at ``path`` already, or the folder cannot be written.
    ResourceError
        If the disk has no room for the finished store.
    """
    if path.exists() or path.is_symlink():
        raise StoreError(f"{path} exists; choose another path or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        _check_room(path.parent, grid)
        unfinished = path.parent / f".{path.name}.creating-{socket.gethostname()}-{os.getpid()}"
        try:
            _write(unfinished, grid, plan)
            os.rename(unfinished, path)  # fails if another planner was faster: its store is not empty
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        if path.exists():
            raise StoreError(f"{path} was made by another process meanwhile; run the same command again") from None
        raise StoreError(
            f"{path}: cannot be created ({error.strerror or error}); check folder and permissions"
        ) from None


def batches_text(seconds: np.ndarray, memory_mib: np.ndarray) -> str:
    """Predicted time and memory of every batch as JSON, which the workflow reads to size its jobs."""
    return json.dumps({"seconds": np.round(seconds, 1).tolist(), "memory_mib": np.round(memory_mib).tolist()})


def predicted_bytes(grid: Grid) -> int:
    """Size of the finished store before compression."""
    per_loop = sum("loop" in variable.dims for variable in POINT_RESULTS.values())
    scalars = len(WRITTEN_BY_BATCHES) - per_loop + len(grid.coordinates) + len(PLANNED)
    text = 64  # an experiment hash
    return grid.n_points * (_BYTES_PER_VALUE * (scalars + per_loop * max(grid.n_loops, 1)) + text)


def predicted_files(plan: Plan) -> int:
    """Number of files of the finished store."""
    return len(WRITTEN_BY_BATCHES) * plan.n_batches + 2 * (len(WRITTEN_BY_BATCHES) + len(POINT_PARAMETERS) + 6)


def _check_room(folder: Path, grid: Grid) -> None:
    needed, free = predicted_bytes(grid) + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: the sweep's results need up to {needed / 1e6:,.0f} MB, but the disk has {free / 1e6:,.0f} MB "
            "free; make room or choose another folder"
        )


def _remove_stale(path: Path) -> None:
    """Remove what killed planners on this host left behind."""
    import psutil

    for leftover in path.parent.glob(f".{path.name}.creating-{socket.gethostname()}-*"):
        pid = leftover.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


def _write(path: Path, grid: Grid, plan: Plan) -> None:
    import zarr

    coordinates = {name: (item.values[plan.order], item.variable) for name, item in grid.coordinates.items()}
    planned = {
        "grid_index": plan.order,
        "batch": plan.batch_of_row(),
        "predicted_seconds": grid.seconds[plan.order],
        "experiment_hash": np.array(grid.hashes, dtype=object)[plan.order],
    }
    coordinates |= {name: (values, PLANNED[name]) for name, values in planned.items()}
    coordinates["loop"] = (np.arange(max(grid.n_loops, 1), dtype=LOOP.dtype), LOOP)
    group = zarr.create_group(path, zarr_format=3, attributes=_attributes(grid, plan, list(coordinates)))
    for name, (values, variable) in coordinates.items():
        array = _declare(group, name, variable, shape=(len(values),), chunks=(len(values),))
        array[:] = values
    sizes = {"point": grid.n_points, "loop": max(grid.n_loops, 1)}
    chunk = {**sizes, "point": plan.points_per_batch}
    for name, variable in WRITTEN_BY_BATCHES.items():
        shape, chunks = (tuple(size[dim] for dim in variable.dims) for size in (sizes, chunk))
        _declare(group, name, variable, shape=shape, chunks=chunks)
    with warnings.catch_warnings():
        # one file to read instead of forty; readers that do not know it fall back to the arrays' own files
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(group.store, zarr_format=3)


def _declare(group: Any, name: str, variable: Variable, *, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=variable.dtype,
        fill_value=variable.fill,
        dimension_names=variable.dims,
        attributes=variable.attrs,
    )


def _attributes(grid: Grid, plan: Plan, coordinates: list[str]) -> dict[str, Any]:
    from hpcspike.provenance import package_version

    sweep = grid.sweep
    return {
        "title": f"hpcspike sweep {sweep.name}: {grid.n_points} trained networks",
        "name": sweep.name,
        "hpcspike_schema": SCHEMA,
        "hpcspike_version": package_version(),
        "sweep": sweep.model_dump_json(),
        "points_hash": grid.identity,
        "points_per_batch": plan.points_per_batch,
        "batches": batches_text(plan.seconds, plan.memory_mib),
        "coordinates": " ".join(coordinates),
    }
