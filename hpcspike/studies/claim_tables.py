"""The tables that claims are read from, and the statement they share: that a network has learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.intervals import correlation_interval
from hpcspike.studies.claims import Row, above

if TYPE_CHECKING:
    import xarray as xr

RANDOM_STARTS = "-random-starts"
"""How names of variants end whose training loops start from random states; those of others run on from loop to loop."""

Tables = Mapping[str, "xr.Dataset"]
"""Name of a study or sweep -> its table: over (variant, replicate), or along point."""

LEARNED = 0.7
"""Correlation from which a network counts as having learned; that of `hpcspike.spec.experiment.Measures`."""


def values_of(tables: Tables, study: str, variable: str, variant: str, **select: Any) -> np.ndarray:
    """Values of one variable over the replicates of a variant; none if there is no such thing."""
    table = tables.get(study)
    if table is None or variable not in table or variant not in table["variant"].values:
        return np.empty(0)
    column = table[variable].sel(variant=variant, **select)
    others = [dim for dim in column.dims if dim != "replicate"]
    return np.asarray(column.mean(others).values, dtype=np.float64)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First minus second, replicate by replicate, of those that both have."""
    shared = min(len(first), len(second))
    return first[:shared] - second[:shared]


def variants_of(tables: Tables, study: str) -> list[str]:
    """Names of the variants of a study; none if its table is not at hand."""
    return [] if study not in tables else [str(name) for name in tables[study]["variant"].values]


def correlations_of(tables: Tables, study: str, variant: str, variable: str = "correlation") -> np.ndarray:
    """`values_of` a correlation, 0 for a network that diverged: it follows no target."""
    values, diverged = values_of(tables, study, variable, variant), values_of(tables, study, "diverged_loop", variant)
    return np.where(diverged >= 0, 0.0, values) if len(values) == len(diverged) else values


def learns(
    claim: int, tables: Tables, study: str, variant: str, what: str, variable: str = "correlation"
) -> Iterator[Row]:
    """The statement that the correlation of a variant is above `LEARNED`; a network that diverged counts as 0."""
    values = correlations_of(tables, study, variant, variable)
    if np.isfinite(values).any():
        found = correlation_interval(values)
        yield Row(claim, what, study, f"above {LEARNED}", found, above(found, LEARNED))


def learns_rates(claim: int, tables: Tables, study: str, variant: str, words: str) -> Iterator[Row]:
    """The statement that averages over trials follow rate targets, with single trials and phi(u + I) beside them.

    A filtered spike train of one trial cannot follow a rate closely: at tau_s = 20 ms and 20 Hz it holds less than one
    spike, and correlates with the target by 0.71 even where phi(u + I) does by 0.95.
    """
    one, drive = (
        float(np.nanmean(column)) if np.isfinite(column).any() else np.nan
        for column in (values_of(tables, study, name, variant) for name in ("correlation", "correlation_phi"))
    )
    measure = f"correlation of trial-averaged {words} (single trials {one:.2f}, phi(u) in single trials {drive:.2f})"
    yield from learns(claim, tables, study, variant, measure, "correlation_trial_mean")


def following(share: float) -> str:
    """The share of neurons that still follow their target after a loss, in brackets; '' if it is not known (NaN)."""
    return f" (share of neurons above {LEARNED}: {share:.2f})" if np.isfinite(share) else ""


NONE_LEARNED = "None of these networks has learned, so that there is no slope and no curve of what they recall."


def judged_where_learned(row: Row, correlations: np.ndarray) -> Row:
    """The row, undecided with its reason where none of the correlations (points,) it comes from is `LEARNED`."""
    if (correlations >= LEARNED).any():
        return row
    return replace(row, verdict="undecided", why=NONE_LEARNED)


def point_columns(tables: Tables, sweep: str, *names: str) -> list[np.ndarray] | None:
    """Variables of a sweep along its points; None if the sweep or one of them is not at hand."""
    if sweep not in tables or any(name not in tables[sweep] for name in names):
        return None
    return [np.asarray(tables[sweep][name].values, dtype=np.float64) for name in names]
