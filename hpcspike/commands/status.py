"""``hpcspike status``: how far a sweep is."""

from __future__ import annotations

import argparse

from hpcspike.sweep.cost import shown_seconds
from hpcspike.sweep.reading import sweep_status


def run(arguments: argparse.Namespace) -> int:
    """Print the state of a store."""
    status = sweep_status(arguments.store)
    counts = ", ".join(f"{count} {name}" for name, count in status.counts.items() if count)
    print(f"sweep      {status.name}{' (finalized)' if status.finalized else ''}")
    print(f"points     {status.done} of {status.points} done{f' ({counts})' if counts else ''}")
    print(f"batches    {status.batches_done} of {status.batches} done")
    if status.done < status.points:
        print(f"left       about {shown_seconds(status.seconds_left)} on one core")
    for row, text in sorted(status.failures.items()):
        print(f"failed     point {row}: {text}")
    return 0
