"""Bellec et al. 2018 and 2020: a bit kept by adaptive neurons, and learned by e-prop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import median_interval
from hpcspike.studies.claim_tables import Tables, variants_of
from hpcspike.studies.claims import Row, above, below
from hpcspike.studies.headlines.judging import median_below, row, wrong_of

STUDY, BEFORE = "headlines_eprop", "learners_memory"
LEARNED = 0.05
"""Share of wrong answers below which store and recall counts as learned."""

AVERAGED = 20
"""Passes over which a learning curve is averaged."""

MOST = 3.0
"""So many times the iterations of backpropagation e-prop may take."""


def statements(tables: Tables) -> Iterator[Row]:
    """Claims 23 (adaptive neurons and leaky ones) and 26 (e-prop)."""
    what = "wrong answers in new trials, store and recall over 1.2 s, 20 neurons"
    yield from median_below(23, f"{what}, half of them adaptive", BEFORE, LEARNED, wrong_of(tables, BEFORE, "lsnn"))
    leaky = wrong_of(tables, BEFORE, "lif")
    if len(leaky):
        found = median_interval(leaky)
        yield row(23, f"{what}, all of them leaky", BEFORE, "median above 0.2", found, lambda one: above(one, 0.2))
    for feedback in ("symmetric", "random"):
        yield from _of_eprop(tables, feedback)


def _of_eprop(tables: Tables, feedback: str) -> Iterator[Row]:
    errors = wrong_of(tables, STUDY, feedback)
    measure = f"wrong answers in new trials after e-prop, {feedback} feedback, store and recall over 1.2 s"
    yield from median_below(26, measure, STUDY, LEARNED, errors)
    if not {"bptt", feedback} <= set(variants_of(tables, STUDY)):
        return
    curves = {name: tables[STUDY]["curve_wrong"].sel(variant=name).values for name in ("bptt", feedback)}
    wanted, needed = (iterations_to_learn(curves[name]) for name in ("bptt", feedback))
    # a network that backpropagation has not trained to the end would have taken it longer still
    wanted = np.where(np.isfinite(wanted), wanted, np.isfinite(curves["bptt"]).sum(axis=1))
    found = median_interval(needed / wanted)
    measure = (
        f"iterations of e-prop to {LEARNED:.0%} wrong over those of backpropagation, {feedback} feedback, same networks"
    )
    yield row(26, measure, STUDY, f"median below {MOST:g}", found, lambda one: below(one, MOST))


def iterations_to_learn(curves: np.ndarray) -> np.ndarray:
    """(networks,) the first pass at which the mean of the last 20 is below 5 %; `inf` where there is none.

    curves (networks, passes): share of wrong answers, NaN behind the last pass.
    """
    found = np.full(len(curves), np.inf)
    for number, curve in enumerate(curves):
        known = curve[np.isfinite(curve)]
        if len(known) >= AVERAGED:
            means = np.convolve(known, np.full(AVERAGED, 1.0 / AVERAGED), mode="valid")
            reached = np.flatnonzero(means < LEARNED)
            found[number] = reached[0] + AVERAGED if len(reached) else np.inf
    return found
