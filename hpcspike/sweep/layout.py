"""How a sweep lies on disk: the arrays of its store, and how the store comes to be in one step.

``results/fig6.zarr`` is one zarr v3 store with the dimensions ``point`` and ``loop``. The planner writes it whole, with
fill values for all results; afterwards each batch writes its own chunks of the results and nothing else. The metadata
of all arrays stand in the store's ``zarr.json``, which is replaced whole when a sweep grows: readers see the old sweep
or the new one. What vouches for all of it: `hpcspike.sweep.integrity`. Beside it lie ``fig6.zarr.runs`` (one provenance
record per batch process, and a copy of what the planner wrote), ``fig6.zarr.receipts`` (one file per finished step)
and, while long points are trained, ``fig6.zarr.states``.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import ResourceError, StoreError
from hpcspike.files import claimed, put_in_place, remove, unfinished_beside, write_bytes
from hpcspike.identity import sweep_hash
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.grid import PLANNED, Coordinate, Grid
from hpcspike.sweep.integrity import LOOPS, METADATA, sealed_metadata
from hpcspike.sweep.plan import Batches, Plan
from hpcspike.variables import LATER_RESULTS, POINT_PROVENANCE, POINT_RESULTS, TESTED_RESULTS, Variable
from hpcspike.zarr_files import create_array

SCHEMA = 4
"""Version of this layout, in which every chunk carries a checksum."""

EXPORTED_SINCE = 2
"""Oldest layout whose exports to netCDF are read: later ones have more results, and checksums."""

UNVOUCHED = 3
"""Version of the layout before, the same without checksums: it is read, and upgraded before it is written to."""

_ALL: dict[str, Variable] = {**POINT_RESULTS, **POINT_PROVENANCE}

WRITTEN_BY_BATCHES: dict[str, Variable] = {name: item for name, item in _ALL.items() if name not in LATER_RESULTS}
"""Arrays chunked by batch that every store has; ``done`` is the one written last."""

SOMETIMES_WRITTEN: dict[str, Variable] = {**{name: POINT_RESULTS[name] for name in LATER_RESULTS}, **TESTED_RESULTS}
"""Those that stores have if they are new enough, or if there are tests in training."""

LOOP = Variable(("loop",), "int32", "1", "training loop, counted from 0 over all target sets", fill=0)

COORDINATE_ROWS = 32_768
"""Rows of a chunk of a coordinate, the same in every store, so that coordinates can grow by whole files."""

_BYTES_PER_VALUE = 8
_BYTES_OF_HASH = 64
_SPARE_BYTES = 50_000_000


@dataclass(frozen=True)
class Table:
    """All that a store holds but results.

    Attributes
    ----------
    columns
        Coordinates along ``point`` by name; rows without a point hold fill values.
    batches, chunk
        Who computes which rows, and the rows of a chunk.
    n_loops, loop_chunk
        Length of the longest learning curve, and of a chunk of curves.
    loops_by_batch
        Pairs of a number of batches and the length of the longest curve when the last of them was planned.
    sweep, earlier
        The present sweep, and those it grew from (JSON), oldest first.
    identity
        Identity of the present sweep's points.
    later
        Those of `hpcspike.variables.LATER_RESULTS` that the store has.
    """

    columns: dict[str, Coordinate]
    batches: Batches
    chunk: int
    n_loops: int
    loop_chunk: int
    loops_by_batch: tuple[tuple[int, int], ...]
    sweep: Sweep
    earlier: tuple[str, ...]
    identity: str
    later: tuple[str, ...] = LATER_RESULTS

    @property
    def n_rows(self) -> int:
        """Rows of the store."""
        return self.batches.start[-1]

    @property
    def results(self) -> dict[str, Variable]:
        """The arrays chunked by batch."""
        left_out = set(LATER_RESULTS) - set(self.later)
        written = {name: item for name, item in _ALL.items() if name not in left_out}
        return written | (TESTED_RESULTS if tests_in_training(self.sweep) else {})

    @property
    def n_points(self) -> int:
        """Rows that hold a point."""
        return int((self.columns["batch"].values >= 0).sum())

    def predicted_bytes(self) -> int:
        """Size of the finished store before compression."""
        per_loop = sum("loop" in variable.dims for variable in self.results.values())
        scalars = len(self.results) - per_loop + len(self.columns)
        return self.n_points * (_BYTES_PER_VALUE * (scalars + per_loop * self.n_loops) + _BYTES_OF_HASH)

    def predicted_files(self) -> int:
        """Number of files of the finished store."""
        results = len(self.results) * (1 - (-self.n_rows // self.chunk))
        return results + (len(self.columns) + 1) * (1 - (-self.n_rows // COORDINATE_ROWS))


def tests_in_training(sweep: Sweep) -> bool:
    """Whether any network of a sweep is tested while it is trained."""
    columns = sweep.columns()
    sections = [sweep.experiment.get("measures"), *columns.get("measures", ())]
    asked = [section.get("test_every_loops") for section in sections if isinstance(section, dict)]
    return any(every is not None for every in (*asked, *columns.get("measures.test_every_loops", ())))


def written_to(group: Any) -> list[str]:
    """The arrays of a store that batches write."""
    return [name for name in (*_ALL, *TESTED_RESULTS) if name in WRITTEN_BY_BATCHES or name in group]


def first_table(grid: Grid, plan: Plan) -> Table:
    """What the store of a new sweep holds."""
    n_loops = max(grid.n_loops, 1)
    return Table(
        columns=columns_of(grid, plan, grid_index=np.arange(grid.n_points), generation=0),
        batches=plan.batches,
        chunk=plan.chunk,
        n_loops=n_loops,
        loop_chunk=n_loops,
        loops_by_batch=((len(plan.batches), n_loops),),
        sweep=grid.sweep,
        earlier=(),
        identity=grid.identity,
    )


def columns_of(grid: Grid, plan: Plan, *, grid_index: np.ndarray, generation: int) -> dict[str, Coordinate]:
    """Coordinates of the rows of a plan.

    Parameters
    ----------
    grid_index
        (points of the plan,) their positions in the grid.
    generation
        How often the sweep has grown before.
    """
    used = plan.order >= 0
    position = np.asarray(grid_index)[plan.order[used]]

    def column(values: np.ndarray, variable: Variable) -> Coordinate:
        rows = np.full(len(used), variable.fill, dtype=values.dtype)
        rows[used] = values
        return Coordinate(rows, variable)

    planned = {
        "grid_index": grid.positions[position].astype(np.int64),
        "generation": np.full(len(position), generation, dtype=np.int32),
        "batch": plan.batches.batch_of_row()[used],
        "predicted_seconds": grid.seconds[position],
        "experiment_hash": np.array(grid.hashes, dtype=object)[position],
    }
    parameters = {name: column(item.values[position], item.variable) for name, item in grid.coordinates.items()}
    return parameters | {name: column(values, PLANNED[name]) for name, values in planned.items()}


def create_store(path: Path, table: Table) -> None:
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
        check_room(path.parent, table.predicted_bytes())
        with claimed(path):
            unfinished = unfinished_beside(path)
            try:
                write_table(unfinished, table)
                put_in_place(unfinished, path)  # fails if another planner was faster: its store is not empty
            finally:
                remove(unfinished)
    except OSError as error:
        if path.exists():
            raise StoreError(f"{path} was made by another process meanwhile; run the same command again") from None
        raise StoreError(
            f"{path}: cannot be created ({error.strerror or error}); check folder and permissions"
        ) from None


def check_room(folder: Path, needed: int) -> None:
    """Refuse to plan what the disk cannot hold."""
    needed, free = needed + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: the sweep's results need up to {needed / 1e6:,.0f} MB, but the disk has {free / 1e6:,.0f} MB "
            "free; make room or choose another folder"
        )


def write_table(path: Path, table: Table) -> None:
    """Write coordinates and metadata of a store."""
    import zarr

    group = zarr.create_group(path, zarr_format=3, attributes=_attributes(table))
    loop = Coordinate(np.arange(table.n_loops, dtype=LOOP.dtype), LOOP)
    for name, column in {**table.columns, "loop": loop}.items():
        array = _declare(group, name, column.variable, shape=(len(column.values),), chunks=(COORDINATE_ROWS,))
        array[:] = column.values
    sizes, chunks = {"point": table.n_rows, "loop": table.n_loops}, {"point": table.chunk, "loop": table.loop_chunk}
    for name, variable in table.results.items():
        shape, chunk = (tuple(size[dim] for dim in variable.dims) for size in (sizes, chunks))
        _declare(group, name, variable, shape=shape, chunks=chunk)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(group.store, zarr_format=3)
    metadata = path / METADATA
    write_bytes(metadata, json.dumps(sealed_metadata(json.loads(metadata.read_bytes())), indent=1).encode())


def _declare(group: Any, name: str, variable: Variable, *, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
    array = create_array(
        group,
        name,
        shape=shape,
        chunks=chunks,
        dtype=variable.dtype,
        fill_value=variable.fill,
        dimension_names=variable.dims,
        attributes=variable.attrs,
    )
    return with_every_chunk(array)


def with_every_chunk(array: Any) -> Any:
    """An array of zarr that writes chunks of fill values too: otherwise one that was lost looks like one of these."""
    return array.with_config({"write_empty_chunks": True})


def _attributes(table: Table) -> dict[str, Any]:
    from hpcspike.model.stand_in import stand_in_attributes
    from hpcspike.provenance import package_version

    sweep = table.sweep
    return {
        "title": f"hpcspike sweep {table.sweep.name}: {table.n_points} trained networks",
        "name": table.sweep.name,
        "hpcspike_schema": SCHEMA,
        "hpcspike_version": package_version(),
        "sweep": table.sweep.model_dump_json(),
        "sweep_hash": sweep_hash(table.sweep),
        "earlier_sweeps": list(table.earlier),
        "points_hash": table.identity,
        "batches": table.batches.to_json(),
        LOOPS: [list(pair) for pair in table.loops_by_batch],
        "coordinates": " ".join([*table.columns, "loop"]),
        **stand_in_attributes(sweep.point(next(sweep.parameters()))),
    }
