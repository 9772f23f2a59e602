"""The map of a sweep whose points lie anywhere: expected values, level lines with their intervals, the points."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpcspike.analysis.scattered import Axis, allows_surface, axes_of, places_of, surface_of
from hpcspike.figures.choice import Selection, nearest
from hpcspike.figures.style import (
    BLACK,
    CORRELATION,
    GREY,
    SEQUENTIAL,
    SKY,
    STATUS_MARKERS,
    few_ticks,
    label,
    legend_below,
    log_axis,
    new_figure,
    valued,
)
from hpcspike.surface import INTERVAL, Surface
from hpcspike.variables import STATUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FINE = 121
"""Places along either axis at which surfaces are drawn."""

BESIDE = ("spectral_index", "correlation_taught")
"""Results that tell the regions of a map apart, beside the one that is drawn."""

NEARBY = 0.1
"""Points within this share of a further axis's length around the fixed value are drawn."""


def scattered_map(
    sweep: xr.Dataset,
    x: str,
    y: str,
    *,
    variable: str = "correlation",
    threshold: float = 0.7,
    select: Selection = None,
) -> Figure:
    """A result over two parameters, by the surface through scattered points.

    Parameters
    ----------
    sweep
        Dataset along ``point`` of an adaptive sweep or one of a random design.
    x, y
        Names of the parameters.
    variable
        Result that gives the colours and, at ``threshold``, the black line.
    threshold
        Its level. The zero of the spectral index, where sampling and tracking errors balance, is drawn beside it.
    select
        Values of further swept parameters.
    """
    axes_there = axes_of(sweep)
    plane = _Plane(sweep, axes_there, x, y, select)
    surfaces = {name: surface_of(sweep, name, axes_there) for name in _drawable(sweep, (variable, *BESIDE))}
    figure = new_figure(6.0, 4.9)
    axes = figure.subplots()
    surface = surfaces[variable]
    scaled, sd = plane.of(surface)
    mean, bounded = surface.unscaled(scaled), "correlation" in variable
    mesh = axes.pcolormesh(
        plane.x, plane.y, mean, cmap=SEQUENTIAL, shading="gouraud", rasterized=True,
        vmin=min(0.0, float(mean.min())) if bounded else None, vmax=1.0 if bounded else None,
    )  # fmt: skip
    for name, which in ((x, "x"), (y, "y")):
        _scale(axes, which, plane.axis(name))
    axes.set_xlim(plane.x[0], plane.x[-1])
    axes.set_ylim(plane.y[0], plane.y[-1])
    handles = []
    if bounded:
        words = f"{variable.replace('_', ' ')} = {threshold:g}"
        handles += _line(axes, plane, scaled, sd, float(surface.scaled(np.array(threshold))), BLACK, words)
    index = surfaces.get("spectral_index")
    if index is not None and variable != "spectral_index":
        handles += _line(axes, plane, *plane.of(index), 0.0, SKY, "spectral index = 0")
    if variable == "correlation" and index is not None:
        taught = surfaces.get("correlation_taught")
        followed = mean if taught is None else taught.expected(plane.places).reshape(mean.shape)
        _regions(axes, plane, mean >= threshold, followed >= threshold, plane.of(index)[0] > 0)
    handles += _points(axes, plane, mesh, mean)
    axes.set_xlabel(label(sweep[x]))
    axes.set_ylabel(label(sweep[y]))
    figure.colorbar(mesh, ax=axes, pad=0.02, label=CORRELATION if variable == "correlation" else label(sweep[variable]))
    axes.set_title(
        ", ".join(
            part for part in (f"median by the surface through {sweep.sizes['point']} networks", plane.note) if part
        )
    )
    legend_below(figure, handles, ncols=3, handletextpad=0.5, columnspacing=1.4)
    return figure


def shown_level(sweep: xr.Dataset, variable: str, otherwise: float) -> float:
    """The level of a variable that an adaptive sweep was to resolve; another one if there is none."""
    plan: dict[str, Any] = json.loads(sweep.attrs.get("sweep", "{}"))
    asked = (plan.get("adaptive") or {}).get("resolve", [])
    levels = [entry["level"] for entry in asked if entry["variable"] == variable and entry["level"] is not None]
    return float(levels[0]) if levels else otherwise


def _drawable(sweep: xr.Dataset, names: tuple[str, ...]) -> list[str]:
    return [name for number, name in enumerate(names) if name in sweep and (number == 0 or allows_surface(sweep, name))]


