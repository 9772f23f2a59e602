"""The tree of a study with known answers, laid out like what ``hpcspike study`` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.variables import POINT_RESULTS, RECORDED_RESULTS, STATUS, STUDY

PROBES = ("quasi_static", "lesion", "shuffle", "perturbation", "spectrum", "heterogeneity", "recall", "signs")
Arrays = dict[str, tuple[tuple[str, ...], Any]]


def synthetic_study(
    variants: Mapping[str, Mapping[str, Any]] | Sequence[str] = ("drive", "rate"),
    *,
    replicates: int = 3,
    probes: Sequence[str] = PROBES,
    diverged: Sequence[tuple[str, int]] = (),
    **common: Any,
) -> xr.DataTree:
    """Networks of every variant, whose options (see `synthetic_network`) may be given by a mapping or for all."""
    options = variants if isinstance(variants, Mapping) else {name: {} for name in variants}
    nodes = {}
    for position, (name, own) in enumerate(options.items()):
        for replicate in range(replicates):
            nodes[f"/{name}/{replicate}"] = synthetic_network(
                replicate=replicate, shift=0.02 * position, probes=probes, diverged=(name, replicate) in diverged,
                **{"variable": "rate" if name == "rate" else "drive", **common, **own},
            )  # fmt: skip
    tree = xr.DataTree.from_dict(nodes, name="synthetic")
    asked = {"perturbation": {"delay_ms": 60.0}} if "perturbation" in probes else {}
    document = {"name": "synthetic", "variants": {name: {} for name in options}, "probes": asked}
    tree.attrs |= {"study": "synthetic", "document": json.dumps(document)}
    return tree


def synthetic_network(
    *,
    replicate: int,
    shift: float,
    probes: Sequence[str],
    diverged: bool,
    variable: str,
    n_neurons: int = 40,
    n_sets: int = 1,
    n_loops: int = 6,
    n_examples: int = 2,
    n_trials: int = 2,
    n_rastered: int = 20,
    before: bool = True,
    during: bool = True,
    duration_ms: int = 200,
    beyond_ms: int = 40,
    cue_ms: float = 50.0,
    dale: bool = False,
) -> xr.Dataset:
    """One network; replicate 0 holds time courses. Correlation 0.9 - shift - 0.01 replicate; learned after loop 1."""
    level = 0.9 - shift - 0.01 * replicate
    values = {
        name: 0.5
        for name, variable_ in POINT_RESULTS.items()
        if variable_.dims == ("point",) and name not in RECORDED_RESULTS
    }
    values |= {"correlation": level, "correlation_trial_mean": level + 0.05, "population_rate": 8.0 + replicate}
    values |= {"correlation_phi": level - 0.1 if variable == "rate" else np.nan, "status": 0, "diverged_loop": -1}
    loop = np.arange(2 if diverged else n_loops * n_sets)
    arrays: Arrays = {name: ((), value) for name, value in values.items()}
    arrays["loop"] = (("loop",), loop + 1)
    arrays["curve_correlation"] = (("loop",), level - 0.5 * np.exp(-loop / 3.0))
    arrays["curve_rate"] = (("loop",), 8.0 + 0.0 * loop)
    arrays["curve_weight_change"] = (("loop",), np.exp(-loop / 4.0))
    arrays["window_ms"] = ((), duration_ms)
    if diverged:
        for name in ("correlation", "correlation_trial_mean", "correlation_phi", "population_rate"):
            arrays[name] = ((), np.nan)
        arrays["status"], arrays["diverged_loop"] = ((), STATUS.index("diverged")), ((), 1)
    else:
        for probe in probes:
            arrays |= _PROBES[probe](n_neurons, n_sets, n_examples, duration_ms, level, len(loop))
    if replicate == 0:
        arrays |= _shown(
            n_neurons, n_sets, n_examples, n_trials, n_rastered, before and not diverged, during, duration_ms,
            beyond_ms, diverged,
        )  # fmt: skip
    dataset = _dataset(arrays, "Hz" if variable == "rate" else "1")
    connectivity = {"kind": "dale", "inhibitory_fraction": 0.25} if dale else {"kind": "gaussian"}
    experiment = {
        "stimulus": {"duration_ms": cue_ms},
        "network": {"n_neurons": n_neurons},
        "connectivity": connectivity,
    }
    dataset.attrs |= {"experiment": json.dumps(experiment), "trained_variable": variable, "run_hash": "0"}
    return dataset


def target_of(n_sets: int, n_examples: int, time: np.ndarray) -> np.ndarray:
    """Sines of different periods, (sets, examples, samples)."""
    period = 80.0 + 30.0 * np.arange(n_sets * n_examples).reshape(n_sets, n_examples, 1)
    return np.sin(2 * np.pi * time / period)


def _shown(
    n_neurons: int, n_sets: int, n_examples: int, n_trials: int, n_rastered: int, before: bool, during: bool,
    duration_ms: int, beyond_ms: int, diverged: bool,
) -> Arrays:  # fmt: skip
    generator = np.random.default_rng(5)
    time, target_time = np.arange(1.0, duration_ms + beyond_ms + 1), np.arange(1.0, duration_ms + 1)
    target = target_of(n_sets, n_examples, time)[:, None].repeat(n_trials, axis=1)
    arrays: Arrays = {
        "example": (("example",), np.linspace(0, n_neurons - 1, n_examples).astype(int)),
        "raster_neuron": (("raster_neuron",), np.linspace(0, n_neurons - 1, n_rastered).astype(int)),
        "target_time": (("target_time",), target_time),
        "target": (("target_set", "example", "target_time"), target_of(n_sets, n_examples, target_time)),
        "target_set": (("target_set",), np.arange(n_sets)),
        "trial": (("trial",), np.arange(n_trials)),
    }
    dims = ("target_set", "trial", "example", "time")
    if not diverged:
        arrays["time"] = (("time",), time)
        arrays["response_after"] = (dims, target)  # follows its target perfectly
    if before:
        arrays["response_before"] = (dims, generator.standard_normal(target.shape))
    if during:
        update = np.arange(2.0, duration_ms + 1, 2.0)
        arrays["shown_loop"] = (("shown_loop",), np.array([1, 2]))
        arrays["update_time"] = (("update_time",), update)
        shape = (2, n_examples, len(update))
        arrays["response_during"] = (("shown_loop", "example", "update_time"), generator.standard_normal(shape))
    count = 0 if diverged else 400
    spikes = {
        "time": generator.uniform(-50, duration_ms + beyond_ms, count),
        "neuron": generator.choice(arrays["raster_neuron"][1], count) if n_rastered else np.zeros(count),
        "state": generator.integers(0, 1 + before, count),
        "set": generator.integers(0, n_sets, count),
        "trial": generator.integers(0, n_trials, count),
    }
    return arrays | {f"spike_{name}": (("spike",), values) for name, values in spikes.items()}


def _quasi_static(n: int, n_sets: int, n_examples: int, duration_ms: int, level: float, loops: int) -> Arrays:
    middle, fine = np.arange(25.0, duration_ms, 50.0), np.arange(1.0, duration_ms + 1)
    rate = 10.0 + 5.0 * target_of(n_sets, n_examples, middle)
    return {
        "quasi_static_drive_correlation": ((), level),
        "quasi_static_drive_correlation_before": ((), 0.2),
        "quasi_static_rate_correlation": ((), level - 0.1),
        "predicted_drive": (("target_set", "example", "target_time"), 0.9 * target_of(n_sets, n_examples, fine)),
        "target_time": (("target_time",), fine),
        "rate_time": (("rate_time",), middle),
        "binned_rate": (("target_set", "example", "rate_time"), rate),
        "predicted_rate": (("target_set", "example", "rate_time"), rate + 1.0),
    }


def _altered(prefix: str, measures: Sequence[str], level: float) -> Arrays:
    fraction, draw = np.array([0.0, 0.1, 0.4]), np.arange(2)
    values = level - fraction[:, None] + 0.01 * draw
    dims = (f"{prefix}_fraction", "draw")
    arrays: Arrays = {dims[0]: ((dims[0],), fraction), "draw": (("draw",), draw)}
    return arrays | {name: (dims, values) for name in measures}


def _perturbation(n: int, n_sets: int, n_examples: int, duration_ms: int, level: float, loops: int) -> Arrays:
    time = np.arange(1.0, duration_ms + 101)
    late = np.maximum(time - 60.0, 0.0)
    arrays: Arrays = {"deviation_time": (("deviation_time",), time)}
    arrays["phase_deviation_before"] = (("deviation_time",), 1 - np.exp(-late / 50.0))
    arrays["phase_deviation_after"] = (("deviation_time",), 0.5 - 0.5 * np.exp(-late / 100.0))
    return arrays


def _spectrum(n: int, n_sets: int, n_examples: int, duration_ms: int, level: float, loops: int) -> Arrays:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    arrays: Arrays = {"eigenvalue": (("eigenvalue",), np.arange(n))}
    for when, radius in (("before", 1.5), ("after", 0.5)):
        arrays[f"eigenvalue_real_{when}"] = (("eigenvalue",), radius * np.cos(angle))
        arrays[f"eigenvalue_imag_{when}"] = (("eigenvalue",), radius * np.sin(angle))
        arrays[f"spectral_radius_{when}"] = ((), radius)
    return arrays


def _recall(n: int, n_sets: int, n_examples: int, duration_ms: int, level: float, loops: int) -> Arrays:
    sets = np.arange(n_sets)
    dims = ("target_set", "preceding_set")
    return {
        "target_set": (("target_set",), sets),
        "preceding_set": (("preceding_set",), sets),
        "recall_correlation": (dims, level + np.zeros((n_sets, n_sets))),
        "recall_confusion": (dims, np.where(np.eye(n_sets, dtype=bool), level, 0.1)),
    }


_PROBES: dict[str, Any] = {
    "quasi_static": _quasi_static,
    "lesion": lambda n, s, e, d, level, loops: _altered("lesion", ["lesion_correlation"], level),
    "shuffle": lambda n, s, e, d, level, loops: _altered(
        "shuffle", ["shuffle_correlation", "shuffle_correlation_phi"], level
    ),
    "perturbation": _perturbation,
    "spectrum": _spectrum,
    "heterogeneity": lambda n, s, e, d, level, loops: {
        "rank": ((), 30), "full_rank": ((), 40), "effective_rank": ((), 12.5), "best_fit_residual": ((), 0.1)
    },
    "recall": _recall,
    "signs": lambda n, s, e, d, level, loops: {
        "sign_flips": ((), 0.0), "excluded_share": (("loop",), np.linspace(0, 0.2, loops))
    },
}  # fmt: skip


def _dataset(arrays: Arrays, units: str) -> xr.Dataset:
    dataset = xr.Dataset()
    for name, (dims, values) in arrays.items():
        variable = STUDY.get(name) or POINT_RESULTS[name]
        attrs = dict(variable.attrs)
        if name in ("target", "response_before", "response_after", "response_during"):
            attrs["units"] = units
        array = np.asarray(values).astype(variable.dtype)
        if dims == (name,):
            dataset = dataset.assign_coords({name: (dims, array, attrs)})
        else:
            dataset[name] = (dims, array, attrs)
    return dataset
