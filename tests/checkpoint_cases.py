"""What the tests of checkpoints share: a small training, the bits of its outcome, and runs that stop early."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import hpcspike
from hpcspike.engine import checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import ThetaNeuron, Training
from tests.small_networks import problem

N = 16
LOOP_STEPS = 30 + 20 + 100
"""Free run, cue and window of `small_networks.problem`."""
TRAINING = Training(n_loops=3)


def changed(n: int = N, **changes: Any) -> Problem:
    """The problem of these tests, or one with other arguments; its neurons spike often."""
    return problem(n, **{"fixed": 0.3, "neuron": ThetaNeuron(bias=0.3), **changes})


@functools.cache
def made() -> Problem:
    """The problem of these tests; do not change it."""
    return changed()


def outcome(trained: hpcspike.Trained) -> list[bytes]:
    """Bits of what training gives."""
    curves = [trained.curve[name] for name in ("correlation", "rate", "weight_change")]
    live = trained.simulation
    covariances = [trained.rls.covariance(row) for row in range(trained.problem.n_rows)]
    return [array.tobytes() for array in (live.weight, live.drive, live.state, live.filtered, *curves, *covariances)]


@functools.cache
def uninterrupted() -> list[bytes]:
    """The outcome of the training of these tests."""
    return outcome(hpcspike.train(made(), TRAINING))


def folders(path: Path) -> list[int]:
    """Steps of the checkpoints in a folder, oldest first."""
    return [checkpoint_files.steps_of(found) for found in reversed(checkpoint_files.checkpoints_in(path))]


def cut_at(folder: Path, steps: int) -> None:
    """Train for so many steps in a run of its own."""
    with pytest.raises(Interrupted):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder, stop_after_steps=steps))
