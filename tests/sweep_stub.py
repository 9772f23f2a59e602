"""A stand-in for training, for tests whose subject is the sweep: instant, and a function of the experiment alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hpcspike.identity import experiment_hash
from hpcspike.spec import Experiment
from hpcspike.variables import POINT_RESULTS


def stub_point(experiment: Experiment, **_: Any) -> SimpleNamespace:
    """Results as `hpcspike.runs.point.run_point` returns them, drawn from the experiment's hash."""
    random = np.random.default_rng(int(experiment_hash(experiment)[:15], 16))
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    scalars: dict[str, Any] = {"status": 0, "diverged_loop": -1, "n_recorded": 0}
    for name, variable in POINT_RESULTS.items():
        if variable.dims == ("point",) and name not in scalars:
            scalars[name] = float(random.uniform())
    curves = {name: random.uniform(size=n_loops) for name, item in POINT_RESULTS.items() if item.dims != ("point",)}
    return SimpleNamespace(scalars=scalars, curves=curves)


def sweep_document(**changes: Any) -> dict[str, Any]:
    """A sweep of 12 points in batches of 4, as YAML would give it."""
    return {
        "name": "little",
        "replicates": 2,
        "experiment": {
            "network": {"n_neurons": 20},
            "targets": {"kind": "ou", "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0},
            "protocol": {"free_run_ms": 20.0},
            "training": {"n_loops": 2},
        },
        "axes": {"synapse.tau_syn_ms": [5.0, 20.0, 100.0], "targets.tau_corr_ms": [50.0, 100.0]},
        "batching": {"max_points": 4},
        **changes,
    }
