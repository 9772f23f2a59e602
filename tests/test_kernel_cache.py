"""Compiled kernels on disk: what their names depend on, and what damaged, foreign and unwritable files do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numba
import pytest

from hpcspike import kernel_cache
from hpcspike.kernel_cache import PACKAGE, reached, sources_digest

SOURCE = """
from hpcspike.accelerate import kernel

@kernel
def doubled(x):
    return 2.0 * x
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be edited."""
    return Path(
        shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "figures"))
    )


@pytest.mark.parametrize(
    ("kernels", "source", "constant", "other"),
    [
        ("rls/blocked_kernels.py", "rls/capacity.py", "VECTOR_BYTES = 64", "VECTOR_BYTES = 32"),
        ("rls/vector_kernels.py", "rls/capacity.py", "VECTOR_BYTES = 64", "VECTOR_BYTES = 32"),
        # found by looking into the folder of models
        ("engine/step_kernels.py", "model/neuron_models/theta.py", '"""', '"""Now: '),
        ("engine/stretch_kernels.py", "model/neuron_models/lif.py", "left <= none", "left < none"),
        ("engine/step_kernels.py", "accelerate.py", '"nogil": True', '"nogil": False'),
    ],
)
def test_a_constant_that_is_compiled_in_belongs_to_the_digest(
    package: Path, kernels: str, source: str, constant: str, other: str
) -> None:
    before = sources_digest(package / kernels, package)
    sources_digest.cache_clear()
    text = (package / source).read_text(encoding="utf-8")
    assert constant in text
    (package / source).write_text(text.replace(constant, other, 1), encoding="utf-8")
    assert sources_digest(package / kernels, package) != before


def test_what_a_kernel_does_not_import_leaves_it_compiled(package: Path) -> None:
    before = sources_digest(package / "rls" / "blocked_kernels.py", package)
    sources_digest.cache_clear()
    with open(package / "spec" / "fields.py", "a", encoding="utf-8") as file:
        file.write("# more\n")
    assert sources_digest(package / "rls" / "blocked_kernels.py", package) == before


def test_imports_are_followed_however_they_are_written(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    files = {
        "accelerate.py": "",
        "kernel_cache.py": "",
        "a_kernels.py": "import pack.one\nfrom pack import two\nfrom pack.inner import THREE, deep\n"
        "from . import four\n",
        "one.py": "def later():\n    from pack.inner.five import FIVE\n",
        "two.py": "import numpy\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack import unused\n",
        "four.py": "from .inner.deep import *\n",
        "unused.py": "",
        "inner/__init__.py": "THREE = 3\n",
        "inner/deep.py": "from .. import six\n",
        "inner/five.py": "import pack.a_kernels\n",  # in a circle
        "inner/found.py": "",  # a folder imported whole may find its modules by looking
        "six.py": "",
    }
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    found = {str(path.relative_to(package)) for path in reached(package / "a_kernels.py", package)}
    assert found == set(files) - {"unused.py"}


def test_a_kernel_without_a_file_depends_on_the_policy_only() -> None:
    assert {path.name for path in reached(Path("<stdin>"))} >= {"accelerate.py", "kernel_cache.py"}
    assert not any(path.name.endswith("_kernels.py") for path in reached(Path("<stdin>")))


@pytest.fixture
def compile_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """Load a module with one kernel as a fresh process would, its files in ``tmp_path / "cache"``."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    source = tmp_path / "strange_kernels.py"
    source.write_text(SOURCE, encoding="utf-8")

    def load() -> ModuleType:
        monkeypatch.setattr(kernel_cache, "_remarked", False)
        spec = importlib.util.spec_from_file_location("strange_kernels", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["strange_kernels"] = module
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("strange_kernels", None)


def hits(module: ModuleType) -> int:
    return sum(module.doubled.stats.cache_hits.values())


def kept(tmp_path: Path) -> Path:
    (found,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    return found


def test_compiled_code_is_found_again(tmp_path: Path, compile_anew: Callable[[], ModuleType]) -> None:
    first = compile_anew()
    assert (first.doubled(1.5), hits(first)) == (3.0, 0)
    again = compile_anew()
    assert (again.doubled(1.5), hits(again)) == (3.0, 1)


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def empty(data: bytes) -> bytes:
    return b""


def flip(data: bytes) -> bytes:
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize("damage", [truncate, empty, flip])
def test_a_damaged_file_is_said_once_compiled_anew_and_mended(
    tmp_path: Path,
    compile_anew: Callable[[], ModuleType],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    compile_anew().doubled(1.5)
    file = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    module = compile_anew()
    assert (module.doubled(2.5), hits(module)) == (5.0, 0)
    assert len(caplog.records) == 1
    assert f"cannot be read in {file.parent}" in caplog.text
    assert "NUMBA_CACHE_DIR" in caplog.text
    assert len(file.read_bytes()) == len(whole)
    mended = compile_anew()
    assert (mended.doubled(2.5), hits(mended)) == (5.0, 1)
    assert len(caplog.records) == 1


def test_code_of_another_signature_is_never_taken(tmp_path: Path, compile_anew: Callable[[], ModuleType]) -> None:
    compile_anew().doubled(1.5)
    of_float = kept(tmp_path)
    compile_anew().doubled(3)
    (of_int,) = (path for path in of_float.parent.iterdir() if path != of_float)
    shutil.copy(of_int, of_float)
    module = compile_anew()
    assert (module.doubled(1.25), hits(module)) == (2.5, 0)


def test_a_full_disk_costs_a_remark(
    tmp_path: Path,
    compile_anew: Callable[[], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(kernel_cache._CheckedFiles, "save", full)
    assert compile_anew().doubled(1.5) == 3.0
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"compiled kernels cannot be written in {next((tmp_path / 'cache').iterdir())} (No space left on device)"
    ]


def test_where_no_folder_can_be_written_kernels_are_compiled_without(
    compile_anew: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    module = compile_anew()
    assert (module.doubled(1.5), hits(module)) == (3.0, 0)
    assert len(caplog.records) == 1
    assert "compiled kernels cannot be written in" in caplog.text
