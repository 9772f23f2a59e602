"""From YAML to validated models, with errors a person can act on."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hpcspike import checks
from hpcspike.errors import SpecError
from hpcspike.paths import expanded, is_address
from hpcspike.plugins import CODE
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.study import Study, StudyRun
from hpcspike.spec.sweep import Linspace, Logspace, Sweep, set_dotted
from hpcspike.spec.targets import GENERATED

_MOST_HINTS = 3

AnySection = TypeVar("AnySection", bound=BaseModel)


def load(
    path: str | Path, *, size: str | None = None, changes: dict[str, Any] | None = None
) -> Experiment | Sweep | Study:
    """Read an experiment, sweep or study from YAML.

    Parameters
    ----------
    path
        YAML file. A file with the key ``experiment`` is a sweep, with ``variants`` beside it a study, otherwise it is a
        single experiment.
    size
        Name of an entry of the file's ``sizes`` section, whose keys replace those of the file; default: the first.
    changes
        Dotted key -> value, laid over the file's keys last.

    Raises
    ------
    SpecError
        If the file is missing, not YAML, or says something that cannot be run.
    """
    path = expanded(path)
    if changes is not None and not isinstance(changes, dict):
        raise TypeError(f"changes = {checks.shown(changes)}: must map dotted keys to values")
    document = read_document(path, size=size)
    for dotted, value in (changes or {}).items():
        set_dotted(document, dotted, value)
    if "experiment" in document:
        anchor_paths(document["experiment"], path.parent)
        if "variants" in document:
            for variant in (document["variants"] or {}).values() if isinstance(document["variants"], dict) else []:
                anchor_paths(variant, path.parent)
            return validate_study(document, source=str(path))
        anchor_axes(document.get("axes"), path.parent)
        return validate_sweep(document, source=str(path))
    anchor_paths(document, path.parent)
    return validate_experiment(document, source=str(path))


def read_document(path: Path, *, size: str | None = None) -> dict[str, Any]:
    """The mapping in a YAML file with one of its sizes applied, not validated."""
    return _apply_size(read_yaml(path), size, path)


def sizes_of(path: Path) -> list[str]:
    """Names of the sizes that a file offers, the one it has by default first; none if it has no such section."""
    sizes = read_yaml(path).get("sizes")
    return [str(name) for name in sizes] if isinstance(sizes, dict) else []


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    import yaml

    try:
        document = _yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of an experiment in YAML") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: cannot be read, it is not text in UTF-8; save it as plain text in UTF-8") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error}); check path and permissions") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not valid YAML: {_where(error)}") from None
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    except ValueError as error:  # what looks like a date or a number, but is none
        raise SpecError(f"{path}: not valid YAML: {error}; put dates and long numbers into quotes") from None
    if not isinstance(document, dict):
        raise SpecError(f"{path}: must hold a mapping of sections (network:, targets:, training:, ...)")
    return document


def _yaml(text: str) -> Any:
    """What a text in YAML says; a key that a mapping has twice is refused, of which YAML itself takes the last."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        tree = loader.get_single_node()
        if tree is None:
            return None
        _refuse_repeated(tree)
        return loader.construct_document(tree)
    finally:
        loader.dispose()


def _refuse_repeated(tree: Any) -> None:
    waiting, seen = [tree], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node.value, str):  # one part may stand in several places, even in itself
            continue
        seen.add(id(node))
        lines: dict[str, int] = {}
        for entry in node.value:
            key, *parts = entry if isinstance(entry, tuple) else (None, entry)
            waiting += parts
            if key is None or not isinstance(key.value, str) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise SpecError(
                    f"line {line}: the key {key.value!r} is given twice, first in line {lines[key.value]}; "
                    "leave one of them out"
                )
            lines[key.value] = line


