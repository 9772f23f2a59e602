"""What the compiler takes is told apart from the work that is timed, and said."""

from __future__ import annotations

import time

import numba
import pytest

import hpcspike
from hpcspike import compiling
from hpcspike.engine import trainer as module
from hpcspike.spec.experiment import Training
from tests.small_networks import problem


def compiled_anew() -> float:
    """Seconds that numba takes for a function that it has not seen, as this process sees them from outside."""

    def function(x: float) -> float:
        return x * 2.0 + 1.0

    began = time.perf_counter()
    assert numba.njit(function)(1.0) == 3.0
    return time.perf_counter() - began


def test_the_working_clock_stands_still_while_kernels_are_compiled() -> None:
    before, working, began = compiling.compile_seconds(), compiling.working_seconds(), time.perf_counter()
    compiled_anew()
    spent = compiling.compile_seconds() - before
    worked = compiling.working_seconds() - working
    assert spent > 0.0
    assert worked < time.perf_counter() - began - 0.9 * spent
    assert worked >= 0.0


def test_compiling_is_said_once_and_loading_is_not() -> None:
    said: list[str] = []
    with compiling.telling(lambda: said.append("compiling")):
        assert said == []
        compiled_anew()
        compiled_anew()
        assert said == ["compiling"]
    compiled_anew()
    assert said == ["compiling"]


def test_the_seconds_of_a_loop_are_those_of_the_working_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr(module, "working_seconds", lambda: float(next(ticks)))
    trained = hpcspike.train(problem(12), Training(n_loops=3))
    first, *others = trained.curve["seconds"].tolist()
    assert first == others[0] == others[1] > 2.0  # as many readings of the clock in every loop
