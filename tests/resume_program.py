"""A program for MPI ranks: trains a small network with checkpoints, and is stopped or killed on the way.

usage: resume_program.py JSON    with the keys of `Request`; exits with 75 if training was interrupted
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpcspike.engine import checkpoint, checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World, connect
from hpcspike.engine.stopping import Watch
from hpcspike.errors import HpcspikeError
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.spec.experiment import Experiment
from tests.small_networks import experiment


class Request(NamedTuple):
    """What to train and how it is to end.

    checkpoints: arguments of `Checkpoints`; happens: "signal" (rank 0 waits for one after the second loop), "late"
    (rank 0 finds that years have passed then), "kill" (rank 1, after the third loop), "kill writing" (rank 1, in the
    middle of its second block), or nothing.
    """

    checkpoints: dict[str, Any]
    variable: str = "drive"
    n_loops: int = 3
    happens: str = ""


def experiment_of(request: Request) -> Experiment:
    """Two target sets on a number of neurons that no small number of ranks divides.

    Rates: two recorded conditions in random order, with noise, random starts and tests in training.
    """
    rate = request.variable == "rate"
    sines = {"kind": "sine", "duration_ms": 60.0, "n_sets": 2}
    conditions = {
        "kind": "recorded", "path": "generated", "conditions": ["left", "right"], "n_units": 10, "duration_ms": 60.0,
        "auxiliary_ratio": 1.9,
    }  # fmt: skip
    return experiment(
        network={"n_neurons": 29},
        neuron={"bias": 0.5},
        connectivity={"kind": "gaussian", "probability": 0.4, "sigma": 2.0, "zero_row_sum": True},
        targets=conditions if rate else sines,
        protocol={
            "free_run_ms": 20.0,
            "test_free_run_ms": 20.0,
            "start": "random" if rate else "running",
            "set_order": "random" if rate else "alternating",
        },
        training={
            "n_loops": request.n_loops,
            "update_interval_ms": 4.0,
            "variable": request.variable,
            "keep": "best" if rate else "last",
            "transfer": "measured" if rate else "phi_2",
        },
        trial_noise={"standard_deviation": 0.2 if rate else 0.0},
        measures={"n_test_trials": 2, "n_clamped_trials": 2, "test_every_loops": 1 if rate else None},
    )


def digests(request: Request, world: World, **options: Any) -> dict[str, str]:
    """Train and judge; digests of weights, state, P, learning curve and measures, of the whole network."""
    learner, evaluation = fit_and_evaluate(experiment_of(request), world=world, **options)
    trained = learner.trained
    covariances = [trained.rls.covariance(row).ravel() for row in range(trained.problem.n_rows)]
    live = trained.simulation
    parts = {"weight": live.weight, "P": np.concatenate(covariances), "drive": live.drive, "state": live.state.T}
    found = {name: world.concatenate(part) for name, part in parts.items()}
    found |= {name: curve for name, curve in trained.curve.items() if name != "seconds"}
    found |= {name: np.array(value) for name, value in evaluation.scalars.items()}
    return {name: hashlib.sha256(values.tobytes()).hexdigest()[:16] for name, values in found.items()}


def main(request: Request) -> None:
    """Train; rank 0 writes the digests to ``result.json``, every rank why it ended early to ``ended-RANK``."""
    world = connect()
    Watch._POLL_SECONDS = 0.002  # often, for so small a network
    checkpoints = Checkpoints(**request.checkpoints)

    def on_loop(loop: int, row: dict[str, float]) -> None:
        if request.happens == "signal" and loop == 1 and world.rank == 0:
            Path("ready").write_text("now")
            handler: Any = signal.getsignal(signal.SIGTERM)
            end = time.monotonic() + 30.0
            while not handler.__self__.received and time.monotonic() < end:
                time.sleep(0.01)
        if request.happens == "late" and loop == 1 and world.rank == 0:
            object.__setattr__(checkpoints, "started", checkpoints.started - 1e9)
        if request.happens == "kill" and loop == 2 and world.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    if request.happens == "kill writing" and world.rank == 1:
        _die_in_the_second_block()
    try:
        result = digests(request, world, checkpoints=checkpoints, on_loop=on_loop)
        if world.rank == 0:
            Path("result.json").write_text(json.dumps(result))
        checkpoint.discard(checkpoints, world)
    except HpcspikeError as error:
        Path(f"ended-{world.rank}").write_text(str(error))
        sys.exit(error.exit_code)
    except BaseException:
        traceback.print_exc()
        world.abort(1)


def _die_in_the_second_block() -> None:
    write, count = checkpoint_files.write_block, 0

    def counted(path: Path, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            path.write_bytes(b"half a block")
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, *arguments)

    checkpoint_files.write_block = counted


if __name__ == "__main__":
    main(Request(**json.loads(sys.argv[1])))
