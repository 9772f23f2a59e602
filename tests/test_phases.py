"""Where the time goes: phases add up, and the exchange is told apart from the steps around it."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike import provenance
from hpcspike.engine import phases as module
from hpcspike.engine.communication import World
from hpcspike.engine.phases import PHASES, Phases
from hpcspike.runs.point import fit_and_evaluate
from tests.small_networks import experiment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(module, "working_seconds", lambda: now[0])
    return now


def test_phases_add_up(clock: list[float]) -> None:
    phases = Phases()
    for seconds in (1.0, 2.5):
        with phases("update"):
            clock[0] += seconds
    assert phases.seconds == {**dict.fromkeys(PHASES, 0.0), "update": 3.5}
    phases.reset()
    assert set(phases.seconds.values()) == {0.0}


def test_the_exchange_is_taken_out_of_the_steps_and_of_nothing_else(clock: list[float]) -> None:
    phases = Phases()
    for name in ("steps", "measure"):
        with phases(name):
            clock[0] += 4.0
            phases.exchanging += 1.5
    assert phases.seconds == {**dict.fromkeys(PHASES, 0.0), "steps": 2.5, "exchange": 1.5, "measure": 4.0}


def test_a_phase_that_fails_counts_as_well(clock: list[float]) -> None:
    phases = Phases()
    with pytest.raises(RuntimeError, match="no luck"):  # noqa: PT012
        with phases("build"):
            clock[0] += 1.0
            raise RuntimeError("no luck")
    assert phases.seconds["build"] == 1.0


def test_a_training_without_ranks_spends_nothing_on_exchange() -> None:
    world = World()
    fit_and_evaluate(experiment(), world=world)
    spent = {name for name, seconds in world.phases.seconds.items() if seconds > 0}
    assert spent == {"build", "steps", "update", "measure"}


def test_the_record_of_ranks_names_hosts_memory_and_phases() -> None:
    world = World()
    world.phases.seconds["write"] = 2.0
    record = provenance.of_ranks(world)
    assert len(record["hosts"]) == len(record["peak_memory_mib"]) == 1
    assert record["phase_seconds"] == record["phase_seconds_longest"] == world.phases.seconds
    assert (record["mpi"], record["n_llvm_targets"]) == ("", 1)
    assert isinstance(record["peak_memory_mib"][0], float)
    assert not isinstance(record["phase_seconds"]["write"], np.floating)
