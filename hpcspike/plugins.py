"""Code of a user's own, such as a neuron model or a learner: found by file or module, and known by its content.

Everywhere a source is ``package.module:name``, a module that Python finds (the folder in which the program was started
counts), or ``path/file.py:name``. It is run once in a process; a changed file counts in the next one.

The identity of a source covers every file that takes part: its own, and those of all modules it imports, directly or
through one another, but for the standard library, hpcspike and other installed packages. Imports are read from the
text of the files, those inside functions too; a module whose name is computed, and a data file, cannot be known.

A source that a results store names is somebody's code: `refuse_unasked` runs none of it unless the user says so.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from hpcspike.errors import SpecError, StoreError

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Experiment
    from hpcspike.spec.sweep import Sweep

CODE = {"neuron": "source", "learner": "path"}
"""Sections of an experiment that can name a user's code, and the key that does."""

LEARNER_KEY = "learner.path"
"""The YAML key that names a learner of the user's own."""

OWN = "file"
"""What `files` calls the file that a source names."""

FLAG = "--run-user-code"

_FROM_FILE = "hpcspike_user_"


def find(source: str, *, key: str) -> Any:
    """The object that a source names; the module that holds it is run the first time.

    Parameters
    ----------
    source
        ``package.module:name`` or ``path/file.py:name``.
    key
        The YAML key that gives it, for messages.

    Raises
    ------
    SpecError
        If there is no such file, module or name, or running it fails.
    """
    place, name = split(source)
    module = _module(source, key)
    files(source, key=key)  # at once: what was read is what runs, whatever becomes of the file
    if not hasattr(module, name):
        raise SpecError(f"{key} = {source}: {place} has no {name!r}; give the name of something that it defines")
    return getattr(module, name)


def split(source: str) -> tuple[str, str]:
    """The file or module of a source, and the name in it; both empty if it is no source."""
    place, _, name = source.rpartition(":")
    return (place, name) if place and name.isidentifier() else ("", "")


def files(source: str, *, key: str) -> dict[str, str]:
    """What a source consists of: `OWN` or the name of an imported module -> ``sha256:`` of its file.

    Empty where the code is in no file, as in a notebook: see `code_digest`.
    """
    module = _module(source, key)
    known = _FILES.get(module.__name__)
    if known is not None and known[0] is module and known[1] is module.__spec__:
        return known[2]
    found: dict[str, str] = {}
    for name, path in _own_files(module, _folder_of(source)):
        try:
            found[name] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        except OSError as error:
            raise SpecError(f"{key} = {source}: {path} cannot be read ({error.strerror or error})") from None
    _FILES[module.__name__] = (module, module.__spec__, dict(sorted(found.items())))
    return _FILES[module.__name__][2]


_FILES: dict[str, tuple[ModuleType, ModuleSpec | None, dict[str, str]]] = {}
# name of a module -> it, how it was loaded (another way after a reload), and what it consists of


def code_digest(*things: Any) -> str:
    """``sha256:`` of what functions and classes do, for those that are in no file."""
    digest = hashlib.sha256()
    for thing in things:
        members = vars(thing).values() if isinstance(thing, type) else [thing]
        for member in members:
            code = getattr(getattr(member, "py_func", member), "__code__", None)
            digest.update(b"|".join(_code_parts(code)) if code is not None else repr(type(member)).encode())
    return f"sha256:{digest.hexdigest()}"


def sources(experiment: Experiment) -> dict[str, str]:
    """The code of a user's own that an experiment needs: YAML key -> source."""
    named = {}
    if experiment.neuron.model == "user":
        named["neuron.source"] = experiment.neuron.source
    if experiment.learner.kind == "user":
        named[LEARNER_KEY] = experiment.learner.path
    return named


def sources_in(sweep: Sweep) -> list[tuple[str, str]]:
    """The code of a user's own that points of a sweep need: (YAML key, source), each once."""
    named: list[tuple[str, Any]] = []
    columns = sweep.columns()
    for section, key in CODE.items():
        sections = [sweep.experiment.get(section), *columns.get(section, ())]
        values = [part.get(key) for part in sections if isinstance(part, dict)]
        named += [(f"{section}.{key}", value) for value in (*values, *columns.get(f"{section}.{key}", ()))]
    return [(key, source) for key, source in dict.fromkeys(named) if isinstance(source, str)]


def refuse_unasked(experiment: Experiment, what: str) -> None:
    """A StoreError if the experiment, which a store describes, needs code of a user's own; ``what`` begins it."""
    named = sources(experiment)
    if named:
        shown = " and ".join(f"{key} = {source} ({_place_in_words(source)})" for key, source in named.items())
        raise StoreError(
            f"{what} needs code that its store names: {shown}. It would run with your rights, so it is not run "
            f"unasked: look at it, and if you trust it add {FLAG} (in Python run_user_code=True)"
        )


@contextmanager
def without_pickles() -> Iterator[None]:
    """Refuse to open zarr arrays of the old format whose chunks are pickles: reading such a chunk runs what it says."""
    from numcodecs.registry import codec_registry  # type: ignore[import-untyped]

    kept = codec_registry.pop("pickle", None)
    try:
        yield
    finally:
        if kept is not None:
            codec_registry["pickle"] = kept


