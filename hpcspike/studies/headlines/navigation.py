"""Bellec et al. 2018: a goal that was found once in an episode is found again faster, by dynamics alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import mean_interval, share_interval
from hpcspike.studies.claim_tables import Tables, values_of
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import row

STUDY = "headlines_navigation"
FASTER = 2.0
"""So many times as long the first goal takes."""

NETWORKS = 2 / 3
"""Share of the networks of which that is asked."""

STILL_LEARNING = (
    "At laptop size the factors are 1.87, 2.00 and 1.94 after 1600 steps, and goals per second were still rising. "
    "With the first goals of the same trials, hard ones included, they are 2.2 to 2.3, but 1.6 to 1.8 before training, "
    "where no network remembers."
)


def statements(tables: Tables) -> Iterator[Row]:
    """Claim 25."""
    learned, before, leaky = (
        _anew_over_second(tables, when, variant)
        for when, variant in (("after", "lsnn"), ("before", "lsnn"), ("after", "lif"))
    )
    if not len(learned):
        return
    measure = "time to the first goal over that to the second, same goals in other trials, weights fixed"
    share = share_interval(int((learned >= FASTER).sum()), len(learned))
    verdict = above(share, NETWORKS)
    why = "" if verdict == "holds" else STILL_LEARNING  # of few networks the interval is wide: undecided, too
    what = f"share of networks in which it is {FASTER:g} or more: {measure}"
    yield Row(25, what, STUDY, "at least 2/3", share, verdict, why)
    yield row(25, measure, STUDY, "above 1", mean_interval(learned), lambda one: above(one, 1.0))
    for found, what in ((before, "of the same networks before training"), (leaky, "of leaky neurons alone")):
        if len(found) == len(learned):
            gain = mean_interval(learned - found)
            yield row(25, f"{measure}, minus that {what}", STUDY, "above 0", gain, lambda one: above(one, 0.0))
    after, untrained = (values_of(tables, STUDY, f"{name}_goals", "lsnn") for name in ("test", "untrained"))
    gained = mean_interval(np.nan_to_num(after) / untrained)
    measure = "goals per second over those of the same networks before training"
    yield row(25, measure, STUDY, "above 1", gained, lambda one: above(one, 1.0))


def _anew_over_second(tables: Tables, when: str, variant: str) -> np.ndarray:
    """(networks,) time to the first goal over that to the second, 0 where no goal was reached twice.

    The first is that of other trials with the goals that were reached: those that nobody reaches have no second time.
    """
    table = tables.get(STUDY)
    if table is None or f"goal_time_{when}" not in table or variant not in table["variant"].values:
        return np.empty(0)
    one = table.sel(variant=variant)
    factor = one[f"goal_time_anew_{when}"].values / one[f"goal_time_{when}"].values[:, 1]
    return np.where(np.isfinite(factor), factor, 0.0)