def _where(error: Any) -> str:
    """Line and column at which a YAML file stops making sense, and why."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}; look for brackets, quotes and indentation there"


def _apply_size(document: dict[str, Any], size: str | None, path: Path) -> dict[str, Any]:
    sizes = document.pop("sizes", None)
    if size is None and sizes is None:
        return document
    if sizes is None:
        raise SpecError(f"{path}: size {size!r} was asked for, but the file has no 'sizes' section; leave it out")
    if not isinstance(sizes, dict) or not sizes:
        raise SpecError(f"{path}: 'sizes' must map names (smoke, laptop, paper) to sections")
    sections = {str(name): part for name, part in sizes.items()}  # YAML reads 100 as a number, the command line as text
    name = size or next(iter(sections))
    if name not in sections:
        raise SpecError(f"{path}: size {name!r} is unknown; choose one of {', '.join(sections)}")
    part = sections[name]
    if part is not None and not isinstance(part, dict):
        raise SpecError(f"{path}: sizes.{name} = {part!r}: must be a section, that is a mapping of keys to values")
    return merged(document, part or {})


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, section by section; ``axes`` are replaced whole."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both and key != "axes" else value
    return result


def anchor_paths(document: Any, folder: Path) -> None:
    """Make paths of recorded targets and of a user's code absolute, relative to the file that names them."""
    targets = document.get("targets") if isinstance(document, dict) else None
    if isinstance(targets, dict) and isinstance(targets.get("path"), str):
        targets["path"] = _anchored(targets["path"], folder)
    for name, key in CODE.items():
        section = document.get(name) if isinstance(document, dict) else None
        if isinstance(section, dict) and key in section:
            section[key] = _anchored_source(section[key], folder)


def anchor_axes(axes: Any, folder: Path) -> None:
    """Make paths of recorded targets and of a user's code absolute where a sweep varies them."""
    if not isinstance(axes, dict):
        return
    if isinstance(axes.get("targets.path"), list):
        axes["targets.path"] = [_anchored(path, folder) for path in axes["targets.path"]]
    for axis in map(".".join, CODE.items()):
        if isinstance(axes.get(axis), list):
            axes[axis] = [_anchored_source(source, folder) for source in axes[axis]]
    for section in ("targets", *CODE):
        for value in axes[section] if isinstance(axes.get(section), list) else []:
            anchor_paths({section: value}, folder)


def _anchored(path: Any, folder: Path) -> Any:
    if not isinstance(path, str) or path == GENERATED:
        return path
    return path if is_address(path) else str((folder / expanded(path)).resolve())


def _anchored_source(source: Any, folder: Path) -> Any:
    """The source of a user's code, the file in it made absolute if it names one."""
    place, colon, name = source.rpartition(":") if isinstance(source, str) else ("", "", "")
    return f"{_anchored(place, folder)}{colon}{name}" if place.endswith(".py") else source


def validate_experiment(document: dict[str, Any], *, source: str = "experiment") -> Experiment:
    """A validated experiment, or a SpecError that names key, value and what is allowed."""
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise SpecError(_explained(error, Experiment, source)) from None


def changed(section: AnySection, changes: Mapping[str, Any]) -> AnySection:
    """A validated copy of a section, experiment or sweep with other values for some (dotted) keys."""
    document = {name: getattr(section, name) for name in section.model_fields_set}
    for dotted, value in changes.items():
        top, dot, _ = dotted.partition(".")
        below = document.get(top, getattr(section, top, {})) if dot else {}
        if isinstance(below, BaseModel):
            document[top] = below.model_dump(exclude_unset=True)
        elif dot:
            document[top] = copy.deepcopy(below)  # a free mapping, which stays what it was in the original
        set_dotted(document, dotted, value)
    try:
        return type(section).model_validate(document)
    except ValidationError as error:
        raise SpecError(_explained(error, type(section), "changed")) from None


def validate_sweep(document: dict[str, Any], *, source: str = "sweep") -> Sweep:
    """A validated sweep whose first point is validated too; other points when they are planned."""
    try:
        sweep = Sweep.model_validate(document)
    except ValidationError as error:
        raise SpecError(_explained(error, Sweep, source)) from None
    try:
        sweep.point(next(sweep.parameters()))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    return sweep


