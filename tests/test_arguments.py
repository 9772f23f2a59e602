"""Numbers on the command line are read as they are written, or refused."""

from __future__ import annotations

import argparse

import pytest

from hpcspike.arguments import count, mebibytes, minutes, minutes_or_0, positive


def test_amounts_and_counts_are_those_that_are_written() -> None:
    assert [minutes("0.5"), minutes("1e-1"), minutes("30"), minutes_or_0("0"), mebibytes("2e3")] == [
        0.5,
        0.1,
        30,
        0,
        2000,
    ]
    assert [count("0"), count("17"), count("0007"), positive("1")] == [0, 17, 7, 1]
    assert isinstance(minutes("30"), float)


@pytest.mark.parametrize(
    "text",
    ["010", "1_0", "1:40", "yes", "true", "nan", "inf", ".inf", "1e999", "-1", "", "ten", "[1]", "0x10", "\u0661"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a number of minutes"):
        minutes_or_0(text)


@pytest.mark.parametrize("text", ["1_0", "+5", " 5", "5.0", "1e1", "", "ten", "true", "\u0661", "9" * 5000])
def test_what_is_no_count_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number, not ") as caught:
        count(text)
    assert len(str(caught.value)) < 120


def test_nothing_and_less_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be 0 or more"):
        count("-1")
    for text in ("0", "-2"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be at least 1"):
            positive(text)
    with pytest.raises(argparse.ArgumentTypeError, match="must be a number of minutes above 0"):
        minutes("0")
