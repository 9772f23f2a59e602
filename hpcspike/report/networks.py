"""Every network of a sweep as a row of a table, with its learning curve and the command that draws it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from hpcspike.analysis.cells import varying
from hpcspike.report.page import Cell, Column, command, number, numeric, part, table
from hpcspike.report.words import became, heading, key_of, meaning, plain, status_words

if TYPE_CHECKING:
    import xarray as xr

SECTION, TABLE = "networks", "networks-table"
"""Addresses of the section and of the table in their page."""

MOST_ROWS = 2000
"""Networks that a page holds; a browser needs seconds for more."""

MEASURES = {
    "correlation": "correlation",
    "correlation_auxiliary": "auxiliary neurons",
    "correlation_phi": "φ(u + I)",
    "population_rate": "rate (Hz)",
    "target_rate_recorded": "rate in the data (Hz)",
    "rms_error_recorded": "rms error (Hz)",
    "n_silent_recorded": "silent units",
    "unreachable_share_recorded": "out of reach",
    "silent_share": "silent share",
    "spectral_index": "spectral index",
    "sampling_error": "sampling error",
    "tracking_error": "tracking error",
    "wall_seconds": "time (s)",
}
"""Results that the table shows where a sweep has them, and their headings."""

SPARK_WIDTH, SPARK_HEIGHT = 100.0, 24.0


def chosen_columns(sweep: xr.Dataset) -> dict[str, int]:
    """Position in the table of the columns of the parameters that vary."""
    return {name: position for position, name in enumerate(varying(sweep), start=1)}


def networks_table(sweep: xr.Dataset, *, threshold: float, store: str) -> Markup:
    """The table, one row per point in their order.

    Parameters
    ----------
    sweep
        Dataset along ``point``, in memory.
    threshold
        Correlation from which a network counts as having learned.
    store
        Path of the store, for the commands.
    """
    axes = list(varying(sweep))
    measures = [name for name in MEASURES if name in sweep and np.isfinite(sweep[name].values).any()]
    curves = "curve_correlation" in sweep and sweep.sizes.get("loop", 0) > 1
    columns = [
        Column("point", "row of the store"),
        *(
            Column(heading(sweep[name]), meaning(sweep[name]), sweep[name].dtype.kind in "iuf", chosen=True)
            for name in axes
        ),
        Column("replicate", "independent repetition", chosen=int(sweep["replicate"].max()) > 0),
        Column("became", "what the network became", number=False, chosen=True),
        *([Column("learning curve", "correlation in every training loop", number=False)] if curves else []),
        *(Column(MEASURES[name], meaning(sweep[name])) for name in measures),
        Column("draw it", "draws target, response, spikes, errors and spectrum", number=False),
    ]
    rows = [list(_cells(sweep, k, axes, measures, curves, threshold, store)) for k in range(sweep.sizes["point"])]
    return table("Networks, one in each row", columns, rows, key=TABLE)


def _cells(
    sweep: xr.Dataset, k: int, axes: list[str], measures: list[str], curves: bool, threshold: float, store: str
) -> Iterator[Cell]:
    point = point_numbers(sweep)[k]
    yield Cell(str(point), str(point))
    for name in axes:
        value = sweep[name].values[k]
        yield Cell(plain(value), key_of(value))
    yield Cell(str(int(sweep["replicate"].values[k])), str(int(sweep["replicate"].values[k])))
    status = became(int(sweep["status"].values[k]))
    yield Cell(status_words(status), status)
    if curves:
        curve = sweep["curve_correlation"].values[k]
        known = curve[np.isfinite(curve)]
        yield Cell(_sparkline(curve, threshold), repr(float(known[-1])) if len(known) else "")
    for name in measures:
        yield numeric(float(sweep[name].values[k]))
    yield Cell(command(show_command(store, point)), str(point))


def point_numbers(sweep: xr.Dataset) -> np.ndarray:
    """(points,) the number of every point: its row in the store, as `hpcspike.open_sweep` gives it."""
    return np.asarray(sweep["point"].values)


def show_command(store: str, point: int) -> str:
    """The command that draws one network of a store."""
    return f"hpcspike show {shlex.quote(store)} --point {point}"


def export_command(store: str) -> str:
    """The command that packs the networks of a store into one file."""
    packed = f"{store.removesuffix('.zarr')}.zip"
    return f"hpcspike export {shlex.quote(store)} {shlex.quote(packed)}"


def _sparkline(curve: np.ndarray, threshold: float) -> Markup:
    """A small picture of a learning curve on the scale from 0 to 1."""
    known = np.flatnonzero(np.isfinite(curve))
    if not len(known):
        return Markup("–")
    x = known / max(len(curve) - 1, 1) * (SPARK_WIDTH - 2) + 1
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, _height(curve[known]), strict=True))
    words = f"correlation {number(float(curve[known[0]]))} in loop {known[0] + 1}, "
    words += f"{number(float(curve[known[-1]]))} in loop {known[-1] + 1}"
    return part("sparkline", points=points, threshold=f"{float(_height(np.array(threshold))):.1f}", words=words)


def _height(correlation: np.ndarray) -> np.ndarray:
    return np.asarray((1.0 - np.clip(correlation, 0.0, 1.0)) * (SPARK_HEIGHT - 4) + 2)
