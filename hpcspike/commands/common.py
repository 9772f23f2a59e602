"""What several commands share: reading CONFIG, refusing bad output paths, writing files whole."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.errors import SpecError, StoreError
from hpcspike.files import whole
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.yaml_text import parse_value, shown_text
from hpcspike.wording import counted as counted

if TYPE_CHECKING:
    import xarray as xr


def load_config(arguments: argparse.Namespace) -> Experiment | Sweep | Study:
    """CONFIG with ``--size`` and ``--set`` applied."""
    return load(arguments.config, size=arguments.size, changes=keys_and_values(arguments.changes, option="--set"))


def keys_and_values(texts: Iterable[str], *, option: str, as_text: Container[str] = ()) -> dict[str, Any]:
    """What several KEY=VALUE say, each value read as in a config, but for those of the keys ``as_text``.

    Raises
    ------
    SpecError
        Naming ``option``, if one is no KEY=VALUE, its value can be read in several ways, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SpecError(f"{option} {shown_text(text)}: must be KEY=VALUE, for example synapse.tau_syn_ms=30")
        if key in found:
            raise SpecError(f"{option} {shown_text(key)}=... is given twice; leave one of them out")
        try:
            found[key] = value if key in as_text else parse_value(value)
        except SpecError as error:
            raise SpecError(f"{option} {shown_text(text)}: {error}") from None
    return found


def states_in_words(counts: Mapping[str, int]) -> str:
    """How many networks became what, in the words of their verdicts; those of which there is none are left out."""
    from hpcspike.measures.verdict import LIMITED

    return ", ".join(f"{count} {LIMITED.get(name, name)}" for name, count in counts.items() if count)


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


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path, then put the result in place."""
    with whole(path) as unfinished:
        write(unfinished)


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


def free_network_path(text: str) -> Path:
    """Where ``--out`` says that a network goes, if it can.

    Raises
    ------
    StoreError
        If the suffix is none of a network, something is there, or it cannot be written.
    """
    path = Path(text)
    if path.suffix not in (".zarr", ".nc"):
        raise StoreError(f"--out {path}: must end in .zarr (a zarr store) or .nc (a netCDF file)")
    if path.exists() or path.is_symlink():
        raise StoreError(f"--out {path} exists; choose another path or move it away")
    refuse_unwritable(path)
    return path
