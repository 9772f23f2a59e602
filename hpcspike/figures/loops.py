"""Learning curves: of the networks of a sweep, and of one trained network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.analysis.available import n_values
from hpcspike.analysis.cells import make_grid, varying
from hpcspike.analysis.learners import learner_axis
from hpcspike.analysis.neurons import carrier, experiment_of
from hpcspike.analysis.unit_table import set_names_of
from hpcspike.errors import DataError
from hpcspike.figures.choice import Selection, has_no_reference, nearest
from hpcspike.figures.style import (
    BLACK,
    CORRELATION,
    LEARNERS,
    MARKERS,
    PALETTE,
    few_ticks,
    heading,
    legend_below,
    new_figure,
    panel_letters,
    ramped,
    say_if_empty,
    sets_of_loops,
    share_of,
    styled,
    valued,
    valued_apart,
)
from hpcspike.measures.verdict import n_with_targets_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 6
DASHED = (0, (4, 2))
PANELS = {
    "curve_correlation": ("correlation, plasticity on", CORRELATION),
    "curve_rate": ("population rate, plasticity on", "population rate (Hz)"),
    "curve_weight_change": ("weight change", "relative change of weights per loop"),
}
"""Learning curve -> title and label of its panel."""
TESTS = "curve_test_correlation"
"""What is drawn dashed beside the correlation with plasticity on, where there were tests in training."""


@styled
def learning_curves(sweep: xr.Dataset, *, select: Selection = None) -> Figure:
    """Correlation, rate and weight change in every training loop, mean and s.d. over networks.

    The curves differ in the learner, or in the parameter that takes the most values; all others are fixed.

    Parameters
    ----------
    sweep
        Dataset along ``point`` with the curves along ``loop``.
    select
        Values of parameters to fix.
    """
    counts = {name: n_values(sweep, name) or count for name, count in varying(sweep).items()}
    family = max(counts, key=lambda name: (name == learner_axis(sweep), counts[name])) if counts else "n_neurons"
    grid = make_grid(sweep, over=(family,))
    # a number that nobody chose and that has no reference value is that of the best network
    table = sweep["correlation"].values if "correlation" in sweep else np.full(sweep.sizes["point"], np.nan)
    best = int(np.nanargmax(table)) if np.isfinite(table).any() else None
    wanted = dict(select or {})
    by_best = [n for n in grid.dims[:-1] if n not in wanted and best is not None and has_no_reference(sweep, n)]
    wanted |= {n: sweep[n].values[best] for n in by_best if best is not None}
    index = [nearest(grid.axes[n], n, wanted.get(n)) for n in grid.dims[:-1]]
    fixed = [
        f"{valued(n, grid.axes[n][k], attrs=sweep[n].attrs)} "
        + (f"({'that of the best network, ' * (n in by_best)}of {len(grid.axes[n])} values)")
        for n, k in zip(grid.dims[:-1], index, strict=True)
        if len(grid.axes[n]) > 1
    ]
    measures = [n for n in PANELS if n in sweep]
    if not measures or sweep.sizes.get("loop", 0) == 0:
        raise DataError("this sweep has no learning curves along 'loop'")
    figure = new_figure(0.6 + 3.1 * len(measures), 3.6)
    panels = np.atleast_1d(figure.subplots(1, len(measures)))
    values, n_sets = grid.axes[family], _sets_of_sweep(sweep)
    labels = valued_apart(family, values, attrs=sweep[family].attrs)
    chosen = ramped(values, CURVES)
    if values.dtype.kind not in "iuf":  # names have no order, so no ramp of colours; learners as in their comparison
        names = list(LEARNERS.values())
        chosen.sort(key=lambda one: names.index(labels[one[0]]) if labels[one[0]] in names else len(names))
        chosen = [(k, PALETTE[position % len(PALETTE)]) for position, (k, _) in enumerate(chosen)]
    for position, (k, colour) in enumerate(chosen):
        cell = int(np.ravel_multi_index((*index, k), grid.shape))
        members_of = np.flatnonzero(grid.cell == cell)
        members = sweep[measures].isel(point=members_of).load()
        for axes, name in zip(panels, measures, strict=True):
            _loops(axes, members[name], colour, MARKERS[position], labels[k], n_sets=n_sets)
            if name == "curve_correlation" and TESTS in sweep:
                _loops(axes, sweep[TESTS].isel(point=members_of).load(), colour, MARKERS[position], tested=True)
    for axes, name in zip(panels, measures, strict=True):
        _finish(axes, name, tested=_tested(sweep), smoothing_ms=smoothing_of(sweep), n_sets=n_sets)
    # a curve may be missing from one panel and be there in the next
    found = [zip(*axes.get_legend_handles_labels()[::-1], strict=True) for axes in panels]
    handles = {word: handle for panel in found for word, handle in panel}
    shown = [labels[k] for k, _ in chosen if labels[k] in handles]
    legend_below(
        figure,
        [handles[word] for word in shown],
        shown,
        ncols=min(len(shown), 6) or 1,
        title=share_of(family, len(chosen), len(values)) or None,
    )
    if fixed:
        heading(figure, f"one slice of the sweep: {', '.join(fixed)}")
    panel_letters(list(panels))
    return figure


@styled
def training_curves(trained: xr.Dataset) -> Figure:
    """Correlation, rate and weight change in every training loop of one network, one colour per target set."""
    measures = [n for n in PANELS if n in trained and trained.sizes.get("loop", 0) > 0]
    if not measures:
        raise DataError("this Dataset has no learning curve along 'loop'")
    figure = new_figure(0.6 + 3.0 * len(measures), 3.0)
    panels = np.atleast_1d(figure.subplots(1, len(measures)))
    for axes, name in zip(panels, measures, strict=True):
        draw_training(axes, trained, name)
    if trained.sizes.get("target_set", 1) > 1:
        panels[0].legend()
    panel_letters(list(panels))
    return figure


def smoothing_of(sweep: xr.Dataset) -> float:
    """Over what the tests while training of a sweep take means (ms); 0 if none does, or its points differ in it."""
    return float(_shared(sweep).get("measures", {}).get("smoothing_ms", 0.0))


def _sets_of_sweep(sweep: xr.Dataset) -> int:
    """Number of target sets that the loops of its networks share, the most if they differ in it; 1 of fewer loops."""
    if learner_axis(sweep) is not None or _shared(sweep).get("learner", {}).get("kind", "rls") != "rls":
        return 1  # one pass of other learners goes through all sets
    targets = _shared(sweep).get("targets", {})
    found = len(targets.get("conditions") or ()) or int(targets.get("n_sets", 1))
    if "n_sets" in sweep:
        found = int(sweep["n_sets"].max())
    return found if sweep.sizes.get("loop", 0) >= found else 1


def _shared(sweep: xr.Dataset) -> dict[str, Any]:
    """The experiment of which all points of a sweep are variations."""
    return dict(json.loads(sweep.attrs.get("sweep", "{}")).get("experiment", {}))


def _tested(results: xr.Dataset) -> bool:
    return TESTS in results and bool(results[TESTS].notnull().any())


def draw_training(axes: Axes, trained: xr.Dataset, name: str) -> None:
    """One learning curve of one network, one line per target set; with the correlation the tests over all sets."""
    n_sets = trained.sizes.get("target_set", 1)
    loop, values = np.arange(1, trained.sizes["loop"] + 1), trained[name].values
    names = set_names_of(trained)
    for target_set in range(n_sets):
        chosen = sets_of_loops(trained) == target_set
        every = max(1, len(loop[chosen]) // 8)
        axes.plot(
            loop[chosen],
            values[chosen],
            color=PALETTE[target_set % len(PALETTE)],
            marker=MARKERS[target_set % len(MARKERS)],
            markevery=every,
            label=names[target_set],
        )
    tested = name == "curve_correlation" and _tested(trained)
    if tested:
        results = trained[TESTS].values
        known = ~np.isnan(results)
        axes.plot(loop[known], results[known], color=BLACK, ls=DASHED, marker="o", mfc="white", ms=4, label="tests")
    smoothing = float(experiment_of(trained).get("measures", {}).get("smoothing_ms", 0.0))
    _finish(axes, name, tested=tested, over=over_which_neurons(trained), smoothing_ms=smoothing)


def over_which_neurons(trained: xr.Dataset) -> str:
    """Over what the learning curves of a network are averaged: all its neurons that learn, or its outputs."""
    if carrier(trained) == "output":
        return "all outputs"
    n_trained = n_with_targets_of(trained)
    if n_trained is not None:
        return f"the {n_trained} trained neurons"
    recorded = "recorded" in trained and bool(np.any(trained["recorded"].values))
    mixed = recorded and not bool(np.all(trained["recorded"].values))
    return "all neurons, recorded and auxiliary" if mixed else "all recorded units" if recorded else "all neurons"


@styled
def exemplary_curves(sweep: xr.Dataset, chosen: Mapping[str, int]) -> Figure:
    """Correlation, rate and weight change in every training loop of single networks of a sweep, one curve each.

    Parameters
    ----------
    sweep
        Dataset along ``point`` with the curves along ``loop``.
    chosen
        Words for a network -> its position along ``point``. The correlation after training is drawn as a dashed line.
    """
    measures = [n for n in PANELS if n in sweep and sweep.sizes.get("loop", 0) > 0]
    if not measures:
        raise DataError("this sweep has no learning curves along 'loop'")
    n_sets = _sets_of_sweep(sweep)
    figure = new_figure(0.6 + 3.1 * len(measures), 3.4)
    panels = np.atleast_1d(figure.subplots(1, len(measures)))
    for number, (words, position) in enumerate(chosen.items()):
        one = sweep.isel(point=[position])
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        for axes, name in zip(panels, measures, strict=True):
            _loops(axes, one[name], colour, marker, words, n_sets=n_sets)
            if name == "curve_correlation" and TESTS in one:
                _loops(axes, one[TESTS], colour, marker, tested=True)
            tested = float(one["correlation"].values[0])
            if name == "curve_correlation" and np.isfinite(tested):
                axes.axhline(tested, color=colour, lw=0.9, ls=DASHED)
    for axes, name in zip(panels, measures, strict=True):
        _finish(axes, name, tested=_tested(sweep), smoothing_ms=smoothing_of(sweep), n_sets=n_sets)
    handles, words_ = panels[0].get_legend_handles_labels()
    if handles:
        legend_below(figure, handles, words_, ncols=len(words_))
    panel_letters(list(panels))
    return figure


def _finish(
    axes: Axes, name: str, *, tested: bool = False, over: str = "", smoothing_ms: float = 0.0, n_sets: int = 1
) -> None:
    say_if_empty(axes)
    axes.set_xlabel("training loop")
    few_ticks(axes, "x", integer=True)
    title, words = PANELS[name]
    if n_sets > 1:
        title += f"\n(means of {n_sets} loops, as many as target sets)"
    if name == "curve_correlation" and tested:
        smoothed = f" of the {smoothing_ms:g} ms mean" if smoothing_ms else ""
        title += f"\n(dashed: tests{smoothed}, plasticity off)"
    axes.set_title(title)
    axes.set_ylabel(f"{words},\n{over}" if over and name == "curve_correlation" else words)
    if name == "curve_weight_change" and _positive(axes):
        axes.set_yscale("log")


def _loops(
    axes: Axes, table: xr.DataArray, colour: Any, marker: str, words: str | None = None, *,
    tested: bool = False, n_sets: int = 1,
) -> None:  # fmt: skip
    """Mean and s.d. over networks in every loop, or in every round of ``n_sets`` loops, which target sets share."""
    values = table.transpose("point", "loop").values
    loop = np.arange(1, values.shape[1] + 1)
    if n_sets > 1:
        rounds = values.shape[1] // n_sets
        values = values[:, : rounds * n_sets].reshape(len(values), rounds, n_sets).mean(axis=2)
        loop = loop[n_sets - 1 :: n_sets]
    known = ~np.isnan(values).all(axis=0)
    if not known.any():
        return
    loop = loop[known]
    mean = np.nanmean(values[:, known], axis=0)
    every = max(1, len(loop) // 8)
    if tested:
        axes.plot(loop, mean, color=colour, marker=marker, markevery=every, mfc="white", ls=DASHED)
        return
    axes.plot(loop, mean, color=colour, marker=marker, markevery=every, label=words)
    if (~np.isnan(values[:, known])).sum(axis=0).min() > 1:
        spread = np.nanstd(values[:, known], axis=0, ddof=1)
        # a band ends where the quantity does: rates and changes are positive, correlations lie between -1 and 1
        least, most = (-1.0, 1.0) if "correlation" in str(table.name) else (0.0, np.inf)
        low, high = np.maximum(mean - spread, least), np.minimum(mean + spread, most)
        axes.fill_between(loop, low, high, color=colour, alpha=0.2, lw=0)


def _positive(axes: Axes) -> bool:
    return bool(axes.lines) and all((np.asarray(line.get_ydata()) > 0).all() for line in axes.lines)
