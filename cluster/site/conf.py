"""Settings of Sphinx for the site: ``python cluster/site/build.py`` builds it from the folder above."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cluster.site.reference import MODULES, keys_of  # noqa: E402 - of this checkout
from hpcspike.version import package_version  # noqa: E402

project = "hpcspike"
author = "The hpcspike developers"
copyright = author
release = package_version()

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "site/index"
include_patterns = ["site/*.md", "guide/*.md", "tutorial/*.py", "MISTAKES.md"]
exclude_patterns = ["site/*.py"]
templates_path: list[str] = []

html_theme = "furo"
html_title = f"hpcspike {release}".strip()
html_copy_source = False
html_show_sourcelink = False

# the tutorial: scripts with cells, executed as notebooks, in small unless HPCSPIKE_TUTORIAL_QUICK is unset
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_timeout = 1200
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": False}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "py:obj"
toc_object_entries = False


def link_pages(app: Any, doctree: Any, document: str) -> None:
    """Turn the path of a page in the text, such as ``cluster/guide/mpi.md``, into a link to it."""
    from docutils import nodes

    pages = {f"cluster/{app.env.doc2path(name, base=False)}": name for name in app.env.found_docs}
    for literal in list(doctree.findall(nodes.literal)):
        name = pages.get(literal.astext())
        if name is not None and name != document and not isinstance(literal.parent, nodes.reference):
            link = nodes.reference(refuri=app.builder.get_relative_uri(document, name), internal=True)
            literal.replace_self(link)
            link += literal


def list_modules(app: Any, document: str, source: list[str]) -> None:
    """Write the modules of the reference into its page."""
    if document == "site/api":
        source[0] += "".join(f"\n## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in MODULES)


def list_keys(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Write the keys of a section, which have no docstrings of their own, below what it is."""
    if what == "class" and issubclass(thing, BaseModel):
        lines += keys_of(thing)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", list_keys)
    app.connect("source-read", list_modules)
    app.connect("doctree-resolved", link_pages)
