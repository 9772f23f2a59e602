"""Documents as YAML has them: mappings of keys to values, before they are validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpcspike.errors import SpecError


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, section by section; ``axes`` are replaced whole."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both and key != "axes" else value
    return result


def flattened(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Dotted key -> value of everything in a document that is no section.

    >>> flattened({"seed": 1, "network": {"n_neurons": 200}})
    {'seed': 1, 'network.n_neurons': 200}
    """
    found: dict[str, Any] = {}
    for key, value in document.items():
        is_section = isinstance(value, Mapping) and value
        found |= flattened(value, f"{before}{key}.") if is_section else {f"{before}{key}": value}
    return found


def set_dotted(document: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``document["a"]["b"] = value`` for ``dotted = "a.b"``, making sections as needed."""
    *sections, key = dotted.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise SpecError(f"{dotted}: {section} is not a section of the experiment")
    document[key] = value
