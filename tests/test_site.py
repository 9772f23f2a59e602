"""The site: every page is part of it, the paths of pages become links, parts of the tutorial are notebooks."""

from __future__ import annotations

import runpy
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.site.reference import MODULES

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = ROOT / "cluster"


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return runpy.run_path(str(CLUSTER / "site" / "conf.py"))


def test_every_page_and_part_of_the_tutorial_is_on_the_site(settings: dict[str, Any]) -> None:
    pages = [*CLUSTER.glob("guide/*.md"), *CLUSTER.glob("tutorial/part*.py"), CLUSTER / "MISTAKES.md"]
    index = (CLUSTER / "site" / "index.md").read_text()
    listed = [line for line in index.splitlines() if line.startswith("../")]
    for page in pages:
        name = str(page.relative_to(CLUSTER))
        assert any(fnmatch(name, pattern) for pattern in settings["include_patterns"]), name
        assert any(fnmatch(f"../{name}", f"{entry}*") for entry in listed), name


def test_the_reference_lists_every_module(settings: dict[str, Any]) -> None:
    source = ["# Reference\n"]
    settings["list_modules"](None, "guide/mpi", source)
    assert source == ["# Reference\n"]
    settings["list_modules"](None, "site/api", source)
    assert [line.split(":: ")[1] for line in source[0].splitlines() if "automodule" in line] == list(MODULES)


def test_the_path_of_a_page_becomes_a_link(settings: dict[str, Any]) -> None:
    nodes = pytest.importorskip("docutils.nodes", reason="needs the extra site")
    text = nodes.paragraph("", "", *(nodes.literal("", name) for name in ("cluster/guide/mpi.md", "cluster/none.md")))
    environment = SimpleNamespace(found_docs={"guide/mpi"}, doc2path=lambda name, base: f"{name}.md")
    builder = SimpleNamespace(get_relative_uri=lambda here, there: f"{here}->{there}")
    settings["link_pages"](SimpleNamespace(env=environment, builder=builder), text, "site/index")
    (link,) = text.findall(nodes.reference)
    assert (link["refuri"], link.astext()) == ("site/index->guide/mpi", "cluster/guide/mpi.md")


@pytest.mark.parametrize("path", sorted(CLUSTER.glob("tutorial/part*.py")), ids=lambda path: path.stem[:5])
def test_a_part_of_the_tutorial_is_a_notebook_whose_figures_are_shown(path: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="needs the extra site")
    cells = jupytext.read(path, fmt="py:percent").cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert cells[0].source.startswith("# Part ")
    # a notebook shows the last value of a cell, and what pyplot has drawn
    shown = [source for source in code if source.splitlines()[-1].startswith("shown(") or "plt.subplots" in source]
    assert sum(source.count("shown(h") + source.count("plt.subplots") for source in code) == len(shown) > 0
