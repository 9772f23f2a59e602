"""Where a path that a user gives leads: the home folder, addresses of object stores, and what cannot be a path.

Results are written to folders of this machine only. They are read from everywhere that fsspec reaches, from a copy that
lasts as long as the process.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from hpcspike import checks
from hpcspike.errors import ResourceError, StoreError
from hpcspike.launcher import launched_rank
from hpcspike.shipped import config_file, taken_instead

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")

_WRITTEN = {
    "out": "--out", "receipt": "--receipt", "checkpoint": "--checkpoint", "dataset": "--dataset", "json": "--json",
    "keep_states": "--keep-states", "history": "--history", "folder": "DIR", "html": "--html",
}  # fmt: skip
_READ = {
    "config": "CONFIG", "store": "STORE", "path": "PATH", "results": "RESULT", "figures": "--figures",
    "captions": "--captions", "states": "--states", "markdown": "--markdown", "add": "--add", "a": "A", "b": "B",
}  # fmt: skip
_STORE_IS_WRITTEN = ("plan", "run_batch", "finalize")


def resolve_arguments(arguments: argparse.Namespace) -> None:
    """Make every path among the arguments of a command one of this machine, or refuse it before work starts.

    Raises
    ------
    StoreError
        If it cannot be a path here, or results would be written to an address; the option is named.
    """
    for name, option in {**_WRITTEN, **_READ}.items():
        given = getattr(arguments, name, None)
        if given is None or isinstance(given, bool):  # --json of verify is a switch
            continue
        written = name in _WRITTEN or (name == "store" and arguments.module in _STORE_IS_WRITTEN)
        resolved = [
            str(path_to_write(text, option) if written else _path_to_read(text, option, name))
            for text in ([given] if isinstance(given, str) else given)
        ]
        setattr(arguments, name, resolved[0] if isinstance(given, str) else resolved)


def is_address(text: str | Path) -> bool:
    """Whether a text is an address (``s3://bucket/x``), not a path."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def path_to_write(text: str | Path, what: str = "") -> Path:
    """The path to which something will be written; ``what`` is named in errors.

    Raises
    ------
    StoreError
        If it is an address, or nothing can be written there.
    """
    label = f"{what} {text}".strip()
    if is_address(text):
        raise StoreError(
            f"{label}: results are written to folders of this machine, where they are whole or absent and have one "
            "writer, which cannot be promised there; give a local path and copy the result when it is done"
        )
    path = expanded(text, what)
    _refuse_impossible(path, label)
    return path


def local(text: str | Path, what: str = "") -> Path:
    """The path of what is to be read; of an address that of a copy, made now.

    Raises
    ------
    StoreError
        If there cannot be such a path, or the address cannot be read.
    ResourceError
        If fsspec, or its part for this kind of address, is not installed.
    """
    if isinstance(text, str) and is_address(text):
        return _fetched(text, what)
    path = expanded(text, what)
    _refuse_impossible(path, f"{what} {text}".strip())
    return path


def expanded(text: str | Path, what: str = "") -> Path:
    """A path with ``~`` at its beginning as the home folder."""
    label = f"{what} {text}".strip()
    if isinstance(text, str) and not text:
        raise StoreError(f"{what or 'path'}: is empty; give a path")
    try:
        return checks.path(what or "path", text).expanduser()
    except RuntimeError:
        raise StoreError(f"{label}: there is no such home folder; write the path out") from None


def _path_to_read(text: str, option: str, name: str) -> Path:
    if name == "config":
        if is_address(text):
            raise StoreError(f"{option} {text}: must be a file of this machine; copy it here first")
        return _config(expanded(text, option))
    return local(text, option)


def _config(path: Path) -> Path:
    """The file that CONFIG means; of several ranks the first says if it is not the named experiment."""
    found = config_file(path)
    remark = taken_instead(path)
    if remark and not launched_rank():
        print(f"hpcspike: {remark}", file=sys.stderr)
    return found


def _refuse_impossible(path: Path, label: str) -> None:
    """Refuse what no program can open: too long, through a file, in a circle of links, where nobody may enter."""
    try:
        mode = path.stat().st_mode
    except ValueError:
        raise StoreError(f"{label!r}: a path holds no null characters; choose another path") from None
    except FileNotFoundError:
        if path.is_symlink():
            raise StoreError(f"{label} is a broken link; choose another path or remove it") from None
        return
    except NotADirectoryError:
        raise StoreError(f"{label}: a part of it is a file, not a folder; choose another path") from None
    except OSError as error:
        remedy = "check the permissions of its folders" if error.errno == errno.EACCES else "choose another path"
        raise StoreError(f"{label}: cannot be used ({error.strerror or error}); {remedy}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreError(f"{label} is neither a file nor a folder, but a device or a pipe; choose another path")


# ---- addresses -------------------------------------------------------------------------------------------------------


def _fetched(address: str, what: str) -> Path:
    label = f"{what} {address}".strip()
    try:
        import fsspec
    except ImportError:
        raise ResourceError(f"{label}: reading addresses needs fsspec; install it with pip install fsspec") from None
    try:
        system, there = fsspec.core.url_to_fs(address)
        if not system.exists(there):
            raise StoreError(f"{label}: there is nothing")
        here = Path(_own_folder(), there.rstrip("/").rpartition("/")[2] or "data")
        # of the store of a sweep, its records too
        for ending in ("", ".runs", ".receipts") if system.isdir(there) else ("",):
            if not ending or system.exists(there.rstrip("/") + ending):
                system.get(there.rstrip("/") + ending, f"{here}{ending}", recursive=True)
    except ImportError as error:
        raise ResourceError(f"{label}: cannot be read ({error})") from None
    except (StoreError, KeyboardInterrupt):
        raise
    except Exception as error:  # every file system of fsspec has its own
        words = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"{label}: cannot be read ({words}); check the address and your access to it") from None
    return here


def _own_folder() -> str:
    folder = tempfile.mkdtemp(prefix="hpcspike-read-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
