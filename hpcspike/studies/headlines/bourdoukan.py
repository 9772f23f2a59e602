"""Bourdoukan & Deneve 2015: random linear systems, learned with and without the fast rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import median_interval, share_interval
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import median_below, row, scores_of

STUDY = "headlines_bourdoukan"
SYSTEMS = ("planar", "spatial")
"""Variants whose networks are each another random stable system, of two and of three components."""

WITHOUT_FAST = ("planar-no-fast", "spatial-no-fast")


def statements(tables: Tables) -> Iterator[Row]:
    """Claim 19."""
    errors = np.concatenate([scores_of(tables, STUDY, "test_score", variant) for variant in SYSTEMS])
    if len(errors):
        systems = f"{len(errors)} random stable systems of 2 and 3 components"
        yield from median_below(19, f"squared error over power without error current, {systems}", STUDY, 0.02, errors)
        found = share_interval(int((errors < 0.1).sum()), len(errors))
        yield row(
            19, f"share of {systems} with an error below 0.1, by count", STUDY, "at least 0.9", found,
            lambda one: "holds" if one.value >= 0.9 else "does not hold",
        )  # fmt: skip
    matrices = np.concatenate([scores_of(tables, STUDY, "matrix_error", variant) for variant in SYSTEMS])
    measure = "norm of decoded minus wanted A over that of A, systems with both rules"
    yield from median_below(19, measure, STUDY, 0.15, matrices)
    without = np.concatenate([scores_of(tables, STUDY, "test_score", variant) for variant in WITHOUT_FAST])
    if len(without):
        found = median_interval(without)
        measure = "squared error over power where the fast rule is off, the same systems"
        yield row(19, measure, STUDY, "median above 0.5", found, lambda one: above(one, 0.5))
