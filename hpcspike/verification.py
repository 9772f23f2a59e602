"""What a check of files found, whatever kind of files they are."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something that is not what was written: what it is, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Verified:
    """What was checked and what is wrong.

    Attributes
    ----------
    checked
        Kind of thing -> how many of them were checked.
    findings
        What is wrong; none: everything is what was written.
    unverified
        Why nothing vouches for the content, in words; empty where something does.
    """

    checked: dict[str, int]
    findings: list[Finding] = field(default_factory=list)
    unverified: str = ""
