"""The path of a cue: what it is, who receives it, and that it is the same in every trial and on every rank."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import SpecError
from hpcspike.model.build import build_problem
from hpcspike.model.cue import cue_paths
from hpcspike.model.feed_forward import path_from_rest
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.validation import validate_experiment
from tests.small_networks import experiment

CUE = {"amplitude": 0.0, "duration_ms": 20.0, "noise": 0.6, "tau_corr_ms": 5.0}


def cued(**changes: Any) -> Experiment:
    """A small network with two target sets and paths as cues."""
    sections: dict[str, Any] = {
        "stimulus": CUE,
        "targets": {"kind": "sine", "duration_ms": 20.0, "n_sets": 2},
        "training": {"n_loops": 2, "update_interval_ms": 10.0},
    }
    return experiment(**{**sections, **changes})


def test_a_path_is_the_published_recursion() -> None:
    normals = np.random.default_rng(3).standard_normal(50)
    z = [0.0]
    for kick in normals[1:]:
        z.append(z[-1] - z[-1] * 0.1 / 20.0 + 0.2 * np.sqrt(0.1) * kick)
    np.testing.assert_allclose(path_from_rest(0.2, 20.0, 50, 0.1, np.random.default_rng(3)), z, atol=1e-12)
    long = path_from_rest(0.2, 20.0, 400_000, 0.1, np.random.default_rng(4))
    assert long.std() == pytest.approx(0.2 / np.sqrt(2 / 20.0), rel=0.03)


def test_every_neuron_and_target_set_has_its_own_path_in_any_block() -> None:
    made = cued()
    paths = cue_paths(made, range(10), range(2))
    assert paths is not None
    assert paths.shape == (2, 20, 10)
    assert not paths[:, 0].any()
    assert len(np.unique(paths[:, -1])) == 20
    block = cue_paths(made, range(4, 9), [1])
    assert block is not None
    np.testing.assert_array_equal(block[0], paths[1, :, 4:9])
    assert cue_paths(cued(stimulus={"duration_ms": 20.0}), range(10), range(2)) is None


def test_a_path_is_input_that_varies_during_the_cue() -> None:
    """A path that is constant is the constant cue, to the bit, in training and in tests."""
    constant = build_problem(cued(stimulus={"amplitude": 1.0, "duration_ms": 20.0}))
    varying = copy.copy(constant)
    varying.cue = np.repeat(constant.stimuli[:, None], constant.stimulus_steps, axis=1)
    varying.stimuli = np.zeros_like(constant.stimuli)
    found = [hpcspike.train(problem) for problem in (constant, varying)]
    for target_set in (0, 1):
        one, other = (trained.evoke(target_set, 1).drive for trained in found)
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found[0].simulation.weight, found[1].simulation.weight)
    assert not np.array_equal(found[1].evoke(0, 1).drive, found[1].evoke(1, 1).drive)


def test_steps_of_any_length_give_the_same_bits() -> None:
    made = build_problem(cued())
    one, other = Trainer(made, made.training), Trainer(made, made.training)
    while not one.finished:
        one.advance(7)
    while not other.finished:
        other.advance_far(5000)
    np.testing.assert_array_equal(one.simulation.weight, other.simulation.weight)
    without = build_problem(cued(stimulus={"amplitude": 0.0, "duration_ms": 20.0}))
    assert not np.array_equal(hpcspike.train(without).simulation.weight, one.simulation.weight)


def test_a_stored_network_has_its_cue_again() -> None:
    network = hpcspike.run(cued())
    live = hpcspike.live_network(network)
    tested = live.test(trials=1)
    np.testing.assert_array_equal(tested["response"].values, network["response"].values[:, :1])


def test_other_learners_refuse_a_path() -> None:
    targets = {"kind": "sine", "duration_ms": 20.0}
    with pytest.raises(SpecError, match=r"stimulus\.noise = 0\.6 has no effect with learner\.kind = lsnn"):
        validate_experiment(cued().model_dump(mode="json") | {"learner": {"kind": "lsnn"}, "targets": targets})
    assert "noise" not in cued(stimulus={}).model_dump()["stimulus"]
