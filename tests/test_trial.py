"""What comes before the cue of a training loop: the state that it starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import hpcspike
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.trainer import FREE_RUN, Trainer
from hpcspike.engine.training import as_it_is
from hpcspike.errors import Interrupted, StoreError
from hpcspike.identity import canonical, experiment_hash
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.spec.experiment import (
    IzhikevichNeuron,
    LifNeuron,
    Neuron,
    Protocol,
    Synapse,
    TanhNeuron,
    ThetaNeuron,
    Training,
    UserNeuron,
)
from tests.checkpoint_cases import outcome
from tests.small_networks import experiment, problem

N = 17
FREE_RUN_MS = 30.0


def starting(start: str, **changes: Any) -> hpcspike.Problem:
    protocol = Protocol.model_validate({"free_run_ms": FREE_RUN_MS, "start": start})
    return problem(N, **{"fixed": 0.3, "protocol": protocol, **changes})


NEURONS: list[tuple[Neuron, dict[str, Any]]] = [
    (ThetaNeuron(bias=0.3), {}),
    (LifNeuron(model="lif", bias=1.5), {"dtype": "float32"}),
    (IzhikevichNeuron(model="izhikevich", bias=8.0), {}),
    (TanhNeuron(model="tanh"), {}),
    (UserNeuron(model="user", source="tests.adaptive_neurons:adaptive", bias=1.0, step_ms=0.5), {}),
]


@pytest.mark.parametrize(("neuron", "training"), NEURONS, ids=[neuron.model for neuron, _ in NEURONS])
@pytest.mark.parametrize("n_sets", [1, 2])
def test_every_loop_but_the_first_starts_from_phases_of_its_own_and_silent_synapses(
    neuron: Neuron, training: dict[str, Any], n_sets: int
) -> None:
    settings = Training(n_loops=4 // n_sets, **training)
    found = Trainer(starting("random", neuron=neuron, n_sets=n_sets, seed=5), settings)
    while not found.finished:
        found.advance_far()
    expected = Trainer(starting("running", neuron=neuron, n_sets=n_sets, seed=5), settings)
    starts = []
    while not expected.finished:
        loop, live = expected.cursor.loop, expected.simulation
        if expected.cursor.stage == FREE_RUN and expected.cursor.step == 0 and loop > 0:
            live.set_state(uniform_by_neuron(1, 0, "loop_phase", range(N), loop, 0.0, 2.0 * np.pi), np.zeros(N))
            assert not live.plastic_drive.any()
            starts.append(live.state.copy())
        expected.advance()
    assert len(starts) == 3
    assert (starts[0] != starts[1]).any()
    assert outcome_of(found) == outcome_of(expected)


def outcome_of(trainer: Trainer) -> list[bytes]:
    return outcome(as_it_is(trainer))


def test_the_first_loop_starts_from_what_the_problem_gives() -> None:
    once = Training(n_loops=1)
    given, random = (outcome(hpcspike.train(starting(start), once)) for start in ("running", "random"))
    assert random == given
    twice = Training(n_loops=2)
    assert outcome(hpcspike.train(starting("random"), twice)) != outcome(hpcspike.train(starting("running"), twice))


def test_late_weights_start_with_a_readout_of_nothing() -> None:
    trainer = Trainer(starting("random", synapse=Synapse(weight_acts="at_spikes")), Training(n_loops=2))
    while trainer.loop < 1:
        trainer.advance()
    assert trainer.simulation.readout.all()
    trainer.advance(1)
    assert (trainer.simulation.readout == trainer.simulation.plastic_drive).all()


def test_the_seed_decides_where_later_loops_start(tmp_path: Path) -> None:
    given = {key: value for key, value in vars(starting("random")).items() if key in ("phase", "filtered", "stimuli")}
    settings = Training(n_loops=2)

    def seeded(seed: int) -> hpcspike.Problem:
        made = starting("random", **given)
        made.seed = seed
        return made

    assert outcome(hpcspike.train(seeded(1), settings)) == outcome(hpcspike.train(seeded(1), settings))
    assert outcome(hpcspike.train(seeded(1), settings)) != outcome(hpcspike.train(seeded(2), settings))
    with pytest.raises(Interrupted):
        hpcspike.train(seeded(1), settings, checkpoints=Checkpoints(tmp_path, stop_after_steps=40))
    with pytest.raises(StoreError, match="seed is 1 there and 2 here"):
        hpcspike.train(seeded(2), settings, checkpoints=Checkpoints(tmp_path))


def test_an_experiment_that_does_not_say_how_loops_start_is_the_one_it_was() -> None:
    silent, running, random = (
        experiment(protocol={"free_run_ms": 20.0, "test_free_run_ms": 20.0, **more})
        for more in ({}, {"start": "running"}, {"start": "random"})
    )
    assert canonical(silent)["protocol"] == {"free_run_ms": 20.0, "test_free_run_ms": 20.0}
    assert experiment_hash(silent) == experiment_hash(running) != experiment_hash(random)
    assert canonical(random)["protocol"]["start"] == "random"
    assert type(random).model_validate(json.loads(random.model_dump_json())) == random


def test_starts_of_loops_are_refused_where_there_are_none() -> None:
    learned = {"learner": {"kind": "lsnn"}, "protocol": {"start": "random"}}
    with pytest.raises(ValidationError, match=r"protocol\.start = random has no effect with learner\.kind = lsnn"):
        experiment(**learned)
    with pytest.raises(ValidationError, match="'running' or 'random'"):
        experiment(protocol={"start": "fresh"})
