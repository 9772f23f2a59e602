"""Huh & Sejnowski 2018: a code by fast interactions, and memories found by gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from hpcspike.intervals import median_interval
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import median_below, row, scores_of, wrong_of

CODE, XOR, SHORT = "headlines_code", "headlines_xor", "learners_xor"


def code(tables: Tables) -> Iterator[Row]:
    """Claim 17."""
    what = "squared error over power, two inputs coded by 30 neurons"
    errors = scores_of(tables, CODE, "test_score", "fast")
    yield from median_below(17, f"{what}, with fast synapses (1 ms)", CODE, 0.02, errors)
    without = scores_of(tables, CODE, "test_score", "slow")
    if len(without):
        measure = f"{what}, without them"
        yield row(17, measure, CODE, "median above 0.3", median_interval(without), lambda one: above(one, 0.3))


def delayed_xor(tables: Tables) -> Iterator[Row]:
    """Claim 18."""
    what = "wrong answers in new trials, delayed XOR, 80 theta neurons, delays up to"
    yield from median_below(18, f"{what} 170 ms", SHORT, 0.1, wrong_of(tables, SHORT, "slow"))
    for delay in (500, 1000):
        yield from median_below(18, f"{what} {delay} ms", XOR, 0.1, wrong_of(tables, XOR, f"delay-{delay}"))
