"""Random numbers keyed by meaning: (seed, replicate, purpose, neuron, trial), never by rank or order of draws."""

from __future__ import annotations

from typing import Any

import numpy as np

PURPOSES = {
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
    "shared_targets": 20,
    "frozen_noise": 21,
    "innate_phase": 12,
    "deleted_spike": 13,
    "learner_weights": 40,
    "learner_start": 41,
    "learner_noise": 42,
    "task": 43,
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
    "set_order": 44,
    "transfer_phase": 50,
    "transfer_noise": 51,
    "static_targets": 52,
    "feed_forward_rate": 53,
    "training_feed": 54,
    "test_feed": 55,
    "training_test_feed": 56,
    "taught_phase": 57,
    "taught_noise": 58,
    "cue_path": 59,
    "neuron_value": 60,
}
"""Registry of purposes; a number once given is never reused, so that old results stay reproducible."""


def stream(seed: int, replicate: int, purpose: str, *index: int) -> np.random.Generator:
    """The generator of one purpose and up to three indices (neuron, trial or set, ...).

    Counter-based (Philox): every stream has 2^64 draws of its own, and none depends on which others were made.
    """
    if len(index) > 3:
        raise ValueError("a stream has at most three indices")
    key = np.array([seed, (replicate << 32) | PURPOSES[purpose]], dtype=np.uint64)
    counter = np.zeros(4, dtype=np.uint64)
    counter[1 : 1 + len(index)] = index
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def go_to(generator: np.random.Generator, *index: int) -> np.random.Generator:
    """Take a generator of `stream` to other indices of the same purpose: as a new one, in a third of the time."""
    state: dict[str, Any] = dict(generator.bit_generator.state)
    counter = np.zeros(4, dtype=np.uint64)
    counter[1 : 1 + len(index)] = index
    state["state"] = {**state["state"], "counter": counter}
    # nothing drawn ahead: where numpy begins, too
    generator.bit_generator.state = {**state, "buffer_pos": 4, "has_uint32": 0, "uinteger": 0}
    return generator


def uniform_by_neuron(
    seed: int, replicate: int, purpose: str, neurons: range, trial: int, low: float, high: float
) -> np.ndarray:
    """One uniform number in [low, high) per neuron, shape (len(neurons),)."""
    rng = stream(seed, replicate, purpose)
    return np.array([go_to(rng, neuron, trial).uniform(low, high) for neuron in neurons])
