"""``hpcspike init``: a folder with the workflow, the named experiments and the guide, for those who have no clone."""

from __future__ import annotations

import argparse
import shutil
import stat
from pathlib import Path

from hpcspike.commands.common import refuse_unwritable
from hpcspike.errors import StoreError
from hpcspike.files import whole
from hpcspike.shipped import PARTS, shipped_folder

EXAMPLES = {"sweep": "", "alm": "alm_sweep", "mpi": "mpi_sweep"}
"""Example -> the named sweep that ``workflow.yaml`` asks for; none where the workflow's own default is meant."""

_WORKFLOW = """\
# Settings of the workflow in this folder (cluster/config/workflow.schema.json); --config KEY=VALUE goes first.
sweep: cluster/config/{sweep}.yaml
"""


def run(arguments: argparse.Namespace) -> int:
    """Lay the files out, whole or not at all, where nothing is."""
    folder = Path(arguments.folder)
    _refuse_taken(folder)
    refuse_unwritable(folder)
    target = folder.absolute()
    with whole(target) as unfinished:
        _refuse_taken(folder)
        _lay_out(unfinished, EXAMPLES[arguments.example])
    print(f"{folder}: the workflow, named experiments, profiles, guide and tutorial")
    print(f"cd {folder} && snakemake --cores 2")
    return 0


def _refuse_taken(folder: Path) -> None:
    """Refuse a folder in which something is, or in which somebody stands: it is put in place by one rename."""
    if not (folder.exists() or folder.is_symlink()):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise StoreError(f"DIR {folder} exists and is not a folder; choose another name")
    if any(folder.iterdir()):
        raise StoreError(f"DIR {folder} is not empty, and nothing is ever overwritten; choose a new folder")
    if folder.resolve() == Path.cwd():
        raise StoreError(f"DIR {folder} is the folder you are in; give the name of a new one")


def _lay_out(folder: Path, sweep: str) -> None:
    source = shipped_folder()
    for part in PARTS:
        for file in [source / part] if (source / part).is_file() else sorted((source / part).rglob("*")):
            place = file.relative_to(source)
            if file.is_file() and "__pycache__" not in place.parts:
                _copy(file, folder / place)
    if sweep:
        (folder / "workflow.yaml").write_text(_WORKFLOW.format(sweep=sweep))


def _copy(file: Path, copy: Path) -> None:
    """Copy a file and its permissions, but so that it can be changed also where the installed one cannot."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, copy)
    copy.chmod(copy.stat().st_mode | stat.S_IWUSR)
