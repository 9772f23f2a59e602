"""Bellec et al. 2018: digits pixel by pixel, networks of adaptive neurons against an LSTM network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import mean_interval
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import row, wrong_of

STUDY = "headlines_digits"


def statements(tables: Tables) -> Iterator[Row]:
    """Claim 23."""
    right = {name: 1.0 - wrong_of(tables, STUDY, name) for name in ("lsnn", "lif", "lstm")}
    where = "test images of sequential 8 x 8 digits"
    for name, values in right.items():
        if len(values):
            yield row(
                23, f"accuracy of {name}, {where}", STUDY, "above 0.1, chance", mean_interval(values),
                lambda one: above(one, 0.1),
            )  # fmt: skip
    if len(right["lsnn"]) and len(right["lstm"]):
        # networks that are never right, as after too little training, have no ratio
        found = mean_interval(right["lsnn"] / np.where(right["lstm"] > 0, right["lstm"], np.nan))
        measure = f"accuracy of lsnn over that of an LSTM with as many parameters, {where}"
        yield row(23, measure, STUDY, "above 0.9", found, lambda one: above(one, 0.9))
    if len(right["lsnn"]) and len(right["lif"]):
        found = mean_interval(right["lsnn"] - right["lif"])
        measure = f"accuracy of lsnn minus that of leaky neurons alone, {where}"
        yield row(23, measure, STUDY, "above 0.2", found, lambda one: above(one, 0.2))
