"""What several commands share: reading CONFIG, refusing bad output paths, writing files whole."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.errors import SpecError, StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep

if TYPE_CHECKING:
    import xarray as xr


def load_config(arguments: argparse.Namespace) -> Experiment | Sweep | Study:
    """CONFIG with ``--size`` and ``--set`` applied."""
    return load(arguments.config, size=arguments.size, changes=dict(key_and_value(text) for text in arguments.changes))


def key_and_value(text: str, *, option: str = "--set") -> tuple[str, Any]:
    """What KEY=VALUE says, the value in YAML; ``option`` is named in errors."""
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SpecError(f"{option} {text}: must be KEY=VALUE, for example synapse.tau_syn_ms=30")
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # ValueError: what looks like a date or a number, but is none
        raise SpecError(f"{option} {text}: {value!r} is not a YAML value; quote it") from None


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things in words: ``1 batch``, ``2 batches``; many: where ``one`` with an s is not their plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def use_one_thread_per_library() -> None:
    """Keep BLAS and OpenMP to one thread, before they are loaded: threads go over neurons here. What is set stays."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # threads that wait in a spin take the core from those that work: seconds per loop where cores are shared
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def refuse_unwritable(path: Path) -> None:
    """Refuse an output path that cannot be made, before work starts."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise StoreError(f"{path}: {folder} is a file, not a folder; choose another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"{path}: the folder {folder} cannot be written; choose another path or change its permissions"
        )


def output_folder(text: str) -> Path:
    """The folder given with ``--out``, refused if something else is there."""
    path = Path(text)
    if (path.exists() or path.is_symlink()) and not path.is_dir():
        raise StoreError(f"--out {path} exists and is not a folder; choose another path")
    if (path / "zarr.json").exists():
        raise StoreError(f"--out {path} is a zarr store; choose a folder beside it")
    refuse_unwritable(path / "file")
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and is removed otherwise."""
    from hpcspike.engine.communication import World
    from hpcspike.engine.output import whole_over_ranks

    with whole_over_ranks(path, World()) as unfinished:
        yield unfinished


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path, then put the result in place."""
    with whole(path) as unfinished:
        write(unfinished)


def compressed(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Encoding that packs the numbers of a netCDF file."""
    numbers = [str(name) for name, item in dataset.data_vars.items() if item.dtype.kind in "iuf" and item.ndim]
    return {name: {"zlib": True} for name in numbers}


def finished_points(store: str, *, provenance: bool = False) -> xr.Dataset:
    """The finished points of a sweep, with the records of where they come from if asked; an error if there are none."""
    from hpcspike.sweep.reading import open_sweep
    from hpcspike.sweep.verify import refuse_unreadable

    refuse_unreadable(Path(store))
    sweep = open_sweep(store, provenance=provenance)
    if sweep.sizes["point"] == 0:
        raise StoreError(f"{store} has no finished points yet; run its batches first ('hpcspike status {store}')")
    return sweep


def is_sweep(path: Path) -> bool:
    """Whether a sweep's store seems to be at a path; true if nothing is, so that its absence is what gets reported."""
    if not path.exists():
        return True
    from hpcspike.sweep.records import plan_copy_path

    if path.is_dir() and plan_copy_path(path).exists():
        return True  # also if its metadata are damaged, which is reported then
    try:
        return "hpcspike_schema" in json.loads((path / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):  # whatever it is, it is not ours
        return False
