"""The models as JSON schema, for editors and for the workflow, and as a table for people."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep

DISCRIMINATORS = ("kind", "model")
"""Keys that decide what the other keys of a section are."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """JSON schema of an experiment file."""
    return _file_schema(Experiment.model_json_schema())


def sweep_schema() -> dict[str, Any]:
    """JSON schema of a sweep file; its experiment may leave out what the axes set."""
    schema = Sweep.model_json_schema()
    experiment = _without_required(Experiment.model_json_schema(ref_template="#/$defs/{model}"))
    definitions = experiment.pop("$defs")
    schema["$defs"] = {**schema.get("$defs", {}), **definitions, "Experiment": experiment}
    schema["properties"]["experiment"] = {"$ref": "#/$defs/Experiment"}
    return _file_schema(schema)


def study_schema() -> dict[str, Any]:
    """JSON schema of a study file; its experiment may leave out what the variants set, and a variant gives any part."""
    schema = Study.model_json_schema()
    experiment = _without_required(Experiment.model_json_schema(ref_template="#/$defs/{model}"))
    definitions = experiment.pop("$defs")
    part = {**experiment, "properties": {key: {"type": "object"} for key in experiment["properties"]}}
    schema["$defs"] = {**schema.get("$defs", {}), **definitions, "Experiment": experiment, "Variant": part}
    schema["properties"]["experiment"] = {"$ref": "#/$defs/Experiment"}
    variant = {"anyOf": [{"$ref": "#/$defs/Variant"}, {"type": "null"}]}
    schema["properties"]["variants"] = {"type": "object", "minProperties": 1, "additionalProperties": variant}
    return _file_schema(schema)


def field_table() -> str:
    """Every field of an experiment on a line: dotted name, unit, default, range, meaning and where the paper has it."""
    rows = list(_rows(Experiment, ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(t.ljust(w) for t, w in zip(row[:4], widths, strict=True)), row[4]]) for row in rows)


def field_help(width: int) -> str:
    """The fields of `field_table` for a terminal of so many columns: facts under the name, then the meaning."""
    width = max(width, 40)
    lines: list[str] = []
    for name, unit, default, bounds, meaning in _rows(Experiment, ""):
        lines += textwrap.wrap(name, width, subsequent_indent="  ")
        for text in (f"({_facts(unit, default, bounds)})", meaning):
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def described(field: FieldInfo) -> tuple[str, str]:
    """What is known of a field (unit, default, range), and what it means."""
    return _facts(_unit(field), _default(field), _range(field)), _meaning(field)


def _facts(unit: str, default: str, bounds: str) -> str:
    known = "required" if default == "required" else f"default {default}"
    return "; ".join(part for part in (f"in {unit}" if unit else "", known, bounds) if part)


def _file_schema(schema: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "object", "description": "Keys that replace those of the file."}
    sizes = {"type": "object", "additionalProperties": part, "description": "Variants of the file by name."}
    schema["properties"] = {**schema["properties"], "sizes": sizes}
    return {"$schema": DIALECT, **schema}


def _without_required(schema: dict[str, Any]) -> dict[str, Any]:
    # an axis may give any key but the kinds, which decide what the other keys are
    schema = copy.deepcopy(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        part["required"] = [key for key in part.get("required", []) if key in DISCRIMINATORS]
    return schema


Row = tuple[str, str, str, str, str]


def _rows(model: type[BaseModel], prefix: str) -> Iterator[Row]:
    for name, field in model.model_fields.items():
        models = _models(field.annotation)
        if not models or (len(models) > 1 and not _told_apart(models[0])):
            yield f"{prefix}{name}", _unit(field), _default(field), _range(field), _meaning(field)
        elif len(models) == 1:
            yield from _rows(models[0], f"{prefix}{name}.")
        else:
            kinds = {_kind(choice): choice for choice in models}
            key = _discriminator(models[0])
            yield f"{prefix}{name}.{key}", "", _kind_default(field, key), " | ".join(kinds), _meaning(field)
            yield from _rows_of_union(kinds, f"{prefix}{name}.", key)


def _rows_of_union(kinds: dict[str, type[BaseModel]], prefix: str, key: str) -> Iterator[Row]:
    """Fields of all kinds; one that several kinds share is listed once, with the kinds it belongs to."""
    owners: dict[Row, list[str]] = {}
    for kind, model in kinds.items():
        for row in _rows(model, prefix):
            owners.setdefault(row, []).append(kind)
    for (dotted, unit, default, bounds, meaning), having in owners.items():
        if dotted != f"{prefix}{key}":
            label = dotted if len(having) == len(kinds) else f"{dotted} ({', '.join(having)})"
            yield label, unit, default, bounds, meaning


def _kind(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields[_discriminator(model)].annotation)[0])


def _told_apart(model: type[BaseModel]) -> bool:
    """Whether a key says which form of a section it is; others are forms of one value."""
    return any(key in DISCRIMINATORS for key in model.model_fields)


def _discriminator(model: type[BaseModel]) -> str:
    return next(key for key in DISCRIMINATORS if key in model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "none"
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def _kind_default(field: FieldInfo, key: str) -> str:
    return "required" if field.default is PydanticUndefined else str(getattr(field.default, key))


def _range(field: FieldInfo) -> str:
    parts = [field.annotation, *get_args(field.annotation)]
    choices = [choice for part in parts for choice in get_args(part) if isinstance(choice, str)]
    if choices:
        return " | ".join(choices)
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in signs.items()
        if getattr(item, name, None) is not None
    ]
    return ", ".join(bounds)


def _meaning(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    paper = extra.get("paper") if isinstance(extra, dict) else None
    text = field.description or ""
    return f"{text} [{paper}]" if paper else text
