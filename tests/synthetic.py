"""Datasets with known answers, laid out like those of a real sweep or trained network."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS, RECORDED_RESULTS, STATUS, TRAINED

Columns = Mapping[str, np.ndarray]


def plausible_correlation(p: Columns) -> np.ndarray:
    """Like the paper's Figs 6 and 7: too fast synapses sample badly, too slow ones lag, long windows overload."""
    tracking = 1.1 * p["tau_syn_ms"] / p["tau_corr_ms"] * 0.3
    sampling = 55.0 / np.sqrt(p["n_neurons"] * p["tau_syn_ms"])
    load = p["duration_ms"] / p["tau_corr_ms"] / (0.05 * p["n_neurons"])
    return 0.95 / np.sqrt(1 + tracking**2 + sampling**2) / (1 + load**3)


def synthetic_sweep(
    *,
    tau_syn_ms: Sequence[float] = (20.0,),
    tau_corr_ms: Sequence[float] = (100.0,),
    duration_ms: Sequence[float] = (1000.0,),
    n_neurons: Sequence[int] = (500,),
    further: Mapping[str, Sequence[Any]] | None = None,
    replicates: int = 3,
    n_loops: int = 12,
    correlation: Callable[[Columns], np.ndarray] = plausible_correlation,
    noise: float = 0.0,
    diverged: Callable[[Columns], np.ndarray] | None = None,
    unfinished: Callable[[Columns], np.ndarray] | None = None,
    shuffle: bool = True,
) -> xr.Dataset:
    """Every combination of the parameters, made from the registry, with a planted correlation."""
    axes: dict[str, Sequence[Any]] = {
        "tau_syn_ms": tau_syn_ms,
        "tau_corr_ms": tau_corr_ms,
        "duration_ms": duration_ms,
        "n_neurons": n_neurons,
        **(further or {}),
        "replicate": range(replicates),
    }
    rows = list(itertools.product(*axes.values()))
    generator = np.random.default_rng(7)
    if shuffle:
        rows = [rows[k] for k in generator.permutation(len(rows))]
    p = {name: np.array([row[k] for row in rows]) for k, name in enumerate(axes)}
    p["seed"] = np.arange(len(rows))
    results = _results(p, correlation(p) + noise * generator.standard_normal(len(rows)), n_loops)
    is_diverged = np.zeros(len(rows), bool) if diverged is None else diverged(p)
    is_unfinished = np.zeros(len(rows), bool) if unfinished is None else unfinished(p)
    results["status"][is_diverged] = STATUS.index("diverged")
    results["diverged_loop"][is_diverged] = 3
    for name, variable in POINT_RESULTS.items():
        if variable.dtype == "float64" and not name.endswith("_theory"):
            results[name][is_diverged] = np.nan
        results[name][is_unfinished] = variable.fill
    data = {n: (v.dims, results[n].astype(v.dtype), v.attrs) for n, v in POINT_RESULTS.items()}
    done = (~is_unfinished).astype("uint8")
    data["done"] = (("point",), done, POINT_PROVENANCE["done"].attrs)
    coords = {n: ("point", p[n].astype(v.dtype), v.attrs) for n, v in POINT_PARAMETERS.items()}
    for name in further or {}:
        coords[name] = ("point", p[name], {"units": "1", "long_name": f"swept {name}"})
    return xr.Dataset(data, coords=coords, attrs={"name": "synthetic"})


def _results(p: Columns, correlation: np.ndarray, n_loops: int) -> dict[str, np.ndarray]:
    tau_syn, tau_corr, n = p["tau_syn_ms"], p["tau_corr_ms"], p["n_neurons"]
    index = -0.55 * np.log(tau_syn / (0.18 * tau_corr))
    learned = correlation >= 0.7
    status = np.where(learned, 0, np.where(index > 0, 1, 2))
    growth = 1 - np.exp(-np.arange(1, n_loops + 1) / 4.0)
    share = 0.16 * np.ones_like(correlation)
    return {
        "correlation": correlation.copy(),
        "correlation_sd": 0.1 * np.ones_like(correlation),
        "correlation_trial_mean": correlation + 0.05,
        "population_rate": 8.0 * np.ones_like(correlation),
        "trial_sd": 0.3 * np.ones_like(correlation),
        "residual_after_averaging": np.sqrt(np.clip(1 - correlation**2, 0, None)),
        "fast_share_response": share * np.exp(index),
        "fast_share_target": share,
        "spectral_index": index,
        "sampling_error": 12.0 / np.sqrt(n * tau_syn) + 0.2,
        "tracking_error": 0.4 + 0.25 * np.log10(tau_syn / (0.3 * tau_corr)) ** 2,
        "quasi_static_residual": 0.3 * np.ones_like(correlation),
        "tracking_theory": tau_syn / (4 * np.pi * tau_corr),
        "sampling_theory": 1 / np.sqrt(n * tau_syn / 10.0),
        "status": status,
        "diverged_loop": np.full(len(status), -1),
        "silent_share": np.zeros(len(status)),
        **{name: np.full(len(status), POINT_RESULTS[name].fill) for name in RECORDED_RESULTS},
        "curve_correlation": correlation[:, None] * growth,
        "curve_rate": 8.0 + 0 * correlation[:, None] * growth,
        "curve_weight_change": 0 * correlation[:, None] + np.exp(-np.arange(n_loops) / 4.0),
        **{
            name: np.ones((len(status), n_loops) if "loop" in v.dims else len(status))
            for name, v in POINT_RESULTS.items()
            if name not in _KNOWN
        },
    }


