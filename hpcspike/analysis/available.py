"""Which analyses a sweep allows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import parameters
from hpcspike.analysis.error_map import error_types
from hpcspike.analysis.limits import capacity
from hpcspike.analysis.lines import level_line, optimum
from hpcspike.analysis.mapping import performance
from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.scaling import REGIMES, collapse
from hpcspike.analysis.scattered import allows_surface, plan_of
from hpcspike.analysis.tuning import inverted_u
from hpcspike.sweep.grid import coordinate_names
from hpcspike.takes_results import takes_results

THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8)
"""Thresholds at which `analyses_for` states the capacity."""


@takes_results
def analyses_for(sweep: xr.Dataset) -> dict[str, Callable[[], xr.Dataset]]:
    """The analyses that a sweep's varying parameters allow, by name; call one to get its Dataset.

    Parameters
    ----------
    sweep
        Dataset along ``point``. Networks with recorded targets are judged by their recorded units
        (`hpcspike.analysis.recorded.over_recorded`).
    """
    sweep = over_recorded(sweep)
    available: dict[str, Callable[[], xr.Dataset]] = {"performance": partial(performance, sweep)}
    if "status" in sweep:
        available["error_types"] = partial(error_types, sweep)
    if n_values(sweep, "tau_syn_ms") >= 3:
        available["inverted_u"] = partial(inverted_u, sweep)
    for regime in ("tracking", "sampling"):
        if allows_collapse(sweep, regime):
            available[f"collapse_{regime}"] = partial(collapse, sweep, regime=regime)
    if allows_capacity(sweep):
        available["capacity"] = partial(capacity, sweep, threshold=THRESHOLDS)
    available |= _answers(sweep)
    if "judged" not in sweep.attrs:
        return available
    return {name: partial(_judged, make, sweep.attrs["judged"]) for name, make in available.items()}


def _answers(sweep: xr.Dataset) -> dict[str, Callable[[], xr.Dataset]]:
    """Of an adaptive sweep: what it was to resolve, every level along each of the axes."""
    plan = plan_of(sweep)
    if plan is None or plan.adaptive is None:
        return {}
    names = coordinate_names(list(plan.axes))
    found: dict[str, Callable[[], xr.Dataset]] = {}
    for question in plan.adaptive.resolve:
        measure, over = question.variable, [names[key] for key in question.maximum_axes]
        if measure not in sweep or not allows_surface(sweep, measure):
            continue
        if question.level is not None:
            for axis in [names[key] for key in plan.axes]:
                line = partial(level_line, sweep, level=question.level, measure=measure, along=axis)
                found[f"line_{measure}_{question.level:g}_along_{axis}"] = line
        if over:
            found[f"optimum_{measure}_along_{'_and_'.join(over)}"] = partial(
                optimum, sweep, measure=measure, along=over
            )
    return found


def _judged(make: Callable[[], xr.Dataset], over: str) -> xr.Dataset:
    """A table that says over which neurons its correlations are."""
    return make().assign_attrs(judged=over)


def n_values(sweep: xr.Dataset, name: str) -> int:
    """Number of distinct values of a parameter, NaN not counted."""
    values = parameters(sweep).get(name, np.empty(0))
    return len(np.unique(values[values == values]))


def allows_collapse(sweep: xr.Dataset, regime: str) -> bool:
    """Whether there are two curves with three tau_s of the regime each."""
    chosen = REGIMES[regime]
    tau_syn = np.unique(parameters(sweep)["tau_syn_ms"])
    low, high = chosen.tau_syn_range_ms
    inside = ((tau_syn >= low) & (tau_syn <= high)).sum()
    return n_values(sweep, chosen.curve) >= 2 and bool(inside >= 3)


def allows_capacity(sweep: xr.Dataset) -> bool:
    """Whether T varies and tau_c is known."""
    return n_values(sweep, "duration_ms") >= 2 and n_values(sweep, "tau_corr_ms") >= 1
