"""Rates that no neuron can have, and numbers that are no rates, are refused or remarked on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcspike.errors import DataError
from hpcspike.model.recording_checks import check_contents, check_reachable, remarks_on_rates, remarks_on_times
from hpcspike.model.recording_table import RecordingTable

PATH = Path("rates.csv")
NAMES = ("a", "b")


def table(values: np.ndarray) -> RecordingTable:
    return RecordingTable(values, None, NAMES, "Hz", "CSV")


def test_rates_above_one_spike_per_step_are_refused_with_the_limit() -> None:
    rates = np.array([[5.0, 1999.0, 2000.0], [7.0, 2000.5, 2300.0]])
    check_reachable(PATH, rates, table(rates), None)
    check_reachable(PATH, rates[:1], table(rates[:1]), 0.5)
    with pytest.raises(DataError, match=r"2 rates of 1 units are above 2,000 Hz.*neuron\.step_ms = 0\.5 ms") as caught:
        check_reachable(PATH, rates, table(rates), 0.5)
    assert "the first is 2,000.5 Hz of unit b, the highest 2,300 Hz" in str(caught.value)


def test_indices_times_and_flags_are_no_rates() -> None:
    times = 20.0 * np.arange(6)
    rates = np.array([4.0, 5.0, 9.0, 2.5, 3.0, 8.0])
    check_contents(PATH, np.stack([rates, rates[::-1]]), times, NAMES)
    for other, message in (
        (times, "unit b is the time axis once more"),
        (times / 1000.0, "unit b is the time axis once more"),
        (np.arange(6.0), "unit b counts the samples"),
        (np.arange(1.0, 7.0), "unit b counts the samples"),
    ):
        with pytest.raises(DataError, match=message):
            check_contents(PATH, np.stack([rates, other]), times, NAMES)
    flags = np.array([[0.0, 1.0, 0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    with pytest.raises(DataError, match="all values of its units are 0 or 1"):
        check_contents(PATH, flags, times, NAMES)
    check_contents(PATH, np.ones((2, 6)), times, NAMES)  # 1 Hz throughout may be a test


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[8.5, 9.0, 7.0, 6.0, 3.5], [4.0, 2.5, 3.0, 9.0, 7.0]], None),
        ([[3.0, 0.0, 7.0, 6.0, 3.0], [4.0, 2.0, 3.0, 9.0, 7.0]], "all values are whole numbers (up to 9)"),
        ([[0.5, 0.1, 0.2, 0.3, 0.4], [0.6, 0.2, 0.1, 0.2, 0.9]], "no rate is above 0.9 Hz: rates in kHz"),
        ([[8.5, 9.0, 7.0, 6.0, 3.5], [0.0, 1.0, 1.0, 0.0, 0.0]], "unit b is 0 or 1 throughout: a flag?"),
        ([[8.5, 9.0, 7.0, 6.0, 3.5], [4.5, 4.5, 4.5, 4.5, 4.5]], "unit b has one value throughout"),
        ([[8.5, 9.0, 7.0, 6.0, 3.5], [10.0, 12.0, 14.0, 16.0, 18.0]], "unit b only rises, in equal steps: an index?"),
    ],
)
def test_odd_rates_are_remarked_on(values: list[list[float]], words: str | None) -> None:
    rates = np.array(values)
    found = remarks_on_rates(rates, rates, NAMES)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0.0, 20.0, 40.0, 60.0], ()),
        ([0.0, 20.0, 50.0, 60.0], ("not evenly spaced: 10 to 30 ms apart",)),
        ([0.0, 20.0, 40.0, 160.0], ("120 ms from 40 to 160 ms: the gap is bridged by a straight line",)),
        ([0.0, 0.02, 0.04, 0.06], ("0.02 ms apart, 0.06 ms in all: are the times in s?",)),
        ([0.0, 20e3, 40e3, 60e3], ("20 s apart, 60 s in all: are the times in ms?",)),
    ],
)
def test_odd_time_axes_are_remarked_on(times: list[float], words: tuple[str, ...]) -> None:
    found = remarks_on_times(np.array(times))
    assert len(found) == len(words)
    assert all(word in remark for word, remark in zip(words, found, strict=True))
