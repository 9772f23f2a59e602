"""What the reference of the site lists: modules that a user may import, and the keys of their sections."""

from __future__ import annotations

from pydantic import BaseModel

from hpcspike.spec.schema import described

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
    "hpcspike.spec.synapse",
    "hpcspike.spec.targets",
    "hpcspike.spec.sweep",
    "hpcspike.spec.study",
    "hpcspike.variables",
    "hpcspike.errors",
)
"""What a user may import; the rest of the package is for those who work on it (``.github/CONTRIBUTING.md``)."""


def keys_of(section: type[BaseModel]) -> list[str]:
    """The keys of a section as lines of reStructuredText: name, unit, default and range, meaning."""
    lines = ["", ".. rubric:: Keys", ""]
    for name, field in section.model_fields.items():
        facts, meaning = described(field)
        lines += [f"``{name}`` (``{facts}``)", f"    {meaning or 'A section.'}", ""]
    return lines
