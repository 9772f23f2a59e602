"""Threads that move neurons and deliver spikes side by side: the bits of one thread, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from hpcspike import accelerate
from hpcspike.engine.communication import World
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.stretch import intervals_at_once
from hpcspike.engine.team_kernels import join, meet, new_team, open_team, part_of
from hpcspike.engine.trainer import WINDOW, Trainer
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Training
from tests.small_networks import problem
from tests.test_balanced_program import balanced

needs_two = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba has one thread here")


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
@pytest.mark.parametrize(("attribute", "value"), [("cores_per_rank", 1), ("any_thread", False)])
def test_where_threads_have_no_room_steps_have_one(attribute: str, value: object) -> None:
    world = World()
    setattr(world, attribute, value)
    trainer = Trainer(problem(12), Training(n_loops=1), threads=2, world=world)
    assert (trainer.simulation.threads, trainer.rls.threads) == (1, 2)  # type: ignore[attr-defined]
    trainer.cursor.stage = WINDOW
    assert intervals_at_once(trainer, 1000) == 0


def test_who_waits_in_vain_for_others_goes_on_alone() -> None:
    team = new_team(3)
    for _ in range(3):
        open_team(team)
        assert join(team, 3) == (0, 1)
        assert [join(team, 3)[1] for _ in range(2)] == [0, 0]  # too late: the first has all rows
    assert join(team, 1) == (0, 1)
    meet(team, 1)  # with nobody
    bounds = np.array([0, 4, 9, 11])
    assert part_of(bounds, 0, 1) == (0, 11, 0, 3)
    assert [part_of(bounds, member, 3) for member in range(3)] == [(0, 4, 0, 1), (4, 9, 1, 2), (9, 11, 2, 3)]


@needs_two
def test_only_as_many_threads_are_woken_as_were_asked_for() -> None:
    before = numba.get_num_threads()
    with accelerate.only_threads(2):
        assert numba.get_num_threads() == 2
    with accelerate.only_threads(10_000):
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
    assert numba.get_num_threads() == before


@pytest.mark.parametrize(("set_to", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_while_they_wait_in_programs_of_a_user(set_to: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if set_to is not None:
        environment["OMP_WAIT_POLICY"] = set_to
    code = (
        "import os; from hpcspike import accelerate; accelerate.check_threads(2); print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    assert done.stdout.strip() == expected
