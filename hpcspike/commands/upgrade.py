"""``hpcspike upgrade``: a store of an older layout brought up to date, in place."""

from __future__ import annotations

import argparse
import sys

from hpcspike.commands.common import counted


def run(arguments: argparse.Namespace) -> int:
    """Bring the store up to date, and say what was done."""
    from hpcspike.sweep.upgrade import upgrade_sweep

    upgraded = upgrade_sweep(arguments.store, say=lambda text: print(f"hpcspike: {text}", file=sys.stderr))
    if not upgraded.changed:
        print(f"{arguments.store}: up to date, nothing to do")
        return 0
    lost = f", {upgraded.unreadable:,} left to be computed anew" if upgraded.unreadable else ""
    print(f"{arguments.store}: {counted(upgraded.points, 'finished point')} now vouched for by checksums{lost}")
    return 0
