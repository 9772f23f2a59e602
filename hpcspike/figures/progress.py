"""A sweep that is running: which of its networks are there, and how well they have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from hpcspike.analysis.cells import parameters
from hpcspike.figures.style import CORRELATION, NO_DATA, SEQUENTIAL, label, new_figure, number, styled
from hpcspike.figures.style import section_name as named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 14


@styled
def progress_map(sweep: xr.Dataset) -> Figure:
    """Mean correlation over the two parameters that have most values, of the networks that are finished.

    Parameters
    ----------
    sweep
        All planned points, as ``open_sweep(complete_only=False)`` gives them: ``done`` tells which are finished.

    Returns
    -------
    Figure
        A cell for each pair of values, grey where nothing is finished, else the mean over the finished networks in it;
        numbers say how many of how many these are where not all are. Every axis has equal steps, whatever its values.
    """
    columns = {name: np.asarray(values) for name, values in parameters(sweep).items()}
    counts = {name: len(np.unique(values.astype(str))) for name, values in columns.items()}
    varying = sorted((name for name in counts if counts[name] > 1), key=lambda name: -counts[name])[:2]
    x, y = [*varying, *("replicate" for _ in range(2))][:2]
    across, places_x = _places(sweep, x)
    up, places_y = _places(sweep, y) if y != x else (["all"], np.zeros(sweep.sizes["point"], dtype=int))
    done = sweep["done"].values == 1
    cell = places_y * len(across) + places_x
    size = len(across) * len(up)
    planned = np.bincount(cell, minlength=size)
    there = np.bincount(cell[done], minlength=size)
    score = sweep["correlation"].values
    known = done & np.isfinite(score)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell[known], score[known], minlength=size) / np.bincount(cell[known], minlength=size)
    shape = (len(up), len(across))
    figure = new_figure(min(3.0 + 0.32 * len(across), 8.5), min(2.4 + 0.3 * len(up), 6.5))
    axes = figure.subplots()
    axes.set_facecolor(NO_DATA)
    mesh = axes.pcolormesh(np.ma.masked_invalid(mean.reshape(shape)), cmap=SEQUENTIAL, vmin=0.0, vmax=1.0, ec="white")
    figure.colorbar(mesh, ax=axes, pad=0.02, label=CORRELATION)
    _ticks(axes, "x", x, across, sweep)
    _ticks(axes, "y", y if y != x else "", up, sweep)
    if size <= 400:
        for k in np.flatnonzero((planned > 0) & (there < planned)):
            light = np.isnan(mean[k]) or mean[k] > 0.5
            axes.text(
                k % len(across) + 0.5, k // len(across) + 0.5, f"{there[k]}/{planned[k]}", ha="center", va="center",
                fontsize=6, color="black" if light else "white",
            )  # fmt: skip
    axes.set_title(f"{int(done.sum()):,} of {sweep.sizes['point']:,} networks finished")
    return figure


def _places(sweep: xr.Dataset, name: str) -> tuple[list[str], np.ndarray]:
    """The distinct values of a parameter in words, ascending, and which of them each point has."""
    values, place = np.unique(np.asarray(sweep[name].values), return_inverse=True)
    if values.dtype.kind in "iuf":
        return [number(float(value)) for value in values], place
    return [named(str(value)) for value in values], place


def _ticks(axes: Axes, which: str, name: str, words: list[str], sweep: xr.Dataset) -> None:
    step = -(-len(words) // _MOST_TICKS)
    places = np.arange(0, len(words), step)
    (axes.set_xticks if which == "x" else axes.set_yticks)(places + 0.5, [words[k] for k in places])
    if name:
        (axes.set_xlabel if which == "x" else axes.set_ylabel)(label(sweep[name]))
