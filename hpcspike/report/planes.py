"""Maps as tables: every cell says its mean correlation and leads to the networks behind it."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.colors import to_hex

from hpcspike.analysis.cells import varying
from hpcspike.analysis.error_map import error_types
from hpcspike.analysis.scattered import plan_of
from hpcspike.figures.style import SEQUENTIAL, STATUS_MARKERS
from hpcspike.report.networks import MOST_ROWS, SECTION, TABLE, chosen_columns
from hpcspike.report.page import number, paragraph, part
from hpcspike.report.words import SIGNS, became, heading, ink_on, key_of, plain, spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PLANES = 6
MOST_CELLS = 30
"""Values of a parameter that a map can hold."""


def plane_tables(sweep: xr.Dataset) -> Markup:
    """Maps over the first two parameters that vary, one for every combination of the others; empty if it has none."""
    names = list(varying(sweep))
    if len(names) < 2 or "correlation" not in sweep or "status" not in sweep:
        return Markup()
    across, down = names[:2]
    cells = error_types(sweep, over=(down, across))[["correlation", "status", "n_finished"]].load()
    others = [str(dim) for dim in cells["correlation"].dims if dim not in (across, down)]
    combinations = list(itertools.product(*(range(cells.sizes[name]) for name in others)))
    if len(combinations) > MOST_PLANES or max(cells.sizes[across], cells.sizes[down]) > MOST_CELLS:
        return Markup()
    low = min(0.0, float(np.nan_to_num(cells["correlation"].values).min()))
    shown = [
        _plane(sweep, cells.isel(dict(zip(others, k, strict=True))), across, down, others, low) for k in combinations
    ]
    some = bool((cells["n_finished"].values < wanted_networks(sweep)).any())
    return _legend(cells, linked=sweep.sizes["point"] <= MOST_ROWS, some=some) + Markup("\n").join(shown)


def wanted_networks(sweep: xr.Dataset) -> int:
    """Networks of every combination of parameters once the sweep is done; 0 if that is not known."""
    plan = plan_of(sweep)
    return 0 if plan is None else plan.replicates


def _legend(cells: xr.Dataset, *, linked: bool, some: bool) -> Markup:
    present = [became(int(code)) for code in np.unique(cells["status"].values)]
    signs = ", ".join(f"{SIGNS[name]} {STATUS_MARKERS[name][1]}" for name in present if name)
    text = f"Mean correlation with the target over the networks of a cell, and what most of them became: {signs}."
    if some:
        text += " Cells that say so average fewer networks than the sweep asks for; those with a dash have none yet."
    return paragraph(text + (" Choose a cell to see its networks and their learning curves." if linked else ""))


def _plane(sweep: xr.Dataset, one: xr.Dataset, across: str, down: str, others: list[str], low: float) -> Markup:
    fixed = {name: one[name].values[()] for name in others}
    at = [spoken(sweep[name], value) for name, value in fixed.items()]
    caption = f"Mean correlation{' at ' + ', '.join(at) if at else ''}"
    columns = chosen_columns(sweep)
    rows = []
    for value in one[down].values[::-1]:  # upwards, as in the figures
        here = {**fixed, down: value}
        rows.append((plain(value), list(_cells(sweep, one.sel({down: value}), across, here, columns, low))))
    return part(
        "plane", caption=caption, down=heading(sweep[down]), across=heading(sweep[across]),
        heads=[plain(value) for value in one[across].values], rows=rows, section=SECTION, table=TABLE,
    )  # fmt: skip


def _cells(
    sweep: xr.Dataset, row: xr.Dataset, across: str, here: dict[str, Any], columns: dict[str, int], low: float
) -> Iterator[dict[str, str] | None]:
    colours, wanted = matplotlib.colormaps[SEQUENTIAL], wanted_networks(sweep)
    for k, value in enumerate(row[across].values):
        count = int(row["n_finished"].values[k])
        correlation = float(row["correlation"].values[k])
        status = became(int(row["status"].values[k]))
        if not count:
            yield None
            continue
        colour = to_hex(colours((correlation - low) / (1.0 - low))) if np.isfinite(correlation) else "#e3e3e3"
        place = {**here, across: value}
        words = ", ".join(spoken(sweep[name], place[name]) for name in place)
        yield {
            "colour": colour,
            "ink": ink_on(colour),
            "value": f"{correlation:.2f}".replace("-", "−") if np.isfinite(correlation) else "–",
            "sign": SIGNS.get(status, ""),
            "part": f"{count} of {wanted}" if count < wanted else "",
            "choice": json.dumps({str(columns[name]): key_of(place[name]) for name in place}),
            "words": f"{words}: mean correlation {number(correlation)}, {count} networks, most of them {status}",
        }
