"""Every module imports from below itself only, and none imports itself by way of others."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "hpcspike"

LAYERS = (
    ("errors", "variables", "version", "machine", "wording", "state", "shown"),
    ("launcher", "notation", "checks", "locks", "partition", "intervals", "correlation", "surface", "shipped"),
    ("files", "maxima", "paths", "seals", "printing", "environment", "takes_results", "kernel_cache"),
    ("hdf5_files", "zarr_files", "accelerate", "compiling", "threads"),
    ("progress", "provenance", "plugins"),
    ("spec",),
    ("neurons",),
    ("identity",),
    ("model",),
    ("rls",),
    ("engine",),
    ("verification", "measures"),
    ("learners",),
    ("runs",),
    ("sweep",),
    ("live",),
    ("analysis",),
    ("studies", "adaptive"),
    ("figures", "exchange"),
    ("report", "benchmark", "workflow"),
    ("commands", "arguments"),
    ("cli",),
    ("__main__",),
)
"""Modules and packages from the ground up; a line may import from lines above it, and from itself within a package."""


def imports(package: Path) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, at its top or inside functions, but not for types alone."""
    files = {_name(file, package): file for file in package.rglob("*.py")}
    found: dict[str, set[str]] = defaultdict(set)
    for name, file in files.items():
        for imported in _imported(ast.parse(file.read_text(encoding="utf-8"))):
            while imported not in files and "." in imported:  # a name in a module
                imported = imported.rpartition(".")[0]
            if imported != name:
                found[name].add(imported)
    return {name: {one for one in found[name] if one in files and one != package.name} for name in files}


def _name(file: Path, package: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module) -> Iterator[str]:
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("hpcspike."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hpcspike":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(found: dict[str, set[str]]) -> list[str]:
    """Imports that do not come from below, in words."""
    place = {name: layer for layer, names in enumerate(LAYERS) for name in names}
    arrows = []
    for module, imported in found.items():
        mine = module.split(".")[1] if "." in module else ""
        for other in imported:
            theirs = other.split(".")[1]
            if mine and mine != theirs and place[theirs] >= place[mine]:
                arrows.append(f"{module} imports {other}")
    return sorted(arrows)


def circle(found: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, if there is one."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_from_above() -> None:
    assert upward(imports(PACKAGE)) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(imports(PACKAGE)) == []


def test_every_module_has_a_layer() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = [name for layer in LAYERS for name in layer]
    assert sorted(named) == sorted(there - {"__init__"})


@pytest.mark.parametrize(
    ("text", "arrows"),
    [
        ("from hpcspike.cli import main\n", ["hpcspike.rls.new imports hpcspike.cli"]),
        ("def late():\n    import hpcspike.sweep.store\n", ["hpcspike.rls.new imports hpcspike.sweep.store"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hpcspike.cli import main\n", []),
        ("from hpcspike.errors import SpecError\n", []),
    ],
)
def test_an_import_from_above_is_seen_wherever_it_stands(tmp_path: Path, text: str, arrows: list[str]) -> None:
    package = tmp_path / "hpcspike"
    for name, content in {"rls/new": text, "cli": "", "sweep/store": "", "errors": ""}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(content)
    assert upward(imports(package)) == arrows


def test_a_circle_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "hpcspike"
    package.mkdir()
    (package / "a.py").write_text("from hpcspike import b\n")
    (package / "b.py").write_text("def late():\n    from hpcspike.a import name\n")
    assert set(circle(imports(package))) == {"hpcspike.a", "hpcspike.b"}
