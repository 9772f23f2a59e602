"""Random numbers depend on what they are for, and on nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.model.random_streams import PURPOSES, go_to, stream, uniform_by_neuron

GIVEN_ONCE = {
    "initial_phase": 1,
    "test_phase": 2,
    "clamped_phase": 3,
    "stimulus": 4,
    "weights": 5,
    "mask": 6,
    "targets": 7,
    "auxiliary_targets": 8,
    "chaotic_weights": 9,
    "chaotic_start": 10,
    "static_sources": 11,
    "innate_phase": 12,
    "deleted_spike": 13,
    "shared_targets": 20,
    "frozen_noise": 21,
    "lesion": 30,
    "shuffle": 31,
    "stand_in": 32,
    "recall_phase": 33,
    "loop_phase": 34,
    "training_test_phase": 35,
    "training_noise": 36,
    "test_noise": 37,
    "training_test_noise": 38,
    "recall_noise": 39,
    "transfer_phase": 50,
    "transfer_noise": 51,
    "taught_phase": 57,
    "taught_noise": 58,
    "cue_path": 59,
    "neuron_value": 60,
    "learner_weights": 40,
    "learner_start": 41,
    "learner_noise": 42,
    "task": 43,
    "training_test_feed": 56,
    "test_feed": 55,
    "training_feed": 54,
    "feed_forward_rate": 53,
    "static_targets": 52,
    "set_order": 44,
}


def test_numbers_of_purposes_are_kept_and_never_shared() -> None:
    assert PURPOSES == GIVEN_ONCE  # a new purpose is added to both, with a number of its own
    assert len(set(PURPOSES.values())) == len(PURPOSES)
    assert max(PURPOSES.values()) < 2**32  # above it they would run into the replicate


def test_replicate_and_purpose_have_half_a_word_of_the_key_each_and_indices_the_upper_words_of_the_counter() -> None:
    expected = np.random.Philox(key=[7, 3 * 2**32 + 6], counter=[0, 11, 2, 5]).random_raw(4)
    np.testing.assert_array_equal(stream(7, 3, "mask", 11, 2, 5).bit_generator.random_raw(4), expected)


def test_a_stream_goes_to_other_indices_as_a_new_one_begins() -> None:
    rng = stream(7, 3, "mask", 1)
    rng.standard_normal(7)
    rng.integers(5, dtype=np.int32)  # keeps half a word back
    found = go_to(rng, 11, 2).standard_normal(9), rng.integers(2**31, size=3, dtype=np.int32)
    new = stream(7, 3, "mask", 11, 2)
    np.testing.assert_array_equal(found[0], new.standard_normal(9))
    np.testing.assert_array_equal(found[1], new.integers(2**31, size=3, dtype=np.int32))


def test_every_part_of_the_key_matters() -> None:
    keys = itertools.product((0, 1, 2**63 - 1), (0, 1, 2**31 - 1), ("mask", "weights"), (0, 1, 10**8), (0, 3))
    first = {key: tuple(stream(*key).random(4)) for key in keys}
    assert len(set(first.values())) == len(first) == 108


def test_a_stream_does_not_depend_on_what_was_drawn_before() -> None:
    expected = stream(5, 1, "targets", 7, 2).standard_normal(10)
    other = stream(5, 1, "targets", 6, 2)
    other.standard_normal(1000)
    np.testing.assert_array_equal(stream(5, 1, "targets", 7, 2).standard_normal(10), expected)


def test_neighbouring_neurons_share_no_numbers() -> None:
    # Philox counts up within a stream: the counters of two neurons must not meet
    numbers = np.concatenate([stream(1, 0, "mask", neuron).random(5000) for neuron in range(4)])
    assert len(np.unique(numbers)) == len(numbers)


def test_a_fourth_index_is_refused() -> None:
    with pytest.raises(ValueError, match="three"):
        stream(1, 0, "mask", 1, 2, 3, 4)


@given(first=st.integers(0, 30), length=st.integers(0, 10), trial=st.integers(0, 1000))
def test_uniform_numbers_are_the_neurons_own(first: int, length: int, trial: int) -> None:
    everybody = uniform_by_neuron(3, 0, "test_phase", range(40), trial, -2.0, 5.0)
    block = uniform_by_neuron(3, 0, "test_phase", range(first, first + length), trial, -2.0, 5.0)
    np.testing.assert_array_equal(block, everybody[first : first + length])
    assert ((everybody >= -2.0) & (everybody < 5.0)).all()
    assert everybody.std() > 1.0
