"""Where the numbers of a page come from: programs, machine, seeds, configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hpcspike.report.page import facts, folded

ORIGIN = "Where the numbers come from"
"""Heading of the section on every page."""

FEW = 6
"""Different values that are all named; of more, the first and the count."""


def origin(records: Sequence[Mapping[str, Any]], *, more: Iterable[tuple[str, str]] = (), document: Any) -> Markup:
    """Programs, machines and settings of the processes that computed something, and what was asked of them.

    Parameters
    ----------
    records
        Provenance of every process, as `hpcspike.provenance.collect` gives it.
    more
        Further facts, shown first.
    document
        The configuration as plain data.
    """
    known = [record for record in records if record]
    rows = [
        ("hpcspike", _each(known, "hpcspike")),
        ("revision of the code", _each(known, "revision")),
        ("Python", _each(known, "python")),
        ("packages", _each(known, "versions")),
        ("host", _each(known, "host")),
        ("system", _each(known, "platform")),
        ("processor (code generation target)", _some(_part(record, "llvm", "cpu") for record in known)),
        ("BLAS", _each(known, "blas")),
        ("MPI ranks x threads of a process", _some(_ranks(record) for record in known)),
        ("started", _span(str(record.get("started", "")) for record in known)),
    ]
    return Markup().join(
        [
            facts([*more, *((name, text) for name, text in rows if text)]),
            folded("Configuration (YAML)", as_yaml(document)),
        ]
    )


def as_yaml(document: Any) -> str:
    """Plain data as YAML that the commands read."""
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _each(records: Sequence[Mapping[str, Any]], key: str) -> str:
    return _some(_text(record.get(key, "")) for record in records)


def _part(record: Mapping[str, Any], *keys: str) -> str:
    value: Any = record
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    return _text(value)


def _ranks(record: Mapping[str, Any]) -> str:
    return f"{record['n_ranks']} x {record['n_threads']}" if {"n_ranks", "n_threads"} <= set(record) else ""


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(sorted({_text(item) for item in value}))
    return str(value)


def _some(texts: Iterable[str]) -> str:
    """The different texts, in the order in which they come."""
    found = list(dict.fromkeys(text for text in texts if text))
    return "; ".join(found) if len(found) <= FEW else f"{found[0]} and {len(found) - 1} others"


def _span(texts: Iterable[str]) -> str:
    found = sorted({text for text in texts if text})
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}" if found else ""
