"""The files that an experiment, sweep or study names: recordings, digits, and a user's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

from hpcspike.paths import expanded, is_address
from hpcspike.plugins import CODE
from hpcspike.spec.targets import GENERATED


def change_places(document: dict[str, Any], change: Callable[[str], str]) -> None:
    """Put ``change(place)`` for the place of every file that a document names, in its variants and axes too.

    A document need not be valid: what is of another type than a path is left as it is, and so are addresses
    (``s3://bucket/x``), which are the same on every machine.
    """

    def changed(place: Any) -> Any:
        known = isinstance(place, str) and place != GENERATED and not is_address(place)
        return change(place) if known else place

    def changed_source(source: Any) -> Any:
        """The source of a user's code, the file in it changed if it names one."""
        place, colon, name = source.rpartition(":") if isinstance(source, str) else ("", "", "")
        return f"{changed(place)}{colon}{name}" if place.endswith(".py") else source

    for experiment in _experiments(document):
        for part in _named_by_path(experiment.get("targets")):
            part["path"] = changed(part["path"])
        for name, key in CODE.items():
            section = experiment.get(name)
            if isinstance(section, dict) and key in section:
                section[key] = changed_source(section[key])
    axes = document.get("axes")
    if isinstance(axes, dict):
        for axis, of_axis in {
            "targets.path": changed,
            **dict.fromkeys(map(".".join, CODE.items()), changed_source),
        }.items():
            if isinstance(axes.get(axis), list):
                axes[axis] = [of_axis(value) for value in axes[axis]]


def anchor_places(document: dict[str, Any], folder: Path) -> None:
    """Make the places of files absolute, which are relative to ``folder``, that of the file with the document."""
    change_places(document, lambda place: str((folder / expanded(place)).resolve()))


def keep_names_of_files(document: dict[str, Any]) -> None:
    """Keep of every file its name alone: where it lies is a matter of one machine."""
    change_places(document, lambda place: PurePath(place).name)


def _experiments(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a document with sections of experiments: itself, or its experiment, variants and values of axes."""
    if "experiment" not in document:
        yield document
        return
    variants, axes = document.get("variants"), document.get("axes")
    parts = [document["experiment"], *(variants.values() if isinstance(variants, dict) else ())]
    for section in ("targets", *CODE):
        values = axes.get(section) if isinstance(axes, dict) else None
        parts += [{section: value} for value in values] if isinstance(values, list) else []
    yield from (part for part in parts if isinstance(part, dict))


def _named_by_path(targets: Any) -> Iterator[dict[str, Any]]:
    """Targets that name a file, and their conditions that do."""
    if not isinstance(targets, dict):
        return
    conditions = targets.get("conditions")
    for part in (targets, *(conditions if isinstance(conditions, list) else ())):
        if isinstance(part, dict) and "path" in part:
            yield part
