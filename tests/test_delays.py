"""Delays of synapses: against a plain program, through learning and resumption, and where they make no sense."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpcspike
from hpcspike.engine import checkpoint
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.delay_kernels import exchange_steps
from hpcspike.engine.simulation import Simulation, row_sums
from hpcspike.engine.trainer import Trainer
from hpcspike.engine.trial import Conditions, run_trial
from hpcspike.errors import DataError, SpecError
from hpcspike.identity import experiment_hash
from hpcspike.measures import delete_spike
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Synapse, Training
from hpcspike.spec.validation import validate_experiment
from hpcspike.sweep.cost import predict
from tests.small_networks import experiment, problem
from tests.test_balanced_program import balanced, program
from tests.test_feed_forward import fed, state_of

WEIGHTS = {"plastic_excitatory": 0.05, "plastic_inhibitory": -0.03}


@pytest.mark.parametrize("delays", [(1, 1), (15, 15), (3, 8), (8, 3), (1, 4), (4, 1)])
def test_spikes_are_those_of_a_program_that_delays_them(delays: tuple[int, int]) -> None:
    taus = {"tau_syn_ms": 50.0, "static_delay_ms": 0.1 * delays[0], "delay_ms": 0.1 * delays[1]}
    made = build_problem(balanced(synapse=taus, connectivity=WEIGHTS))
    spikes = Simulation(made).run_interval(1500, made.input)
    expected = program(made, 1500, (3.0, 3.0), 50.0, delays)
    assert len(expected) > 150
    np.testing.assert_array_equal(np.stack([spikes.step, spikes.neuron], axis=1), expected)


def test_threads_deliver_delayed_spikes_together() -> None:
    taus = {"tau_syn_ms": 50.0, "static_delay_ms": 0.4, "delay_ms": 0.7}
    made = build_problem(balanced(synapse=taus, connectivity=WEIGHTS))
    alone, together = Simulation(made), Simulation(made, threads=2)
    for length in (300, 7, 500):
        first, second = (live.run_interval(length, made.input) for live in (alone, together))
        np.testing.assert_array_equal(first.neuron, second.neuron)
        np.testing.assert_array_equal(alone.state, together.state)
        np.testing.assert_array_equal(alone.trace, together.trace)
    assert alone.transit.in_flight() == together.transit.in_flight()


def test_a_delay_of_one_step_is_the_default() -> None:
    named = balanced(synapse={"delay_ms": 0.1, "static_delay_ms": 0.1}, connectivity=WEIGHTS)
    first, second = (build_problem(one) for one in (balanced(connectivity=WEIGHTS), named))
    spikes = [Simulation(one).run_interval(400, one.input).neuron.tolist() for one in (first, second)]
    assert spikes[0] == spikes[1]
    plain = balanced(connectivity=WEIGHTS)
    assert "delay_ms" not in plain.model_dump()["synapse"]
    assert experiment_hash(named) != experiment_hash(plain)


def test_r_is_that_of_spikes_that_have_arrived() -> None:
    """So that the drive stays W r, and what RLS takes as inputs is what the drive depends on."""
    made = problem(24, fixed=0.0, synapse=Synapse(tau_syn_ms=20.0, delay_ms=7.0))
    trainer = Trainer(made, Training(n_loops=2, update_interval_ms=4.0))
    while not trainer.finished:
        trainer.advance(3)
    live = trainer.simulation
    assert trainer.curve["weight_change"][-1] > 0.0
    np.testing.assert_allclose(live.plastic_drive, row_sums(made.plastic, live.weight, live.filtered), atol=1e-10)
    in_time = Trainer(problem(24, fixed=0.0), Training(n_loops=2, update_interval_ms=4.0))
    while not in_time.finished:
        in_time.advance()
    assert not np.array_equal(in_time.simulation.weight, live.weight)


@settings(max_examples=30)
@given(
    blocks=st.lists(st.lists(st.sets(st.integers(0, 4)), min_size=3, max_size=3), min_size=1, max_size=3),
    begin=st.integers(0, 9),
)
def test_spikes_of_several_steps_that_come_together_lie_in_their_steps(
    blocks: list[list[set[int]]], begin: int
) -> None:
    """blocks: neurons of each rank (5 of its own) that spike in each of three steps, as one message of each rank."""
    size, slots = 5 * len(blocks), 4
    sent = [
        age * size + 5 * rank + neuron
        for rank, block in enumerate(blocks)
        for age, spikes in enumerate(block)
        for neuron in sorted(spikes)
    ]
    flight, n_flight = np.full((slots, size), -1, np.int32), np.full(slots, 99, np.int64)
    nothing, one = np.zeros(1, np.int32), np.zeros((1, 1), np.int32)
    waiting = np.array([*sent, 0], np.int32)
    exchange_steps(
        waiting, len(sent), 3, size, np.empty(3 * size, np.int32), flight, n_flight, np.array([begin + 2]),
        0, 0, 0, nothing, one, np.zeros(1),
    )  # fmt: skip
    for age in range(3):
        slot = (begin + age) % slots
        expected = [5 * rank + neuron for rank, block in enumerate(blocks) for neuron in sorted(block[age])]
        assert flight[slot, : n_flight[slot]].tolist() == expected
    assert n_flight[(begin + 3) % slots] == 99


def delayed(**changes: Any) -> dict[str, Any]:
    return {"tau_syn_ms": 30.0, "delay_ms": 1.2, "static_delay_ms": 0.5, "feed_forward_delay_ms": 2.0, **changes}


def test_training_resumes_with_spikes_in_flight(tmp_path: Path) -> None:
    made = build_problem(fed(synapse=delayed()))
    far, near = Trainer(made, made.training), Trainer(made, made.training)
    identity, carried = identify(near, None), 0
    cuts = [50, 237, 777, 801, 1311]
    while not far.finished:
        far.advance_far(400)
    for cut in cuts:
        while near.steps < cut:
            near.advance(min(cut - near.steps, 20))
        carried += sum(len(spikes) for spikes in near.simulation.transit.in_flight())
        checkpoint.save(near, Checkpoints(tmp_path), identity)
        near = Trainer(made, made.training)
        assert checkpoint.resume(near, Checkpoints(tmp_path), identity)
    while not near.finished:
        near.advance()
    assert carried > 5
    assert state_of(near) == state_of(far)


def test_feed_forward_spikes_arrive_later() -> None:
    made = [build_problem(fed(synapse={"tau_syn_ms": 30.0, "feed_forward_delay_ms": delay})) for delay in (0.1, 2.0)]
    arrivals = []
    for one in made:
        live = Simulation(one)
        live.begin_feed("test_feed", 0, 0, 0)
        steps, sources = live.feed_of_steps(300)
        arrivals.append((np.repeat(np.arange(300), np.diff(steps)), sources))
    (early, who), (late, whose) = arrivals
    kept = early + 19 < 300
    assert kept.sum() > 5
    np.testing.assert_array_equal(late, early[kept] + 19)
    np.testing.assert_array_equal(whose, who[kept])


@pytest.mark.parametrize("delay_ms", [1.0, 4.0])
def test_a_spike_deleted_in_flight_reaches_nobody(delay_ms: float) -> None:
    made = problem(24, synapse=Synapse(tau_syn_ms=20.0, delay_ms=delay_ms))
    trained = hpcspike.train(made, Training(n_loops=0))
    drive, filtered = np.empty((2, made.n_rows, made.n_samples))
    spikes = run_trial(trained.copy_simulation(), "test_phase", 1, 0, drive, filtered)
    first = np.flatnonzero(spikes.step >= 0)[0]
    event = (int(spikes.step[first]) + 1, int(spikes.neuron[first]))
    drives = []
    for conditions in (Conditions(), Conditions(deleted=[event]), Conditions(deleted=[event], added=[event])):
        drive, filtered = np.empty((2, made.n_rows, made.n_samples))
        run_trial(trained.copy_simulation(), "test_phase", 1, 0, drive, filtered, conditions)
        drives.append(drive)
    usual, without, again = drives
    arrives = event[0] - 1 + round(delay_ms) - 1  # sample, of 1 ms
    np.testing.assert_array_equal(without[:, :arrives], usual[:, :arrives])
    assert not np.allclose(without[:, arrives], usual[:, arrives])
    np.testing.assert_allclose(again[:, : arrives + 1], usual[:, : arrives + 1], atol=1e-12)
    found = delete_spike(trained, repeats=2, delay_ms=10.0)
    assert (found.neuron >= 0).all()


IMPOSSIBLE = {
    "half a step": ({"synapse": {"delay_ms": 1.5}}, "not a multiple of neuron.step_ms = 1 ms"),
    "too long": ({"synapse": {"delay_ms": 2000.0}}, "at most 1000 steps = 1000 ms"),
    "no fixed synapses": ({"synapse": {"static_delay_ms": 2.0}}, "has no fixed synapses; leave it out"),
    "no feed-forward": ({"synapse": {"feed_forward_delay_ms": 2.0}}, "feed_forward.n_neurons = 0; leave it out"),
    "rates": ({"synapse": {"delay_ms": 2.0}, "training": {"variable": "rate"}}, "training.variable = rate compares"),
    "units": ({"synapse": {"delay_ms": 2.0}, "neuron": {"model": "tanh"}}, "do not spike; leave it out"),
    "learner": (
        {"synapse": {"delay_ms": 2.0}, "learner": {"kind": "ebn_bourdoukan"}},
        "has no effect with learner.kind = ebn_bourdoukan",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_delays_that_cannot_be_are_refused(case: str) -> None:
    sections, message = IMPOSSIBLE[case]
    document = experiment().model_dump(mode="json")
    for key, values in sections.items():
        new = "kind" in values or "model" in values
        document[key] = dict(values) if new else {**document[key], **values}
    with pytest.raises(SpecError, match=r"synapse\.(static_|feed_forward_)?delay_ms = [0-9.]+ ms") as refused:
        validate_experiment(document)
    assert message in str(refused.value)


def test_a_problem_refuses_the_same() -> None:
    with pytest.raises(DataError, match="not a multiple of neuron.step_ms"):
        problem(10, synapse=Synapse(delay_ms=1.5))
    made = problem(10, synapse=Synapse(delay_ms=3.0))
    with pytest.raises(SpecError, match="training.variable = rate compares"):
        hpcspike.train(made, Training(variable="rate", n_loops=0))


def test_plan_counts_the_memory_of_spikes_in_flight() -> None:
    usual, late = (predict(experiment(synapse={"delay_ms": delay})).memory_mib for delay in (1.0, 1000.0))
    assert (late - usual) * 2**20 == pytest.approx(
        Simulation(problem(20, synapse=Synapse(delay_ms=1000.0))).transit.flight.nbytes * 2
    )


def test_delays_are_over_when_a_trial_begins() -> None:
    made = problem(24, synapse=Synapse(tau_syn_ms=20.0, delay_ms=6.0))
    live = Simulation(made)
    live.run_interval(60, made.input + 0.6)
    assert any(live.transit.in_flight())
    live.start_at_random("test_phase", 0)
    assert not any(itertools.chain(*live.transit.in_flight()))
