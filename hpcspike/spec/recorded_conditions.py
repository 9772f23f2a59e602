"""Several conditions of recorded targets: how a list of them is written, and what each item stands for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

CONDITION = "condition"
"""The dimension or column that the short form of a condition, a bare value, chooses by."""

MOST_CONDITIONS = 64
"""So many target sets a network may have."""

_KEYS: dict[str, tuple[type, ...]] = {"name": (str,), "path": (str,), "variable": (str,), "task": (int,),
                                      "condition": (dict,)}  # fmt: skip
_WRITTEN = {str: "a text", int: "a number counted from 1", dict: "a mapping such as {side: left}"}
_ARRAYS = ("NPY", "NPZ", "MATLAB", "JLD2")


def _well_formed(items: list[Any]) -> list[Any]:
    for place, item in enumerate(items):
        where = f"targets.conditions[{place}]"
        if isinstance(item, dict):
            for key, value in item.items():
                if key not in _KEYS:
                    raise ValueError(f"{where}.{key} is unknown; conditions may differ in {', '.join(_KEYS)}")
                if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
                    raise ValueError(f"{where}.{key} = {value!r}: must be {_WRITTEN[_KEYS[key][0]]}")
            if not item:
                raise ValueError(f"{where} is empty: give at least a name")
        elif not isinstance(item, (str, int, float)):
            raise ValueError(
                f"{where} = {item!r}: must be a text, a number, true or false, or a mapping with some of "
                f"{', '.join(_KEYS)}"
            )
    return items


_SCALAR = {"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer", "number")]}
_MAPPING = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "path": {"type": "string"},
        "variable": {"type": "string"},
        "task": {"type": "integer", "minimum": 1},
        "condition": {"type": "object"},
    },
}
Conditions = Annotated[
    list[Any],
    AfterValidator(_well_formed),
    WithJsonSchema({"type": "array", "maxItems": MOST_CONDITIONS, "items": {"anyOf": [*_SCALAR["anyOf"], _MAPPING]}}),
]
"""Values, or mappings of the keys in which the conditions differ."""


def keys_of(item: Any, file_format: str | None, condition: dict[str, Any]) -> dict[str, Any]:
    """The keys of targets that a condition gives; of ``condition`` it keeps what it does not say itself."""
    if isinstance(item, dict):
        keys = {key: value for key, value in item.items() if key != "name"}
        return {**keys, "condition": {**condition, **keys["condition"]}} if "condition" in keys else keys
    if file_format is None:  # a stand-in: each condition is made up, and a value is its name
        return {}
    if file_format in _ARRAYS:
        return {"task": item} if isinstance(item, int) and not isinstance(item, bool) else {"variable": str(item)}
    return {"condition": {**condition, CONDITION: item}}


def name_of(item: Any) -> str:
    """What a condition is called: its name, else the values by which it is chosen."""
    if not isinstance(item, dict):
        return str(item)
    if "name" in item:
        return str(item["name"])
    chosen = [value for key in ("path", "variable", "task") if (value := item.get(key)) is not None]
    places = [str(value).replace("\\", "/").rsplit("/", 1)[-1] for value in chosen]
    return ", ".join(places + [_joined(value) for value in item.get("condition", {}).values()])


def _joined(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)
