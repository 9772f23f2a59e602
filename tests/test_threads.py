"""Threads that move neurons and deliver spikes side by side: the bits of one thread, and nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from hpcspike.accelerate import kernel
from hpcspike.engine.communication import World
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.stretch import intervals_at_once
from hpcspike.engine.team_kernels import in_team, meet, new_team, part_of
from hpcspike.engine.trainer import WINDOW, Trainer
from hpcspike.launcher import own_cores
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Training
from hpcspike.threads import allowed_threads, at_once
from tests.small_networks import problem
from tests.test_balanced_program import balanced

needs_two = pytest.mark.skipif(len(own_cores()) < 2, reason="there is one core here")


def simulated(threads: int, record_every: int) -> list[np.ndarray]:
    """State and spikes of stretches with two kinds of fixed synapses, noise, held drives, and a clamp."""
    synapse = {"static_tau_inhibitory_ms": 6.0, "tau_syn_ms": 50.0}
    made = build_problem(balanced(n=46, k=9, synapse=synapse, connectivity={"plastic_excitatory": 0.3}))
    simulation = Simulation(made, threads=threads)
    assert simulation.threads == threads
    rng = np.random.default_rng(1)
    found: list[np.ndarray] = []
    for length, clamped in ((400, False), (40, True), (1, False)):
        record = np.empty((length // record_every if length > 1 else 0, made.n_rows))
        spikes = simulation.run_interval(
            length, made.input, collect=True, record=record if len(record) else None,
            noise=0.3 * rng.standard_normal((length, made.n_rows)),
            clamp=rng.standard_normal((length, made.n_rows)) if clamped else None,
        )  # fmt: skip
        simulation.hold_drive()
        simulation.weight *= 1.1
        found += [*spikes, record, simulation.filtered.copy(), simulation.n_events.copy()]
        rows = zip(made.plastic.start[:-1], simulation.n_events, strict=True)
        found += [simulation.events[start : start + n].copy() for start, n in rows]
    assert len(found[0]) > 20
    return [*found, *(array.take(0, made.n_rows) for array in simulation.state_arrays() if array.name != "events")]


@needs_two
def test_stretches_on_several_threads_have_the_bits_of_one() -> None:
    for one, two in zip(simulated(1, 20), simulated(2, 20), strict=True):
        np.testing.assert_array_equal(one, two)


@needs_two
def test_where_threads_have_no_room_steps_have_one() -> None:
    world = World()
    world.cores_per_rank = 1
    trainer = Trainer(problem(12), Training(n_loops=1), threads=2, world=world)
    assert (trainer.simulation.threads, trainer.rls.threads) == (1, 2)  # type: ignore[attr-defined]
    trainer.cursor.stage = WINDOW
    assert intervals_at_once(trainer, 1000) == 0


def test_parts_of_the_rows() -> None:
    bounds = np.array([0, 4, 9, 11])
    assert part_of(bounds, 0, 1) == (0, 11, 0, 3)
    assert [part_of(bounds, member, 3) for member in range(3)] == [(0, 4, 0, 1), (4, 9, 1, 2), (9, 11, 2, 3)]


@kernel
def _add_in_turns(member, members, team, rounds, numbers):  # type: ignore[no-untyped-def]
    """Every member writes its place times the round, and then all look at what the others wrote."""
    wrong = 0
    for k in range(rounds):
        numbers[member] = k * (member + 1)
        meet(team, members)
        for other in range(members):
            wrong += numbers[other] != k * (other + 1)
        meet(team, members)
    return wrong


@pytest.mark.parametrize("members", [1, 2, 5])  # more than cores, perhaps
def test_members_of_a_team_see_what_the_others_wrote_before_they_met(members: int) -> None:
    team = new_team(members)
    for rounds in (0, 1, 20):
        assert in_team(_add_in_turns, team, members, rounds, np.zeros(members, dtype=np.int64)) == 0


@pytest.mark.parametrize("which", [0, 1])
def test_a_member_that_fails_does_not_keep_the_others(which: int) -> None:
    team = new_team(2)

    def run(member: int, members: int, *rest: Any) -> int:
        if member == which:
            raise MemoryError("no room")
        return int(_add_in_turns(member, members, *rest))

    with pytest.raises(MemoryError, match="no room"):
        in_team(run, team, 2, 50, np.zeros(2, dtype=np.int64))
    assert in_team(_add_in_turns, team, 2, 20, np.zeros(2, dtype=np.int64)) == 0


def test_callers_at_the_same_time_do_not_wait_for_each_other() -> None:
    """Two teams of three, from two threads: helpers of one do not stand in the place of the other's."""
    with ThreadPoolExecutor(2) as callers:
        found = [
            callers.submit(in_team, _add_in_turns, new_team(3), 3, 30, np.zeros(3, dtype=np.int64)) for _ in range(2)
        ]
        assert [one.result(60) for one in found] == [0, 0]


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert at_once(pow, [(2, 3), (3, 3)]) == 8
    child = get_context("fork").Process(target=at_once, args=(pow, [(2, 3), (3, 3)]))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_fewer_threads_than_asked_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("hpcspike.threads.own_cores", lambda: {0, 3})
    assert allowed_threads(2) == 2
    assert not caplog.records
    assert allowed_threads(5) == 2
    assert "5 threads were asked for, but this process may use 2 cores" in caplog.text
