"""What statements about learners share: scores of networks, medians with intervals, and rows with their reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.intervals import Interval, median_interval
from hpcspike.studies.claim_tables import Tables, values_of
from hpcspike.studies.claims import Row, below

if TYPE_CHECKING:
    import xarray as xr

Verdict = Callable[[Interval], str]


def scores_of(tables: Tables, study: str, variable: str, variant: str, **select: Any) -> np.ndarray:
    """(replicates,) the median over test trials of a score of one variant; none if it is not there.

    A network that diverged has no score; it counts as `inf`, which no error is above. NaN: no such network.
    """
    table = tables.get(study)
    if table is None or variable not in table or variant not in table["variant"].values:
        return np.empty(0)
    column = table[variable].sel(variant=variant, **select)
    trials = [dim for dim in column.dims if dim != "replicate"]
    found = np.asarray(column.median(trials).values, dtype=np.float64)
    return np.where(np.isnan(found) & trained(table, variant), np.inf, found)


def row(claim: int, measure: str, study: str, criterion: str, found: Interval, judge: Verdict, why: str = "") -> Row:
    """A row; ``why`` is kept where it does not hold."""
    verdict = judge(found)
    return Row(claim, measure, study, criterion, found, verdict, why if verdict == "does not hold" else "")


def median_below(claim: int, measure: str, study: str, bound: float, values: np.ndarray, why: str = "") -> list[Row]:
    """The statement that the median over networks is below a bound; none without networks."""
    if not len(values):
        return []
    found = median_interval(values)
    return [row(claim, measure, study, f"median below {bound:g}", found, lambda one: below(one, bound), why)]


def wrong_of(tables: Tables, study: str, variant: str) -> np.ndarray:
    """(replicates,) the share of wrong answers in tests of one variant; none if it is not there.

    1 where training diverged, NaN where there is no such network.
    """
    found = values_of(tables, study, "test_wrong", variant)
    return np.where(np.isnan(found) & trained(tables[study], variant), 1.0, found) if len(found) else found


def late_in_training(table: xr.Dataset, variable: str, variant: str, most: int) -> tuple[float, float, int, int] | None:
    """Mean over networks of a learning curve after the middle of training and at its end, each over n of all passes.

    Returns the two, n (``most``, or half of the passes if they are fewer) and the number of passes; None without them.
    """
    if variable not in table:
        return None
    curve = table[variable].sel(variant=variant).mean("replicate").dropna("loop").values
    n = min(most, len(curve) // 2)
    return (float(curve[len(curve) // 2 :][:n].mean()), float(curve[-n:].mean()), n, len(curve)) if n else None


def trained(table: xr.Dataset, variant: str) -> np.ndarray:
    """(replicates,) whether there is this network of a variant: others may have more (``replicates_of``)."""
    wall = table.get("wall_seconds")
    return np.ones(table.sizes["replicate"], bool) if wall is None else wall.sel(variant=variant).notnull().values
