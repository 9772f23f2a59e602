"""A stand-in for training whose results are a smooth function of tau_s, tau_c, T and N, with noise between networks."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from hpcspike.identity import experiment_hash
from hpcspike.spec import Experiment
from hpcspike.variables import POINT_RESULTS

NOISE = 0.02
SPAN = float(np.log10(500.0))


def errors(tau_s: Any, tau_c: Any) -> tuple[Any, Any]:
    """Tracking and sampling error, as the theory has them."""
    return 0.3 * tau_s / tau_c, 3.0 / np.sqrt(tau_s)


def correlation(tau_s: Any, tau_c: Any) -> Any:
    track, sample = errors(tau_s, tau_c)
    return 1.0 / (1.0 + track**2 + sample**2)


def spectral_index(tau_s: Any, tau_c: Any) -> Any:
    track, sample = errors(tau_s, tau_c)
    return np.tanh(np.log(sample / track))


def balance(tau_c: Any) -> Any:
    """The tau_s at which the spectral index is zero."""
    return (10.0 * tau_c) ** (2.0 / 3.0)


def differing(random: np.random.Generator) -> float:
    """How far a network is off."""
    return NOISE * random.standard_normal()


def smooth_point(
    experiment: Experiment,
    *,
    expected: Callable[[float, float], float] = correlation,
    noise: Callable[[np.random.Generator], float] = differing,
    **_: Any,
) -> SimpleNamespace:
    """Results as `hpcspike.runs.point.run_point` returns them."""
    random = np.random.default_rng(int(experiment_hash(experiment)[:15], 16))
    tau_s, tau_c = experiment.synapse.tau_syn_ms, experiment.targets.tau_corr_ms
    value = expected(tau_s, tau_c) + noise(random)
    index = spectral_index(tau_s, tau_c) + NOISE * random.standard_normal()
    scalars: dict[str, Any] = {"status": 0 if value >= 0.7 else 1 if index > 0 else 2, "diverged_loop": -1}
    scalars |= {"n_recorded": 0, "correlation": value, "correlation_taught": value, "spectral_index": index}
    for name, variable in POINT_RESULTS.items():
        if variable.dims == ("point",) and name not in scalars:
            scalars[name] = float(random.uniform())
    n_loops = experiment.training.n_loops * experiment.targets.n_sets
    curves = {name: random.uniform(size=n_loops) for name, item in POINT_RESULTS.items() if item.dims != ("point",)}
    return SimpleNamespace(scalars=scalars, curves=curves)


def adaptive_document(**changes: Any) -> dict[str, Any]:
    """An adaptive sweep over tau_s and tau_c, as YAML would give it."""
    return {
        "name": "found",
        "replicates": 2,
        "experiment": {
            "network": {"n_neurons": 20},
            "targets": {"kind": "ou", "duration_ms": 100.0},
            "stimulus": {"duration_ms": 20.0},
            "protocol": {"free_run_ms": 20.0},
            "training": {"n_loops": 2},
        },
        "axes": {
            "synapse.tau_syn_ms": {"log": [1.0, 500.0], "resolution": 0.05, "round_to": 0.1},
            "targets.tau_corr_ms": {"log": [1.0, 500.0], "resolution": 0.05, "round_to": 0.1},
        },
        "adaptive": {
            "resolve": [
                {"variable": "correlation", "level": 0.7, "accuracy": 0.01},
                {"variable": "spectral_index", "level": 0.0, "accuracy": 0.01},
            ],
            "budget": {"points": 40},
        },
        "batching": {"max_points": 3},
        **changes,
    }
