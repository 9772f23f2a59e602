"""What each of several swept parameters does, averaged over the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import parameters
from hpcspike.errors import DataError
from hpcspike.figures.style import BLACK, CORRELATION, GREY, label, new_figure, number, say_if_empty, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 4


def effects_of(sweep: xr.Dataset) -> list[str]:
    """The numeric parameters that vary, where they are three or more and no others do: none otherwise."""
    varied = {name: values for name, values in parameters(sweep).items() if len(np.unique(values)) > 1}
    numeric = [name for name, values in varied.items() if values.dtype.kind in "iuf"]
    return numeric if len(numeric) >= 3 and len(numeric) == len(varied) else []


@styled
def parameter_effects(sweep: xr.Dataset, *, variable: str = "correlation") -> Figure:
    """A result against each parameter: every network, and the mean of all that have the value, whatever else differs.

    Parameters
    ----------
    sweep
        Dataset along ``point`` over three or more numeric parameters.
    variable
        Name of a result along ``point``.

    Raises
    ------
    DataError
        If the sweep has no such result, or varies fewer parameters.
    """
    names = effects_of(sweep)
    if not names:
        raise DataError("parameter_effects: this sweep does not vary three or more numeric parameters")
    if variable not in sweep or sweep[variable].dims != ("point",):
        raise DataError(f"parameter_effects: this sweep has no result {variable!r} along point")
    columns = min(len(names), MOST_COLUMNS)
    rows = -(-len(names) // columns)
    figure = new_figure(0.6 + 2.7 * columns, 0.5 + 2.6 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    result = sweep[variable].values
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, parameters(sweep)[name], result)
        axes.set_xlabel(label(sweep[name]))
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel(CORRELATION if variable == "correlation" else label(sweep[variable]))
    return figure


def _panel(axes: Axes, values: np.ndarray, result: np.ndarray) -> None:
    # places of equal distance: a penalty of 0 stands beside one of 800
    known = np.unique(values)
    place = np.searchsorted(known, values).astype(float)
    axes.plot(place, result, ls="", marker=".", ms=4, color=GREY, alpha=0.6)
    there = np.isfinite(result)
    found = [result[there & (values == value)] for value in known]
    means = [one.mean() if len(one) else np.nan for one in found]
    errors = [one.std(ddof=1) / np.sqrt(len(one)) if len(one) > 1 else np.nan for one in found]
    axes.errorbar(range(len(known)), means, errors, color=BLACK, marker="o", ms=4, capsize=2)
    axes.set_xticks(range(len(known)), [number(value) for value in known])
    axes.margins(x=0.15)
    say_if_empty(axes)
