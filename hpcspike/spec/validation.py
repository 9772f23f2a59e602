"""Whether a document is an experiment that can be run, with errors a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hpcspike.errors import SpecError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.yaml_text import shown

_MOST_HINTS = 3
_MOST_ERRORS = 12
_LONGEST_KEY = 60
"""Longer keys are cut in messages, and nothing like them is looked for."""

PAPER_SYMBOLS = {
    "lambda": ("training.ridge",), "N": ("network.n_neurons",), "p": ("connectivity.probability",),
    "dt": ("neuron.step_ms",), "Delta_t": ("training.update_interval_ms",), "T": ("targets.duration_ms",),
    "tau": ("neuron.tau_ms",), "tau_m": ("neuron.tau_ms",), "tau_s": ("synapse.tau_syn_ms",),
    "tau_c": ("targets.tau_corr_ms",), "sigma": ("connectivity.sigma",), "I": ("neuron.bias",),
    "g": ("connectivity.inhibition", "targets.gain"), "J": ("connectivity.coupling",),
    "f": ("connectivity.inhibitory_fraction",), "A": ("targets.amplitude",), "a": ("stimulus.amplitude",),
    "T0": ("targets.phase_ms",), "T1": ("targets.period_ms",), "T2": ("targets.period_fast_ms",),
    "c": ("training.smoothing",),
}  # fmt: skip
"""Symbol of the paper -> keys that stand for it."""


def validate_experiment(document: dict[str, Any], *, source: str = "experiment") -> Experiment:
    """A validated experiment, or a SpecError that names key, value and what is allowed."""
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise SpecError(explained(error, Experiment, source)) from None


def explained(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """What pydantic refuses in a model, one line for each thing, as many as a person reads; source: where it stands."""
    entries = error.errors(include_url=False)
    lines = _forms_joined([_explain(entry, model) for entry in _likest(entries[: 2 * _MOST_ERRORS])])[:_MOST_ERRORS]
    if len(entries) > 2 * _MOST_ERRORS:
        lines.append(f"and more: {len(entries):,} in all; mend these first")
    return "\n".join(f"{source}: {line}" for line in lines)


def _likest(entries: list[Any]) -> list[Any]:
    """Errors without those of words where a value may be a list, too, and is one with a wrong number in it."""

    def is_list(entry: Any) -> bool:
        *field, form = entry["loc"]
        return any(
            list(other["loc"][: len(field)]) == field and len(other["loc"]) > len(field) + 1 for other in entries
        )

    return [
        one for one in entries if not (one["type"] == "literal_error" and "[" in str(one["loc"][-1]) and is_list(one))
    ]


def _forms_joined(lines: list[str]) -> list[str]:
    """Lines, of a value that may have several forms a single one that names them all."""
    forms: dict[str, list[str]] = {}
    for line in lines:
        value, must, form = line.partition(": must be ")
        known = forms.setdefault(value + must, [])
        known += [form] if form not in known else []
    return [value + ", or ".join(known) for value, known in forms.items()]


def _explain(entry: Any, model: type[BaseModel]) -> str:
    section, location = _walk(model, entry["loc"])
    places: tuple[str, ...] = getattr(section, "PLACES", ())
    if location and isinstance(location[-1], int) and location[-1] < len(places):
        location[-1] = places[location[-1]]
    key = ".".join(_cut(str(part)) for part in location)
    kind, value = entry["type"], entry["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_nearest(key, section, model)}"
    if kind == "missing":
        return f"{key}: missing{_unit_of(section, location[-1], ' (in {unit})')}; this key is required"
    if kind == "value_error":
        text = str(entry["ctx"]["error"])
        of_section = isinstance(value, dict) and _is_section(section, location[-1] if location else "")
        if not key or (of_section and model is Experiment):  # it names its key itself
            return text
        return f"{key}: {text}" if of_section else f"{key} = {_bare(value)}: {text}"
    if kind in {"union_tag_invalid", "union_tag_not_found"} and isinstance(value, dict):
        tag = str(entry["ctx"].get("discriminator", "kind")).strip("'")
        given = f" = {shown(value[tag])}" if tag in value else " is missing"
        kinds = [str(_tag(choice)) for choice in _models_in(section.model_fields[str(location[-1])].annotation)]
        return f"{key}.{tag}{given}: must be one of {', '.join(kinds)}"
    if kind == "string_pattern_mismatch":
        return f"{key} = {shown(value)}: must be letters, digits, '.', '_' and '-', a letter or digit first"
    if kind == "string_too_long":
        return f"{key} = {shown(value)}: must have at most {entry['ctx']['max_length']} characters, not {len(value):,}"
    if kind in {"model_type", "model_attributes_type", "dict_type", "union_tag_not_found"}:
        return f"{key} = {shown(value)}: must be a section, that is a mapping of keys to values"
    if kind in {"float_parsing", "int_parsing", "float_type", "int_type"}:
        whole = "a whole number" if kind.startswith("int") else "a number"
        plain = isinstance(value, str) and value.strip(" +-.0123456789eE") == "" != value.strip()
        unit = _unit_of(section, location[-1], " in {unit}" if plain else " in {unit}, written without the unit")
        return f"{key} = {shown(value)}: must be {whole}{unit}{', without quotes' if plain else ''}"
    if kind == "list_type":
        of = " of whole numbers" if "int" in str(entry["loc"][-1]) else ""
        return f"{key} = {shown(value)}: must be a list{of}"
    if kind == "bool_type":
        return f"{key} = {shown(value)}: must be true or false"
    message = entry["msg"].replace("Input should be", "must be").replace("Input must be", "must be")
    return f"{key} = {shown(value)}: {message}{_unit_of(section, location[-1] if location else '', ' {unit}')}"


def _cut(part: str) -> str:
    return part if len(part) <= _LONGEST_KEY else f"{part[:_LONGEST_KEY]}..."


def _bare(value: Any) -> str:
    return _cut(repr(value)[1:-1]) if isinstance(value, str) else shown(value)


def _walk(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[type[BaseModel], list[Any]]:
    """The section a pydantic location ends in, and the location without the tags of unions."""
    section, choices = model, [model]
    kept: list[Any] = []
    free_key = False  # the next part is a key of a free mapping, such as the name of an axis
    form = False  # the next part is pydantic's name of one of the forms that a value may have
    for part in location:
        if form:
            form = False
            continue
        if free_key:
            kept.append(part)
            free_key = False
            continue
        tagged = next((choice for choice in choices if len(choices) > 1 and _tag(choice) == part), None)
        if tagged is not None:  # a union's tag, not a key that the user wrote
            section, choices = tagged, [tagged]
            continue
        if len(choices) >= 1:
            section = choices[0]
        kept.append(part)
        field = section.model_fields.get(str(part))
        choices = _models_in(field.annotation) if field is not None else []
        free_key = field is not None and get_origin(field.annotation) is dict
        form = field is not None and not choices and len(_forms(field.annotation)) > 1
    return section, kept


def _forms(annotation: Any) -> list[Any]:
    """What a value may be, but for None."""
    union = get_origin(annotation) in (Union, UnionType)
    return [part for part in (get_args(annotation) if union else (annotation,)) if part is not NoneType]


def _is_section(section: type[BaseModel], key: Any) -> bool:
    """Whether a key stands for sections alone, and not for values that may be written as a mapping, too."""
    field = section.model_fields.get(str(key))
    return field is None or all(_models_in(form) for form in _forms(field.annotation))


def _tag(model: type[BaseModel]) -> Any:
    """What tells a model from the others of its union: its ``kind``, its ``model``, or the name of its only form."""
    field = model.model_fields.get("kind") or model.model_fields.get("model")
    if field is None:
        return next(iter(model.model_fields), None)
    return get_args(field.annotation)[0] if get_args(field.annotation) else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _nearest(dotted: str, section: type[BaseModel], model: type[BaseModel]) -> str:
    """What may be meant by a key that its section does not know: such a key in another section, or one like it here."""
    above, _, key = dotted.rpartition(".")
    known = f"nown keys here: {', '.join(section.model_fields)}"
    if len(key) > _LONGEST_KEY:
        return f"; k{known}"
    names, paths = list(section.model_fields), list(dict.fromkeys(_paths(model)))

    def known_as(name: str) -> list[str]:
        return [path for path in paths if path.rpartition(".")[2] == name and path != dotted]

    symbol = [path for path in paths for meant in PAPER_SYMBOLS.get(key, ()) if f".{path}".endswith(f".{meant}")]
    if symbol:
        return f"; {key} of the paper is {' or '.join(map(repr, symbol))}. K{known}"
    elsewhere = known_as(key)
    # without its section a key is like a section's name only by chance
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5 if above or not elsewhere else 0.85)
    if not above and not elsewhere:
        likest = difflib.get_close_matches(key, [path.rpartition(".")[2] for path in paths], n=1, cutoff=0.7)
        close = known_as(likest[0]) if likest else close
    meant = [*close, *elsewhere] if above or not close else close
    hint = f"; did you mean {' or '.join(map(repr, meant[:_MOST_HINTS]))}?" if meant else ""
    return f"{hint} K{known}" if hint else f"; k{known}"


def _paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Dotted names of all fields of a model and of the sections in it, upper ones first."""
    below: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        if model is not Experiment and name == "experiment":  # sweeps and studies hold one as it was written
            below.append((name, Experiment))
        elif get_origin(field.annotation) is not dict:
            below += [(name, part) for part in _models_in(field.annotation)]
    for name, part in below:
        yield from _paths(part, f"{above}{name}.")


def _unit_of(section: type[BaseModel], key: Any, template: str) -> str:
    field = section.model_fields.get(str(key))
    extra = field.json_schema_extra if field is not None else None
    unit = extra.get("unit") if isinstance(extra, dict) else None
    return template.format(unit=unit) if unit else ""
