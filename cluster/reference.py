"""Write the API reference, HTML made from the docstrings: ``python cluster/reference.py`` (needs the extra ``docs``).

It goes to ``results/api/``, or to the folder given; begin with ``index.html``. Nothing is fetched from elsewhere.
"""

from __future__ import annotations

import importlib
import re
import sys
import typing
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = (
    "hpcspike",
    "hpcspike.analysis",
    "hpcspike.exchange",
    "hpcspike.figures",
    "hpcspike.measures",
    "hpcspike.neurons",
    "hpcspike.learners.interface",
    "hpcspike.learners.trials",
    "hpcspike.spec.experiment",
    "hpcspike.spec.targets",
    "hpcspike.spec.sweep",
    "hpcspike.spec.study",
    "hpcspike.variables",
    "hpcspike.errors",
)
"""What a user may import; the rest of the package is for those who work on it (``.github/CONTRIBUTING.md``)."""

_LIMITS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


def write_reference(folder: Path) -> list[Path]:
    """Write the pages of all `MODULES` into a folder; warnings of the generator are errors. Returns the pages."""
    import pdoc

    modules = [importlib.import_module(name) for name in MODULES]
    for module in modules:
        for public in getattr(module, "__all__", ()):
            setattr(
                module, public, getattr(module, public)
            )  # some are loaded at first use, and pages show what is loaded
    evaluate_types_of_tuples(modules)
    pdoc.render.configure(docformat="numpy", show_source=False, search=True, footer_text="hpcspike")
    # of a package its own page only, not those of the modules in it ("!" leaves them out)
    specs = [spec for name in MODULES for spec in (name, f"!{re.escape(name)}[.]")]
    with warnings.catch_warnings(), units_shown(modules):
        warnings.simplefilter("error")
        pdoc.pdoc(*specs, output_directory=folder)
    return sorted(folder.rglob("*.html"))


def evaluate_types_of_tuples(modules: list[ModuleType]) -> None:
    """Replace the types that named tuples have as text: `typing` makes their constructors in no module of the package.

    Where they are made, the names in such a text mean nothing.
    """
    things = [thing for module in modules for thing in vars(module).values() if isinstance(thing, type)]
    for thing in things:
        if issubclass(thing, tuple) and hasattr(thing, "_fields"):
            thing.__new__.__annotations__ = typing.get_type_hints(thing)


@contextmanager
def units_shown(modules: list[ModuleType]) -> Iterator[None]:
    """Say unit and range of every field of a section beside what it means, while the pages are written."""
    from pydantic import BaseModel

    things = {id(thing): thing for module in modules for thing in vars(module).values() if isinstance(thing, type)}
    sections = [thing for thing in things.values() if issubclass(thing, BaseModel)]
    fields = {id(field): field for section in sections for field in section.model_fields.values()}
    before = [(field, field.description) for field in fields.values()]
    try:
        for field in fields.values():
            extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            facts = [f"unit: {extra['unit']}"] if "unit" in extra else []
            for part in field.metadata:
                facts += [f"{words} {getattr(part, name):g}" for name, words in _LIMITS.items() if hasattr(part, name)]
            facts += [f"paper: {extra['paper']}"] if "paper" in extra else []
            if facts:
                field.description = f"{field.description} ({'; '.join(facts)})"
        yield
    finally:
        for field, description in before:
            field.description = description


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/api")
    written = write_reference(folder)
    print(f"{len(written)} pages; begin with {folder / 'index.html'}")
