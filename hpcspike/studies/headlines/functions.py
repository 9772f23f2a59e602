"""Bellec et al. 2018: functions that were never seen are found out within a trial, by dynamics alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import geometric_interval
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row, below
from hpcspike.studies.headlines.judging import row

STUDY = "headlines_functions"
STANDS_STILL = (
    "After the first tenth of 600 steps the error in training falls by only 7 to 11 %, with leaky neurons alone as "
    "well: these networks hardly use the examples. Larger ones were not tried."
)
"""Of the laptop size; the curves of the reference networks."""


def statements(tables: Tables) -> Iterator[Row]:
    """Claim 24."""
    table = tables.get(STUDY)
    if table is None or "episode_error" not in table:
        return
    late = {}
    for name in ("lsnn", "lif"):
        errors = table["episode_error"].sel(variant=name).values  # (networks, parts)
        if np.isnan(errors).any():
            continue
        quarter = max(1, round(errors.shape[1] / 4))
        late[name] = errors[:, -quarter:].mean(axis=1)
        measure = f"error in the last quarter of a trial over that in its first tenth, functions never seen, {name}"
        if name == "lsnn":
            found = geometric_interval(late[name] / errors[:, 0])
            yield row(24, measure, STUDY, "below 0.5", found, lambda one: below(one, 0.5), STANDS_STILL)
    if len(late) == 2:
        found = geometric_interval(late["lsnn"] / late["lif"])
        measure = "error in the last quarter of a trial, lsnn over leaky neurons alone"
        yield row(24, measure, STUDY, "below 1", found, lambda one: below(one, 1.0))
    if "lsnn" in late:
        baseline = table["regression_error"].sel(variant="lsnn").values
        quarter = max(1, round(baseline.shape[1] / 4))
        found = geometric_interval(late["lsnn"] / baseline[:, -quarter:].mean(axis=1))
        measure = "error in the last quarter of a trial, lsnn over linear regression on the examples so far"
        yield row(24, measure, STUDY, "below 1", found, lambda one: below(one, 1.0), STANDS_STILL)
