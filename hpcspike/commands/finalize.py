"""``hpcspike finalize``: the last check of a sweep."""

from __future__ import annotations

import argparse

from hpcspike.commands.common import states_in_words
from hpcspike.sweep.cost import shown_seconds
from hpcspike.sweep.finalize import finalize


def run(arguments: argparse.Namespace) -> int:
    """Check and summarise."""
    summary = finalize(arguments.store)
    counts = states_in_words(summary["status"])
    print(
        f"{arguments.store}: all {summary['points']} points done ({counts}), {shown_seconds(summary['wall_seconds'])}"
    )
    return 0
