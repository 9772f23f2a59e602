"""Compiled kernels on disk: kept under a digest of all they are made of, and never believed if damaged.

numba's own cache looks at the file of a kernel only, and an index or a data file that was cut short ends the program.
Here every compiled signature is a file of its own, with a checksum, put in place by one rename: ranks that write at the
same time cannot mix theirs up, and what cannot be read or written costs a compilation and one remark.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

from hpcspike.launcher import launched_rank

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parent

_DIGEST_BYTES = 32

_COMPILER_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "ENABLE_AVX")


def generation(source: Path) -> str:
    """Short digest of everything that is compiled into the kernels of one file.

    That is the file, every module of this package that it imports, directly or through others (their constants are
    compiled in), the numba policy, and versions and settings of the compiler.
    """
    digest = hashlib.sha256(sources_digest(source).encode())
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    settings = [getattr(numba.config, name, None) for name in _COMPILER_SETTINGS]
    digest.update(repr((versions, settings)).encode())
    return digest.hexdigest()[:8]


@functools.cache
def sources_digest(source: Path, package: Path = PACKAGE) -> str:
    """SHA-256 (hex) of a source file and of all modules of ``package`` that it reaches by imports."""
    digest = hashlib.sha256()
    for file in reached(source, package):
        try:
            digest.update(f"{file.relative_to(package)}\n".encode())
        except ValueError:  # a kernel of somebody else's
            digest.update(b"\n")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def reached(source: Path, package: Path = PACKAGE) -> list[Path]:
    """The file itself (if it is one), the numba policy, and what both import from ``package``; sorted.

    A folder of modules that is imported whole counts whole: it may find its modules by looking (neuron models).
    """
    found: set[Path] = set()
    waiting = [source, package / "accelerate.py", package / "kernel_cache.py"]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():  # not a file: a notebook
            continue
        found.add(file)
        waiting.extend(_imported(file, package))
        if file.name == "__init__.py" and file.parent != package:
            waiting.extend(file.parent.glob("*.py"))
    return sorted(found)


@functools.cache
def _imported(file: Path, package: Path) -> tuple[Path, ...]:
    tree = ast.parse(file.read_bytes())
    files = (_module_file(name, package) for name in _imported_names(tree, file, package))
    return tuple(found for found in files if found is not None)


def _imported_names(tree: ast.AST, file: Path, package: Path) -> Iterator[str]:
    """Dotted names that are imported anywhere in a file; ``from a import b`` is a.b, which may be a module or not."""
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level and file.is_relative_to(package.parent):
                above = file.relative_to(package.parent).parts[: -node.level]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but for those that are there for types alone."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _module_file(name: str, package: Path) -> Path | None:
    """The file of a module of the package, or of the module that holds the name; None: it is of another package."""
    first, *inner = name.split(".")
    if first != package.name:
        return None
    for parts in (inner, inner[:-1]):
        place = package.joinpath(*parts)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


class KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one kernel, with files that are checked; what goes wrong with them is said, not raised."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _CheckedFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code of a signature; None if it is not there or not whole."""
        try:
            return super().load_overload(signature, target_context)
        except Exception as error:  # whatever a damaged file makes pickle or numba raise
            _say_once("read", self._cache_path, error)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep compiled code, if that is possible."""
        try:
            super().save_overload(signature, data)
        except OSError as error:
            _say_once("written", self._cache_path, error)


class _CheckedFiles(IndexDataCacheFile):  # type: ignore[misc]
    """One file per signature, named by it: SHA-256, then the pickle of signature and code."""

    def flush(self) -> None:
        """Remove the files of this kernel."""
        for path in Path(self._cache_path).glob(f"{self._index_name.removesuffix('.nbi')}.*.nbc"):
            path.unlink(missing_ok=True)

    def save(self, key: Any, data: Any) -> None:
        body = self._dump((repr(key), data))
        with self._open_for_write(self._path(key)) as file:
            file.write(hashlib.sha256(body).digest())
            file.write(body)

    def load(self, key: Any) -> Any:
        try:
            with open(self._path(key), "rb") as file:
                digest, body = file.read(_DIGEST_BYTES), file.read()
        except FileNotFoundError:
            return None
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("a file is damaged")
        known, data = pickle.loads(body)
        return data if known == repr(key) else None

    def _path(self, key: Any) -> str:
        name = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()[:16]
        return os.path.join(self._cache_path, f"{self._index_name.removesuffix('.nbi')}.{name}.nbc")


def cache_of(function: Callable[..., Any]) -> Any:
    """The cache on disk of a kernel, or none where no folder can be written."""
    try:
        return KernelCache(function)
    except (RuntimeError, OSError) as error:  # RuntimeError: numba has no place for it
        place = os.environ.get("NUMBA_CACHE_DIR") or os.path.dirname(function.__code__.co_filename)
        _say_once("written", place, error if isinstance(error, OSError) else None)
        return NullCache()


def folder_of(compiled: Any) -> Path | None:
    """The folder in which the code of a kernel is kept, and whatever else is computed once; None: nothing is."""
    place = getattr(compiled._cache, "_cache_path", None)
    return None if place is None else Path(place)


_remarked = False


def _say_once(what: str, folder: str, error: BaseException | None) -> None:
    global _remarked
    if _remarked or launched_rank() != 0:
        return
    _remarked = True
    reason = "" if error is None else f" ({getattr(error, 'strerror', None) or error or type(error).__name__})"
    logger.warning(
        "compiled kernels cannot be %s in %s%s: they are compiled anew, which takes longer and changes no number; "
        "remove that folder, or set NUMBA_CACHE_DIR to one that can be written",
        what, folder, reason,
    )  # fmt: skip
