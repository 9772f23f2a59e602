"""``hpcspike verify``: whether the bytes of a result are those that were written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hpcspike.commands.common import counted, is_sweep
from hpcspike.sweep.verify import Finding, Verified


def run(arguments: argparse.Namespace) -> int:
    """Check everything, and say what was checked and what is wrong; 2 if anything is."""
    path = Path(arguments.path)
    verified = _checker(path)(path)
    if arguments.json:
        print(json.dumps({"path": str(path), **asdict(verified)}, indent=1))
    else:
        _print(path, verified)
    return 2 if verified.findings else 0


def _print(path: Path, verified: Verified) -> None:
    checked = ", ".join(counted(number, kind.removesuffix("s")) for kind, number in verified.checked.items())
    for finding in verified.findings:
        print(f"damaged    {finding.what}\n           {finding.remedy}")
    if verified.unverified:
        print(f"unverified {verified.unverified}")
    wrong = f"{counted(len(verified.findings), 'thing')} not as written" if verified.findings else "nothing wrong"
    print(f"{path}: {checked} checked, {wrong}")


def _checker(path: Path) -> Callable[[Path], Verified]:
    """What checks the kind of thing that lies at a path: the first whose test is true."""
    return next(check for is_kind, check in _KINDS if is_kind(path))


def _sweep(path: Path) -> Verified:
    from hpcspike.sweep.verify import verify_sweep

    return verify_sweep(path)


def _result(path: Path) -> Verified:
    """A network, a study, an export, or a folder of checkpoints."""
    from hpcspike.verification import verify

    found = verify(path)
    remedy = "make it anew with the command that made it, or take a copy"
    unverified = "" if found.vouched else "it carries no checksums: another program, or an older version, wrote it"
    return Verified({"results": 1}, [Finding(fault, remedy) for fault in found.faults], unverified)


_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Verified]], ...] = (
    (is_sweep, _sweep), (lambda path: True, _result),
)  # fmt: skip
