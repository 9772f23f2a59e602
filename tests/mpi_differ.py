"""A program for MPI ranks that are given different work: every case in turn, and what came of it.

usage: mpi_differ.py CASES    a JSON file: [[KIND, what rank 0 is given, what the other ranks are given], ...]

Rank 0 writes ``found.json``: for every case the exit code or error of each rank, and what rank 0 said.
"""

import contextlib
import io
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpcspike.cli import main


def command(line: str) -> int:
    """Run a command line in this process."""
    return main(shlex.split(line))


def call(given: dict[str, Any]) -> int:
    """Call a function of the Python API."""
    import hpcspike
    from hpcspike.engine.communication import connect
    from hpcspike.engine.distribute import build_block
    from hpcspike.sweep.batch import run_batch

    name, options, world = given["call"], given.get("options", {}), connect()
    if name == "run":
        hpcspike.run(_loaded(given), world=world, **options)
    elif name == "train":
        problem = build_block(_loaded({}), world)
        hpcspike.train(problem, _loaded(given).training, world=world, **options)
    elif name == "run_batch":
        run_batch(world=world, **options)
    return 0


def _loaded(given: dict[str, Any]) -> Any:
    import hpcspike

    return hpcspike.load("network.yaml", changes=given.get("changes", {}))


KINDS: dict[str, Callable[[Any], int]] = {"command": command, "call": call}


def run(kind: str, given: Any) -> tuple[Any, str]:
    """Exit code or name of the error, and everything that was said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            outcome: Any = KINDS[kind](given)
        except Exception as error:  # told by its name
            outcome = type(error).__name__
            said.write(str(error))
    return outcome, said.getvalue()


if __name__ == "__main__":
    from hpcspike.engine.communication import connect

    world = connect()
    found = []
    for kind, first, others in json.loads(Path(sys.argv[1]).read_text()):
        outcome, said = run(kind, first if world.rank == 0 else others)
        found.append({"outcomes": world.gather(outcome), "said": said})
    if world.rank == 0:
        Path("found.json").write_text(json.dumps(found))
