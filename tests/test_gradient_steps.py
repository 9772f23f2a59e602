"""Passes of gradient learners beside their flop limit and other programs: what is counted, run and said."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpcspike.benchmark import gradient_steps, neighbours
from hpcspike.benchmark.gradient_steps import Case, in_turns

SMALL = Case("lsnn", 12, batch=3, n_adaptive=6, steps=40, n_inputs=5, n_outputs=2)
FAKE = """
from turns import asked_for, take_turns
case = asked_for()
wait = 0.001 * case["batch"]
take_turns("7", 0, lambda: {"forward": wait, "both": 3 * wait, "share": 0.01, "jax": 1e6, "numpy": 2e6})
"""
"""A program that knows its answers."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs here and in a module that every Python has; another one is missing."""
    shutil.copy(neighbours.PROGRAMS / "turns.py", tmp_path)
    for name in ("gradient_here", "colorsys_gradient"):
        (tmp_path / f"{name}.py").write_text(FAKE)
    monkeypatch.setattr(neighbours, "PROGRAMS", tmp_path)
    known = {"Norse": ("colorsys", "HPCSPIKE_COLOUR_PYTHON"), "snnTorch": ("no_such_module", "HPCSPIKE_ABSENT_PYTHON")}
    monkeypatch.setattr(neighbours, "GRADIENT", known)
    monkeypatch.setattr(gradient_steps, "GRADIENT", known)


def test_multiply_adds_are_those_of_the_products() -> None:
    # 17 senders onto 12 neurons and 12 onto 2 readouts; back, each for its weights, and for what entered: spikes twice
    forward = 17 * 12 + 12 * 2
    assert SMALL.multiply_adds == (120 * forward, 120 * (2 * forward + 12 * 12 + 12 * 2))


def test_seconds_are_held_against_the_limit(programs: None) -> None:
    said: list[str] = []
    (row,) = gradient_steps.limits([SMALL], 3, said.append)
    assert row["limit_both"] == pytest.approx(SMALL.multiply_adds[1] / 2e6)
    assert (row["forward"], row["both"]) == (0.003, pytest.approx(0.009))
    assert f"both 0.009 s ({0.009 / row['limit_both']:.1f} x limit" in said[0]


def test_programs_that_are_missing_are_named_and_delays_are_said(programs: None) -> None:
    said: list[str] = []
    rows = gradient_steps.compare(1, said.append)
    assert said[0].startswith("snnTorch is left out: not installed")
    assert [(row["program"], row["n_adaptive"]) for row in rows] == [
        ("here", 0), ("here", 100), ("here", 100), ("here", 100), ("Norse", 0), ("Norse", 100),
    ]  # fmt: skip
    assert "10 delays by lists of synapses, 12% of the connections" in said[4]


@pytest.mark.parametrize(
    "case",
    [SMALL, replace(SMALL, n_delays=3, connectivity=0.5), replace(SMALL, model="huh")],
    ids=["lsnn", "delays", "huh"],
)
def test_a_pass_here_is_measured(case: Case) -> None:
    pytest.importorskip("jax")
    (found,) = in_turns([("here", case, "gradient_here.py", sys.executable)], 1)
    assert found["version"].startswith("JAX")
    assert found["both"] > 0
    assert 0 < found["share"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", neighbours.GRADIENT)
def test_a_pass_elsewhere_is_measured(name: str) -> None:
    python = neighbours.python_with(name)
    if python is None:
        pytest.skip(neighbours.how_to_install(name))
    program = f"{neighbours.GRADIENT[name][0]}_gradient.py"
    (found,) = in_turns([(name, SMALL, program, python)], 1)
    assert found["both"] > 0
