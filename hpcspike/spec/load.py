"""From YAML to validated models, with errors a person can act on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hpcspike import checks
from hpcspike.errors import SpecError
from hpcspike.paths import expanded
from hpcspike.shipped import config_file
from hpcspike.spec.documents import merged, set_dotted
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import change_by
from hpcspike.spec.places import anchor_places
from hpcspike.spec.study import Study, StudyRun
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.validation import explained, validate_experiment
from hpcspike.spec.yaml_text import parse_yaml, read_text, shown

AnySection = TypeVar("AnySection", bound=BaseModel)

_MOST_CHANGES = 3
"""So many changes are named in a message."""


def load(
    path: str | Path, *, size: str | None = None, changes: dict[str, Any] | None = None
) -> Experiment | Sweep | Study:
    """Read an experiment, sweep or study from YAML.

    Parameters
    ----------
    path
        YAML file, or the name of an experiment that comes with hpcspike, such as ``fig1_drive``; a file of that name
        in this folder is taken first. A file with the key ``experiment`` is a sweep, with ``variants`` beside it a
        study, otherwise it is a single experiment.
    size
        Name of an entry of the file's ``sizes`` section, whose keys replace those of the file; default: the first.
    changes
        Dotted key -> value, laid over the file's keys last.

    Raises
    ------
    SpecError
        If the file is missing, not YAML, or says something that cannot be run.
    """
    path = config_file(expanded(path))
    if changes is not None and not isinstance(changes, dict):
        raise TypeError(f"changes = {checks.shown(changes)}: must map dotted keys to values")
    document = read_document(path, size=size)
    for dotted, value in (changes or {}).items():
        set_dotted(document, dotted, value)
    anchor_places(document, path.parent)
    if "experiment" not in document:
        return validate_experiment(document, source=str(path))
    return (validate_study if "variants" in document else validate_sweep)(document, source=str(path))


def read_document(path: Path, *, size: str | None = None) -> dict[str, Any]:
    """The mapping in a YAML file with one of its sizes applied, not validated."""
    return _apply_size(read_yaml(path), size, path)


def sizes_of(path: Path) -> list[str]:
    """Names of the sizes that a file offers, the one it has by default first; none if it has no such section."""
    sizes = read_yaml(path).get("sizes")
    return list(sizes) if isinstance(sizes, dict) else []


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    text = read_text(path)
    try:
        document = parse_yaml(text)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    if document is None:
        raise SpecError(f"{path}: is empty; it must hold a mapping of sections (network:, targets:, training:, ...)")
    if not isinstance(document, dict):
        raise SpecError(f"{path}: must hold a mapping of sections (network:, targets:, training:, ...)")
    return document


def _apply_size(document: dict[str, Any], size: str | None, path: Path) -> dict[str, Any]:
    sizes = document.pop("sizes", None)
    if size is None and sizes is None:
        return document
    if sizes is None:
        raise SpecError(f"{path}: size {size!r} was asked for, but the file has no 'sizes' section; leave it out")
    if not isinstance(sizes, dict) or not sizes:
        raise SpecError(f"{path}: 'sizes' must map names (smoke, laptop, paper) to sections")
    name = next(iter(sizes)) if size is None else size
    if name not in sizes:
        raise SpecError(f"{path}: size {shown(name)} is unknown; choose one of {', '.join(sizes)}")
    part = sizes[name]
    if part is not None and not isinstance(part, dict):
        raise SpecError(f"{path}: sizes.{name} = {shown(part)}: must be a section, that is a mapping of keys to values")
    return merged(document, part or {})


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
        given = [f"{key} = {'null' if value is None else shown(value)}" for key, value in changes.items()]
        more = f" and {len(given) - _MOST_CHANGES} more" if len(given) > _MOST_CHANGES else ""
        source = f"with {', '.join(given[:_MOST_CHANGES])}{more}"
        raise SpecError(explained(error, type(section), source)) from None


change_by(changed)


def validate_sweep(document: dict[str, Any], *, source: str = "sweep") -> Sweep:
    """A validated sweep whose first point is validated too; other points when they are planned."""
    try:
        sweep = Sweep.model_validate(document)
    except ValidationError as error:
        raise SpecError(explained(error, Sweep, source)) from None
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
        raise SpecError(explained(error, Study, source)) from None
    try:
        for variant in study.variants:
            study.experiment_of(StudyRun(variant, 0))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    return study