def _place_in_words(source: str) -> str:
    place, _ = split(source)
    return f"the file {Path(place).absolute()}" if place.endswith(".py") else f"the module {place}"


def _folder_of(source: str) -> str:
    """Where the modules lie that a source may import, before all others."""
    place, _ = split(source)
    return str(Path(place).resolve().parent) if place.endswith(".py") else str(Path.cwd())


def _module(source: str, key: str) -> ModuleType:
    place, name = split(source)
    if not name:
        raise SpecError(f"{key} = {source}: must be package.module:name or path/file.py:name")
    loaded = sys.modules.get(_name_of_file(Path(place)) if place.endswith(".py") else place)
    if loaded is not None:
        return loaded
    folder = _folder_of(source)
    sys.path.insert(0, folder)  # as for a program that is started there
    importlib.invalidate_caches()
    try:
        return _run_file(Path(place), source, key) if place.endswith(".py") else importlib.import_module(place)
    except SpecError:
        raise
    except ModuleNotFoundError as error:
        hint = "install it or add its folder to PYTHONPATH, or give the file: path/from/the/yaml/file.py:name"
        raise SpecError(f"{key} = {source}: no module {error.name!r} is found; {hint}") from None
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        raise SpecError(f"{key} = {source}: running {place} fails: {type(error).__name__}: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _name_of_file(file: Path) -> str:
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]  # two folders may have a file of that name
    return f"{_FROM_FILE}{file.stem}_{place}"


def _run_file(file: Path, source: str, key: str) -> ModuleType:
    if not file.is_file():
        raise SpecError(f"{key} = {source}: no such file; paths start at the folder of the YAML file")
    spec = importlib.util.spec_from_file_location(_name_of_file(file), file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses in it look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    _refuse_namesakes(module, file, source, key)
    return module


def _refuse_namesakes(module: ModuleType, file: Path, source: str, key: str) -> None:
    """Python keeps one module of a name: a neighbour of the file must not be another folder's, loaded before."""
    for name in _imported_names(file, ""):
        beside = file.resolve().parent / f"{name}.py"
        used = _file_of(sys.modules.get(name))
        if used is not None and beside.is_file() and used != beside and not _is_installed(used):
            del sys.modules[module.__name__]
            raise SpecError(
                f"{key} = {source}: it imports {name!r}, of which Python has another one already ({used}) than the "
                f"one beside it ({beside}); give the two files different names, or run them in separate processes"
            )


@dataclass(frozen=True)
class _Located:
    """A module that code imports: its file (None: it has none) and where its submodules lie."""

    file: Path | None
    inside: tuple[str, ...] = ()


def _own_files(own: ModuleType, folder: str) -> Iterator[tuple[str, Path]]:
    """Names and files of a module and of all that it imports, but for installed packages."""
    file = _file_of(own)
    if file is None:
        return
    spec = own.__spec__
    package = (spec.parent or "") if spec is not None and spec.name in sys.modules else ""
    is_file = own.__name__.startswith(_FROM_FILE)
    family = "" if is_file else own.__name__.partition(".")[0]
    yield OWN, file
    seen = {own.__name__}
    waiting = [*_imported_names(file, package), *([] if is_file else _with_parents(own.__name__)[:-1])]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = _locate(name, folder)
        if found is None or found.file is None or found.file == file:
            continue
        if _is_installed(found.file) and name.partition(".")[0] != family:
            continue
        yield name, found.file
        is_package = found.file.stem == "__init__"
        waiting += _imported_names(found.file, name if is_package else name.rpartition(".")[0])


def _locate(name: str, folder: str) -> _Located | None:
    """A module by its name, without running it: as it is loaded, or where an import would find it."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return _Located(_file_of(loaded), tuple(getattr(loaded, "__path__", ())))
    parent, _, _ = name.rpartition(".")
    if parent:
        above = _locate(parent, folder)
        path = None if above is None else list(above.inside)
        if not path:
            return None
    else:
        path = [folder, *sys.path]
    try:
        spec = PathFinder.find_spec(name, path)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    file = Path(spec.origin).resolve() if spec.has_location and spec.origin else None
    return _Located(file, tuple(spec.submodule_search_locations or ()))


def _imported_names(file: Path, package: str) -> list[str]:
    """Names of the modules that a file may import, each with the packages above it."""
    if file.suffix != ".py":
        return []
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                base = ".".join([*above, *([base] if base else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else []
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.append(node.args[0].value)
    return list(dict.fromkeys(part for name in names for part in _with_parents(name)))


def _with_parents(name: str) -> list[str]:
    """``a.b.c`` -> ``a``, ``a.b``, ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[: k + 1]) for k in range(len(parts))]


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) and Path(file).is_file() else None


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to Python, to hpcspike or to an installed package."""
    return any(file.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    import site

    paths = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)]
    return tuple(dict.fromkeys(Path(path).resolve() for path in paths if path))


def _code_parts(code: CodeType) -> Iterable[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            yield repr(constant).encode()
