"""Bellec et al. 2018: a goal that was found once in an episode is found again faster, by dynamics alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import mean_interval, share_interval
from hpcspike.studies.claim_tables import Tables, values_of
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import late_in_training, row, trained

STUDY = "headlines_navigation"
FASTER = 2.0
"""So many times as long the first goal takes."""

NETWORKS = 2 / 3
"""Share of the networks of which that is asked."""


def statements(tables: Tables) -> Iterator[Row]:
    """Claim 25."""
    learned, before, leaky = (
        _anew_over_second(tables, when, variant)
        for when, variant in (("after", "lsnn"), ("before", "lsnn"), ("after", "lif"))
    )
    n_learned = int(np.isfinite(learned).sum())
    if not n_learned:
        return
    measure = "time to the first goal over that to the second, same goals in other trials, weights fixed"
    share = share_interval(int((learned >= FASTER).sum()), n_learned)
    verdict = above(share, NETWORKS)
    why = "" if verdict == "holds" else _where_training_ends(tables, learned)  # of few networks: undecided, too
    what = f"share of networks in which it is {FASTER:g} or more: {measure}"
    yield Row(25, what, STUDY, "at least 2/3", share, verdict, why)
    yield row(25, measure, STUDY, "above 1", mean_interval(learned), lambda one: above(one, 1.0))
    for found, what in ((before, "of the same networks before training"), (leaky, "of leaky neurons alone")):
        gain = mean_interval(learned - found) if len(found) else None
        if gain is not None and gain.n:
            yield row(25, f"{measure}, minus that {what}", STUDY, "above 0", gain, lambda one: above(one, 0.0))
    after, untrained = (values_of(tables, STUDY, f"{name}_goals", "lsnn") for name in ("test", "untrained"))
    gained = mean_interval(np.where(trained(tables[STUDY], "lsnn"), np.nan_to_num(after) / untrained, np.nan))
    measure = "goals per second over those of the same networks before training"
    yield row(25, measure, STUDY, "above 1", gained, lambda one: above(one, 1.0))


def _anew_over_second(tables: Tables, when: str, variant: str) -> np.ndarray:
    """(replicates,) time to the first goal over that to the second; empty without the variant.

    0 where no goal was reached twice, NaN where there is no such network. The first is that of other trials with the
    goals that were reached: those that nobody reaches have no second time.
    """
    table = tables.get(STUDY)
    if table is None or f"goal_time_{when}" not in table or variant not in table["variant"].values:
        return np.empty(0)
    one = table.sel(variant=variant)
    factor = one[f"goal_time_anew_{when}"].values / one[f"goal_time_{when}"].values[:, 1]
    return np.where(trained(table, variant), np.where(np.isfinite(factor), factor, 0.0), np.nan)


def _where_training_ends(tables: Tables, learned: np.ndarray) -> str:
    """What the factors are, also with the first goals of the same trials, and whether training still raises goals."""
    one = tables[STUDY].sel(variant="lsnn")
    times = (one[f"goal_time_{when}"].values for when in ("after", "before"))
    after, before = (
        f"{np.nanmin(factor):.2g} to {np.nanmax(factor):.2g}" for factor in (t[:, 0] / t[:, 1] for t in times)
    )
    words = (
        f"The factors are {np.nanmin(learned):.2f} to {np.nanmax(learned):.2f}. With the first goals of the same "
        f"trials, hard ones included, they are {after}, but {before} before training, where no network remembers."
    )
    late = late_in_training(tables[STUDY], "curve_goals", "lsnn", 8)
    if late is None:
        return words
    middle, last, n, _ = late
    return (
        f"{words} Goals per second were {middle:.2g} in the {n} passes after the middle of training, "
        f"and {last:.2g} in its last {n}."
    )
