"""The files that come with hpcspike beside its code: the workflow, named experiments, captions, guide and tutorial.

They have one home, the checkout: `Snakefile` and `cluster/`. A wheel carries a copy of them below the package.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hpcspike.errors import ResourceError, SpecError

PARTS = ("Snakefile", "cluster")
"""What lies in `shipped_folder`, and what ``hpcspike init`` lays out."""

_CONFIGS = Path("cluster", "config")
_LONGEST_NAME = 60


def shipped_folder() -> Path:
    """The folder that holds `PARTS`: in the package where a wheel was installed, otherwise the checkout.

    Raises
    ------
    ResourceError
        If the package was copied without them.
    """
    package = Path(__file__).parent
    for folder in (package / "_shipped", package.parent):
        if all((folder / part).exists() for part in PARTS):
            return folder
    raise ResourceError(
        f"{package}: the workflow and the named experiments are not there; install hpcspike from a wheel or a checkout"
    )


def named_experiments() -> dict[str, Path]:
    """Name -> file of every experiment, sweep and study that comes with hpcspike; none if the code came alone."""
    try:
        folder = shipped_folder()
    except ResourceError:
        return {}
    return {path.stem: path for path in sorted((folder / _CONFIGS).glob("*.yaml"))}


def config_file(path: Path) -> Path:
    """The file that is meant by a path or by the name of an experiment.

    A file of that path is taken first, then ``NAME.yaml`` here, then ``cluster/config/NAME.yaml`` here, as
    ``hpcspike init`` lays it out, and last the one that comes with hpcspike.

    Raises
    ------
    SpecError
        If a name, which has no folder and no ending, is that of none of them, or if it is - for standard input.
    ResourceError
        If a name is given, and no named experiments are there.
    """
    if path == Path("-"):
        raise SpecError("-: standard input is not read, since a result names the file it came from; give a path")
    if os.path.isfile(path) or path.parent != Path() or path.suffix or not path.name:
        return path  # whoever reads it says what is wrong
    for here in _own_files(path):
        if os.path.isfile(here):
            return here
    named = named_experiments()
    if path.name in named:
        return named[path.name]
    if os.path.exists(path):
        return path
    if not named:
        shipped_folder()  # says that they are not there
    close = difflib.get_close_matches(path.name[:_LONGEST_NAME], named, n=1)
    hint = f"did you mean {close[0]}? Named are" if close else "named are"
    raise SpecError(f"{path.name[:_LONGEST_NAME]}: no such file, and no named experiment; {hint} {', '.join(named)}")


def taken_instead(path: Path) -> str | None:
    """Words about a user's file that is read where a named experiment of other content has the same name."""
    found = config_file(path)
    named = named_experiments().get(path.name) if path.parent == Path() else None
    if named is None or not os.path.isfile(found) or found.read_bytes() == named.read_bytes():
        return None
    return f"{path.name}: the file {found} is read, not the experiment of that name that comes with hpcspike"


def _own_files(name: Path) -> tuple[Path, Path]:
    return Path(f"{name.name}.yaml"), _CONFIGS / f"{name.name}.yaml"
