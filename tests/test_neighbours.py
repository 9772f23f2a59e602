"""The balanced network in other simulators: the same numbers, turns, and what is said where one is missing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.benchmark import neighbours
from hpcspike.benchmark.neighbours import Network, Player
from hpcspike.errors import ResourceError
from hpcspike.model.build import build_problem

SMALL = Network(n_neurons=40, in_degree=10, duration_ms=20.0, warm_up_ms=10.0)
FAKE = """
from turns import asked_for, take_turns
network = asked_for()
print("a banner")
take_turns("7", 800, lambda: {"spikes": network["n_neurons"], "wall_seconds": 0.5})
"""
"""A simulator in which every neuron spikes once."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two simulators that need nothing: ours, and one whose module every Python has."""
    shutil.copy(neighbours.PROGRAMS / "turns.py", tmp_path)
    for name in ("hpcspike", "colorsys"):
        (tmp_path / f"{name}_network.py").write_text(FAKE)
    monkeypatch.setattr(neighbours, "PROGRAMS", tmp_path)
    known = {"Colour": ("colorsys", "HPCSPIKE_COLOUR_PYTHON"), "Absent": ("no_such_module", "HPCSPIKE_ABSENT_PYTHON")}
    monkeypatch.setattr(neighbours, "NEIGHBOURS", known)
    monkeypatch.setattr(neighbours, "INSTALL", {"Colour": "colour", "Absent": "absent"})
    return tmp_path


def test_the_network_is_that_of_the_benchmark() -> None:
    config = hpcspike.load("tsn_benchmark", size="n10000")
    connectivity, neuron = config.connectivity.model_dump(), config.neuron.model_dump()
    network = Network()
    assert network.n_neurons == config.network.n_neurons
    assert network.in_degree == connectivity["static_in_degree"]
    for pair in ("ee", "ie", "ei", "ii"):
        assert getattr(network, f"weight_{pair}") == connectivity[f"static_{pair}"]
    assert (network.input_e, network.input_i) == (connectivity["input_excitatory"], connectivity["input_inhibitory"])
    assert network.tau_syn_ms == config.synapse.static_tau_syn_ms
    assert [neuron[key] for key in ("threshold", "reset")] == [1.0, 0.0]
    for key in ("tau_ms", "step_ms", "refractory_ms"):
        assert getattr(network, key) == neuron[key]


def test_here_it_has_the_fixed_synapses_asked_for() -> None:
    problem = build_problem(SMALL.experiment())
    assert problem.n_neurons == 40
    assert np.diff(problem.static.start).tolist() == [20] * 40
    assert np.diff(problem.plastic.start).tolist() == [2] * 40
    assert np.abs(problem.plastic.weight).max() <= 1e-6


def test_everybody_who_is_installed_takes_turns_and_the_others_are_named(programs: Path) -> None:
    said: list[str] = []
    rows = neighbours.compare(SMALL, 3, said.append)
    assert said == [
        "Absent is left out: not installed. python -m venv ENV && ENV/bin/pip install absent, then "
        "HPCSPIKE_ABSENT_PYTHON=ENV/bin/python"
    ]
    assert [row["simulator"] for row in rows] == ["hpcspike", "hpcspike", "Colour"]
    row = rows[-1]
    assert (row["version"], row["synapses"], row["spikes"]) == ("7", 800, 40)
    assert row["wall_seconds"] == row["shortest_wall_seconds"] == row["longest_wall_seconds"] == 0.5 / 0.02
    assert row["rate_hz"] == pytest.approx(1 / 0.02)
    # one spike of each of 40 neurons goes through 800 / 40 synapses
    assert row["events_per_second"] == pytest.approx(800 / 0.02 / row["processor_seconds"])
    half = {**row, "processor_seconds": row["processor_seconds"] / 2}
    assert neighbours.line(row, half).endswith("  2.0x")
    unknown = {**row, "processor_seconds": None, "wall_seconds": 100.0}
    assert neighbours.line(unknown, row).endswith("  4.0x")
    assert "40 neurons, 20 fixed inputs each" in neighbours.legend(SMALL, 3)


def test_a_simulator_that_fails_says_why(programs: Path) -> None:
    (programs / "colorsys_network.py").write_text("raise SystemExit('no licence')")
    with pytest.raises(ResourceError, match="Colour failed: no licence"):
        neighbours.compare(SMALL, 1, print)


def test_a_python_that_cannot_be_run_is_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert neighbours.python_with("Colour") == sys.executable
    monkeypatch.setenv("HPCSPIKE_COLOUR_PYTHON", "/no/such/python")
    with pytest.raises(ResourceError, match="HPCSPIKE_COLOUR_PYTHON = /no/such/python: cannot be run"):
        neighbours.python_with("Colour")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hpcspike", *neighbours.NEIGHBOURS])
def test_the_network_fires_at_the_same_rate_everywhere(name: str) -> None:
    network = Network(n_neurons=2000, in_degree=512, duration_ms=500.0)
    rates: dict[str, float] = {}
    for one in ("hpcspike", name):
        python = sys.executable if one == "hpcspike" else neighbours.python_with(one)
        if python is None:
            pytest.skip(neighbours.how_to_install(one))
        module = one if one == "hpcspike" else neighbours.NEIGHBOURS[one][0]
        settings: dict[str, Any] = json.loads(json.dumps(network.__dict__))
        player = Player(one, python, f"{module}_network.py", {**settings, "dtype": "float64"})
        try:
            rates[one] = player.turn()["spikes"] / network.n_neurons / 0.5
        finally:
            player.leave()
    assert rates[name] == pytest.approx(rates["hpcspike"], rel=0.1)
