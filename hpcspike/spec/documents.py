"""Documents as YAML has them: mappings of keys to values, before they are validated."""

from __future__ import annotations

from typing import Any

from hpcspike.errors import SpecError


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, section by section; ``axes`` are replaced whole."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both and key != "axes" else value
    return result


def set_dotted(document: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``document["a"]["b"] = value`` for ``dotted = "a.b"``, making sections as needed."""
    *sections, key = dotted.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise SpecError(f"{dotted}: {section} is not a section of the experiment")
    document[key] = value
