"""How each claim of the papers is measured in the tables of studies and sweeps, in the order of the claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hpcspike.studies import claims_in_studies as studies
from hpcspike.studies import claims_in_sweeps as sweeps
from hpcspike.studies import claims_of_recall as recall
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row
from hpcspike.studies.headlines import HEADLINES
from hpcspike.studies.reasons import explained

STATEMENTS: tuple[Callable[[Tables], Iterator[Row]], ...] = (
    studies.own_patterns,
    partial(recall.gain_from_random_starts, claim=1),
    studies.population_rates,
    studies.heterogeneity,
    sweeps.time_scales_and_size,
    studies.initial_weights,
    studies.quasi_static,
    studies.drive_and_rate,
    sweeps.trade_off,
    recall.parts_of_the_errors,
    sweeps.capacity_and_length,
    studies.loss,
    recall.loss_of_those_who_recall,
    studies.low_rates,
    studies.other_units,
    studies.dale,
    partial(recall.gain_from_random_starts, claim=11),
    studies.cortex,
    studies.identical,
    sweeps.balance,
    sweeps.capacity_law,
    sweeps.other_planes,
)


def rows(tables: Tables) -> list[Row]:
    """All rows that the tables at hand allow, in the order of the claims."""
    found = [row for statements in (*STATEMENTS, *HEADLINES.values()) for row in statements(tables)]
    return [explained(row) for row in sorted(found, key=lambda row: row.claim)]
