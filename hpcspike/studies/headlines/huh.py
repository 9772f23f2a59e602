"""Huh & Sejnowski 2018: a code by fast interactions, and memories found by gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from hpcspike.intervals import correlation_interval, median_interval
from hpcspike.studies.claim_tables import Tables, values_of
from hpcspike.studies.claims import Row, above, below
from hpcspike.studies.headlines.judging import median_below, row, scores_of, wrong_of

CODE, XOR, SHORT = "headlines_code", "headlines_xor", "learners_xor"
STILL_FALLING = (
    "Errors still fall where training ends: at the laptop size {} % of its answers are wrong in passes 401 to 500, the "
    "first with all delays, and {} % in the last hundred of 800."
)
NOT_ASKED = "Training asks for a small error of the code alone, not for this."


def code(tables: Tables) -> Iterator[Row]:
    """Claim 17."""
    what = "squared error over power, two inputs coded by 30 neurons"
    errors = scores_of(tables, CODE, "test_score", "fast")
    yield from median_below(17, f"{what}, with fast synapses (1 ms)", CODE, 0.02, errors)
    without = scores_of(tables, CODE, "test_score", "slow")
    if len(without):
        measure = f"{what}, without them"
        yield row(17, measure, CODE, "median above 0.3", median_interval(without), lambda one: above(one, 0.3))
    currents, weights = (values_of(tables, CODE, f"{name}_cancellation", "fast") for name in ("current", "weight"))
    if len(currents):
        measure = "correlation in time of fast recurrent and external current, both low-passed with 10 ms"
        found = correlation_interval(currents)
        yield row(17, measure, CODE, "below -0.8", found, lambda one: below(one, -0.8), NOT_ASKED)
        measure = "correlation over pairs of neurons of fast weights and those that feed the readouts back"
        found = correlation_interval(weights)
        yield row(17, measure, CODE, "above 0.8", found, lambda one: above(one, 0.8), NOT_ASKED)


def delayed_xor(tables: Tables) -> Iterator[Row]:
    """Claim 18."""
    what = "wrong answers in new trials, delayed XOR, 80 theta neurons, delays up to"
    yield from median_below(18, f"{what} 170 ms", SHORT, 0.1, wrong_of(tables, SHORT, "slow"))
    for delay, *percent in ((500, 15, 12), (1000, 16, 14)):
        wrong = wrong_of(tables, XOR, f"delay-{delay}")
        yield from median_below(18, f"{what} {delay} ms", XOR, 0.1, wrong, STILL_FALLING.format(*percent))
