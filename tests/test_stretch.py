"""Training by several update intervals in one compiled piece: the bits of training by one interval at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine import stretch
from hpcspike.engine.trainer import CHUNK_STEPS, WINDOW, Trainer
from hpcspike.model.build import build_problem
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Experiment, IzhikevichNeuron, LifNeuron, Protocol, Synapse, TanhNeuron, Training
from tests.small_networks import arrays, experiment, problem

N = 23
TWO_MS = {"update_interval_ms": 2.0, "n_loops": 2}


def by_single_intervals(made: Problem, training: Training, threads: int) -> Trainer:
    trainer = Trainer(made, training, threads=threads)
    while not trainer.finished:
        trainer.advance(CHUNK_STEPS)
    return trainer


def in_one_piece(made: Problem, training: Training, threads: int, most_steps: int = CHUNK_STEPS) -> Trainer:
    """As `train` does it; most of the updates must have been taken with others."""
    trainer = Trainer(made, training, threads=threads)
    together = 0
    while not trainer.finished:
        in_window = trainer.cursor.stage == WINDOW
        taken = trainer.advance_far(most_steps)
        assert 0 <= taken <= most_steps
        together += taken if in_window and taken > trainer.steps_per_update else 0
    assert together > 0.5 * trainer.n_loops * trainer.goals.shape[1] * trainer.steps_per_update
    return trainer


def assert_equal_bits(one: Trainer, other: Trainer) -> None:
    """Every array of the live state, every number but seconds, and the external events."""
    for mine, yours in zip(one.state_arrays(), other.state_arrays(), strict=True):
        np.testing.assert_array_equal(mine.take(0, one.problem.n_rows), yours.take(0, other.problem.n_rows), mine.name)
    numbers = [trainer.state_numbers() for trainer in (one, other)]
    for found in numbers:
        found.pop("loop_seconds")
        found["curve"].pop("seconds")
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("training", "changes"),
    [
        ({}, {}),
        ({"dtype": "float32"}, {"n_sets": 2}),
        ({"variable": "rate"}, {"fixed": 0.4}),
        ({"variable": "rate", "dtype": "float32"}, {}),
        ({}, {"synapse": Synapse(tau_syn_ms=20.0, weight_acts="at_spikes"), "fixed": 0.3}),
        ({}, {"neuron": LifNeuron(model="lif", bias=1.5)}),
        ({}, {"protocol": Protocol(free_run_ms=0.0, start="random")}),
        ({"dtype": "float32"}, {"neuron": IzhikevichNeuron(model="izhikevich", bias=8.0)}),
    ],
    ids=str,
)
def test_bits_are_those_of_one_interval_at_a_time(
    training: dict[str, Any], changes: dict[str, Any], threads: int
) -> None:
    settings = Training(**{**TWO_MS, **training})
    one = by_single_intervals(problem(N, **changes), settings, threads)
    several = in_one_piece(problem(N, **changes), settings, threads)
    assert np.abs(one.weight_before - one.problem.plastic.weight).max() > 1e-3
    assert_equal_bits(one, several)


@pytest.mark.parametrize("variable", ["drive", "rate"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_frozen_noise_is_that_of_every_step(variable: str, dtype: str) -> None:
    noisy = {"frozen_noise": {"standard_deviation": 0.5, "tau_corr_ms": 5.0}}
    tiny = experiment(**noisy)
    settings = Training(**{**TWO_MS, "variable": variable, "dtype": dtype})
    made = build_problem(tiny)
    assert made.noise_of(0, 1) is not None
    assert_equal_bits(by_single_intervals(made, settings, 1), in_one_piece(build_problem(tiny), settings, 1))


def slow_in_float32() -> Experiment:
    """A training in which rounding takes P of several rows, see `hpcspike.rls.blocked.BlockedRls.health`."""
    return experiment(
        network={"n_neurons": 60}, synapse={"tau_syn_ms": 500.0}, seed=1,
        connectivity={"kind": "zero", "probability": 0.3},
        targets={"kind": "ou", "tau_corr_ms": 100.0, "duration_ms": 500.0},
        training={"n_loops": 6, "ridge": 1e-9, "dtype": "float32"},
    )  # fmt: skip


def test_rows_that_lose_their_matrix_are_started_anew_at_the_same_update() -> None:
    tiny = slow_in_float32()
    one = by_single_intervals(build_problem(tiny), tiny.training, 1)
    several = in_one_piece(build_problem(tiny), tiny.training, 1)
    assert one.rls.health().restarts.sum() > 3  # type: ignore[attr-defined]
    assert_equal_bits(one, several)


@pytest.mark.parametrize("most_steps", [1, 5, 33, 1000])
def test_pieces_of_any_length_give_the_same_bits(most_steps: int) -> None:
    settings = Training(**TWO_MS)
    one = by_single_intervals(problem(N), settings, 1)
    trainer = Trainer(problem(N), settings)
    while not trainer.finished:
        assert trainer.advance_far(most_steps) <= most_steps
    assert_equal_bits(one, trainer)


def test_a_piece_ends_where_it_was_to_end_though_a_row_starts_anew_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # on the rank of that row alone: what all ranks decide together stands after the same updates
    trainer = Trainer(problem(N), Training(**TWO_MS))
    while not (trainer.in_window and trainer.cursor.step == 0):
        trainer.advance(CHUNK_STEPS)
    asked: list[int] = []

    def cut(which: Trainer, n_updates: int) -> int:
        asked.append(n_updates)
        return stretch.take_intervals(which, min(2, n_updates))

    monkeypatch.setattr("hpcspike.engine.trainer.take_intervals", cut)
    first = trainer.cursor.update
    assert trainer.advance_far(5 * trainer.steps_per_update) == 5 * trainer.steps_per_update
    assert (trainer.cursor.update - first, asked) == (5, [5, 3, 1])


def test_what_python_has_a_part_in_goes_by_single_intervals() -> None:
    seen: list[int] = []
    trained = hpcspike.train(
        problem(N), Training(**TWO_MS), on_update=lambda trainer: seen.append(trainer.cursor.update)
    )
    assert seen == 2 * list(range(50))
    assert trained.diverged_loop == -1
    signed = Trainer(problem(N), Training(**TWO_MS, sign_rule="reject"))
    textbook = Trainer(problem(N), Training(**TWO_MS, algorithm="textbook"))
    graded = Trainer(problem(N, neuron=TanhNeuron(model="tanh")), Training(**TWO_MS))
    for trainer in (signed, textbook, graded):
        trainer.cursor.stage = WINDOW
        assert stretch.intervals_at_once(trainer, 1000) == 0


def test_number_of_intervals_at_once_falls_with_the_work_of_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(problem(N), Training(**TWO_MS))
    assert stretch.intervals_at_once(trainer, 1000) == 0  # the free run comes first
    trainer.cursor.stage = WINDOW
    synapses = len(trainer.problem.plastic.presynaptic)
    assert trainer.mean_in_degree == synapses / N
    assert [stretch.intervals_at_once(trainer, steps) for steps in (1, 2, 9, 1000)] == [0, 1, 4, 50]
    monkeypatch.setattr(stretch, "MOST_WORK", 7.5 * synapses)
    assert stretch.intervals_at_once(trainer, 1000) == 7
    monkeypatch.setattr(stretch, "MOST_WORK", 0.5 * synapses)
    assert stretch.intervals_at_once(trainer, 1000) == 1
    trainer.cursor.step = 1
    assert stretch.intervals_at_once(trainer, 1000) == 0


def test_time_is_told_apart_and_the_loop_counts_all_of_it() -> None:
    trainer = in_one_piece(Problem(**arrays(N), stimulus_ms=20.0), Training(**TWO_MS), 1)
    seconds = trainer.world.phases.seconds
    assert seconds["steps"] > 0.0
    assert seconds["update"] > 0.0
    assert seconds["exchange"] == 0.0
    assert sum(trainer.curve["seconds"]) >= seconds["steps"] + seconds["update"]
