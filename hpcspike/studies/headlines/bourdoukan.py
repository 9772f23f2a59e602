"""Bourdoukan & Deneve 2015: random linear systems, with and without the fast rule; balance and variability."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import numpy as np

from hpcspike.intervals import Interval, mean_interval, median_interval, share_interval
from hpcspike.studies.claim_tables import Tables, values_of, variants_of
from hpcspike.studies.claims import Row, above, below, covers
from hpcspike.studies.headlines.judging import median_below, row, scores_of

STUDY = "headlines_bourdoukan"
SYSTEMS = {"planar": 2, "spatial": 3}
"""Variants whose networks are each another random stable system -> how many components it has."""

WITHOUT_FAST = "planar-no-fast"
REPEATED = "planar"
"""The variant whose networks were given one input again and again."""


def statements(tables: Tables) -> Iterator[Row]:
    """Claims 19 and 20."""
    yield from _systems(tables)
    yield from _statistics(tables)


def _systems(tables: Tables) -> Iterator[Row]:
    errors = np.concatenate([scores_of(tables, STUDY, "test_score", variant) for variant in SYSTEMS])
    errors = errors[~np.isnan(errors)]
    if len(errors):
        there = [str(size) for name, size in SYSTEMS.items() if name in variants_of(tables, STUDY)]
        systems = f"{len(errors)} random stable systems of {' and '.join(there)} components"
        yield from median_below(19, f"squared error over power without error current, {systems}", STUDY, 0.02, errors)
        found = share_interval(int((errors < 0.1).sum()), len(errors))
        yield row(
            19, f"share of {systems} with an error below 0.1", STUDY, "at least 0.9", found,
            lambda one: above(one, 0.9),
        )  # fmt: skip
    matrices = np.concatenate([scores_of(tables, STUDY, "matrix_error", variant) for variant in SYSTEMS])
    measure = "norm of decoded minus wanted A over that of A, systems with both rules"
    yield from median_below(19, measure, STUDY, 0.15, matrices)
    without = scores_of(tables, STUDY, "test_score", WITHOUT_FAST)
    if len(without):
        found = median_interval(without)
        measure = "squared error over power where the fast rule is off, the systems of 2 components"
        yield row(19, measure, STUDY, "median above 0.5", found, lambda one: above(one, 0.5))


OF_THE_INPUT = (
    "The rate of a neuron follows the state, so that its intervals vary with the input as well: those of neighbouring "
    "intervals (CV2) stand beside this row."
)
NOT_YET = "Before learning a network need not be balanced; the rows after learning stand beside this one."


def _statistics(tables: Tables) -> Iterator[Row]:
    table = tables.get(STUDY)
    if table is None or "ei_correlation_after" not in table:
        return
    document = json.loads(table.attrs.get("document", "{}"))
    noise = document.get("probes", {}).get("balance", {}).get("noise", np.nan)
    trials = f"repeated trials of one input, noise {noise:g}, neurons that spike"

    def of(name: str) -> Interval:
        return mean_interval(values_of(tables, STUDY, name, REPEATED))

    for when, bound, judge in (("before", "below 0.5", below), ("after", "above 0.5", above)):
        found = of(f"ei_correlation_{when}")
        measure = f"correlation in time of excitation and inhibition {when} learning, {trials}"
        yield row(20, measure, STUDY, bound, found, partial(judge, bound=0.5))
    for name, words, tolerance, why in (
        ("cv_isi", "CV of intervals", 0.3, OF_THE_INPUT),
        ("cv2_isi", "CV2 of intervals", 0.3, ""),
        ("fano_factor", "Fano factor of counts in 100 ms", 0.4, ""),
    ):
        for when in ("before", "after"):
            found = of(f"{name}_{when}")
            measure = f"{words} {when} learning, {trials}"
            judged = partial(covers, value=1.0, tolerance=tolerance)
            yield row(
                20, measure, STUDY, f"1 to within {tolerance}", found, judged, why if when == "after" else NOT_YET
            )
