"""Which figures a Dataset allows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from hpcspike.analysis.available import allows_capacity, allows_collapse, n_values
from hpcspike.analysis.learners import kind_of, learner_axis
from hpcspike.analysis.neurons import experiment_of
from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.scattered import allows_surface, is_scattered, parts_of, plan_of
from hpcspike.errors import DataError
from hpcspike.figures.currents import balance_of_currents, perturbation_map
from hpcspike.figures.effects import effects_of, parameter_effects
from hpcspike.figures.error_panels import error_kinds
from hpcspike.figures.learners import learner_comparison
from hpcspike.figures.limits import capacity_panels
from hpcspike.figures.loops import learning_curves, training_curves
from hpcspike.figures.maps import map_of, plane_of, with_loops
from hpcspike.figures.network import error_split, raster, target_against_response
from hpcspike.figures.planes import performance_map
from hpcspike.figures.psth import unit_psths
from hpcspike.figures.recorded import data_beside_model
from hpcspike.figures.study_available import figures_of_study
from hpcspike.figures.style import heading
from hpcspike.figures.transfer import transfer_curves
from hpcspike.figures.tuning import collapse_panels, inverted_u_curves
from hpcspike.figures.variability import spike_variability
from hpcspike.spec.axes import axis_values
from hpcspike.spec.experiment import Measures
from hpcspike.takes_results import refuse_other_results

ESTIMATED = ("inverted_u", "collapse", "capacity", "errors")
"""Figures that show, where points are scattered, a surface and not the networks."""


class Figures(dict[str, Callable[..., Figure]]):
    """Figures by name: call one to draw it; printed, it says in a line each what they show."""

    @property
    def lines(self) -> dict[str, str]:
        """What each figure shows: the first sentence about the function that draws it."""
        return {name: _first_line(draw) for name, draw in self.items()}

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:{width}}  {line}" for name, line in self.lines.items()) or "no figures"


def _first_line(draw: Callable[..., Figure]) -> str:
    while isinstance(draw, partial):
        # a remark goes around the figure that it is about
        draw = draw.args[0] if draw.func is _with_remark else draw.func
    return (draw.__doc__ or "").strip().partition("\n")[0]


def figures_for(dataset: xr.Dataset | xr.DataTree) -> Figures:
    """The figures that a Dataset, or the tree of a study, allows, by name; call one to draw it.

    Parameters
    ----------
    dataset
        Of a sweep (along ``point``): any of ``map``, ``inverted_u``, ``collapse``, ``capacity``, ``errors``,
        ``training``; over learners ``learners`` and ``training``, and the others for each, as ``map_lsnn``; over
        two numeric parameters of which one is not among those of every sweep, ``map_mean``,
        ``map_best`` and ``map_quasi_static``. Of one trained network (along ``neuron``): any of ``samples``,
        ``raster``, ``variability``, ``training``, ``error_split``, ``recorded``, ``psth``, ``transfer``;
        of what a live network tells, ``currents`` or ``perturbation_map``.
        Of a study: see `figures_of_study`.

    Raises
    ------
    DataError
        If it is none of these.
    """
    refuse_other_results("dataset", dataset)
    if isinstance(dataset, xr.DataTree):
        return Figures(figures_of_study(dataset))
    if "point" in dataset.dims:
        shown, planned = over_recorded(dataset), plan_of(dataset)
        figures, remarks = _of_sweep(shown), []
        if "judged" in shown.attrs:
            remarks.append(f"correlations and rates over {shown.attrs['judged']}, learning curves over all neurons")
        if planned is not None and planned.adaptive is None and dataset.sizes["point"] < planned.n_points:
            remarks.append(f"{dataset.sizes['point']} of {planned.n_points} networks")
        if is_scattered(shown):
            words = f"median network, by the surface through {shown.sizes['point']} networks"
            figures |= {name: partial(_with_remark, figures[name], words) for name in ESTIMATED if name in figures}
        if remarks:
            figures = Figures({name: partial(_with_remark, draw, "; ".join(remarks)) for name, draw in figures.items()})
        return figures
    if "neuron" in dataset.dims and {"target", "current", "deviation"} & set(dataset.data_vars):
        return _of_network(dataset)
    raise DataError(
        f"no figure for a Dataset with the dimensions {', '.join(map(str, dataset.dims)) or 'none'}; give that of a "
        "sweep (hpcspike.open_sweep) or of one trained network (hpcspike train), or the tree of a study"
    )


def _with_remark(draw: Callable[..., Figure], words: str, **options: Any) -> Figure:
    """A figure that says over which neurons it is, or of how many of the networks of its sweep."""
    figure = draw(**options)
    title = figure.get_suptitle()
    heading(figure, f"{title} ({words})" if title else words)
    return figure


def _of_sweep(sweep: xr.Dataset) -> Figures:
    axis, judged = learner_axis(sweep), "status" in sweep and "correlation" in sweep
    kinds = [] if axis is None or not judged else [kind_of(value) for value in sweep[axis].values]
    if len(set(kinds)) < 2:
        return Figures(_of_one_learner(sweep, judged=judged) | _of_loops(sweep))
    figures = Figures(learners=partial(learner_comparison, sweep))
    for kind in dict.fromkeys(kinds):
        one = sweep.isel(point=[position for position, other in enumerate(kinds) if other == kind])
        drawn = _of_one_learner(one, judged=judged)
        if n_values(one, "tau_corr_ms") < 2:
            drawn.pop("capacity", None)  # that of a single tau_c is in the comparison
        figures |= {f"{name}_{_in_name(kind)}": draw for name, draw in drawn.items()}
    figures |= _of_loops(sweep)
    return figures


def _of_loops(sweep: xr.Dataset) -> Figures:
    has_loops = "curve_correlation" in sweep and sweep.sizes.get("loop", 0) > 0
    return Figures(training=partial(learning_curves, sweep)) if has_loops else Figures()


def _of_one_learner(sweep: xr.Dataset, *, judged: bool) -> Figures:
    figures = Figures()
    tau_syn = n_values(sweep, "tau_syn_ms")
    if judged and tau_syn >= 2 and n_values(sweep, "tau_corr_ms") >= 2:
        figures |= _maps(sweep, "correlation", map=performance_map)
    elif judged and (plane := _plane_of(sweep)) is not None:
        trained, untrained = _with_loops(sweep, "most"), _with_loops(sweep, "fewest")
        drawn = partial(map_of, variable="correlation", x=plane[0], y=plane[1])
        figures |= _maps(trained, "correlation", map_mean=drawn, map_best=partial(drawn, reduce="max"))
        if _asks_quasi_static(sweep):
            select = {"n_loops": untrained["n_loops"].values.min()} if "n_loops" in untrained.coords else None
            drawn = partial(map_of, variable="quasi_static_correlation", x=plane[0], y=plane[1], select=select)
            figures |= _maps(untrained, "quasi_static_correlation", map_quasi_static=drawn)
    if judged and effects_of(_with_loops(sweep, "most")):
        figures["effects"] = partial(parameter_effects, _with_loops(sweep, "most"))
    if judged and tau_syn >= 3:
        figures["inverted_u"] = partial(inverted_u_curves, sweep)
    if judged and any(allows_collapse(sweep, regime) for regime in ("tracking", "sampling")):
        figures["collapse"] = partial(collapse_panels, sweep)
    if judged and allows_capacity(sweep):
        figures["capacity"] = partial(capacity_panels, sweep)
    if judged and tau_syn >= 2 and "spectral_index" in sweep:
        figures["errors"] = partial(error_kinds, sweep)
    return figures


def _with_loops(sweep: xr.Dataset, which: Literal["fewest", "most"]) -> xr.Dataset:
    """The networks with the fewest or most training loops; of scattered ones, of which few have the most, all."""
    return sweep if is_scattered(sweep) else with_loops(sweep, which)


def _plane_of(sweep: xr.Dataset) -> tuple[str, str] | None:
    """The parameters that maps of the fewest and most training loops are drawn over, if there are just two."""
    plane = plane_of(_with_loops(sweep, "most"))
    if plane is None and is_scattered(sweep):
        plane = plane_of(sweep.drop_vars("n_loops", errors="ignore"))
    return plane


def _maps(sweep: xr.Dataset, measure: str, **maps: Callable[..., Figure]) -> Figures:
    """Maps by name; of scattered points where a surface is possible, for each value of parameters of text."""
    parts = parts_of(sweep) if is_scattered(sweep) else {}
    if parts:
        drawn = {value: _maps(part, measure, **maps) for value, part in parts.items()}
        return Figures(
            {f"{name}_{_in_name(value)}": draw for value, some in drawn.items() for name, draw in some.items()}
        )
    if is_scattered(sweep) and not allows_surface(sweep, measure):
        return Figures()
    return Figures({name: partial(draw, sweep) for name, draw in maps.items()})


def _in_name(value: str) -> str:
    """A value as part of the name of a figure, and of its file."""
    return re.sub("[^0-9A-Za-z]+", "-", value)


def _asks_quasi_static(sweep: xr.Dataset) -> bool:
    """Whether the quasi-static prediction was asked for; where the plan is not known, whether there is any."""
    if "quasi_static_correlation" not in sweep:
        return False
    plan = plan_of(sweep)
    if plan is None:
        return bool(sweep["quasi_static_correlation"].notnull().any())
    sections = [plan.experiment.get("measures", {}), *axis_values(plan.axes.get("measures", []))]
    switches = [section.get("quasi_static", Measures().quasi_static) for section in sections]
    return any(switches + axis_values(plan.axes.get("measures.quasi_static", [])))


def _of_network(trained: xr.Dataset) -> Figures:
    figures = Figures()
    if "response" in trained:
        figures["samples"] = partial(target_against_response, trained)
    if "spike_time" in trained and trained.sizes.get("trial", 0) > 0:
        figures["raster"] = partial(raster, trained)
        if trained.sizes["spike"] and "step_ms" in experiment_of(trained).get("neuron", {}):
            figures["variability"] = partial(spike_variability, trained)
    if "curve_correlation" in trained and trained.sizes.get("loop", 0) > 0:
        figures["training"] = partial(training_curves, trained)
    if "response" in trained and trained.sizes["time"] >= 4:
        figures["error_split"] = partial(error_split, trained)
    if "response" in trained and "recorded" in trained and bool(np.any(trained["recorded"].values)):
        for number in range(trained.sizes["target_set"]):  # one for each condition
            name = "recorded" if number == 0 else f"recorded_{number + 1}"
            figures[name] = partial(data_beside_model, trained, target_set=number)
        if "neuron_correlation_100ms" in trained and "spike_time" in trained and trained.sizes.get("trial", 0) > 0:
            figures["psth"] = partial(unit_psths, trained)
    if "current" in trained:
        figures["currents"] = partial(balance_of_currents, trained)
    if "deviation" in trained:
        figures["perturbation_map"] = partial(perturbation_map, trained)
    if "transfer_input" in trained:
        figures["transfer"] = partial(transfer_curves, trained)
    return figures
