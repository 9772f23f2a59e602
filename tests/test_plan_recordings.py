"""What ``hpcspike plan`` says of the recordings of a sweep or study: every one of them, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hpcspike.cli import main

EXPERIMENT = {
    "targets": {"kind": "recorded", "path": "a.csv", "unit": "Hz", "min_rate_hz": 0.0, "auxiliary_ratio": 1.0},
    "training": {"variable": "rate", "n_loops": 1},
}


def planned(folder: Path, document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines that the plan prints, where there are two recordings: of 1 and 2 units, in 40 ms."""
    (folder / "a.csv").write_text("time_ms,u1\n0,5\n20,6\n40,7\n")
    (folder / "b.csv").write_text("time_ms,u1,u2\n0,5,9\n20,6,9\n40,7,9\n")
    (folder / "several.yaml").write_text(yaml.safe_dump({"name": "s", "experiment": EXPERIMENT, **document}))
    assert main(["plan", str(folder / "several.yaml")]) == 0
    return capsys.readouterr().out.splitlines()


def first_lines(lines: list[str]) -> list[str]:
    return [line.partition(",")[0] for line in lines if line.startswith("recorded   ")]


@pytest.mark.parametrize(
    "change",
    [
        {"axes": {"targets.path": ["a.csv", "b.csv"], "seed": [1, 2]}},
        {"axes": {"seed": [1, 2], "targets.path": ["a.csv", "b.csv"]}, "sampling": {"kind": "zipped"}},
        {"variants": {"one": None, "two": {"targets": {"path": "b.csv"}}, "again": {"seed": 5}}},
    ],
)
def test_every_recording_is_described(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = planned(tmp_path, change, capsys)
    assert first_lines(lines) == [
        "recorded   a.csv (CSV): 1 units x 3 samples",
        "recorded   b.csv (CSV): 2 units x 3 samples",
    ]
    assert [line.split()[1] for line in lines if line.strip().startswith("kept: ")] == ["1", "2"]
    assert not any("chosen by" in line for line in lines)


def test_one_recording_is_described_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = planned(tmp_path, {"axes": {"targets.auxiliary_ratio": [1.0, 2.0]}}, capsys)
    assert len(first_lines(lines)) == 1


def test_of_many_recordings_the_first_ones_are_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [f"r{number}.csv" for number in range(10)]
    for rate, path in enumerate(paths, start=5):
        (tmp_path / path).write_text(f"time_ms,u1\n0,{rate}\n20,6\n40,7\n")
    lines = planned(tmp_path, {"axes": {"targets.path": paths}}, capsys)
    assert len(first_lines(lines)) == 9
    assert "recorded   and 2 other recordings ('hpcspike recordings FILE' describes one)" in lines


def test_recordings_of_one_file_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{time},{side},{rate}" for side, rate in (("left", 5), ("right", 9)) for time in (0, 20, 40)]
    (tmp_path / "sides.csv").write_text("\n".join(["time_ms,condition,u1", *rows]) + "\n")
    targets = {**EXPERIMENT["targets"], "path": "sides.csv"}
    sides = [{"condition": side} for side in ("left", "right")]
    document = {"experiment": {**EXPERIMENT, "targets": targets}, "axes": {"targets.condition": sides}}
    lines = planned(tmp_path, document, capsys)
    chosen = [line.strip() for line in lines if "chosen by" in line]
    assert chosen == [f"chosen by targets.condition: {{'condition': '{side}'}}" for side in ("left", "right")]
