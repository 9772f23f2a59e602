"""Progress: lines where nobody watches, one line that changes in a notebook, and words about compiling in both."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numba
import pytest

import hpcspike
from hpcspike import progress
from hpcspike.spec.experiment import Training
from tests.small_networks import problem

ROW = {"correlation": 0.5, "rate": 12.0, "weight_change": 0.125, "seconds": 0.25}


class Notebook:
    """What IPython shows in a notebook."""

    def __init__(self, *, kernel: bool = True) -> None:
        self.shown: list[str] = []
        shell = SimpleNamespace(kernel=object()) if kernel else SimpleNamespace()
        handle = SimpleNamespace(update=self.shown.append)
        self.display = SimpleNamespace(HTML=str, display=self._display(handle))
        self.get_ipython = lambda: shell

    def _display(self, handle: Any) -> Any:
        def display(thing: str, *, display_id: bool) -> Any:
            assert display_id
            self.shown.append(thing)
            return handle

        return display


def test_lines_are_written_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.loop_reporter(2, shown=True) as report:
        report(0, ROW)
        report(1, ROW)
    assert capsys.readouterr().err.splitlines() == [
        f"loop {k}/2  correlation 0.500  rate  12.0 Hz  weight change 0.12  0.25 s" for k in (1, 2)
    ]


def test_nothing_is_said_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.loop_reporter(2, shown=False) as report:
        report(0, ROW)
    assert capsys.readouterr() == ("", "")


def test_compiling_is_said_before_the_loop_that_waits_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.loop_reporter(1, shown=True) as report:
        numba.njit(lambda x: x - 3.0)(1.0)
        report(0, ROW)
    first, second = capsys.readouterr().err.splitlines()
    assert first == progress.COMPILING
    assert second.startswith("loop 1/1  ")


def test_a_notebook_shows_one_line_that_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", notebook)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "NOTEBOOK_SECONDS", 0.0)
    hpcspike.train(problem(12), Training(n_loops=3), progress=True)
    bars = [text for text in notebook.shown if progress.COMPILING not in text]
    assert [text.split("</progress> ")[1].split(" ")[0] for text in bars] == ["0/3", "1/3", "2/3", "3/3"]
    assert "correlation" in bars[-1]
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_not_flooded_and_sees_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", notebook)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "NOTEBOOK_SECONDS", 1e9)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 2e9)
    with progress.loop_reporter(500, shown=True) as report:
        for loop in range(500):
            report(loop, ROW)
    assert ["0/500" in notebook.shown[0], "1/500" in notebook.shown[1], "500/500" in notebook.shown[2]] == [True] * 3
    assert len(notebook.shown) == 3


@pytest.mark.parametrize("module", [None, Notebook(kernel=False)])
def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not progress.in_notebook()


def test_a_test_of_a_moving_mean_is_called_so() -> None:
    row = {"correlation": 0.5, "seconds": 1.0, "test_correlation": 0.11}
    assert "  test 0.110  " in progress.describe(row)
    assert "  test (100 ms mean) 0.110  " in progress.describe(row, tests=progress.name_of_tests(100.0))