class _Plane:
    """Two axes, the others at fixed values."""

    def __init__(self, sweep: xr.Dataset, axes: list[Axis], x: str, y: str, select: Selection) -> None:
        self._axes = {axis.name: axis for axis in axes}
        unit = np.linspace(0.0, 1.0, FINE)
        self.x, self.y = self._axes[x].at(unit), self._axes[y].at(unit)
        self.places = np.empty((FINE * FINE, len(axes)))
        near, there, notes = np.ones(sweep.sizes["point"], dtype=bool), places_of(sweep, axes), []
        for k, axis in enumerate(axes):
            if axis.name == x:
                self.places[:, k] = np.tile(unit, FINE)
            elif axis.name == y:
                self.places[:, k] = np.repeat(unit, FINE)
            else:
                values = axis.few()
                value = values[nearest(values, axis.name, (select or {}).get(axis.name))]
                self.places[:, k] = axis.unit(np.array([value]))[0]
                near &= np.abs(there[:, k] - self.places[0, k]) <= NEARBY
                notes.append(valued(axis.name, value, attrs=sweep[axis.name].attrs))
        self.points = sweep.isel(point=np.flatnonzero(near))
        self.note, self.names = ", ".join(notes), (x, y)

    def axis(self, name: str) -> Axis:
        """One of the axes."""
        return self._axes[name]

    def of(self, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
        """(rows along y, columns along x) expected values and standard errors, on the surface's scale."""
        mean, sd = surface.mean_and_sd(self.places)
        return mean.reshape(FINE, FINE), sd.reshape(FINE, FINE)


def _scale(axes: Axes, which: str, axis: Axis) -> None:
    if axis.logarithmic:
        log_axis(axes, which, axis.values)
    else:
        few_ticks(axes, which, 6)


def _line(
    axes: Axes, plane: _Plane, mean: np.ndarray, sd: np.ndarray, level: float, colour: str, words: str
) -> list[Any]:
    """The line of a level over the band in which it lies with 90 %; nothing where there is none."""
    off = (mean - level) / (INTERVAL * sd)
    if mean.min() >= level or mean.max() <= level:
        return []
    axes.contourf(plane.x, plane.y, np.abs(off), levels=[0.0, 1.0], colors=[colour], alpha=0.28, zorder=2)
    axes.contour(plane.x, plane.y, mean, levels=[level], colors="white", linewidths=2.8, zorder=3)
    axes.contour(plane.x, plane.y, mean, levels=[level], colors=colour, linewidths=1.5, zorder=4)
    return [
        Line2D([], [], color=colour, lw=1.5, label=words),
        Patch(facecolor=colour, alpha=0.28, label="90 % interval of the line"),
    ]


def _regions(axes: Axes, plane: _Plane, learned: np.ndarray, followed: np.ndarray, fast: np.ndarray) -> None:
    """The names of the regions, each where it is widest; small ones have none.

    As for a single network: what is learned; what is only followed once a teacher has started it, where recall fails;
    of the rest what has too much fast power, and what has too little.
    """
    from scipy.ndimage import distance_transform_edt

    rest = ~(learned | followed)
    regions = {"learned": learned, "recall": followed & ~learned, "sampling": rest & fast, "tracking": rest & ~fast}
    for name, inside in regions.items():
        depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] >= 0.08 * FINE:
            outlined = [patheffects.withStroke(linewidth=2.2, foreground="white")]
            axes.text(
                plane.x[column], plane.y[row], name, ha="center", va="center", color=BLACK, zorder=6,
                path_effects=outlined,
            )  # fmt: skip


def _points(axes: Axes, plane: _Plane, mesh: Any, mean: np.ndarray) -> list[Any]:
    """Every network with the symbol of its status."""
    points, (x, y) = plane.points, plane.names
    across, up = points[x].values.astype(np.float64), points[y].values.astype(np.float64)
    size = float(np.clip(60.0 / np.sqrt(max(len(across), 1)), 2.6, 6.0))
    under = mean[
        np.clip(np.searchsorted(plane.y, up), 0, FINE - 1), np.clip(np.searchsorted(plane.x, across), 0, FINE - 1)
    ]
    bright = mesh.norm(under) > 0.62
    status = points["status"].values if "status" in points else np.full(len(across), -1)
    handles = []
    for code, name in enumerate(STATUS):
        marker, words = STATUS_MARKERS[name]
        for chosen, colour in (((status == code) & bright, BLACK), ((status == code) & ~bright, "white")):
            if chosen.any():
                look: dict[str, Any] = {
                    "marker": marker,
                    "ms": size,
                    "mew": 0.8,
                    "mfc": "none",
                    "color": colour,
                    "zorder": 5,
                }
                axes.plot(across[chosen], up[chosen], ls="", clip_on=False, **look)
        if (status == code).any():
            handles.append(Line2D([], [], ls="", marker=marker, mfc="none", color=BLACK, ms=5.5, label=words))
    if not handles and len(across):
        axes.plot(across, up, ls="", marker="o", ms=size, mfc="none", color=GREY, zorder=5)
    return handles