_KNOWN = {
    "correlation", "correlation_sd", "correlation_trial_mean", "population_rate", "trial_sd",
    "residual_after_averaging", "fast_share_response", "fast_share_target", "spectral_index", "sampling_error",
    "tracking_error", "quasi_static_residual", "tracking_theory", "sampling_theory", "status", "diverged_loop",
    "silent_share", *RECORDED_RESULTS,
    "curve_correlation", "curve_rate", "curve_weight_change",
}  # fmt: skip


def ornstein_uhlenbeck(generator: np.random.Generator, shape: tuple[int, int], tau_ms: float) -> np.ndarray:
    """Stationary paths with s.d. 0.5 on a grid of 1 ms, shape (paths, samples)."""
    keep = np.exp(-1.0 / tau_ms)
    noise = 0.5 * np.sqrt(1 - keep**2) * generator.standard_normal(shape)
    path = np.empty(shape)
    path[:, 0] = 0.5 * generator.standard_normal(shape[0])
    for k in range(1, shape[1]):
        path[:, k] = keep * path[:, k - 1] + noise[:, k]
    return path


def synthetic_trained(
    *,
    n_neurons: int = 40,
    n_recorded: int | None = None,
    n_sets: int = 1,
    n_trials: int = 3,
    n_loops: int = 30,
    duration_ms: int = 1000,
    variable: str = "drive",
    tau_corr_ms: float = 100.0,
) -> xr.Dataset:
    """A trained network whose response is the target with noise; rates in Hz if ``variable`` is "rate"."""
    generator = np.random.default_rng(3)
    target = np.stack([ornstein_uhlenbeck(generator, (n_neurons, duration_ms), tau_corr_ms) for _ in range(n_sets)])
    jitter = np.stack([ornstein_uhlenbeck(generator, (n_neurons, duration_ms), 10.0) for _ in range(n_sets * n_trials)])
    drive = target[:, None] + 0.4 * jitter.reshape(n_sets, n_trials, n_neurons, duration_ms)
    rate = np.sqrt(0.1 * np.log1p(np.exp(drive / 0.1))) / np.pi * 100.0
    goal = np.sqrt(0.1 * np.log1p(np.exp(target / 0.1))) / np.pi * 100.0 if variable == "rate" else target
    response = np.maximum(rate + 6 * generator.standard_normal(rate.shape), 0) if variable == "rate" else drive
    spike = generator.random((n_sets, n_trials, n_neurons, duration_ms + 100)) < 0.009
    s_set, s_trial, s_neuron, s_time = np.nonzero(spike)
    loop = np.arange(n_loops * n_sets)
    columns: dict[str, Any] = {
        "neuron": np.arange(n_neurons),
        "time": np.arange(1, duration_ms + 1),
        "trial": np.arange(n_trials),
        "target_set": np.arange(n_sets),
        "loop": loop,
        "target": goal,
        "drive": drive,
        "response": response,
        "spike_time": s_time - 99.0,
        "spike_neuron": s_neuron,
        "spike_trial": s_trial,
        "spike_set": s_set,
        "curve_correlation": 0.9 - 0.6 * np.exp(-loop / 6.0),
        "curve_rate": 8 + np.sin(loop),
        "curve_weight_change": np.exp(-loop / 5.0),
        "curve_seconds": np.ones(len(loop)),
    }
    if n_recorded is not None:
        columns["recorded"] = np.arange(n_neurons) < n_recorded
    data = {n: (TRAINED[n].dims, v.astype(TRAINED[n].dtype), dict(TRAINED[n].attrs)) for n, v in columns.items()}
    split = {"sampling_error": 0.37, "tracking_error": 0.5, "quasi_static_residual": 0.3}
    if variable == "rate":
        split = dict.fromkeys(split, np.nan)
    scalars = {"correlation": 0.9, "spectral_index": 0.2, "tracking_theory": 0.024, "sampling_theory": 0.026, **split,
               "population_rate": 8.1, "status": 0}  # fmt: skip
    data |= {name: ((), value, dict(POINT_RESULTS[name].attrs)) for name, value in scalars.items()}
    names = ("neuron", "time", "trial", "target_set", "loop", "recorded")
    dataset = xr.Dataset(data).set_coords([name for name in names if name in data])
    if variable == "rate":
        for name in ("target", "response"):
            dataset[name].attrs.update(units="Hz", long_name=f"{name} rate")
    dataset["response"].attrs["quantity"] = "filtered spikes" if variable == "rate" else "synaptic drive"
    spec = {"neuron": {"bias": 0.0}, "training": {"smoothing": 0.1}, "measures": {"fast_time_ms": 20.0}}
    return dataset.assign_attrs(name="synthetic", trained_variable=variable, experiment=json.dumps(spec))
