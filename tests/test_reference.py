"""The API reference: every public name has a docstring that says what a caller must know, and the pages can be made."""

from __future__ import annotations

import enum
import html
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cluster.site.reference import MODULES, keys_of
from hpcspike.spec.experiment import Synapse

ROOT = Path(__file__).resolve().parent.parent


def public() -> Iterator[tuple[str, Any]]:
    """Every function and class a user may import, by its full name, methods included."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = getattr(module, "__all__", None) or [
            name for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", None) == module_name
        ]  # fmt: skip
        for name in names:
            thing = getattr(module, name)
            if inspect.isroutine(thing) or inspect.isclass(thing):
                yield f"{module_name}.{name}", thing
            if inspect.isclass(thing) and not issubclass(thing, (BaseModel, enum.Enum, BaseException)):
                yield from methods(f"{module_name}.{name}", thing)


def methods(name: str, kind: type) -> Iterator[tuple[str, Any]]:
    for own, thing in vars(kind).items():
        if not own.startswith("_") and inspect.isfunction(thing):
            yield f"{name}.{own}", thing


PUBLIC = dict(public())


def caller_chooses(thing: Any) -> list[str]:
    """Parameters of a function that its caller gives."""
    return [name for name in inspect.signature(thing).parameters if name not in ("self", "cls")]


def test_there_are_public_names() -> None:
    assert {"hpcspike.run", "hpcspike.load", "hpcspike.Trained.evoke", "hpcspike.analysis.capacity"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_says_what_it_is(name: str) -> None:
    thing = PUBLIC[name]
    text = inspect.getdoc(thing) or ""
    assert text, "has no docstring"
    assert len(text.split()) > 2
    if not inspect.isfunction(thing):
        return
    # every parameter is spoken of: in a section of its own, by name in a short text, or where the text sends the reader
    given = caller_chooses(thing)
    if len(given) <= 1 or given == ["tree", "variants"] or "rguments as for" in text:
        return
    missing = [name for name in given if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert missing == []


@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if inspect.isclass(thing)])
def test_fields_of_a_section_have_units_where_their_names_do(name: str) -> None:
    thing = PUBLIC[name]
    if not issubclass(thing, BaseModel):
        return
    for key, field in thing.model_fields.items():
        unit = field.json_schema_extra.get("unit") if isinstance(field.json_schema_extra, dict) else None
        expected = {"_ms": "ms", "_hz": "Hz"}.get(key[-3:])
        if expected:
            assert unit == expected, key
        if field.description is not None:
            assert field.description.endswith("."), key


def test_keys_of_a_section_are_listed_with_unit_default_and_range() -> None:
    lines = "\n".join(keys_of(Synapse))
    assert "``tau_syn_ms`` (``in ms; default 20; > 0``)\n    Decay time tau_s of plastic synapses. [Eq 7]" in lines
    assert lines.count("\n``") == len(Synapse.model_fields)


def test_the_page_is_made_without_warnings_and_holds_every_name(tmp_path: Path) -> None:
    """The reference of the site alone, as one page; `.ci/run` builds the site."""
    pytest.importorskip("myst_nb", reason="needs the extra site")
    code = (
        "import sys; from sphinx.cmd.build import main; sys.exit(main(['-b', 'html', '-W', '-q', '-c', sys.argv[1], "
        "'-D', 'root_doc=site/api', '-D', 'include_patterns=site/api.md', '-D', 'html_theme=basic', "
        "'-d', sys.argv[3] + '/trees', sys.argv[2], sys.argv[3]]))"
    )
    cluster = ROOT / "cluster"
    made = subprocess.run(
        [sys.executable, "-c", code, str(cluster / "site"), str(cluster), str(tmp_path)], cwd=tmp_path,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert [name for name in PUBLIC if f'id="{name}"' not in page] == []
    assert "tau_syn_ms (in ms; default 20; > 0)" in html.unescape(re.sub("<[^>]+>", "", page))
    # numpydoc sections were understood, not printed as underlined words
    assert not re.search(r"Parameters\s*\n?-{4,}", page)
    assert set(re.findall(r'(?:src|href)="https?://([^"/]*)', page)) <= {"www.sphinx-doc.org"}  # who made the page
