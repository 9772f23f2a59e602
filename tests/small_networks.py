"""Small networks with everything in them: explicit arrays for `hpcspike.Problem`, and experiments that take no time."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Experiment, Protocol, Synapse

TAU_MS = 10.0


def arrays(
    n: int = 30, *, seed: int = 1, n_sets: int = 1, duration_ms: int = 100, fixed: float = 0.0
) -> dict[str, Any]:
    """Arguments of `Problem`: Gaussian weights of which the share ``fixed`` is not plastic, and sine targets."""
    rng = np.random.default_rng(seed)
    connected = rng.random((n, n)) < 0.4
    np.fill_diagonal(connected, False)
    weights = np.where(connected, 2.0 / np.sqrt(0.4 * n) * rng.standard_normal((n, n)), 0.0)
    time = np.arange(1, duration_ms + 1)
    periods, phases = rng.uniform(60, 200, (n_sets, n, 1)), rng.random((n_sets, n, 1))
    return {
        "weights": weights,
        "plastic": connected & (rng.random((n, n)) >= fixed),
        "targets": np.sin(2 * np.pi * (time / periods + phases)),
        "stimuli": rng.uniform(-1, 1, (n_sets, n)),
        "phase": rng.uniform(0, 2 * np.pi, n),
        "filtered": rng.uniform(0, 0.2, n),
    }


def problem(n: int = 30, *, tau_syn_ms: float = 20.0, **changes: Any) -> Problem:
    """A problem of `arrays` with a short cue and free run; further arguments go to whichever of the two knows them."""
    recipe = {name: changes.pop(name) for name in ("seed", "n_sets", "duration_ms", "fixed") if name in changes}
    options: dict[str, Any] = {
        "synapse": Synapse(tau_syn_ms=tau_syn_ms),
        "protocol": Protocol(free_run_ms=30.0, test_free_run_ms=30.0),
        "stimulus_ms": 20.0,
    }
    return Problem(**{**arrays(n, **recipe), **options, **changes})


def experiment(**sections: Any) -> Experiment:
    """A tiny experiment; sections given replace those below."""
    document: dict[str, Any] = {
        "name": "tiny",
        "seed": 3,
        "network": {"n_neurons": 20},
        "synapse": {"tau_syn_ms": 20.0},
        "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 2.0},
        "targets": {"kind": "sine", "duration_ms": 200.0},
        "stimulus": {"duration_ms": 20.0},
        "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0},
        "training": {"n_loops": 2, "update_interval_ms": 2.0},
        "measures": {"n_test_trials": 2, "n_clamped_trials": 2},
    }
    return Experiment.model_validate({**document, **sections})
