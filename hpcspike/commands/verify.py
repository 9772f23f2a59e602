"""``hpcspike verify``: whether the bytes of a result are those that were written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hpcspike.commands.common import counted, is_sweep
from hpcspike.errors import StoreError
from hpcspike.verification import Verified


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
    for is_kind, check in _KINDS:
        if is_kind(path):
            return check
    raise StoreError(f"{path} is nothing that can be verified; give the store of a sweep")


def _sweep(path: Path) -> Verified:
    from hpcspike.sweep.verify import verify_sweep

    return verify_sweep(path)


_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Verified]], ...] = ((is_sweep, _sweep),)