def validate_study(document: dict[str, Any], *, source: str = "study") -> Study:
    """A validated study, every variant of which is validated too."""
    try:
        study = Study.model_validate(document)
    except ValidationError as error:
        raise SpecError(_explained(error, Study, source)) from None
    try:
        for variant in study.variants:
            study.experiment_of(StudyRun(variant, 0))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    return study


def _explained(error: ValidationError, model: type[BaseModel], source: str) -> str:
    lines = [_explain(entry, model) for entry in error.errors()]
    return "\n".join(f"{source}: {line}" for line in dict.fromkeys(lines))


def _explain(entry: Any, model: type[BaseModel]) -> str:
    section, location = _walk(model, entry["loc"])
    if issubclass(section, (Linspace, Logspace)) and location[-1] in (0, 1, 2):
        location[-1] = ("first", "last", "count")[location[-1]]
    key = ".".join(str(part) for part in location)
    kind, value = entry["type"], entry["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_nearest(key, section, model)}"
    if kind == "missing":
        return f"{key}: missing{_unit_of(section, location[-1], ' (in {unit})')}; this key is required"
    if kind == "value_error":
        text = str(entry["ctx"]["error"])
        if not key or (isinstance(value, dict) and location[0] not in Sweep.model_fields):
            return text
        return f"{key}: {text}" if isinstance(value, dict) else f"{key} = {value}: {text}"
    if kind in {"union_tag_invalid", "union_tag_not_found"} and isinstance(value, dict):
        tag = str(entry["ctx"].get("discriminator", "kind")).strip("'")
        given = f" = {value[tag]!r}" if tag in value else " is missing"
        kinds = [str(_tag(choice)) for choice in _models_in(section.model_fields[str(location[-1])].annotation)]
        return f"{key}.{tag}{given}: must be one of {', '.join(kinds)}"
    if kind == "string_pattern_mismatch":
        return f"{key} = {value!r}: must consist of letters, digits, '.', '_' and '-' and begin with a letter or digit"
    if kind in {"model_type", "model_attributes_type", "dict_type", "union_tag_not_found"}:
        return f"{key} = {value!r}: must be a section, that is a mapping of keys to values"
    if kind in {"float_parsing", "int_parsing", "float_type", "int_type"}:
        whole = "a whole number" if kind.startswith("int") else "a number"
        unit = _unit_of(section, location[-1], " in {unit}, written without the unit")
        return f"{key} = {value!r}: must be {whole}{unit}"
    message = entry["msg"].replace("Input should be", "must be").replace("Input must be", "must be")
    return f"{key} = {value!r}: {message}{_unit_of(section, location[-1] if location else '', ' {unit}')}"


def _walk(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[type[BaseModel], list[Any]]:
    """The section a pydantic location ends in, and the location without the tags of unions."""
    section, choices = model, [model]
    kept: list[Any] = []
    free_key = False  # the next part is a key of a free mapping, such as the name of an axis
    for part in location:
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
    return section, kept


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
    names, paths = list(section.model_fields), list(dict.fromkeys(_paths(model)))

    def known_as(name: str) -> list[str]:
        return [path for path in paths if path.rpartition(".")[2] == name and path != dotted]

    elsewhere = known_as(key)
    # without its section a key is like a section's name only by chance
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5 if above or not elsewhere else 0.85)
    if not above and not elsewhere:
        likest = difflib.get_close_matches(key, [path.rpartition(".")[2] for path in paths], n=1, cutoff=0.7)
        close = known_as(likest[0]) if likest else close
    meant = [*close, *elsewhere] if above or not close else close
    hint = f"; did you mean {' or '.join(map(repr, meant[:_MOST_HINTS]))}?" if meant else ""
    return f"{hint} Known keys here: {', '.join(names)}" if hint else f"; known keys here: {', '.join(names)}"


def _paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Dotted names of all fields of a model and of the sections in it, upper ones first."""
    below: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        if model in (Sweep, Study) and name == "experiment":
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
