"""One trained network: targets against responses, raster, error split, spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.analysis import neuron_correlation, power_spectrum
from hpcspike.analysis.neurons import carrier, experiment_of
from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.unit_table import set_names_of
from hpcspike.analysis.units import called
from hpcspike.errors import DataError, SpecError
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    RESPONSE,
    SKY,
    TARGET,
    TIME,
    few_ticks,
    foot,
    new_figure,
    panel_letters,
    pretty_units,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CUE = "#EFE3C8"
MAX_SETS = 3
ORDERS = ("number", "peak")
"""Orders of the neurons in a raster."""


@styled
def target_against_response(trained: xr.Dataset, *, n_neurons: int = 8, trial: int = 0) -> Figure:
    """Target and evoked response of sample neurons, from the best to the worst followed one.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    n_neurons
        Number of neurons, at even quantiles of the correlation; auxiliary neurons are left out.
    trial
        Test trial drawn strongly; the others are faint.
    """
    trained = recorded_only(trained)
    sets = range(min(trained.sizes["target_set"], MAX_SETS))
    per_neuron = neuron_correlation(trained)["correlation_single_trial"].load()
    chosen = from_best_to_worst(per_neuron, n_neurons)
    count = len(chosen)
    along = carrier(trained)
    sample = trained[["target", "response"]].isel({along: chosen, "target_set": list(sets)}).load()
    two_columns = len(sets) == 1 and count > 2
    columns = 2 if two_columns else len(sets)
    rows = -(-count // 2) if two_columns else count
    figure = new_figure(4.2 * columns, 0.9 + 0.85 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for position, neuron in enumerate(chosen):
        for s in sets:
            row, column = (position % rows, position // rows) if two_columns else (position, s)
            one = sample.isel({along: position, "target_set": s})
            draw_trace(panels[row, column], one, trial, int(neuron), shown_correlation(trained, per_neuron[s, neuron]))
    for axes in panels.ravel()[: rows * columns]:
        if not axes.lines:
            axes.set_axis_off()
    for s in sets:
        if len(sets) > 1:
            panels[0, s].set_title(f"{set_names_of(trained)[s]}\n{panels[0, s].get_title(loc='left')}", loc="left")
    for axes in panels[-1]:
        axes.set_xlabel(TIME)
    figure.supylabel(quantity(sample["response"]), fontsize=9)
    figure.legend(handles=trace_handles(comparable_trials(trained), trial), loc="outside upper right", ncols=3)
    return figure


def from_best_to_worst(per_neuron: xr.DataArray, count: int) -> np.ndarray:
    """At most ``count`` neurons at even quantiles of their correlation (target_set, neuron), the best first.

    Neurons without a correlation, which have no target, are left out, unless none has any.
    """
    mean = per_neuron.mean("target_set")
    order = mean.argsort().values[: int(mean.notnull().sum()) or None][::-1]  # NaN comes last
    return np.asarray(order[np.round(np.linspace(0, len(order) - 1, min(count, len(order)))).astype(int)])


def shown_correlation(trained: xr.Dataset, found: xr.DataArray) -> float:
    """A correlation, or NaN where none was measured since answers are right or wrong."""
    measured = trained.get("neuron_correlation")
    return float(found) if measured is None or bool(measured.notnull().any()) else float("nan")


def comparable_trials(trained: xr.Dataset) -> int:
    """Test trials that show answers to one and the same target: one where every trial has a target of its own."""
    return 1 if "trial" in trained["target"].dims else trained.sizes["trial"]


def trace_handles(n_trials: int, trial: int) -> list[Line2D]:
    """What a legend says about the lines of `draw_trace`."""
    handles = [
        Line2D([], [], color=TARGET, lw=1.6, label="target"),
        Line2D([], [], color=RESPONSE, lw=1.0, label=f"test trial {trial + 1}"),
    ]
    if n_trials > 1:
        handles.append(Line2D([], [], color=GREY, lw=0.6, alpha=0.7, label="other test trials"))
    return handles


def draw_trace(axes: Axes, one: xr.Dataset, trial: int, neuron: int, correlation: float) -> None:
    """Target (time) and responses (trial, time) of one neuron (or output), one trial strongly."""
    time = one["time"].values
    for other in range(min(comparable_trials(one), 6)):
        if other != trial:
            axes.plot(time, one["response"].isel(trial=other), color=GREY, lw=0.5, alpha=0.6)
    axes.plot(time, one["response"].isel(trial=trial), color=RESPONSE, lw=0.9)
    # where every trial has a target of its own, that of the trial drawn strongly
    target = one["target"].isel(trial=trial) if "trial" in one["target"].dims else one["target"]
    axes.plot(time, target, color=TARGET, lw=1.5)
    name = f"output {neuron}" if "output" in one.coords else called(one, neuron)
    axes.set_title(f"{name}, correlation {correlation:.2f}" if np.isfinite(correlation) else name, fontsize=8)
    axes.set_xlim(time[0], time[-1])
    few_ticks(axes, "y", 3)


@styled
def raster(trained: xr.Dataset, *, n_neurons: int = 100, n_trials: int = 3, order: str = "number") -> Figure:
    """Spikes of evenly spread neurons in test trials, the cue shaded, with the rate of all neurons below.

    Parameters
    ----------
    trained
        Dataset of one trained network with ``spike_time`` and its companions.
    n_neurons
        Number of neurons drawn at most: every k-th.
    n_trials
        Number of trials drawn, one column each, one row per target set.
    order
        Of the neurons: ``number``, or ``peak``, by the time at which the mean of their spikes over the trials of the
        first target set, smoothed by 50 ms, is largest; neurons without spikes come last.
    """
    if order not in ORDERS:
        raise SpecError(f"order = {order!r}: must be one of {', '.join(ORDERS)}")
    spikes = trained[["spike_time", "spike_neuron", "spike_trial", "spike_set"]].load()
    if order == "peak":
        rank = _by_peak(trained, spikes)
        spikes["spike_neuron"] = ("spike", rank[spikes["spike_neuron"].values])
    sets = min(trained.sizes["target_set"], MAX_SETS)
    trials = min(trained.sizes["trial"], n_trials)
    step, words = every_so_many(trained, n_neurons)
    figure = new_figure(1.0 + 2.9 * trials, 0.7 + 3.2 * sets)
    panels = figure.subplots(2 * sets, trials, sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1] * sets)
    begin, end = _shown_time(trained, spikes)
    for s in range(sets):
        for k in range(trials):
            above, below = panels[2 * s, k], panels[2 * s + 1, k]
            draw_raster(above, below, trained, spikes, target_set=s, trial=k, step=step)
            above.set_title(f"trial {k + 1}" if sets == 1 else f"{set_names_of(trained)[s]}, trial {k + 1}")
        panels[2 * s, 0].set_ylabel(words if order == "number" else words.replace("neuron", "neuron by peak", 1))
        panels[2 * s + 1, 0].set_ylabel("rate (Hz)")
    for axes in panels[-1]:
        axes.set_xlabel(TIME)
        axes.set_xlim(begin, end)
        few_ticks(axes, "x", 4)
    if begin < 0:
        figure.legend(
            handles=[Line2D([], [], color=CUE, lw=7, label="cue")], loc="outside upper right", handlelength=1.2
        )
    return figure


def _by_peak(trained: xr.Dataset, spikes: xr.Dataset) -> np.ndarray:
    """Rank of every neuron (N,) by the time of its largest smoothed rate in the window, first target set."""
    n, end, width = trained.sizes["neuron"], float(trained["time"].values[-1]), 10.0
    time, neuron = spikes["spike_time"].values, spikes["spike_neuron"].values
    here = (spikes["spike_set"].values == spikes["spike_set"].values.min(initial=0)) & (time > 0)
    bins = max(1, int(np.ceil(end / width)))
    place = np.minimum(((time[here]) / width).astype(int), bins - 1)
    counts = np.bincount(neuron[here] * bins + place, minlength=n * bins).reshape(n, bins).astype(float)
    smooth = np.exp(-0.5 * (np.arange(-15, 16) * width / 50.0) ** 2)
    rates = np.stack([np.convolve(row, smooth)[15 : 15 + bins] for row in counts])
    peak = np.where(counts.sum(axis=1) > 0, rates.argmax(axis=1), bins)
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(peak, kind="stable")] = np.arange(n)
    return rank


def every_so_many(trained: xr.Dataset, n_neurons: int) -> tuple[int, str]:
    """How far apart neurons are of which about ``n_neurons`` are drawn, and what their axis says."""
    step = max(1, -(-trained.sizes["neuron"] // n_neurons))
    ending = {1: "st", 2: "nd", 3: "rd"}.get(step % 10 if step % 100 not in (11, 12, 13) else 0, "th")
    return step, "neuron" if step == 1 else f"neuron (every {step}{ending} drawn)"


def draw_raster(
    above: Axes, below: Axes, trained: xr.Dataset, spikes: xr.Dataset, *, target_set: int, trial: int, step: int
) -> None:
    """Spikes of every k-th neuron (``step``) in one trial, and below the rate of all, the cue shaded; in memory."""
    begin, end = _shown_time(trained, spikes)
    time, fired = spikes["spike_time"].values, spikes["spike_neuron"].values
    here = (spikes["spike_trial"].values == trial) & (spikes["spike_set"].values == target_set)
    shown = here & (fired % step == 0)
    above.plot(time[shown], fired[shown], "|", ms=2.2, mew=0.6, color=BLACK, rasterized=True)
    _population_rate(below, time[here], begin, end, trained.sizes["neuron"])
    for axes in (above, below):
        axes.axvspan(begin, 0, color=CUE, lw=0, zorder=0)
        axes.set_xlim(begin, end)
    above.set_ylim(-step, trained.sizes["neuron"])
    below.set_ylim(bottom=0)


def _shown_time(trained: xr.Dataset, spikes: xr.Dataset) -> tuple[float, float]:
    return min(float(spikes["spike_time"].values.min(initial=0.0)), 0.0), float(trained["time"].values[-1])


def _population_rate(axes: Axes, time: np.ndarray, begin: float, end: float, n_neurons: int) -> None:
    width = 10.0 if end - begin <= 3000 else 20.0
    bins = np.arange(begin, end + width, width)
    counts, bins = np.histogram(time, bins=bins)
    axes.stairs(counts / n_neurons / width * 1000.0, bins, color=BLUE, fill=True, alpha=0.6)


@styled
def error_split(trained: xr.Dataset, *, fast_time_ms: float | None = None) -> Figure:
    """What kind of error one network makes: power spectra, and where it was measured the clamped split.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    fast_time_ms
        x of the cut-off 1/(2 pi x) between slow and fast power (ms); default: that of the experiment, else 20 ms.
    """
    if not has_split(trained):
        figure = new_figure(5.2, 3.7)
        draw_spectra(figure.subplots(), trained, fast_time_ms)
        foot(figure, without_split(trained))
        return figure
    figure = new_figure(8.2, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_spectra(left, trained, fast_time_ms)
    draw_split(right, trained)
    panel_letters([left, right])
    return figure


SPLIT = {
    "sampling_error": ("sampling", SKY, "///"),
    "tracking_error": ("tracking", ORANGE, "\\\\\\"),
    "quasi_static_residual": ("quasi-static\nresidual", GREY, None),
}
"""Parts of the clamped split: word, colour and hatching."""


def has_split(trained: xr.Dataset) -> bool:
    """Whether the clamped split of a network was measured."""
    return any(name in trained and bool(np.isfinite(float(trained[name]))) for name in SPLIT)


def without_split(trained: xr.Dataset) -> str:
    """Why a network has no clamped split (`hpcspike.measures.can_be_clamped`)."""
    experiment = experiment_of(trained)
    model = str(experiment.get("neuron", {}).get("model", "theta"))
    synapse = experiment.get("synapse", {})
    reasons = {
        "trained on rates": trained.attrs.get("trained_variable") == "rate",
        f"{model} neurons": model != "theta",
        "input with noise": bool(experiment.get("frozen_noise", {}).get("standard_deviation")),
        "synapses of several decay times": synapse.get("static_tau_syn_ms") not in (None, synapse.get("tau_syn_ms")),
    }
    here = ", ".join(words for words, true in reasons.items() if true)
    return "no clamped split: only for theta neurons trained on drives" + (f" (here: {here})" if here else "")


def draw_spectra(axes: Axes, trained: xr.Dataset, fast_time_ms: float | None = None) -> None:
    """Power of targets and responses, with the cut-off of `error_split`; of recorded targets over recorded units."""
    if fast_time_ms is None:
        fast_time_ms = float(experiment_of(trained).get("measures", {}).get("fast_time_ms", 20.0))
    # the last frequency stands for one side only and would end the curve in a spike
    spectrum = power_spectrum(recorded_only(trained)).isel(frequency=slice(None, -1)).load()
    frequency = spectrum["frequency"].values
    for name, colour, words in (("power_target", TARGET, "target"), ("power_response", RESPONSE, "response")):
        axes.plot(frequency, spectrum[name].values, color=colour, label=words)
    axes.set_xscale("log")
    axes.set_yscale("log")
    cut = 1000.0 / (2 * np.pi * fast_time_ms)
    axes.axvline(cut, color=GREY, lw=0.9, ls=(0, (4, 2)), label=f"cut-off {cut:.1f} Hz")
    top = float(max(spectrum["power_target"].max(), spectrum["power_response"].max()))
    if top > 0:  # what lies six decades below the peak is numerical dust
        axes.set_ylim(max(axes.get_ylim()[0], top * 1e-6), top * 3)
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel(f"power density ({pretty_units(str(spectrum['power_target'].attrs['units']))})")
    judged = over_recorded(trained)
    if "spectral_index" in judged:
        over = f", {judged.attrs['judged']}" if "judged" in judged.attrs else ""
        index = float(judged["spectral_index"])
        axes.set_title(f"spectral index {index:+.2f}{over}" if np.isfinite(index) else "no spectral index")
    axes.legend(loc="lower left")


def draw_split(axes: Axes, trained: xr.Dataset) -> None:
    """The clamped split as bars, with the theory's scaling in the title: it says how errors grow, not how large."""
    known = [name for name in SPLIT if name in trained and np.isfinite(float(trained[name]))]
    heights = [float(trained[name]) for name in known]
    for position, name in enumerate(known):
        _, colour, hatch = SPLIT[name]
        axes.bar(position, heights[position], width=0.6, color=colour, hatch=hatch, edgecolor="white", lw=0)
        axes.text(position, heights[position], f"{heights[position]:.2f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(known)), [SPLIT[name][0] for name in known])
    axes.set_xlim(-0.6, len(known) - 0.4)
    axes.set_ylim(0, 1.15 * max(heights, default=1.0) or 1.0)
    axes.set_ylabel("clamped error / s.d. of the target")
    if "sampling_theory" in trained and "tracking_theory" in trained:
        sampling, tracking = float(trained["sampling_theory"]), float(trained["tracking_theory"])
        theory = "theory, scaling only:\n" + rf"$\epsilon_\mathrm{{sample}}$ {sampling:.3f}"
        theory += rf", $\epsilon_\mathrm{{track}}$ {tracking:.3f}" if np.isfinite(tracking) else ""
        axes.set_title(theory)


def recorded_only(trained: xr.Dataset) -> xr.Dataset:
    """Without the auxiliary neurons."""
    if "recorded" not in trained:
        return trained
    kept = np.flatnonzero(trained["recorded"].values.astype(bool))
    if not len(kept):
        raise DataError("no neuron of this Dataset is marked as recorded")
    return trained.isel(neuron=kept)


def quantity(response: xr.DataArray) -> str:
    """What the response is, with its unit, for an axis."""
    words = response.attrs.get("quantity", response.attrs.get("long_name", "response"))
    units = str(response.attrs.get("units", "1"))
    return words if units in ("1", "") else f"{words} ({pretty_units(units)})"
