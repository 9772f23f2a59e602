"""All about one trained network on one page: what `hpcspike show` draws of a point."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike import checks
from hpcspike.analysis import neuron_correlation
from hpcspike.analysis.neurons import carrier, experiment_of
from hpcspike.analysis.unit_table import set_names_of
from hpcspike.errors import DataError
from hpcspike.figures.loops import draw_training
from hpcspike.figures.network import (
    CUE,
    comparable_trials,
    draw_raster,
    draw_spectra,
    draw_split,
    draw_trace,
    every_so_many,
    from_best_to_worst,
    has_split,
    quantity,
    recorded_only,
    shown_correlation,
    trace_handles,
    without_split,
)
from hpcspike.figures.style import (
    STATUS_MARKERS,
    TIME,
    few_ticks,
    foot,
    heading,
    legend_below,
    new_figure,
    panel_letters,
    remark,
    styled,
    valued,
)
from hpcspike.measures.verdict import correlation_over, n_with_targets_of, scalars_of
from hpcspike.variables import STATUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

RASTER_NEURONS = 100


@styled
def point_overview(trained: xr.Dataset, *, n_neurons: int = 4, target_set: int = 0, trial: int = 0) -> Figure:
    """Target against response, raster, learning curve, spectrum and error split of one network.

    Parameters
    ----------
    trained
        Dataset of one trained network, as `hpcspike.retrain` and `hpcspike.run` return it. What it does not hold (the
        response of one that diverged, spikes of units that have none) is said in the place where it would be.
    n_neurons
        Neurons whose responses are drawn, from the best to the worst followed one.
    target_set, trial
        What is drawn of several.
    """
    figure = new_figure(11.0, 8.0)
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=(1.45, 1)))
    left, right = np.asarray(above.subfigures(1, 2, width_ratios=(1.1, 1)))
    first = _traces(left, trained, n_neurons, target_set, trial)
    raster = _raster(right, trained, target_set, trial)
    with_split = "response" not in trained or has_split(trained)
    curve, spectra, *split = below.subplots(1, 2 + with_split, width_ratios=(1, 1.1, 1)[: 2 + with_split])
    if "curve_correlation" in trained and trained.sizes.get("loop", 0) > 0:
        draw_training(curve, trained, "curve_correlation")
        if trained.sizes["target_set"] > 1:
            curve.legend()
    else:
        _remark(curve, "no loop of training was finished")
    if "response" in trained and trained.sizes["time"] >= 4:
        draw_spectra(spectra, trained)
        if with_split:
            draw_split(split[0], trained)
        else:
            foot(below, without_split(trained))
    else:
        for axes in (spectra, *split):
            _remark(axes, _missing_response(trained))
    panel_letters([first, raster, curve, spectra, *split])
    heading(figure, _title(trained))
    return figure


@styled
def networks_side_by_side(networks: Mapping[str, xr.Dataset], *, n_neurons: int = 3, trial: int = 0) -> Figure:
    """Targets and responses of several trained networks, a column each (paper Fig 6b: sampling, learned, tracking).

    Parameters
    ----------
    networks
        Heading of a column -> Dataset of one trained network, as `hpcspike.retrain` and `hpcspike.run` return it; the
        first target set is drawn. What the network became and its correlation are added to the heading.
    n_neurons
        Neurons in every column, from the best to the worst followed one.
    trial
        Test trial drawn strongly; the others are faint.
    """
    if not isinstance(networks, Mapping) or isinstance(networks, xr.Dataset) or not networks:
        what = "a Dataset" if isinstance(networks, xr.Dataset) else checks.shown(networks)
        raise DataError(
            f"networks = {what}: must be the Datasets of one trained network each, by the headings over them"
        )
    figure = new_figure(0.6 + 3.3 * len(networks), 1.5 + 1.0 * n_neurons)
    places = np.asarray(figure.subfigures(1, len(networks), squeeze=False))[0]
    for place, (name, trained) in zip(places, networks.items(), strict=True):
        first = _traces(place, trained, n_neurons, 0, trial, with_legend=False)
        words = ", ".join(_outcome(trained)[:2])
        first.set_title(f"{name}\n{words}\n\n{first.get_title(loc='left')}", loc="left", fontsize=8)
    trials = max(trained.sizes.get("trial", 1) for trained in networks.values())
    legend_below(figure, trace_handles(trials, trial), ncols=3)
    return figure


def _traces(
    place: SubFigure, trained: xr.Dataset, n_neurons: int, target_set: int, trial: int, *, with_legend: bool = True
) -> Axes:
    """One panel per neuron; returns the first."""
    if "response" not in trained:
        axes = place.subplots()
        _remark(axes, _missing_response(trained))
        return axes
    shown = recorded_only(trained)
    per_neuron = neuron_correlation(shown)["correlation_single_trial"].isel(target_set=[target_set]).load()
    chosen = from_best_to_worst(per_neuron, n_neurons)
    along = carrier(shown)
    sample = shown[["target", "response"]].isel({along: chosen, "target_set": target_set}).load()
    panels = place.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for position, (axes, neuron) in enumerate(zip(panels, chosen, strict=True)):
        draw_trace(
            axes, sample.isel({along: position}), trial, int(neuron), shown_correlation(shown, per_neuron[0, neuron])
        )
    panels[-1].set_xlabel(TIME)
    place.supylabel(quantity(sample["response"]), fontsize=9)
    if with_legend:
        place.legend(handles=trace_handles(comparable_trials(trained), trial), loc="outside upper right", ncols=3)
    return panels[0]


def _raster(place: SubFigure, trained: xr.Dataset, target_set: int, trial: int) -> Axes:
    """Spikes above, rate below; returns the upper panel."""
    if "spike_time" not in trained or _neuron_model(trained) == "tanh":
        axes = place.subplots()
        _remark(axes, "units of rate have no spikes" if "response" in trained else _missing_response(trained))
        return axes
    spikes = trained[["spike_time", "spike_neuron", "spike_trial", "spike_set"]].load()
    above, below = place.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    step, words = every_so_many(trained, RASTER_NEURONS)
    draw_raster(above, below, trained, spikes, target_set=target_set, trial=trial, step=step)
    several = trained.sizes["target_set"] > 1
    above.set_title(
        f"{set_names_of(trained)[target_set]}, test trial {trial + 1}" if several else f"test trial {trial + 1}"
    )
    above.set_ylabel(words)
    below.set_ylabel("rate (Hz)")
    below.set_xlabel(TIME)
    few_ticks(below, "x", 5)
    if above.get_xlim()[0] < 0:
        cue = [Line2D([], [], color=CUE, lw=7, label="cue")]
        place.legend(handles=cue, loc="outside upper right", handlelength=1.2)
    return above


def _title(trained: xr.Dataset) -> str:
    attributes = trained.attrs
    head = str(attributes.get("sweep", attributes.get("name", "network")))
    if "point" in attributes:
        parameters = json.loads(attributes.get("parameters", "{}"))
        values = [valued(name, np.nan if value is None else value) for name, value in parameters.items()]
        head += f", point {attributes['point']}: {', '.join(values)}"
    parts = _outcome(trained)
    if "comparison" in attributes:
        parts.append(str(attributes["comparison"]).partition(":")[0])
    return "\n".join([head, ", ".join(parts)]) if parts else head


def _outcome(trained: xr.Dataset) -> list[str]:
    """What a network became, its correlation and its rate, as far as they are known."""
    parts = []
    if "status" in trained:
        parts.append(STATUS_MARKERS[STATUS[int(trained["status"])]][1])
    scalars = scalars_of(trained)
    parts += correlation_over(scalars, trained.sizes["neuron"], trained.sizes.get("output"), n_with_targets_of(trained))
    if np.isfinite(scalars.get("population_rate", np.nan)):
        parts.append(f"population rate {scalars['population_rate']:.3g} Hz")
    if scalars.get("silent_share", 0.0) > 0:
        parts.append(f"{100 * scalars['silent_share']:.3g} % of the neurons silent")
    return parts


def _missing_response(trained: xr.Dataset) -> str:
    if "diverged_loop" in trained and int(trained["diverged_loop"]) >= 0:
        # loops count from 1 in figures
        return f"diverged in loop {int(trained['diverged_loop']) + 1}:\nno response to show"
    return "this Dataset holds no response"


def _neuron_model(trained: xr.Dataset) -> str:
    return str(experiment_of(trained).get("neuron", {}).get("model", ""))


def _remark(axes: Axes, words: str) -> None:
    remark(axes, words, 0.5)
    axes.set_axis_off()
