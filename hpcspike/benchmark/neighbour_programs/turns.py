"""What the programs beside this one share: the network as JSON, and one stretch of time for every line read."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def asked_for() -> dict[str, Any]:
    """The network, from the command line."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def take_turns(version: str, synapses: int, simulate: Callable[[], dict[str, Any]]) -> None:
    """Say that the network is built, and simulate one stretch whenever a line comes; end when no more can come.

    simulate returns ``spikes`` of the stretch, and ``wall_seconds`` if it knows better than the clock here.
    """
    print(json.dumps({"version": version, "synapses": synapses}), flush=True)
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        found = simulate()
        clocks = {
            "wall_seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor,
        }  # fmt: skip
        print(json.dumps({**clocks, **found}), flush=True)


def processor_seconds(call: Callable[[], Any]) -> float:
    """Seconds of computation, of all threads, that a call takes."""
    began = time.process_time()
    call()
    return time.process_time() - began
