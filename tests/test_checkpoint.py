"""The state of a training: whole in a checkpoint, and gone on from bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.engine import checkpoint
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.trainer import WINDOW, Trainer
from hpcspike.rls.packing_kernels import pack_triangles, unpack_triangles
from hpcspike.rls.penalties import Penalties
from hpcspike.spec.experiment import LifNeuron, Protocol, Synapse, Training
from tests.checkpoint_cases import LOOP_STEPS, N, changed
from tests.small_networks import problem


def fresh(training: Training, **changes: Any) -> Trainer:
    return Trainer(changed(**changes), training)


def reach(trainer: Trainer, steps: int) -> None:
    """Advance to exactly this step; of zero-length stages as few as possible."""
    while trainer.steps < steps:
        trainer.advance(min(steps - trainer.steps, 50))


def reload(trainer: Trainer, folder: Path) -> Trainer:
    """A fresh trainer that has picked up what another one saved."""
    identity = identify(trainer, None)
    checkpoint.save(trainer, Checkpoints(folder), identity)
    other = Trainer(trainer.problem, trainer.training)
    assert checkpoint.resume(other, Checkpoints(folder), identity)
    return other


def bits(trainer: Trainer, *, covariance: bool = False) -> dict[str, Any]:
    """Everything that must be equal, as bytes; not the seconds that were spent."""
    n_rows = trainer.problem.n_rows
    found: dict[str, Any] = {a.name: a.take(0, n_rows).tobytes() for a in trainer.state_arrays()}
    numbers = trainer.state_numbers()
    numbers["curve"] = {name: list(column) for name, column in numbers["curve"].items() if name != "seconds"}
    del numbers["loop_seconds"]
    if covariance:
        found |= {f"P {row}": trainer.rls.covariance(row).tobytes() for row in range(n_rows)}
    return found | numbers


RANDOM_STARTS = Protocol(free_run_ms=30.0, test_free_run_ms=30.0, start="random")
LIF = LifNeuron(model="lif", bias=1.2, refractory_ms=3.0)
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "blocked": ({}, {}),
    "blocked, float32, late weights": ({"dtype": "float32"}, {"late": True, "n_sets": 2}),
    "blocked, rate, late weights": ({"variable": "rate"}, {"late": True, "n_sets": 2}),
    "blocked, rate, float32": ({"variable": "rate", "dtype": "float32"}, {}),
    "blocked, started anew": ({"dtype": "float32", "ridge": 1e-9}, {}),
    "blocked, random starts": ({}, {"n_sets": 2, "protocol": RANDOM_STARTS}),
    "blocked, integrate and fire": ({"dtype": "float32"}, {"neuron": LIF}),
    "blocked, delays": ({}, {"synapse": Synapse(delay_ms=3.0)}),
    "textbook, late weights": ({"algorithm": "textbook"}, {"late": True, "n_sets": 2}),
    "textbook, float32": ({"algorithm": "textbook", "dtype": "float32"}, {}),
    "textbook, rate": ({"algorithm": "textbook", "variable": "rate"}, {"n_sets": 2}),
    "textbook, BLAS": ({"algorithm": "textbook_blas"}, {}),
}


def of_kind(kind: str) -> Trainer:
    training, changes = KINDS[kind]
    changes = dict(changes)
    if changes.pop("late", False):
        changes["synapse"] = Synapse(weight_acts="at_spikes")
    return fresh(Training(n_loops=2 // changes.get("n_sets", 1), update_interval_ms=4.0, **training), **changes)


# within a loop: free run, its end, cue, its end, within the first interval, right after the first updates (so many that
# P has taken them in more than once), within later intervals, one step before the last update
WITHIN_LOOP = [1, 29, 30, 43, 50, 51, 53, 54, 58, 62, 66, 67, 70, 74, 101, 149]


@pytest.mark.parametrize("kind", KINDS)
def test_training_cut_anywhere_goes_on_bit_for_bit(kind: str, tmp_path: Path) -> None:
    whole, cut = of_kind(kind), of_kind(kind)
    assert whole.total_steps == 2 * LOOP_STEPS
    for steps in [*WITHIN_LOOP, LOOP_STEPS, *(LOOP_STEPS + step for step in WITHIN_LOOP)]:
        reach(cut, steps)
        cut = reload(cut, tmp_path)
        reach(whole, steps)
        assert bits(cut) == bits(whole), steps
    for trainer in (cut, whole):
        reach(trainer, 2 * LOOP_STEPS)
        assert trainer.finished
    assert bits(cut, covariance=True) == bits(whole, covariance=True)
    assert len(cut.curve["correlation"]) == 2
    assert np.ptp(cut.simulation.weight) > 0
    assert cut.simulation.filtered.any()


@pytest.mark.parametrize("kind", ["blocked", "blocked, rate, float32", "blocked, integrate and fire"])
def test_the_cuts_meet_every_number_of_kept_updates_every_stage_and_half_an_interval(kind: str) -> None:
    trainer = of_kind(kind)
    seen = set()
    events = 0
    for steps in WITHIN_LOOP:
        reach(trainer, steps)
        numbers = trainer.state_numbers()
        seen.add((trainer.cursor.stage, numbers["simulation"]["held"], numbers["rls"]["kept"]))
        events += trainer.cursor.stage == WINDOW and trainer.cursor.step > 0 and trainer.simulation.n_events.any()
    assert events >= 2
    capacity = numbers["rls"]["capacity"]
    assert {stage for stage, _, _ in seen} == {0, 1, 2}
    assert {kept for _, _, kept in seen} == set(range(capacity))
    assert {held for _, held, _ in seen} == {False, True}


def test_a_diverged_network_stays_what_it_was(tmp_path: Path) -> None:
    made = problem(N)
    made.targets = 1e9 * made.targets
    trainer = Trainer(made, Training(n_loops=3, ridge=1e-12))
    while not trainer.finished:
        trainer.advance()
    assert trainer.diverged_loop >= 0
    other = reload(trainer, tmp_path)
    assert other.finished
    assert bits(other, covariance=True) == bits(trainer, covariance=True)


# ---- no state is forgotten -------------------------------------------------------------------------------------------


def attributes(thing: Any) -> dict[str, Any]:
    return {name.lstrip("_"): value for name, value in vars(thing).items()}


def in_state(thing: Any) -> set[str]:
    # an array without entries holds no state
    empty = {name for name, value in attributes(thing).items() if isinstance(value, np.ndarray) and not value.size}
    saved = {array.name.split(".")[0] for array in thing.state_arrays()} | set(thing.state_numbers())
    return saved | (empty - thing.REBUILT - thing.SCRATCH)


@pytest.mark.parametrize("kind", ["blocked, float32, late weights", "textbook, late weights", "textbook, BLAS"])
def test_every_attribute_is_saved_or_on_the_list_of_those_that_need_not_be(kind: str) -> None:
    trainer = of_kind(kind)
    reach(trainer, 54)  # after an update: the drive is held
    assert trainer.simulation.held is not None
    if kind == "textbook, BLAS":  # weights act at once there: the readout is the drive
        assert trainer.simulation.readout is trainer.simulation.plastic_drive
    for thing in (trainer, trainer.simulation, trainer.rls):
        saved = in_state(thing) | ({"readout"} if kind == "textbook, BLAS" and thing is trainer.simulation else set())
        names = set(attributes(thing))
        assert not thing.REBUILT & thing.SCRATCH
        assert names - thing.REBUILT - thing.SCRATCH == saved, type(thing)
        assert thing.REBUILT | thing.SCRATCH <= names, type(thing)


@pytest.mark.parametrize("kind", ["blocked", "textbook", "blocked, rate, float32"])
def test_attributes_that_are_rebuilt_do_not_change(kind: str) -> None:
    old = of_kind("textbook, float32" if kind == "textbook" else kind)
    new = Trainer(old.problem, old.training, world=old.world)
    reach(old, LOOP_STEPS + 70)
    for first, second in ((old, new), (old.simulation, new.simulation), (old.rls, new.rls)):
        ours, others = attributes(first), attributes(second)
        for name in type(first).REBUILT:
            # the longest interval so far decides how many are tabulated
            shorter = min(len(ours[name]), len(others[name])) if name == "jumps" else None
            assert_same(ours[name], others[name], name, shorter)


def assert_same(first: Any, second: Any, name: str, length: int | None = None) -> None:
    if isinstance(first, tuple):
        for a, b in zip(first, second, strict=True):
            assert_same(a, b, name)
    elif isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first[:length], second[:length], err_msg=name, strict=True)
    elif isinstance(first, Penalties):
        for part, value in vars(first).items():
            assert_same(value, vars(second)[part], f"{name}.{part}")
    else:
        assert first is second or first == second, name


@pytest.mark.parametrize("kind", ["blocked", "blocked, float32, late weights", "textbook, rate", "textbook, float32"])
@pytest.mark.parametrize("steps", [40, 54, 67])
def test_scratch_arrays_may_hold_anything(kind: str, steps: int) -> None:
    clean, spoilt = of_kind(kind), of_kind(kind)
    for trainer in (clean, spoilt):
        reach(trainer, steps)
    spoil(spoilt)
    for trainer in (clean, spoilt):
        reach(trainer, 2 * LOOP_STEPS)
    assert bits(spoilt, covariance=True) == bits(clean, covariance=True)


def spoil(trainer: Trainer) -> None:
    count = 0
    for thing in (trainer, trainer.simulation, trainer.rls):
        for name, value in attributes(thing).items():
            # the gain of drive training is 1 for ever
            constant = name == "gain" and trainer.training.variable == "drive"
            if name in thing.SCRATCH and isinstance(value, np.ndarray) and not constant:
                value[:] = np.nan if value.dtype.kind == "f" else 12345
                count += 1
    assert count >= 5


def test_the_table_of_spike_sizes_does_not_depend_on_its_length() -> None:
    # it grows with the longest interval of a run, which may lie before a cut
    live = fresh(Training()).simulation
    for length in (2, 7, 30, 1001, 9000):
        np.testing.assert_array_equal((live.decay ** np.arange(9001))[:length], live.decay ** np.arange(length))


# ---- packing ---------------------------------------------------------------------------------------------------------


@given(in_degree=st.lists(st.integers(0, 20), min_size=1, max_size=5), dtype=st.sampled_from([np.float32, np.float64]))
def test_packed_triangles_are_unpacked_to_what_they_were(in_degree: list[int], dtype: type) -> None:
    k = np.array(in_degree)
    width = k + 3
    place = np.concatenate([[0], np.cumsum(k * width)])
    matrices = np.zeros(place[-1], dtype)
    for i in range(len(k)):
        values = np.random.default_rng(i).standard_normal((k[i], k[i]))
        matrices[place[i] : place[i + 1]].reshape(k[i], width[i])[:, : k[i]] = values + values.T
    packed = np.empty(int((k * (k + 1) // 2).sum()), dtype)
    pack_triangles(0, len(k), k, place, width, matrices, packed)
    again = np.zeros_like(matrices)
    middle = len(k) // 2
    split = int((k[:middle] * (k[:middle] + 1) // 2).sum())
    unpack_triangles(0, middle, k, place, width, packed[:split], again)
    unpack_triangles(middle, len(k), k, place, width, packed[split:], again)
    np.testing.assert_array_equal(again, matrices)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_matrices_of_the_blocked_engine_are_symmetric_to_the_bit(dtype: str) -> None:
    trainer = fresh(Training(n_loops=1, dtype=dtype))
    reach(trainer, LOOP_STEPS)
    for row in range(N):
        matrix = trainer.rls.covariance(row)
        np.testing.assert_array_equal(matrix, matrix.T)
