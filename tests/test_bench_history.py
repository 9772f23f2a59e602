"""The history of benchmarks: the reference run is in it, runs are compared where they can be, none is counted twice."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from hpcspike.benchmark import history
from hpcspike.cli import main

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "results" / "reference" / "bench.json"
KEPT = ROOT / "results" / "reference" / "bench_history.csv"


@pytest.fixture
def run() -> dict[str, Any]:
    return json.loads(STORED.read_text())


def later(run: dict[str, Any], factor: float, **machine: str) -> dict[str, Any]:
    """The same run a year on, its first measurement so many times as slow."""
    changed = copy.deepcopy(run)
    changed["started"] = "2027" + run["started"][4:]
    changed["machine"] |= machine
    changed["updates"][0]["milliseconds"]["blocked"] *= factor
    return changed


def test_the_run_that_the_readme_shows_is_in_the_history(run: dict[str, Any]) -> None:
    kept = history.read(KEPT.read_text(), source="kept")
    assert [row for row in kept if row["started"] == run["started"]] == history.rows_of(run)
    assert history.write(kept) == KEPT.read_text()


def test_a_run_is_counted_once_and_runs_are_in_the_order_of_time(run: dict[str, Any]) -> None:
    rows = history.added(history.added([], later(run, 1.0)), run)
    assert history.added(rows, run) == rows
    assert len(rows) == 2 * len(history.rows_of(run))
    assert [row["started"] for row in rows] == sorted(row["started"] for row in rows)


@pytest.mark.parametrize(("factor", "marked"), [(1.05, 0), (1.3, 1), (0.5, 0)])
def test_what_became_slower_is_marked(run: dict[str, Any], factor: float, marked: int) -> None:
    lines = history.lines(history.added(history.added([], run), later(run, factor)))
    assert sum("SLOWER" in line for line in lines) == marked
    assert sum("1.30 times" in line for line in lines) == marked


def test_other_processors_are_not_compared(run: dict[str, Any]) -> None:
    rows = history.added(history.added([], run), later(run, 5.0, processor="another"))
    assert not any("SLOWER" in line for line in history.lines(rows))
    assert sum(line.startswith("another, ") for line in history.lines(rows)) == 1


def test_the_command_begins_shows_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.csv"
    assert main(["bench", "--history", str(path)]) == 2
    assert "no such file; begin it with --add JSON" in capsys.readouterr().err
    assert main(["bench", "--history", str(path), "--add", str(STORED)]) == 0
    assert path.read_text() == history.write(history.rows_of(json.loads(STORED.read_text())))
    shown = capsys.readouterr().out
    assert main(["bench", "--history", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert "update N=500 K=150 Dt=2 float64" in shown
    path.write_text("a,b\n1,2\n")
    assert main(["bench", "--history", str(path)]) == 2
    assert "its first line must be started,processor" in capsys.readouterr().err
    assert main(["bench", "--add", str(STORED)]) == 2
    assert "must be given with --history CSV" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\xff", "is no text file"),
        (b"started,processor\n", "is no history of benchmarks"),
        (",".join(history.COLUMNS).encode() + b"\n2026-01-01,a\n", "line 2 has blocked = None, which must be a number"),
    ],
)
def test_a_file_that_is_no_history_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    (tmp_path / "history.csv").write_bytes(content)
    assert main(["bench", "--history", str(tmp_path / "history.csv")]) == 2
    assert message in capsys.readouterr().err
