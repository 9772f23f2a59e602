"""Huh & Sejnowski 2018: a code by fast interactions, and memories found by gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from hpcspike.intervals import correlation_interval, median_interval
from hpcspike.studies.claim_tables import Tables, values_of, variants_of
from hpcspike.studies.claims import Row, above, below
from hpcspike.studies.headlines.judging import late_in_training, median_below, row, scores_of, wrong_of

CODE, XOR, SHORT = "headlines_code", "headlines_xor", "learners_xor"
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
    for delay in (500, 1000):
        variant = f"delay-{delay}"
        wrong = wrong_of(tables, XOR, variant)
        yield from median_below(18, f"{what} {delay} ms", XOR, 0.1, wrong, _where_training_ends(tables, variant))


def _where_training_ends(tables: Tables, variant: str) -> str:
    """Whether errors in training still fall at its end: the last 100 passes against those after its middle."""
    if XOR not in tables or variant not in variants_of(tables, XOR):
        return ""
    late = late_in_training(tables[XOR], "curve_wrong", variant, 100)
    if late is None:
        return ""
    before, after, n, n_passes = 100 * late[0], 100 * late[1], *late[2:]
    ends = "still fall" if before - after > 1.0 else "do not fall any more"
    return (
        f"Errors {ends} where training ends: {after:.0f} % of the answers are wrong in the last {n} of its "
        f"{n_passes} passes, {before:.0f} % in the {n} after its middle."
    )
