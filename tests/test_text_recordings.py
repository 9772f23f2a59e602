"""Text files of rates: separators, quotes and decimal marks are read or named, and no cell is guessed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError
from hpcspike.model.recording_table import AmbiguousRecording
from hpcspike.model.recordings import Recording, read_recording
from hpcspike.spec.recorded import RecordedTargets

TIMES_MS = np.array([0.0, 20.0, 40.0, 60.0])
RATES_HZ = np.array([[8.25, 6.5, 10.125, 9.0], [12.5, 30.75, 7.0, 11.0], [20.0, 21.5, 19.25, 6.75]])
NAMES = ["a", "b b", "c,c"]


def text_file(path: Path, *, separator: str = ",", mark: str = ".", time: str = "time_ms", **options: Any) -> Path:
    """The rates in text, the numbers with two decimals or three."""
    factor = 1.0 if "s" not in time.replace("ms", "") else 1e-3
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as stream:
        writer = csv.writer(stream, delimiter=separator, **options)
        writer.writerow([time, *NAMES])
        for t, rates in zip(TIMES_MS * factor, RATES_HZ.T, strict=True):
            writer.writerow([repr(float(number)).replace(".", mark) for number in (t, *rates)])
    return path


def read(path: Path, **keys: Any) -> Recording:
    return read_recording(
        RecordedTargets.model_validate({"kind": "recorded", "path": str(path), "unit": "Hz", **keys}), step_ms=0.5
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("r.csv", {}),
        ("r.csv", {"quoting": csv.QUOTE_ALL}),
        ("r.csv", {"quoting": csv.QUOTE_ALL, "mark": ","}),
        ("r.csv", {"separator": ";"}),
        ("r.csv", {"separator": ";", "mark": ",", "encoding": "utf-8-sig", "lineterminator": "\r\n"}),
        ("r.csv", {"separator": "|"}),
        ("r.tsv", {"separator": "\t"}),
        ("r.TSV", {"separator": "\t", "mark": ",", "quoting": csv.QUOTE_NONNUMERIC}),
        ("r.csv", {"separator": "\t", "time": "Time [s]"}),
        ("r.csv", {"time": "t (s)"}),
    ],
)
def test_the_same_rates_in_any_dialect_read_the_same(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    recording = read(text_file(tmp_path / name, **options))
    np.testing.assert_array_equal(recording.values, RATES_HZ * 0.01)
    np.testing.assert_allclose(recording.times_ms, TIMES_MS, rtol=1e-15)
    assert recording.unit_ids == ("a", "b b", "c,c")
    assert any("decimal mark is the comma" in remark for remark in recording.remarks) == (options.get("mark") == ",")


def test_times_of_no_unit_are_read_with_the_key(tmp_path: Path) -> None:
    path = text_file(tmp_path / "r.csv", time="time")
    np.testing.assert_array_equal(read(path, time_unit="ms").times_ms, TIMES_MS)
    np.testing.assert_array_equal(read(path, time_unit="s").times_ms, TIMES_MS * 1000.0)
    with pytest.raises(AmbiguousRecording, match="does not say in which unit the times are") as caught:
        read(path)
    assert caught.value.readings == [{"time_unit": "ms"}, {"time_unit": "s"}]
    with pytest.raises(DataError, match=r"'time_ms' is in 'ms', but targets\.time_unit = s"):
        read(text_file(tmp_path / "r.csv"), time_unit="s")


def test_grouped_digits_are_not_taken_for_decimals(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("time_ms;a\n0;1,234\n20;2,345\n")
    with pytest.raises(AmbiguousRecording, match="holds '1,234', which may have a decimal comma or group its digits"):
        read(path)
    np.testing.assert_array_equal(read(path, decimal="comma", min_rate_hz=0).values, np.array([[1.234, 2.345]]) * 0.01)
    path.write_text("time_ms;a\n0;1,234\n20;0,345\n")  # nobody groups digits behind a zero
    np.testing.assert_array_equal(read(path, min_rate_hz=0).values, np.array([[1.234, 0.345]]) * 0.01)


BAD = {
    "two names": ("time_ms,u1,u1,u3,u3\n0,9,9,9,9\n1,9,9,9,9\n", r"one name: u1 \(2 times\), u3 \(2 times\)"),
    "no name": ("time_ms,u1, ,u3\n0,9,9,9\n1,9,9,9\n", "1 of its 3 units have no name, the first is unit 2"),
    "mixed marks": ("time_ms;a\n0;1,5\n20;2.5\n", r"holds '1,5', and there is '2\.5' with a decimal point as well"),
    "both marks": ('time_ms;a\n0;"1.234,5"\n20;2\n', "holds '1.234,5'"),
    "underscores": ("time_ms,a\n0,1_000\n20,2\n", "row 2, column 'a' holds '1_000'"),
    "an index first": (",time_ms,a\n0,0,9\n1,20,9\n", "first column '' is not the time, the second 'time_ms' is"),
    "NaN in words": ("time_ms,a\n0,nan\n20,9\n", "1 values are not finite"),
    "the time twice": ("time_ms,a,t2\n0,9,0\n20,9,20\n40,9,40\n", "unit t2 is the time axis once more"),
    "the time in s": ("time_ms,a,t2\n0,9,0\n20,9,.02\n40,9,.04\n", "unit t2 is the time axis once more"),
    "an index": (
        "time_ms,a,k\n" + "".join(f"{20 * k},9.5,{k + 1}\n" for k in range(12)),
        "unit k counts the samples: an index",
    ),
    "flags": ("time_ms,a,b\n0,1,0\n20,0,0\n40,1,0\n", "all values of its units are 0 or 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_rate_is_refused_and_named(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "r.csv", min_rate_hz=0.0)


def test_a_decimal_point_that_was_asked_for_refuses_commas(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds '0,0'"):
        read(text_file(tmp_path / "r.csv", separator=";", mark=","), decimal="point")


def test_a_table_in_another_encoding_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes("time_ms,caf\u00e9\n0,9\n20,9\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not text in UTF-8; save it as plain text in UTF-8"):
        read(tmp_path / "r.csv")


def test_a_file_of_no_known_format_is_refused_for_that_and_not_for_its_keys(tmp_path: Path) -> None:
    (tmp_path / "r.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="files ending in '.xlsx' are not known"):
        read(tmp_path / "r.xlsx", unit="Hz")
