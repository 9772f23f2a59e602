"""``hpcspike finalize``: the last check of a sweep."""

from __future__ import annotations

import argparse

from hpcspike.sweep.cost import shown_seconds
from hpcspike.sweep.finalize import finalize


def run(arguments: argparse.Namespace) -> int:
    """Check and summarise."""
    summary = finalize(arguments.store)
    counts = ", ".join(f"{count} {name}" for name, count in summary["status"].items() if count)
    print(
        f"{arguments.store}: all {summary['points']} points done ({counts}), {shown_seconds(summary['wall_seconds'])}"
    )
    return 0
