"""Bellec et al. 2018: digits pixel by pixel, networks of adaptive neurons against an LSTM network."""

from __future__ import annotations

from collections.abc import Iterator

from hpcspike.intervals import mean_interval
from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row, above
from hpcspike.studies.headlines.judging import row, wrong_of

STUDY = "headlines_digits"
SHORT = (
    "Size: an image lasts 128 ms here, over which leaky networks remember, too, and 784 ms and more in the paper; not "
    "decided by a measurement of its own."
)


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
        # not the mean of ratios, which a few LSTM networks that learned nothing would drive
        found = mean_interval(right["lsnn"] - 0.9 * right["lstm"])
        measure = f"accuracy of lsnn minus 0.9 times that of an LSTM with as many parameters, {where}"
        yield row(23, measure, STUDY, "above 0", found, lambda one: above(one, 0.0))
    if len(right["lsnn"]) and len(right["lif"]):
        found = mean_interval(right["lsnn"] - right["lif"])
        measure = f"accuracy of lsnn minus that of leaky neurons alone, {where}"
        yield row(23, measure, STUDY, "above 0.2", found, lambda one: above(one, 0.2), SHORT)
